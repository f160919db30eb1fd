/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A byte source that shows an image as it is before or after an edit. */

#pragma once

#include "edit/plan.h"
#include "qcow2/source.h"

G_BEGIN_DECLS

ByteSource *edit_overlay_new (ByteSource *base, const EditPlan *plan,
                              gboolean undo);

G_END_DECLS
