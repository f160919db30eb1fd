/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The header extensions: the walk, their data, findings about them. */

#include "config.h"

#include <string.h>

#include "check/extension-rules.h"
#include "qcow2/extension.h"

#include "test-util.h"

/* A version 3 image without extensions: their area, from 0x70 to 0x10000, is
 * all zeroes. */
#define PLAIN "no-extensions"

/* clang-format off */
/* Patches PLAIN to have a backing file named 'b', the name stored at 0x200. */
#define BACKED "0x8:0000000000000200 0x10:00000001 0x200:62 "

#define BITMAPS(n, size, offset)                                              \
  "23852875" "00000018" n "00000000" size offset
#define CRYPTO(offset, length) "0537be77" "00000010" offset length

static const FindingRow rows[] = {
  { "EXT-01/starts-at-header-length", "header-length-120", NULL,
    "I HDR-09@0x70" },
  { "EXT-01/version-2-starts-at-72", "version-2-extensions", NULL,
    "I EXT-09@0x48" },

  { "EXT-02/1-left", PLAIN,
    "0x8:0000000000000071 0x10:00000001 0x71:62",
    "E EXT-02@0x70; I HDR-32@0x8" },
  { "EXT-02/7-left", PLAIN,
    "0x8:0000000000000077 0x10:00000001 0x77:62",
    "E EXT-02@0x70; I HDR-32@0x8" },
  { "EXT-02/8-left", PLAIN,
    "0x8:0000000000000078 0x10:00000001 0x78:62", "I HDR-32@0x8" },

  { "EXT-03/fits", PLAIN, BACKED "0x70:12345678" "00000188",
    "I EXT-07@0x200; I EXT-09@0x70; I HDR-32@0x8" },
  { "EXT-03/one-byte-too-long", PLAIN, BACKED "0x70:12345678" "00000189",
    "E EXT-03@0x74; I EXT-09@0x70; I HDR-32@0x8" },
  { "EXT-03/cluster-fits", PLAIN, "0x70:12345678" "0000ff88",
    "I EXT-07@0x10000; I EXT-09@0x70" },
  { "EXT-03/cluster-one-byte-too-long", PLAIN, "0x70:12345678" "0000ff89",
    "E EXT-03@0x74; I EXT-09@0x70" },
  { "EXT-03/all-ones", PLAIN, "0x70:12345678" "ffffffff",
    "E EXT-03@0x74; I EXT-09@0x70" },
  { "EXT-03/wraps", PLAIN, "0x70:12345678" "fffffff9",
    "E EXT-03@0x74; I EXT-09@0x70" },
  { "EXT-03/2-31", PLAIN, "0x70:12345678" "7fffffff",
    "E EXT-03@0x74; I EXT-09@0x70" },
  { "EXT-03/second", PLAIN,
    "0x70:12345678" "00000000" "12345679" "00010000",
    "E EXT-03@0x7c; I EXT-09@0x70; I EXT-09@0x78" },

  { "EXT-04/padding-passes-end", PLAIN,
    "0x8:000000000000007b 0x10:00000001 0x7b:62 0x70:12345678" "00000003",
    "I EXT-07@0x7b; I EXT-09@0x70; I HDR-32@0x8" },

  { "EXT-05/padding-content", PLAIN,
    "0x70:12345678" "00000001" "ffffffffffffffff", "I EXT-09@0x70" },

  { "EXT-06/length-0", PLAIN, "0x78:ff*8", "" },
  { "EXT-06/length-1", PLAIN, "0x74:00000001", "W EXT-06@0x74" },
  { "EXT-06/fits", PLAIN, "0x74:0000ff88", "W EXT-06@0x74" },
  { "EXT-06/too-long", PLAIN, "0x74:0000ff89", "E EXT-06@0x74" },
  { "EXT-06/all-ones", PLAIN, "0x74:ffffffff", "E EXT-06@0x74" },

  { "EXT-07/full", "extension-padding-fills-cluster", NULL,
    "I EXT-07@0x200; I EXT-09@0x90" },
  { "EXT-07/file-ends", PLAIN, "size=112",
    "W EXT-07@0x70; E HDR-17@0x28; E HDR-18@0x30" },
  { "EXT-07/file-ends-after", PLAIN, "size=120",
    "E HDR-17@0x28; E HDR-18@0x30" },

  { "EXT-08/unknown", PLAIN,
    "0x70:12345678" "00000000" "12345678" "00000000",
    "W EXT-08@0x78; I EXT-09@0x70; I EXT-09@0x78" },
  { "EXT-08/another", PLAIN,
    "0x70:12345678" "00000000" "12345679" "00000000",
    "I EXT-09@0x70; I EXT-09@0x78" },
  { "EXT-08/thrice", PLAIN,
    "0x70:12345678" "00000000" "12345678" "00000000" "12345678" "00000000",
    "W EXT-08@0x78; W EXT-08@0x80; I EXT-09@0x70; I EXT-09@0x78; "
    "I EXT-09@0x80" },
  { "EXT-08/backing-format", "backing-format-twice", NULL, "W EXT-08@0x58" },
  { "EXT-08/data-file", "data-file",
    "0x78:" "4100000000000000" "44415441" "00000001" "4200000000000000"
    "0000000000000000 0x74:00000001", "W EXT-08@0x80" },
  { "EXT-08/bitmaps", "bitmaps-twice-equal", NULL, "E EXT-08@0x218" },
  { "EXT-08/crypto", "crypto-twice", NULL, "E EXT-08@0x210" },

  { "EXT-10/empty", "backing-file-with-format",
    "0x74:00000000 0x78:1234567800000000", "W EXT-10@0x74; I EXT-09@0x78" },
  { "EXT-10/1", "backing-file-with-format", "0x74:00000001", "" },
  { "EXT-10/15", PLAIN,
    BACKED "0x70:e2792aca" "0000000f" "616161616161616161616161616161", "" },
  { "EXT-10/16", PLAIN,
    BACKED "0x70:e2792aca" "00000010" "61616161616161616161616161616161",
    "W EXT-10@0x74" },
  { "EXT-10/no-backing-file", PLAIN, "0x70:e2792aca" "00000001" "61",
    "W EXT-10@0x70" },
  { "EXT-10/escape", "backing-file-with-format", "0x78:1b6177",
    "W HDR-30@0x78" },

  { "EXT-11/empty", PLAIN, "0x70:6803f857" "00000000", "" },
  { "EXT-11/47", PLAIN, "0x70:6803f857" "0000002f", "W EXT-11@0x74" },
  { "EXT-11/49", PLAIN, "0x70:6803f857" "00000031", "W EXT-11@0x74" },
  { "EXT-11/type-2-bit-63", PLAIN, "0x70:6803f857" "00000030" "023f61", "" },
  { "EXT-11/type-3", PLAIN, "0x70:6803f857" "00000030" "030061",
    "W EXT-11@0x78" },
  { "EXT-11/bit-64", PLAIN, "0x70:6803f857" "00000030" "004061",
    "W EXT-11@0x79" },
  { "EXT-11/bit-255", PLAIN, "0x70:6803f857" "00000030" "00ff61",
    "W EXT-11@0x79" },
  { "EXT-11/second-row", PLAIN,
    "0x70:6803f857" "00000060" "000061 0xa8:030061", "W EXT-11@0xa8" },
  { "EXT-11/duplicate", PLAIN,
    "0x70:6803f857" "00000060" "010561 0xa8:010562", "W EXT-11@0xa9" },
  { "EXT-11/same-bit-of-another-mask", PLAIN,
    "0x70:6803f857" "00000060" "010561 0xa8:020562", "" },
  { "EXT-11/escape", PLAIN, "0x70:6803f857" "00000030" "00051b5b324a",
    "W HDR-30@0x7a" },

  { "EXT-12/23", "two-bitmaps", "0x1fc:00000017", "E EXT-12@0x1fc" },
  /* Zero padding and a terminator follow the data of 25 bytes. */
  { "EXT-12/25", "two-bitmaps", "0x1fc:00000019", "E EXT-12@0x1fc" },
  /* The fields are judged despite the wrong length. */
  { "EXT-12/32", "two-bitmaps", "0x1fc:00000020 0x204:00000001",
    "E EXT-12@0x1fc; E BEXT-03@0x204" },
  { "EXT-12/0", "two-bitmaps", "0x1fc:00000000",
    "E EXT-12@0x1fc; W EXT-06@0x20c; I EXT-09@0x200" },

  { "EXT-13/no-encryption", "luks", "0x20:00000000", "E EXT-13@0x70" },
  { "EXT-13/length-8", "crypto-extension-length-8", NULL,
    "E EXT-13@0x74; E EXT-06@0x84" },
  { "EXT-13/length-24", "luks",
    "0x74:00000018 0x88:0000000000000000 0x90:00*400", "E EXT-13@0x74" },
  /* The file ends between the two fields. */
  { "EXT-13/cut", "luks", "size=0x80",
    "E EXT-15@0x78; E HDR-16@0x20; E HDR-17@0x28; E HDR-18@0x30" },
  { "EXT-13/offset-0", "luks", "0x78:0000000000000000", "E EXT-13@0x78" },
  { "EXT-13/offset-unaligned", "luks", "0x78:0000000000040200 size=0x300000",
    "E EXT-13@0x78" },
  { "EXT-13/length-592", "luks", "0x80:0000000000000250", "" },
  { "EXT-13/length-591", "luks", "0x80:000000000000024f", "E EXT-13@0x80" },
  { "EXT-13/at-file-end", "luks", "0x80:00000000001f8000 size=0x238000", "" },
  { "EXT-13/after-file", "luks", "0x80:00000000001f8001 size=0x238000",
    "E EXT-13@0x80" },
  { "EXT-13/wraps", "luks", "0x78:ffffffffffff0000 0x80:0000000000020000",
    "E EXT-13@0x80" },
  { "EXT-13/length-all-ones", "luks", "0x80:ffffffffffffffff",
    "E EXT-13@0x80" },

  { "EXT-14/bit-clear", "data-file", "0x48:0000000000000000",
    "W EXT-14@0x70" },
  { "EXT-14/other-bit", "data-file", "0x48:0000000000000001",
    "W EXT-14@0x70; W HDR-21@0x48" },
  { "EXT-14/empty", "data-file-name-empty", NULL,
    "W EXT-14@0x74; I EXT-09@0x78" },
  { "EXT-14/newline", "data-file", "0x79:0a", "W HDR-30@0x78" },

  /* The file ends in the head of the first extension, then in its data. */
  { "EXT-15/1", "data-file", "size=113",
    "E EXT-15@0x70; E HDR-17@0x28; E HDR-18@0x30; I HDR-22@0x48" },
  { "EXT-15/7", "data-file", "size=119",
    "E EXT-15@0x70; E HDR-17@0x28; E HDR-18@0x30; I HDR-22@0x48" },
  { "EXT-15/head", "data-file", "size=120",
    "E EXT-15@0x78; E HDR-17@0x28; E HDR-18@0x30" },
  { "EXT-15/data", "data-file", "size=126",
    "E EXT-15@0x78; E HDR-17@0x28; E HDR-18@0x30" },
  { "EXT-15/padding", "data-file", "size=127",
    "W EXT-07@0x7f; E HDR-17@0x28; E HDR-18@0x30" },
  { "EXT-15/whole", "data-file", "size=128",
    "W EXT-07@0x80; E HDR-17@0x28; E HDR-18@0x30" },

  { "BEXT-01/0", "two-bitmaps", "0x200:00000000", "E BEXT-01@0x200" },
  { "BEXT-02/65535", "two-bitmaps",
    "0x200:0000ffff 0x208:0000000000180000 size=0x500000", "" },
  { "BEXT-02/65536", "two-bitmaps",
    "0x200:00010000 0x208:0000000000180000 size=0x500000",
    "E BEXT-02@0x200" },
  { "BEXT-03/1", "two-bitmaps", "0x204:00000001", "E BEXT-03@0x204" },
  { "BEXT-03/2-31", "two-bitmaps", "0x204:80000000", "E BEXT-03@0x204" },
  { "BEXT-04/0", "two-bitmaps", "0x208:0000000000000000", "E BEXT-04@0x208" },
  { "BEXT-04/not-8", "two-bitmaps", "0x208:0000000000000039",
    "E BEXT-04@0x208" },
  { "BEXT-04/heads", "two-bitmaps", "0x208:0000000000000030", "" },
  { "BEXT-04/less-than-heads", "two-bitmaps", "0x208:0000000000000028",
    "E BEXT-04@0x208" },
  { "BEXT-04/8-heads", "two-bitmaps",
    "0x200:00000008 0x208:00000000000000c0 size=0x2d0000", "" },
  { "BEXT-04/less-than-8-heads", "two-bitmaps",
    "0x200:00000008 0x208:00000000000000b8 size=0x2d0000",
    "E BEXT-04@0x208" },
  { "BEXT-04/max", "two-bitmaps", "0x208:0000000003fffc00 size=0x10000000",
    "" },
  { "BEXT-04/over-max", "two-bitmaps",
    "0x208:0000000003fffc08 size=0x10000000", "E BEXT-04@0x208" },
  { "BEXT-05/0", "two-bitmaps", "0x210:0000000000000000", "E BEXT-05@0x210" },
  { "BEXT-05/unaligned", "two-bitmaps", "0x210:00000000002b0200",
    "E BEXT-05@0x210" },
  { "BEXT-06/ends-with-file", "two-bitmaps", "size=0x2c0040", "" },
  { "BEXT-06/padding", "two-bitmaps", "size=0x2c003f", "W BEXT-06@0x210" },
  { "BEXT-06/7-bytes", "two-bitmaps", "size=0x2c0039", "W BEXT-06@0x210" },
  { "BEXT-06/8-bytes", "two-bitmaps", "size=0x2c0038", "E BEXT-06@0x210" },
  { "BEXT-06/at-file-end", "two-bitmaps", "size=0x2c0000", "E BEXT-06@0x210" },
  { "BEXT-06/after-file", "two-bitmaps", "0x210:00000007f0000000",
    "E BEXT-06@0x210" },
  { "BEXT-06/empty-at-file-end", "two-bitmaps",
    "0x208:000000000000000000000000002d0000 size=0x2d0000",
    "E BEXT-04@0x208" },
  { "BEXT-06/empty-after-file", "two-bitmaps",
    "0x208:000000000000000000000007f0000000",
    "E BEXT-04@0x208; E BEXT-06@0x210" },
  { "BEXT-06/wraps", "two-bitmaps", "0x210:ffffffffffff0000",
    "E BEXT-06@0x210" },
};
/* clang-format on */

