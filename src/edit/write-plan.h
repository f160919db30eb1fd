/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes a plan to an image, step by step: each is synchronized and read back
 * before the next, and undone if one fails. */

#pragma once

#include "edit/plan.h"
#include "edit/target.h"

G_BEGIN_DECLS

gboolean edit_plan_write (const EditPlan *plan, EditTarget *target,
                          GError **error);

G_END_DECLS
