/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which structures keep QEMU from writing the bitmap directory: it does not
 * write where other metadata is. */

#pragma once

#include "qcow2/image.h"
#include "qcow2/snapshot.h"

G_BEGIN_DECLS

gboolean qcow2_guard_judge (Qcow2Image *image,
                            const Qcow2SnapshotTable *snapshots,
                            GError **error);

G_END_DECLS