static void
test_findings (gconstpointer data)
{
  const FindingRow *row = data;
  g_autoptr (Qcow2Findings) findings = find_findings (row->base, row->patch);

  assert_findings (findings, row->findings);
}

/* An image of the builder and a walk over its extensions. */
typedef struct
{
  Qcow2Image *image;
  Qcow2ExtensionWalk *walk;
} Walk;

static void
walk_begin (Walk *walk, const char *name, const char *patch)
{
  walk->image = open_image (name, patch);
  walk->walk
      = qcow2_extension_walk_new (walk->image->source, &walk->image->header);
}

static void
walk_clear (Walk *walk)
{
  qcow2_extension_walk_free (walk->walk);
  qcow2_image_free (walk->image);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Walk, walk_clear)

static void
assert_next (Walk *walk, Qcow2Extension *extension, guint32 magic,
             guint64 file_offset, guint32 length)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (qcow2_extension_walk_next (walk->walk, extension, &error),
                   ==, QCOW2_NEXT_ITEM);
  g_assert_no_error (error);
  g_assert_cmphex (extension->magic, ==, magic);
  g_assert_cmphex (extension->file_offset, ==, file_offset);
  g_assert_cmpuint (extension->length, ==, length);
}

static void
assert_end (Walk *walk)
{
  g_auto (Qcow2Extension) extension = { 0 };
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (qcow2_extension_walk_next (walk->walk, &extension, &error),
                   ==, QCOW2_NEXT_END);
  g_assert_no_error (error);
  g_assert_cmpint (qcow2_extension_walk_next (walk->walk, &extension, &error),
                   ==, QCOW2_NEXT_END);
  g_assert_no_error (error);
}

