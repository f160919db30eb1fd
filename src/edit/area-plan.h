/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plans how the extensions of the first cluster are written. */

#pragma once

#include "edit/area.h"
#include "edit/plan.h"

G_BEGIN_DECLS

gboolean edit_area_plan (EditArea *area, gboolean keeps_bit, EditPlan *plan,
                         EditRefusals *refusals);
guint64 edit_area_get_bitmaps_byte (void);
void edit_plan_add_bitmaps_bit (EditPlan *plan, guint8 byte, gboolean set);

G_END_DECLS
