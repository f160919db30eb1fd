/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The details in a message: numbers, the number of bytes shown, whether the
 * bitmap is in use, and which of several ways breaks the rule.  The numbers
 * are those of the patches. */

#include "config.h"

#include "check-util.h"
#include "check/rule.h"

typedef struct
{
  const char *path;
  const char *base;
  const char *patch;
  Qcow2RuleIndex rule;
  const char *message;
  gboolean in_use;
} Row;

/* The directory entries of two-bitmaps are at 0x2c0000 and 0x2c0020, its table
 * entries at 0x2a0000.  The entry with extra data is at 0x70000. */
#define EXTRA "extra-data-compatible"

/* Eight zero bytes. */
#define Z8 "0000000000000000"
#define Z64 Z8 Z8 Z8 Z8 Z8 Z8 Z8 Z8

/* clang-format off */
static const Row rows[] = {
  /* Up to 64 bytes of unknown fields are shown. */
  { "unknown-fields/64", "no-extensions", "0x64:000000b0", QCOW2_HDR_09,
    "64 bytes of unknown fields: " Z64 },
  { "unknown-fields/72", "no-extensions", "0x64:000000b8", QCOW2_HDR_09,
    "72 bytes of unknown fields: " Z64 "..." },

  { "compatible-bits", "two-bitmaps", "0x50:0000000000000003", QCOW2_HDR_24,
    "compatible_features has unknown bits 0x2" },
  { "autoclear-bits", "two-bitmaps", "0x58:0000000000000005", QCOW2_HDR_27,
    "autoclear_features has unknown bits 0x4" },

  /* An L1 table that extends beyond 2^63 - 1, and one that extends only beyond
   * the last offset that QEMU reads, 2^63 - 2^30. */
  { "l1-table/ends-after-2-63", "two-bitmaps",
    "0x24:00002000 0x28:7fffffffffff0000", QCOW2_HDR_17_PLACE,
    "l1_table_offset 0x7fffffffffff0000 leads beyond offset 2^63 - 1" },
  { "l1-table/unaligned", "two-bitmaps", "0x28:8000000000000200",
    QCOW2_HDR_17_PLACE,
    "l1_table_offset 0x8000000000000200 is not the start of a cluster" },
  { "refcount-table/2-63", "two-bitmaps", "0x30:8000000000000000",
    QCOW2_HDR_18_PLACE,
    "refcount_table_offset 0x8000000000000000 leads beyond offset 2^63 - 1" },
  { "refcount-block/reserved", "two-bitmaps", "0x10000:0000000000020001",
    QCOW2_HDR_18_BLOCK,
    "entry 0 is 0x20001, which has reserved bits" },
  { "refcount-block/unaligned", "two-bitmaps", "0x10000:0000000000020200",
    QCOW2_HDR_18_BLOCK,
    "entry 0 is 0x20200, not the start of a cluster inside the file" },
  { "snapshots/2-63", "two-bitmaps", "0x40:8000000000000000",
    QCOW2_HDR_19_PLACE,
    "snapshot_offset 0x8000000000000000 leads beyond offset 2^63 - 1" },
  { "l1-table/ends-before-2-63", "two-bitmaps",
    "0x24:00001fff 0x28:7fffffffffff0000", QCOW2_HDR_17_FAR,
    "l1_table_offset 0x7fffffffffff0000 is beyond what QEMU reads of a "
    "file" },

  /* Named bits of flags are not reserved. */
  { "flags", "two-bitmaps", "0x2c000c:0000000b", QCOW2_BDIR_08,
    "flags has reserved bits 0x8", TRUE },
  { "flags/auto", "two-bitmaps", "0x2c000c:0000000a", QCOW2_BDIR_08,
    "flags has reserved bits 0x8", FALSE },

  /* Up to 32 bytes of extra data are shown. */
  { "extra-data", EXTRA, NULL, QCOW2_BDIR_14_COMPATIBLE,
    "13 bytes of extra data of an unknown kind: deadbeef000000000000000000" },
  { "extra-data/32", EXTRA, "0x70014:00000020", QCOW2_BDIR_14_COMPATIBLE,
    "32 bytes of extra data of an unknown kind: deadbeef00000000"
    "0000000000623000" "0000000000060000" "0000000100000002" },
  { "extra-data/33", EXTRA, "0x70014:00000021", QCOW2_BDIR_14_COMPATIBLE,
    "33 bytes of extra data of an unknown kind: deadbeef00000000"
    "0000000000623000" "0000000000060000" "0000000100000002..." },
  { "extra-data/auto", EXTRA, "0x7000c:00000002", QCOW2_BDIR_14,
    "13 bytes of extra data of an unknown kind forbid to use the bitmap: "
    "deadbeef000000000000000000" },

  /* A table that ends at the last offset that QEMU reads, 2^63 - 2^30, and one
   * that extends beyond it. */
  { "table/ends-at-2-63", "two-bitmaps", "0x2c0000:7fffffffbffffff8",
    QCOW2_BDIR_07,
    "the bitmap table, 8 bytes at 0x7fffffffbffffff8, does not end in the "
    "file, which has 2883648 bytes" },
  { "table/ends-after-2-63", "two-bitmaps", "0x2c0000:7fffffffbffffff9",
    QCOW2_BDIR_07_WRAP,
    "the bitmap table, 8 bytes at 0x7fffffffbffffff9, does not end in the "
    "file, which has 2883648 bytes" },
  { "table/starts-at-2-63", "two-bitmaps", "0x2c0000:8000000000000000",
    QCOW2_BDIR_07_WRAP,
    "the bitmap table, 8 bytes at 0x8000000000000000, does not end in the "
    "file, which has 2883648 bytes" },
  { "table/empty-at-the-end", "two-bitmaps",
    "0x2c0000:7fffffffc000000000000000", QCOW2_BDIR_07,
    "the bitmap table, 0 bytes at 0x7fffffffc0000000, does not end in the "
    "file, which has 2883648 bytes" },

  /* Bits up to the last one, 1026, are valid even in the byte that they share
   * with the tail. */
  { "tail", "two-bitmaps", "0x290081:40", QCOW2_BDATA_03,
    "bit 1038 is set, after the last of 1024" },
  { "tail/same-byte", "two-bitmaps", "0x18:0000000004030000 0x290080:17",
    QCOW2_BDATA_03, "bit 1028 is set, after the last of 1027" },
  { "tail/next-byte", "two-bitmaps",
    "0x18:0000000004030000 0x290080:07 0x290081:01",
    QCOW2_BDATA_03, "bit 1032 is set, after the last of 1027" },

  { "overlap", "two-bitmaps", "0x2a0000:00000000002a0000", QCOW2_OVL_01,
    "0x10000 bytes at 0x2a0000 belong to the table of bitmap 0 (by 0x2c0000) "
    "as well as to the data of bitmap 0 (by 0x2a0000)", FALSE },

  { "directory/padding", "two-bitmaps", "size=0x2c003e", QCOW2_BEXT_06_PADDING,
    "the bitmap directory, 0x40 bytes at 0x2c0000, ends 0x2 bytes after the "
    "end of the file: that may be padding" },

  /* QEMU checks the limit first. */
  { "directory/large-and-unaligned", "two-bitmaps", "0x208:7fffffffe11b1a5d",
    QCOW2_BEXT_04_LARGE,
    "bitmap_directory_size 0x7fffffffe11b1a5d is greater than 0x3fffc00" },

  /* The message names the end of the directory, or that of the file when the
   * entry ends inside the directory. */
  { "cut-entry/directory", "two-bitmaps", "0x208:0000000000000038",
    QCOW2_BDIR_02,
    "extra data and name do not end before 0x2c0038, the end of the directory" },
  { "cut-entry/both", "two-bitmaps", "0x2c0032:0009 size=0x2c003c",
    QCOW2_BDIR_02,
    "extra data and name do not end before 0x2c0040, the end of the directory" },
  { "cut-entry/file", "two-bitmaps", "size=0x2c003a", QCOW2_BDIR_02_FILE,
    "extra data and name do not end before 0x2c003a, the end of the file" },

  { "table-entry/reserved", "two-bitmaps", "0x2a0000:8000000000290101",
    QCOW2_BTAB_01, "table entry 0 has reserved bits 0x8000000000000100" },
};
/* clang-format on */

static void
test_message (gconstpointer data)
{
  const Row *row = data;
  g_autoptr (GString) others = g_string_new (NULL);
  Checked c = { 0 };
  gboolean found = FALSE;

  checked_open (&c, row->base, row->patch);
  checked_run (&c);
  for (guint i = 0; i < qcow2_findings_get_n (c.findings); i++)
    {
      const Qcow2Finding *p = qcow2_findings_get (c.findings, i);

      if (p->index != row->rule)
        continue;

      g_string_append_printf (others, "\n%s", p->message);
      found = found
              || (g_str_equal (p->message, row->message)
                  && p->subject.in_use == row->in_use);
    }

  if (!found)
    g_error ("not found; there is:%s", others->str);
  checked_clear (&c);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *path = g_strdup_printf ("/message/%s", rows[i].path);

      g_test_add_data_func (path, &rows[i], test_message);
    }

  return g_test_run ();
}
