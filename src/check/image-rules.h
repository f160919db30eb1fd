/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opens an image and judges what is read when it is opened: the header, the
 * header extensions, and whether they agree. */

#pragma once

#include "check/problem.h"
#include "qcow2/image.h"

G_BEGIN_DECLS

Qcow2Image *qcow2_image_open_judged (ByteSource *source,
                                     Qcow2Problems *problems, GError **error);
gboolean qcow2_image_header_is_rewritten (const Qcow2Image *image);
gboolean qcow2_image_judge_room (const Qcow2Image *image,
                                 Qcow2Problems *problems, GError **error);

G_END_DECLS
