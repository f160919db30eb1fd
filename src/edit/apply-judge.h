/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Judges a saved plan as the command that made it did. */

#pragma once

#include "edit/work.h"

G_BEGIN_DECLS

gboolean edit_apply_judge (EditWork *work, const EditPlan *plan,
                           gboolean reverse, gboolean is_begun,
                           GError **error);

G_END_DECLS
