/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Entries of L1 tables, L2 tables, refcount tables and refcount blocks, and
 * where these tables are. */

#include "config.h"

#include "qcow2/cluster-table.h"
#include "qcow2/l2-table.h"

#include "test-util.h"

#define U(number) G_GUINT64_CONSTANT (number)

#define L1_OFFSET 0x1000
#define REFCOUNT_OFFSET 0x2000
#define FILE_SIZE 0x10000

/* An image in a fake file, of which only these header fields matter. */
typedef struct
{
  FakeSource *source;
  Qcow2Image image;
  ByteWindow *window;
} Fixture;

static void
fixture_init (Fixture *f, guint cluster_bits)
{
  g_autoptr (Image) image = image_new ();

  f->source = fake_source_new (image->bytes, FILE_SIZE);
  f->image.source = &f->source->base;
  f->image.header = (Qcow2Header){ .version = 3,
                                   .cluster_bits = cluster_bits,
                                   .cluster_size = U (1) << cluster_bits,
                                   .size = G_MAXINT64,
                                   .l1_table_offset = L1_OFFSET,
                                   .l1_size = 4,
                                   .refcount_table_offset = REFCOUNT_OFFSET,
                                   .refcount_table_clusters = 1,
                                   .refcount_bits = 16 };
  f->window = byte_window_new (f->image.source, 0);
}

/* Stores the bytes HEX at host offset OFFSET. */
static void
fixture_put (Fixture *f, guint64 offset, const char *hex)
{
  g_autoptr (Image) image = image_new ();
  g_autofree char *patch
      = g_strdup_printf (QCOW2_HEX_FORMAT ":%s", offset, hex);

  image_put_bytes (image, 0, f->source->bytes->data, f->source->bytes->len);
  image_patch (image, patch);
  g_byte_array_set_size (f->source->bytes, 0);
  g_byte_array_append (f->source->bytes, image->bytes->data,
                       image->bytes->len);
}

static void
fixture_clear (Fixture *f)
{
  byte_window_free (f->window);
  byte_source_free (&f->source->base);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fixture, fixture_clear)

static gsize
read_rows (Fixture *f, const Qcow2ClusterTable *table, guint64 start,
           Qcow2ClusterRow *rows, gsize n)
{
  g_autoptr (GError) error = NULL;
  const gsize got
      = qcow2_cluster_table_read (table, f->window, start, rows, n, &error);

  g_assert_no_error (error);
  return got;
}

typedef struct
{
  const char *path;
  Qcow2TableKind kind;
  guint version;
  guint cluster_bits;
  gboolean extended;
  const char *hex;
  Qcow2ClusterRow row;
} EntryRow;

#define NONE QCOW2_ABSENT, QCOW2_ABSENT
#define ROW(value, offset, length, type, flags, reserved, ...)                \
  {                                                                           \
    0, U (value), U (offset), (length), (type), (flags), U (reserved),        \
        QCOW2_ABSENT, QCOW2_ABSENT, __VA_ARGS__                               \
  }

/* The bits are those of the specification.  A compressed entry of clusters of
 * 64 KiB has an offset of 54 bits and 8 bits that count sectors; with clusters
 * of 512 bytes, there are 61 bits and one bit. */
