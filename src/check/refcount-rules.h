/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rule REF-01: the clusters of structures have the refcount 1; and the
 * rules about entries of the refcount table. */

#pragma once

#include "check/cluster-report.h"
#include "check/file-end.h"
#include "check/references.h"

G_BEGIN_DECLS

/* Reads the refcounts of an image as far as they can be read. */
typedef struct Qcow2RefcountCheck Qcow2RefcountCheck;

Qcow2RefcountCheck *qcow2_refcount_check_new (const Qcow2ClusterReport *report,
                                              Qcow2Refcounts *refcounts,
                                              Qcow2CheckFailed failed,
                                              gpointer data);
void qcow2_refcount_check_walk_blocks (Qcow2RefcountCheck *check,
                                       Qcow2FileEnd *end,
                                       Qcow2ReferenceFunc func, gpointer data);
void qcow2_refcount_check_runs (Qcow2RefcountCheck *check,
                                const Qcow2ClusterList *list);
void qcow2_refcount_check_note_end (Qcow2RefcountCheck *check,
                                    Qcow2FileEnd *end);
gboolean qcow2_refcount_check_has_failed (const Qcow2RefcountCheck *check);
void qcow2_refcount_check_free (Qcow2RefcountCheck *check);

G_END_DECLS
