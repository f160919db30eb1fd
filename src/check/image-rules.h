/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opens an image and checks what is read when it is opened: the header, the
 * header extensions, and whether they agree. */

#pragma once

#include "check/finding.h"
#include "qcow2/image.h"

G_BEGIN_DECLS

Qcow2Image *qcow2_image_open_checked (ByteSource *source,
                                      Qcow2Findings *findings, GError **error);
gboolean qcow2_image_header_is_rewritten (const Qcow2Image *image);
gboolean qcow2_image_check_room (const Qcow2Image *image, Qcow2RuleIndex rule,
                                 Qcow2Findings *findings, GError **error);

G_END_DECLS