/* clang-format off */
static const EntryRow entries[] = {
  { "l1", QCOW2_TABLE_L1, 3, 16, FALSE, "8000000000050000",
    ROW (0x8000000000050000, 0x50000, 0, 0, QCOW2_ROW_COPIED, 0, 0, 0) },
  { "l1-reserved", QCOW2_TABLE_L1, 3, 16, FALSE, "7f000000000503ff",
    ROW (0x7f000000000503ff, 0x50200, 0, 0, QCOW2_ROW_RESERVED,
         0x7f000000000001ff, 0, 0) },
  { "l2-normal", QCOW2_TABLE_L2, 3, 16, FALSE, "8000000000050000",
    ROW (0x8000000000050000, 0x50000, 65536, QCOW2_CLUSTER_NORMAL,
         QCOW2_ROW_COPIED, 0, NONE) },
  { "l2-unallocated", QCOW2_TABLE_L2, 3, 16, FALSE, "0000000000000000",
    ROW (0, 0, 0, QCOW2_CLUSTER_UNALLOCATED, 0, 0, NONE) },
  { "l2-zero", QCOW2_TABLE_L2, 3, 16, FALSE, "0000000000000001",
    ROW (1, 0, 0, QCOW2_CLUSTER_ZERO, QCOW2_ROW_ZERO, 0, NONE) },
  { "l2-zero-allocated", QCOW2_TABLE_L2, 3, 16, FALSE, "8000000000050001",
    ROW (0x8000000000050001, 0x50000, 65536, QCOW2_CLUSTER_ZERO_ALLOCATED,
         QCOW2_ROW_COPIED | QCOW2_ROW_ZERO, 0, NONE) },
  { "l2-reserved", QCOW2_TABLE_L2, 3, 16, FALSE, "3f000000000501fe",
    ROW (0x3f000000000501fe, 0x50000, 65536, QCOW2_CLUSTER_NORMAL,
         QCOW2_ROW_RESERVED, 0x3f000000000001fe, NONE) },
  { "l2-version-2", QCOW2_TABLE_L2, 2, 16, FALSE, "0000000000000001",
    ROW (1, 0, 0, QCOW2_CLUSTER_ZERO, QCOW2_ROW_RESERVED, 1, NONE) },
  { "l2-compressed", QCOW2_TABLE_L2, 3, 16, FALSE, "40c0000000070123",
    ROW (0x40c0000000070123, 0x70123, 4 * 512 - 0x123,
         QCOW2_CLUSTER_COMPRESSED, QCOW2_ROW_COMPRESSED, 0, NONE) },
  { "l2-compressed-copied", QCOW2_TABLE_L2, 3, 16, FALSE, "c000000000070001",
    ROW (0xc000000000070001, 0x70001, 511, QCOW2_CLUSTER_COMPRESSED,
         QCOW2_ROW_COMPRESSED | QCOW2_ROW_COPIED, 0, NONE) },
  { "l2-compressed-reserved", QCOW2_TABLE_L2, 3, 9, FALSE, "7f00000000000400",
    ROW (0x7f00000000000400, 0x1f00000000000400, 1024,
         QCOW2_CLUSTER_COMPRESSED, QCOW2_ROW_COMPRESSED | QCOW2_ROW_RESERVED,
         0x1f00000000000000, NONE) },
  { "l2-extended", QCOW2_TABLE_L2, 3, 16, TRUE,
    "80000000000500018000000f000000f0",
    ROW (0x8000000000050001, 0x50000, 65536, QCOW2_CLUSTER_NORMAL,
         QCOW2_ROW_COPIED | QCOW2_ROW_RESERVED, 1, 0xf0, 0x8000000f) },
  { "l2-extended-zeroes", QCOW2_TABLE_L2, 3, 16, TRUE,
    "0000000000000000ffffffff00000000",
    ROW (0, 0, 0, QCOW2_CLUSTER_UNALLOCATED, 0, 0, 0, 0xffffffff) },
  { "refcount-table", QCOW2_TABLE_REFCOUNTS, 3, 16, FALSE, "ff00000000050405",
    ROW (0xff00000000050405, 0xff00000000050400, 0, 0, QCOW2_ROW_RESERVED, 5,
         0, 0) },
};
/* clang-format on */

static void
test_entry (gconstpointer data)
{
  const EntryRow *test = data;
  const Qcow2ClusterRow *expected = &test->row;
  g_auto (Fixture) f = { 0 };
  Qcow2ClusterRow row;

  fixture_init (&f, test->cluster_bits);
  fixture_put (&f, 0x3000, test->hex);
  f.image.header.version = test->version;
  if (test->extended)
    f.image.header.incompatible_features = QCOW2_INCOMPATIBLE_EXTENDED_L2;

  const Qcow2ClusterTable table
      = qcow2_cluster_table_at (&f.image, test->kind, 0x3000, 1);
  g_assert_cmpuint (read_rows (&f, &table, 0, &row, 1), ==, 1);
  g_assert_cmphex (row.value, ==, expected->value);
  g_assert_cmphex (row.offset, ==, expected->offset);
  g_assert_cmpuint (row.length, ==, expected->length);
  g_assert_cmpuint (row.type, ==, expected->type);
  g_assert_cmpuint (row.flags, ==, expected->flags);
  g_assert_cmphex (row.reserved, ==, expected->reserved);
  g_assert_cmphex (row.place, ==, expected->place);
  g_assert_cmphex (row.subclusters_allocated, ==,
                   expected->subclusters_allocated);
  g_assert_cmphex (row.subclusters_zeroes, ==, expected->subclusters_zeroes);
}

typedef struct
{
  const char *path;
  guint bits;
  const char *hex;
  guint64 refcounts[8];
  guint64 n_readable; /* in the last 16 bytes of the file */
} WidthRow;

