/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Dirty extents, split by what the image has of them.  The disk has 16
 * clusters of 64 KiB, and the bitmap a bit for each half of a cluster. */

#include "config.h"

#include "qcow2/dirty-data.h"

#include "test-util.h"

#define COPIED G_GUINT64_CONSTANT (0x8000000000000000)
#define COMPRESSED G_GUINT64_CONSTANT (0x4000000000000000)
#define ZERO 1

#define L1_TABLE 0x10000
#define L2_TABLE 0x20000
#define BITMAP_TABLE 0x30000
#define BITMAP_DATA 0x40000
#define FILE_SIZE 0x100000
#define DISK_SIZE 0x100000

typedef struct
{
  FakeSource *source;
  Qcow2Image image;
  Qcow2Bitmap bitmap;
  GString *list; /* extents as text */
  guint n_left;  /* extents until the callback ends the walk */
} Fixture;

static void
put (GByteArray *bytes, guint64 offset, guint64 value)
{
  for (guint i = 0; i < 8; i++)
    bytes->data[offset + i] = (guint8) (value >> (56 - 8 * i));
}

/* Sets up F.  Bit n of BITS is bit n of the bitmap. */
static void
fixture_init (Fixture *f, guint32 bits)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();

  g_byte_array_set_size (bytes, FILE_SIZE);
  memset (bytes->data, 0, bytes->len);
  put (bytes, L1_TABLE, L2_TABLE | COPIED);
  put (bytes, L2_TABLE, 0x50000 | COPIED);
  put (bytes, L2_TABLE + 8, 0x70000 | COPIED);
  put (bytes, L2_TABLE + 16, ZERO);
  put (bytes, L2_TABLE + 24, 0x60000 | COPIED | ZERO);
  put (bytes, L2_TABLE + 32, COMPRESSED | 0x80000);
  put (bytes, L2_TABLE + 48, FILE_SIZE | COPIED);
  put (bytes, BITMAP_TABLE, BITMAP_DATA);
  for (guint i = 0; i < 4; i++)
    bytes->data[BITMAP_DATA + i] = (guint8) (bits >> 8 * i);

  *f = (Fixture){ .list = g_string_new (NULL), .n_left = G_MAXUINT };
  f->source = fake_source_new (bytes, FILE_SIZE);
  f->image.source = &f->source->base;
  f->image.header.version = 3;
  f->image.header.cluster_bits = 16;
  f->image.header.cluster_size = 0x10000;
  f->image.header.size = DISK_SIZE;
  f->image.header.l1_size = 1;
  f->image.header.l1_table_offset = L1_TABLE;
  f->bitmap.name = g_bytes_new_static ("b", 1);
  f->bitmap.result.state = QCOW2_BITMAP_STATE_ENABLED;
  f->bitmap.type = QCOW2_BITMAP_DIRTY_TRACKING;
  f->bitmap.bitmap_table_offset = BITMAP_TABLE;
  f->bitmap.bitmap_table_size = 1;
  f->bitmap.granularity_bits = 15;
  f->bitmap.granularity = 0x8000;
}

static void
fixture_clear (Fixture *f)
{
  byte_source_free (&f->source->base);
  g_bytes_unref (f->bitmap.name);
  g_string_free (f->list, TRUE);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fixture, fixture_clear)

static Qcow2Next
list_extent (const Qcow2Extent *extent, gpointer data,
             GError **error G_GNUC_UNUSED)
{
  Fixture *f = data;

  g_string_append_printf (
      f->list, "%s0x%" G_GINT64_MODIFIER "x+0x%" G_GINT64_MODIFIER "x:%d",
      f->list->len > 0 ? " " : "", extent->offset, extent->length,
      extent->type);
  return --f->n_left > 0 ? QCOW2_NEXT_ITEM : QCOW2_NEXT_END;
}

static Qcow2ExtentQuery
make_query (Fixture *f, guint64 start, guint64 length, GError **first_error)
{
  Qcow2ExtentQuery query = { .image = &f->image,
                             .bitmap = &f->bitmap,
                             .first_error = first_error };

  qcow2_extent_query_set_range (&query, start, length);
  return query;
}

/* Asserts that the LENGTH bytes at guest offset START have the extents
 * EXPECTED, and that N_DAMAGED extents of the map are damaged. */