/* The extensions after the feature table and the bitmaps extension have 31, 2,
 * 0 and 16 bytes of data. */
static void
test_walk (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };
  gconstpointer structure;

  walk_begin (&walk, "unknown-extensions", NULL);
  assert_next (&walk, &e, 0x6803f857, 0x70, 384);
  g_assert_cmpuint (e.index, ==, 0);
  g_assert_null (qcow2_extension_get_data_fields (&e, &structure));
  assert_next (&walk, &e, 0x23852875, 0x1f8, 24);
  g_assert_true (qcow2_extension_get_data_fields (&e, &structure)
                 == qcow2_bitmaps_extension_record.fields);
  assert_next (&walk, &e, 0x12345678, 0x218, 31);
  g_assert_true (qcow2_extension_get_data_fields (&e, &structure)
                 == qcow2_data_extension_fields);
  assert_string (e.data, "This is a test header extension");
  assert_next (&walk, &e, 0x0badcafe, 0x240, 2);
  assert_string (e.data_hex, "0102");
  assert_next (&walk, &e, 0xffffffff, 0x250, 0);
  assert_next (&walk, &e, 0x00000001, 0x258, 16);
  assert_string (e.data_hex, "00000000000000000000000000000000");
  g_assert_cmpuint (e.index, ==, 5);
  assert_end (&walk);
}