/* Below 8 bits, the first refcount is in the lowest bits of a byte. */
static const WidthRow widths[] = {
  { "1", 1, "b4", { 0, 0, 1, 0, 1, 1, 0, 1 }, 128 },
  { "2", 2, "e41b", { 0, 1, 2, 3, 3, 2, 1, 0 }, 64 },
  { "4", 4, "21f08765", { 1, 2, 0, 15, 7, 8, 5, 6 }, 32 },
  { "8", 8, "0102ff00800504fe", { 1, 2, 255, 0, 128, 5, 4, 254 }, 16 },
  { "16",
    16,
    "00010002ffff0000800001020004fffe",
    { 1, 2, 65535, 0, 32768, 258, 4, 65534 },
    8 },
  { "32",
    32,
    "00000001ffffffff00000000800000000102030400000005fffffffe00000008",
    { 1, 4294967295, 0, 2147483648, 16909060, 5, 4294967294, 8 },
    4 },
  { "64",
    64,
    "0000000000000001ffffffffffffffff00000000000000008000000000000000"
    "0102030405060708000000000000000500000000000000060000000000000007",
    { 1, G_MAXUINT64, 0, U (0x8000000000000000), U (0x0102030405060708), 5, 6,
      7 },
    2 },
};

/* Any range of refcounts is decoded, also one that begins inside a byte. */
static void
test_width (gconstpointer data)
{
  const WidthRow *test = data;
  g_auto (Fixture) f = { 0 };
  Qcow2ClusterRow rows[8];

  fixture_init (&f, 9);
  fixture_put (&f, 0x3000, test->hex);
  f.image.header.refcount_bits = test->bits;

  const Qcow2ClusterTable table = qcow2_cluster_table_at (
      &f.image, QCOW2_TABLE_REFCOUNT_BLOCK, 0x3000, 8);
  for (guint start = 0; start <= 8; start++)
    {
      g_assert_cmpuint (read_rows (&f, &table, start, rows, 8), ==, 8 - start);
      for (guint i = 0; i < 8 - start; i++)
        {
          g_assert_cmpuint (rows[i].index, ==, start + i);
          g_assert_cmpuint (rows[i].value, ==, test->refcounts[start + i]);
        }
    }

  const Qcow2ClusterTable last = qcow2_cluster_table_at (
      &f.image, QCOW2_TABLE_REFCOUNT_BLOCK, FILE_SIZE - 16, 4096);
  g_assert_cmpuint (qcow2_cluster_table_get_n_readable (&last), ==,
                    test->n_readable);
  g_assert_cmpuint (read_rows (&f, &last, test->n_readable - 1, rows, 8), ==,
                    1);
  g_assert_cmpuint (read_rows (&f, &last, test->n_readable, rows, 8), ==, 0);
}

/* Zeroes are skipped, whatever the width, up to the byte of the first entry
 * that is not 0. */
static void
test_skip (void)
{
  for (guint bits = 1; bits <= 64; bits *= 2)
    {
      g_autoptr (GError) error = NULL;
      g_auto (Fixture) f = { 0 };
      const guint64 per_byte = MAX (8 / bits, 1);
      const guint64 used = (0xbfff - 0x3000) * 8 / bits;
      const guint64 end = (FILE_SIZE - 0x3000) * 8 / bits;

      fixture_init (&f, 16);
      fixture_put (&f, 0xbfff, "01");
      f.image.header.refcount_bits = bits;
      const Qcow2ClusterTable table = qcow2_cluster_table_at (
          &f.image, QCOW2_TABLE_REFCOUNT_BLOCK, 0x3000, end);

      for (guint64 start = 0; start < end; start += 1 + end / 7)
        {
          guint64 index = start;

          g_assert_true (qcow2_cluster_table_skip_zeroes (
              &table, f.window, &index, end, &error));
          g_assert_cmpuint (index, ==, start <= used ? used : end);
        }

      guint64 index = used;
      g_assert_true (qcow2_cluster_table_skip_zeroes (&table, f.window, &index,
                                                      used + 1, &error));
      g_assert_cmpuint (index, ==, used);
      index = used + per_byte;
      g_assert_true (qcow2_cluster_table_skip_zeroes (
          &table, f.window, &index, used + per_byte + 1, &error));
      g_assert_cmpuint (index, ==, used + per_byte + 1);
      g_assert_no_error (error);
    }
}

/* The file has a size for which the number of its bits has more than 64
 * bits. */
