/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The image header: decoding, truncation, findings, and the area of the header
 * extensions. */

#include "config.h"

#include "qcow2/header.h"

#include "test-util.h"

/* clang-format off */
/* 120 bytes in which every field has a distinct value. */
#define ALL_FIELDS                                                            \
  "0x0:" "514649fb" "00000003" "0102030405060708" "11121314" "00000010"       \
  "2122232425262728" "00000002" "31323334" "4142434445464748"                 \
  "5152535455565758" "61626364" "71727374" "8182838485868788"                 \
  "9192939495969798" "a1a2a3a4a5a6a7a8" "b1b2b3b4b5b6b7b8" "00000005"         \
  "00000078" "c1" "00000000000000" "d1d2d3d4d5d6d7d8"

/* A version 3 image of a 64 MiB disk, without extensions.  The refcount table
 * is at 0x10000.  The L1 table, one entry at 0x30000, ends with the file at
 * 0x30008. */
#define PLAIN "no-extensions"

/* Patches for PLAIN. */
#define BACKING(offset, size) "0x8:" offset " 0x10:" size
#define GROWN " size=0x10000000"

static const FindingRow rows[] = {
  /* Sound images of every kind. */
  { "sound/two-bitmaps", "two-bitmaps", NULL, "" },
  { "sound/four-entries", "four-entries", NULL, "" },
  { "sound/version-2", "version-2", NULL, "" },
  { "sound/zstd", "zstd", NULL, "" },
  { "sound/backing-file-with-format", "backing-file-with-format", NULL, "" },
  { "sound/version-2-backing-file", "version-2-backing-file", NULL, "" },
  { "sound/data-file", "data-file", NULL, "" },
  { "sound/luks", "luks", NULL, "" },
  { "sound/extended-l2", "extended-l2", NULL, "" },
  { "sound/snapshot", "snapshot", NULL, "" },
  { "sound/plain", PLAIN, NULL, "" },
  { "sound/snapshots", "two-snapshots", NULL, "" },
  { "sound/raw-data-file", "external-data-file-raw", NULL, "" },
  { "sound/lazy-refcounts", "lazy-refcounts", NULL, "" },

  { "HDR-03/header-length", PLAIN, "size=111",
    "E HDR-03@0x64; E HDR-17@0x28; E HDR-18@0x30" },
  { "HDR-03/header-length-fits", PLAIN, "size=112",
    "W EXT-07@0x70; E HDR-17@0x28; E HDR-18@0x30" },
  { "HDR-03/backing-name", PLAIN,
    BACKING ("0000000000000200", "00000004") " 0x200:62*4 size=0x203",
    "E HDR-03@0x200; E HDR-17@0x28; E HDR-18@0x30; I HDR-32@0x8" },
  { "HDR-03/backing-name-fits", PLAIN,
    BACKING ("0000000000000200", "00000004") " 0x200:62*4 size=0x204",
    "E HDR-17@0x28; E HDR-18@0x30; I HDR-32@0x8" },

  { "HDR-04/0", PLAIN, "0x14:00000000", "E HDR-04@0x14" },
  { "HDR-04/8", PLAIN, "0x14:00000008", "E HDR-04@0x14" },
  { "HDR-04/9", "cluster-512", NULL, "" },
  { "HDR-04/21", "cluster-2m", NULL, "" },
  { "HDR-04/22", PLAIN, "0x14:00000016",
    "W HDR-04@0x14; E HDR-17@0x28; E HDR-18@0x30" },
  { "HDR-04/30", PLAIN, "0x14:0000001e",
    "W HDR-04@0x14; E HDR-17@0x28; E HDR-18@0x30; W HDR-18@0x38" },
  { "HDR-04/31", PLAIN, "0x14:0000001f", "E HDR-04@0x14" },
  { "HDR-04/32", PLAIN, "0x14:00000020", "E HDR-04@0x14" },
  { "HDR-04/64", PLAIN, "0x14:00000040", "E HDR-04@0x14" },
  { "HDR-04/all-ones", PLAIN, "0x14:ffffffff", "E HDR-04@0x14" },

  /* The disk needs 16 or 4 L1 entries, as L2 tables with extended entries map
   * less of it. */
  { "HDR-05/13", PLAIN, "0x14:0000000d 0x48:0000000000000010",
    "E HDR-05@0x14; E HDR-15@0x24" },
  { "HDR-05/14", PLAIN, "0x14:0000000e 0x48:0000000000000010",
    "E HDR-15@0x24" },
  /* Without a valid cluster size, no cluster is too small. */
  { "HDR-05/8", "extended-l2", "0x14:00000008", "E HDR-04@0x14" },
  { "HDR-05/bit-clear", PLAIN, "0x14:0000000d 0x24:00000008" GROWN,
    "" },

  { "HDR-06/0", PLAIN, "0x64:00000000", "E HDR-06@0x64" },
  { "HDR-06/72", PLAIN, "0x64:00000048", "E HDR-06@0x64" },
  { "HDR-06/103", PLAIN, "0x64:00000067", "E HDR-06@0x64" },
  { "HDR-06/104", "header-length-104", NULL, "" },

  { "HDR-07/105", PLAIN, "0x64:00000069", "E HDR-07@0x64" },
  { "HDR-07/111", PLAIN, "0x64:0000006f", "E HDR-07@0x64" },
  { "HDR-07/113", PLAIN, "0x64:00000071", "E HDR-07@0x64" },
  { "HDR-08/all-ones", PLAIN, "0x64:ffffffff", "E HDR-08@0x64" },

  { "HDR-08/cluster-size", PLAIN, "0x64:00010000",
    "I EXT-07@0x10000; I HDR-09@0x70" },
  { "HDR-08/cluster-size-plus-8", PLAIN, "0x64:00010008", "E HDR-08@0x64" },
  { "HDR-08/huge", PLAIN, "0x64:fffffff8", "E HDR-08@0x64" },

  { "HDR-09/112", PLAIN, NULL, "" },
  { "HDR-09/120", PLAIN, "0x64:00000078", "I HDR-09@0x70" },

  { "HDR-10/byte-104-is-no-type", PLAIN, "0x64:00000068 0x68:01",
    "I EXT-09@0x68" },

  { "HDR-11/first", PLAIN, "0x69:01", "W HDR-11@0x69" },
  { "HDR-11/last", PLAIN, "0x6f:80", "W HDR-11@0x6f" },
  { "HDR-11/all", PLAIN, "0x69:ff*7", "W HDR-11@0x69" },

  { "HDR-12/inside-header", PLAIN, BACKING ("000000000000006f", "00000001"),
    "E HDR-12@0x8; I HDR-32@0x8" },
  { "HDR-12/at-header-end", PLAIN,
    BACKING ("0000000000000070", "00000001") " 0x70:62",
    "I EXT-07@0x70; I HDR-32@0x8" },
  { "HDR-12/version-2-inside", "version-2",
    BACKING ("0000000000000047", "00000001"), "E HDR-12@0x8; I HDR-32@0x8" },
  { "HDR-12/version-2-at-end", "version-2",
    BACKING ("0000000000000048", "00000001") " 0x48:62",
    "I EXT-07@0x48; I HDR-32@0x8" },
  { "HDR-12/ends-at-cluster-end", PLAIN,
    BACKING ("000000000000ffff", "00000001") " 0xffff:62", "I HDR-32@0x8" },
  { "HDR-12/ends-after-cluster", PLAIN,
    BACKING ("000000000000ffff", "00000002") " 0xffff:6262",
    "E HDR-12@0x10; I HDR-32@0x8" },
  { "HDR-12/empty-at-cluster-end", PLAIN,
    BACKING ("0000000000010000", "00000000"), "W HDR-13@0x10" },
  { "HDR-12/after-cluster", PLAIN, BACKING ("0000000000010001", "00000000"),
    "E HDR-12@0x8" },
  { "HDR-12/all-ones", PLAIN, BACKING ("ffffffffffffffff", "ffffffff"),
    "E HDR-12@0x8; I HDR-32@0x8" },

  { "HDR-13/0", PLAIN, BACKING ("0000000000000200", "00000000"),
    "W HDR-13@0x10" },
  { "HDR-13/1023", PLAIN,
    BACKING ("0000000000000200", "000003ff") " 0x200:62*1023",
    "I HDR-32@0x8" },
  { "HDR-13/1024", PLAIN,
    BACKING ("0000000000000200", "00000400") " 0x200:62*1024",
    "E HDR-13@0x10; I HDR-32@0x8" },
  { "HDR-13/all-ones", PLAIN, BACKING ("0000000000000200", "ffffffff"),
    "E HDR-13@0x10; I HDR-32@0x8" },
  { "HDR-13/no-backing-file", PLAIN, BACKING ("0000000000000000", "ffffffff"),
    "" },

  /* An L1 entry maps 512 MiB, or 256 MiB with extended L2 entries. */
  { "HDR-15/0", PLAIN, "0x18:0000000000000000", "" },
  { "HDR-15/not-512", PLAIN, "0x18:0000000004000001", "W HDR-15@0x18" },
  { "HDR-15/l1-covers", PLAIN, "0x18:0000000020000000", "" },
  { "HDR-15/beyond-l1", PLAIN, "0x18:0000000020000200", "E HDR-15@0x24" },
  { "HDR-15/extended-l1-covers", "extended-l2", "0x18:0000000010000000", "" },
  { "HDR-15/extended-beyond-l1", "extended-l2", "0x18:0000000010000200",
    "E HDR-15@0x24" },
  /* The disk needs 2^34 L1 entries, of 512 MiB each. */
  { "HDR-15/2-63-minus-1", PLAIN, "0x18:7fffffffffffffff",
    "W HDR-15@0x18; E HDR-15@0x18" },
  { "HDR-15/2-63", PLAIN, "0x18:8000000000000000", "E HDR-15@0x18" },
  { "HDR-15/all-ones", PLAIN, "0x18:ffffffffffffffff", "E HDR-15@0x18" },

  { "HDR-16/aes", PLAIN, "0x20:00000001", "I HDR-16@0x20" },
  { "HDR-16/3", PLAIN, "0x20:00000003", "E HDR-16@0x20" },
  { "HDR-16/luks-without-header", PLAIN, "0x20:00000002", "E HDR-16@0x20" },
  { "HDR-16/luks", "luks-pointer", NULL, "" },

  { "HDR-17/no-table", PLAIN,
    "0x18:0000000000000000 0x24:00000000 0x28:00000007f0000000", "" },
  { "HDR-17/no-table-unaligned", PLAIN,
    "0x18:0000000000000000 0x24:00000000 0x28:0000000000000001",
    "E HDR-17@0x28" },
  { "HDR-17/0", PLAIN, "0x28:0000000000000000", "E HDR-17@0x28" },
  { "HDR-17/unaligned", PLAIN, "0x28:000000000002fff8", "E HDR-17@0x28" },
  { "HDR-17/ends-with-file", PLAIN, "size=0x30008", "" },
  { "HDR-17/after-file", PLAIN, "size=0x30007", "E HDR-17@0x28" },
  { "HDR-17/32-mib", PLAIN, "0x24:00400000" GROWN, "" },
  { "HDR-17/over-32-mib", PLAIN, "0x24:00400001" GROWN, "W HDR-17@0x28" },
  { "HDR-17/wraps", PLAIN, "0x28:ffffffffffff0000 0x24:00002000",
    "E HDR-17@0x28" },

  { "HDR-18/0", PLAIN, "0x30:0000000000000000", "E HDR-18@0x30" },
  { "HDR-18/unaligned", PLAIN, "0x30:0000000000010200", "E HDR-18@0x30" },
  { "HDR-18/no-clusters", PLAIN, "0x38:00000000", "E HDR-18@0x38" },
  { "HDR-18/8-mib", PLAIN, "0x38:00000080" GROWN, "" },
  { "HDR-18/over-8-mib", PLAIN, "0x38:00000081" GROWN, "W HDR-18@0x38" },
  { "HDR-18/ends-with-file", PLAIN,
    "0x28:0000000000010000 0x30:0000000000020000", "" },
  { "HDR-18/after-file", PLAIN, "0x30:0000000000030000", "W HDR-18@0x30" },
  { "HDR-18/wraps", PLAIN, "0x30:ffffffffffff0000", "E HDR-18@0x30" },
  { "HDR-18/all-ones", PLAIN, "0x38:ffffffff", "W HDR-18@0x38" },

  { "HDR-19/65536", PLAIN, "0x3c:00010000 0x40:0000000000030000", "" },
  { "HDR-19/65537", PLAIN, "0x3c:00010001 0x40:0000000000030000",
    "W HDR-19@0x3c" },
  { "HDR-19/unaligned", PLAIN, "0x40:0000000000020008", "E HDR-19@0x40" },
  { "HDR-19/2-63", PLAIN, "0x40:8000000000000000", "E HDR-19@0x40" },
  { "HDR-19/unused-after-file", PLAIN, "0x40:0000000000040000", "" },
  { "HDR-19/after-file", PLAIN, "0x3c:00000001 0x40:0000000000040000",
    "E HDR-19@0x40" },
  { "HDR-19/offset-0", PLAIN, "0x3c:00000001", "E HDR-19@0x40" },
  { "HDR-19/at-file-end", PLAIN,
    "0x3c:00000001 0x40:0000000000040000 size=0x40000", "E HDR-19@0x40" },
  { "HDR-19/in-file", PLAIN,
    "0x3c:00000001 0x40:0000000000040000 size=0x40001", "" },

  { "HDR-20/bit-5", PLAIN, "0x48:0000000000000020", "E HDR-20@0x48" },
  { "HDR-20/bit-63", PLAIN, "0x48:8000000000000000", "E HDR-20@0x48" },
  { "HDR-20/known", PLAIN, "0x48:000000000000001c 0x68:01", "I HDR-22@0x48" },

  { "HDR-21/dirty", PLAIN, "0x48:0000000000000001", "W HDR-21@0x48" },
  { "HDR-21/corrupt", PLAIN, "0x48:0000000000000002", "W HDR-21@0x48" },

  { "HDR-22/snapshots", "snapshot", "0x48:0000000000000004",
    "W HDR-22@0x3c; I HDR-22@0x48" },
  { "HDR-22/no-snapshots", PLAIN, "0x48:0000000000000004", "I HDR-22@0x48" },

  { "HDR-23/bit-alone", PLAIN, "0x48:0000000000000008", "E HDR-23@0x68" },
  { "HDR-23/type-alone", PLAIN, "0x68:01", "E HDR-23@0x68" },
  { "HDR-23/both", PLAIN, "0x48:0000000000000008 0x68:01", "" },
  { "HDR-23/type-2", PLAIN, "0x48:0000000000000008 0x68:02",
    "E HDR-23@0x68" },
  { "HDR-23/type-255", PLAIN, "0x68:ff", "E HDR-23@0x68" },
  { "HDR-23/short-header", "header-length-104", "0x48:0000000000000008",
    "E HDR-23@0x48" },

  { "HDR-24/bit-0", PLAIN, "0x50:0000000000000001", "" },
  { "HDR-24/bit-1", PLAIN, "0x50:0000000000000002", "I HDR-24@0x50" },
  { "HDR-24/bit-63", PLAIN, "0x50:8000000000000000", "I HDR-24@0x50" },

  { "HDR-25/bit-alone", PLAIN, "0x58:0000000000000001", "E HDR-25@0x58" },
  { "HDR-25/extension-alone", "two-bitmaps", "0x58:0000000000000000",
    "W HDR-25@0x58" },
  { "HDR-25/version-2", "version-2-bitmaps", NULL, "W HDR-25@0x4" },

  { "HDR-26/another-bit", PLAIN,
    "0x48:0000000000000001 0x58:0000000000000002",
    "W HDR-21@0x48; E HDR-26@0x58" },
  { "HDR-26/no-data-file", PLAIN, "0x58:0000000000000002", "E HDR-26@0x58" },
  { "HDR-26/data-file", PLAIN, "0x48:0000000000000004 0x58:0000000000000002",
    "I HDR-22@0x48" },
  { "HDR-26/backing-file", PLAIN,
    "0x48:0000000000000004 0x58:0000000000000002 "
    BACKING ("0000000000000200", "00000001") " 0x200:62",
    "E HDR-26@0x58; I HDR-22@0x48; I HDR-32@0x8" },

  { "HDR-27/bit-2", PLAIN, "0x58:0000000000000004", "W HDR-27@0x58" },
  { "HDR-27/bit-63", PLAIN, "0x58:8000000000000000", "W HDR-27@0x58" },

  { "HDR-28/0", PLAIN, "0x60:00000000", "" },
  { "HDR-28/6", PLAIN, "0x60:00000006", "" },
  { "HDR-28/7", PLAIN, "0x60:00000007", "E HDR-28@0x60" },
  { "HDR-28/all-ones", PLAIN, "0x60:ffffffff", "E HDR-28@0x60" },

  /* In version 2, these bytes are a header extension, here an unknown one. */
  { "HDR-29/version-2", "version-2",
    "0x48:ffffffff00000010 0x50:ff*16 0x60:00*8", "I EXT-09@0x48" },

  { "HDR-30/newline", "backing-file-with-format", "0x212:0a",
    "W HDR-30@0x210" },
  { "HDR-30/not-utf-8", "backing-file-with-format", "0x217:ff",
    "W HDR-30@0x210" },
  { "HDR-30/letters", "backing-file-with-format", "0x210:c3a4c3b6c3bcc39f",
    "" },
};
/* clang-format on */

