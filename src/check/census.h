/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A census of the clusters of an image file: how often each is referred to,
 * and its refcount.  It covers a part of the file at a time, with one byte for
 * each cluster. */

#pragma once

#include "qcow2/refcount.h"

G_BEGIN_DECLS

/* A byte of the map: the refcount of the cluster in the upper bits, and the
 * references counted so far in the lower bits.  Larger counts continue
 * elsewhere. */
#define QCOW2_CENSUS_COUNT_BITS 5
#define QCOW2_CENSUS_COUNT_MASK ((1 << QCOW2_CENSUS_COUNT_BITS) - 1)

/* Eight bytes of the map with a count of 1 in each. */
#define QCOW2_CENSUS_ONES (G_MAXUINT64 / G_MAXUINT8)

/* Refcounts in the map from this one on stand for something else: this
 * refcount or a larger one, and a refcount whose block is not at the start of
 * a cluster, which QEMU does not read. */
#define QCOW2_CENSUS_MANY 6
#define QCOW2_CENSUS_UNREADABLE 7

/* The largest number of clusters that are covered at a time. */
#define QCOW2_CENSUS_CLUSTERS (1 << 25)

/* A number of clusters whose counts, however large, always fit. */
#define QCOW2_CENSUS_FEW_CLUSTERS (1 << 22)

typedef struct
{
  const Qcow2Image *image;
  guint64 cluster_size; /* bytes */
  guint cluster_bits;
  guint64 size;         /* of the file, in bytes */
  guint64 file_size;    /* the same, rounded up to sectors as QEMU does */
  guint64 n_clusters;   /* in the file; the last one may be incomplete */
  gboolean is_extended; /* the cluster after them was referred to as well, as
                           part of an unaligned range */

  /* The part that is covered. */
  guint64 low;        /* the first cluster */
  guint64 n;          /* clusters */
  guint8 *map;        /* of N bytes */
  gpointer map_block; /* of memory, with MAP in it */
  guint8 *used;       /* bits: the clusters that were marked; NULL if none */

  guint32 **pages; /* of counts that do not fit into MAP, by cluster; each is
                      NULL or has a count for each of its clusters */
  guint n_pages;   /* that are not NULL */
  gboolean is_crowded;   /* there would be too many pages: count again with
                            fewer clusters */
  gboolean is_overflown; /* a count is too large even for a page */

  Qcow2Refcounts *refcounts;
  guint64 refcount_max; /* QEMU's limit */
} Qcow2Census;

/* A run of clusters with the same wrong refcount. */
typedef struct
{
  guint64 start;
  guint64 n;
  guint64 refcount;
  guint64 references;
  gboolean is_used; /* the refcount is too high, and the clusters were
                       marked */
} Qcow2CensusRun;

typedef void (*Qcow2CensusFunc) (const Qcow2CensusRun *run, gpointer data);

/* The result of the comparison of references and refcounts, in clusters. */
typedef struct
{
  guint64 too_low;
  guint64 too_high;
  guint64 unreadable;
  guint64 overflows; /* references, beyond the largest refcount */
  guint64 end;       /* after the last cluster in use; 0 if there is none */
} Qcow2CensusTotals;

guint64 qcow2_census_get_refcount_max (const Qcow2Header *header);
Qcow2Census *qcow2_census_new (const Qcow2Image *image,
                               Qcow2Refcounts *refcounts);
gboolean qcow2_census_start (Qcow2Census *census, guint64 low, guint64 n,
                             GError **error);
gboolean qcow2_census_add (Qcow2Census *census, guint64 offset, guint64 size,
                           guint64 n);
void qcow2_census_mark_used (Qcow2Census *census, guint64 offset,
                             guint64 size);
guint64 qcow2_census_get_references (const Qcow2Census *census,
                                     guint64 cluster);
guint64 qcow2_census_find_more (const Qcow2Census *census, guint64 start,
                                guint64 end, guint64 n);
gboolean qcow2_census_get_refcount (Qcow2Census *census, guint64 cluster,
                                    guint64 *refcount, gboolean *unreadable,
                                    GError **error);
gboolean qcow2_census_compare (Qcow2Census *census, Qcow2CensusFunc func,
                               gpointer data, Qcow2CensusTotals *totals,
                               GError **error);
void qcow2_census_free (Qcow2Census *census);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2Census, qcow2_census_free)

/* Returns whether CENSUS covers CLUSTER. */
static inline gboolean
qcow2_census_covers (const Qcow2Census *census, guint64 cluster)
{
  return cluster >= census->low && cluster - census->low < census->n;
}

/* Returns the number of the cluster after those that QEMU counts: those of the
 * file, and the next one if something refers to it. */
static inline guint64
qcow2_census_get_end (const Qcow2Census *census)
{
  return census->n_clusters + (census->is_extended ? 1 : 0);
}

/* Returns whether QEMU counts a reference to the SIZE bytes at host offset
 * OFFSET, which is below 2^63: the range ends less than a cluster after the
 * end of the file.  (QEMU, block/qcow2-refcount.c:
 * qcow2_inc_refcounts_imrt.) */
static inline gboolean
qcow2_census_is_inside (const Qcow2Census *census, guint64 offset,
                        guint64 size)
{
  const guint64 limit = census->file_size + census->cluster_size;

  return offset < limit && size < limit - offset;
}

G_END_DECLS