static void
test_walk_none (void)
{
  g_auto (Walk) walk = { 0 };

  walk_begin (&walk, PLAIN, NULL);
  assert_end (&walk);
}

static void
test_walk_version_2 (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };

  walk_begin (&walk, "version-2-extensions", NULL);
  assert_next (&walk, &e, 0x87654321, 72, 8);
  assert_string (e.data, "8 bytes!");
  assert_end (&walk);
}

static void
test_walk_strings (void)
{
  g_auto (Walk) backed = { 0 };
  g_auto (Walk) external = { 0 };
  g_auto (Qcow2Extension) e = { 0 };

  walk_begin (&backed, "backing-file-with-format", NULL);
  assert_next (&backed, &e, 0xe2792aca, 0x70, 3);
  assert_string (e.data, "raw");
  g_assert_null (e.data_hex);

  walk_begin (&external, "data-file", NULL);
  assert_next (&external, &e, 0x44415441, 0x70, 7);
  assert_string (e.data, "DF.data");
}

static void
test_walk_after_terminator (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };

  walk_begin (&walk, "extension-after-terminator", NULL);
  assert_next (&walk, &e, 0x6803f857, 0x70, 384);
  assert_next (&walk, &e, 0x23852875, 0x1f8, 24);
  assert_end (&walk);
}

/* An extension with a wrong length is returned without data.  The
 * extensions before it are complete. */
static void
test_walk_too_long (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };

  walk_begin (&walk, PLAIN,
              "0x70:1234567800000000"
              "12345679ffffffff");
  assert_next (&walk, &e, 0x12345678, 0x70, 0);
  g_assert_nonnull (e.bytes);
  assert_next (&walk, &e, 0x12345679, 0x78, G_MAXUINT32);
  g_assert_null (e.bytes);
  g_assert_null (e.data);
  g_assert_null (e.data_hex);
  assert_end (&walk);
}

static void
test_walk_cut (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };

  walk_begin (&walk, "data-file", "size=123");
  assert_next (&walk, &e, 0x44415441, 0x70, 7);
  assert_string (e.data, "DF.");
  assert_end (&walk);
}

/* A truncated bitmaps extension does not provide a directory offset. */
static void
test_cut_bitmaps (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };

  walk_begin (&walk, "two-bitmaps", "size=535");
  g_assert_cmphex (walk.image->bitmaps.bitmap_directory_offset, ==, 0);
  assert_next (&walk, &e, 0x6803f857, 0x70, 384);
  assert_next (&walk, &e, 0x23852875, 0x1f8, 24);
  g_assert_cmpuint (g_bytes_get_size (e.bytes), ==, 23);
  g_assert_cmpuint (e.n_decoded, ==, 3);
  assert_end (&walk);
}

