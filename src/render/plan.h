/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes plans of edits: as the text that people read and that can be read
 * back, and as JSON. */

#pragma once

#include "edit/plan.h"
#include "render/emitter.h"

G_BEGIN_DECLS

/* What a plan is for. */
typedef struct
{
  const char *command; /* the command and its arguments, without the image */
  const char *path;    /* of the image */
  guint64 size;        /* of the image, in bytes */
} PlanTitle;

void plan_append_text (GString *out, const PlanTitle *title,
                       const EditPlan *plan);
void plan_append_done (GString *out, const EditStamp *stamp);
void plan_describe (Emitter *emitter, const PlanTitle *title,
                    const EditPlan *plan);

G_END_DECLS
