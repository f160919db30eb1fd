/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Compares the extents and totals of bitmaps with a reader that takes the file
 * bit by bit. */

#include "config.h"

#include "qcow2/contents.h"

#include "oracle/naive-extents.h"
#include "test-util.h"

#define X(n) G_GUINT64_CONSTANT (0x##n)

#define TABLE_OFFSET 0x1000
#define DATA_OFFSET 0x20000
#define FILE_SIZE 0x200000

/* Bits in a data cluster of the smallest size, 512 bytes. */
#define CLUSTER_BITS 4096

/* A file with a single bitmap, and the same data for the naive reader. */
typedef struct
{
  GByteArray *bytes;
  NaiveBitmap naive;
  gsize max_read; /* see FakeSource */
  Qcow2BitmapState state;

  FakeSource *source;
  Qcow2Image image;
  Qcow2Bitmap bitmap;
} Fixture;

/* Sets up F with a bitmap table of N_ENTRIES zero entries.  A granule has
 * 2^GRANULARITY_BITS bytes. */
static void
fixture_init (Fixture *f, guint64 cluster_size, guint granularity_bits,
              guint64 virtual_size, guint64 n_entries)
{
  f->bytes = g_byte_array_new ();
  f->naive.bytes = f->bytes;
  f->naive.file_size = FILE_SIZE;
  f->naive.virtual_size = virtual_size;
  f->naive.cluster_size = cluster_size;
  f->naive.table_offset = TABLE_OFFSET;
  f->naive.n_entries = n_entries;
  f->naive.granularity_bits = granularity_bits;
  f->naive.type = 1;
  f->state = QCOW2_BITMAP_STATE_ENABLED;
}

/* Sets the bitmap's state to STATE, in which a clear bit means CLEAR. */
static void
set_state (Fixture *f, Qcow2BitmapState state, guint64 clear)
{
  f->state = state;
  f->naive.clear = clear;
}

