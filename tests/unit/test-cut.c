/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images that end at each byte of their metadata, or that shrink to it while
 * they are read.  The parts that are present must be shown, and the missing
 * parts reported.  The offsets where a part becomes complete were worked out
 * by hand from the layouts. */

#include "config.h"

#include "oracle/drive.h"

#include "test-util.h"

/* The most extensions and bitmaps that an image here has. */
#define MAX_ITEMS 4

/* The parts that a truncated image still contains.  Each offset is the length
 * in bytes that a file needs for the part to be complete. */
typedef struct
{
  const char *path;
  const char *base;
  const char *patch;
  guint64 header;                /* the header: the image can be opened */
  guint64 extensions[MAX_ITEMS]; /* the magic and length of each */
  guint64 features;              /* start of the rows of the feature table */
  guint n_features;
  guint64 bitmaps[MAX_ITEMS]; /* the fixed fields of each directory entry */
  guint64 names[MAX_ITEMS];   /* the name of each directory entry */
  guint64 table;              /* start of the first bitmap's table */
  guint n_rows;
  guint64 sound_end; /* at this length and above there are no errors */
  guint64 cuts[8];   /* pairs: truncate to each length from here to there */
} Row;

/* The results of the readers. */
typedef struct
{
  gboolean was_opened;
  guint n_extensions;
  guint n_features;
  guint n_bitmaps;
  guint n_names;
  guint64 n_rows; /* of the first bitmap's table */
} Sight;

/* The table of the bitmap in four-entries and the last data cluster, moved to
 * the end of the file by the patches below. */
#define TABLE_LAST                                                            \
  "0x12800:0000000000012a00 0x12a00:0000000000012000 "                        \
  "0x12a08:0000000000000000 0x12a10:0000000000012200 "                        \
  "0x12a18:0000000000012400"
#define DATA_LAST "0x12618:0000000000012a00 size=0x12c00"

/* clang-format off */
static const Row rows[] = {
  { .path = "two-bitmaps", .base = "two-bitmaps", .header = 104,
    .extensions = { 0x78, 0x200 }, .features = 0x78, .n_features = 8,
    .bitmaps = { 0x2c0018, 0x2c0038 }, .names = { 0x2c001b, 0x2c003b },
    .table = 0x2a0000, .n_rows = 1, .sound_end = 0x2c003b,
    .cuts = { 0, 0x221, 0x28fff0, 0x290010, 0x29fff0, 0x2a0010,
              0x2bfff0, 0x2c0041 } },
  { .path = "four-entries", .base = "four-entries", .header = 104,
    .extensions = { 0x78 },
    .bitmaps = { 0x12818 }, .names = { 0x1281c },
    .table = 0x12600, .n_rows = 4, .sound_end = 0x1281c,
    .cuts = { 0, 0xa0, 0x125f0, 0x12821 } },
  /* The L1 table entry at 0x30000 is the last structure that QEMU needs. */
  { .path = "version-2", .base = "version-2", .header = 72,
    .sound_end = 0x30008,
    .cuts = { 0, 0x70, 0xfff0, 0x10010, 0x30000, 0x30009 } },
  { .path = "backing-file-with-format", .base = "backing-file-with-format",
    .header = 104,
    .extensions = { 0x78, 0x88 }, .features = 0x88, .n_features = 8,
    .sound_end = 0x30008, .cuts = { 0, 0x230, 0x30000, 0x30009 } },
  /* The LUKS header is at the end. */
  { .path = "luks", .base = "luks", .header = 104,
    .extensions = { 0x78, 0x90 }, .features = 0x90, .n_features = 8,
    .sound_end = 2330624,
    .cuts = { 0, 0x220, 0x3fff0, 0x40010, 2330600, 2330625 } },
  { .path = "table", .base = "four-entries", .patch = TABLE_LAST,
    .header = 104, .extensions = { 0x78 },
    .bitmaps = { 0x12818 }, .names = { 0x1281c },
    .table = 0x12a00, .n_rows = 4, .sound_end = 0x12a20,
    .cuts = { 0x12800, 0x12a21 } },
  /* All 512 bytes of the last cluster are in use. */
  { .path = "data", .base = "four-entries", .patch = DATA_LAST, .header = 104,
    .extensions = { 0x78 },
    .bitmaps = { 0x12818 }, .names = { 0x1281c },
    .table = 0x12600, .n_rows = 4, .sound_end = 0x12c00,
    .cuts = { 0x12600, 0x12c01 } },
};
/* clang-format on */

static void
look_at_extensions (Qcow2Image *image, Sight *sight)
{
  if (!image->has_extensions)
    return;

  g_autoptr (Qcow2ExtensionWalk) walk
      = qcow2_extension_walk_new (image->source, &image->header);
  g_auto (Qcow2Extension) extension = { 0 };
  g_autoptr (GError) error = NULL;

  while (qcow2_extension_walk_next (walk, &extension, &error)
         == QCOW2_NEXT_ITEM)
    {
      sight->n_extensions++;
      if (extension.magic == QCOW2_EXTENSION_FEATURES)
        sight->n_features = qcow2_extension_get_n_features (&extension);
    }
  g_assert_no_error (error);
}

static void
look_at_bitmaps (Qcow2Image *image, Sight *sight)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Qcow2Directory) directory = qcow2_directory_open (image, &error);
  g_auto (Qcow2Bitmap) bitmap = { 0 };

  g_assert_no_error (error);
  while (qcow2_directory_next (directory, &bitmap, &error) == QCOW2_NEXT_ITEM)
    {
      const Qcow2Table table = qcow2_image_get_table (image, &bitmap);
      if (sight->n_bitmaps == 0)
        sight->n_rows = qcow2_table_get_n_readable (&table);
      sight->n_bitmaps++;
      if (bitmap.name != NULL)
        sight->n_names++;
    }
  g_assert_no_error (error);
}

