/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A row per bitmap, for people: columns as wide as their contents. */

#pragma once

#include "qcow2/bitmap.h"

G_BEGIN_DECLS

/* Holds what a row needs but for the name, which comes when it is printed. */
typedef struct BitmapList BitmapList;

BitmapList *bitmap_list_new (gboolean all_columns);
void bitmap_list_add (BitmapList *list, const Qcow2Bitmap *bitmap,
                      guint64 disk_size);
void bitmap_list_print_next (BitmapList *list, GString *out,
                             const Qcow2Bitmap *bitmap);
void bitmap_list_free (BitmapList *list);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (BitmapList, bitmap_list_free)

G_END_DECLS
