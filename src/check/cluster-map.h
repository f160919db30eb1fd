/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A map of the clusters of an image file to the structures they belong to.  It
 * collects a limited number of runs of clusters, in any order, and sorts them.
 */

#pragma once

#include "check/reference.h"

G_BEGIN_DECLS

#define QCOW2_RUN_NO_BITMAP 0xffffff

/* A run of clusters.  Cluster 0 is the one at host offset 0. */
typedef struct
{
  guint64 start;
  guint64 pointer;     /* host offset of the reference to START; for data,
                          those to the next clusters follow it */
  guint32 n;           /* clusters */
  guint32 bitmap : 24; /* index, or QCOW2_RUN_NO_BITMAP */
  guint32 kind : 7;    /* Qcow2Owner, of the file itself */
  guint32 clipped : 1; /* START is not its first cluster: see LOW of
                          qcow2_cluster_map_start () */
} Qcow2Run;

/* The maximum number of runs in a map. */
#define QCOW2_CLUSTER_MAP_RUNS (1 << 19)

typedef struct Qcow2ClusterMap Qcow2ClusterMap;

Qcow2ClusterMap *qcow2_cluster_map_new (void);
void qcow2_cluster_map_start (Qcow2ClusterMap *map, guint64 low);
void qcow2_cluster_map_add (Qcow2ClusterMap *map, Qcow2Run run);
void qcow2_cluster_map_sort (Qcow2ClusterMap *map);
guint64 qcow2_cluster_map_get_low (const Qcow2ClusterMap *map);
guint64 qcow2_cluster_map_get_high (const Qcow2ClusterMap *map);
gboolean qcow2_cluster_map_is_crowded (const Qcow2ClusterMap *map);
guint qcow2_cluster_map_get_n (const Qcow2ClusterMap *map);
const Qcow2Run *qcow2_cluster_map_get (const Qcow2ClusterMap *map,
                                       guint index);
void qcow2_cluster_map_free (Qcow2ClusterMap *map);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2ClusterMap, qcow2_cluster_map_free)

G_END_DECLS