static Sight
look (FakeSource *source)
{
  Sight sight = { .was_opened = FALSE };
  g_autoptr (GError) error = NULL;
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  g_autoptr (Qcow2Image) image
      = qcow2_image_open_checked (&source->base, findings, &error);

  if (image == NULL)
    return sight;

  sight.was_opened = TRUE;
  look_at_extensions (image, &sight);
  look_at_bitmaps (image, &sight);
  return sight;
}

/* Returns how many of ENDS are at or before LEN. */
static guint
count_up_to (const guint64 *ends, guint64 len)
{
  guint n = 0;

  for (guint i = 0; i < MAX_ITEMS; i++)
    n += ends[i] != 0 && ends[i] <= len ? 1 : 0;

  return n;
}

/* Returns how many of the N items of SIZE bytes from START on are complete in
 * LEN bytes. */
static guint64
count_whole (guint64 start, guint size, guint n, guint64 len)
{
  return start == 0 || len < start ? 0 : MIN (n, (len - start) / size);
}

static Sight
expected_sight (const Row *row, guint64 len)
{
  Sight sight = { .was_opened = len >= row->header };

  if (!sight.was_opened)
    return sight;

  sight.n_extensions = count_up_to (row->extensions, len);
  sight.n_features
      = (guint) count_whole (row->features, 48, row->n_features, len);
  sight.n_bitmaps = count_up_to (row->bitmaps, len);
  sight.n_names = count_up_to (row->names, len);
  if (sight.n_bitmaps > 0)
    sight.n_rows = count_whole (row->table, 8, row->n_rows, len);
  return sight;
}

static char *
sight_text (const Row *row, guint64 len, const Sight *sight)
{
  return g_strdup_printf (
      "%s cut to 0x%" G_GINT64_MODIFIER "x: opened %d, %u extensions, "
      "%u features, %u bitmaps, %u names, %" G_GUINT64_FORMAT " rows",
      row->path, len, sight->was_opened, sight->n_extensions,
      sight->n_features, sight->n_bitmaps, sight->n_names, sight->n_rows);
}

static void
check_sight (const Row *row, guint64 len, const Sight *sight)
{
  const Sight wanted = expected_sight (row, len);
  g_autofree char *wanted_text = sight_text (row, len, &wanted);
  g_autofree char *text = sight_text (row, len, sight);

  g_assert_cmpstr (text, ==, wanted_text);
}

/* Shows an image that is truncated to LEN bytes. */
static void
cut (const Row *row, const Image *image, guint64 len)
{
  const DriveOptions options = { .twice = TRUE };
  FakeSource *source = fake_source_new (image->bytes, len);
  const Sight sight = look (fake_source_new (image->bytes, len));
  const DriveResult result = drive (&source->base, &options);

  check_sight (row, len, &sight);
  g_assert_false (result.read_failed);
  if (result.was_opened && (result.n_errors == 0) != (len >= row->sound_end))
    g_error ("%s cut to 0x%" G_GINT64_MODIFIER "x: %" G_GUINT64_FORMAT
             " errors",
             row->path, len, result.n_errors);
  byte_source_free (&source->base);
}

/* Shows an image that has shrunk to LEN bytes when it is read.  The program
 * must not take missing bytes for present, whether a read asks for them ahead
 * or by themselves: a read fails, or the output is the same as for the whole
 * image. */
static void
shrink (const Image *image, guint64 len, guint64 whole)
{
  FakeSource *source = fake_source_new (image->bytes, image->size);

  source->end = len;
  const DriveResult result = drive (&source->base, NULL);
  if (!result.read_failed && result.digest != whole)
    g_error ("a file that shrinks to 0x%" G_GINT64_MODIFIER
             "x is taken for whole",
             len);
  byte_source_free (&source->base);
}

static guint64
get_whole (const Image *image)
{
  FakeSource *source = fake_source_new (image->bytes, image->size);
  const DriveResult result = drive (&source->base, NULL);

  g_assert_cmpuint (result.n_errors, ==, 0);
  byte_source_free (&source->base);
  return result.digest;
}

static void
test_cut (gconstpointer data)
{
  const Row *row = data;
  const guint step = RUNNING_SLOWLY ? 41 : RUNNING_SANITIZED ? 3 : 1;
  g_autoptr (Image) image = build_patched (row->base, row->patch);

  for (guint i = 0; i < G_N_ELEMENTS (row->cuts); i += 2)
    {
      for (guint64 len = row->cuts[i]; len < row->cuts[i + 1]; len += step)
        cut (row, image, MIN (len, image->size));
    }
}

static void
test_shrink (gconstpointer data)
{
  const Row *row = data;
  const guint step = RUNNING_SLOWLY ? 41 : RUNNING_SANITIZED ? 3 : 1;
  g_autoptr (Image) image = build_patched (row->base, row->patch);
  const guint64 whole = get_whole (image);

  for (guint i = 0; i < G_N_ELEMENTS (row->cuts); i += 2)
    {
      for (guint64 len = row->cuts[i]; len < row->cuts[i + 1]; len += step)
        shrink (image, MIN (len, image->size), whole);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *cut_path = g_strdup_printf ("/cut/%s", rows[i].path);
      g_autofree char *shrink_path
          = g_strdup_printf ("/shrink/%s", rows[i].path);

      g_test_add_data_func (cut_path, &rows[i], test_cut);
      g_test_add_data_func (shrink_path, &rows[i], test_shrink);
    }

  return g_test_run ();
}
