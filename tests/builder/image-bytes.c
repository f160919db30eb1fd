/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bytes of a test image, and patches to the bytes in text form. */

#include "config.h"

#include "image-builder.h"

#include <string.h>

/* More than any image of the corpus has, and far less than some images claim
 * to have. */
#define MAX_BYTES (64 * 1024 * 1024)

/* A field of a structure: its name in the specification, its offset in the
 * structure and its width in bytes. */
typedef struct
{
  const char *name;
  guint offset;
  guint width;
} Field;

static const Field header_fields[] = {
  { "magic", 0, 4 },
  { "version", 4, 4 },
  { "backing_file_offset", 8, 8 },
  { "backing_file_size", 16, 4 },
  { "cluster_bits", 20, 4 },
  { "size", 24, 8 },
  { "crypt_method", 32, 4 },
  { "l1_size", 36, 4 },
  { "l1_table_offset", 40, 8 },
  { "refcount_table_offset", 48, 8 },
  { "refcount_table_clusters", 56, 4 },
  { "nb_snapshots", 60, 4 },
  { "snapshots_offset", 64, 8 },
  { "incompatible_features", 72, 8 },
  { "compatible_features", 80, 8 },
  { "autoclear_features", 88, 8 },
  { "refcount_order", 96, 4 },
  { "header_length", 100, 4 },
  { "compression_type", 104, 1 },
  { NULL, 0, 0 },
};

/* The bitmaps extension, after its type and length. */
static const Field bitmaps_fields[] = {
  { "nb_bitmaps", 0, 4 },
  { "reserved32", 4, 4 },
  { "bitmap_directory_size", 8, 8 },
  { "bitmap_directory_offset", 16, 8 },
  { NULL, 0, 0 },
};

/* An entry of the bitmap directory. */
static const Field entry_fields[] = {
  { "bitmap_table_offset", 0, 8 },
  { "bitmap_table_size", 8, 4 },
  { "flags", 12, 4 },
  { "type", 16, 1 },
  { "granularity_bits", 17, 1 },
  { "name_size", 18, 2 },
  { "extra_data_size", 20, 4 },
  { NULL, 0, 0 },
};

static gsize
decode_hex (const char *hex, gsize n_digits, guint8 *out)
{
  g_assert_cmpuint (n_digits % 2, ==, 0);

  for (gsize i = 0; i < n_digits / 2; i++)
    {
      g_assert_true (g_ascii_isxdigit (hex[2 * i]));
      g_assert_true (g_ascii_isxdigit (hex[2 * i + 1]));
      out[i] = (guint8) (g_ascii_xdigit_value (hex[2 * i]) * 16
                         + g_ascii_xdigit_value (hex[2 * i + 1]));
    }

  return n_digits / 2;
}

static guint64
parse_number (const char *text, char ends_with)
{
  char *end = NULL;
  guint64 number = g_ascii_strtoull (text, &end, 0);

  g_assert_true (end != text && *end == ends_with);
  return number;
}

/* Returns the host offset of the data of the bitmaps extension, which the
 * image must have. */
static guint64
find_bitmaps_extension (const Image *image)
{
  guint64 at
      = image_get_be (image, 4, 4) == 2 ? 72 : image_get_be (image, 100, 4);

  while (image_get_be (image, at, 4) != 0x23852875)
    {
      g_assert_cmpuint (image_get_be (image, at, 4), !=, 0);
      at += 8 + (image_get_be (image, at + 4, 4) + 7) / 8 * 8;
    }

  return at + 8;
}

/* Returns the host offset of entry INDEX of the bitmap directory. */
static guint64
find_entry (const Image *image, guint64 index)
{
  guint64 at = image_get_be (image, find_bitmaps_extension (image) + 16, 8);

  for (guint64 i = 0; i < index; i++)
    at += (24 + image_get_be (image, at + 18, 2)
           + image_get_be (image, at + 20, 4) + 7)
          / 8 * 8;

  return at;
}

/* Returns the fields of the structure that WORD names, and stores the host
 * offset of the structure in *START.  Returns NULL if WORD names none. */