static void
test_findings (gconstpointer data)
{
  const FindingRow *row = data;
  g_autoptr (Qcow2Findings) findings = find_findings (row->base, row->patch);

  assert_findings (findings, row->findings);
}

static void
read_header (FakeSource *source, Qcow2Header *header)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (qcow2_header_read (&source->base, header, &error));
  g_assert_no_error (error);
}

static void
test_fields (void)
{
  g_autoptr (ByteSource) source = &open_source (PLAIN, ALL_FIELDS)->base;
  Qcow2Header h;

  read_header ((FakeSource *) source, &h);
  g_assert_cmphex (h.magic, ==, 0x514649fb);
  g_assert_cmpuint (h.version, ==, 3);
  g_assert_cmphex (h.backing_file_offset, ==,
                   G_GUINT64_CONSTANT (0x0102030405060708));
  g_assert_cmphex (h.backing_file_size, ==, 0x11121314);
  g_assert_cmpuint (h.cluster_bits, ==, 16);
  g_assert_cmphex (h.size, ==, G_GUINT64_CONSTANT (0x2122232425262728));
  g_assert_cmpuint (h.crypt_method, ==, 2);
  g_assert_cmphex (h.l1_size, ==, 0x31323334);
  g_assert_cmphex (h.l1_table_offset, ==,
                   G_GUINT64_CONSTANT (0x4142434445464748));
  g_assert_cmphex (h.refcount_table_offset, ==,
                   G_GUINT64_CONSTANT (0x5152535455565758));
  g_assert_cmphex (h.refcount_table_clusters, ==, 0x61626364);
  g_assert_cmphex (h.nb_snapshots, ==, 0x71727374);
  g_assert_cmphex (h.snapshot_offset, ==,
                   G_GUINT64_CONSTANT (0x8182838485868788));
}

