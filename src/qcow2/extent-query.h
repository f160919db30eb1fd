/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A part of the contents of a bitmap. */

#pragma once

#include "qcow2/bitmap.h"
#include "qcow2/extent.h"
#include "qcow2/image.h"

G_BEGIN_DECLS

/* The maximum number of bytes of bitmap data to read for one bitmap, or for an
 * examination of all bitmaps of an image.  The size of the file is no limit,
 * as any number of table entries may refer to the same cluster. */
#define QCOW2_MAX_DATA_BYTES (G_GUINT64_CONSTANT (4) * 1024 * 1024 * 1024)

/* The part of a bitmap's contents to read. */
typedef struct
{
  const Qcow2Image *image;
  const Qcow2Bitmap *bitmap; /* examined */
  guint64 start;             /* guest offset in bytes, inside the disk */
  guint64 length;            /* bytes, at most up to the end of the disk */
  /* If NULL, the first error ends the walk.  Otherwise ranges that cannot be
   * read, or whose table entries are wrong, are unknown, and the first error
   * is stored here. */
  GError **first_error;
} Qcow2ExtentQuery;

G_END_DECLS
