/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints the snapshots of an image as qemu-img info does. */

#pragma once

#include "qcow2/snapshot-walk.h"
#include "render/qemu-tree.h"

G_BEGIN_DECLS

void info_snapshot_heading (GString *out);
void info_snapshot_row (GString *out, const Qcow2Snapshot *snapshot);
void info_snapshot_add (QemuTree *tree, const Qcow2Snapshot *snapshot);

G_END_DECLS
