/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files with plans. */

#pragma once

#include "edit/plan.h"

G_BEGIN_DECLS

typedef struct EditPlanFile EditPlanFile;

EditPlan *edit_plan_load (const char *path, GError **error);
GBytes *edit_read_standard_input (gsize limit, GError **error);
EditPlanFile *edit_plan_file_create (const char *path, GError **error);
gboolean edit_plan_file_write (EditPlanFile *file, const char *text, gsize len,
                               GError **error);
gboolean edit_plan_file_keep (EditPlanFile *file, GError **error);
gboolean edit_plan_file_append (EditPlanFile *file, const char *text,
                                GError **error);
void edit_plan_file_free (EditPlanFile *file);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (EditPlanFile, edit_plan_file_free)

G_END_DECLS
