/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The contents of a bitmap: qcow2 specification, section "Dirty tracking
 * bitmaps", and section "Bitmap data" for the location of the bits.
 *
 * A set bit always means dirty.  A clear bit means clean if the bitmap is
 * enabled or disabled, and unknown otherwise: a bitmap that is in use or stale
 * may lack the guest's last writes, and damage may have cleared bits. */

#pragma once

#include "qcow2/bitmap.h"
#include "qcow2/extent.h"
#include "qcow2/image.h"
#include "qcow2/next.h"

G_BEGIN_DECLS

/* The maximum number of bytes of bitmap data to read for one bitmap, or for an
 * examination of all bitmaps of an image.  The size of the file is no limit,
 * as any number of table entries may refer to the same cluster. */
#define QCOW2_MAX_DATA_BYTES (G_GUINT64_CONSTANT (4) * 1024 * 1024 * 1024)

/* The part of a bitmap's contents to read. */
typedef struct
{
  const Qcow2Image *image;
  const Qcow2Bitmap *bitmap; /* examined */
  guint64 start;             /* guest offset in bytes, inside the disk */
  guint64 length;            /* bytes, at most up to the end of the disk */
  /* If NULL, the first error ends the walk.  Otherwise ranges that cannot be
   * read, or whose table entries are wrong, are unknown, and the first error
   * is stored here. */
  GError **first_error;
} Qcow2ExtentQuery;

/* Is called for each EXTENT.  Returns QCOW2_NEXT_ITEM to continue with the
 * next one, or QCOW2_NEXT_END to end the walk successfully. */
typedef Qcow2Next (*Qcow2ExtentFunc) (const Qcow2Extent *extent, gpointer data,
                                      GError **error);

void qcow2_extent_query_set_range (Qcow2ExtentQuery *query, guint64 start,
                                   guint64 max_length);
gboolean qcow2_extent_query_verify_size (const Qcow2ExtentQuery *query,
                                         GError **error);
gboolean qcow2_extent_query_walk (const Qcow2ExtentQuery *query,
                                  Qcow2ExtentFunc func, gpointer data,
                                  GError **error);
gboolean qcow2_extent_query_count (const Qcow2ExtentQuery *query,
                                   Qcow2ExtentTotals *totals, GError **error);
void qcow2_extent_totals_add (Qcow2ExtentTotals *totals, Qcow2ExtentType type,
                              guint64 length);

G_END_DECLS
