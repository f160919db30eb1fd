/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints the block of a bitmap, with or without its table. */

#pragma once

#include "cli/selection.h"

G_BEGIN_DECLS

gboolean bitmap_block_show (Tool *tool, Qcow2Image *image,
                            Qcow2BitmapChecker *checker, Qcow2Bitmap *bitmap,
                            gpointer data, GError **error);
gboolean bitmap_block_show_with_table (Tool *tool, Qcow2Image *image,
                                       Qcow2BitmapChecker *checker,
                                       Qcow2Bitmap *bitmap, gpointer data,
                                       GError **error);

G_END_DECLS
