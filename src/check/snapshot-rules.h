/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules about the snapshot table. */

#pragma once

#include "check/finding.h"
#include "qcow2/snapshot.h"

G_BEGIN_DECLS

gboolean qcow2_snapshot_table_check (const Qcow2Image *image,
                                     Qcow2SnapshotTable *table,
                                     Qcow2Findings *findings, GError **error);
guint qcow2_snapshot_check (const Qcow2Image *image, const Qcow2SnapshotL1 *l1,
                            guint64 index, Qcow2Findings *findings);

G_END_DECLS