static const Field *
find_structure (const Image *image, const char *word, guint64 *start)
{
  *start = 0;
  if (g_str_has_prefix (word, "header."))
    return header_fields;
  if (g_str_has_prefix (word, "bitmaps."))
    {
      *start = find_bitmaps_extension (image);
      return bitmaps_fields;
    }
  if (g_str_has_prefix (word, "entry"))
    {
      *start = find_entry (image, parse_number (word + 5, '.'));
      return entry_fields;
    }

  return NULL;
}

/* HEX must fill the field, so that it cannot change the next one. */
static void
apply_to_field (Image *image, const Field *field, guint64 start,
                const char *word)
{
  const char *name = strchr (word, '.') + 1;
  const gsize length = strcspn (name, ":");
  const char *hex = name + length + 1;
  guint8 bytes[8];

  while (field->name != NULL
         && (strncmp (field->name, name, length) != 0
             || field->name[length] != '\0'))
    field++;

  if (field->name == NULL)
    g_error ("there is no field '%s'", word);
  g_assert_cmpuint (strlen (hex), ==, 2 * field->width);
  image_put_bytes (image, start + field->offset, bytes,
                   decode_hex (hex, strlen (hex), bytes));
}

static void
apply_word (Image *image, const char *word)
{
  if (g_str_has_prefix (word, "size="))
    {
      image_truncate (image, parse_number (word + 5, '\0'));
      return;
    }

  guint64 start = 0;
  const Field *fields = find_structure (image, word, &start);

  if (fields != NULL)
    {
      apply_to_field (image, fields, start, word);
      return;
    }

  guint64 offset = parse_number (word, ':');
  const char *hex = strchr (word, ':') + 1;
  gsize n_digits = strcspn (hex, "*");
  guint64 count = 1;
  g_autofree guint8 *bytes = g_malloc (n_digits / 2 + 1);
  gsize size = decode_hex (hex, n_digits, bytes);

  if (hex[n_digits] == '*')
    count = parse_number (hex + n_digits + 1, '\0');

  for (guint64 i = 0; i < count; i++)
    image_put_bytes (image, offset + i * size, bytes, size);
}

Image *
image_new (void)
{
  Image *image = g_new0 (Image, 1);

  image->bytes = g_byte_array_new ();
  return image;
}

void
image_free (Image *image)
{
  if (image == NULL)
    return;

  g_byte_array_unref (image->bytes);
  g_free (image);
}

void
image_put_bytes (Image *image, guint64 offset, const void *data, gsize size)
{
  guint old_len = image->bytes->len;

  g_assert_cmpuint (size, <=, MAX_BYTES);
  g_assert_cmpuint (offset, <=, MAX_BYTES - size);
  if (size == 0)
    return;

  if (offset + size > old_len)
    {
      g_byte_array_set_size (image->bytes, (guint) (offset + size));
      memset (image->bytes->data + old_len, 0, image->bytes->len - old_len);
    }
  memcpy (image->bytes->data + offset, data, size);
  image->size = MAX (image->size, offset + size);
}

void
image_put_be (Image *image, guint64 offset, guint width, guint64 value)
{
  guint8 bytes[8];

  g_assert_cmpuint (width, <=, sizeof bytes);
  for (guint i = 0; i < width; i++)
    bytes[i] = (guint8) (value >> 8 * (width - 1 - i));
  image_put_bytes (image, offset, bytes, width);
}

guint64
image_get_be (const Image *image, guint64 offset, guint width)
{
  guint64 value = 0;

  for (guint i = 0; i < width; i++)
    {
      guint8 byte = 0;

      if (offset + i < image->bytes->len)
        byte = image->bytes->data[offset + i];
      value = value << 8 | byte;
    }

  return value;
}

void
image_truncate (Image *image, guint64 size)
{
  if (size < image->bytes->len)
    g_byte_array_set_size (image->bytes, (guint) size);
  image->size = size;
}

void
image_patch (Image *image, const char *patch)
{
  g_auto (GStrv) words = g_strsplit (patch, " ", -1);

  for (guint i = 0; words[i] != NULL; i++)
    apply_word (image, words[i]);
}

GBytes *
image_get_bytes (const Image *image)
{
  g_assert_cmpuint (image->size, <=, MAX_BYTES);

  guint8 *data = g_malloc0 (image->size + 1);

  if (image->bytes->len > 0)
    memcpy (data, image->bytes->data, image->bytes->len);

  return g_bytes_new_take (data, image->size);
}
