/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Entries of the snapshot table, with their strings and extra data. */

#include "config.h"

#include "qcow2/snapshot-walk.h"

#include <string.h>

#include "test-util.h"

#define START 0x100

/* Returns a walk over N_ENTRIES entries at START of a file of SIZE bytes that
 * consists of PATCH, and stores the image in IMAGE. */
static Qcow2SnapshotWalk *
new_walk (Qcow2Image *image, const char *patch, guint64 size,
          guint64 n_entries)
{
  g_autoptr (Image) bytes = image_new ();

  image_patch (bytes, patch);
  image->source = &fake_source_new (bytes->bytes, size)->base;
  return qcow2_snapshot_walk_new (image, START, n_entries);
}

static void
assert_next (Qcow2SnapshotWalk *walk, Qcow2Snapshot *snapshot)
{
  g_autoptr (GError) error = NULL;
  const Qcow2Next next = qcow2_snapshot_walk_next (walk, snapshot, &error);

  g_assert_no_error (error);
  g_assert_cmpint (next, ==, QCOW2_NEXT_ITEM);
}

static void
assert_end (Qcow2SnapshotWalk *walk, Qcow2SnapshotsEnd end)
{
  g_autoptr (GError) error = NULL;
  g_auto (Qcow2Snapshot) snapshot = { 0 };
  const Qcow2Next next = qcow2_snapshot_walk_next (walk, &snapshot, &error);

  g_assert_no_error (error);
  g_assert_cmpint (next, ==, QCOW2_NEXT_END);
  g_assert_cmpint (qcow2_snapshot_walk_get_end (walk), ==, end);
}

/* An entry of 40 + 26 + 2 + 3 bytes, of which 2 bytes of extra data are
 * unknown, and one of 40 + 8 + 0 + 1 bytes after the padding. */
static void
test_two (void)
{
  g_auto (Qcow2Snapshot) snapshot = { 0 };
  Qcow2Image image = { 0 };
  g_autoptr (Qcow2SnapshotWalk) walk = new_walk (
      &image,
      "0x100:0000000000050000000000030002000365abcdef00000011"
      "000000000000002200000033"
      "0000001a"
      "000000010000000000000000004000000000000000000007abcd"
      "3132c3a478 "
      "0x148:00000000000600000000000400000001000000000000000000000000"
      "0000000000000000"
      "00000008"
      "0000000000000005"
      "79",
      0x200, 2);

  assert_next (walk, &snapshot);
  g_assert_cmpuint (snapshot.index, ==, 0);
  g_assert_cmphex (snapshot.file_offset, ==, 0x100);
  g_assert_cmphex (snapshot.entry.l1_table_offset, ==, 0x50000);
  g_assert_cmpuint (snapshot.entry.l1_size, ==, 3);
  g_assert_cmphex (snapshot.entry.date_sec, ==, 0x65abcdef);
  g_assert_cmphex (snapshot.entry.date_nsec, ==, 0x11);
  g_assert_cmphex (snapshot.entry.vm_clock_nsec, ==, 0x22);
  g_assert_cmphex (snapshot.entry.vm_state_size, ==, 0x33);
  g_assert_cmpuint (snapshot.n_extra, ==, 3);
  g_assert_cmphex (snapshot.extra.vm_state_size_large, ==,
                   G_GUINT64_CONSTANT (0x100000000));
  g_assert_cmphex (snapshot.extra.disk_size, ==, 0x400000);
  g_assert_cmphex (snapshot.extra.icount, ==, 7);
  g_assert_cmpuint (snapshot.unknown_extra_data_size, ==, 2);
  g_assert_cmphex (qcow2_snapshot_get_vm_state_size (&snapshot), ==,
                   G_GUINT64_CONSTANT (0x100000000));
  g_assert_true (qcow2_snapshot_has_icount (&snapshot));
  assert_bytes (snapshot.id, "12", 2);
  assert_bytes (snapshot.name, "\xc3\xa4x", 3);

  assert_next (walk, &snapshot);
  g_assert_cmpuint (snapshot.index, ==, 1);
  g_assert_cmphex (snapshot.file_offset, ==, 0x148);
  g_assert_cmpuint (snapshot.n_extra, ==, 1);
  g_assert_cmphex (snapshot.extra.vm_state_size_large, ==, 5);
  g_assert_cmphex (snapshot.extra.disk_size, ==, 0);
  g_assert_cmpuint (snapshot.unknown_extra_data_size, ==, QCOW2_ABSENT);
  g_assert_cmphex (qcow2_snapshot_get_vm_state_size (&snapshot), ==, 5);
  g_assert_false (qcow2_snapshot_has_icount (&snapshot));
  assert_bytes (snapshot.id, "", 0);
  assert_bytes (snapshot.name, "y", 1);

  g_assert_cmpuint (qcow2_snapshot_walk_get_n (walk), ==, 2);
  g_assert_cmphex (qcow2_snapshot_walk_get_offset (walk), ==, 0x180);
  assert_end (walk, QCOW2_SNAPSHOTS_COMPLETE);
  byte_source_free (image.source);
}