static void
test_bitmaps_data (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };
  gconstpointer structure = NULL;

  walk_begin (&walk, PLAIN,
              "0x70:23852875"
              "00000018"
              "01020304"
              "05060708"
              "1112131415161718"
              "2122232425262728");
  assert_next (&walk, &e, 0x23852875, 0x70, 24);
  g_assert_cmpuint (e.n_decoded, ==, 4);
  g_assert_cmphex (e.bitmaps.nb_bitmaps, ==, 0x01020304);
  g_assert_cmphex (e.bitmaps.reserved32, ==, 0x05060708);
  g_assert_cmphex (e.bitmaps.bitmap_directory_size, ==,
                   G_GUINT64_CONSTANT (0x1112131415161718));
  g_assert_cmphex (e.bitmaps.bitmap_directory_offset, ==,
                   G_GUINT64_CONSTANT (0x2122232425262728));
  g_assert_true (qcow2_extension_get_data_fields (&e, &structure)
                 == qcow2_bitmaps_extension_record.fields);
  g_assert_true (structure == &e.bitmaps);
}

static void
test_crypto_data (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };
  gconstpointer structure = NULL;

  walk_begin (&walk, "luks", NULL);
  assert_next (&walk, &e, 0x0537be77, 0x70, 16);
  g_assert_cmpuint (e.n_decoded, ==, 2);
  g_assert_cmphex (e.crypto.crypto_header_offset, ==, 0x40000);
  /* 8 + 8 * 504 sectors of 512 bytes */
  g_assert_cmphex (e.crypto.crypto_header_length, ==, 0x1f9000);
  g_assert_true (qcow2_extension_get_data_fields (&e, &structure)
                 == qcow2_crypto_extension_record.fields);
  g_assert_true (structure == &e.crypto);
}

static void
test_short_data (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };

  walk_begin (&walk, "two-bitmaps", "0x1fc:00000010");
  assert_next (&walk, &e, 0x6803f857, 0x70, 384);
  assert_next (&walk, &e, 0x23852875, 0x1f8, 16);
  g_assert_cmpuint (e.n_decoded, ==, 3);
  g_assert_cmphex (e.bitmaps.bitmap_directory_size, ==, 0x40);
  g_assert_cmphex (e.bitmaps.bitmap_directory_offset, ==, 0);
}

static void
test_no_data_fields (void)
{
  const Qcow2Extension data = { .magic = QCOW2_EXTENSION_DATA_FILE };
  const Qcow2Extension features = { .magic = QCOW2_EXTENSION_FEATURES };
  gconstpointer structure;

  g_assert_true (qcow2_extension_get_data_fields (&data, &structure)
                 == qcow2_data_extension_fields);
  g_assert_true (structure == &data);
  g_assert_null (qcow2_extension_get_data_fields (&features, &structure));
  g_assert_cmpuint (qcow2_extension_get_n_features (&data), ==, 0);
  g_assert_cmpuint (qcow2_extension_get_n_features (&features), ==, 0);
}

static void
assert_feature (const Qcow2Extension *e, guint row, guint type, guint bit,
                const char *name)
{
  g_auto (Qcow2Feature) feature = { 0 };

  qcow2_extension_get_feature (e, row, &feature);
  g_assert_cmpuint (feature.type, ==, type);
  g_assert_cmpuint (feature.bit, ==, bit);
  assert_string (feature.name, name);
}

static void
test_features (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };

  walk_begin (&walk, "two-bitmaps", NULL);
  assert_next (&walk, &e, 0x6803f857, 0x70, 384);
  g_assert_cmpuint (qcow2_extension_get_n_features (&e), ==, 8);
  assert_feature (&e, 0, 0, 0, "dirty bit");
  assert_feature (&e, 3, 0, 3, "compression type");
  assert_feature (&e, 5, 1, 0, "lazy refcounts");
  assert_feature (&e, 7, 2, 1, "raw external data");
}

/* A truncated row is not a feature.  A name of the full 46 bytes has no NUL.
 */
static void
test_features_partial_row (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };
  g_autofree char *full = g_strnfill (46, 'n');

  walk_begin (&walk, PLAIN,
              "0x70:6803f857"
              "0000005f"
              "ffff 0x7a:6e*93");
  assert_next (&walk, &e, 0x6803f857, 0x70, 95);
  g_assert_cmpuint (qcow2_extension_get_n_features (&e), ==, 1);
  assert_feature (&e, 0, 255, 255, full);
}

/* Data is shown as text only if none of its bytes need escaping. */
static void
test_data_or_hex (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };

  walk_begin (&walk, PLAIN,
              "0x70:00000001"
              "00000003"
              "c3a45c0000000000"
              "00000002"
              "00000002"
              "410a000000000000"
              "00000003"
              "00000002"
              "c328000000000000"
              "00000004"
              "00000000");
  assert_next (&walk, &e, 1, 0x70, 3);
  assert_string (e.data, "\xc3\xa4\\");
  g_assert_null (e.data_hex);
  assert_next (&walk, &e, 2, 0x80, 2);
  g_assert_null (e.data);
  assert_string (e.data_hex, "410a");
  assert_next (&walk, &e, 3, 0x90, 2);
  assert_string (e.data_hex, "c328");
  assert_next (&walk, &e, 4, 0xa0, 0);
  assert_string (e.data, "");
}

/* Data longer than a window, as long as the largest first cluster allows. */
static void
test_long_data (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };

  walk_begin (&walk, "cluster-2m",
              "0x70:12345678"
              "001fff88"
              " 0x1fffff:7a 0x58:0000000000000000");
  assert_next (&walk, &e, 0x12345678, 0x70, 0x1fff88);
  g_assert_cmpuint (g_bytes_get_size (e.bytes), ==, 0x1fff88);
  g_assert_cmpuint (
      ((const char *) g_bytes_get_data (e.bytes, NULL))[0x1fff87], ==, 'z');
  assert_end (&walk);
}