static void
check_range (Fixture *f, guint64 start, guint64 length, const char *expected,
             guint n_damaged)
{
  const Qcow2ExtentQuery query = make_query (f, start, length, NULL);
  g_autoptr (Qcow2GuestMap) map = qcow2_guest_map_new (&f->image, NULL);
  g_autoptr (GError) error = NULL;

  g_string_truncate (f->list, 0);
  g_assert_true (qcow2_dirty_data_walk (&query, map, list_extent, f, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (f->list->str, ==, expected);
  g_assert_cmpuint (qcow2_guest_map_get_n_damaged (map), ==, n_damaged);
}

static void
check (Fixture *f, const char *expected, guint n_damaged)
{
  check_range (f, 0, DISK_SIZE, expected, n_damaged);
}

/* Host offsets do not separate extents.  Damage is dirty. */
static void
test_types (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 0xffffffff);
  check (&f,
         "0x0+0x20000:1 0x20000+0x20000:5 0x40000+0x10000:1 "
         "0x50000+0x10000:13 0x60000+0x10000:1 0x70000+0x90000:13",
         1);
  f.image.header.backing_file_offset = 0x200;
  f.image.header.backing_file_size = 4;
  check (&f,
         "0x0+0x20000:1 0x20000+0x20000:5 0x40000+0x10000:1 "
         "0x50000+0x10000:9 0x60000+0x10000:1 0x70000+0x90000:9",
         1);
}

/* Clean extents are not split, and granules need not be clusters. */
static void
test_granules (void)
{
  g_auto (Fixture) f = { 0 };

  /* The second half of cluster 1, and the first half of cluster 2. */
  fixture_init (&f, 0x00000018);
  check (&f,
         "0x0+0x18000:0 0x18000+0x8000:1 0x20000+0x8000:5 "
         "0x28000+0xd8000:0",
         0);
  check_range (&f, 0x1ffff, 2, "0x1ffff+0x1:1 0x20000+0x1:5", 0);
  check_range (&f, 0x28000, 5, "0x28000+0x5:0", 0);
  check_range (&f, 5, 0, "", 0);
}

/* Bits of a bitmap that cannot be used do not prove that anything is clean. */
static void
test_unknown (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 0x00000018);
  f.bitmap.result.state = QCOW2_BITMAP_STATE_IN_USE;
  check (&f,
         "0x0+0x18000:3 0x18000+0x8000:1 0x20000+0x8000:5 "
         "0x28000+0xd8000:3",
         0);
}

static void
test_end (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 0xffffffff);
  f.n_left = 1;
  check (&f, "0x0+0x20000:1", 0);
  f.n_left = 2;
  check (&f, "0x0+0x20000:1 0x20000+0x20000:5", 0);
  f.n_left = 6;
  check (&f,
         "0x0+0x20000:1 0x20000+0x20000:5 0x40000+0x10000:1 "
         "0x50000+0x10000:13 0x60000+0x10000:1 0x70000+0x90000:13",
         1);
}

/* An L2 table that cannot be read ends the walk, or its clusters are dirty. */
static void
test_unread (void)
{
  g_auto (Fixture) f = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) first_error = NULL;

  fixture_init (&f, 0x0000000f);
  f.source->bad_start = L2_TABLE;
  f.source->bad_end = L2_TABLE + 1;

  const Qcow2ExtentQuery strict = make_query (&f, 0, DISK_SIZE, NULL);
  g_autoptr (Qcow2GuestMap) map = qcow2_guest_map_new (&f.image, NULL);
  g_assert_false (
      qcow2_dirty_data_walk (&strict, map, list_extent, &f, &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_READ);
  g_clear_error (&error);

  const Qcow2ExtentQuery lenient = make_query (&f, 0, DISK_SIZE, &first_error);
  g_autoptr (Qcow2GuestMap) lenient_map
      = qcow2_guest_map_new (&f.image, &first_error);
  g_string_truncate (f.list, 0);
  g_assert_true (
      qcow2_dirty_data_walk (&lenient, lenient_map, list_extent, &f, &error));
  g_assert_no_error (error);
  g_assert_error (first_error, QCOW2_ERROR, QCOW2_ERROR_READ);
  g_assert_cmpstr (f.list->str, ==, "0x0+0x20000:1 0x20000+0xe0000:0");
}

static void
test_totals (void)
{
  g_auto (Fixture) f = { 0 };
  Qcow2ExtentTotals totals;

  fixture_init (&f, 0x00ffffff);
  const Qcow2ExtentQuery query = make_query (&f, 0, DISK_SIZE, NULL);
  g_autoptr (Qcow2GuestMap) map = qcow2_guest_map_new (&f.image, NULL);

  g_assert_true (qcow2_dirty_data_count (&query, map, &totals, NULL));
  g_assert_cmpuint (totals.clean, ==, 0x40000);
  g_assert_cmpuint (totals.dirty, ==, 0x40000);
  g_assert_cmpuint (totals.unknown, ==, 0);
  g_assert_cmpuint (totals.dirty_zero, ==, 0x20000);
  g_assert_cmpuint (totals.dirty_unallocated, ==, 0);
  g_assert_cmpuint (totals.dirty_unallocated_zero, ==, 0x60000);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/dirty-data/types", test_types);
  g_test_add_func ("/dirty-data/granules", test_granules);
  g_test_add_func ("/dirty-data/unknown", test_unknown);
  g_test_add_func ("/dirty-data/end", test_end);
  g_test_add_func ("/dirty-data/unread", test_unread);
  g_test_add_func ("/dirty-data/totals", test_totals);
  return g_test_run ();
}
