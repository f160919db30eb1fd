/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The check as a whole: unused bits after the last bit, bytes after the last
 * extension, whose findings are reported, and how the check continues after
 * failed reads. */

#include "config.h"

#include "check/check.h"

#include "check-util.h"

/* clang-format off */
static const FindingRow findings[] = {
  { "sound/two-bitmaps", "two-bitmaps", NULL, "" },
  { "sound/four-entries", "four-entries", NULL, "" },
  { "sound/backing", "backing-file", NULL, "" },
  { "sound/snapshots", "two-snapshots", NULL, "" },
  { "sound/luks", "luks-pointer", NULL, "" },
  { "sound/2-mib", "cluster-2m", NULL, "" },
  { "sound/no-bitmaps", "no-bitmaps", NULL, "" },
  { "sound/version-2", "version-2", NULL, "" },
  { "sound/many", "many-bitmaps", NULL, "" },

  /* Bytes after the terminator: in two-bitmaps it is at 0x218, and the area
   * ends at 0x10000. */
  { "rest/first", "two-bitmaps", "0x220:01", "I HDR-14@0x220" },
  { "rest/last", "two-bitmaps", "0xffff:80", "I HDR-14@0xffff" },
  { "rest/after", "two-bitmaps", "0x10000:0000000000020000", "" },
  { "rest/only-the-first", "two-bitmaps", "0x400:01 0x500:02",
    "I HDR-14@0x400" },
  { "rest/terminator-length", "two-bitmaps", "0x21c:00000008 0x300:01",
    "W EXT-06@0x21c" },
  { "rest/backing-name", "backing-file", "", "" },
  { "rest/of-file", "two-bitmaps", "size=0x221 0x220:01",
    "E FILE-09@0x221; E HDR-17@0x28; E HDR-18@0x30; E BEXT-06@0x210;"
    " I HDR-14@0x220" },
  { "rest/file-ends", "two-bitmaps", "size=0x220",
    "E FILE-09@0x220; E HDR-17@0x28; E HDR-18@0x30; E BEXT-06@0x210" },
  { "rest/512", "four-entries", "0x1ff:ff", "I HDR-14@0x1ff" },
  /* With clusters of 4 MiB, which the specification allows, the area ends
   * after the refcount table, whose first entry is 0x20000. */
  { "rest/wrong-clusters", "cluster-bits-22-of-16", NULL,
    "W HDR-04@0x14; E HDR-17@0x28; E HDR-18@0x30; E BEXT-05@0x210;"
    " E BDIR-05@0x2c0000; E BTAB-03@0x2a0000; E BDIR-05@0x2c0020;"
    " I HDR-14@0x10005" },
  { "rest/wrong-header", "two-bitmaps", "0x220:01 0x48:8000000000000000",
    "E HDR-20@0x48; I HDR-14@0x220" },

  /* The last bits.  bm0 of two-bitmaps has a bit for each 64 KiB of the disk,
   * in a cluster at 0x290000. */
  { "tail/1-bit", "two-bitmaps",
    "0x18:0000000000010000 0x2c0011:10 0x2c0031:10"
    " 0x290000:01 0x290001:00*16", "" },
  { "tail/1-bit/second", "two-bitmaps", "0x18:0000000000010000 0x2c0031:10"
    " 0x290000:03 0x290001:00*16", "W BDATA-03@0x290000" },
  { "tail/1-bit/last", "two-bitmaps", "0x18:0000000000010000 0x2c0031:10"
    " 0x290000:81 0x290001:00*16", "W BDATA-03@0x290000" },
  { "tail/2-bits", "two-bitmaps", "0x18:0000000000020000 0x290000:03"
    " 0x290001:00*16", "" },
  { "tail/2-bits/next", "two-bitmaps", "0x18:0000000000020000 0x290000:04"
    " 0x290001:00*16", "W BDATA-03@0x290000" },
  { "tail/3-bits", "two-bitmaps", "0x18:0000000000030000 0x290000:07"
    " 0x290001:00*16", "" },
  { "tail/3-bits/next", "two-bitmaps", "0x18:0000000000030000 0x290000:0f"
    " 0x290001:00*16", "W BDATA-03@0x290000" },
  { "tail/4-bits", "two-bitmaps", "0x18:0000000000040000 0x290000:0f"
    " 0x290001:00*16", "" },
  { "tail/4-bits/next", "two-bitmaps", "0x18:0000000000040000 0x290000:1f"
    " 0x290001:00*16", "W BDATA-03@0x290000" },
  { "tail/5-bits", "two-bitmaps", "0x18:0000000000050000 0x290000:1f"
    " 0x290001:00*16", "" },
  { "tail/5-bits/next", "two-bitmaps", "0x18:0000000000050000 0x290000:20"
    " 0x290001:00*16", "W BDATA-03@0x290000" },
  /* In the bytes after the last used byte, every bit counts. */
  { "tail/5-bits/byte-after", "two-bitmaps",
    "0x18:0000000000050000 0x290000:1f01"
    " 0x290002:00*15", "W BDATA-03@0x290001" },
  /* The mask of the last used byte does not apply to later reads. */
  { "tail/5-bits/far-after", "cluster-2m",
    "0x18:0000000000050000 0x800000:00*4096 0x820000:01",
    "W BDATA-03@0x820000" },
  { "tail/6-bits", "two-bitmaps", "0x18:0000000000060000 0x290000:3f"
    " 0x290001:00*16", "" },
  { "tail/6-bits/next", "two-bitmaps", "0x18:0000000000060000 0x290000:7f"
    " 0x290001:00*16", "W BDATA-03@0x290000" },
  { "tail/7-bits", "two-bitmaps", "0x18:0000000000070000 0x290000:7f"
    " 0x290001:00*16", "" },
  { "tail/7-bits/next", "two-bitmaps", "0x18:0000000000070000 0x290000:80"
    " 0x290001:00*16", "W BDATA-03@0x290000" },
  { "tail/8-bits", "two-bitmaps", "0x18:0000000000080000 0x290000:ff"
    " 0x290001:00*16", "" },
  { "tail/8-bits/next", "two-bitmaps", "0x18:0000000000080000 0x290000:ff01"
    " 0x290002:00*16", "W BDATA-03@0x290001" },
  { "tail/9-bits", "two-bitmaps", "0x18:0000000000090000 0x290000:ff01"
    " 0x290002:00*16", "" },
  { "tail/9-bits/next", "two-bitmaps", "0x18:0000000000090000 0x290000:0002"
    " 0x290002:00*16", "W BDATA-03@0x290001" },
  { "tail/sector-of-a-granule", "two-bitmaps",
    "0x18:0000000000010200 0x290000:03 0x290001:00*16", "" },
  { "tail/1024-bits", "two-bitmaps", "0x290000:ff*128", "" },
  { "tail/1024-bits/next", "two-bitmaps", "0x290000:ff*129",
    "W BDATA-03@0x290080" },
  /* Only the first set bit is reported, wherever it is in the cluster. */
  { "tail/last-byte", "two-bitmaps", "0x29ffff:80", "W BDATA-03@0x29ffff" },
  { "tail/several", "two-bitmaps", "0x290100:01 0x290200:ff 0x29ffff:01",
    "W BDATA-03@0x290100" },
  { "tail/after", "two-bitmaps", "0x2a0008:0000000000000001", "" },

  /* When the cluster is full, there are no unused bits. */
  { "tail/full", "four-entries", "0x12400:ff*512", "" },
  { "tail/full-but-for-one", "four-entries",
    "0x18:00000000007ffe00 0x12400:00*512 0x125ff:7f", "" },
  { "tail/full-but-for-one/set", "four-entries", "0x18:00000000007ffe00"
    " 0x12400:00*512 0x125ff:80", "W BDATA-03@0x125ff" },
  /* Only the last entry has unused bits, and only if it has data. */
  { "tail/other-entries", "four-entries",
    "0x18:00000000007ffe00 0x12000:ff*1024 0x12400:00*512", "" },
  { "tail/all-ones", "four-entries", "0x18:00000000007ffe00 0x12400:00*512"
    " 0x12618:0000000000000001", "" },
  { "tail/all-zeroes", "four-entries", "0x18:00000000007ffe00 0x12400:ff*512"
    " 0x12618:0000000000000000", "" },
  /* The header's bytes at the same distance from offset 0 are not data. */
  { "tail/all-ones/1024-bits", "two-bitmaps", "0x2a0000:0000000000000001",
    "" },
  { "tail/all-zeroes/13248-bits", "four-entries", "0x18:0000000000678000"
    " 0x12618:0000000000000000", "" },
  /* With fewer bits another entry is the last one, here the second: 512 bytes
   * of data are for 2 MiB of the disk. */
  { "tail/unneeded-entry", "four-entries",
    "0x18:00000000003ffe00 0x12600:00*24"
    " 0x12608:0000000000012200 0x12200:ff*512",
    "E BDIR-18@0x12808; W BDATA-03@0x123ff" },
  { "tail/missing-entry", "four-entries", "0x12808:00000003 0x12400:ff*512"
    " 0x18:00000000007ffe00", "E BDIR-18@0x12808" },

  /* The cluster of an invalid entry is not examined. */
  { "tail/reserved-bit", "two-bitmaps",
    "0x2a0000:0000000000290002 0x290080:01", "E BTAB-01@0x2a0000" },
  { "tail/ones-and-offset", "two-bitmaps",
    "0x2a0000:0000000000290001 0x290080:01", "E BTAB-02@0x2a0000" },
  { "tail/unaligned", "two-bitmaps", "0x2a0000:0000000000290200 0x290280:01",
    "E BTAB-03@0x2a0000" },
  { "tail/in-use", "two-bitmaps", "0x2c000f:03 0x290080:01",
    "W BDIR-09@0x2c000c" },
  { "tail/stale", "two-bitmaps", "0x58:0000000000000000 0x290080:01",
    "W HDR-25@0x58; W BDATA-03@0x290080" },
  { "tail/granularity-64", "two-bitmaps", "0x2c0011:40 0x290080:01",
    "E BDIR-12@0x2c0011" },
  { "tail/table-at-0", "two-bitmaps", "0x2c0000:0000000000000000 0x290080:01",
    "E BDIR-05@0x2c0000" },

  /* The file may end in the cluster: at 0x2d0000 it has 128 bytes of data, and
   * some more. */
  { "tail/file-ends", "two-bitmaps",
    "0x2a0000:00000000002d0000 0x2d0000:00*127"
    " 0x2d007f:01", "E REF-01@0x2d0000" },
  { "tail/file-ends-after", "two-bitmaps", "0x2a0000:00000000002d0000"
    " 0x2d0000:00*160", "E REF-01@0x2d0000" },
  { "tail/file-ends-after/set", "two-bitmaps", "0x2a0000:00000000002d0000"
    " 0x2d0000:00*160 0x2d009f:01", "E REF-01@0x2d0000;"
    " W BDATA-03@0x2d009f" },
  { "tail/file-ends-before", "two-bitmaps", "0x2a0000:00000000002d0000"
    " 0x2d0000:00*127", "E BTAB-05@0x2a0000" },

  /* 16384 bits in a cluster of 2 MiB at 0x800000. */
  { "tail/2-mib/first", "cluster-2m", "0x800800:01",
    "W BDATA-03@0x800800" },
  { "tail/2-mib/last", "cluster-2m", "0x9fffff:01",
    "W BDATA-03@0x9fffff" },
  { "tail/2-mib/sound", "cluster-2m", "0x8007ff:ff", "" },
  /* Bits after a block that is read at once, and at the end of the block. */
  { "tail/2-mib/128-kib", "cluster-2m", "0x820000:01",
    "W BDATA-03@0x820000" },
  { "tail/2-mib/block", "cluster-2m", "0x8207ff:01", "W BDATA-03@0x8207ff" },
  { "tail/2-mib/next-block", "cluster-2m", "0x820800:01",
    "W BDATA-03@0x820800" },

  /* Two bitmaps with the same table cause a single finding. */
  { "tail/shared-table", "two-bitmaps", "0x2c0020:00000000002a0000 0x2c0031:10"
    " 0x290080:01", "W BDATA-03@0x290080; E OVL-02@0x2c0020" },

  /* Each refcount is for a cluster of 64 KiB. */
  { "refcount/0-of-data", "refcount-data-0", NULL, "E REF-01@0x290000" },
  { "refcount/2-of-data", "refcount-data-2", NULL, "W REF-01@0x290000" },
  { "refcount/0-of-table", "refcount-table-0", NULL, "E REF-01@0x2a0000" },
  { "refcount/0-of-directory", "refcount-directory-0", NULL,
    "E REF-01@0x2c0000" },
  { "refcount/0-of-all", "refcount-all-zeroes", NULL,
    "E REF-01@0x0; E REF-01@0x10000; E REF-01@0x20000; E REF-01@0x30000;"
    " E REF-01@0x290000; E REF-01@0x2a0000; E REF-01@0x2b0000;"
    " E REF-01@0x2c0000" },
  /* The dirty bit or a stale bitmaps extension makes the error a warning,
   * because the refcounts are not promised to be right. */
  { "refcount/dirty", "refcount-data-0", "0x4f:01",
    "W HDR-21@0x48; W REF-01@0x290000" },
  { "refcount/stale", "refcount-data-0", "0x58:0000000000000000",
    "W HDR-25@0x58; W REF-01@0x290000" },
  { "refcount/shared-and-dirty", "refcount-data-2", "0x4f:01",
    "W HDR-21@0x48; W REF-01@0x290000" },
  /* The guest's clusters are not examined: 0x50000 is one. */
  { "refcount/guest", "two-bitmaps", "0x2000a:0000", "" },
  { "refcount/header", "two-bitmaps", "0x20000:0000", "E REF-01@0x0" },
  /* Two bitmaps have the same table, which is too short for both.  The table
   * has no entry that breaks a rule. */
  { "shared/short-table", "two-bitmaps",
    "0x18:0000001000000000 0x2c0020:00000000002a0000 0x2c0031:10",
    "E HDR-15@0x24; E BDIR-18@0x2c0008; E BDIR-18@0x2c0028; "
    "E OVL-02@0x2c0020" },
  /* A shared table of 8195 entries, of which 8194 are needed and examined. */
  { "shared/spare-entry", "two-bitmaps",
    "0x18:0000020020000000 0x2c0000:000000000030000000002003 0x2c0011:09 "
    "0x2c0020:000000000030000000002003 0x2c0031:09 size=0x400000",
    "E HDR-15@0x24; W BDIR-06@0x2c0008; W BDIR-06@0x2c0028; "
    "E BDIR-18@0x2c0008; E BDIR-18@0x2c0028; W RES-02@0x310010; "
    "E OVL-02@0x2c0020; E REF-01@0x300000" },
  /* More clusters than a 32-bit number can count. */
  { "overlap/2-32-clusters", "luks-pointer",
    "0x80:0001000000010000 size=0x2000000000000",
    "E OVL-01@0x240000; E OVL-01@0x250000; E OVL-01@0x260000; "
    "E OVL-01@0x270000; E REF-01@0x280000" },
  /* A truncated crypto extension does not hide a LUKS header. */
  { "overlap/second-luks-pointer", "luks-pointer",
    "0x230:0537be77000000080000000000050000 0x250000:0000000000040000",
    "E EXT-08@0x230; E EXT-13@0x234; E OVL-01@0x40000; "
    "W BDATA-03@0x40084" },
  /* Neither does a crypto extension that does not fit. */
  { "second-luks-pointer-too-long", "luks-pointer", "0x230:0537be77ffffffff",
    "E EXT-08@0x230; E EXT-03@0x234; E EXT-13@0x234" },
  /* The table of a truncated directory entry is not examined. */
  { "cut-entry", "two-bitmaps", "0x2c0012:ffff 0x2a0000:8000000000290000",
    "E BDIR-02@0x2c0012" },
  { "bitmaps-extension-too-long", "two-bitmaps", "0x1fc:ffffffff",
    "E EXT-03@0x1fc; E EXT-12@0x1fc; E HDR-25@0x58" },
  /* The guest's clusters are after the end of the file, too. */
  { "snapshots/at-file-end", "snapshot", "0x40:0000000000100000 size=0x100000",
    "E FILE-09@0x100000; E HDR-19@0x40" },
  { "cut-entry/table", "two-bitmaps",
    "0x2c0012:ffff 0x2c0000:0000000000030000", "E BDIR-02@0x2c0012" },
  /* Only the needed entries are examined; the one after them is spare. */
  { "spare-entry", "two-bitmaps",
    "0x18:0000020020000000 0x2c0000:000000000030000000002003 0x2c0011:09 "
    "0x310008:0000000000000001 0x310010:8000000000000000 size=0x400000",
    "E HDR-15@0x24; W BDIR-06@0x2c0008; E BDIR-18@0x2c0008; "
    "E BDIR-18@0x2c0028; W RES-02@0x310010; E REF-01@0x300000" },
  /* The data of one bitmap overlaps the table of another, later one. */
  { "overlap/table-in-data", "two-bitmaps",
    "0x18:0000001000000000 0x2c0000:000000000030000000000002 "
    "0x2c0020:000000000032000000000002 0x2c0031:10 "
    "0x300000:00000000003100000000000000320000 size=0x400000",
    "E HDR-15@0x24; E OVL-01@0x320000; E REF-01@0x300000; E REF-01@0x310000" },
  /* The bytes that are read as L1 entries refer to offsets after the end of
   * the file. */
  { "overlap/l1-table-32-mib", "two-bitmaps", "0x24:00400000 size=0x4000000",
    "E FILE-09@0x4000000; E REF-01@0x2d0000; "
    "E OVL-01@0x290000; E OVL-01@0x2a0000; E OVL-01@0x2b0000; "
    "E OVL-01@0x2c0000" },
  /* A second, truncated bitmaps extension hides the bitmaps, so that only the
   * LUKS header is left.  Its magic is read as the first L1 entry. */
  { "overlap/luks-and-l1-table", "luks-pointer",
    "0x28:0000000000040000 0x230:23852875000000080000000100000000",
    "E FILE-09@0x270040; E EXT-08@0x230; E EXT-12@0x234; "
    "E OVL-01@0x40000" },
  { "snapshots/after-file", "snapshot", "0x40:0000000100000000",
    "E FILE-09@0x2b0000; E HDR-19@0x40" },
  { "snapshots/most-after-file", "snapshot",
    "0x3c:00010000 0x40:0000000100000000",
    "E FILE-09@0x2b0000; E HDR-19@0x40" },
  { "snapshots/too-many-after-file", "snapshot",
    "0x3c:00010001 0x40:0000000100000000", "E HDR-19@0x40; W HDR-19@0x3c" },
  /* Only the dirty bit makes refcounts doubtful. */
  { "refcount/other-feature", "refcount-data-0",
    "0x48:0000000000000008 0x68:01", "E REF-01@0x290000" },
  /* A name of no bytes can be at the end of the file. */
  { "empty-name-at-file-end", "no-bitmaps",
    "0x8:0000000000000300 size=0x300",
    "E FILE-09@0x300; W HDR-13@0x10; E HDR-17@0x28; E HDR-18@0x30" },
  { "refcount/bad-block", "two-bitmaps", "0x10018:0000000000010200",
    "E HDR-18@0x10018" },
  /* Reserved bits are not part of the offset: the block is still read. */
  { "refcount/reserved-bit", "refcount-data-0", "0x10007:01",
    "E HDR-18@0x10000; E REF-01@0x290000" },
  { "refcount/reserved-bit-alone", "two-bitmaps", "0x1ffff:01",
    "E HDR-18@0x1fff8" },
  /* When a table crosses the end of the file, the part in the file counts. */
  { "refcount/long-table", "two-bitmaps",
    "0x30:00000000002d0000 0x38:00000002 0x2d0000:0000000000020000 "
    "0x2a0000:00000000002d0000 size=0x2e0000",
    "W FILE-09@0x2e0000; W HDR-18@0x30; E OVL-01@0x2d0000; "
    "E REF-01@0x2d0000" },
  /* QEMU takes the header for the table, and the offset of the directory in it
   * for the offset of a block.  That keeps QEMU from writing the directory. */
  { "refcount/no-table", "two-bitmaps", "0x30:0000000000000000",
    "E HDR-18@0x30; E OVL-01@0x2c0000" },
};
/* clang-format on */