static void
fixture_clear (Fixture *f)
{
  g_byte_array_unref (f->bytes);
  if (f->source != NULL)
    byte_source_free (&f->source->base);
  g_clear_pointer (&f->bitmap.name, g_bytes_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fixture, fixture_clear)

static void
put_byte (Fixture *f, guint64 offset, guint8 byte)
{
  const guint len = f->bytes->len;

  if (offset >= len)
    {
      g_byte_array_set_size (f->bytes, (guint) offset + 1);
      memset (f->bytes->data + len, 0, f->bytes->len - len);
    }
  f->bytes->data[offset] = byte;
}

static void
put_entry (Fixture *f, guint64 i, guint64 raw)
{
  for (guint at = 0; at < 8; at++)
    put_byte (f, TABLE_OFFSET + i * 8 + at, (guint8) (raw >> (56 - 8 * at)));
}

static void
fill (Fixture *f, guint64 offset, guint64 n, guint8 byte)
{
  for (guint64 i = 0; i < n; i++)
    put_byte (f, offset + i, byte);
}

/* Sets or clears bit BIT of the data at host offset OFFSET.  The data must
 * have been stored before. */
static void
put_bit (Fixture *f, guint64 offset, guint64 bit, gboolean set)
{
  guint8 *byte = &f->bytes->data[offset + bit / 8];
  const guint8 mask = (guint8) (1u << bit % 8);

  g_assert_cmpuint (offset + bit / 8, <, f->bytes->len);
  *byte = (guint8) (set ? *byte | mask : *byte & ~mask);
}

static void
flip_bit (Fixture *f, guint64 offset, guint64 bit)
{
  g_assert_cmpuint (offset + bit / 8, <, f->bytes->len);
  f->bytes->data[offset + bit / 8] ^= (guint8) (1u << bit % 8);
}

/* Opens the file in its present state as a source, and sets up the image and
 * the bitmap with the naive reader's values. */
static void
open_file (Fixture *f)
{
  if (f->source != NULL)
    byte_source_free (&f->source->base);
  g_clear_pointer (&f->bitmap.name, g_bytes_unref);

  f->source = fake_source_new (f->bytes, f->naive.file_size);
  f->source->bad_start = f->naive.bad_start;
  f->source->bad_end = f->naive.bad_end;
  f->source->max_read = f->max_read;
  f->image.source = &f->source->base;
  f->image.header.size = f->naive.virtual_size;
  f->image.header.cluster_size = f->naive.cluster_size;
  f->bitmap.name = g_bytes_new_static ("b", 1);
  f->bitmap.result.state = f->state;
  f->bitmap.type = (guint8) f->naive.type;
  f->bitmap.bitmap_table_offset = f->naive.table_offset;
  f->bitmap.bitmap_table_size = (guint32) f->naive.n_entries;
  f->bitmap.granularity_bits = (guint8) f->naive.granularity_bits;
  f->bitmap.granularity = f->naive.granularity_bits < 64
                              ? G_GUINT64_CONSTANT (1)
                                    << f->naive.granularity_bits
                              : QCOW2_ABSENT;
}

/* ---- Comparison ---- */

static Qcow2Next
take_extent (const Qcow2Extent *extent, gpointer data,
             GError **error G_GNUC_UNUSED)
{
  const NaiveExtent taken = { extent->offset, extent->length, extent->type };

  g_array_append_val ((GArray *) data, taken);
  return QCOW2_NEXT_ITEM;
}

/* Returns the first thousand of EXTENTS in the form "0+512:1 512+9:0". */
static char *
list_extents (const GArray *extents)
{
  GString *list = g_string_new (NULL);

  for (guint i = 0; i < MIN (extents->len, 1000); i++)
    {
      const NaiveExtent *extent = &g_array_index (extents, NaiveExtent, i);

      g_string_append_printf (
          list,
          "%s%" G_GUINT64_FORMAT "+%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT,
          i > 0 ? " " : "", extent->offset, extent->length, extent->type);
    }

  return g_string_free (list, FALSE);
}

static void
compare_extents (const GArray *found, const GArray *wanted)
{
  if (found->len == wanted->len
      && (found->len == 0
          || memcmp (found->data, wanted->data,
                     found->len * sizeof (NaiveExtent))
                 == 0))
    return;

  g_autofree char *found_list = list_extents (found);
  g_autofree char *wanted_list = list_extents (wanted);
  g_error ("found %u extents: %s\nwanted %u: %s", found->len, found_list,
           wanted->len, wanted_list);
}

static void
compare_totals (const Qcow2ExtentTotals *totals, const NaiveAnswer *wanted)
{
  guint64 sums[NAIVE_UNKNOWN + 1] = { 0 };

  for (guint i = 0; i < wanted->extents->len; i++)
    {
      const NaiveExtent *extent
          = &g_array_index (wanted->extents, NaiveExtent, i);

      sums[extent->type] += extent->length;
    }

  g_assert_cmpuint (totals->clean, ==, sums[NAIVE_CLEAN]);
  g_assert_cmpuint (totals->dirty, ==, sums[NAIVE_DIRTY]);
  g_assert_cmpuint (totals->unknown, ==, sums[NAIVE_UNKNOWN]);
}

/* Compares a walk and a count of CONTENTS that continue after errors. */
static void
check_lenient (Qcow2ExtentQuery contents, const NaiveAnswer *wanted)
{
  g_autoptr (GArray) found = g_array_new (FALSE, FALSE, sizeof (NaiveExtent));
  g_autoptr (GError) walk_error = NULL;
  g_autoptr (GError) count_error = NULL;
  g_autoptr (GError) error = NULL;
  Qcow2ExtentTotals totals;

  contents.first_error = &walk_error;
  g_assert_true (
      qcow2_extent_query_walk (&contents, take_extent, found, &error));
  g_assert_no_error (error);
  compare_extents (found, wanted->extents);

  contents.first_error = &count_error;
  g_assert_true (qcow2_extent_query_count (&contents, &totals, &error));
  g_assert_no_error (error);
  compare_totals (&totals, wanted);

  g_assert_cmpint (walk_error != NULL, ==, wanted->read_failed);
  g_assert_cmpint (count_error != NULL, ==, wanted->read_failed);
  if (!wanted->read_failed)
    return;

  g_assert_error (walk_error, QCOW2_ERROR, QCOW2_ERROR_READ);
  g_assert_error (count_error, QCOW2_ERROR, QCOW2_ERROR_READ);
  g_assert_cmpstr (walk_error->message, ==, count_error->message);
}

/* Compares a walk and a count of CONTENTS that end at the first error.  A
 * bitmap without bits is not an error; it is one unknown extent. */
static void
check_strict (Qcow2ExtentQuery contents, const NaiveAnswer *wanted)
{
  const gboolean fails = wanted->lacks_bits || wanted->read_failed;
  g_autoptr (GArray) found = g_array_new (FALSE, FALSE, sizeof (NaiveExtent));
  g_autoptr (GError) walk_error = NULL;
  g_autoptr (GError) count_error = NULL;
  Qcow2ExtentTotals totals;

  contents.first_error = NULL;
  const gboolean walked
      = qcow2_extent_query_walk (&contents, take_extent, found, &walk_error);
  const gboolean counted
      = qcow2_extent_query_count (&contents, &totals, &count_error);

  g_assert_cmpint (walked, ==, !fails);
  g_assert_cmpint (counted, ==, !fails);
  if (fails)
    {
      g_assert_error (walk_error, QCOW2_ERROR, QCOW2_ERROR_READ);
      g_assert_error (count_error, QCOW2_ERROR, QCOW2_ERROR_READ);
      return;
    }

  g_assert_no_error (walk_error);
  g_assert_no_error (count_error);
  compare_extents (found, wanted->extents);
  compare_totals (&totals, wanted);
}

/* Compares the results for at most MAX_LENGTH bytes from guest offset START
 * on. */
static void
check_range (Fixture *f, guint64 start, guint64 max_length)
{
  Qcow2ExtentQuery contents = { .image = &f->image, .bitmap = &f->bitmap };
  g_auto (NaiveAnswer) wanted = { 0 };

  qcow2_extent_query_set_range (&contents, start, max_length);
  naive_answer_init (&wanted, &f->naive, contents.start, contents.length);
  check_lenient (contents, &wanted);
  check_strict (contents, &wanted);
}

static void
check (Fixture *f)
{
  open_file (f);
  check_range (f, 0, G_MAXUINT64);
}

/* Asserts that the naive reader, and a walk of the whole disk that continues
 * after errors, both find EXTENTS, in the form of list_extents (). */
static void
check_list (Fixture *f, const char *extents)
{
  Qcow2ExtentQuery contents = { .image = &f->image, .bitmap = &f->bitmap };
  g_autoptr (GArray) found = g_array_new (FALSE, FALSE, sizeof (NaiveExtent));
  g_autoptr (GError) unread = NULL;

  check (f);
  contents.first_error = &unread;
  qcow2_extent_query_set_range (&contents, 0, G_MAXUINT64);
  g_assert_true (
      qcow2_extent_query_walk (&contents, take_extent, found, NULL));
  g_autofree char *list = list_extents (found);
  g_assert_cmpstr (list, ==, extents);
}

/* ---- Bits ---- */

/* Sets up F with two data entries, at host offsets DATA_OFFSET and SECOND.  A
 * granule is one sector. */
static void
init_two_clusters (Fixture *f, guint64 second)
{
  fixture_init (f, 512, 9, 2 * CLUSTER_BITS * 512, 2);
  put_entry (f, 0, DATA_OFFSET);
  put_entry (f, 1, second);
}

static void
test_every_other (void)
{
  const guint8 patterns[] = { 0x55, 0xaa, 0x0f, 0x81, 0x7e };

  for (gsize i = 0; i < G_N_ELEMENTS (patterns); i++)
    {
      g_auto (Fixture) f = { 0 };

      init_two_clusters (&f, DATA_OFFSET + 512);
      fill (&f, DATA_OFFSET, 1024, patterns[i]);
      check (&f);
    }
}

/* Bits at the borders of words and of clusters. */
static const guint64 border_bits[]
    = { 0,    1,    31,   32,   62,   63,   64,   65,   127,  128,  191, 192,
        4031, 4032, 4094, 4095, 4096, 4097, 4098, 4159, 4160, 8190, 8191 };

/* Flips each bit, and each pair of bits, in data filled with BACKGROUND. */
static void
check_borders (guint8 background, guint64 second)
{
  g_auto (Fixture) f = { 0 };

  init_two_clusters (&f, second);
  fill (&f, DATA_OFFSET, 512, background);
  fill (&f, second, 512, background);
  for (gsize i = 0; i < G_N_ELEMENTS (border_bits); i++)
    for (gsize j = 0; j <= i; j++)
      {
        const guint64 bits[] = { border_bits[i], border_bits[j] };
        const guint n = i == j ? 1 : 2;

        for (guint k = 0; k < n; k++)
          flip_bit (&f, bits[k] < CLUSTER_BITS ? DATA_OFFSET : second,
                    bits[k] % CLUSTER_BITS);
        check (&f);
        for (guint k = 0; k < n; k++)
          flip_bit (&f, bits[k] < CLUSTER_BITS ? DATA_OFFSET : second,
                    bits[k] % CLUSTER_BITS);
      }
}

static void
test_borders (void)
{
  check_borders (0x00, DATA_OFFSET + 512);
  check_borders (0xff, DATA_OFFSET + 512);
  check_borders (0x00, DATA_OFFSET + 2048);
  check_borders (0xff, DATA_OFFSET - 512);
}

/* Expected extents worked out by hand: one bit on each side of the border
 * between two entries. */
static void
test_one_bit (void)
{
  g_auto (Fixture) f = { 0 };

  init_two_clusters (&f, DATA_OFFSET + 4096);
  fill (&f, DATA_OFFSET, 8192, 0x00);
  put_bit (&f, DATA_OFFSET, 4095, TRUE);
  check_list (&f, "0+2096640:0 2096640+512:1 2097152+2097152:0");
  put_bit (&f, DATA_OFFSET + 4096, 0, TRUE);
  check_list (&f, "0+2096640:0 2096640+1024:1 2097664+2096640:0");
  fill (&f, DATA_OFFSET, 512, 0xff);
  fill (&f, DATA_OFFSET + 4096, 512, 0xff);
  check_list (&f, "0+4194304:1");
}

/* ---- Entries ---- */

/* Tries every table of five entries of the kinds below. */
static void
check_entry_mixes (Qcow2BitmapState state, guint64 clear)
{
  const guint64 kinds[] = { 0, 1, 0x20000, 0x20200, 0x20400, 0x20600 };
  const guint n_kinds = G_N_ELEMENTS (kinds);
  const guint step = RUNNING_SLOWLY ? 149 : RUNNING_SANITIZED ? 37 : 1;
  g_auto (Fixture) f = { 0 };

  /* Clusters of ones, of zeroes, of mixed bits and of ones. */
  fixture_init (&f, 512, 9, 5 * CLUSTER_BITS * 512, 5);
  set_state (&f, state, clear);
  fill (&f, 0x20000, 512, 0xff);
  fill (&f, 0x20200, 512, 0x00);
  fill (&f, 0x20400, 512, 0x00);
  fill (&f, 0x20600, 512, 0xff);
  put_bit (&f, 0x20400, 2000, TRUE);
  for (guint mix = 0; mix < n_kinds * n_kinds * n_kinds * n_kinds * n_kinds;
       mix += step)
    {
      guint rest = mix;

      for (guint i = 0; i < 5; i++, rest /= n_kinds)
        put_entry (&f, i, kinds[rest % n_kinds]);
      check (&f);
    }
}

static void
test_entry_mixes (void)
{
  check_entry_mixes (QCOW2_BITMAP_STATE_ENABLED, NAIVE_CLEAN);
  check_entry_mixes (QCOW2_BITMAP_STATE_IN_USE, NAIVE_UNKNOWN);
}

/* Expected extents worked out by hand: ones in an entry and ones in data form
 * one extent. */
static void
test_merge (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 512, 9, 6 * CLUSTER_BITS * 512, 6);
  put_entry (&f, 1, 1);
  put_entry (&f, 2, 0x20000);
  put_entry (&f, 3, 0x20200);
  put_entry (&f, 4, 1);
  fill (&f, 0x20000, 1024, 0xff);
  check_list (&f, "0+2097152:0 2097152+8388608:1 10485760+2097152:0");
}

