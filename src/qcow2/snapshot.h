/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The snapshot table: qcow2 specification, section "Snapshots". */

#pragma once

#include "qcow2/image.h"

G_BEGIN_DECLS

/* The L1 table of a snapshot. */
typedef struct
{
  guint64 offset;  /* host */
  guint64 pointer; /* host offset of the table's entry, which begins with
                      OFFSET */
  guint32 size;    /* entries */
} Qcow2SnapshotL1;

/* What is known of a snapshot table without decoding all of it. */
typedef struct
{
  guint64 size; /* bytes that the entries take in the file, 64 MiB at most */
  gboolean cut;     /* the file ends before the entries do */
  gboolean too_big; /* for QEMU */
  guint64 bad;      /* index of the first entry with more extra data than QEMU
                       takes, or QCOW2_NO_INDEX */
  guint64 bad_at;   /* host offset of that number */
  guint64 bad_size; /* bytes of extra data */
  GArray *l1_tables; /* of Qcow2SnapshotL1, those that have entries */
} Qcow2SnapshotTable;

gboolean qcow2_snapshot_table_measure (const Qcow2Image *image,
                                       Qcow2SnapshotTable *table,
                                       GError **error);
gboolean qcow2_snapshot_table_judge (Qcow2Image *image,
                                     Qcow2SnapshotTable *table,
                                     GError **error);
void qcow2_snapshot_table_clear (Qcow2SnapshotTable *table);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Qcow2SnapshotTable,
                                  qcow2_snapshot_table_clear)

G_END_DECLS
