/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The corpus: sound and damaged images, by name.  A damaged image is a row
 * that names another image and a patch in the notation of image_patch (). */

#include "config.h"

#include "image-builder.h"

#include <string.h>

typedef struct
{
  const char *name;
  const char *base;
  const char *sentence;
  const char *patch;
  void (*edit) (Image *image); /* applied before the patch; NULL: none */
} Row;

/* clang-format off */
/* Directory entries for base two-bitmaps in hexadecimal: bm0 up to its name,
 * and a whole bm1 that is disabled and has the granularity of bm0. */
#define BM0(flags, name_size, extra_data_size)                                \
  "00000000002a0000" "00000001" flags "0110" name_size extra_data_size
#define BM1                                                                   \
  "00000000002b0000" "00000001" "00000000" "0110" "0003" "00000000"           \
  "626d310000000000"
/* bm0 under another name, which fills 8, 16 or 24 bytes with its padding. */
#define NAME_8(name_size, name)                                               \
  "0x2c0000:" BM0 ("00000002", name_size, "00000000") name BM1
#define NAME_16(name_size, name)                                              \
  NAME_8 (name_size, name) " 0x208:0000000000000048"
#define NAME_24(name_size, name)                                              \
  NAME_8 (name_size, name) " 0x208:0000000000000050"

/* clang-format on */
/* Where the edits below put their own directory. */
#define NEW_DIRECTORY 0x300000u
#define N_MANY 65535u

static void
put_new_directory (Image *image, guint64 n_bitmaps, guint64 size)
{
  image_put_be (image, 0x200, 4, n_bitmaps);
  image_put_be (image, 0x208, 8, size);
  image_put_be (image, 0x210, 8, NEW_DIRECTORY);
}

/* Repeats bm0 in a new directory, under names of eight digits. */
static void
put_many_bitmaps (Image *image, guint32 table_size, guint number_step)
{
  for (guint i = 0; i < N_MANY; i++)
    {
      guint64 at = NEW_DIRECTORY + 32 * (guint64) i;
      char name[9];

      g_snprintf (name, sizeof name, "%08u", i * number_step);
      image_put_be (image, at, 8, 0x2a0000);
      image_put_be (image, at + 8, 4, table_size);
      image_put_be (image, at + 16, 4, 0x01100008);
      image_put_bytes (image, at + 24, name, 8);
    }

  put_new_directory (image, N_MANY, 32 * N_MANY);
}

static void
edit_shared_table (Image *image)
{
  put_many_bitmaps (image, 1, 1);
}

static void
edit_shared_long_table (Image *image)
{
  put_many_bitmaps (image, 0x2000, 1);
}

static void
edit_same_name (Image *image)
{
  put_many_bitmaps (image, 1, 0);
}

/* Moves both bitmaps to a new directory; the first name has SIZE bytes. */
static void
put_long_name (Image *image, guint size)
{
  g_autofree char *name = g_strnfill (size, 'n');
  guint64 entry_size = (24 + (guint64) size + 7) / 8 * 8;
  guint64 second = NEW_DIRECTORY + entry_size;

  image_put_be (image, NEW_DIRECTORY, 8, 0x2a0000);
  image_put_be (image, NEW_DIRECTORY + 8, 8, 0x0000000100000002);
  image_put_be (image, NEW_DIRECTORY + 16, 2, 0x0110);
  image_put_be (image, NEW_DIRECTORY + 18, 2, size);
  image_put_bytes (image, NEW_DIRECTORY + 24, name, size);
  image_put_be (image, second, 8, 0x2b0000);
  image_put_be (image, second + 8, 8, 0x0000000100000002);
  image_put_be (image, second + 16, 4, 0x010f0003);
  image_put_bytes (image, second + 24, "bm1\0\0\0\0\0", 8);
  put_new_directory (image, 2, entry_size + 32);
  /* The refcounts of the clusters of the old directory and the new one. */
  image_put_be (image, 0x20000 + 2 * 0x2c, 2, 0);
  image_put_be (image, 0x20000 + 2 * 0x30, 2, 1);
  if (entry_size + 32 > 0x10000)
    image_put_be (image, 0x20000 + 2 * 0x31, 2, 1);
}