/* Blocks of entries and windows of data end in the middle of an extent. */
static void
test_long_table (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 512, 0, 1500 * CLUSTER_BITS - 5, 1500);
  for (guint64 i = 0; i < 1500; i++)
    put_entry (&f, i, DATA_OFFSET + i * 512);
  fill (&f, DATA_OFFSET, 1500 * 512, 0xff);
  check_list (&f, "0+6143995:1");
  put_bit (&f, DATA_OFFSET + 1000 * 512, 77, FALSE);
  f.max_read = 1000;
  check (&f);
  f.max_read = 0;
  fill (&f, DATA_OFFSET, 1500 * 512, 0x00);
  check_list (&f, "0+6143995:0");
}

/* The last word is truncated, and so is the read of 128 KiB less 3 bytes. */
static void
test_cut_window (void)
{
  const guint8 backgrounds[] = { 0x00, 0xff };

  for (gsize i = 0; i < G_N_ELEMENTS (backgrounds); i++)
    {
      g_autofree char *wanted
          = g_strdup_printf ("0+1048556:%" G_GSIZE_FORMAT, i);
      g_auto (Fixture) f = { 0 };

      fixture_init (&f, 512, 0, 256 * CLUSTER_BITS - 20, 256);
      for (guint64 k = 0; k < 256; k++)
        put_entry (&f, k, DATA_OFFSET + k * 512);
      fill (&f, DATA_OFFSET, 256 * 512, backgrounds[i]);
      check_list (&f, wanted);
    }
}

/* Adjacent data is read in long pieces: 256 KiB for each block of entries, in
 * windows of 128 KiB. */
static void
test_adjacent_is_read_at_once (void)
{
  g_auto (Fixture) f = { 0 };
  Qcow2ExtentTotals totals;

  fixture_init (&f, 512, 9, 1500 * G_GUINT64_CONSTANT (2097152), 1500);
  for (guint64 i = 0; i < 1500; i++)
    put_entry (&f, i, DATA_OFFSET + i * 512);
  open_file (&f);
  Qcow2ExtentQuery contents = { .image = &f.image, .bitmap = &f.bitmap };
  qcow2_extent_query_set_range (&contents, 0, G_MAXUINT64);
  g_assert_true (qcow2_extent_query_count (&contents, &totals, NULL));
  g_assert_cmpuint (totals.clean, ==, 1500 * G_GUINT64_CONSTANT (2097152));
  g_assert_cmpuint (f.source->n_reads, <, 20);
}

/* ---- Sizes ---- */

/* All bits are set, and all entries after the last one needed.  Bits and
 * entries beyond the end of the disk must not count. */
static void
check_beyond_size (guint64 virtual_size, gboolean in_entries)
{
  g_autofree char *wanted
      = g_strdup_printf ("0+%" G_GUINT64_FORMAT ":1", virtual_size);
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 512, 9, virtual_size, 4);
  for (guint64 i = 0; i < 4; i++)
    put_entry (&f, i, in_entries ? 1 : DATA_OFFSET + i * 512);
  fill (&f, DATA_OFFSET, 4 * 512, 0xff);
  check_list (&f, wanted);
}

static void
test_beyond_size (void)
{
  const guint64 sizes[]
      = { 1,       511,     512,     513,     32767,   32768,   32769,  33280,
          2097151, 2097152, 2097153, 2097664, 4194303, 4194305, 6291456 };

  for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      check_beyond_size (sizes[i], FALSE);
      check_beyond_size (sizes[i], TRUE);
    }
}

/* A disk of no bytes has no extents. */
static void
test_empty_disk (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 512, 9, 0, 1);
  put_entry (&f, 0, 1);
  check_list (&f, "");
}

/* Checks a table of N_ENTRIES entries, in turn data, ones and zeroes. */
static void
check_size (guint granularity_bits, guint64 virtual_size, guint64 n_entries)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 512, granularity_bits, virtual_size, n_entries);
  for (guint64 i = 0; i < n_entries; i++)
    put_entry (&f, i, i % 3 == 2 ? 0 : i % 3 == 1 ? 1 : DATA_OFFSET);
  fill (&f, DATA_OFFSET, 512, 0xf0);
  put_bit (&f, DATA_OFFSET, 0, TRUE);
  put_bit (&f, DATA_OFFSET, 4095, FALSE);
  check (&f);
  check_range (&f, 1, G_MAXUINT64);
  check_range (&f, virtual_size - 1, 1);
  check_range (&f, virtual_size / 2, virtual_size / 3);
}

static void
test_sizes (void)
{
  const guint granularities[] = { 0, 9, 16, 31, 40, 62, 63 };
  const guint64 sizes[] = { 1,
                            2,
                            511,
                            512,
                            513,
                            4096 * 512 + 1,
                            X (10000000001),
                            X (7fffffffffffffff),
                            X (8000000000000000),
                            G_MAXUINT64 };
  const guint64 max_entries = RUNNING_SLOWLY || RUNNING_SANITIZED ? 50 : 600;

  for (gsize i = 0; i < G_N_ELEMENTS (granularities); i++)
    for (gsize j = 0; j < G_N_ELEMENTS (sizes); j++)
      {
        const guint64 n_needed
            = ((sizes[j] - 1) >> granularities[i]) / CLUSTER_BITS + 1;

        check_size (granularities[i], sizes[j], MIN (n_needed, max_entries));
      }
}

/* Expected extents worked out by hand: the last granule is truncated. */
static void
test_coarsest (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 512, 63, G_MAXUINT64, 1);
  put_entry (&f, 0, DATA_OFFSET);
  put_byte (&f, DATA_OFFSET, 0xfe);
  check_list (&f, "0+9223372036854775808:0 "
                  "9223372036854775808+9223372036854775807:1");
}

/* ---- Ranges ---- */

static void
test_set_range (void)
{
  g_auto (Fixture) f = { 0 };
  Qcow2ExtentQuery contents = { .image = &f.image, .bitmap = &f.bitmap };
  const struct
  {
    guint64 start, max_length, wanted_start, wanted_length;
  } rows[] = {
    { 0, G_MAXUINT64, 0, 1000 },
    { 0, 1000, 0, 1000 },
    { 0, 999, 0, 999 },
    { 1, G_MAXUINT64, 1, 999 },
    { 999, 1, 999, 1 },
    { 999, 2, 999, 1 },
    { 1000, 1, 1000, 0 },
    { 1001, G_MAXUINT64, 1000, 0 },
    { G_MAXUINT64, 1, 1000, 0 },
    { 500, 0, 500, 0 },
    { G_MAXUINT64, G_MAXUINT64, 1000, 0 },
  };

  fixture_init (&f, 512, 9, 1000, 1);
  open_file (&f);
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      qcow2_extent_query_set_range (&contents, rows[i].start,
                                    rows[i].max_length);
      g_assert_cmpuint (contents.start, ==, rows[i].wanted_start);
      g_assert_cmpuint (contents.length, ==, rows[i].wanted_length);
    }
}

/* Returns the guest offsets to test on a disk of N granules of 16 bytes. */
static GArray *
get_positions (guint64 n)
{
  const guint64 granules[]
      = { 0, 1, 2, 62, 63, 64, 65, 127, 128, 4095, 4096, 4097, n - 1, n };
  GArray *positions = g_array_new (FALSE, FALSE, sizeof (guint64));

  for (gsize i = 0; i < G_N_ELEMENTS (granules); i++)
    for (guint64 k = 0; k < 3; k++)
      {
        const guint64 position = granules[i] * 16 + k - 1;

        if (position != G_MAXUINT64)
          g_array_append_val (positions, position);
      }

  return positions;
}

/* Tests the range between any two positions: borders of granules, words and
 * entries. */
static void
test_ranges (void)
{
  const guint64 n = CLUSTER_BITS + 100;
  g_autoptr (GArray) positions = get_positions (n);
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 512, 4, n * 16 - 3, 2);
  put_entry (&f, 0, DATA_OFFSET);
  put_entry (&f, 1, DATA_OFFSET + 1024);
  fill (&f, DATA_OFFSET, 2048, 0x65);
  fill (&f, DATA_OFFSET + 8, 8, 0xff);
  open_file (&f);
  for (guint i = 0; i < positions->len; i++)
    {
      const guint64 start = g_array_index (positions, guint64, i);

      check_range (&f, start, G_MAXUINT64);
      for (guint j = 0; j < positions->len; j++)
        check_range (&f, start, g_array_index (positions, guint64, j));
    }
}

