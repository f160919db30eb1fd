/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The extents of the guest cluster of one L2 entry.  Part of guest-map.c,
 * whose header is the interface for others. */

#pragma once

#include "qcow2/image.h"
#include "qcow2/l2-table.h"
#include "qcow2/map-extent.h"

G_BEGIN_DECLS

Qcow2MapExtent qcow2_guest_cluster_get_unallocated (const Qcow2Header *header);
Qcow2MapExtent qcow2_guest_cluster_get_damage (Qcow2MapDamage damage,
                                               guint64 offset,
                                               guint64 pointer);
guint qcow2_guest_cluster_describe (const Qcow2Image *image, guint64 cluster,
                                    const guint8 *bytes, guint64 pointer,
                                    Qcow2MapExtent *extents);

G_END_DECLS
