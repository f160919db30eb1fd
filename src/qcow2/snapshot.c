/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/snapshot.h"

#include "qcow2/arithmetic.h"

#define WHAT "snapshot table"

/* QEMU, block/qcow2.h: QCOW_MAX_SNAPSHOT_EXTRA_DATA. */
#define QEMU_MAX_EXTRA_DATA 1024

#define F(member, format) QCOW2_STORED (Qcow2SnapshotEntry, member, format)
#define X(member, format) QCOW2_STORED (Qcow2SnapshotExtra, member, format)

/* clang-format off */
static const Qcow2Field fields[] = {
  F (l1_table_offset, QCOW2_HEX),
  F (l1_size, QCOW2_DEC),
  F (id_str_size, QCOW2_DEC),
  F (name_size, QCOW2_DEC),
  F (date_sec, QCOW2_DEC),
  F (date_nsec, QCOW2_DEC),
  F (vm_clock_nsec, QCOW2_DEC),
  F (vm_state_size, QCOW2_DEC),
  F (extra_data_size, QCOW2_DEC),
  QCOW2_FIELD_END
};

static const Qcow2Field extra_fields[] = {
  X (vm_state_size_large, QCOW2_DEC),
  X (disk_size, QCOW2_DEC),
  X (icount, QCOW2_DEC),
  QCOW2_FIELD_END
};
/* clang-format on */

const Qcow2Record qcow2_snapshot_record = { .name = WHAT, .fields = fields };
const Qcow2Record qcow2_snapshot_extra_record
    = { .name = "extra data of a snapshot", .fields = extra_fields };

/* Reads the fixed part of the entry at host offset OFFSET into ENTRY.  Bytes
 * after the end of the file count as zeroes, as in QEMU. */
static gboolean
read_entry (ByteWindow *window, guint64 offset, Qcow2SnapshotEntry *entry,
            GError **error)
{
  guint8 head[QCOW2_SNAPSHOT_HEAD];

  if (!byte_window_copy (window, offset, head, sizeof head, WHAT, error))
    return FALSE;

  qcow2_record_decode (&qcow2_snapshot_record, head, sizeof head, entry);
  return TRUE;
}

/* Updates TABLE from ENTRY, entry INDEX at host offset OFFSET. */
static void
note_entry (Qcow2SnapshotTable *table, guint32 index, guint64 offset,
            const Qcow2SnapshotEntry *entry)
{
  const Qcow2SnapshotL1 l1 = { .offset = entry->l1_table_offset,
                               .pointer = offset,
                               .size = entry->l1_size,
                               .extra_data_size = entry->extra_data_size };

  g_array_append_val (table->l1_tables, l1);
  if (entry->extra_data_size > QEMU_MAX_EXTRA_DATA
      && table->bad == QCOW2_NO_INDEX)
    {
      table->bad = index;
      table->bad_at = offset;
      table->bad_entry = *entry;
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

  for (guint32 i = 0; i < n && entry_end <= QCOW2_MAX_SNAPSHOT_BYTES; i++)
    {
      Qcow2SnapshotEntry entry;

      if (pos >= left)
        {
          entry_end = pos + (guint64) (n - i) * QCOW2_SNAPSHOT_HEAD;
          break;
        }
      if (!read_entry (window, start + pos, &entry, error))
        return FALSE;

      note_entry (&t, i, start + pos, &entry);
      entry_end = pos + QCOW2_SNAPSHOT_HEAD + (guint64) entry.extra_data_size
                  + entry.id_str_size + entry.name_size;
      pos = qcow2_round_up (entry_end, 8);
    }

  t.size = MIN (MAX (pos, entry_end), MIN (left, QCOW2_MAX_SNAPSHOT_BYTES));
  t.needed = entry_end;
  t.too_big = entry_end > QCOW2_MAX_SNAPSHOT_BYTES;
  t.truncated = entry_end > left;
  *table = t;
  t.l1_tables = NULL;
  return TRUE;
}

void
qcow2_snapshot_table_clear (Qcow2SnapshotTable *table)
{
  g_clear_pointer (&table->l1_tables, g_array_unref);
}
