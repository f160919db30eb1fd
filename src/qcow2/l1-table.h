/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The active L1 table and, as far as they tell which clusters are in use, the
 * L2 tables that it points to: qcow2 specification, section "Cluster mapping".
 */

#pragma once

#include "qcow2/image.h"

G_BEGIN_DECLS

/* Takes the host offset of an L2 table and that of the L1 entry with it; the
 * walk goes on if it returns TRUE. */
typedef gboolean (*Qcow2L1Func) (guint64 offset, guint64 pointer,
                                 gpointer data);

gboolean qcow2_l1_table_walk (const Qcow2Image *image, Qcow2L1Func func,
                              gpointer data, GError **error);
gboolean qcow2_l2_tables_reach (const Qcow2Image *image, guint64 end,
                                guint64 *reached, GError **error);

G_END_DECLS
