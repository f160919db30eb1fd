/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All that QEMU looks at when it opens an image, and nothing else. */

#pragma once

#include "qcow2/directory.h"
#include "qcow2/verdict.h"

G_BEGIN_DECLS

gboolean qcow2_image_judge_opening (Qcow2Image *image,
                                    Qcow2Directory *directory,
                                    Qcow2Verdict *verdict, GError **error);

G_END_DECLS
