/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The size of the snapshot table, which only its entries tell. */

#include "config.h"

#include "qcow2/snapshot.h"

#include "test-util.h"

/* The snapshot table of base snapshot is at 0x50000.  AT moves it to 0x100000,
 * which is the end of the file unless a patch sets the size. */
#define AT "0x40:0000000000100000 "

typedef struct
{
  const char *path;
  const char *base;
  const char *patch;
  guint64 size;
} SizeRow;

/* The fields of an entry: 8 bytes; 4 bytes; 2 bytes, the size of the id; 2
 * bytes, the size of the name; 20 bytes; 4 bytes, the size of the extra data.
 * Extra data, id and name follow, padded to a multiple of 8 bytes. */
/* clang-format off */
static const SizeRow rows[] = {
  /* The builder's entry: 24 bytes of extra data, id "1", name "snap1": 70
   * bytes. */
  { "one", "snapshot", "", 72 },
  { "two", "two-snapshots", "", 144 },
  { "none", "snapshot", "0x3c:00000000", 0 },
  { "none-at-0", "two-bitmaps", "", 0 },
  { "shortest", "snapshot", AT "size=0x200000", 40 },
  { "many-shortest", "snapshot", AT "0x3c:00000064 size=0x200000", 4000 },
  { "id", "snapshot", AT "0x10000c:0001 size=0x200000", 48 },
  { "id-8", "snapshot", AT "0x10000c:0008 size=0x200000", 48 },
  { "id-9", "snapshot", AT "0x10000c:0009 size=0x200000", 56 },
  { "id-longest", "snapshot", AT "0x10000c:ffff size=0x200000", 65576 },
  { "name-longest", "snapshot", AT "0x10000e:ffff size=0x200000", 65576 },
  { "id-and-name", "snapshot", AT "0x10000c:00030006 size=0x200000", 56 },
  { "extra-16", "snapshot", AT "0x100024:00000010 size=0x200000", 56 },
  { "extra-1024", "snapshot", AT "0x100024:00000400 size=0x200000", 1064 },
  { "extra-and-strings", "snapshot", AT "0x10000c:ffffffff 0x100024:00000401"
    " size=0x200000", 132136 },
  /* The second entry begins after the padding of the first. */
  { "second-after-padding", "snapshot", AT "0x3c:00000002 0x10000c:0001"
    " 0x10003c:0011 size=0x200000", 48 + 64 },

  /* The file ends inside the table. */
  { "cut-padding", "snapshot", AT "0x10000c:0001 size=0x100029", 41 },
  { "cut-padding-of-two", "snapshot",
    AT "0x3c:00000002 0x10000c:0001 size=0x100029", 41 },
  { "cut-name", "snapshot", AT "0x10000e:0100 size=0x100080", 128 },
  { "cut-extra-data", "snapshot", AT "0x100024:00010000 size=0x100100", 256 },
  { "extra-data-4-gib", "snapshot", AT "0x100024:ffffffff size=0x200000",
    0x100000 },
  { "last-head", "snapshot", AT "0x3c:00000002 size=0x100050", 80 },
  { "cut-head", "snapshot", AT "0x3c:00000002 size=0x10004f", 79 },
  { "cut-first-head", "snapshot", AT "size=0x100027", 39 },
  { "one-byte", "snapshot", AT "size=0x100001", 1 },

  /* QEMU allows at most 65536 entries and 64 MiB. */
  { "65535", "snapshot", AT "0x3c:0000ffff size=0x10000000", 65535 * 40 },
  { "65536", "snapshot", AT "0x3c:00010000 size=0x10000000", 65536 * 40 },
  { "65537", "snapshot", AT "0x3c:00010001 size=0x10000000", 65536 * 40 },
  { "all-ones", "snapshot", AT "0x3c:ffffffff size=0x10000000", 65536 * 40 },
  { "64-mib", "snapshot", AT "0x100024:07000000 size=0x10000000", 67108864 },
  { "just-64-mib", "snapshot", AT "0x100024:03ffffd8 size=0x10000000",
    67108864 },
  { "just-not-64-mib", "snapshot", AT "0x100024:03ffffd0 size=0x10000000",
    67108856 },
};
/* clang-format on */