/* Only the data in the range is read. */
static void
test_range_reads_little (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 65536, 9, X (100000000), 16);
  for (guint64 i = 0; i < 16; i++)
    put_entry (&f, i, DATA_OFFSET + i * 65536);
  open_file (&f);
  /* Granules 64 to 127 of entry 3 are bytes 8 to 15 of its data. */
  check_range (&f, 3 * X (10000000) + 64 * 512, 64 * 512);
  g_assert_cmpuint (f.source->last_start, ==, DATA_OFFSET + 3 * 65536 + 8);
  g_assert_cmpuint (f.source->last_end, ==, DATA_OFFSET + 3 * 65536 + 16);
}

/* At most 2^27 entries of a table are examined. */
static void
test_longest_table (void)
{
  const guint64 span = CLUSTER_BITS * 512;
  const guint64 n = G_GUINT64_CONSTANT (1) << 27;
  g_auto (Fixture) f = { 0 };
  g_autoptr (GArray) found = g_array_new (FALSE, FALSE, sizeof (NaiveExtent));
  g_autoptr (GError) unread = NULL;
  g_autoptr (GError) error = NULL;

  fixture_init (&f, 512, 9, (n + 2) * span, n + 2);
  f.naive.file_size = G_GUINT64_CONSTANT (1) << 31;
  open_file (&f);
  Qcow2ExtentQuery contents = { .image = &f.image, .bitmap = &f.bitmap };
  qcow2_extent_query_set_range (&contents, (n - 1) * span, 3 * span);
  g_assert_false (
      qcow2_extent_query_walk (&contents, take_extent, found, &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_READ);

  g_array_set_size (found, 0);
  contents.first_error = &unread;
  g_assert_true (
      qcow2_extent_query_walk (&contents, take_extent, found, NULL));
  g_autofree char *list = list_extents (found);
  g_assert_cmpstr (list, ==,
                   "281474974613504+2097152:0 281474976710656+4194304:3");
}

/* ---- What cannot be read ---- */

/* Expected extents worked out by hand: a bit is for a sector of the disk, so
 * that 4096 bytes of data have 32768 bits.  Clusters have 64 KiB, and the 4096
 * bytes from 0x23000 on are given up. */
static void
test_bad_data (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 65536, 9, 65536 * 8 * 512, 1);
  put_entry (&f, 0, DATA_OFFSET);
  f.naive.bad_start = 0x23005;
  f.naive.bad_end = 0x23006;
  check_list (&f, "0+50331648:0 50331648+16777216:3 67108864+201326592:0");
  fill (&f, DATA_OFFSET, 65536, 0xff);
  check_list (&f, "0+50331648:1 50331648+16777216:3 67108864+201326592:1");

  /* A bad range across a border loses the units on both sides. */
  f.naive.bad_end = 0x24001;
  check_list (&f, "0+50331648:1 50331648+33554432:3 83886080+184549376:1");
  f.naive.bad_start = 0;
  f.naive.bad_end = 0;
  check_list (&f, "0+268435456:1");
}

/* Only the wanted part of a unit is read. */
static void
test_bad_data_range (void)
{
  const guint64 unit = 32768 * 512;
  const guint64 step = RUNNING_SLOWLY ? 5 : 1;
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 65536, 9, 65536 * 8 * 512, 1);
  put_entry (&f, 0, DATA_OFFSET);
  f.naive.bad_start = 0x23800;
  f.naive.bad_end = 0x23801;
  open_file (&f);
  for (guint64 i = 0; i < 16; i += step)
    for (guint64 n = 1; n <= 16; n += step)
      {
        check_range (&f, i * unit / 4, n * unit / 4);
        check_range (&f, i * unit / 4 + 63 * 512, n * unit / 4 - 126 * 512);
      }
}

/* Units are aligned in the file, not in the cluster. */
static void
test_bad_data_unaligned (void)
{
  g_auto (Fixture) f = { 0 };

  /* Entry 0 has the data from 0x20e00 to 0x21000, and entry 1 the next. */
  init_two_clusters (&f, 0x21000);
  put_entry (&f, 0, 0x20e00);
  f.naive.bad_start = 0x20fff;
  f.naive.bad_end = 0x21000;
  check_list (&f, "0+2097152:3 2097152+2097152:0");
  f.naive.bad_start++;
  f.naive.bad_end++;
  check_list (&f, "0+2097152:0 2097152+2097152:3");

  /* Data that is not this bitmap's is not read. */
  f.naive.bad_start = 0x21200;
  f.naive.bad_end = 0x22000;
  check_list (&f, "0+4194304:0");
  f.naive.bad_start = 0x20000;
  f.naive.bad_end = 0x20e00;
  check_list (&f, "0+4194304:0");
}

/* Expected extents worked out by hand: entries 512 to 1023 of 1200 are in one
 * block with entry 600. */
static void
test_bad_table (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 512, 0, 1200 * CLUSTER_BITS, 1200);
  for (guint64 i = 0; i < 1200; i++)
    put_entry (&f, i, 1);
  f.naive.bad_start = TABLE_OFFSET + 600 * 8 + 7;
  f.naive.bad_end = f.naive.bad_start + 1;
  check_list (&f, "0+2097152:1 2097152+2097152:3 4194304+720896:1");
}

/* Zeroes before an unreadable entry do not change the result. */
static void
test_bad_table_after_zeroes (void)
{
  for (guint64 bad = 0; bad < 1400; bad += 57)
    {
      g_auto (Fixture) f = { 0 };

      fixture_init (&f, 512, 0, 1400 * CLUSTER_BITS, 1400);
      put_entry (&f, 3, 1);
      put_entry (&f, 700, 1);
      f.naive.bad_start = TABLE_OFFSET + bad * 8;
      f.naive.bad_end = f.naive.bad_start + 1;
      check (&f);
      check_range (&f, 10 * CLUSTER_BITS, 1000 * CLUSTER_BITS);
    }
}

static void
test_all_bad (void)
{
  g_auto (Fixture) f = { 0 };

  init_two_clusters (&f, DATA_OFFSET + 512);
  f.naive.bad_end = G_MAXUINT64;
  check_list (&f, "0+4194304:3");
}

/* The table ends before the disk does. */
static void
test_short_table (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 512, 9, 3 * 2097152 + 5, 2);
  put_entry (&f, 1, 1);
  check_list (&f, "0+2097152:0 2097152+2097152:1 4194304+2097157:3");
  check_range (&f, 0, 4194304);
  check_range (&f, 4194304, 1);
  check_range (&f, 4194304 + 2097152, 1);
  f.naive.n_entries = 0;
  check_list (&f, "0+6291461:3");
}

/* Entry 1 crosses the end of the file. */
static void
test_table_after_file (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 512, 9, 2 * 2097152, 2);
  put_entry (&f, 0, 1);
  f.naive.file_size = TABLE_OFFSET + 15;
  check_list (&f, "0+2097152:1 2097152+2097152:3");
  f.naive.file_size = TABLE_OFFSET + 7;
  check_list (&f, "0+4194304:3");
  f.naive.file_size = TABLE_OFFSET;
  check_list (&f, "0+4194304:3");
  f.naive.file_size = 100;
  check_list (&f, "0+4194304:3");
  f.naive.file_size = TABLE_OFFSET + 16;
  f.naive.table_offset = X (fffffffffffffff8);
  check_list (&f, "0+4194304:3");
}

/* Expected extents worked out by hand: the file has 10 bytes of the data,
 * which are 80 bits. */
static void
test_data_after_file (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 512, 9, 2 * 2097152, 2);
  put_entry (&f, 0, DATA_OFFSET);
  put_entry (&f, 1, X (00fffffffffffe00));
  fill (&f, DATA_OFFSET, 512, 0xff);
  f.naive.file_size = DATA_OFFSET + 10;
  check_list (&f, "0+40960:1 40960+4153344:3");
  f.naive.file_size = DATA_OFFSET;
  check_list (&f, "0+4194304:3");
  f.naive.file_size = DATA_OFFSET + 512;
  check_list (&f, "0+2097152:1 2097152+2097152:3");
}