static void
test_version_3_fields (void)
{
  g_autoptr (ByteSource) source = &open_source (PLAIN, ALL_FIELDS)->base;
  Qcow2Header h;

  read_header ((FakeSource *) source, &h);
  g_assert_cmphex (h.incompatible_features, ==,
                   G_GUINT64_CONSTANT (0x9192939495969798));
  g_assert_cmphex (h.compatible_features, ==,
                   G_GUINT64_CONSTANT (0xa1a2a3a4a5a6a7a8));
  g_assert_cmphex (h.autoclear_features, ==,
                   G_GUINT64_CONSTANT (0xb1b2b3b4b5b6b7b8));
  g_assert_cmpuint (h.refcount_order, ==, 5);
  g_assert_cmpuint (h.header_length, ==, 120);
  g_assert_cmphex (h.compression_type, ==, 0xc1);
  g_assert_cmpuint (h.cluster_size, ==, 65536);
  g_assert_cmpuint (h.refcount_bits, ==, 32);
}

/* In version 2, bytes 72 and later are the first extension, so that the later
 * fields have their defaults. */
static void
test_version_2 (void)
{
  g_autoptr (ByteSource) source
      = &open_source (PLAIN, ALL_FIELDS " 0x4:00000002")->base;
  Qcow2Header h;

  read_header ((FakeSource *) source, &h);
  g_assert_cmphex (h.snapshot_offset, ==,
                   G_GUINT64_CONSTANT (0x8182838485868788));
  g_assert_cmphex (h.incompatible_features, ==, 0);
  g_assert_cmphex (h.compatible_features, ==, 0);
  g_assert_cmphex (h.autoclear_features, ==, 0);
  g_assert_cmpuint (h.refcount_order, ==, 4);
  g_assert_cmpuint (h.refcount_bits, ==, 16);
  g_assert_cmpuint (h.header_length, ==, 72);
  g_assert_cmpuint (h.compression_type, ==, 0);
}

