/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds structures that keep QEMU from writing the bitmap directory: QEMU does
 * not write to a cluster that holds other metadata. */

#pragma once

#include "check/finding.h"
#include "qcow2/refcount.h"
#include "qcow2/snapshot.h"

G_BEGIN_DECLS

gboolean qcow2_guard_check (const Qcow2Image *image,
                            const Qcow2SnapshotTable *snapshots,
                            Qcow2Refcounts *refcounts, Qcow2Findings *findings,
                            GError **error);

G_END_DECLS
