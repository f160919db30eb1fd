/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The snapshot table: qcow2 specification, section "Snapshots". */

#pragma once

#include "qcow2/image.h"

G_BEGIN_DECLS

/* What is known of a snapshot table without decoding it. */
typedef struct
{
  guint64 size;     /* bytes that the entries take in the file */
  gboolean cut;     /* the file ends before the entries do */
  gboolean too_big; /* for QEMU, and only as far measured */
  guint64 bad;      /* index of the first entry with more extra data than QEMU
                       takes, or QCOW2_NO_INDEX */
  guint64 bad_at;   /* host offset of that number */
  guint64 bad_size; /* bytes of extra data */
} Qcow2SnapshotTable;

gboolean qcow2_snapshot_table_measure (const Qcow2Image *image,
                                       Qcow2SnapshotTable *table,
                                       GError **error);

G_END_DECLS
