/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A list of the clusters of an image file that belong to structures and
 * bitmaps.  It has a limited number of runs of clusters, in any order, and
 * sorts them. */

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
  guint32 kind : 8;    /* Qcow2Owner, of the file itself */
} Qcow2Run;

/* The most runs in a list: 24 MiB.  Half of them are kept for structures and
 * tables, since bitmaps may have any number of data clusters. */
#define QCOW2_CLUSTER_LIST_RUNS (1 << 20)
#define QCOW2_CLUSTER_LIST_DATA_RUNS (QCOW2_CLUSTER_LIST_RUNS / 2)

typedef struct Qcow2ClusterList Qcow2ClusterList;

Qcow2ClusterList *qcow2_cluster_list_new (void);
gboolean qcow2_cluster_list_add (Qcow2ClusterList *list, const Qcow2Run *run);
void qcow2_cluster_list_sort (Qcow2ClusterList *list);
guint qcow2_cluster_list_get_n (const Qcow2ClusterList *list);
const Qcow2Run *qcow2_cluster_list_get (const Qcow2ClusterList *list,
                                        guint index);
void qcow2_cluster_list_free (Qcow2ClusterList *list);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2ClusterList, qcow2_cluster_list_free)

G_END_DECLS