/* The largest first cluster has 2 MiB, so that only so much of 1 GiB of data
 * is kept. */
static void
test_huge_data (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };

  walk_begin (&walk, PLAIN,
              "0x14:0000001e 0x70:12345678"
              "3fffff00 size=0x100000000");
  assert_next (&walk, &e, 0x12345678, 0x70, 0x3fffff00);
  g_assert_cmpuint (g_bytes_get_size (e.bytes), ==, 2 * 1024 * 1024);
}

/* As many extensions as fit into the largest cluster are each read once, in
 * few reads. */
static void
test_many (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };
  guint64 n = 0;

  walk_begin (&walk, "many-extensions", NULL);
  const FakeSource *source = (FakeSource *) walk.image->source;
  const guint n_reads = source->n_reads;
  const guint64 n_bytes = source->n_bytes;

  while (qcow2_extension_walk_next (walk.walk, &e, NULL) == QCOW2_NEXT_ITEM)
    {
      g_assert_cmpuint (e.index, ==, n);
      g_assert_cmphex (e.file_offset, ==, 0x70 + 8 * n);
      n++;
    }

  g_assert_cmpuint (n, ==, 262130);
  /* A sector, and 2 MiB in windows of more than 64 KiB. */
  g_assert_cmpuint (source->n_reads - n_reads, <=, 33);
  g_assert_cmpuint (source->n_bytes - n_bytes, <=, 2 * 1024 * 1024);
}

/* Extensions with data are read in few reads, too. */
static void
test_many_with_data (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };

  walk_begin (&walk, "two-bitmaps",
              "0x70:1234567800000008aaaaaaaaaaaaaaaa*4000");
  const FakeSource *source = (FakeSource *) walk.image->source;
  const guint n_reads = source->n_reads;

  for (guint i = 0; i < 4000; i++)
    {
      g_assert_cmpint (qcow2_extension_walk_next (walk.walk, &e, NULL), ==,
                       QCOW2_NEXT_ITEM);
      assert_bytes (e.bytes, "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa", 8);
    }
  g_assert_cmpuint (source->n_reads - n_reads, ==, 2);
}

/* Every extension repeats the first one, but the number of findings is
 * bounded. */
static void
test_many_checked (void)
{
  g_autoptr (Qcow2Findings) findings = find_findings ("many-extensions", NULL);

  g_assert_cmpuint (qcow2_findings_get_n_suppressed (findings, "EXT-08",
                                                     QCOW2_SEVERITY_WARNING,
                                                     QCOW2_PART_ALL),
                    ==, 262130 - 1 - 100);
}

/* The value of the finding is whichever of the feature's type and bit is
 * wrong. */
static void
test_feature_value (void)
{
  static const struct
  {
    const char *patch; /* patch of the table's first row */
    guint64 value;
  } values[]
      = { { "0x78:0300", 3 }, { "0x78:0040", 64 }, { "0x78:ff40", 255 } };

  for (guint i = 0; i < G_N_ELEMENTS (values); i++)
    {
      g_autoptr (Qcow2Findings) findings
          = find_findings ("two-bitmaps", values[i].patch);

      const Qcow2Finding *finding = qcow2_findings_get (findings, 0);
      g_assert_cmpstr (finding->rule, ==, "EXT-11");
      g_assert_cmpuint (finding->value, ==, values[i].value);
    }
}

/* Of 70 different types of extensions, only the first 64 are remembered. */
static void
test_history (void)
{
  Qcow2ExtensionHistory history = { .n = 0 };
  const Qcow2Header header = { .version = 3, .cluster_size = 65536 };
  g_autoptr (Qcow2Image) image = open_image ("two-bitmaps", NULL);
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();

  for (guint i = 0; i < 140; i++)
    {
      const Qcow2Extension e
          = { .magic = 1 + i % 70, .index = i, .file_offset = i };

      qcow2_extension_check (&e, &header, image->source,
                             qcow2_extension_is_repeated (&e, &history),
                             findings, NULL);
    }

  /* All other findings are notes: every one of these types is unknown. */
  guint n_repeated = 0;
  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (findings, i);

      if (g_str_equal (finding->rule, "EXT-08"))
        g_assert_cmpuint (finding->offset, ==, 70 + n_repeated++);
      else
        g_assert_cmpstr (finding->rule, ==, "EXT-09");
    }
  g_assert_cmpuint (n_repeated, ==, 64);
}

/* Known types of extensions are remembered however many unknown types come
 * first. */
static void
test_history_is_full (void)
{
  static const guint32 magics[]
      = { QCOW2_EXTENSION_BITMAPS, QCOW2_EXTENSION_CRYPTO,
          QCOW2_EXTENSION_BACKING_FORMAT, QCOW2_EXTENSION_FEATURES,
          QCOW2_EXTENSION_DATA_FILE };
  Qcow2ExtensionHistory history = { .n = 0 };

  for (guint32 i = 1; i <= 64; i++)
    {
      const Qcow2Extension e = { .magic = i };

      g_assert_false (qcow2_extension_is_repeated (&e, &history));
    }
  for (guint i = 0; i < 2 * G_N_ELEMENTS (magics); i++)
    {
      const Qcow2Extension e = { .magic = magics[i % G_N_ELEMENTS (magics)] };

      g_assert_cmpint (qcow2_extension_is_repeated (&e, &history), ==,
                       i >= G_N_ELEMENTS (magics));
    }
}

