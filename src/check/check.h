/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A check of an image, by the rules about single structures and those that
 * need an overview of the image. */

#pragma once

#include "check/check-clusters.h"
#include "check/verdict.h"
#include "check/whole-image.h"
#include "qcow2/directory.h"

G_BEGIN_DECLS

typedef struct
{
  /* Returns TRUE or FALSE: whether BITMAP was selected.  Findings about other
   * bitmaps are ignored. */
  gboolean (*wants) (const Qcow2Bitmap *bitmap, gconstpointer data);
  Qcow2CheckFailed failed;
  gpointer data;
} Qcow2CheckCalls;

void qcow2_image_check (const Qcow2Image *image, Qcow2Findings *findings,
                        Qcow2Directory *directory,
                        const Qcow2CheckCalls *calls,
                        Qcow2BitmapSummary *summary, Qcow2Verdict *verdict,
                        Qcow2CheckNumbers *numbers);

G_END_DECLS
