/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An edit from its beginning to its end: opens and locks the image, judges the
 * plan, and carries it out. */

#pragma once

#include "edit/judge.h"
#include "edit/plan.h"
#include "edit/refusal.h"
#include "edit/target.h"

G_BEGIN_DECLS

/* How an edit is meant. */
typedef struct
{
  gboolean dry_run;    /* only read, without a lock */
  gboolean force;      /* lift the reasons to refuse that can be lifted */
  gboolean saves_plan; /* the plan is saved before anything changes */
} EditMode;

typedef struct
{
  EditMode mode;
  EditTarget *target;
  ByteSource *source;      /* of TARGET */
  Qcow2Image *image;       /* as it is now; NULL until edit_work_read () */
  Qcow2Findings *findings; /* about IMAGE */
  EditPlan *plan;          /* what is to be done */
  EditRefusals refusals;
  GPtrArray *messages; /* to be told when the edit is done */

  gboolean was_vouched; /* the bitmaps bit was set when the edit began */
  gboolean may_vouch;   /* it may be set all the same: nothing has changed
                           since it was */
  gboolean needs_all;   /* the judgement needs all of the image */
  EditPlan *whole_plan; /* of which PLAN is the rest, or NULL */
  EditJudgement *after; /* expected */
} EditWork;

EditWork *edit_work_open (const char *path, const EditMode *mode,
                          GError **error);
gboolean edit_work_read (EditWork *work, GError **error);
void edit_work_say (EditWork *work, const char *format, ...)
    G_GNUC_PRINTF (2, 3);
void edit_work_judge_headers (EditWork *work, const Qcow2Header *before,
                              const Qcow2Header *after);
gboolean edit_work_judge (EditWork *work, GError **error);
gboolean edit_work_commit (EditWork *work, GError **error);
void edit_work_free (EditWork *work);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (EditWork, edit_work_free)

G_END_DECLS
