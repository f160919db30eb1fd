/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/snapshot-walk.h"

#include "qcow2/arithmetic.h"

#define WHAT "snapshot table"

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
  guint64 start;         /* host offset of entry 0 */
  guint64 n_entries;     /* as declared */
  guint64 n;             /* entries read that are not cut */
  guint64 pos;           /* of the entry after these, in bytes from START */
  gboolean has_zeroes;   /* bytes after the end of the file are zeroes */
  gboolean is_truncated; /* the last entry was */
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

/* Makes WALK read zeroes after the end of the file, as QEMU does: no entry is
 * cut then, and those after the end have zeroes and empty strings. */
void
qcow2_snapshot_walk_add_zeroes (Qcow2SnapshotWalk *walk)
{
  walk->has_zeroes = TRUE;
}

/* Returns the number of entries that were read and are not cut. */
guint64
qcow2_snapshot_walk_get_n (const Qcow2SnapshotWalk *walk)
{
  return walk->n;
}

/* Returns the host offset after the last entry that was read and is not
 * cut. */
guint64
qcow2_snapshot_walk_get_offset (const Qcow2SnapshotWalk *walk)
{
  return walk->start + walk->pos;
}

/* Returns why there is no entry after those that were returned;
 * QCOW2_SNAPSHOTS_COMPLETE if there may be one. */
Qcow2SnapshotsEnd
qcow2_snapshot_walk_get_end (const Qcow2SnapshotWalk *walk)
{
  return walk->end;
}

/* Returns how many of the LEN bytes at host offset OFFSET are in the file. */
static gsize
count_in_file (const Qcow2SnapshotWalk *walk, guint64 offset, gsize len)
{
  const guint64 end = byte_window_get_end (walk->window);

  return (gsize) MIN ((guint64) len, end - MIN (offset, end));
}

/* Stores the string of LEN bytes at host offset OFFSET in *STRING, as far as
 * it is in the file: QEMU reads zeroes after its end, and these end a string.
 * If no byte of it is, that is NULL or, for a walk with zeroes, empty.  Fails
 * with QCOW2_ERROR_READ. */
static gboolean
read_string (Qcow2SnapshotWalk *walk, guint64 offset, gsize len,
             GBytes **string, GError **error)
{
  const gsize n = count_in_file (walk, offset, len);

  *string = NULL;
  if (n == 0)
    {
      if (len == 0 || walk->has_zeroes)
        *string = g_bytes_new_static ("", 0);
      return TRUE;
    }

  const guint8 *bytes = byte_window_get (walk->window, offset, n, WHAT, error);
  if (bytes == NULL)
    return FALSE;

  *string = g_bytes_new (bytes, n);
  return TRUE;
}

/* Decodes the extra data of SNAPSHOT, whose first bytes are EXTRA.  Only LEN
 * bytes of them are known; it is not known what follows if the file ends in
 * these. */
static void
set_extra (Qcow2Snapshot *snapshot, const guint8 *extra, gsize len)
{
  const guint32 size = snapshot->entry.extra_data_size;

  snapshot->n_extra = qcow2_record_decode (&qcow2_snapshot_extra_record, extra,
                                           len, &snapshot->extra);

  const guint32 known = qcow2_record_get_offset (
      &qcow2_snapshot_extra_record,
      &qcow2_snapshot_extra_record.fields[snapshot->n_extra]);
  if (size > known && len == MIN (size, QCOW2_SNAPSHOT_EXTRA_LENGTH))
    snapshot->unknown_extra_data_size = size - known;
}

/* Returns whether the walk ends before the next entry, and stores the reason
 * in *END if so. */
static gboolean
is_over (const Qcow2SnapshotWalk *walk, guint64 in_file,
         Qcow2SnapshotsEnd *end)
{
  if (walk->n >= walk->n_entries)
    *end = QCOW2_SNAPSHOTS_COMPLETE;
  else if (walk->n >= QCOW2_MAX_SNAPSHOTS
           || walk->pos >= QCOW2_MAX_SNAPSHOT_BYTES)
    *end = QCOW2_SNAPSHOTS_TOO_MANY;
  else if (walk->is_truncated
           || (!walk->has_zeroes
               && (walk->pos > in_file
                   || in_file - walk->pos < QCOW2_SNAPSHOT_HEAD)))
    *end = QCOW2_SNAPSHOTS_TRUNCATED;
  else
    return FALSE;

  return TRUE;
}

