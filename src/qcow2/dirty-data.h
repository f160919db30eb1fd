/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The contents of a bitmap, with each dirty range split by how the image
 * stores it: as data, as zeroes, or not at all. */

#pragma once

#include "qcow2/contents.h"
#include "qcow2/guest-map.h"

G_BEGIN_DECLS

gboolean qcow2_dirty_data_walk (const Qcow2ExtentQuery *query,
                                Qcow2GuestMap *map, Qcow2ExtentFunc func,
                                gpointer data, GError **error);
gboolean qcow2_dirty_data_count (const Qcow2ExtentQuery *query,
                                 Qcow2GuestMap *map, Qcow2ExtentTotals *totals,
                                 GError **error);

G_END_DECLS
