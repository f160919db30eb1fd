/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Orders the writes to the first cluster: nothing that the header on disk
 * refers to changes before it has stopped to refer to it, and nothing is
 * referred to before it is on the disk. */

#pragma once

#include "edit/area.h"
#include "edit/plan.h"

G_BEGIN_DECLS

gboolean edit_order_plan (const EditArea *area, const guint8 *bytes,
                          guint64 end, EditPlan *plan);

G_END_DECLS
