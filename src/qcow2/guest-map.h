/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest's disk as the active L1 table and its L2 tables map it: which
 * parts are in the image, and where.  Qcow2 specification, section "Cluster
 * mapping". */

#pragma once

#include "qcow2/image.h"
#include "qcow2/map-extent.h"
#include "qcow2/next.h"

G_BEGIN_DECLS

/* Number of damaged extents that a map keeps for messages. */
#define QCOW2_MAP_MAX_NOTES 10

typedef struct Qcow2GuestMap Qcow2GuestMap;

/* Is called for each EXTENT.  Returns QCOW2_NEXT_ITEM to continue with the
 * next one, or QCOW2_NEXT_END to end the walk successfully. */
typedef Qcow2Next (*Qcow2MapFunc) (const Qcow2MapExtent *extent, gpointer data,
                                   GError **error);

Qcow2GuestMap *qcow2_guest_map_new (const Qcow2Image *image,
                                    GError **first_error);
gboolean qcow2_guest_map_walk (Qcow2GuestMap *map, guint64 start,
                               guint64 length, Qcow2MapFunc func,
                               gpointer data, GError **error);
guint64 qcow2_guest_map_get_n_damaged (const Qcow2GuestMap *map);
const Qcow2MapExtent *qcow2_guest_map_get_damaged (const Qcow2GuestMap *map,
                                                   guint index);
void qcow2_guest_map_free (Qcow2GuestMap *map);
void qcow2_map_totals_add (Qcow2MapTotals *totals,
                           const Qcow2MapExtent *extent);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2GuestMap, qcow2_guest_map_free)

G_END_DECLS