static void
test_findings (gconstpointer data)
{
  const FindingRow *row = data;
  g_auto (Checked) c = { 0 };

  checked_open (&c, row->base, row->patch);
  checked_run (&c);
  g_assert_cmpuint (c.failed->len, ==, 0);
  assert_findings (c.findings, row->findings);
}

static guint
count_findings (const Checked *c, const char *rule, guint64 bitmap)
{
  guint n = 0;

  for (guint i = 0; i < qcow2_findings_get_n (c->findings); i++)
    {
      const Qcow2Finding *p = qcow2_findings_get (c->findings, i);

      n += g_str_equal (p->rule, rule) && p->subject.bitmap == bitmap;
    }

  return n;
}

/* No byte of the cluster is read when the bitmap's last bit is the last bit of
 * the cluster. */
static void
test_full_tail_is_not_read (void)
{
  g_auto (Checked) c = { 0 };

  checked_open (&c, "four-entries", NULL);
  checked_set_bad (&c, 0x12400, 0x12600);
  checked_run (&c);
  g_assert_cmpuint (c.failed->len, ==, 0);
}

/* A writer does not hide the bytes after the extensions. */
static void
test_writer (void)
{
  FakeSource *source = open_source ("two-bitmaps", "0x220:01");
  g_auto (Checked) c = { 0 };

  fake_source_lock (source);
  checked_open_source (&c, source);
  checked_run (&c);
  assert_findings (c.findings, "W FILE-08@0x0; I HDR-14@0x220");
}

