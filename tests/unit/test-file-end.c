/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* FILE-09: clusters in use that begin at or after the end of the file, and the
 * references to them. */

#include "config.h"

#include "check/file-end.h"

#include "check-util.h"

/* Image two-bitmaps has clusters of 64 KiB.  It starts with the header, the
 * refcount table, a refcount block, the L1 table and an L2 table at 0x40000.
 * The guest's clusters follow, then the data of bm0 at 0x290000 and bitmap
 * tables at 0x2a0000 and 0x2b0000.  The bitmap directory is at 0x2c0000 and
 * ends at 0x2c0040, with the file.  The refcount of cluster N is stored in the
 * two bytes at 0x20000 + 2 * N. */
typedef struct
{
  const char *path;
  const char *patch;
  gint severity; /* of FILE-09; -1: no finding */
  guint64 end;   /* host offset after the last cluster in use */
} EndRow;

#define NONE (-1)
#define ERROR QCOW2_SEVERITY_ERROR
#define WARNING QCOW2_SEVERITY_WARNING

/* clang-format off */
static const EndRow rows[] = {
  /* Every newly created image ends inside its last cluster. */
  { "partial", "", NONE, 0 },
  { "whole", "size=0x2d0000", NONE, 0 },
  { "one-byte-of-last", "size=0x2c0001", NONE, 0 },
  { "last-begins-at-end", "size=0x2c0000", ERROR, 0x2d0000 },
  { "last-begins-after-end", "size=0x2bffff", ERROR, 0x2d0000 },

  /* Only the refcounts say that cluster 0x2d is in use. */
  { "refcount", "0x2005a:0001 size=0x2d0000", WARNING, 0x2e0000 },
  { "refcount/partial", "0x2005a:0001 size=0x2d0001", NONE, 0 },
  { "refcount/one-byte-less", "0x2005a:0001 size=0x2cffff", WARNING,
    0x2e0000 },
  { "refcount/of-32768", "0x2fffe:0001", WARNING, 0x80000000 },

  /* The last entry of the guest's L2 table references the cluster as well. */
  { "l2", "0x2005a:0001 0x4fff8:80000000002d0000 size=0x2d0000", ERROR,
    0x2e0000 },
  { "l2/inside", "0x2005a:0001 0x4fff8:80000000002c0000 size=0x2d0000",
    WARNING, 0x2e0000 },
  { "l2/compressed", "0x2005a:0001 0x4fff8:40000000002d0200 size=0x2d0000",
    ERROR, 0x2e0000 },

  /* An L1 entry: a disk of 64 MiB needs one. */
  { "l1", "0x30000:80000000002d0000 size=0x2d0000", ERROR, 0x2e0000 },
  { "l1/partial", "0x30000:80000000002d0000 size=0x2d0001", NONE, 0 },

  /* An entry of a bitmap table, then a bitmap table. */
  { "data", "0x2a0000:00000000002d0000 size=0x2d0000", ERROR, 0x2e0000 },
  { "table", "0x2c0020:00000000002d0000 size=0x2d0000", ERROR, 0x2e0000 },
  /* The table is truncated, but it begins in the last cluster of the file. */
  { "table/partial", "0x2c0020:00000000002d0000 size=0x2d0001", NONE, 0 },
  /* The second of the table's two clusters begins at the end of the file. */
  { "table/second-cluster",
    "0x2c0020:00000000002d000000002001 size=0x2e0000", ERROR, 0x2f0000 },

  /* Refcount blocks: one for clusters of the file, one for clusters after it.
   */
  { "block/needed", "0x10000:00000000002d0000 size=0x2d0000", ERROR,
    0x2e0000 },
  { "block/spare", "0x10008:00000000002d0000 size=0x2d0000", WARNING,
    0x2e0000 },
  /* An offset that is not cluster-aligned does not count. */
  { "block/unaligned", "0x10008:00000000002d0200 size=0x2d0000", NONE, 0 },
};
/* clang-format on */

