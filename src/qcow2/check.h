/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All that is wrong with the metadata of an image: what its readers judge, and
 * what needs the whole picture. */

#pragma once

#include "qcow2/check-clusters.h"
#include "qcow2/directory.h"
#include "qcow2/verdict.h"

G_BEGIN_DECLS

typedef struct
{
  /* Whether BITMAP was asked for, TRUE or FALSE: only then what is wrong with
   * it counts. */
  gboolean (*wants) (const Qcow2Bitmap *bitmap, gconstpointer data);
  Qcow2CheckFailed failed;
  gpointer data;
} Qcow2CheckCalls;

void qcow2_image_check (Qcow2Image *image, Qcow2Directory *directory,
                        const Qcow2CheckCalls *calls,
                        Qcow2BitmapSummary *summary, Qcow2Verdict *verdict);

G_END_DECLS