/* A table that starts at the end of the file causes a single finding. */
static void
test_snapshots_at_file_end (void)
{
  g_auto (Checked) c = { 0 };

  checked_open (&c, "snapshot", "0x40:0000000000100000 size=0x100000");
  checked_run (&c);
  g_assert_cmpuint (count_findings (&c, "HDR-19", QCOW2_NO_INDEX), ==, 1);
}

/* The bitmaps extension is judged once. */
static void
test_bitmaps_extension (void)
{
  g_auto (Checked) c = { 0 };

  checked_open (&c, "two-bitmaps", "0x204:00000001");
  checked_run (&c);
  g_assert_cmpuint (qcow2_findings_get_n (c.findings), ==, 1);
  assert_findings (c.findings, "E BEXT-03@0x204");
}

/* The last refcount of one block must not be taken for a refcount of the next.
 * The directory of four-entries, a single long entry, is moved to the last
 * cluster of the first block and the first cluster of the second block, which
 * is all zeroes. */
static void
test_unreadable_block (void)
{
  g_auto (Checked) c = { 0 };
  gboolean found = FALSE;

  checked_open (&c, "four-entries",
                "0x80:0000000000000208000000000001fe00 0x208:0000000000030000 "
                "0x1fe00:00000000000126000000000400000002010901f000000000 "
                "0x1fe18:61*496 size=0x30200");
  checked_set_bad (&c, 0x5fe, 0x600);
  checked_run (&c);
  g_assert_cmpuint (c.failed->len, ==, 1);
  for (guint i = 0; i < qcow2_findings_get_n (c.findings); i++)
    {
      const Qcow2Finding *p = qcow2_findings_get (c.findings, i);

      found
          = found || (g_str_equal (p->rule, "REF-01") && p->offset == 0x20000);
    }
  g_assert_true (found);
}

