/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/snapshot.h"

#define WHAT "snapshot table"

/* The fixed part of an entry and the fields in it that have lengths. */
#define HEAD_LENGTH 40
#define AT_ID_SIZE 12
#define AT_NAME_SIZE 14
#define AT_EXTRA_DATA_SIZE 36

/* QEMU, block/qcow2.h: QCOW_MAX_SNAPSHOTS_SIZE,
 * QCOW_MAX_SNAPSHOT_EXTRA_DATA. */
#define QEMU_MAX_BYTES (1024 * 65536)
#define QEMU_MAX_EXTRA_DATA 1024

/* Fills in TABLE for the snapshot table of IMAGE, which starts inside the
 * file, as far as its entries are in the file and are as many as QEMU allows.
 * Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_snapshot_table_measure (const Qcow2Image *image,
                              Qcow2SnapshotTable *table, GError **error)
{
  const guint64 start = image->header.snapshot_offset;
  const guint64 left = byte_source_get_size (image->source) - start;
  const guint64 end = MIN (left, QEMU_MAX_BYTES);
  const guint32 n = MIN (image->header.nb_snapshots, QCOW2_MAX_SNAPSHOTS);
  g_autoptr (ByteWindow) window = byte_window_new (image->source, start + end);
  Qcow2SnapshotTable t = { .bad = QCOW2_NO_INDEX };
  guint64 pos = 0;       /* of the next entry, from START */
  guint64 entry_end = 0; /* of the last one, without its padding */

  for (guint32 i = 0; i < n && entry_end <= end; i++)
    {
      if (end - MIN (pos, end) < HEAD_LENGTH)
        {
          entry_end = pos + HEAD_LENGTH;
          break;
        }

      const guint8 *head
          = byte_window_get (window, start + pos, HEAD_LENGTH, WHAT, error);
      if (head == NULL)
        return FALSE;

      const guint64 extra = qcow2_load_be (head + AT_EXTRA_DATA_SIZE, 4);
      if (extra > QEMU_MAX_EXTRA_DATA && t.bad == QCOW2_NO_INDEX)
        {
          t.bad = i;
          t.bad_at = start + pos + AT_EXTRA_DATA_SIZE;
          t.bad_size = extra;
        }

      entry_end = pos + HEAD_LENGTH + extra
                  + qcow2_load_be (head + AT_ID_SIZE, 2)
                  + qcow2_load_be (head + AT_NAME_SIZE, 2);
      pos = (entry_end + 7) / 8 * 8;
    }

  t.size = MIN (MAX (pos, entry_end), end);
  t.too_big = entry_end > QEMU_MAX_BYTES;
  t.cut = !t.too_big && entry_end > left;
  *table = t;
  return TRUE;
}
