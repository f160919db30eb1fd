/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The snapshot table: qcow2 specification, section "Snapshots". */

#pragma once

#include "qcow2/image.h"

G_BEGIN_DECLS

/* The L1 table of a snapshot. */
typedef struct
{
  guint64 offset;  /* host */
  guint64 pointer; /* host offset of the snapshot table entry, which starts
                      with OFFSET */
  guint32 size;    /* entries */
} Qcow2SnapshotL1;

/* The properties of a snapshot table that can be determined without decoding
 * all of it. */
typedef struct
{
  guint64 size; /* bytes of the file that the entries take, at most 64 MiB */
  gboolean cut; /* the file truncates the entries */
  gboolean too_big;  /* QEMU refuses it */
  guint64 bad;       /* index of the first entry with more extra data than QEMU
                        accepts, or QCOW2_NO_INDEX */
  guint64 bad_at;    /* host offset of extra_data_size in entry BAD */
  guint64 bad_size;  /* size of the extra data of entry BAD in bytes */
  GArray *l1_tables; /* of Qcow2SnapshotL1, without empty L1 tables */
} Qcow2SnapshotTable;

gboolean qcow2_snapshot_table_measure (const Qcow2Image *image,
                                       Qcow2SnapshotTable *table,
                                       GError **error);
void qcow2_snapshot_table_clear (Qcow2SnapshotTable *table);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Qcow2SnapshotTable,
                                  qcow2_snapshot_table_clear)

G_END_DECLS
