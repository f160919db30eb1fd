/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/snapshot-walk.h"

#include "qcow2/arithmetic.h"

#define WHAT "snapshot table"

/* QEMU, block/qcow2.h: QCOW_MAX_SNAPSHOTS_SIZE. */
#define MAX_BYTES (1024 * 65536)

/* The size of the extra data that are known, and of each field of them. */
#define EXTRA_LENGTH 24
#define EXTRA_FIELD_LENGTH 8

#define UNREADABLE "<unreadable>"

#define D(member, ...)                                                        \
  QCOW2_DERIVED (Qcow2Snapshot, #member, member, __VA_ARGS__)

const Qcow2Field qcow2_snapshot_index_fields[]
    = { D (index, QCOW2_DEC), QCOW2_FIELD_END };

const Qcow2Field qcow2_snapshot_place_fields[]
    = { D (file_offset, QCOW2_HEX), QCOW2_FIELD_END };

const Qcow2Field qcow2_snapshot_rest_fields[]
    = { D (unknown_extra_data_size, QCOW2_DEC),
        D (id, QCOW2_STRING, .absent = UNREADABLE),
        D (name, QCOW2_STRING, .absent = UNREADABLE), QCOW2_FIELD_END };

struct Qcow2SnapshotWalk
{
  ByteWindow *window;
  guint64 start;     /* host offset of entry 0 */
  guint64 n_entries; /* as declared */
  guint64 n;         /* entries read */
  guint64 pos;       /* of the next entry, in bytes from START */
  Qcow2SnapshotsEnd end;
};

/* Returns a walk over the N_ENTRIES entries of a snapshot table at host offset
 * OFFSET of IMAGE, which must outlive it. */
Qcow2SnapshotWalk *
qcow2_snapshot_walk_new (const Qcow2Image *image, guint64 offset,
                         guint64 n_entries)
{
  Qcow2SnapshotWalk *walk = g_new0 (Qcow2SnapshotWalk, 1);

  walk->window = byte_window_new (image->source, G_MAXUINT64);
  walk->start = offset;
  walk->n_entries = n_entries;
  return walk;
}

/* Returns the number of entries that were read. */
guint64
qcow2_snapshot_walk_get_n (const Qcow2SnapshotWalk *walk)
{
  return walk->n;
}

/* Returns the host offset after the last entry that was read. */
guint64
qcow2_snapshot_walk_get_offset (const Qcow2SnapshotWalk *walk)
{
  return walk->start + walk->pos;
}

/* Returns why the walk, which has ended, returned no further entry. */
Qcow2SnapshotsEnd
qcow2_snapshot_walk_get_end (const Qcow2SnapshotWalk *walk)
{
  return walk->end;
}

/* Returns the LEN bytes at host offset OFFSET, or NULL on failure. */
static GBytes *
read_bytes (Qcow2SnapshotWalk *walk, guint64 offset, gsize len, GError **error)
{
  if (len == 0)
    return g_bytes_new_static ("", 0);

  const guint8 *bytes
      = byte_window_get (walk->window, offset, len, WHAT, error);

  return bytes != NULL ? g_bytes_new (bytes, len) : NULL;
}

/* Decodes EXTRA, the first extra data of SNAPSHOT. */
static void
set_extra (Qcow2Snapshot *snapshot, GBytes *extra)
{
  gsize len;
  const guint8 *bytes = g_bytes_get_data (extra, &len);

  snapshot->n_extra = qcow2_record_decode (&qcow2_snapshot_extra_record, bytes,
                                           len, &snapshot->extra);

  const guint32 known = snapshot->n_extra * EXTRA_FIELD_LENGTH;
  if (snapshot->entry.extra_data_size > known)
    snapshot->unknown_extra_data_size
        = snapshot->entry.extra_data_size - known;
}

/* Ends WALK because of END. */
static Qcow2Next
end_walk (Qcow2SnapshotWalk *walk, Qcow2SnapshotsEnd end)
{
  walk->end = end;
  return QCOW2_NEXT_END;
}

/* Stores the place and the fixed part of the next entry in SNAPSHOT, which the
 * caller has initialized and clears, and nothing else of it.  Only entries
 * that lie entirely in the file are returned, and no more than QEMU accepts:
 * 65536, and those that begin in the first 64 MiB.  Fails with
 * QCOW2_ERROR_READ; the walk cannot continue then. */
Qcow2Next
qcow2_snapshot_walk_step (Qcow2SnapshotWalk *walk, Qcow2Snapshot *snapshot,
                          GError **error)
{
  const guint64 file_size = byte_window_get_end (walk->window);
  const guint64 in_file = file_size - MIN (walk->start, file_size);

  qcow2_snapshot_clear (snapshot);
  if (walk->n >= walk->n_entries)
    return end_walk (walk, QCOW2_SNAPSHOTS_COMPLETE);
  if (walk->n >= QCOW2_MAX_SNAPSHOTS || walk->pos >= MAX_BYTES)
    return end_walk (walk, QCOW2_SNAPSHOTS_TOO_MANY);
  if (walk->pos > in_file || in_file - walk->pos < QCOW2_SNAPSHOT_HEAD)
    return end_walk (walk, QCOW2_SNAPSHOTS_TRUNCATED);

  *snapshot = (Qcow2Snapshot){ .index = walk->n,
                               .file_offset = walk->start + walk->pos,
                               .unknown_extra_data_size = QCOW2_ABSENT };
  const guint8 *head = byte_window_get (walk->window, snapshot->file_offset,
                                        QCOW2_SNAPSHOT_HEAD, WHAT, error);
  if (head == NULL)
    return QCOW2_NEXT_FAILED;

  qcow2_record_decode (&qcow2_snapshot_record, head, QCOW2_SNAPSHOT_HEAD,
                       &snapshot->entry);
  const guint64 len
      = QCOW2_SNAPSHOT_HEAD + (guint64) snapshot->entry.extra_data_size
        + snapshot->entry.id_str_size + snapshot->entry.name_size;
  if (len > in_file - walk->pos)
    return end_walk (walk, QCOW2_SNAPSHOTS_TRUNCATED);

  walk->n++;
  walk->pos += qcow2_round_up (len, 8);
  return QCOW2_NEXT_ITEM;
}

/* Reads the extra data, the id and the name of SNAPSHOT, an entry that WALK
 * returned by qcow2_snapshot_walk_step ().  Fails with QCOW2_ERROR_READ.  Id
 * and name are absent then, and the walk can continue. */
gboolean
qcow2_snapshot_walk_read (Qcow2SnapshotWalk *walk, Qcow2Snapshot *snapshot,
                          GError **error)
{
  const Qcow2SnapshotEntry *entry = &snapshot->entry;
  const guint64 start = snapshot->file_offset + QCOW2_SNAPSHOT_HEAD;
  const guint64 id_start = start + entry->extra_data_size;
  g_autoptr (GBytes) extra = read_bytes (
      walk, start, MIN (entry->extra_data_size, EXTRA_LENGTH), error);

  if (extra == NULL)
    return FALSE;

  g_autoptr (GBytes) id
      = read_bytes (walk, id_start, entry->id_str_size, error);
  if (id == NULL)
    return FALSE;

  snapshot->name = read_bytes (walk, id_start + entry->id_str_size,
                               entry->name_size, error);
  if (snapshot->name == NULL)
    return FALSE;

  snapshot->id = g_steal_pointer (&id);
  set_extra (snapshot, extra);
  return TRUE;
}

/* Stores the next entry in SNAPSHOT like qcow2_snapshot_walk_step (), with its
 * extra data, id and name.  Fails with QCOW2_ERROR_READ; SNAPSHOT is then
 * incomplete. */
Qcow2Next
qcow2_snapshot_walk_next (Qcow2SnapshotWalk *walk, Qcow2Snapshot *snapshot,
                          GError **error)
{
  const Qcow2Next next = qcow2_snapshot_walk_step (walk, snapshot, error);

  if (next != QCOW2_NEXT_ITEM)
    return next;

  return qcow2_snapshot_walk_read (walk, snapshot, error) ? QCOW2_NEXT_ITEM
                                                          : QCOW2_NEXT_FAILED;
}

/* Returns the size of the VM state of SNAPSHOT in bytes: from the extra data,
 * if they have it, because the field of the entry has only 32 bits. */
guint64
qcow2_snapshot_get_vm_state_size (const Qcow2Snapshot *snapshot)
{
  return snapshot->n_extra > 0 ? snapshot->extra.vm_state_size_large
                               : snapshot->entry.vm_state_size;
}

/* Returns whether SNAPSHOT has a number of instructions, in its extra data.
 * All bits set mean that it has none.  (QEMU, block/qcow2-snapshot.c.) */
gboolean
qcow2_snapshot_has_icount (const Qcow2Snapshot *snapshot)
{
  return snapshot->n_extra > 2 && snapshot->extra.icount != G_MAXUINT64;
}

void
qcow2_snapshot_walk_free (Qcow2SnapshotWalk *walk)
{
  if (walk == NULL)
    return;

  byte_window_free (walk->window);
  g_free (walk);
}

void
qcow2_snapshot_clear (Qcow2Snapshot *snapshot)
{
  g_clear_pointer (&snapshot->id, g_bytes_unref);
  g_clear_pointer (&snapshot->name, g_bytes_unref);
}
