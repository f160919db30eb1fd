/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules about an entry of the bitmap directory. */

#pragma once

#include "check/problem.h"
#include "qcow2/bitmap.h"

G_BEGIN_DECLS

void qcow2_bitmap_judge (const Qcow2Bitmap *bitmap, const Qcow2Header *header,
                         guint64 file_size, guint64 namesake,
                         guint64 cut_namesake, gboolean is_rewritten,
                         Qcow2Problems *problems);
Qcow2Subject qcow2_bitmap_get_subject (const Qcow2Bitmap *bitmap);

G_END_DECLS
