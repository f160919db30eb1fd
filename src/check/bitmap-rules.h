/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules about an entry of the bitmap directory. */

#pragma once

#include "check/finding.h"
#include "qcow2/bitmap.h"

G_BEGIN_DECLS

void qcow2_bitmap_check (const Qcow2Bitmap *bitmap, const Qcow2Header *header,
                         guint64 file_size, guint64 first_with_name,
                         guint64 first_with_c_name, gboolean is_rewritten,
                         Qcow2Findings *findings);
gboolean qcow2_bitmap_head_is_refused (const Qcow2Bitmap *bitmap,
                                       const Qcow2Header *header,
                                       gboolean at_load);
Qcow2Subject qcow2_bitmap_get_subject (const Qcow2Bitmap *bitmap);

G_END_DECLS
