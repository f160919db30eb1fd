/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parts of the guest's disk, by what a bitmap says of them: qcow2
 * specification, section "Dirty tracking bitmaps". */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Numbers as on the wire of NBD: bit 0 says that it must be copied. */
typedef enum
{
  QCOW2_EXTENT_CLEAN = 0,
  QCOW2_EXTENT_DIRTY = 1,
  QCOW2_EXTENT_UNKNOWN = 3
} Qcow2ExtentType;

#define QCOW2_EXTENT_MUST_COPY(type) (((type) &1) != 0)

/* A part of the guest's disk, in bytes. */
typedef struct
{
  guint64 offset;
  guint64 length;
  Qcow2ExtentType type;
} Qcow2Extent;

/* How many bytes of the guest's disk are of each type. */
typedef struct
{
  guint64 clean;
  guint64 dirty;
  guint64 unknown;
} Qcow2ExtentTotals;

G_END_DECLS
