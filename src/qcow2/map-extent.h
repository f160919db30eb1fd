/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ranges of the guest's disk, and where the image has them: qcow2
 * specification, section "Cluster mapping". */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Properties of a range of the disk, as a mask. */
typedef enum
{
  QCOW2_MAP_PRESENT = 1 << 0, /* the image has it: it does not come from a
                                 backing file */
  QCOW2_MAP_ZERO = 1 << 1,    /* reads as zeroes */
  QCOW2_MAP_DATA = 1 << 2,    /* its contents are stored */
  QCOW2_MAP_COMPRESSED = 1 << 3,
  QCOW2_MAP_OFFSET = 1 << 4 /* has a host offset */
} Qcow2MapFlags;

/* The reason why the mapping of a range of the disk is unknown. */
typedef enum
{
  QCOW2_MAP_SOUND,         /* it is known */
  QCOW2_MAP_NO_CLUSTERS,   /* the cluster size is unusable */
  QCOW2_MAP_L1_UNALIGNED,  /* the L1 table is not at the start of a cluster */
  QCOW2_MAP_L1_ENDS,       /* the L1 table, or its part in the file, ends */
  QCOW2_MAP_L1_LARGE,      /* the L1 table is larger than QEMU allows */
  QCOW2_MAP_L2_UNALIGNED,  /* the L2 table is not at the start of a cluster */
  QCOW2_MAP_L2_OUTSIDE,    /* the L2 table is after the end of the file */
  QCOW2_MAP_L2_ENDS,       /* the file ends inside the L2 table */
  QCOW2_MAP_UNALIGNED,     /* the host offset is not the start of a cluster */
  QCOW2_MAP_OUTSIDE,       /* the host offset is after the end of the file */
  QCOW2_MAP_ZERO_FLAG,     /* version 2 has no clusters that read as zeroes */
  QCOW2_MAP_SUBCLUSTERS,   /* a subcluster is both allocated and zero */
  QCOW2_MAP_NO_CLUSTER,    /* subclusters are allocated without a cluster */
  QCOW2_MAP_NO_COMPRESSED, /* an external data file has no compressed data */
  QCOW2_MAP_NOT_RAW,       /* in a raw external data file, the host offset is
                              not the guest offset */
  QCOW2_MAP_UNREAD         /* a read failed, or a limit was reached */
} Qcow2MapDamage;

/* A range of the guest's disk, in bytes. */
typedef struct
{
  guint64 start;
  guint64 length;
  guint flags;           /* Qcow2MapFlags.  Those of a damaged range are
                            PRESENT and DATA: it must not be skipped */
  guint64 offset;        /* host, with QCOW2_MAP_OFFSET; with an external data
                            file, in that file.  Of a damaged range, the wrong
                            offset, or 0 if no offset is wrong */
  Qcow2MapDamage damage; /* an extent has only one kind */
  guint64 pointer;       /* host offset of the (first) damaged entry */
} Qcow2MapExtent;

/* The number of bytes of the disk with each property.  DATA includes
 * COMPRESSED; the others do not overlap, and their sum is the size of the
 * range. */
typedef struct
{
  guint64 data;
  guint64 zero;        /* present, and reads as zeroes */
  guint64 unallocated; /* not present */
  guint64 compressed;
  guint64 damaged;
} Qcow2MapTotals;

G_END_DECLS