/* An entry has no data after its own cluster, even if the file continues. */
static void
test_data_before_file_end (void)
{
  for (guint64 more = 0; more < 512; more += 8)
    {
      g_auto (Fixture) f = { 0 };

      fixture_init (&f, 512, 9, 2 * 2097152, 2);
      put_entry (&f, 0, DATA_OFFSET);
      fill (&f, DATA_OFFSET, 512, 0x00);
      fill (&f, DATA_OFFSET + 512, 512, 0xff);
      f.naive.file_size = DATA_OFFSET + 512 + more;
      check_list (&f, "0+4194304:0");
    }
}

/* The bits after the end of the file are in one word with unreadable bytes,
 * which must not be read for these bits. */
static void
test_range_after_file (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 512, 9, 2 * 2097152, 2);
  put_entry (&f, 0, DATA_OFFSET);
  put_entry (&f, 1, 1);
  f.naive.file_size = DATA_OFFSET + 10;
  f.naive.bad_start = DATA_OFFSET + 8;
  f.naive.bad_end = DATA_OFFSET + 10;
  open_file (&f);
  for (guint64 bit = 78; bit < 130; bit++)
    {
      check_range (&f, bit * 512, 512);
      check_range (&f, bit * 512, G_MAXUINT64);
    }
}

/* The data bits of the file are too many to be counted in 64 bits: there are
 * 2^61 bytes from the data on.  That is not an error. */
static void
test_largest_file (void)
{
  g_auto (Fixture) f = { 0 };

  init_two_clusters (&f, DATA_OFFSET);
  fill (&f, DATA_OFFSET, 512, 0xff);
  f.naive.file_size = X (2000000000000000) + DATA_OFFSET;
  check_list (&f, "0+4194304:1");
  f.naive.file_size = G_MAXINT64;
  check_list (&f, "0+4194304:1");
}

/* The file may end after the last byte that has bits of the bitmap. */
static void
test_cut_last_cluster (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 512, 9, 81 * 512 - 1, 1);
  put_entry (&f, 0, DATA_OFFSET);
  fill (&f, DATA_OFFSET, 512, 0xff);
  f.naive.file_size = DATA_OFFSET + 11;
  check_list (&f, "0+41471:1");
  f.naive.file_size = DATA_OFFSET + 10;
  check_list (&f, "0+40960:1 40960+511:3");
}

/* Invalid entries are never clean and never dirty. */
static void
test_wrong_entries (void)
{
  const guint64 raws[] = { 2,
                           3,
                           0x100,
                           0x1fe,
                           0x20001,
                           0x20002,
                           0x20100,
                           X (0100000000000000),
                           X (8000000000000000),
                           X (8000000000000001),
                           X (8000000000020000),
                           G_MAXUINT64 };

  for (gsize i = 0; i < G_N_ELEMENTS (raws); i++)
    {
      g_auto (Fixture) f = { 0 };

      fixture_init (&f, 512, 9, 3 * 2097152, 3);
      put_entry (&f, 1, raws[i]);
      fill (&f, DATA_OFFSET, 512, 0xff);
      check_list (&f, "0+2097152:0 2097152+2097152:3 4194304+2097152:0");
    }
}

/* Nor are they when their data is adjacent to the data of the entry before. */
static void
test_wrong_adjacent (void)
{
  const guint64 wrong[] = { 1, 2, 0x100, X (0100000000000000) };

  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_auto (Fixture) f = { 0 };

      fixture_init (&f, 512, 9, 3 * 2097152, 3);
      put_entry (&f, 0, DATA_OFFSET);
      put_entry (&f, 1, (DATA_OFFSET + 512) | wrong[i]);
      put_entry (&f, 2, DATA_OFFSET + 1024);
      fill (&f, DATA_OFFSET, 1536, 0xff);
      check_list (&f, "0+2097152:1 2097152+2097152:3 4194304+2097152:1");
    }
}

/* Data is not merged with an entry of another kind that is next to it, in the
 * file and in the table: the second cluster is adjacent to offset 0. */
static void
test_data_after_other (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 512, 9, 3 * 2097152, 3);
  put_entry (&f, 0, 1);
  put_entry (&f, 1, 512);
  fill (&f, 512, 512, 0x00);
  check_list (&f, "0+2097152:1 2097152+4194304:0");
  put_entry (&f, 0, DATA_OFFSET | 2);
  put_entry (&f, 1, DATA_OFFSET + 512);
  fill (&f, DATA_OFFSET + 512, 512, 0xff);
  check_list (&f, "0+2097152:3 2097152+2097152:1 4194304+2097152:0");
}

static void
test_unaligned_offset (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 1024, 9, 2 * 4194304, 2);
  put_entry (&f, 0, DATA_OFFSET);
  put_entry (&f, 1, DATA_OFFSET + 512);
  check_list (&f, "0+4194304:0 4194304+4194304:3");
  put_entry (&f, 0, DATA_OFFSET + 512);
  check_list (&f, "0+8388608:3");
}

/* A bitmap whose bits cannot be located, or mean something else. */
static void
test_no_bits (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 512, 64, 1000, 1);
  check_list (&f, "0+1000:3");
  f.naive.granularity_bits = 255;
  check_list (&f, "0+1000:3");
  check_range (&f, 10, 20);
  f.naive.granularity_bits = 9;
  check_list (&f, "0+1000:0");
  f.naive.type = 2;
  check_list (&f, "0+1000:3");
  f.naive.type = 0;
  check_list (&f, "0+1000:3");
  f.naive.type = 1;
  f.naive.table_offset = 0;
  check_list (&f, "0+1000:3");
}

/* A bitmap without a name, because the directory ends early, or an image
 * without a cluster size, is unknown as well. */
static void
test_no_name (void)
{
  g_auto (Fixture) f = { 0 };
  Qcow2ExtentQuery contents = { .image = &f.image, .bitmap = &f.bitmap };
  Qcow2ExtentTotals totals;

  fixture_init (&f, 512, 9, 1000, 1);
  open_file (&f);
  qcow2_extent_query_set_range (&contents, 0, G_MAXUINT64);
  g_assert_true (qcow2_extent_query_count (&contents, &totals, NULL));
  g_assert_cmpuint (totals.unknown, ==, 0);
  f.image.header.cluster_size = QCOW2_ABSENT;
  g_assert_true (qcow2_extent_query_count (&contents, &totals, NULL));
  g_assert_cmpuint (totals.unknown, ==, 1000);
  f.image.header.cluster_size = 512;
  g_clear_pointer (&f.bitmap.name, g_bytes_unref);
  g_assert_true (qcow2_extent_query_count (&contents, &totals, NULL));
  g_assert_cmpuint (totals.unknown, ==, 1000);
}

/* ---- Errors ---- */

/* Sets up F with a bitmap of one entry whose data is unreadable from 0x23005
 * to 0x26000. */
static void
init_bad_data (Fixture *f)
{
  fixture_init (f, 65536, 9, 65536 * 8 * 512, 1);
  put_entry (f, 0, DATA_OFFSET);
  f->naive.bad_start = 0x23005;
  f->naive.bad_end = 0x26000;
  open_file (f);
}

/* Takes as many extents as DATA, a pointer to a guint, allows, then fails. */
static Qcow2Next
stop_after (const Qcow2Extent *extent G_GNUC_UNUSED, gpointer data,
            GError **error)
{
  guint *left = data;

  g_assert_cmpuint (*left, >, 0);
  if (--*left > 0)
    return QCOW2_NEXT_ITEM;

  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND, "enough");
  return QCOW2_NEXT_FAILED;
}

/* Takes as many extents as DATA, a pointer to a guint, allows, then ends the
 * walk. */
static Qcow2Next
end_after (const Qcow2Extent *extent G_GNUC_UNUSED, gpointer data,
           GError **error G_GNUC_UNUSED)
{
  guint *left = data;

  g_assert_cmpuint (*left, >, 0);
  return --*left > 0 ? QCOW2_NEXT_ITEM : QCOW2_NEXT_END;
}

