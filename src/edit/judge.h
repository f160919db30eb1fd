/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Compares an image before and after an edit by the rules of the check. */

#pragma once

#include "check/check.h"
#include "edit/refusal.h"
#include "qcow2/source.h"

G_BEGIN_DECLS

/* The result of a check of an image. */
typedef struct
{
  Qcow2Image *image; /* NULL: it cannot be opened */
  Qcow2Findings *findings;
  Qcow2Directory *directory; /* NULL: it cannot be read */
  char *open_error;          /* why IMAGE is NULL */
  guint64 n_failed;          /* reads that failed */
  Qcow2Verdict verdict;      /* unless IMAGE is NULL */
} EditJudgement;

EditJudgement *edit_judge (ByteSource *source, gboolean whole);
void edit_judgement_free (EditJudgement *judgement);
gboolean edit_judgement_vouches (const EditJudgement *judgement);
gboolean edit_judgement_is_refused (const EditJudgement *judgement);
guint64 edit_bitmaps_find_removed (const EditJudgement *some,
                                   const EditJudgement *all);
gboolean edit_bitmaps_are_some_of (const EditJudgement *some,
                                   const EditJudgement *all);
void edit_judgement_compare (const EditJudgement *before,
                             const EditJudgement *after,
                             EditRefusals *refusals);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (EditJudgement, edit_judgement_free)

G_END_DECLS
