/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules OVL-01, OVL-02 and REF-01: a cluster belongs to a single structure
 * and has the refcount 1. */

#pragma once

#include "check/bitmap-checker.h"
#include "check/references.h"
#include "qcow2/bitmap.h"
#include "qcow2/refcount.h"
#include "qcow2/snapshot.h"

G_BEGIN_DECLS

/* Collects the clusters that the structures of an image occupy, and checks
 * them when it has all. */
typedef struct Qcow2ClusterCheck Qcow2ClusterCheck;

Qcow2ClusterCheck *qcow2_cluster_check_new (const Qcow2Image *image,
                                            Qcow2Findings *findings,
                                            Qcow2CheckFailed failed,
                                            gpointer data);
void qcow2_cluster_check_add_bitmap (Qcow2ClusterCheck *check,
                                     const Qcow2Bitmap *bitmap,
                                     gboolean wanted);
void qcow2_cluster_check_add_entries (Qcow2ClusterCheck *check,
                                      const Qcow2Bitmap *bitmap,
                                      const Qcow2TableEntry *entries,
                                      const Qcow2RuleIndex *broken,
                                      gsize n_entries);
void qcow2_cluster_check_note_table (Qcow2ClusterCheck *check,
                                     const Qcow2Bitmap *bitmap);
void qcow2_cluster_check_forget_tables (Qcow2ClusterCheck *check);
void qcow2_cluster_check_finish (Qcow2ClusterCheck *check,
                                 Qcow2Directory *directory);
const Qcow2SnapshotTable *
qcow2_cluster_check_get_snapshots (const Qcow2ClusterCheck *check);
Qcow2Refcounts *
qcow2_cluster_check_get_refcounts (const Qcow2ClusterCheck *check);
GArray *qcow2_cluster_check_get_tables (const Qcow2ClusterCheck *check);
void qcow2_cluster_check_free (Qcow2ClusterCheck *check);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2ClusterCheck, qcow2_cluster_check_free)

G_END_DECLS
