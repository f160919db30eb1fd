/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the entries of a bitmap table and prints them, block by block. */

#pragma once

#include "check/bitmap-checker.h"
#include "cli/tool.h"

G_BEGIN_DECLS

/* Number of entries that are read and printed at a time. */
#define ROWS_BLOCK 512

/* RowOptions.count without --count. */
#define ROWS_ALL G_MAXUINT64

typedef struct
{
  guint64 start; /* index of the first entry */
  guint64 count; /* number of entries, or ROWS_ALL */
  guint types;   /* mask of 1 << Qcow2EntryType; 0: all */
} RowOptions;

gboolean rows_print (Tool *tool, const Qcow2Table *table,
                     const RowOptions *options, GError **error);
gboolean rows_print_bitmap (Tool *tool, Qcow2Image *image,
                            Qcow2BitmapChecker *checker,
                            const Qcow2Bitmap *bitmap,
                            const RowOptions *options, gboolean check,
                            GError **error);

G_END_DECLS