/* Of three unreadable units the first one is reported. */
static void
test_first_error (void)
{
  g_auto (Fixture) f = { 0 };
  g_autoptr (GArray) found = g_array_new (FALSE, FALSE, sizeof (NaiveExtent));
  g_autoptr (GError) unread = NULL;
  Qcow2ExtentTotals totals;

  init_bad_data (&f);
  Qcow2ExtentQuery contents
      = { .image = &f.image, .bitmap = &f.bitmap, .first_error = &unread };
  qcow2_extent_query_set_range (&contents, 0, G_MAXUINT64);
  g_assert_true (
      qcow2_extent_query_walk (&contents, take_extent, found, NULL));
  assert_fatal (unread, QCOW2_ERROR_READ, "0x23000", "FILE-04");

  /* An error that is already stored is kept. */
  const GError *kept = unread;
  f.source->bad_start = 0x20000;
  g_assert_true (qcow2_extent_query_count (&contents, &totals, NULL));
  g_assert_true (unread == kept);
  assert_fatal (unread, QCOW2_ERROR_READ, "0x23000", "FILE-04");
  g_assert_cmpuint (totals.unknown, ==, 6 * 32768 * 512);
}

static void
test_strict_data (void)
{
  g_auto (Fixture) f = { 0 };
  g_autoptr (GArray) found = g_array_new (FALSE, FALSE, sizeof (NaiveExtent));
  g_autoptr (GError) error = NULL;

  init_bad_data (&f);
  Qcow2ExtentQuery contents = { .image = &f.image, .bitmap = &f.bitmap };
  qcow2_extent_query_set_range (&contents, 0, G_MAXUINT64);
  g_assert_false (
      qcow2_extent_query_walk (&contents, take_extent, found, &error));
  assert_fatal (error, QCOW2_ERROR_READ, "0x23000", "FILE-04");
}

static void
test_strict_table (void)
{
  g_auto (Fixture) f = { 0 };
  g_autoptr (GError) error = NULL;
  Qcow2ExtentTotals totals;

  fixture_init (&f, 512, 9, 2 * 2097152, 2);
  f.naive.bad_start = TABLE_OFFSET + 8;
  f.naive.bad_end = TABLE_OFFSET + 9;
  open_file (&f);
  Qcow2ExtentQuery contents = { .image = &f.image, .bitmap = &f.bitmap };
  qcow2_extent_query_set_range (&contents, 0, G_MAXUINT64);
  g_assert_false (qcow2_extent_query_count (&contents, &totals, &error));
  assert_fatal (error, QCOW2_ERROR_READ, "0x1008", "FILE-04");
}

/* The error about an entry that became invalid contains its offset. */
static void
test_strict_entry (void)
{
  g_auto (Fixture) f = { 0 };
  g_autoptr (GError) error = NULL;
  Qcow2ExtentTotals totals;

  fixture_init (&f, 512, 9, 4 * 2097152, 4);
  put_entry (&f, 3, 2);
  open_file (&f);
  Qcow2ExtentQuery contents = { .image = &f.image, .bitmap = &f.bitmap };
  qcow2_extent_query_set_range (&contents, 0, G_MAXUINT64);
  g_assert_false (qcow2_extent_query_count (&contents, &totals, &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_READ);
  g_assert_cmpstr (error->message, ==,
                   "0x1018: bitmap table: entry 3 changed while it was read");
}

/* A caller may pass NULL for the error. */
static void
test_strict_without_error (void)
{
  g_auto (Fixture) f = { 0 };
  guint left = 2;
  Qcow2ExtentTotals totals;

  init_bad_data (&f);
  Qcow2ExtentQuery contents = { .image = &f.image, .bitmap = &f.bitmap };
  qcow2_extent_query_set_range (&contents, 0, G_MAXUINT64);
  g_assert_false (qcow2_extent_query_count (&contents, &totals, NULL));
  g_assert_false (
      qcow2_extent_query_walk (&contents, stop_after, &left, NULL));
  g_assert_cmpuint (left, ==, 2);
}

/* A file that shrinks while it is read is like an unreadable file. */
static void
test_shrunk_file (void)
{
  g_auto (Fixture) f = { 0 };
  g_autoptr (GError) unread = NULL;
  Qcow2ExtentTotals totals;

  fixture_init (&f, 65536, 9, 65536 * 8 * 512, 1);
  put_entry (&f, 0, DATA_OFFSET);
  open_file (&f);
  f.source->end = DATA_OFFSET + 4096 + 1;
  Qcow2ExtentQuery contents
      = { .image = &f.image, .bitmap = &f.bitmap, .first_error = &unread };
  qcow2_extent_query_set_range (&contents, 0, G_MAXUINT64);
  g_assert_true (qcow2_extent_query_count (&contents, &totals, NULL));
  g_assert_cmpuint (totals.clean, ==, 32768 * 512);
  g_assert_cmpuint (totals.unknown, ==, 15 * 32768 * 512);
  assert_fatal (unread, QCOW2_ERROR_READ, "0x21001", "FILE-05");
}

/* The walk can stop at any extent: of bits, of an entry, or unreadable. */
static void
test_stop (void)
{
  for (guint n = 1; n <= 7; n++)
    for (guint lenient = 0; lenient < 2; lenient++)
      {
        g_auto (Fixture) f = { 0 };
        g_autoptr (GError) unread = NULL;
        g_autoptr (GError) error = NULL;
        guint left = n;

        /* Clean, dirty, clean, dirty, clean, dirty or unknown, clean. */
        fixture_init (&f, 512, 9, 5 * 2097152, 5);
        put_entry (&f, 0, DATA_OFFSET);
        put_entry (&f, 1, 1);
        put_entry (&f, 3, lenient ? 2 : 1);
        fill (&f, DATA_OFFSET, 512, 0x00);
        put_bit (&f, DATA_OFFSET, 100, TRUE);
        open_file (&f);
        Qcow2ExtentQuery contents
            = { .image = &f.image,
                .bitmap = &f.bitmap,
                .first_error = lenient ? &unread : NULL };
        qcow2_extent_query_set_range (&contents, 0, G_MAXUINT64);
        g_assert_false (
            qcow2_extent_query_walk (&contents, stop_after, &left, &error));
        g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND);
        g_assert_no_error (unread);
        g_assert_cmpuint (left, ==, 0);

        left = n;
        g_assert_true (
            qcow2_extent_query_walk (&contents, end_after, &left, NULL));
        g_assert_cmpuint (left, ==, 0);
      }
}

/* The walk stops, too, where data becomes readable again. */
static void
test_stop_after_unread (void)
{
  const guint8 bytes[] = { 0x00, 0xff };

  for (gsize i = 0; i < G_N_ELEMENTS (bytes); i++)
    {
      g_auto (Fixture) f = { 0 };
      g_autoptr (GError) unread = NULL;
      g_autoptr (GError) error = NULL;
      guint left = 1;

      init_two_clusters (&f, DATA_OFFSET + 512);
      put_entry (&f, 0, 2);
      fill (&f, DATA_OFFSET + 512, 512, bytes[i]);
      open_file (&f);
      Qcow2ExtentQuery contents
          = { .image = &f.image, .bitmap = &f.bitmap, .first_error = &unread };
      qcow2_extent_query_set_range (&contents, 0, G_MAXUINT64);
      g_assert_false (
          qcow2_extent_query_walk (&contents, stop_after, &left, &error));
      g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND);
    }
}

