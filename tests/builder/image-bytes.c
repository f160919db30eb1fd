/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bytes of a test image, and patches to the bytes in text form. */

#include "config.h"

#include "image-builder.h"

#include <string.h>

/* More than any image of the corpus has, and far less than some images claim
 * to have. */
#define MAX_BYTES (64 * 1024 * 1024)

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

static void
apply_word (Image *image, const char *word)
{
  if (g_str_has_prefix (word, "size="))
    {
      image_truncate (image, parse_number (word + 5, '\0'));
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
