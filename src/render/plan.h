/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes plans of edits: as the text that people read and that can be read
 * back, and as JSON. */

#pragma once

#include "edit/plan.h"
#include "render/emitter.h"

G_BEGIN_DECLS

/* The purpose of a plan. */
typedef struct
{
  const char *command; /* the command and its arguments, without the image */
  const char *path;    /* of the image */
  guint64 size;        /* of the image, in bytes */
} PlanTitle;

/* A position in the text of a plan.  It begins as zeroes. */
typedef struct
{
  gboolean is_begun;  /* the title was written */
  const EditRun *run; /* the current one, NULL after the last */
  EditPosition next;  /* of the run after RUN */
  gboolean in_new;    /* the old bytes of RUN were written */
  gsize pos;          /* in the old or new bytes of RUN */
} PlanPosition;

gboolean plan_append_part (GString *out, const PlanTitle *title,
                           const EditPlan *plan, PlanPosition *at);
void plan_append_text (GString *out, const PlanTitle *title,
                       const EditPlan *plan);
void plan_append_done (GString *out, const EditStamp *stamp);
void plan_describe (Emitter *emitter, const PlanTitle *title,
                    const EditPlan *plan);

G_END_DECLS
