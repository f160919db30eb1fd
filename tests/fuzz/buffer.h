/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An input, or the rest of one, that consists of the bytes of an image. */

#pragma once

#include "layout.h"

G_BEGIN_DECLS

guint64 buffer_load_be (const guint8 *bytes, guint width);
gsize buffer_mutate (guint8 *data, gsize size, gsize max_size, guint64 seed);

G_END_DECLS
