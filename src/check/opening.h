/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A check of only those parts of an image that QEMU reads when it opens it. */

#pragma once

#include "qcow2/directory.h"
#include "check/verdict.h"

G_BEGIN_DECLS

gboolean qcow2_image_judge_opening (Qcow2Image *image,
                                    Qcow2Directory *directory,
                                    Qcow2Verdict *verdict, GError **error);

G_END_DECLS