static void
assert_compression_type (const char *patch, guint expected, gboolean present)
{
  g_autoptr (ByteSource) source = &open_source (PLAIN, patch)->base;
  Qcow2Header h;

  read_header ((FakeSource *) source, &h);
  g_assert_cmpuint (h.compression_type, ==, expected);
  g_assert_cmpint (qcow2_header_has_compression_type (&h), ==, present);
}

/* qcow2 spec: a field exists if header_length is greater than its offset. */
static void
test_compression_type (void)
{
  assert_compression_type ("0x68:01 0x64:00000068", 0, FALSE);
  assert_compression_type ("0x68:01 0x64:00000069", 1, TRUE);
  assert_compression_type ("0x68:01 0x64:00000070", 1, TRUE);
  assert_compression_type ("0x68:01 0x64:00000078", 1, TRUE);
  assert_compression_type ("0x68:01 0x4:00000002", 0, FALSE);
  assert_compression_type ("0x68:01 size=105", 1, TRUE);
  assert_compression_type ("size=104", 0, TRUE);
}

static void
assert_sizes (const char *patch, guint64 cluster_size, guint64 refcount_bits)
{
  g_autoptr (ByteSource) source = &open_source (PLAIN, patch)->base;
  Qcow2Header h;

  read_header ((FakeSource *) source, &h);
  g_assert_cmpuint (h.cluster_size, ==, cluster_size);
  g_assert_cmpuint (h.refcount_bits, ==, refcount_bits);
}

static void
test_derived_sizes (void)
{
  assert_sizes ("0x14:00000008 0x60:00000000", QCOW2_ABSENT, 1);
  assert_sizes ("0x14:00000009 0x60:00000006", 512, 64);
  assert_sizes ("0x14:0000001e 0x60:00000007", 1073741824, QCOW2_ABSENT);
  assert_sizes ("0x14:0000001f 0x60:ffffffff", QCOW2_ABSENT, QCOW2_ABSENT);
  assert_sizes ("0x14:ffffffff 0x60:00000020", QCOW2_ABSENT, QCOW2_ABSENT);
}

