/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mutates an image at the offsets that matter.  A field of a structure that a
 * reader reaches is set to a value at which behaviour changes.  libFuzzer's
 * own mutator knows nothing of offsets that lead to other structures. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct LayoutImage LayoutImage;

/* An image, however the input stores it.  Bytes that the input does not have
 * are read as zeroes, and cannot be written. */
struct LayoutImage
{
  guint64 (*get) (const LayoutImage *image, guint64 offset, guint width);
  void (*put) (LayoutImage *image, guint64 offset, guint width, guint64 value);
  void (*resize) (LayoutImage *image, guint64 size);
  guint64 size;   /* of the file, bytes */
  guint64 random; /* state; not 0 */
};

guint64 layout_random (LayoutImage *image, guint64 n);
void layout_mutate (LayoutImage *image);

G_END_DECLS