typedef struct
{
  const char *path;
  const char *patch;
  guint64 size;
  guint64 n_entries;
  guint64 n; /* entries that are read and not cut */
  Qcow2SnapshotsEnd end;
  gboolean is_truncated; /* another entry is */
} EndRow;

/* In the fixed part, the sizes of id, name and extra data are at 12, 14
 * and 36. The second entry of two is at 0x128. */
/* clang-format off */
static const EndRow ends[] = {
  { "none", "0x100:00", 0x200, 0, 0, QCOW2_SNAPSHOTS_COMPLETE },
  { "all-zeroes", "0x100:00", 0x100 + 80, 2, 2, QCOW2_SNAPSHOTS_COMPLETE },
  { "outside", "0x0:00", 0x80, 1, 0, QCOW2_SNAPSHOTS_TRUNCATED },
  { "at-end", "0x0:00", 0x100, 1, 0, QCOW2_SNAPSHOTS_TRUNCATED },
  { "head", "0x100:00", 0x100 + 79, 2, 1, QCOW2_SNAPSHOTS_TRUNCATED },
  { "id", "0x134:0008", 0x100 + 87, 2, 1, QCOW2_SNAPSHOTS_TRUNCATED, TRUE },
  { "id-fits", "0x134:0008", 0x100 + 88, 2, 2, QCOW2_SNAPSHOTS_COMPLETE },
  { "name", "0x136:ffff", 0x100 + 80 + 65534, 2, 1,
    QCOW2_SNAPSHOTS_TRUNCATED, TRUE },
  { "strings-fit", "0x134:ffffffff", 0x100 + 80 + 131070, 2, 2,
    QCOW2_SNAPSHOTS_COMPLETE },
  { "extra", "0x14c:ffffffff", 0x10000, 2, 1, QCOW2_SNAPSHOTS_TRUNCATED,
    TRUE },
  { "before-the-last", "0x10e:8000", 0x1000, 2, 0, QCOW2_SNAPSHOTS_TRUNCATED,
    TRUE },
  { "padding", "0x10d:01", 0x100 + 41, 2, 1, QCOW2_SNAPSHOTS_TRUNCATED },
  { "65536", "0x100:00", 0x1000000, 65536, 65536, QCOW2_SNAPSHOTS_COMPLETE },
  { "65537", "0x100:00", 0x1000000, 65537, 65536, QCOW2_SNAPSHOTS_TOO_MANY },
  { "64-mib", "0x14c:03ffffb0", 0x8000000, 3, 2, QCOW2_SNAPSHOTS_TOO_MANY },
  { "nearly-64-mib", "0x14c:03ffffa8", 0x8000000, 3, 3,
    QCOW2_SNAPSHOTS_COMPLETE },
};
/* clang-format on */

static void
test_end (gconstpointer data)
{
  const EndRow *row = data;
  g_auto (Qcow2Snapshot) snapshot = { 0 };
  Qcow2Image image = { 0 };
  g_autoptr (Qcow2SnapshotWalk) walk
      = new_walk (&image, row->patch, row->size, row->n_entries);

  for (guint64 i = 0; i < row->n; i++)
    {
      assert_next (walk, &snapshot);
      g_assert_false (snapshot.is_truncated);
    }
  if (row->is_truncated)
    {
      assert_next (walk, &snapshot);
      g_assert_true (snapshot.is_truncated);
      g_assert_cmpuint (snapshot.index, ==, row->n);
    }
  assert_end (walk, row->end);
  g_assert_cmpuint (qcow2_snapshot_walk_get_n (walk), ==, row->n);
  byte_source_free (image.source);
}