/* A directory is limited in length, whatever its stored length is: the bytes
 * 256 MiB after its start do not belong to it. */
static void
test_long_directory (void)
{
  g_auto (Checked) c = { 0 };

  checked_open (&c, "two-bitmaps",
                "0x208:0000000020000000 0x2a0000:0000000010000000 "
                "size=0x20000000");
  checked_run (&c);
  for (guint i = 0; i < qcow2_findings_get_n (c.findings); i++)
    {
      const Qcow2Finding *p = qcow2_findings_get (c.findings, i);

      g_assert_false (g_str_equal (p->rule, "OVL-01")
                      && p->offset == 0x10000000);
    }
}

/* The message contains the number of bits, and the finding the bitmap. */
static void
test_tail_message (void)
{
  g_auto (Checked) c = { 0 };

  checked_open (&c, "two-bitmaps", "0x290080:01");
  checked_run (&c);
  g_assert_cmpuint (qcow2_findings_get_n (c.findings), ==, 1);

  const Qcow2Finding *finding = qcow2_findings_get (c.findings, 0);
  g_assert_nonnull (strstr (finding->message, " 1024 "));
  g_assert_cmpuint (finding->subject.bitmap, ==, 0);
  assert_string (finding->subject.name, "bm0");
  g_assert_cmpint (finding->subject.parts, ==, QCOW2_PART_BITMAPS);
}

