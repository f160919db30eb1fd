/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks the whole disk: L1 and L2 tables, and the refcount of each cluster.
 * Counts as QEMU does (block/qcow2-refcount.c: qcow2_check_refcounts, version
 * 7.2). */

#pragma once

#include "check/check-clusters.h"
#include "check/check-numbers.h"
#include "check/finding.h"
#include "qcow2/directory.h"

G_BEGIN_DECLS

void qcow2_whole_image_check (const Qcow2Image *image, Qcow2Findings *findings,
                              Qcow2Directory *directory,
                              const Qcow2ClusterCheck *clusters,
                              gboolean is_refused, Qcow2CheckFailed failed,
                              gpointer data, Qcow2CheckNumbers *numbers);

G_END_DECLS
