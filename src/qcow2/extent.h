/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ranges of the guest's disk and their state according to a bitmap: qcow2
 * specification, section "Dirty tracking bitmaps". */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The values are those that NBD transmits: bit 0 is set if an extent must be
 * copied.  If dirty extents are split by how the image stores them, bit 2 is
 * set if an extent reads as zeroes, and bit 3 if the image does not have it:
 * dirty-data.h. */
typedef enum
{
  QCOW2_EXTENT_CLEAN = 0,
  QCOW2_EXTENT_DIRTY = 1,
  QCOW2_EXTENT_UNKNOWN = 3,
  QCOW2_EXTENT_DIRTY_ZERO = 5,
  QCOW2_EXTENT_DIRTY_UNALLOCATED = 9,
  QCOW2_EXTENT_DIRTY_UNALLOCATED_ZERO = 13
} Qcow2ExtentType;

#define QCOW2_EXTENT_MUST_COPY(type) (((type) &1) != 0)

/* A range of the guest's disk, in bytes. */
typedef struct
{
  guint64 offset;
  guint64 length;
  Qcow2ExtentType type;
} Qcow2Extent;

/* The number of bytes of the guest's disk of each type. */
typedef struct
{
  guint64 clean;
  guint64 dirty;
  guint64 unknown;
  /* 0 unless dirty extents were split.  DIRTY does not include these. */
  guint64 dirty_zero;
  guint64 dirty_unallocated;
  guint64 dirty_unallocated_zero;
} Qcow2ExtentTotals;

G_END_DECLS