/* Makes bm1 of two-bitmaps share the table and the granularity of bm0. */
#define SHARED "0x2c0020:00000000002a0000 0x2c0031:10"

typedef struct
{
  const char *path;
  const char *base;
  const char *patch;
  guint64 only;
  guint64 summary[4]; /* usable, in use, stale, damaged */
  const char *findings;
} WantRow;

/* clang-format off */
static const WantRow wants[] = {
  { "all", "every-state", NULL, QCOW2_NO_INDEX, { 2, 2, 0, 0 },
    "W BDIR-09@0xc004c; W BDIR-09@0xc006c" },
  { "usable", "every-state", NULL, 1, { 1, 0, 0, 0 }, "" },
  { "in-use", "every-state", NULL, 2, { 0, 1, 0, 0 },
    "W BDIR-09@0xc004c" },
  { "none", "every-state", NULL, 4, { 0, 0, 0, 0 }, "" },
  { "stale", "two-bitmaps", "0x58:0000000000000000", 1, { 0, 0, 1, 0 },
    "W HDR-25@0x58" },
  { "damaged", "two-bitmaps", "0x2c0010:02", 0, { 0, 0, 0, 1 },
    "E BDIR-11@0x2c0010" },
  { "other-damaged", "two-bitmaps", "0x2c0010:02", 1, { 1, 0, 0, 0 }, "" },
  { "other-entry", "two-bitmaps", "0x2a0000:8000000000000000", 1,
    { 1, 0, 0, 0 }, "" },
  { "other-tail", "two-bitmaps", "0x290080:01", 1, { 1, 0, 0, 0 }, "" },
  { "own-tail", "two-bitmaps", "0x290080:01", 0, { 1, 0, 0, 0 },
    "W BDATA-03@0x290080" },
  { "other-refcount", "refcount-data-0", NULL, 1, { 1, 0, 0, 0 }, "" },
  { "own-refcount", "refcount-data-0", NULL, 0, { 1, 0, 0, 0 },
    "E REF-01@0x290000" },
  { "refcount-of-directory", "refcount-all-zeroes", NULL, 1, { 1, 0, 0, 0 },
    "E REF-01@0x0; E REF-01@0x10000; E REF-01@0x20000; E REF-01@0x30000; "
    "E REF-01@0x2b0000; E REF-01@0x2c0000" },
  { "cut-entry", "two-bitmaps", "0x2c0032:ffff", 0, { 1, 0, 0, 0 },
    "E BDIR-02@0x2c0032" },

  /* Findings about a shared table are findings about either bitmap. */
  { "shared/sound", "two-bitmaps", SHARED, 1, { 1, 0, 0, 0 },
    "E OVL-02@0x2c0020" },
  { "shared/entry/first", "two-bitmaps", "0x2a0000:8000000000290200 " SHARED,
    0,
    { 0, 0, 0, 1 },
    "E BTAB-01@0x2a0000; E BTAB-03@0x2a0000; E OVL-02@0x2c0020" },
  { "shared/entry/second", "two-bitmaps", "0x2a0000:8000000000290200 " SHARED,
    1,
    { 0, 0, 0, 1 },
    "E BTAB-01@0x2a0000; E BTAB-03@0x2a0000; E OVL-02@0x2c0020" },
  { "shared/entry/none", "two-bitmaps", "0x2a0000:8000000000290200 " SHARED, 2,
    { 0, 0, 0, 0 }, "" },
  { "shared/tail/first", "two-bitmaps", "0x290080:01 " SHARED, 0,
    { 1, 0, 0, 0 },
    "W BDATA-03@0x290080; E OVL-02@0x2c0020" },
  { "shared/tail/second", "two-bitmaps", "0x290080:01 " SHARED, 1,
    { 1, 0, 0, 0 },
    "W BDATA-03@0x290080; E OVL-02@0x2c0020" },
  { "shared/tail/first-in-use", "two-bitmaps", "0x290080:01 0x2c000f:03 "
    SHARED, 1,
    { 1, 0, 0, 0 }, "W BDATA-03@0x290080; E OVL-02@0x2c0020" },
  { "shared/tail/second-in-use", "two-bitmaps", "0x290080:01 0x2c002f:01 "
    SHARED, 1,
    { 0, 1, 0, 0 }, "W BDIR-09@0x2c002c; E OVL-02@0x2c0020" },
  { "shared/refcount", "refcount-data-0", SHARED, 1, { 1, 0, 0, 0 },
    "E REF-01@0x290000; E OVL-02@0x2c0020" },
  { "shared/overlap", "two-bitmaps", "0x2a0000:0000000000030000 " SHARED, 1,
    { 1, 0, 0, 0 }, "E OVL-01@0x30000; E OVL-02@0x2c0020" },
  /* Damage to the first bitmap's directory entry is not the second one's. */
  { "shared/other-entry", "two-bitmaps", "0x2c0010:02 " SHARED, 1,
    { 1, 0, 0, 0 },
    "E OVL-02@0x2c0020" },
};
/* clang-format on */

static void
test_wants (gconstpointer data)
{
  const WantRow *row = data;
  g_auto (Checked) c = { 0 };

  checked_open (&c, row->base, row->patch);
  c.only = row->only;
  checked_run (&c);
  assert_findings (c.findings, row->findings);
  g_assert_cmpuint (c.summary.enabled + c.summary.disabled, ==,
                    row->summary[0]);
  g_assert_cmpuint (c.summary.in_use, ==, row->summary[1]);
  g_assert_cmpuint (c.summary.stale, ==, row->summary[2]);
  g_assert_cmpuint (c.summary.damaged, ==, row->summary[3]);
  g_assert_true (c.summary.is_complete);
}