/* An entry of 40 + 26 + 2 + 3 bytes, of which only SIZE are in the file.  ID
 * and NAME are their parts in the file, or NULL. */
typedef struct
{
  const char *path;
  guint64 size;
  const char *id;
  const char *name;
  guint n_extra;
  guint64 unknown; /* bytes of extra data */
} CutRow;

static const CutRow cuts[] = {
  { "nothing", 71, "12", "abc", 3, 2 },
  { "last-byte", 70, "12", "ab", 3, 2 },
  { "name", 68, "12", NULL, 3, 2 },
  { "id-byte", 67, "1", NULL, 3, 2 },
  { "id", 66, NULL, NULL, 3, 2 },
  { "unknown-extra", 64, NULL, NULL, 3, 2 },
  { "extra-byte", 63, NULL, NULL, 2, QCOW2_ABSENT },
  { "two-fields", 55, NULL, NULL, 1, QCOW2_ABSENT },
  { "all-extra", 40, NULL, NULL, 0, QCOW2_ABSENT },
};

#define CUT_ENTRY                                                             \
  "0x10c:00020003 0x120:000000220000001a"                                     \
  "000000010000000000000000004000000000000000000007abcd3132616263"

static void
assert_part (GBytes *string, const char *expected)
{
  if (expected == NULL)
    g_assert_null (string);
  else
    assert_bytes (string, expected, strlen (expected));
}

static void
test_cut (gconstpointer data)
{
  const CutRow *row = data;
  g_auto (Qcow2Snapshot) snapshot = { 0 };
  Qcow2Image image = { 0 };
  g_autoptr (Qcow2SnapshotWalk) walk
      = new_walk (&image, CUT_ENTRY, START + row->size, 1);

  assert_next (walk, &snapshot);
  g_assert_cmpint (snapshot.is_truncated, ==, row->size < 71);
  g_assert_cmpuint (snapshot.entry.vm_state_size, ==, 0x22);
  assert_part (snapshot.id, row->id);
  assert_part (snapshot.name, row->name);
  g_assert_cmpuint (snapshot.n_extra, ==, row->n_extra);
  g_assert_cmpuint (snapshot.unknown_extra_data_size, ==, row->unknown);
  g_assert_cmpint (qcow2_snapshot_has_vm_state_size (&snapshot), ==,
                   row->n_extra > 0);
  byte_source_free (image.source);
}

/* With zeroes after the end of the file, all three entries exist, whatever is
 * in the file of the first one. */
static void
test_zeroes (gconstpointer data)
{
  const CutRow *row = data;
  g_auto (Qcow2Snapshot) snapshot = { 0 };
  Qcow2Image image = { 0 };
  g_autoptr (Qcow2SnapshotWalk) walk
      = new_walk (&image, CUT_ENTRY, START + row->size, 3);

  qcow2_snapshot_walk_add_zeroes (walk);
  assert_next (walk, &snapshot);
  g_assert_false (snapshot.is_truncated);
  assert_part (snapshot.id, row->id != NULL ? row->id : "");
  assert_part (snapshot.name, row->name != NULL ? row->name : "");
  g_assert_cmpuint (snapshot.n_extra, ==, 3);
  g_assert_cmphex (snapshot.extra.icount, ==, row->size > 63 ? 7 : 0);
  for (guint i = 1; i < 3; i++)
    {
      assert_next (walk, &snapshot);
      g_assert_cmphex (snapshot.file_offset, ==, 0x148 + (i - 1) * 40);
      g_assert_cmpuint (snapshot.entry.extra_data_size, ==, 0);
      assert_part (snapshot.id, "");
      assert_part (snapshot.name, "");
    }
  assert_end (walk, QCOW2_SNAPSHOTS_COMPLETE);
  byte_source_free (image.source);
}

