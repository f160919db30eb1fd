/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a bitmap says about the disk: qcow2 specification, section "Dirty
 * tracking bitmaps", and "Bitmap data" for where its bits are.
 *
 * A set bit always means dirty.  A clear bit means clean in a bitmap that is
 * enabled or disabled, and unknown in any other: the guest's last writes may
 * be missing from one that is in use or stale, and damage may have cleared
 * bits. */

#pragma once

#include "qcow2/bitmap.h"
#include "qcow2/extent.h"
#include "qcow2/image.h"

G_BEGIN_DECLS

/* The most bitmap data that is read, of a bitmap or in an examination of all
 * bitmaps of an image, in bytes: any number of table entries may refer to the
 * same cluster. */
#define QCOW2_MAX_DATA_BYTES (G_GUINT64_CONSTANT (4) * 1024 * 1024 * 1024)

/* What is read of the contents of a bitmap. */
typedef struct
{
  const Qcow2Image *image;
  const Qcow2Bitmap *bitmap; /* examined */
  guint64 start;             /* guest offset in bytes, inside the disk */
  guint64 length;            /* bytes, no more than there are behind START */
  /* NULL: a read that fails ends it.  Otherwise what cannot be read, or is
   * wrong, is unknown, and the first error goes here. */
  GError **unread;
} Qcow2Contents;

/* Takes an extent; those behind it are wanted only if it returns TRUE. */
typedef gboolean (*Qcow2ExtentFunc) (const Qcow2Extent *extent, gpointer data,
                                     GError **error);

void qcow2_contents_set_range (Qcow2Contents *contents, guint64 start,
                               guint64 max_length);
gboolean qcow2_contents_check_size (const Qcow2Contents *contents,
                                    GError **error);
gboolean qcow2_contents_walk (const Qcow2Contents *contents,
                              Qcow2ExtentFunc func, gpointer data,
                              GError **error);
gboolean qcow2_contents_count (const Qcow2Contents *contents,
                               Qcow2ExtentTotals *totals, GError **error);

G_END_DECLS