/* When all bitmaps are selected, the findings about a shared table are
 * reported for the first bitmap, and the second one is reported to share
 * it. */
static void
test_shared_entry (void)
{
  g_auto (Checked) c = { 0 };

  checked_open (&c, "two-bitmaps", "0x2a0000:8000000000290200 " SHARED);
  checked_run (&c);
  g_assert_cmpuint (qcow2_findings_get_n (c.findings), ==, 4);
  g_assert_cmpuint (count_findings (&c, "BTAB-01", 0), ==, 1);
  g_assert_cmpuint (count_findings (&c, "BTAB-03", 0), ==, 1);
  g_assert_cmpuint (count_findings (&c, "BTAB-01", 1), ==, 1);
  g_assert_cmpuint (count_findings (&c, "OVL-02", 1), ==, 1);
}

static void
test_shared_tail (void)
{
  g_auto (Checked) c = { 0 };

  checked_open (&c, "two-bitmaps", "0x290080:01 " SHARED);
  checked_run (&c);
  g_assert_cmpuint (qcow2_findings_get_n (c.findings), ==, 2);
  g_assert_cmpuint (count_findings (&c, "BDATA-03", 0), ==, 1);
  g_assert_cmpuint (count_findings (&c, "OVL-02", 1), ==, 1);
}

/* 65535 bitmaps share one table of 64 KiB, which is not read for each of them.
 * The directory has 2 MiB: a check of all bitmaps reads it once, a check of
 * one bitmap twice, and a few entries again for their names. */
static void
test_shared_by_many (void)
{
  static const struct
  {
    guint64 only;
    guint64 first; /* index of the bitmap with the finding about the table */
    guint64 max_mib;
  } rows[] = { { QCOW2_NO_INDEX, 0, 3 }, { 65534, 65534, 5 }, { 5, 5, 5 } };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_auto (Checked) c = { 0 };

      checked_open (&c, "many-share-long-table", "0x2a0008:8000000000000000");
      c.only = rows[i].only;
      const guint64 before = checked_get_source (&c)->n_bytes;
      checked_run (&c);
      const guint64 n_bytes = checked_get_source (&c)->n_bytes - before;

      g_assert_cmpuint (count_findings (&c, "BTAB-01", rows[i].first), ==, 1);
      g_assert_cmpuint (count_findings (&c, "OVL-02", 65534), ==, i == 1);
      g_assert_cmpuint (count_findings (&c, "OVL-02", 5), ==, i != 1);
      g_assert_cmpuint (n_bytes, >, 2 * 1024 * 1024);
      g_assert_cmpuint (n_bytes, <, rows[i].max_mib * 1024 * 1024);
    }
}

/* Reads that fail. */

typedef struct
{
  const char *path;
  const char *base;
  const char *patch;
  guint64 bad;        /* start of 512 unreadable bytes */
  const char *failed; /* offset of each reported error */
  const char *findings;
} FailRow;

/* Each image has something that must still be found. */
#define L1_ON_TABLE_1 "0x28:00000000002b0000"
/* clang-format off */
static const FailRow fails[] = {
  { "table", "two-bitmaps", "0x2c0031:00 " L1_ON_TABLE_1, 0x2a0000, "0x2a0000",
    "W BDIR-12@0x2c0031; E BDIR-18@0x2c0028; E OVL-01@0x2b0000" },
  { "second-table", "two-bitmaps", "0x290080:01", 0x2b0000, "0x2b0000",
    "W BDATA-03@0x290080" },
  { "tail", "two-bitmaps", L1_ON_TABLE_1, 0x290200, "0x290080",
    "E OVL-01@0x2b0000" },
  { "refcount-block", "two-bitmaps", L1_ON_TABLE_1, 0x20000, "0x20000",
    "E OVL-01@0x2b0000" },
  { "refcount-table", "two-bitmaps", L1_ON_TABLE_1, 0x10000, "0x10000",
    "E OVL-01@0x2b0000" },
  { "snapshots", "two-snapshots", "0x28:00000000000a0000", 0x60000,
    "0x60000", "E OVL-01@0xa0000" },
  /* The first entry, at 0x2c0000, has 256 KiB of extra data. */
  { "directory", "two-bitmaps", "0x28:0000000000020000 0x220:01"
    " 0x208:0000000000040040 0x2c000c:00000006 0x2c0014:00040000"
    " 0x2c0018:00*40 0x300018:626d300000000000 0x300020:00000000002b0000"
    "0000000100000002011000030000000062" "6d310000000000", 0x300000,
    "0x300018", "E FILE-09@0x300040; I HDR-14@0x220; E OVL-01@0x20000; "
    "E REF-01@0x2d0000" },
  { "rest-of-area", "two-bitmaps", "0x2a0000:8000000000290000", 0x8000,
    "0x8000", "E BTAB-01@0x2a0000" },
};
/* clang-format on */

static void
test_fails (gconstpointer data)
{
  const FailRow *row = data;
  g_auto (Checked) c = { 0 };

  checked_open (&c, row->base, row->patch);
  checked_set_bad (&c, row->bad, row->bad + 512);
  checked_run (&c);
  checked_assert_failed (&c, row->failed);
  g_assert_cmpint (c.summary.is_complete, ==,
                   !g_str_equal (row->path, "directory"));
  assert_findings (c.findings, row->findings);
}

/* A bitmap whose table is unreadable counts as damaged. */
static void
test_fails_summary (void)
{
  g_auto (Checked) c = { 0 };

  checked_open (&c, "two-bitmaps", NULL);
  checked_set_bad (&c, 0x2a0000, 0x2a0001);
  checked_run (&c);
  g_assert_cmpuint (c.summary.damaged, ==, 1);
  g_assert_cmpuint (c.summary.enabled + c.summary.disabled, ==, 1);
}

