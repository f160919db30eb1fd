/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "buffer.h"

#include <string.h>

typedef struct
{
  LayoutImage base;
  guint8 *data;
  gsize max_size;
} Buffer;

/* Returns the number in the WIDTH bytes at BYTES, at most 8. */
guint64
buffer_load_be (const guint8 *bytes, guint width)
{
  guint64 value = 0;

  for (guint i = 0; i < width; i++)
    value = value << 8 | bytes[i];

  return value;
}

static guint64
buffer_get (const LayoutImage *image, guint64 offset, guint width)
{
  const Buffer *self = (const Buffer *) image;
  guint64 value = 0;

  for (guint i = 0; i < width; i++)
    {
      const gboolean there = offset < image->size && i < image->size - offset;

      value = value << 8 | (there ? self->data[offset + i] : 0);
    }

  return value;
}

static void
buffer_put (LayoutImage *image, guint64 offset, guint width, guint64 value)
{
  const Buffer *self = (const Buffer *) image;

  for (guint i = 0; i < width; i++)
    {
      if (offset < image->size && i < image->size - offset)
        self->data[offset + i] = (guint8) (value >> 8 * (width - 1 - i));
    }
}

static void
buffer_resize (LayoutImage *image, guint64 size)
{
  Buffer *self = (Buffer *) image;

  if (size > self->max_size)
    return;

  if (size > image->size)
    memset (self->data + image->size, 0, size - image->size);
  image->size = size;
}

/* Mutates the image of SIZE bytes in DATA, which has room for MAX_SIZE bytes.
 * SEED, which must not be 0, determines the changes.  Returns the new size in
 * bytes. */
gsize
buffer_mutate (guint8 *data, gsize size, gsize max_size, guint64 seed)
{
  Buffer buffer = { .base = { .get = buffer_get,
                              .put = buffer_put,
                              .resize = buffer_resize,
                              .size = size,
                              .random = seed },
                    .data = data,
                    .max_size = max_size };

  /* This leaves room for entries that are appended to the directory. */
  if (layout_random (&buffer.base, 4) == 0)
    buffer_resize (&buffer.base, size + 64);
  layout_mutate (&buffer.base);
  return (gsize) buffer.base.size;
}
