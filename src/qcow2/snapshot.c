/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/snapshot.h"

#define WHAT "snapshot table"

/* The fixed part of an entry and the fields in it that have lengths. */
#define HEAD_LENGTH 40
#define AT_ID_SIZE 12
#define AT_NAME_SIZE 14
#define AT_EXTRA_DATA_SIZE 36

/* QEMU, block/qcow2.h: QCOW_MAX_SNAPSHOTS, QCOW_MAX_SNAPSHOTS_SIZE. */
#define MAX_SNAPSHOTS 65536
#define MAX_TABLE_BYTES (1024 * 65536)

/* Gives in SIZE how many bytes the entries of the snapshot table of IMAGE
 * take, as far as they are in the file and are as many as QEMU allows, and in
 * WHOLE whether they end before the file does.  The table starts inside the
 * file.  Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_snapshot_table_get_size (const Qcow2Image *image, guint64 *size,
                               gboolean *whole, GError **error)
{
  const guint64 start = image->header.snapshot_offset;
  const guint64 left = byte_source_get_size (image->source) - start;
  const guint64 end = MIN (left, MAX_TABLE_BYTES);
  const guint32 n = MIN (image->header.nb_snapshots, MAX_SNAPSHOTS);
  g_autoptr (ByteWindow) window = byte_window_new (image->source, start + end);
  guint64 pos = 0;       /* of the next entry, from START */
  guint64 last_byte = 0; /* behind the last entry, without its padding */
  guint32 i = 0;

  for (; i < n && pos < end; i++)
    {
      if (end - pos < HEAD_LENGTH)
        {
          pos = end; /* of a head that is cut short, what there is */
          break;
        }

      const guint8 *head
          = byte_window_get (window, start + pos, HEAD_LENGTH, WHAT, error);

      if (head == NULL)
        return FALSE;

      const guint64 entry = HEAD_LENGTH
                            + qcow2_load_be (head + AT_EXTRA_DATA_SIZE, 4)
                            + qcow2_load_be (head + AT_ID_SIZE, 2)
                            + qcow2_load_be (head + AT_NAME_SIZE, 2);
      last_byte = pos + entry;
      pos += (entry + 7) / 8 * 8;
    }

  *size = MIN (pos, end);
  *whole = last_byte <= left && (i == n || end < left);
  return TRUE;
}
