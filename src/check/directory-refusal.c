/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/directory-refusal.h"

#include <string.h>

#include "check/bitmap-rules.h"
#include "qcow2/arithmetic.h"
#include "qcow2/c-string.h"

static GBytes *
say (const char *text)
{
  return g_bytes_new_static (text, strlen (text));
}

/* Returns whether the entry BITMAP fits into the LEFT bytes of the directory
 * in QEMU, whose sum has 32 bits and a sign, so that a huge entry may seem to
 * fit. */
static gboolean
seems_to_fit (const Qcow2Bitmap *bitmap, guint64 left)
{
  const guint64 size = QCOW2_BITMAP_HEAD_LENGTH + (guint64) bitmap->name_size
                       + bitmap->extra_data_size;
  const guint32 in_qemu = (guint32) (qcow2_round_up (size, 8) & G_MAXUINT32);

  return in_qemu > G_MAXINT32 || in_qemu <= left;
}

/* Returns what QEMU says about BITMAP, an entry without extra data that it
 * does not accept, or NULL if the name cannot be read. */
static GBytes *
refuse_entry (const Qcow2Bitmap *bitmap, ByteWindow *window)
{
  /* There is always memory, also for a name without bytes. */
  g_autofree guint8 *bytes = g_malloc (bitmap->name_size + 1u);

  if (!byte_window_copy (window,
                         bitmap->file_offset + QCOW2_BITMAP_HEAD_LENGTH, bytes,
                         bitmap->name_size, qcow2_bitmap_record.name, NULL))
    return NULL;

  g_autoptr (GBytes) name
      = g_bytes_new_take (g_steal_pointer (&bytes), bitmap->name_size);
  GString *out = g_string_new ("Bitmap '");
  g_string_append_len (out, g_bytes_get_data (name, NULL),
                       (gssize) qcow2_c_string_get_length (name));
  g_string_append (out, "' doesn't satisfy the constraints");
  return g_string_free_to_bytes (out);
}

/* Reads the entries of the bitmap directory of IMAGE as QEMU does, with zeroes
 * after the end of the file.  Returns QEMU's message about the first thing
 * that it refuses, which may contain any bytes from the image, or NULL if
 * there is none or a read fails.  The place of the directory must be one at
 * which QEMU looks for it. */
GBytes *
qcow2_entries_get_refusal (const Qcow2Image *image)
{
  g_autoptr (ByteWindow) window
      = byte_window_new (image->source, byte_source_get_size (image->source));
  Qcow2Bitmap bitmap
      = { .file_offset = image->bitmaps.bitmap_directory_offset };
  guint64 left = image->bitmaps.bitmap_directory_size;

  for (; left > 0; bitmap.index++)
    {
      if (left < QCOW2_BITMAP_HEAD_LENGTH)
        return say ("Broken bitmap directory");
      if (bitmap.index == image->bitmaps.nb_bitmaps)
        return say ("More bitmaps found than specified in header extension");
      if (!qcow2_bitmap_read_head (&bitmap, window, NULL))
        return NULL;
      if (!seems_to_fit (&bitmap, left))
        return say ("Broken bitmap directory");
      if (bitmap.extra_data_size != 0)
        return say ("Bitmap extra data is not supported");
      if (qcow2_bitmap_head_is_refused (&bitmap, &image->header, FALSE))
        return refuse_entry (&bitmap, window);

      const guint64 size
          = qcow2_round_up (QCOW2_BITMAP_HEAD_LENGTH + bitmap.name_size, 8);
      bitmap.file_offset += size;
      left -= size;
    }

  return bitmap.index < image->bitmaps.nb_bitmaps
             ? say ("Less bitmaps found than specified in header extension")
             : NULL;
}