/* Opens the first LEN bytes of image NAME.  They are copied, so that valgrind
 * notices reads past their end. */
static Qcow2Image *
open_cut (const char *name, gsize len, Qcow2Findings *findings, GError **error)
{
  g_autoptr (GBytes) whole = image_build_bytes (name);
  g_autoptr (GBytes) cut = g_bytes_new (g_bytes_get_data (whole, NULL), len);

  return qcow2_image_open_checked (byte_source_new_memory (cut), findings,
                                   error);
}

static void
assert_cut (const char *name, gsize len, gint code, const char *rule)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *at
      = g_strdup_printf ("0x%x", len < 4 ? 0 : (len < 8 ? 4 : (guint) len));
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  g_autoptr (Qcow2Image) image = open_cut (name, len, findings, &error);

  g_assert_null (image);
  assert_fatal (error, code, at, rule);
}

static void
test_truncated_magic (void)
{
  assert_cut ("two-bitmaps", 0, QCOW2_ERROR_NOT_QCOW2, "FILE-02");
  for (gsize len = 1; len < 4; len++)
    assert_cut ("two-bitmaps", len, QCOW2_ERROR_NOT_QCOW2, "HDR-01");
}

/* The signatures of other formats, most of them at offset 0. */
static const struct
{
  guint offset;
  const char *bytes;
  guint size;
  const char *name;
} signatures[] = {
  { 0, "\xfb\x49\x46\x51", 4, "(a qcow2 image in the wrong byte order)" },
  { 0, "QED\0", 4, "(a QED image)" },
  { 0, "LUKS\xba\xbe", 6, "(a LUKS volume)" },
  { 0, "KDMV", 4, "(a VMDK image)" },
  { 0, "COWD", 4, "(a VMDK image)" },
  { 0, "# Disk DescriptorFile", 21, "(a VMDK descriptor)" },
  { 0, "vhdxfile", 8, "(a VHDX image)" },
  { 0, "conectix", 8, "(a VHD image)" },
  { 0, "\x1f\x8b", 2, "(gzip data)" },
  { 0, "\xfd\x37zXZ\0", 6, "(xz data)" },
  { 0, "\x28\xb5\x2f\xfd", 4, "(zstd data)" },
  { 64, "\x7f\x10\xda\xbe", 4, "(a VDI image)" },
};

/* Asserts that the error for a file that has the first SIZE bytes of signature
 * I, and otherwise bytes 0xaa up to LEN, contains NAME. */
static void
assert_called (guint i, guint size, guint len, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *data = g_malloc (len);

  memset (data, 0xaa, len);
  memcpy (data + signatures[i].offset, signatures[i].bytes, size);
  g_autoptr (GBytes) bytes = g_bytes_new (data, len);
  g_assert_null (qcow2_image_open (byte_source_new_memory (bytes), &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_QCOW2);
  if (strstr (error->message, name) == NULL)
    g_error ("signature %u, %u bytes: %s", i, size, error->message);
}

/* A signature is matched as a whole, whatever bytes follow it. */
static void
test_signatures (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (signatures); i++)
    {
      const guint size = signatures[i].size;
      const guint end = signatures[i].offset + size;

      assert_called (i, size, 100, signatures[i].name);
      assert_called (i, size, MAX (end, 4), signatures[i].name);
      assert_called (i, size - 1, 100, "(raw data?)");
    }
}

/* The names of values and bits are those of the specification. */
static void
test_labels (void)
{
  const Qcow2Field *method
      = qcow2_record_find (qcow2_header_record.fields, "crypt_method_name");
  const char *const masks[] = { "incompatible_features", "compatible_features",
                                "autoclear_features" };
  const char *const methods[] = { "none", "aes", "luks", NULL };

  for (guint i = 0; i < G_N_ELEMENTS (methods); i++)
    g_assert_cmpstr (qcow2_label_find (method->labels, i), ==, methods[i]);
  for (guint type = 0; type < G_N_ELEMENTS (masks); type++)
    g_assert_cmpuint (
        qcow2_record_find (qcow2_header_record.fields, masks[type])->bit_names,
        ==,
        offsetof (Qcow2Header, feature_names[0])
            + type * sizeof (((Qcow2Header *) NULL)->feature_names[0]));
}

/* The dirty bit and the corrupt bit each have a finding of their own. */
static void
test_dirty_or_corrupt (void)
{
  g_autoptr (Qcow2Findings) dirty
      = find_findings ("two-bitmaps", "0x48:0000000000000001");
  g_autoptr (Qcow2Findings) corrupt
      = find_findings ("two-bitmaps", "0x48:0000000000000002");
  g_autoptr (Qcow2Findings) both
      = find_findings ("two-bitmaps", "0x48:0000000000000003");

  g_assert_cmpuint (qcow2_findings_get_n (dirty), ==, 1);
  g_assert_cmpstr (qcow2_findings_get (dirty, 0)->message, ==,
                   "the dirty bit is set");
  g_assert_cmpuint (qcow2_findings_get_n (corrupt), ==, 1);
  g_assert_cmpstr (qcow2_findings_get (corrupt, 0)->message, ==,
                   "the corrupt bit is set");
  g_assert_cmpuint (qcow2_findings_get_n (both), ==, 2);
}

/* Only extended L2 entries make clusters of 512 bytes too small. */
static void
test_small_clusters (void)
{
  for (guint bit = 0; bit < 5; bit++)
    {
      g_autofree char *patch = g_strdup_printf ("0x48:%016x", 1u << bit);
      g_autoptr (Qcow2Findings) findings
          = find_findings ("four-entries", patch);
      gboolean found = FALSE;

      for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
        found
            |= g_str_equal (qcow2_findings_get (findings, i)->rule, "HDR-05");
      g_assert_cmpint (found, ==, bit == 4);
    }
}

