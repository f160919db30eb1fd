/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Carries out a saved plan, or undoes it. */

#pragma once

#include "edit/work.h"

G_BEGIN_DECLS

gboolean edit_apply (EditWork *work, const EditPlan *saved, gboolean reverse,
                     gboolean *interrupted, GError **error);

G_END_DECLS