static void
test_very_large_file (void)
{
  g_auto (Fixture) f = { 0 };
  Qcow2ClusterRow row;

  fixture_init (&f, 9);
  f.source->base.size = G_MAXINT64;
  f.source->end = G_MAXINT64;
  f.image.header.refcount_bits = 1;

  const Qcow2ClusterTable table = qcow2_cluster_table_at (
      &f.image, QCOW2_TABLE_REFCOUNT_BLOCK, 8, G_MAXUINT64);
  g_assert_cmpuint (qcow2_cluster_table_get_n_readable (&table), ==,
                    G_MAXUINT64);
  g_assert_cmpuint (read_rows (&f, &table, G_MAXUINT64 - 9, &row, 1), ==, 1);
  g_assert_cmpuint (row.index, ==, G_MAXUINT64 - 9);
}

/* A table of several blocks, read in pieces, is one table. */
static void
test_long (void)
{
  g_auto (Fixture) f = { 0 };
  Qcow2ClusterRow rows[512];
  guint64 n = 0;

  fixture_init (&f, 9);
  for (guint i = 0; i < 0x6000; i++)
    image_put_be (&(Image){ .bytes = f.source->bytes }, 0x3000 + 2 * i, 2, i);

  const Qcow2ClusterTable table = qcow2_cluster_table_at (
      &f.image, QCOW2_TABLE_REFCOUNT_BLOCK, 0x3000, 0x6000);
  while (n < 0x6000)
    {
      const gsize got = read_rows (&f, &table, n, rows, G_N_ELEMENTS (rows));

      g_assert_cmpuint (got, >, 0);
      for (gsize i = 0; i < got; i++)
        g_assert_cmpuint (rows[i].value, ==, n + i);
      n += got;
    }
  g_assert_cmpuint (n, ==, 0x6000);
}

/* Stores in TABLE the table of KIND to which entry INDEX points. */
static void
find (Fixture *f, Qcow2TableKind kind, guint64 index, Qcow2ClusterTable *table)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (
      qcow2_cluster_table_find (&f->image, kind, index, table, &error));
  g_assert_no_error (error);
}

static void
assert_place (Fixture *f, const Qcow2ClusterTable *table, guint64 index,
              guint64 place)
{
  Qcow2ClusterRow row;

  g_assert_cmpuint (read_rows (f, table, index, &row, 1), ==, 1);
  g_assert_cmphex (row.place, ==, place);
}

/* Clusters of 512 bytes: an L2 table maps 64 of them, or 32 KiB, and a
 * refcount block of 16 bits counts 256 of them, or 128 KiB. */
static void
test_places (void)
{
  g_auto (Fixture) f = { 0 };
  Qcow2ClusterTable table;
  Qcow2ClusterRow row;

  fixture_init (&f, 9);
  fixture_put (&f, L1_OFFSET + 16, "8000000000004000");
  fixture_put (&f, REFCOUNT_OFFSET + 24, "0000000000005000");
  f.image.header.size = 0x10400;

  find (&f, QCOW2_TABLE_L1, 99, &table);
  g_assert_cmphex (table.offset, ==, L1_OFFSET);
  g_assert_cmpuint (table.n_entries, ==, 4);
  g_assert_cmpuint (table.index, ==, QCOW2_NO_INDEX);
  assert_place (&f, &table, 0, 0);
  assert_place (&f, &table, 2, 0x10000);
  assert_place (&f, &table, 3, QCOW2_ABSENT);

  find (&f, QCOW2_TABLE_L2, 2, &table);
  g_assert_cmphex (table.offset, ==, 0x4000);
  g_assert_cmpuint (table.n_entries, ==, 64);
  g_assert_cmpuint (table.index, ==, 2);
  g_assert_cmphex (table.pointer, ==, L1_OFFSET + 16);
  assert_place (&f, &table, 0, 0x10000);
  assert_place (&f, &table, 1, 0x10200);
  assert_place (&f, &table, 2, QCOW2_ABSENT);

  find (&f, QCOW2_TABLE_REFCOUNTS, 99, &table);
  g_assert_cmphex (table.offset, ==, REFCOUNT_OFFSET);
  g_assert_cmpuint (table.n_entries, ==, 64);
  assert_place (&f, &table, 3, 0x60000);

  find (&f, QCOW2_TABLE_REFCOUNT_BLOCK, 3, &table);
  g_assert_cmphex (table.offset, ==, 0x5000);
  g_assert_cmpuint (table.n_entries, ==, 256);
  g_assert_cmphex (table.pointer, ==, REFCOUNT_OFFSET + 24);
  assert_place (&f, &table, 255, 0x60000 + 255 * 512);
  g_assert_cmpuint (read_rows (&f, &table, 255, &row, 1), ==, 1);
  g_assert_cmpuint (row.cluster, ==, 3 * 256 + 255);

  /* Extended entries are twice as long. */
  f.image.header.incompatible_features = QCOW2_INCOMPATIBLE_EXTENDED_L2;
  find (&f, QCOW2_TABLE_L2, 2, &table);
  g_assert_cmpuint (table.n_entries, ==, 32);
  assert_place (&f, &table, 1, 0x8200);

  /* Without a known width, no host offset is known. */
  f.image.header.refcount_bits = QCOW2_ABSENT;
  find (&f, QCOW2_TABLE_REFCOUNTS, 0, &table);
  assert_place (&f, &table, 3, QCOW2_ABSENT);
}