/* Bytes after the end of the file are not reported as zeroes. */
static void
test_truncated_magic_message (void)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  g_autoptr (GError) error = NULL;

  g_assert_null (open_cut ("two-bitmaps", 3, findings, &error));
  g_assert_nonnull (strstr (error->message, " only 3 of the 4 bytes "));
  g_assert_null (strstr (error->message, "0x514649"));
}

static void
test_truncated (void)
{
  for (gsize len = 4; len < 104; len++)
    assert_cut ("two-bitmaps", len, QCOW2_ERROR_TRUNCATED, "HDR-03");
}

static void
test_truncated_version_2 (void)
{
  for (gsize len = 4; len < 72; len++)
    assert_cut ("version-2", len, QCOW2_ERROR_TRUNCATED, "HDR-03");
}

/* Truncation after the mandatory fields is a finding, not a fatal error. */
static void
test_truncated_after_mandatory (void)
{
  for (gsize len = 104; len < 112; len++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
      g_autoptr (Qcow2Image) image
          = open_cut ("two-bitmaps", len, findings, &error);

      g_assert_no_error (error);
      g_assert_cmpuint (image->header.header_length, ==, 112);
      assert_findings (findings,
                       "E HDR-03@0x64; E HDR-17@0x28; E HDR-18@0x30");
    }
}

static void
test_version_2_shortest (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  qcow2_image_free (open_cut ("version-2", 72, findings, &error));

  g_assert_no_error (error);
  assert_findings (findings, "W EXT-07@0x48; E HDR-17@0x28; E HDR-18@0x30");
}

static void
test_truncated_message (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  g_autoptr (Qcow2Image) image
      = open_cut ("two-bitmaps", 103, findings, &error);

  g_assert_null (image);
  g_assert_cmpstr (error->message, ==,
                   "0x67: header: cut short: 103 of 104 bytes are there "
                   "[HDR-03]");
}

/* A file that is not a supported image, and a word of the error that says why.
 */
typedef struct
{
  const char *path;
  const char *patch;
  gint code;
  const char *at;
  const char *rule;
  const char *word;
} Foreign;

/* clang-format off */
static const Foreign foreign[] = {
  { "magic", "0x0:514649fa", QCOW2_ERROR_NOT_QCOW2, "0x0", "HDR-01",
    "raw data?" },
  { "byte-swapped", "0x0:fb494651", QCOW2_ERROR_NOT_QCOW2, "0x0", "HDR-01",
    "byte order" },
  { "qed", "0x0:51454400", QCOW2_ERROR_NOT_QCOW2, "0x0", "HDR-01", "QED" },
  { "luks", "0x0:4c554b53babe", QCOW2_ERROR_NOT_QCOW2, "0x0", "HDR-01",
    "LUKS" },
  { "vmdk", "0x0:4b444d56", QCOW2_ERROR_NOT_QCOW2, "0x0", "HDR-01", "VMDK" },
  { "vdi", "0x0:3c3c3c20 0x40:7f10dabe", QCOW2_ERROR_NOT_QCOW2, "0x0",
    "HDR-01", "VDI" },
  { "zeroes", "0x0:00*512", QCOW2_ERROR_NOT_QCOW2, "0x0", "HDR-01",
    "raw data?" },
  { "version-0", "0x4:00000000", QCOW2_ERROR_UNSUPPORTED, "0x4", "HDR-02",
    "version 0 " },
  { "version-1", "0x4:00000001", QCOW2_ERROR_UNSUPPORTED, "0x4", "HDR-02",
    ": qcow version 1 " },
  { "version-4", "0x4:00000004", QCOW2_ERROR_UNSUPPORTED, "0x4", "HDR-02",
    ": qcow2 version 4 " },
  { "version-all-ones", "0x4:ffffffff", QCOW2_ERROR_UNSUPPORTED, "0x4",
    "HDR-02", "version 4294967295 " },
  /* An unsupported version is reported rather than the truncation. */
  { "version-cut", "0x4:00000004 size=8", QCOW2_ERROR_UNSUPPORTED, "0x4",
    "HDR-02", "version 4 " },
};
/* clang-format on */

static void
test_foreign (gconstpointer data)
{
  const Foreign *row = data;
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  g_autoptr (GError) error = NULL;
  FakeSource *source = open_source ("two-bitmaps", row->patch);
  gboolean freed = FALSE;

  source->freed = &freed;
  g_assert_null (qcow2_image_open_checked (&source->base, findings, &error));
  assert_fatal (error, row->code, row->at, row->rule);
  g_assert_nonnull (strstr (error->message, row->word));
  g_assert_true (freed);
}

static void
test_read_error (void)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  g_autoptr (GError) error = NULL;
  FakeSource *source = open_source ("two-bitmaps", NULL);

  source->bad_end = 1;
  g_assert_null (qcow2_image_open_checked (&source->base, findings, &error));
  assert_fatal (error, QCOW2_ERROR_READ, "0x0", "FILE-04");
}

/* The fields of the header that determine the area of the extensions, and the
 * offsets of the area. */
typedef struct
{
  const char *path;
  guint32 version;
  guint32 header_length;
  guint32 cluster_bits;
  guint64 backing_file_offset;
  gboolean located;
  guint64 start;
  guint64 end;
} Area;

