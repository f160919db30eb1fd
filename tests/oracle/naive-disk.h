/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looks up single clusters of the guest's disk and single refcounts, byte by
 * byte, as the specification describes them.  Shares no code with the readers
 * under test. */

#pragma once

#include "qcow2/map-extent.h"
#include "qcow2/source.h"

G_BEGIN_DECLS

/* An image whose header can be read. */
typedef struct
{
  ByteSource *source;
  guint64 file_size;
  guint64 size; /* of the disk */
  guint64 cluster_bits;
  guint64 cluster_size; /* 0 if there are no clusters of such a size */
  guint64 version;
  guint64 l1_offset;
  guint64 l1_size; /* entries */
  guint64 refcount_table;
  guint64 n_blocks; /* entries of the refcount table */
  guint64 refcount_bits;
  gboolean is_extended; /* extended L2 entries */
  gboolean has_data_file;
  gboolean is_raw; /* and the data file is raw */
  gboolean is_encrypted;
  gboolean has_backing_file;
} NaiveDisk;

/* A byte of the disk. */
typedef struct
{
  gboolean is_damaged; /* the other members are 0 then */
  guint flags;         /* Qcow2MapFlags */
  guint64 offset;      /* host, with QCOW2_MAP_OFFSET */
} NaiveByte;

void naive_disk_init (NaiveDisk *disk, ByteSource *source);
guint64 naive_disk_load (const NaiveDisk *disk, guint64 offset, guint size);
NaiveByte naive_disk_find (const NaiveDisk *disk, guint64 offset);
guint64 naive_disk_get_refcount (const NaiveDisk *disk, guint64 cluster);

G_END_DECLS
