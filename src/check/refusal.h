/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The message of QEMU when it refuses to open an image. */

#pragma once

#include "check/finding.h"
#include "qcow2/image.h"

G_BEGIN_DECLS

GBytes *qcow2_image_get_refusal (const Qcow2Image *image,
                                 const Qcow2Findings *findings,
                                 const Qcow2Findings *obstacles);

G_END_DECLS
