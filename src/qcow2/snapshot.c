/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/snapshot.h"

#include <string.h>

#define WHAT "snapshot table"

/* The size of the fixed part of an entry, and the offsets of its length
 * fields. */
#define HEAD_LENGTH QCOW2_SNAPSHOT_HEAD
#define AT_L1_SIZE 8
#define AT_ID_SIZE 12
#define AT_NAME_SIZE 14
#define AT_EXTRA_DATA_SIZE 36

/* QEMU, block/qcow2.h: QCOW_MAX_SNAPSHOTS_SIZE,
 * QCOW_MAX_SNAPSHOT_EXTRA_DATA. */
#define QEMU_MAX_BYTES (1024 * 65536)
#define QEMU_MAX_EXTRA_DATA 1024

/* Reads the fixed part of the entry at host offset OFFSET into HEAD.  Sets
 * bytes after the end of the file to zero, as QEMU does. */
static gboolean
read_head (ByteWindow *window, guint64 offset, guint8 *head, GError **error)
{
  const gsize len = (gsize) MIN (byte_window_get_end (window) - offset,
                                 (guint64) HEAD_LENGTH);
  const guint8 *bytes = byte_window_get (window, offset, len, WHAT, error);

  if (bytes == NULL)
    return FALSE;

  memset (head, 0, HEAD_LENGTH);
  memcpy (head, bytes, len);
  return TRUE;
}

/* Updates TABLE from HEAD, the fixed part of entry INDEX at host offset
 * OFFSET. */
static void
note_entry (Qcow2SnapshotTable *table, guint32 index, guint64 offset,
            const guint8 *head)
{
  const guint64 extra = qcow2_load_be (head + AT_EXTRA_DATA_SIZE, 4);
  const Qcow2SnapshotL1 l1
      = { .offset = qcow2_load_be64 (head),
          .pointer = offset,
          .size = (guint32) qcow2_load_be (head + AT_L1_SIZE, 4) };

  if (l1.size > 0)
    g_array_append_val (table->l1_tables, l1);
  if (extra > QEMU_MAX_EXTRA_DATA && table->bad == QCOW2_NO_INDEX)
    {
      table->bad = index;
      table->bad_at = offset + AT_EXTRA_DATA_SIZE;
      table->bad_size = extra;
    }
}

/* Fills in TABLE, which the caller clears, for the snapshot table of IMAGE at
 * any offset.  Stops after the entry that makes the table too big for QEMU.
 * Entries after the end of the file count as zeroes.  Fails with
 * QCOW2_ERROR_READ.  (QEMU, block/qcow2-snapshot.c:
 * qcow2_do_read_snapshots.) */
gboolean
qcow2_snapshot_table_measure (const Qcow2Image *image,
                              Qcow2SnapshotTable *table, GError **error)
{
  const guint64 start = image->header.snapshot_offset;
  const guint64 file_size = byte_source_get_size (image->source);
  const guint64 left = file_size - MIN (start, file_size);
  const guint32 n = MIN (image->header.nb_snapshots, QCOW2_MAX_SNAPSHOTS);
  g_autoptr (ByteWindow) window = byte_window_new (image->source, file_size);
  g_auto (Qcow2SnapshotTable) t
      = { .bad = QCOW2_NO_INDEX,
          .l1_tables = g_array_new (FALSE, FALSE, sizeof (Qcow2SnapshotL1)) };
  guint64 pos = 0;       /* of the next entry, from START */
  guint64 entry_end = 0; /* end of the last entry without padding, from
                            START */

  for (guint32 i = 0; i < n && entry_end <= QEMU_MAX_BYTES; i++)
    {
      guint8 head[HEAD_LENGTH];

      if (pos >= left)
        {
          entry_end = pos + (guint64) (n - i) * HEAD_LENGTH;
          break;
        }
      if (!read_head (window, start + pos, head, error))
        return FALSE;

      note_entry (&t, i, start + pos, head);
      entry_end = pos + HEAD_LENGTH
                  + qcow2_load_be (head + AT_EXTRA_DATA_SIZE, 4)
                  + qcow2_load_be (head + AT_ID_SIZE, 2)
                  + qcow2_load_be (head + AT_NAME_SIZE, 2);
      pos = (entry_end + 7) / 8 * 8;
    }

  t.size = MIN (MAX (pos, entry_end), MIN (left, QEMU_MAX_BYTES));
  t.too_big = entry_end > QEMU_MAX_BYTES;
  t.cut = entry_end > left;
  *table = t;
  t.l1_tables = NULL;
  return TRUE;
}

void
qcow2_snapshot_table_clear (Qcow2SnapshotTable *table)
{
  g_clear_pointer (&table->l1_tables, g_array_unref);
}
