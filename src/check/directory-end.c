/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/directory-end.h"

#include "check/bitmap-rules.h"
#include "qcow2/arithmetic.h"

/* Stores in *SOUND whether the directory that EXTENSION points to extends
 * beyond the end of the file of SOURCE and is still acceptable to QEMU, which
 * reads zeroes there.  Only the last entry may be truncated, and zeroes must
 * be right for its missing bytes.  The entries before it are checked
 * elsewhere.  HEADER is the header of the image.  Fails with QCOW2_ERROR_READ.
 * (QEMU, block/qcow2-bitmap.c: bitmap_list_load.) */
gboolean
qcow2_directory_ends_in_zeroes (ByteSource *source, const Qcow2Header *header,
                                const Qcow2BitmapsExtension *extension,
                                gboolean *sound, GError **error)
{
  const guint64 file_size = byte_source_get_size (source);
  const guint64 size = extension->bitmap_directory_size;
  guint64 at = extension->bitmap_directory_offset;
  guint64 left = size;

  *sound = FALSE;
  if (at >= file_size || size <= file_size - at
      || size > QCOW2_MAX_DIRECTORY_SIZE)
    return TRUE;

  g_autoptr (ByteWindow) window = byte_window_new (source, file_size);
  for (guint64 n = 1; n <= extension->nb_bitmaps; n++)
    {
      Qcow2Bitmap bitmap = { .index = n, .file_offset = at };

      if (at >= file_size || left < QCOW2_BITMAP_HEAD_LENGTH)
        return TRUE;
      if (!qcow2_bitmap_read_head (&bitmap, window, error))
        return FALSE;

      const guint64 entry_size = QCOW2_BITMAP_HEAD_LENGTH
                                 + (guint64) bitmap.name_size
                                 + bitmap.extra_data_size;
      const guint64 padded = qcow2_round_up (entry_size, 8);
      if (padded > left)
        return TRUE;

      at += padded;
      left -= padded;
      if (left == 0)
        {
          *sound = n == extension->nb_bitmaps
                   && !qcow2_bitmap_head_is_refused (&bitmap, header, TRUE);
          return TRUE;
        }
    }

  return TRUE;
}
