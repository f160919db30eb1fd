/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the snapshot table entry by entry, with id, name and extra data. */

#pragma once

#include "qcow2/next.h"
#include "qcow2/snapshot.h"

G_BEGIN_DECLS

/* An entry of the snapshot table. */
typedef struct
{
  guint64 index;
  guint64 file_offset;   /* host */
  gboolean is_truncated; /* the file ends inside the entry */
  Qcow2SnapshotEntry entry;
  Qcow2SnapshotExtra extra;
  guint n_extra;                   /* fields of EXTRA that the entry has */
  guint64 unknown_extra_data_size; /* bytes after these fields, or
                                      QCOW2_ABSENT */
  GBytes *id;                      /* raw, or NULL: not read, or not in the
                                      file; the part in the file if that is
                                      not all */
  GBytes *name;                    /* as ID */
} Qcow2Snapshot;

extern const Qcow2Field qcow2_snapshot_index_fields[];
extern const Qcow2Field qcow2_snapshot_place_fields[];
extern const Qcow2Field qcow2_snapshot_rest_fields[];

/* Why there are no further entries. */
typedef enum
{
  QCOW2_SNAPSHOTS_COMPLETE,  /* all were read */
  QCOW2_SNAPSHOTS_TRUNCATED, /* the file ends inside the next one */
  QCOW2_SNAPSHOTS_TOO_MANY   /* QEMU accepts no more */
} Qcow2SnapshotsEnd;

typedef struct Qcow2SnapshotWalk Qcow2SnapshotWalk;

Qcow2SnapshotWalk *qcow2_snapshot_walk_new (const Qcow2Image *image,
                                            guint64 offset, guint64 n_entries);
void qcow2_snapshot_walk_add_zeroes (Qcow2SnapshotWalk *walk);
Qcow2Next qcow2_snapshot_walk_step (Qcow2SnapshotWalk *walk,
                                    Qcow2Snapshot *snapshot, GError **error);
gboolean qcow2_snapshot_walk_read (Qcow2SnapshotWalk *walk,
                                   Qcow2Snapshot *snapshot, GError **error);
Qcow2Next qcow2_snapshot_walk_next (Qcow2SnapshotWalk *walk,
                                    Qcow2Snapshot *snapshot, GError **error);
guint64 qcow2_snapshot_walk_get_n (const Qcow2SnapshotWalk *walk);
guint64 qcow2_snapshot_walk_get_offset (const Qcow2SnapshotWalk *walk);
Qcow2SnapshotsEnd qcow2_snapshot_walk_get_end (const Qcow2SnapshotWalk *walk);
guint64 qcow2_snapshot_get_vm_state_size (const Qcow2Snapshot *snapshot);
gboolean qcow2_snapshot_has_vm_state_size (const Qcow2Snapshot *snapshot);
gboolean qcow2_snapshot_has_icount (const Qcow2Snapshot *snapshot);
void qcow2_snapshot_walk_free (Qcow2SnapshotWalk *walk);
void qcow2_snapshot_clear (Qcow2Snapshot *snapshot);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2SnapshotWalk, qcow2_snapshot_walk_free)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Qcow2Snapshot, qcow2_snapshot_clear)

G_END_DECLS