/* Places beyond 2^64 are absent: 2^30 bytes times 2^33 bits times the
 * index. */
static void
test_far_places (void)
{
  g_auto (Fixture) f = { 0 };
  Qcow2ClusterTable table;

  fixture_init (&f, 30);
  f.image.header.refcount_bits = 1;
  find (&f, QCOW2_TABLE_REFCOUNTS, 0, &table);
  g_assert_cmpuint (table.n_entries, ==, 1 << 27);
  assert_place (&f, &table, 1, U (1) << 63);
  assert_place (&f, &table, 2, QCOW2_ABSENT);

  fixture_put (&f, REFCOUNT_OFFSET + 8, "0000000000005000");
  fixture_put (&f, REFCOUNT_OFFSET + 16, "0000000000005000");
  find (&f, QCOW2_TABLE_REFCOUNT_BLOCK, 1, &table);
  assert_place (&f, &table, 1, (U (1) << 63) + (1 << 30));
  find (&f, QCOW2_TABLE_REFCOUNT_BLOCK, 2, &table);
  assert_place (&f, &table, 0, QCOW2_ABSENT);
}

static void
assert_missing (Fixture *f, Qcow2TableKind kind, guint64 index, gint code,
                const char *message)
{
  g_autoptr (GError) error = NULL;
  Qcow2ClusterTable table;

  g_assert_false (
      qcow2_cluster_table_find (&f->image, kind, index, &table, &error));
  g_assert_error (error, QCOW2_ERROR, code);
  g_assert_cmpstr (error->message, ==, message);
}

static void
test_missing (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 9);
  fixture_put (&f, L1_OFFSET, "80000000000001ff");
  assert_missing (&f, QCOW2_TABLE_L2, 0, QCOW2_ERROR_NOT_FOUND,
                  "0x1000: L1 table: entry 0 points to no L2 table");
  assert_missing (&f, QCOW2_TABLE_L2, 4, QCOW2_ERROR_NOT_FOUND,
                  "0x1000: L1 table: there is no entry 4, only 4 entries");
  assert_missing (&f, QCOW2_TABLE_REFCOUNT_BLOCK, 63, QCOW2_ERROR_NOT_FOUND,
                  "0x21f8: refcount table: entry 63 points to no refcount "
                  "block");

  f.image.header.l1_table_offset = FILE_SIZE - 15;
  assert_missing (&f, QCOW2_TABLE_L2, 1, QCOW2_ERROR_CORRUPT,
                  "0xfff1: L1 table: entry 1 is not in the file, which has "
                  "65536 bytes");
  f.image.header.l1_table_offset = 0;
  assert_missing (&f, QCOW2_TABLE_L2, 1, QCOW2_ERROR_CORRUPT,
                  "0x0: L1 table: entry 1 is not in the file, which has "
                  "65536 bytes");

  f.source->bad_start = REFCOUNT_OFFSET;
  f.source->bad_end = REFCOUNT_OFFSET + 8;
  assert_missing (&f, QCOW2_TABLE_REFCOUNT_BLOCK, 0, QCOW2_ERROR_READ,
                  "0x2000: refcount table: cannot read: Input/output error "
                  "[FILE-04]");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (entries); i++)
    {
      g_autofree char *path
          = g_strconcat ("/cluster-table/entry/", entries[i].path, NULL);

      g_test_add_data_func (path, &entries[i], test_entry);
    }
  for (guint i = 0; i < G_N_ELEMENTS (widths); i++)
    {
      g_autofree char *path
          = g_strconcat ("/cluster-table/width/", widths[i].path, NULL);

      g_test_add_data_func (path, &widths[i], test_width);
    }
  g_test_add_func ("/cluster-table/skip", test_skip);
  g_test_add_func ("/cluster-table/very-large-file", test_very_large_file);
  g_test_add_func ("/cluster-table/long", test_long);
  g_test_add_func ("/cluster-table/places", test_places);
  g_test_add_func ("/cluster-table/far-places", test_far_places);
  g_test_add_func ("/cluster-table/missing", test_missing);
  return g_test_run ();
}