/* Every type that src/qcow2 knows has checks, too.  Otherwise the extension
 * would be of an unknown type (EXT-09). */
static void
test_types_are_checked (void)
{
  const Qcow2Header header = { .version = 3, .cluster_size = 65536 };
  g_autoptr (Qcow2Image) image = open_image ("two-bitmaps", NULL);

  for (const Qcow2ExtensionType *it = qcow2_extension_types; it->name != NULL;
       it++)
    {
      const Qcow2Extension e = { .magic = it->magic };
      g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();

      g_test_message ("%s", it->name);
      g_assert_true (qcow2_extension_check (&e, &header, image->source, FALSE,
                                            findings, NULL));
      g_assert_cmpuint (qcow2_findings_get_use (findings, QCOW2_EXT_09)->n, ==,
                        0);
    }
}

/* Types are found by their magic, and --magic and --field find them and their
 * keys by name.  A history has a bit for each. */
static void
test_types_differ (void)
{
  g_autoptr (GHashTable) keys = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GHashTable) names = g_hash_table_new (g_str_hash, g_str_equal);
  guint n = 0;

  for (const Qcow2ExtensionType *it = qcow2_extension_types; it->name != NULL;
       it++, n++)
    {
      g_assert_true (qcow2_extension_find_type (it->magic) == it);
      g_assert_true (g_hash_table_add (names, (gpointer) it->name));
      if (it->record == NULL)
        continue;
      for (const Qcow2Field *field = it->record->fields; field->name != NULL;
           field++)
        g_assert_true (g_hash_table_add (keys, (gpointer) field->name));
    }

  g_assert_null (qcow2_extension_find_type (QCOW2_EXTENSION_END));
  g_assert_cmpuint (n, <=, 64);
}

/* The data are decoded into the member that the row names. */
static void
test_types_are_decoded (void)
{
  for (const Qcow2ExtensionType *it = qcow2_extension_types; it->name != NULL;
       it++)
    {
      if (it->record == NULL)
        continue;

      const guint size = qcow2_record_get_size (it->record);
      g_autofree guint8 *bytes = g_malloc (size);
      memset (bytes, 0x5a, size);
      g_autoptr (GBytes) data = g_bytes_new (bytes, size);
      Qcow2Extension e = { .magic = it->magic, .bytes = data };
      gconstpointer structure = NULL;
      qcow2_extension_decode_data (&e);

      const Qcow2Field *fields
          = qcow2_extension_get_data_fields (&e, &structure);
      guint n_stored = 0;
      for (; fields[n_stored].name != NULL; n_stored++)
        g_assert_true (fields[n_stored].stored);
      g_assert_true (fields == it->record->fields);
      g_assert_true ((const guint8 *) structure
                     == (const guint8 *) &e + it->member);
      g_assert_cmpuint (e.n_decoded, ==, n_stored);
      g_assert_cmphex (qcow2_field_load (fields, structure) & 0xff, ==, 0x5a);
    }
}

static void
test_parts (void)
{
  const Qcow2Header header = { .version = 3, .cluster_size = 65536 };
  const Qcow2Extension e
      = { .magic = QCOW2_EXTENSION_CRYPTO, .index = 7, .length = 16 };
  g_autoptr (Qcow2Image) image = open_image ("two-bitmaps", NULL);
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();

  qcow2_extension_check (&e, &header, image->source, FALSE, findings, NULL);

  const Qcow2Subject *subject = &qcow2_findings_get (findings, 0)->subject;
  g_assert_cmpuint (subject->parts, ==, QCOW2_PART_EXTENSIONS);
  g_assert_cmpuint (subject->extension, ==, 7);
  g_assert_cmpuint (subject->bitmap, ==, QCOW2_NO_INDEX);
  g_assert_cmpstr (subject->structure, ==, "header extension");
}

/* Damage before the bitmaps extension may hide it; damage after it does not.
 */
static void
assert_bitmaps_bear (const char *patch, gboolean expected)
{
  g_autoptr (Qcow2Findings) findings = find_findings ("two-bitmaps", patch);

  g_assert_cmpint (qcow2_directory_is_hidden (findings), ==, expected);
}

static void
test_end_bears_on_bitmaps (void)
{
  assert_bitmaps_bear ("0x74:ffffffff", TRUE);
  /* This holds even when the feature bit of the bitmaps is not set. */
  assert_bitmaps_bear ("0x74:ffffffff 0x58:0000000000000000", TRUE);
  assert_bitmaps_bear ("0x218:12345678ffffffff", FALSE);
  assert_bitmaps_bear ("0x218:00000000ffffffff", FALSE);
}

static void
test_read_error_head (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };
  g_autoptr (GError) error = NULL;

  walk_begin (&walk, "two-bitmaps", NULL);
  ((FakeSource *) walk.image->source)->bad_start = 0x70;
  ((FakeSource *) walk.image->source)->bad_end = 0x71;
  g_assert_cmpint (qcow2_extension_walk_next (walk.walk, &e, &error), ==,
                   QCOW2_NEXT_FAILED);
  assert_fatal (error, QCOW2_ERROR_READ, "0x70", "FILE-04");
}