/* The walk stops, too, when the whole disk is unknown. */
static void
test_stop_no_bits (void)
{
  g_auto (Fixture) f = { 0 };
  g_autoptr (GError) error = NULL;
  guint left = 1;

  fixture_init (&f, 512, 64, 1000, 1);
  open_file (&f);
  Qcow2ExtentQuery contents = { .image = &f.image, .bitmap = &f.bitmap };
  qcow2_extent_query_set_range (&contents, 0, G_MAXUINT64);
  g_assert_false (
      qcow2_extent_query_walk (&contents, stop_after, &left, &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND);

  left = 1;
  g_assert_true (qcow2_extent_query_walk (&contents, end_after, &left, NULL));
}

/* ---- How much is read ---- */

#define MANY_CLUSTER_SIZE (2 * 1024 * 1024)

/* Number of clusters whose data is read at most: 4 GiB. */
#define MANY 2048

/* Sets up F with N data entries that refer to the same cluster, with all bits
 * set, except that the first N_MISSING refer to the end of the file. */
static void
init_many (Fixture *f, guint64 n, guint64 n_missing)
{
  fixture_init (f, MANY_CLUSTER_SIZE, 0, n * MANY_CLUSTER_SIZE * 8, n);
  f->naive.file_size = 2 * MANY_CLUSTER_SIZE;
  for (guint64 i = 0; i < n; i++)
    put_entry (f, i,
               i < n_missing ? 2 * MANY_CLUSTER_SIZE : MANY_CLUSTER_SIZE);
  fill (f, 2 * MANY_CLUSTER_SIZE - 1, 1, 0);
  memset (f->bytes->data + MANY_CLUSTER_SIZE, 0xff, MANY_CLUSTER_SIZE);
  open_file (f);
}

/* Asserts that the size of the range is rejected with MESSAGE, or accepted
 * when that is NULL, and that no data is read. */
static void
check_limit (Fixture *f, guint64 start, guint64 max_length,
             const char *message)
{
  Qcow2ExtentQuery contents = { .image = &f->image, .bitmap = &f->bitmap };
  g_autoptr (GError) error = NULL;

  f->source->n_bytes = 0;
  qcow2_extent_query_set_range (&contents, start, max_length);
  const gboolean fits = qcow2_extent_query_verify_size (&contents, &error);
  g_assert_cmpstr (error != NULL ? error->message : NULL, ==, message);
  g_assert_cmpint (fits, ==, message == NULL);
  g_assert_cmpuint (f->source->n_bytes, <, MANY_CLUSTER_SIZE);
  if (!fits)
    g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_LIMIT);
}

static void
test_check_size (void)
{
  const guint64 entry = MANY_CLUSTER_SIZE * G_GUINT64_CONSTANT (8);
  g_auto (Fixture) most = { 0 };
  g_auto (Fixture) more = { 0 };
  const char *const message
      = "0x5000: bitmap table: data from entry 2048 on is not read: the limit "
        "is 4294967296 bytes";

  init_many (&most, MANY, 0);
  check_limit (&most, 0, G_MAXUINT64, NULL);
  init_many (&more, MANY + 1, 0);
  check_limit (&more, 0, G_MAXUINT64, message);
  check_limit (&more, 0, MANY * entry, NULL);
  check_limit (&more, 0, MANY * entry + 1, message);
  check_limit (&more, entry, G_MAXUINT64, NULL);
  check_limit (&more, entry - 1, G_MAXUINT64, message);
  check_limit (&more, 0, 0, NULL);

  /* Entries without data do not count. */
  put_entry (&more, 7, 1);
  open_file (&more);
  check_limit (&more, 0, G_MAXUINT64, NULL);
}

/* The counts of an examination are used, instead of the table. */
static void
test_check_size_counted (void)
{
  g_auto (Fixture) f = { 0 };

  init_many (&f, MANY + 1, 0);
  f.bitmap.result.has_counts = TRUE;
  f.bitmap.result.counts.serialized = MANY;
  check_limit (&f, 0, G_MAXUINT64, NULL);
  g_assert_cmpuint (f.source->n_bytes, ==, 0);
  f.bitmap.result.counts.serialized = MANY + 1;
  check_limit (
      &f, 0, G_MAXUINT64,
      "0x5000: bitmap table: data from entry 2048 on is not read: the "
      "limit is 4294967296 bytes");
}

/* Entries before the last one have unreadable data, but count for the limit:
 * the last one is read if all entries together are within the limit. */
static void
test_limit (void)
{
  const guint64 entry = MANY_CLUSTER_SIZE * G_GUINT64_CONSTANT (8);

  for (guint too_many = 0; too_many < 2; too_many++)
    {
      const guint64 n = MANY + too_many;
      g_auto (Fixture) f = { 0 };
      g_autoptr (GError) unread = NULL;
      Qcow2ExtentTotals totals;

      init_many (&f, n, n - 1);
      Qcow2ExtentQuery contents
          = { .image = &f.image, .bitmap = &f.bitmap, .first_error = &unread };
      qcow2_extent_query_set_range (&contents, 0, G_MAXUINT64);
      g_assert_true (qcow2_extent_query_count (&contents, &totals, NULL));
      g_assert_cmpuint (totals.clean, ==, 0);
      g_assert_cmpuint (totals.dirty, ==, too_many ? 0 : entry);
      g_assert_cmpuint (totals.unknown, ==, n * entry - totals.dirty);
      if (too_many)
        g_assert_cmpstr (
            unread->message, ==,
            "0x5000: bitmap table: data from entry 2048 on is not "
            "read: the limit is 4294967296 bytes");
      else
        g_assert_no_error (unread);
    }
}

/* ---- States ---- */

/* Expected extents worked out by hand: one bit of data, ones, zeroes, and an
 * entry with a reserved bit.  In the states in which a clear bit is unknown,
 * the zeroes and the invalid entry are one extent. */
static void
test_states (void)
{
  static const struct
  {
    Qcow2BitmapState state;
    guint64 clear;
    const char *extents;
  } cases[] = {
    { QCOW2_BITMAP_STATE_ENABLED, NAIVE_CLEAN,
      "0+51200:0 51200+512:1 51712+2045440:0 2097152+2097152:1 "
      "4194304+2097152:0 6291456+2097152:3 8388608+2097152:0" },
    { QCOW2_BITMAP_STATE_DISABLED, NAIVE_CLEAN,
      "0+51200:0 51200+512:1 51712+2045440:0 2097152+2097152:1 "
      "4194304+2097152:0 6291456+2097152:3 8388608+2097152:0" },
    { QCOW2_BITMAP_STATE_IN_USE, NAIVE_UNKNOWN,
      "0+51200:3 51200+512:1 51712+2045440:3 2097152+2097152:1 "
      "4194304+6291456:3" },
    { QCOW2_BITMAP_STATE_STALE, NAIVE_UNKNOWN,
      "0+51200:3 51200+512:1 51712+2045440:3 2097152+2097152:1 "
      "4194304+6291456:3" },
    { QCOW2_BITMAP_STATE_DAMAGED, NAIVE_UNKNOWN,
      "0+51200:3 51200+512:1 51712+2045440:3 2097152+2097152:1 "
      "4194304+6291456:3" },
    { QCOW2_BITMAP_STATE_UNKNOWN, NAIVE_UNKNOWN,
      "0+51200:3 51200+512:1 51712+2045440:3 2097152+2097152:1 "
      "4194304+6291456:3" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_auto (Fixture) f = { 0 };

      fixture_init (&f, 512, 9, 5 * 2097152, 5);
      set_state (&f, cases[i].state, cases[i].clear);
      put_entry (&f, 0, DATA_OFFSET);
      put_entry (&f, 1, 1);
      put_entry (&f, 3, 2);
      fill (&f, DATA_OFFSET, 512, 0x00);
      put_bit (&f, DATA_OFFSET, 100, TRUE);
      check_list (&f, cases[i].extents);
    }
}

/* A bitmap without any set bit proves nothing, in any range. */
static void
test_state_all_zeroes (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 512, 9, 5 * 2097152, 5);
  set_state (&f, QCOW2_BITMAP_STATE_STALE, NAIVE_UNKNOWN);
  check_list (&f, "0+10485760:3");
  check_range (&f, 1000, 3000);
}

/* ---- At random ---- */

static guint64
random_below (guint64 n)
{
  const guint64 high = (guint64) (guint32) g_test_rand_int ();

  return (high << 32 | (guint32) g_test_rand_int ()) % n;
}