/* clang-format off */
static const Area areas[] = {
  { "plain", 3, 112, 16, 0, TRUE, 112, 65536 },
  { "version-2", 2, 72, 9, 0, TRUE, 72, 512 },
  { "104", 3, 104, 16, 0, TRUE, 104, 65536 },
  { "103", 3, 103, 16, 0, FALSE, 0, 0 },
  { "96", 3, 96, 16, 0, FALSE, 0, 0 },
  { "108", 3, 108, 16, 0, FALSE, 0, 0 },
  { "120", 3, 120, 16, 0, TRUE, 120, 65536 },
  { "cluster", 3, 512, 9, 0, TRUE, 512, 512 },
  { "over-cluster", 3, 520, 9, 0, FALSE, 0, 0 },
  { "backing-file", 3, 112, 16, 300, TRUE, 112, 300 },
  { "backing-file-at-start", 3, 112, 16, 112, TRUE, 112, 112 },
  { "backing-file-in-header", 3, 112, 16, 111, TRUE, 112, 65536 },
  { "backing-file-at-end", 3, 112, 16, 65536, TRUE, 112, 65536 },
  { "backing-file-after", 3, 112, 16, 65537, TRUE, 112, 65536 },
  { "backing-file-all-ones", 3, 112, 16, G_MAXUINT64, TRUE, 112, 65536 },
  { "no-cluster-size", 3, 112, 31, 0, FALSE, 0, 0 },
};
/* clang-format on */

static void
test_area (gconstpointer data)
{
  const Area *row = data;
  const Qcow2Header h
      = { .version = row->version,
          .header_length = row->header_length,
          .backing_file_offset = row->backing_file_offset,
          .cluster_size = row->cluster_bits > 30
                              ? QCOW2_ABSENT
                              : G_GUINT64_CONSTANT (1) << row->cluster_bits };
  guint64 start = 0;
  guint64 end = 0;

  g_assert_cmpint (qcow2_header_get_extension_area (&h, &start, &end), ==,
                   row->located);
  if (!row->located)
    return;

  g_assert_cmpuint (start, ==, row->start);
  g_assert_cmpuint (end, ==, row->end);
}

static void
test_backing_file (void)
{
  g_autoptr (Qcow2Image) image = open_image ("backing-file-with-format", NULL);

  assert_string (image->header.backing_file, "base.raw");
  assert_string (image->header.backing_format, "raw");
  g_assert_null (image->header.external_data_file);
}

/* A NUL byte does not end the name. */
static void
test_backing_file_nul (void)
{
  g_autoptr (Qcow2Image) image = open_image ("backing-name-nul", NULL);

  assert_bytes (image->header.backing_file, "base\0raw", 8);
}

/* QEMU reads zeroes after the end of the file, and opens "base.ra". */
static void
test_backing_file_cut (void)
{
  g_autoptr (Qcow2Image) image = open_image ("backing-name-last-byte", NULL);

  assert_string (image->header.backing_file, "base.ra");
}

/* Images without a backing file name that can be read. */
static const FindingRow no_backing_file[] = {
  { "none", PLAIN, NULL, NULL },
  { "empty", PLAIN, BACKING ("0000000000000200", "00000000"), NULL },
  { "in-header", PLAIN, BACKING ("0000000000000004", "00000004"), NULL },
  { "after-file", PLAIN,
    BACKING ("0000000000000200", "00000004") " size=0x200", NULL },
  { "too-long", PLAIN, BACKING ("0000000000000200", "00010000"), NULL },
  { "wraps", PLAIN, BACKING ("fffffffffffffff8", "00000010"), NULL },
};

static void
test_no_backing_file (gconstpointer data)
{
  const FindingRow *row = data;
  g_autoptr (Qcow2Image) image = open_image (row->base, row->patch);

  g_assert_null (image->header.backing_file);
}

static void
test_longest_backing_file (void)
{
  g_autoptr (Qcow2Image) image = open_image (
      PLAIN, BACKING ("0000000000000200", "0000ffff") " 0x200:62*65535");

  g_assert_cmpuint (g_bytes_get_size (image->header.backing_file), ==, 65535);
}

/* Returns the name that IMAGE has for feature bit BIT of TYPE, or NULL. */
static const char *
feature_name (const Qcow2Image *image, guint type, guint bit)
{
  return image->header.feature_names[type][bit];
}

static void
test_feature_names (void)
{
  g_autoptr (Qcow2Image) image = open_image ("two-bitmaps", NULL);

  g_assert_cmpstr (feature_name (image, 0, 0), ==, "dirty bit");
  g_assert_cmpstr (feature_name (image, 0, 4), ==, "extended L2 entries");
  g_assert_cmpstr (feature_name (image, 1, 0), ==, "lazy refcounts");
  g_assert_cmpstr (feature_name (image, 2, 1), ==, "raw external data");
  g_assert_null (feature_name (image, 0, 5));
  g_assert_null (feature_name (image, 2, 63));
}

static void
test_feature_name_full (void)
{
  g_autoptr (Qcow2Image) image = open_image ("feature-name-46-bytes", NULL);
  g_autofree char *expected = g_strnfill (46, 'n');

  g_assert_cmpstr (feature_name (image, 0, 63), ==, expected);
}

static void
test_feature_name_empty (void)
{
  g_autoptr (Qcow2Image) image = open_image ("feature-name-empty", NULL);

  g_assert_null (feature_name (image, 0, 63));
}

/* The second row, "corrupt bit", repeats the bit of the first row. */
static void
test_feature_name_first_counts (void)
{
  g_autoptr (Qcow2Image) image = open_image ("feature-duplicate", NULL);

  g_assert_cmpstr (feature_name (image, 0, 0), ==, "dirty bit");
  g_assert_null (feature_name (image, 0, 1));
}

/* A shift by 69 or 255 would name bit 5 or 63 instead. */
static void
test_feature_bit_too_large (void)
{
  g_autoptr (Qcow2Image) bit_69 = open_image ("feature-bit-69", NULL);
  g_autoptr (Qcow2Image) bit_255 = open_image ("feature-bit-255", NULL);
  g_autoptr (Qcow2Image) type_3 = open_image ("two-bitmaps", "0x78:0300");

  g_assert_null (feature_name (bit_69, 0, 5));
  g_assert_null (feature_name (bit_255, 0, 63));
  g_assert_null (feature_name (type_3, 0, 0));
}