static void
edit_name_1023 (Image *image)
{
  put_long_name (image, 1023);
}

static void
edit_name_65535 (Image *image)
{
  put_long_name (image, 65535);
}

/* Builds sound bitmaps, each with its own table; every second one has data. */
static void
edit_many_bitmaps (Image *image)
{
  const guint n = 1000;
  const guint8 data[] = { 0x01 };
  g_autofree BitmapSpec *bitmaps = g_new0 (BitmapSpec, n);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < n; i++)
    {
      g_ptr_array_add (names, g_strdup_printf ("bitmap-%u", i));
      bitmaps[i].name = g_ptr_array_index (names, i);
      bitmaps[i].flags = i % 3 == 0 ? 2 : 0;
      bitmaps[i].type = 1;
      bitmaps[i].granularity_bits = (guint8) (16 + i % 4);
      bitmaps[i].data = data;
      bitmaps[i].data_size = i % 2;
    }

  const ImageSpec spec = { .cluster_bits = 12,
                           .size = 64 * 1024 * 1024,
                           .bitmaps = bitmaps,
                           .n_bitmaps = n };
  g_autoptr (Image) built = image_build_spec (&spec);

  image_truncate (image, 0);
  image_put_bytes (image, 0, built->bytes->data, built->bytes->len);
  image_truncate (image, built->size);
}

/* Every row is another name for the unknown incompatible bit 63. */
static void
edit_many_features (Image *image)
{
  const guint n_rows = 1361;

  image_put_be (image, 0x48, 8, G_GUINT64_CONSTANT (1) << 63);
  image_put_be (image, 0x70, 4, 0x6803f857);
  image_put_be (image, 0x74, 4, 48 * n_rows);
  for (guint i = 0; i < n_rows; i++)
    image_put_bytes (image, 0x78 + 48 * (guint64) i, "\0\77again", 7);
}

/* clang-format off */
static const Row rows[] = {
#include "image-rows.h"
};
/* clang-format on */

static const ImageBase *
find_base (const char *name)
{
  for (const ImageBase *base = image_bases; base->name != NULL; base++)
    if (strcmp (base->name, name) == 0)
      return base;

  return NULL;
}

static const ImageLarge *
find_large (const char *name)
{
  for (const ImageLarge *large = image_large; large->name != NULL; large++)
    if (strcmp (large->name, name) == 0)
      return large;

  return NULL;
}

static const Row *
find_row (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    if (strcmp (rows[i].name, name) == 0)
      return &rows[i];

  return NULL;
}

gboolean
image_name_exists (const char *name)
{
  return find_base (name) != NULL || find_large (name) != NULL
         || find_row (name) != NULL;
}

Image *
image_build (const char *name)
{
  const ImageBase *base = find_base (name);

  if (base != NULL)
    return image_build_spec (&base->spec);

  const ImageLarge *large = find_large (name);

  if (large != NULL)
    return large->build ();

  const Row *row = find_row (name);

  if (row == NULL)
    g_error ("no image is named '%s'", name);

  g_autoptr (Image) image = image_build (row->base);

  if (row->edit != NULL)
    row->edit (image);
  if (row->patch != NULL)
    image_patch (image, row->patch);

  return g_steal_pointer (&image);
}

GBytes *
image_build_bytes (const char *name)
{
  g_autoptr (Image) image = image_build (name);

  return image_get_bytes (image);
}

ImageName *
image_list_names (void)
{
  GArray *names = g_array_new (TRUE, TRUE, sizeof (ImageName));

  for (const ImageBase *base = image_bases; base->name != NULL; base++)
    {
      ImageName name = { base->name, base->sentence, NULL };

      g_array_append_val (names, name);
    }
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      ImageName name = { rows[i].name, rows[i].sentence, rows[i].base };

      g_array_append_val (names, name);
    }

  return (ImageName *) (gpointer) g_array_free (names, FALSE);
}