/* Returns an entry of a random kind; invalid entries are rare. */
static guint64
make_random_entry (guint64 i, guint64 cluster_size)
{
  const guint64 n_clusters = (FILE_SIZE - DATA_OFFSET) / cluster_size;

  switch (random_below (40))
    {
    case 0:
      return G_GUINT64_CONSTANT (1) << random_below (64);
    case 1:
      return DATA_OFFSET + random_below (n_clusters) * cluster_size + 512;
    case 2:
      return FILE_SIZE - cluster_size + random_below (3) * cluster_size;
    default:
      break;
    }

  switch (random_below (4))
    {
    case 0:
      return 0;
    case 1:
      return 1;
    case 2:
      return DATA_OFFSET + random_below (n_clusters) * cluster_size;
    default:
      return DATA_OFFSET + i % n_clusters * cluster_size;
    }
}

/* Fills the data with runs of equal bytes and of random bytes in turn. */
static void
fill_at_random (Fixture *f)
{
  guint64 at = DATA_OFFSET;

  while (at < FILE_SIZE)
    {
      const guint64 length = 1 + random_below (1200);
      const guint64 n = MIN (length, FILE_SIZE - at);
      const guint8 bytes[] = { 0x00, 0xff, 0x00, 0xff, 0x55, 0x80, 0x01 };
      const guint64 kind = random_below (G_N_ELEMENTS (bytes) + 1);

      for (guint64 i = 0; i < n; i++)
        f->bytes->data[at + i] = kind < G_N_ELEMENTS (bytes)
                                     ? bytes[kind]
                                     : (guint8) random_below (256);
      at += n;
    }
}

/* Makes some files end early, and parts of some files unreadable. */
static void
damage_at_random (Fixture *f)
{
  const guint64 table_size = f->naive.n_entries * 8;

  f->naive.file_size = FILE_SIZE;
  if (random_below (4) == 0)
    f->naive.file_size = DATA_OFFSET + random_below (FILE_SIZE - DATA_OFFSET);
  if (random_below (20) == 0)
    f->naive.file_size = TABLE_OFFSET + random_below (table_size + 1);

  f->naive.bad_start = 0;
  f->naive.bad_end = 0;
  if (random_below (2) == 0)
    return;

  f->naive.bad_start = random_below (4) == 0
                           ? TABLE_OFFSET + random_below (table_size)
                           : DATA_OFFSET + random_below (FILE_SIZE / 4);
  f->naive.bad_end = f->naive.bad_start + 1
                     + (random_below (2) == 0 ? random_below (9000) : 0);
}

static void
check_at_random (Fixture *f)
{
  const gboolean is_long = random_below (12) == 0;
  const guint64 n_entries = 1 + random_below (is_long ? 1300 : 12);
  const guint64 cluster_size = G_GUINT64_CONSTANT (512)
                               << random_below (is_long ? 1 : 5);
  const guint granularity_bits
      = (guint) random_below (random_below (4) == 0 ? 40 : 4);
  const guint64 n_bits = n_entries * cluster_size * 8;
  const gboolean sparse = random_below (3) == 0;
  const gboolean sound = random_below (3) > 0;

  set_state (f, sound ? QCOW2_BITMAP_STATE_ENABLED : QCOW2_BITMAP_STATE_IN_USE,
             sound ? NAIVE_CLEAN : NAIVE_UNKNOWN);
  f->naive.cluster_size = cluster_size;
  f->naive.n_entries = n_entries;
  f->naive.granularity_bits = granularity_bits;
  f->naive.virtual_size
      = ((n_bits - random_below (cluster_size * 8)) << granularity_bits)
        - random_below (G_GUINT64_CONSTANT (1) << granularity_bits);
  f->max_read = random_below (8) == 0 ? 1 + random_below (5000) : 0;
  for (guint64 i = 0; i < n_entries; i++)
    put_entry (f, i,
               sparse && random_below (100) > 0
                   ? 0
                   : make_random_entry (i, cluster_size));
  if (random_below (10) == 0)
    f->naive.n_entries -= random_below (n_entries);
  damage_at_random (f);

  check (f);
  for (guint i = 0; i < 4; i++)
    {
      const guint64 start = random_below (f->naive.virtual_size + 1);

      check_range (f, start, random_below (f->naive.virtual_size + 1));
      check_range (f, start, random_below (1000) << granularity_bits);
    }
}

static void
test_random (void)
{
  const guint n_files = RUNNING_SLOWLY ? 3 : 20;
  const guint n_bitmaps = RUNNING_SLOWLY ? 3 : 10;

  for (guint i = 0; i < n_files; i++)
    {
      g_auto (Fixture) f = { 0 };

      fixture_init (&f, 512, 0, 1, 1);
      fill (&f, FILE_SIZE - 1, 1, 0);
      fill_at_random (&f);
      for (guint j = 0; j < n_bitmaps; j++)
        check_at_random (&f);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/contents/bits/every-other", test_every_other);
  g_test_add_func ("/contents/bits/borders", test_borders);
  g_test_add_func ("/contents/bits/one", test_one_bit);
  g_test_add_func ("/contents/entries/mixes", test_entry_mixes);
  g_test_add_func ("/contents/entries/merge", test_merge);
  g_test_add_func ("/contents/entries/long", test_long_table);
  g_test_add_func ("/contents/entries/cut-window", test_cut_window);
  g_test_add_func ("/contents/entries/read-at-once",
                   test_adjacent_is_read_at_once);
  g_test_add_func ("/contents/size/beyond", test_beyond_size);
  g_test_add_func ("/contents/size/none", test_empty_disk);
  g_test_add_func ("/contents/size/all", test_sizes);
  g_test_add_func ("/contents/size/coarsest", test_coarsest);
  g_test_add_func ("/contents/range/set", test_set_range);
  g_test_add_func ("/contents/range/all", test_ranges);
  g_test_add_func ("/contents/range/reads-little", test_range_reads_little);
  g_test_add_func ("/contents/range/longest-table", test_longest_table);
  g_test_add_func ("/contents/unread/data", test_bad_data);
  g_test_add_func ("/contents/unread/data-range", test_bad_data_range);
  g_test_add_func ("/contents/unread/data-unaligned", test_bad_data_unaligned);
  g_test_add_func ("/contents/unread/table", test_bad_table);
  g_test_add_func ("/contents/unread/table-after-zeroes",
                   test_bad_table_after_zeroes);
  g_test_add_func ("/contents/unread/all", test_all_bad);
  g_test_add_func ("/contents/unread/shrunk-file", test_shrunk_file);
  g_test_add_func ("/contents/unread/first-error", test_first_error);
  g_test_add_func ("/contents/missing/table", test_short_table);
  g_test_add_func ("/contents/missing/table-after-file",
                   test_table_after_file);
  g_test_add_func ("/contents/missing/data-after-file", test_data_after_file);
  g_test_add_func ("/contents/missing/little", test_data_before_file_end);
  g_test_add_func ("/contents/missing/range", test_range_after_file);
  g_test_add_func ("/contents/missing/none", test_largest_file);
  g_test_add_func ("/contents/missing/cut-last-cluster",
                   test_cut_last_cluster);
  g_test_add_func ("/contents/wrong/entries", test_wrong_entries);
  g_test_add_func ("/contents/wrong/adjacent", test_wrong_adjacent);
  g_test_add_func ("/contents/entries/after-other", test_data_after_other);
  g_test_add_func ("/contents/wrong/unaligned", test_unaligned_offset);
  g_test_add_func ("/contents/wrong/no-bits", test_no_bits);
  g_test_add_func ("/contents/wrong/no-name", test_no_name);
  g_test_add_func ("/contents/strict/data", test_strict_data);
  g_test_add_func ("/contents/strict/table", test_strict_table);
  g_test_add_func ("/contents/strict/entry", test_strict_entry);
  g_test_add_func ("/contents/strict/without-error",
                   test_strict_without_error);
  g_test_add_func ("/contents/stop/any", test_stop);
  g_test_add_func ("/contents/stop/after-unread", test_stop_after_unread);
  g_test_add_func ("/contents/stop/no-bits", test_stop_no_bits);
  g_test_add_func ("/contents/limit/check", test_check_size);
  g_test_add_func ("/contents/limit/counted", test_check_size_counted);
  g_test_add_func ("/contents/limit/unread", test_limit);
  g_test_add_func ("/contents/state/each", test_states);
  g_test_add_func ("/contents/state/all-zeroes", test_state_all_zeroes);
  g_test_add_func ("/contents/random", test_random);
  return g_test_run ();
}