/* The bitmap is not selected, but it may overlap with the selected one. */
static void
test_fails_elsewhere (void)
{
  g_auto (Checked) c = { 0 };

  checked_open (&c, "two-bitmaps", NULL);
  c.only = 1;
  checked_set_bad (&c, 0x2a0000, 0x2a0001);
  checked_run (&c);
  checked_assert_failed (&c, "0x2a0000");
  g_assert_cmpuint (c.summary.enabled + c.summary.disabled, ==, 1);
  g_assert_cmpuint (c.summary.damaged, ==, 0);
}

/* The table of another bitmap has 2^27 entries and is not examined to the end,
 * because 4096 entries of the selected bitmap were examined before. */
static void
test_left_out (void)
{
  g_auto (Checked) c = { 0 };

  checked_open (&c, "two-bitmaps",
                "0x18:4000000000000000 0x2c0011:1f 0x2c0031:10"
                " 0x2c0000:000000100000000000001000"
                " 0x2c0020:000000200000000008000000 size=0x10000000000");
  c.only = 0;
  checked_run (&c);
  assert_findings (c.findings, "E HDR-15@0x18; E REF-01@0x1000000000; "
                               "W RES-06@0x2c0000");

  g_assert_cmpstr (qcow2_findings_get (c.findings, 1)->message, ==,
                   "overlaps with what 4096 entries in tables of other "
                   "bitmaps point to were not examined: there are too many");
}

/* The unreadable table belongs to the selected bitmap as well. */
static void
test_fails_shared (void)
{
  g_auto (Checked) c = { 0 };

  checked_open (&c, "two-bitmaps", SHARED);
  c.only = 1;
  checked_set_bad (&c, 0x2a0000, 0x2a0001);
  checked_run (&c);
  checked_assert_failed (&c, "0x2a0000");
  g_assert_cmpuint (c.summary.damaged, ==, 1);
}

/* The directory is unreadable from the name of a third bitmap on.  The entries
 * before it still count, whichever bitmap is selected.  The table of the
 * second bitmap is the data of the first. */
static void
test_fails_directory_selected (void)
{
  g_auto (Checked) c = { 0 };

  checked_open (&c, "two-bitmaps",
                "0x200:00000003 0x208:0000000000100060 size=0x400000"
                " 0x2c0020:0000000000290000"
                " 0x2c0040:00000000003f000000000001000000040110000300100000");
  c.only = 1;
  checked_set_bad (&c, 0x3c0058, 0x3c005b);
  checked_run (&c);
  checked_assert_failed (&c, "0x3c0058");
  g_assert_false (c.summary.is_complete);
  g_assert_cmpuint (count_findings (&c, "OVL-01", 1), ==, 1);
}

/* Selects the last bitmap, and makes reads of the directory fail from then
 * on. */
static gboolean
want_last (const Qcow2Bitmap *bitmap, gconstpointer data)
{
  FakeSource *source = (FakeSource *) ((const Checked *) data)->image->source;

  if (bitmap->index != 65534)
    return FALSE;

  source->bad_start = 0x300000;
  source->bad_end = 0x300001;
  return TRUE;
}

/* The other bitmaps have become unreadable. */
static void
test_fails_others (void)
{
  g_auto (Checked) c = { 0 };
  const Qcow2CheckCalls calls
      = { .wants = want_last, .failed = checked_failed, .data = &c };

  checked_open (&c, "many-share-table", NULL);
  qcow2_image_check (c.image, c.findings, c.directory, &calls, &c.summary,
                     &c.verdict, NULL);
  checked_assert_failed (&c, "0x300000");
  g_assert_false (c.summary.is_complete);
  g_assert_cmpuint (c.summary.enabled + c.summary.disabled, ==, 1);
}

/* Each unreadable refcount block is reported once, and the other blocks are
 * examined.  four-entries has 150 clusters; with 64-bit refcounts, a block has
 * 64 of them.  The bitmap data is at 0x12000, 0x12200 and 0x12400, the table
 * at 0x12600 and the directory at 0x12800: clusters 144 to 148, in the third
 * block.  Patches add clusters 10 and 70, in the other two blocks.  The third
 * block covers clusters up to 0x18000, after the end of the file. */
static void
test_fails_by_block (void)
{
  g_auto (Checked) c = { 0 };

  checked_open (&c, "four-entries",
                "0x60:00000006 0x200:00*512 0x200:0000000000000400"
                " 0x208:0000000000012a00 0x210:0000000000012c00"
                " 0x12a00:0000000000000002*64 0x12c00:0000000000000001*64"
                " 0x12600:0000000000001400 0x12608:0000000000001800"
                " 0x12610:0000000000008c00");
  checked_set_bad (&c, 0x400, 0x600);
  checked_run (&c);
  checked_assert_failed (&c, "0x400");
  assert_findings (c.findings, "W FILE-09@0x12e00; W REF-01@0x8c00");
}

/* Damage before the directory hides all bitmaps, or there are none. */
static void
test_unknown_directory (void)
{
  static const struct
  {
    const char *base;
    const char *patch;
    gboolean is_complete;
  } rows[] = { { "two-bitmaps", "0x208:0000000000000000", FALSE },
               { "two-bitmaps", "0x1fc:ffffffff", FALSE },
               { "two-bitmaps", "0x210:0000000100000000", FALSE },
               { "two-bitmaps", "0x2c0012:ffff", TRUE },
               { "no-extensions", NULL, TRUE } };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_auto (Checked) c = { 0 };

      checked_open (&c, rows[i].base, rows[i].patch);
      checked_run (&c);
      g_assert_cmpint (c.summary.is_complete, ==, rows[i].is_complete);
    }
}

/* Without a directory, the other structures are still checked. */
static void
test_no_directory (void)
{
  g_auto (Checked) c = { 0 };

  checked_open (&c, "two-bitmaps", "0x28:0000000000020000 0x220:01");
  g_clear_pointer (&c.directory, qcow2_directory_free);
  checked_run (&c);
  assert_findings (c.findings, "E FILE-09@0x2c0040; E OVL-01@0x20000; "
                               "I HDR-14@0x220");
  g_assert_cmpuint (c.summary.enabled + c.summary.disabled, ==, 0);
  g_assert_false (c.summary.is_complete);
}