static void
test_read_error_data (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };
  g_autoptr (GError) error = NULL;

  walk_begin (&walk, "two-bitmaps", NULL);
  ((FakeSource *) walk.image->source)->bad_start = 0x1f7;
  ((FakeSource *) walk.image->source)->bad_end = 0x1f8;
  g_assert_cmpint (qcow2_extension_walk_next (walk.walk, &e, &error), ==,
                   QCOW2_NEXT_FAILED);
  assert_fatal (error, QCOW2_ERROR_READ, "0x78", "FILE-04");
}

static void
test_read_error_long_data (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };
  g_autoptr (GError) error = NULL;

  walk_begin (&walk, "cluster-2m",
              "0x70:12345678"
              "001fff88"
              " 0x58:0000000000000000");
  ((FakeSource *) walk.image->source)->bad_start = 0x1ffff0;
  ((FakeSource *) walk.image->source)->bad_end = 0x200000;
  g_assert_cmpint (qcow2_extension_walk_next (walk.walk, &e, &error), ==,
                   QCOW2_NEXT_FAILED);
  assert_fatal (error, QCOW2_ERROR_READ, "0x78", "FILE-04");
}

/* A feature type without a name still has a value. */
static void
test_unknown_feature_type (void)
{
  const Qcow2Feature feature = { .type = 9 };
  const Qcow2Field *type
      = qcow2_record_find (qcow2_feature_record.fields, "type");

  g_assert_true (qcow2_field_has_value (type, &feature));
}

/* The names match the specification's numbers of the feature types. */
static void
test_feature_types (void)
{
  static const char *const names[]
      = { "incompatible", "compatible", "autoclear", NULL };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    g_assert_cmpstr (qcow2_label_find (qcow2_feature_types, i), ==, names[i]);
}

/* Other data has no feature table rows, however long it is. */
static void
test_no_features (void)
{
  g_auto (Walk) walk = { 0 };
  g_auto (Qcow2Extension) e = { 0 };

  walk_begin (&walk, PLAIN, "0x70:1234567800000060");
  assert_next (&walk, &e, 0x12345678, 0x70, 96);
  g_assert_cmpuint (qcow2_extension_get_n_features (&e), ==, 0);
}

static void
test_free_null (void)
{
  qcow2_extension_walk_free (NULL);
}

static void
add_walks (void)
{
  g_test_add_func ("/extension/walk/all", test_walk);
  g_test_add_func ("/extension/walk/none", test_walk_none);
  g_test_add_func ("/extension/walk/version-2", test_walk_version_2);
  g_test_add_func ("/extension/walk/strings", test_walk_strings);
  g_test_add_func ("/extension/walk/after-terminator",
                   test_walk_after_terminator);
  g_test_add_func ("/extension/walk/too-long", test_walk_too_long);
  g_test_add_func ("/extension/walk/cut", test_walk_cut);
  g_test_add_func ("/extension/walk/many", test_many);
  g_test_add_func ("/extension/walk/many-with-data", test_many_with_data);
  g_test_add_func ("/extension/walk/free-null", test_free_null);
  g_test_add_func ("/extension/read-error/head", test_read_error_head);
  g_test_add_func ("/extension/read-error/data", test_read_error_data);
  g_test_add_func ("/extension/read-error/long-data",
                   test_read_error_long_data);
}

static void
add_data (void)
{
  g_test_add_func ("/extension/data/bitmaps", test_bitmaps_data);
  g_test_add_func ("/extension/data/bitmaps-cut", test_cut_bitmaps);
  g_test_add_func ("/extension/data/crypto", test_crypto_data);
  g_test_add_func ("/extension/data/short", test_short_data);
  g_test_add_func ("/extension/data/no-fields", test_no_data_fields);
  g_test_add_func ("/extension/data/features", test_features);
  g_test_add_func ("/extension/data/no-features", test_no_features);
  g_test_add_func ("/extension/data/feature-types", test_feature_types);
  g_test_add_func ("/extension/data/unknown-feature-type",
                   test_unknown_feature_type);
  g_test_add_func ("/extension/data/features-partial-row",
                   test_features_partial_row);
  g_test_add_func ("/extension/data/data-or-hex", test_data_or_hex);
  g_test_add_func ("/extension/data/long", test_long_data);
  g_test_add_func ("/extension/data/huge", test_huge_data);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_walks ();
  add_data ();
  g_test_add_func ("/extension/judge/many", test_many_checked);
  g_test_add_func ("/extension/judge/feature-value", test_feature_value);
  g_test_add_func ("/extension/judge/history", test_history);
  g_test_add_func ("/extension/judge/history-is-full", test_history_is_full);
  g_test_add_func ("/extension/judge/parts", test_parts);
  g_test_add_func ("/extension/judge/end-bears-on-bitmaps",
                   test_end_bears_on_bitmaps);
  g_test_add_func ("/extension/types/are-checked", test_types_are_checked);
  g_test_add_func ("/extension/types/differ", test_types_differ);
  g_test_add_func ("/extension/types/are-decoded", test_types_are_decoded);
  add_rows ("/extension/findings", rows, G_N_ELEMENTS (rows), test_findings);
  return g_test_run ();
}
