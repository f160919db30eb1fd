/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The union of bitmaps of several layers: what any of them marks as dirty. */

#pragma once

#include "qcow2/contents.h"

G_BEGIN_DECLS

typedef struct Qcow2BitmapUnion Qcow2BitmapUnion;

Qcow2BitmapUnion *qcow2_bitmap_union_new (guint64 granularity);
void qcow2_bitmap_union_add (Qcow2BitmapUnion *self, const Qcow2Image *image,
                             const Qcow2Bitmap *bitmap);
gboolean qcow2_bitmap_union_walk (Qcow2BitmapUnion *self, guint64 start,
                                  guint64 length, Qcow2ExtentFunc func,
                                  gpointer data, GError **error);
void qcow2_bitmap_union_free (Qcow2BitmapUnion *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2BitmapUnion, qcow2_bitmap_union_free)

G_END_DECLS