/* The message shows only the first bytes of unknown fields. */
static void
test_unknown_fields (void)
{
  g_autoptr (Qcow2Findings) findings
      = find_findings ("header-length-120-unknown-fields", NULL);

  g_assert_cmpstr (qcow2_findings_get (findings, 0)->message, ==,
                   "8 bytes of unknown fields: 0123456789abcdef");
}

static void
test_many_unknown_fields (void)
{
  g_autoptr (Qcow2Findings) findings
      = find_findings ("header-length-4096", NULL);
  const char *message = qcow2_findings_get (findings, 0)->message;

  g_assert_true (g_str_has_prefix (message, "3984 bytes of unknown fields: "));
  g_assert_true (g_str_has_suffix (message, "00..."));
  g_assert_cmpuint (strlen (message), <, 200);
}

static void
test_bad_tail (void)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  g_autoptr (GError) error = NULL;
  FakeSource *source = open_source ("header-length-120", NULL);

  source->bad_start = 112;
  source->bad_end = 120;
  g_assert_null (qcow2_image_open_checked (&source->base, findings, &error));
  assert_fatal (error, QCOW2_ERROR_READ, "0x69", "FILE-04");
}

static void
test_bad_backing_file (void)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  g_autoptr (GError) error = NULL;
  FakeSource *source = open_source ("backing-file-with-format", NULL);

  source->bad_start = 0x212;
  source->bad_end = 0x213;
  g_assert_null (qcow2_image_open_checked (&source->base, findings, &error));
  assert_fatal (error, QCOW2_ERROR_READ, "0x210", "FILE-04");
}

static void
add_reading (void)
{
  g_test_add_func ("/header/fields", test_fields);
  g_test_add_func ("/header/version-3-fields", test_version_3_fields);
  g_test_add_func ("/header/version-2", test_version_2);
  g_test_add_func ("/header/compression-type", test_compression_type);
  g_test_add_func ("/header/derived-sizes", test_derived_sizes);
  g_test_add_func ("/header/truncated/magic", test_truncated_magic);
  g_test_add_func ("/header/truncated/magic-message",
                   test_truncated_magic_message);
  g_test_add_func ("/header/dirty-or-corrupt", test_dirty_or_corrupt);
  g_test_add_func ("/header/small-clusters", test_small_clusters);
  g_test_add_func ("/header/signatures", test_signatures);
  g_test_add_func ("/header/labels", test_labels);
  g_test_add_func ("/header/truncated/version-3", test_truncated);
  g_test_add_func ("/header/truncated/version-2", test_truncated_version_2);
  g_test_add_func ("/header/truncated/after-mandatory",
                   test_truncated_after_mandatory);
  g_test_add_func ("/header/truncated/version-2-shortest",
                   test_version_2_shortest);
  g_test_add_func ("/header/truncated/message", test_truncated_message);
  g_test_add_func ("/header/read-error/start", test_read_error);
  g_test_add_func ("/header/read-error/tail", test_bad_tail);
  g_test_add_func ("/header/read-error/backing-file", test_bad_backing_file);
  for (gsize i = 0; i < G_N_ELEMENTS (foreign); i++)
    {
      g_autofree char *path
          = g_strdup_printf ("/header/foreign/%s", foreign[i].path);

      g_test_add_data_func (path, &foreign[i], test_foreign);
    }
}

static void
add_strings (void)
{
  g_test_add_func ("/header/backing-file/read", test_backing_file);
  g_test_add_func ("/header/backing-file/nul", test_backing_file_nul);
  g_test_add_func ("/header/backing-file/cut", test_backing_file_cut);
  g_test_add_func ("/header/backing-file/longest", test_longest_backing_file);
  add_rows ("/header/backing-file/none", no_backing_file,
            G_N_ELEMENTS (no_backing_file), test_no_backing_file);
  g_test_add_func ("/header/feature-names/all", test_feature_names);
  g_test_add_func ("/header/feature-names/full", test_feature_name_full);
  g_test_add_func ("/header/feature-names/empty", test_feature_name_empty);
  g_test_add_func ("/header/feature-names/first-counts",
                   test_feature_name_first_counts);
  g_test_add_func ("/header/feature-names/bit-too-large",
                   test_feature_bit_too_large);
  g_test_add_func ("/header/unknown-fields/few", test_unknown_fields);
  g_test_add_func ("/header/unknown-fields/many", test_many_unknown_fields);
}

/* The backing file name starts right after the header, which leaves no room
 * for extensions. */
static void
test_backing_file_after_header (void)
{
  g_autoptr (Qcow2Image) image = open_image (
      PLAIN, BACKING ("0000000000000070", "00000001") " 0x70:62");

  assert_string (image->header.backing_file, "b");
}

static void
test_backing_file_at_the_end (void)
{
  g_autoptr (Qcow2Image) image
      = open_image (PLAIN, BACKING ("0000000000000200",
                                    "00000004") " 0x200:62617365 size=0x204");

  assert_string (image->header.backing_file, "base");
}

/* Four bytes are enough to recognize another format by its signature. */
static void
test_short_signature (void)
{
  FakeSource *source = open_source ("looks-like-qed", "size=4");
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  g_autoptr (GError) error = NULL;

  g_assert_null (qcow2_image_open_checked (&source->base, findings, &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_QCOW2);
  g_assert_nonnull (strstr (error->message, "(a QED image)"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/header/backing-file/after-header",
                   test_backing_file_after_header);
  g_test_add_func ("/header/backing-file/at-the-end",
                   test_backing_file_at_the_end);
  g_test_add_func ("/header/short-signature", test_short_signature);
  add_reading ();
  add_strings ();
  for (gsize i = 0; i < G_N_ELEMENTS (areas); i++)
    {
      g_autofree char *path
          = g_strdup_printf ("/header/area/%s", areas[i].path);

      g_test_add_data_func (path, &areas[i], test_area);
    }
  add_rows ("/header/findings", rows, G_N_ELEMENTS (rows), test_findings);
  return g_test_run ();
}
