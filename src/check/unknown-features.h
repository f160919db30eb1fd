/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* QEMU's words for the incompatible features that it does not know. */

#pragma once

#include "qcow2/image.h"

G_BEGIN_DECLS

void qcow2_image_append_unknown_features (const Qcow2Image *image,
                                          guint64 n_read, GString *out);

G_END_DECLS