/* Stores the place and the fixed part of the next entry in SNAPSHOT, which the
 * caller has initialized and clears, and nothing else of it.  Only entries
 * whose fixed part lies entirely in the file are returned, and no more than
 * QEMU accepts: 65536, and those that begin in the first 64 MiB.  An entry
 * that is cut is the last one.  Fails with QCOW2_ERROR_READ; the walk cannot
 * continue then. */
Qcow2Next
qcow2_snapshot_walk_step (Qcow2SnapshotWalk *walk, Qcow2Snapshot *snapshot,
                          GError **error)
{
  const guint64 file_size = byte_window_get_end (walk->window);
  const guint64 in_file = file_size - MIN (walk->start, file_size);
  guint8 head[QCOW2_SNAPSHOT_HEAD];

  qcow2_snapshot_clear (snapshot);
  if (is_over (walk, in_file, &walk->end))
    return QCOW2_NEXT_END;

  *snapshot = (Qcow2Snapshot){ .index = walk->n,
                               .file_offset = walk->start + walk->pos,
                               .unknown_extra_data_size = QCOW2_ABSENT };
  if (!byte_window_copy (walk->window, snapshot->file_offset, head,
                         sizeof head, WHAT, error))
    return QCOW2_NEXT_FAILED;

  qcow2_record_decode (&qcow2_snapshot_record, head, sizeof head,
                       &snapshot->entry);
  const guint64 len
      = QCOW2_SNAPSHOT_HEAD + (guint64) snapshot->entry.extra_data_size
        + snapshot->entry.id_str_size + snapshot->entry.name_size;
  if (!walk->has_zeroes && len > in_file - walk->pos)
    {
      snapshot->is_truncated = TRUE;
      walk->is_truncated = TRUE;
      walk->end = QCOW2_SNAPSHOTS_TRUNCATED;
      return QCOW2_NEXT_ITEM;
    }

  walk->n++;
  walk->pos += qcow2_round_up (len, 8);
  return QCOW2_NEXT_ITEM;
}

/* Reads the extra data, the id and the name of SNAPSHOT, an entry that WALK
 * returned by qcow2_snapshot_walk_step (), as far as they are in the file.
 * Fails with QCOW2_ERROR_READ.  Id and name are absent then, and the walk can
 * continue. */
gboolean
qcow2_snapshot_walk_read (Qcow2SnapshotWalk *walk, Qcow2Snapshot *snapshot,
                          GError **error)
{
  const Qcow2SnapshotEntry *entry = &snapshot->entry;
  const guint64 start = snapshot->file_offset + QCOW2_SNAPSHOT_HEAD;
  const guint64 id_start = start + entry->extra_data_size;
  const gsize extra_size
      = MIN (entry->extra_data_size, QCOW2_SNAPSHOT_EXTRA_LENGTH);
  g_autoptr (GBytes) id = NULL;
  guint8 extra[QCOW2_SNAPSHOT_EXTRA_LENGTH];

  if (!byte_window_copy (walk->window, start, extra, extra_size, WHAT, error)
      || !read_string (walk, id_start, entry->id_str_size, &id, error)
      || !read_string (walk, id_start + entry->id_str_size, entry->name_size,
                       &snapshot->name, error))
    return FALSE;

  snapshot->id = g_steal_pointer (&id);
  set_extra (snapshot, extra,
             walk->has_zeroes ? extra_size
                              : count_in_file (walk, start, extra_size));
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

/* Returns whether the size of the VM state of SNAPSHOT is known: not if the
 * extra data should have it, but were not read. */
gboolean
qcow2_snapshot_has_vm_state_size (const Qcow2Snapshot *snapshot)
{
  const guint end
      = QCOW2_AT (qcow2_snapshot_extra_record, Qcow2SnapshotExtra, disk_size);

  return snapshot->n_extra > 0 || snapshot->entry.extra_data_size < end;
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
