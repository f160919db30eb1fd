/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The contents of a bitmap: qcow2 specification, section "Dirty tracking
 * bitmaps", and section "Bitmap data" for the location of the bits.
 *
 * A set bit always means dirty.  A clear bit means clean if the bitmap is
 * enabled or disabled, and unknown otherwise: a bitmap that is in use or stale
 * may lack the guest's last writes, and damage may have cleared bits. */

#pragma once

#include "qcow2/extent-query.h"
#include "qcow2/next.h"

G_BEGIN_DECLS

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
