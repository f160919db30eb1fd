/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds what else has a part of the clusters of the bitmap directory. */

#pragma once

#include "edit/judge.h"

G_BEGIN_DECLS

void edit_judge_sharing (EditJudgement *judgement, guint64 start, guint64 size,
                         guint64 removed, EditRefusals *refusals);

G_END_DECLS