/* Without a cluster size, no structure after the header can be checked. */
static void
test_no_clusters (void)
{
  g_auto (Checked) c = { 0 };

  checked_open (&c, "two-bitmaps", "0x14:00000020");
  checked_run (&c);
  assert_findings (c.findings, "E HDR-04@0x14");
}

/* The snapshot table, with 2000 bytes of extra data, is not read, either. */
static void
test_no_clusters_snapshots (void)
{
  g_auto (Checked) c = { 0 };

  checked_open (&c, "two-snapshots", "0x60024:000007d0 0x14:00000020");
  const guint n_reads = checked_get_source (&c)->n_reads;
  checked_run (&c);
  assert_findings (c.findings, "E HDR-04@0x14");
  g_assert_cmpuint (checked_get_source (&c)->n_reads, ==, n_reads);
}

/* At most 256 clusters of 2 MiB that should be zero are examined.  All bitmaps
 * have one table, but with a different number of entries each, so that each
 * bitmap is examined separately.  Only the first entry is needed. */
static void
test_budget_of_zeros (void)
{
  const guint n_bitmaps = 260;
  const guint64 directory = 0xc00000;
  g_autoptr (Image) image = build_patched ("cluster-2m", NULL);
  g_auto (Checked) c = { 0 };
  guint n_unexamined = 0;

  for (guint i = 0; i < n_bitmaps; i++)
    {
      const guint64 at = directory + i * 32;

      image_put_be (image, at, 8, 0xa00000);
      image_put_be (image, at + 8, 4, i + 1);
      image_put_be (image, at + 12, 4, 2);
      image_put_be (image, at + 16, 4, 0x01100004);
      image_put_be (image, at + 20, 4, 0);
      image_put_be (image, at + 24, 4, i);
      image_put_be (image, at + 28, 4, 0);
    }
  /* The bitmaps extension follows the feature table. */
  image_put_be (image, 0x200, 4, n_bitmaps);
  image_put_be (image, 0x208, 8, n_bitmaps * 32);

  checked_open_source (&c, fake_source_new (image->bytes, image->size));
  checked_run (&c);
  for (guint i = 0; i < qcow2_findings_get_n (c.findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (c.findings, i);

      g_assert_cmpstr (finding->rule, !=, "BDATA-03");
      if (g_str_equal (finding->rule, "RES-06"))
        {
          n_unexamined++;
          g_assert_cmphex (finding->offset, ==, 0x800800);
          g_assert_cmpuint (finding->subject.bitmap, >=, 256);
        }
    }
  /* 512 MiB are 256 times 2 MiB less 2048 bytes, with a rest. */
  g_assert_cmpuint (n_unexamined, ==, n_bitmaps - 256);
}

/* The last of 601 entries is for half a cluster, and the other half is not
 * zero.  When the file ends before that entry, no other entry is taken for the
 * last one. */
static void
test_last_entry_cut (void)
{
  const guint n = 601;

  for (guint cut = 0; cut <= 1; cut++)
    {
      g_autoptr (Image) image = build_patched (
          "four-entries",
          "0x18:000000004b100000 0x12800:0000000000012c0000000259"
          " 0x12a00:ff*512");
      g_auto (Checked) c = { 0 };
      guint n_tails = 0;

      for (guint i = 0; i < n; i++)
        image_put_be (image, 0x12c00 + i * 8, 8, 0x12a00);
      image_truncate (image, 0x12c00 + (n - cut) * 8);

      checked_open_source (&c, fake_source_new (image->bytes, image->size));
      checked_run (&c);
      for (guint i = 0; i < qcow2_findings_get_n (c.findings); i++)
        n_tails += g_str_equal (qcow2_findings_get (c.findings, i)->rule,
                                "BDATA-03");
      g_assert_cmpuint (n_tails, ==, 1 - cut);
    }
}

#define ADD_ROWS(prefix, rows, test)                                          \
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)                             \
    {                                                                         \
      g_autofree char *path                                                   \
          = g_strdup_printf ("/check/%s/%s", prefix, (rows)[i].path);         \
                                                                              \
      g_test_add_data_func (path, &(rows)[i], test);                          \
    }

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_rows ("/check/findings", findings, G_N_ELEMENTS (findings),
            test_findings);
  g_test_add_func ("/check/tail/not-read", test_full_tail_is_not_read);
  g_test_add_func ("/check/bitmaps-extension", test_bitmaps_extension);
  g_test_add_func ("/check/long-directory", test_long_directory);
  g_test_add_func ("/check/snapshots-at-file-end", test_snapshots_at_file_end);
  g_test_add_func ("/check/writer", test_writer);
  g_test_add_func ("/check/unreadable-block", test_unreadable_block);
  g_test_add_func ("/check/tail/message", test_tail_message);
  ADD_ROWS ("wants", wants, test_wants);
  g_test_add_func ("/check/shared/entry", test_shared_entry);
  g_test_add_func ("/check/shared/tail", test_shared_tail);
  ADD_ROWS ("fails", fails, test_fails);
  g_test_add_func ("/check/fails/summary", test_fails_summary);
  g_test_add_func ("/check/fails/elsewhere", test_fails_elsewhere);
  g_test_add_func ("/check/left-out", test_left_out);
  g_test_add_func ("/check/fails/shared", test_fails_shared);
  g_test_add_func ("/check/fails/directory-selected",
                   test_fails_directory_selected);
  g_test_add_func ("/check/fails/others", test_fails_others);
  g_test_add_func ("/check/fails/by-block", test_fails_by_block);
  g_test_add_func ("/check/unknown-directory", test_unknown_directory);
  g_test_add_func ("/check/no-directory", test_no_directory);
  g_test_add_func ("/check/no-clusters", test_no_clusters);
  g_test_add_func ("/check/no-clusters/snapshots", test_no_clusters_snapshots);
  if (RUNNING_SLOWLY)
    return g_test_run ();

  g_test_add_func ("/check/budget/zeros", test_budget_of_zeros);
  g_test_add_func ("/check/tail/entry-cut", test_last_entry_cut);
  g_test_add_func ("/check/shared/by-many", test_shared_by_many);
  return g_test_run ();
}
