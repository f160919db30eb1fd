/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Structures of an image as events, the same for every command and emitter. */

#pragma once

#include "qcow2/bitmap.h"
#include "qcow2/extension.h"
#include "render/emitter.h"

G_BEGIN_DECLS

void describe_header (Emitter *emitter, const Qcow2Header *header);
void describe_extension (Emitter *emitter, const Qcow2Extension *extension);
void describe_begin_bitmap (Emitter *emitter, const Qcow2Bitmap *bitmap);
void describe_begin_bitmap_name (Emitter *emitter, const Qcow2Bitmap *bitmap);

G_END_DECLS
