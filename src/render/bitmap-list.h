/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A table with a row per bitmap, for people.
 *
 * Rows are printed image by image, and the headings only once, so no width can
 * be known from all rows.  For a single image, columns are as wide as their
 * contents.  For several images, a column has room for ordinary values from
 * the start; where a value is wider, the column is wider from that image on.
 * It never becomes narrower again. */

#pragma once

#include "qcow2/bitmap.h"

G_BEGIN_DECLS

/* Holds the rows of one image, without the bitmaps' names, which are passed in
 * when the rows are printed. */
typedef struct BitmapList BitmapList;

BitmapList *bitmap_list_new (gboolean all_columns);
void bitmap_list_make_room (BitmapList *list, const char *path);
void bitmap_list_begin_image (BitmapList *list, const char *path);
void bitmap_list_begin_layer (BitmapList *list, guint depth);
void bitmap_list_add (BitmapList *list, const Qcow2Bitmap *bitmap,
                      guint64 disk_size);
void bitmap_list_print_next (BitmapList *list, GString *out,
                             const Qcow2Bitmap *bitmap);
void bitmap_list_print_error (BitmapList *list, GString *out, const char *path,
                              const char *message);
void bitmap_list_free (BitmapList *list);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (BitmapList, bitmap_list_free)

G_END_DECLS
