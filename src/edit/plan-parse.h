/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the text of a plan. */

#pragma once

#include "edit/plan.h"

G_BEGIN_DECLS

/* The start of the first line of a plan. */
#define EDIT_PLAN_MAGIC "# qcow2tool plan 1: "

/* The line that ends a step, and the start of the line that says that the plan
 * was carried out. */
#define EDIT_PLAN_SYNC "sync"
#define EDIT_PLAN_DONE "# done "

EditPlan *edit_plan_parse (const char *text, gsize len, GError **error);

G_END_DECLS