static void
test_size (gconstpointer data)
{
  const SizeRow *row = data;
  g_autoptr (Qcow2Image) image = open_image (row->base, row->patch);
  g_autoptr (GError) error = NULL;
  g_auto (Qcow2SnapshotTable) table = { .size = 77 };

  g_assert_true (qcow2_snapshot_table_measure (image, &table, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (table.size, ==, row->size);
}

/* 65536 entries take few reads. */
static void
test_few_reads (void)
{
  g_autoptr (Qcow2Image) image
      = open_image ("snapshot", AT "0x3c:00010000 size=0x10000000");
  const guint before = ((FakeSource *) image->source)->n_reads;
  g_auto (Qcow2SnapshotTable) table;

  g_assert_true (qcow2_snapshot_table_measure (image, &table, NULL));
  g_assert_cmpuint (((FakeSource *) image->source)->n_reads - before, <, 100);
}

static void
test_read_error (void)
{
  g_autoptr (Qcow2Image) image
      = open_image ("snapshot", AT "0x3c:00000003 size=0x200000");
  g_autoptr (GError) error = NULL;
  g_auto (Qcow2SnapshotTable) table = { .size = 77 };

  /* In the head of the second entry. */
  ((FakeSource *) image->source)->bad_start = 0x100030;
  ((FakeSource *) image->source)->bad_end = 0x100031;
  g_assert_false (qcow2_snapshot_table_measure (image, &table, &error));
  assert_fatal (error, QCOW2_ERROR_READ, "0x100028", "FILE-04");
  g_assert_cmpuint (table.size, ==, 77);
}

/* Only the heads of the entries are read. */
static void
test_skips (void)
{
  g_autoptr (Qcow2Image) image = open_image (
      "snapshot", AT "0x3c:00000002 0x100024:00080000 size=0x200000");
  g_auto (Qcow2SnapshotTable) table = { .size = 77 };

  ((FakeSource *) image->source)->bad_start = 0x140000;
  ((FakeSource *) image->source)->bad_end = 0x150000;
  g_assert_true (qcow2_snapshot_table_measure (image, &table, NULL));
  g_assert_cmpuint (table.size, ==, 0x80000 + 80);
}

/* HDR-19, by QEMU's rules for a snapshot table. */
static void
test_checked (void)
{
  static const struct
  {
    const char *patch;
    gboolean cut;
    gboolean too_big;
    guint64 bad;
  } judged[] = {
    { AT "0x3c:00000001 size=0x100028", FALSE, FALSE, QCOW2_NO_INDEX },
    { AT "0x3c:00000001 size=0x100027", TRUE, FALSE, QCOW2_NO_INDEX },
    { AT "0x3c:00000002 size=0x100028", TRUE, FALSE, QCOW2_NO_INDEX },
    /* Of two entries with too much extra data, the first one is reported. */
    { AT "0x3c:00000002 0x100024:00000401 0x100454:00000500 size=0x200000",
      FALSE, FALSE, 0 },
    /* The padding of the last entry may be missing. */
    { AT "0x3c:00000001 0x100024:00000001 size=0x100029", FALSE, FALSE,
      QCOW2_NO_INDEX },
    { AT "0x3c:00000001 0x100024:00000001 size=0x100028", TRUE, FALSE,
      QCOW2_NO_INDEX },
    { AT "0x3c:00000002 0x100024:00000001 size=0x100030", TRUE, FALSE,
      QCOW2_NO_INDEX },
    { AT "0x3c:00000001 0x100024:00000400 size=0x200000", FALSE, FALSE,
      QCOW2_NO_INDEX },
    { AT "0x3c:00000003 0x10004c:00000401 size=0x200000", FALSE, FALSE, 1 },
    { AT "0x3c:00000001 0x100024:03ffffd8 size=0x10000000", FALSE, FALSE, 0 },
    { AT "0x3c:00000001 0x100024:03ffffd9 size=0x10000000", FALSE, TRUE, 0 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (judged); i++)
    {
      g_autoptr (Qcow2Image) image = open_image ("snapshot", judged[i].patch);
      g_auto (Qcow2SnapshotTable) table;

      g_assert_true (qcow2_snapshot_table_measure (image, &table, NULL));
      g_assert_cmpint (table.truncated, ==, judged[i].cut);
      g_assert_cmpint (table.too_big, ==, judged[i].too_big);
      g_assert_cmpuint (table.bad, ==, judged[i].bad);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *path
          = g_strdup_printf ("/snapshot/size/%s", rows[i].path);

      g_test_add_data_func (path, &rows[i], test_size);
    }
  g_test_add_func ("/snapshot/few-reads", test_few_reads);
  g_test_add_func ("/snapshot/read-error", test_read_error);
  g_test_add_func ("/snapshot/skips", test_skips);
  g_test_add_func ("/snapshot/judged", test_checked);
  return g_test_run ();
}
