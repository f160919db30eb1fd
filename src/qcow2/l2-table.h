/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Entries of L2 tables, which map guest clusters to host clusters: qcow2
 * specification, section "Cluster mapping". */

#pragma once

#include "qcow2/header.h"

G_BEGIN_DECLS

/* The number of subclusters of a cluster of an extended entry. */
#define QCOW2_N_SUBCLUSTERS 32

typedef enum
{
  QCOW2_CLUSTER_UNALLOCATED,    /* this image does not have the cluster */
  QCOW2_CLUSTER_ZERO,           /* reads as zeroes */
  QCOW2_CLUSTER_ZERO_ALLOCATED, /* reads as zeroes, and has a host cluster */
  QCOW2_CLUSTER_NORMAL,         /* has a host cluster */
  QCOW2_CLUSTER_COMPRESSED
} Qcow2ClusterType;

/* The fields of an entry, or of the first half of an extended one, whose
 * cluster is not compressed. */
typedef struct
{
  guint64 offset;        /* host, of the cluster */
  guint64 all_zeroes;    /* 1: the cluster reads as zeroes */
  guint64 reserved_low;  /* bits 1-8, in place */
  guint64 reserved_high; /* bits 56-61, in place */
  guint64 compressed;    /* 1: the other bits are a compressed cluster
                            descriptor */
  guint64 copied;        /* 1: the refcount is exactly one */
} Qcow2L2Entry;

/* The fields of an entry whose cluster is compressed. */
typedef struct
{
  guint64 offset;             /* host, of the data */
  guint64 additional_sectors; /* of 512 bytes, after that of OFFSET */
  guint64 compressed;         /* 1 */
  guint64 copied;             /* reserved */
} Qcow2CompressedEntry;

/* The second half of an extended entry, with a bit for each subcluster. */
typedef struct
{
  guint64 allocated;
  guint64 zeroes; /* reads as zeroes; of an allocated one it is invalid */
} Qcow2SubclusterBitmap;

extern const Qcow2Record qcow2_l2_entry_record;
extern const Qcow2Record qcow2_subcluster_bitmap_record;

/* The facts about a guest cluster, from an entry of any kind. */
typedef struct
{
  guint64 raw;         /* the entry, or the first half of an extended one */
  guint64 subclusters; /* the second half of an extended entry, otherwise 0 */
  Qcow2ClusterType type;
  guint64 offset; /* host, of the cluster or the compressed data; 0 if there is
                     neither.  With an external data file, in that file */
  guint64 length; /* bytes at OFFSET: the cluster size, or the sectors of
                     compressed data; 0 if there is neither */
} Qcow2Mapping;

gsize qcow2_l2_get_entry_size (const Qcow2Header *header);
guint64 qcow2_l2_get_n_entries (const Qcow2Header *header);
const Qcow2Record *qcow2_l2_get_compressed_record (const Qcow2Header *header);
void qcow2_l2_decode (const Qcow2Header *header, const guint8 *bytes,
                      Qcow2Mapping *mapping);
gboolean qcow2_mapping_is_outside (const Qcow2Mapping *mapping,
                                   const Qcow2Header *header,
                                   guint64 file_size);
guint64 qcow2_mapping_get_far_bits (const Qcow2Mapping *mapping);
guint32 qcow2_mapping_get_allocated (const Qcow2Mapping *mapping);
guint32 qcow2_mapping_get_zeroes (const Qcow2Mapping *mapping);

G_END_DECLS