/* A read that fails is an error, wherever in the entry it is. */
static void
test_read_error (void)
{
  static const guint64 bad[] = { 0x100, 0x3000, 0x4000, 0x14000 };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      g_auto (Qcow2Snapshot) snapshot = { 0 };
      Qcow2Image image = { 0 };
      g_autoptr (Qcow2SnapshotWalk) walk
          = new_walk (&image, "0x10c:ffffffff", 0x100000, 1);
      FakeSource *source = (FakeSource *) image.source;

      image_put_be (&(Image){ .bytes = source->bytes }, 0x124, 4, 0x3ed8);
      source->bad_start = bad[i];
      source->bad_end = bad[i] + 1;
      const Qcow2Next next
          = qcow2_snapshot_walk_next (walk, &snapshot, &error);
      if (bad[i] == 0x3000)
        {
          /* Unknown extra data are not read. */
          g_assert_no_error (error);
          g_assert_cmpint (next, ==, QCOW2_NEXT_ITEM);
        }
      else
        {
          g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_READ);
          g_assert_cmpint (next, ==, QCOW2_NEXT_FAILED);
        }
      byte_source_free (image.source);
    }
}

/* An entry without whole fields of extra data. */
static void
test_little_extra (void)
{
  g_auto (Qcow2Snapshot) snapshot = { 0 };
  Qcow2Image image = { 0 };
  g_autoptr (Qcow2SnapshotWalk) walk
      = new_walk (&image, "0x120:0000002200000007", 0x200, 1);

  assert_next (walk, &snapshot);
  g_assert_cmpuint (snapshot.n_extra, ==, 0);
  g_assert_cmpuint (snapshot.unknown_extra_data_size, ==, 7);
  g_assert_cmphex (qcow2_snapshot_get_vm_state_size (&snapshot), ==, 0x22);
  assert_end (walk, QCOW2_SNAPSHOTS_COMPLETE);
  byte_source_free (image.source);
}

/* If the strings of an entry cannot be read, its fixed part is known, and the
 * walk continues.  The strings have 131070 bytes. */
static void
test_unreadable_strings (void)
{
  g_autoptr (GError) error = NULL;
  g_auto (Qcow2Snapshot) snapshot = { 0 };
  Qcow2Image image = { 0 };
  g_autoptr (Qcow2SnapshotWalk) walk
      = new_walk (&image, "0x10c:ffffffff", 0x100000, 2);
  FakeSource *source = (FakeSource *) image.source;

  image_put_be (&(Image){ .bytes = source->bytes }, 0x124, 4, 8);
  source->bad_start = 0x20000;
  source->bad_end = 0x20001;
  g_assert_cmpint (qcow2_snapshot_walk_step (walk, &snapshot, &error), ==,
                   QCOW2_NEXT_ITEM);
  g_assert_false (qcow2_snapshot_walk_read (walk, &snapshot, &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_READ);
  g_clear_error (&error);
  g_assert_cmpuint (snapshot.entry.name_size, ==, 0xffff);
  g_assert_cmpuint (snapshot.n_extra, ==, 0);
  g_assert_null (snapshot.id);
  g_assert_null (snapshot.name);

  assert_next (walk, &snapshot);
  g_assert_cmpuint (snapshot.index, ==, 1);
  g_assert_cmphex (snapshot.file_offset, ==, 0x100 + 40 + 8 + 131072);
  assert_bytes (snapshot.name, "", 0);
  assert_end (walk, QCOW2_SNAPSHOTS_COMPLETE);
  byte_source_free (image.source);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/snapshot-walk/two", test_two);
  for (guint i = 0; i < G_N_ELEMENTS (ends); i++)
    {
      g_autofree char *path
          = g_strconcat ("/snapshot-walk/end/", ends[i].path, NULL);

      g_test_add_data_func (path, &ends[i], test_end);
    }
  for (guint i = 0; i < G_N_ELEMENTS (cuts); i++)
    {
      g_autofree char *cut
          = g_strconcat ("/snapshot-walk/cut/", cuts[i].path, NULL);
      g_autofree char *zeroes
          = g_strconcat ("/snapshot-walk/zeroes/", cuts[i].path, NULL);

      g_test_add_data_func (cut, &cuts[i], test_cut);
      g_test_add_data_func (zeroes, &cuts[i], test_zeroes);
    }
  g_test_add_func ("/snapshot-walk/little-extra", test_little_extra);
  g_test_add_func ("/snapshot-walk/unreadable-strings",
                   test_unreadable_strings);
  g_test_add_func ("/snapshot-walk/read-error", test_read_error);
  return g_test_run ();
}