static const Qcow2Finding *
find_file_end (const Checked *c)
{
  const Qcow2Finding *found = NULL;

  for (guint i = 0; i < qcow2_findings_get_n (c->findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (c->findings, i);

      if (!g_str_equal (finding->rule, "FILE-09"))
        continue;

      /* There is one such finding, and it comes first. */
      g_assert_cmpuint (i, ==, 0);
      found = finding;
    }

  return found;
}

static void
assert_end (const Checked *c, gint severity, guint64 end)
{
  const Qcow2Finding *finding = find_file_end (c);
  const guint64 size = byte_source_get_size (c->image->source);

  if (severity == NONE)
    {
      g_assert_null (finding);
      g_assert_false (qcow2_file_is_truncated (c->findings));
      return;
    }

  g_autofree char *message
      = g_strdup_printf ("the file ends at %" G_GUINT64_FORMAT
                         ", but clusters up to %" G_GUINT64_FORMAT
                         " are in use: is the copy complete?",
                         size, end);

  g_assert_nonnull (finding);
  g_assert_cmpint (finding->severity, ==, severity);
  g_assert_cmphex (finding->offset, ==, size);
  g_assert_cmpstr (finding->message, ==, message);
  g_assert_cmpint (qcow2_file_is_truncated (c->findings), ==,
                   severity != QCOW2_SEVERITY_NOTE);
}

static void
test_end (gconstpointer data)
{
  const EndRow *row = data;
  g_auto (Checked) c = { 0 };

  checked_open (&c, "two-bitmaps", row->patch);
  checked_run (&c);
  g_assert_cmpuint (c.failed->len, ==, 0);
  assert_end (&c, row->severity, row->end);
}

/* A writer may be about to extend the file. */
static void
test_writer (void)
{
  FakeSource *source = open_source ("two-bitmaps", "size=0x2c0000");
  g_auto (Checked) c = { 0 };

  fake_source_lock (source);
  checked_open_source (&c, source);
  checked_run (&c);
  assert_end (&c, QCOW2_SEVERITY_NOTE, 0x2d0000);
}

/* Notes references directly, without an image that contains them.  The end is
 * that of the last cluster.  References that QEMU cannot read at all, and
 * empty ones, do not count. */
static void
test_note (void)
{
  static const struct
  {
    guint64 offset;
    guint64 size;
    guint64 end;
  } notes[] = {
    { 0x2d0000, 0, 0 },
    { 0x2d0000, 1, 0x2e0000 },
    { 0x2d0000, 0x10001, 0x2f0000 },
    { 0x2d0001, 1, 0 },
    { 0x2c0000, 0x10000, 0 },
    { 0x2c0000, 0x10001, 0x2e0000 },
    { 0, 0x10000000, 0 },
    { G_GUINT64_CONSTANT (0x7fffffffffff0000), 1, 0 },
    { G_GUINT64_CONSTANT (0xffffffffffff0000), G_MAXUINT64, 0 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (notes); i++)
    {
      g_autoptr (Qcow2Image) image = open_image ("two-bitmaps", NULL);
      Qcow2FileEnd end = { 0, 0 };

      qcow2_file_end_note_needed (&end, image, notes[i].offset, notes[i].size);
      g_assert_cmphex (end.needed, ==, notes[i].end);
      g_assert_cmphex (end.counted, ==, 0);
      qcow2_file_end_note_counted (&end, image, notes[i].offset,
                                   notes[i].size);
      g_assert_cmphex (end.counted, ==, notes[i].end);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *path = g_strdup_printf ("/file-end/%s", rows[i].path);

      g_test_add_data_func (path, &rows[i], test_end);
    }
  g_test_add_func ("/file-end/writer", test_writer);
  g_test_add_func ("/file-end/note", test_note);
  return g_test_run ();
}
