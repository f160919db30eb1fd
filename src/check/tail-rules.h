/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules about what follows the end of something: HDR-14 about the header
 * extensions, and BDATA-03 about the data of a bitmap. */

#pragma once

#include "check/finding.h"
#include "qcow2/image.h"
#include "qcow2/table.h"

G_BEGIN_DECLS

typedef struct Qcow2TailCheck Qcow2TailCheck;

Qcow2TailCheck *qcow2_tail_check_new (const Qcow2Image *image,
                                      Qcow2Findings *findings);
gboolean qcow2_tail_check_extensions (Qcow2TailCheck *check, GError **error);
gboolean qcow2_tail_check_bitmap (Qcow2TailCheck *check,
                                  const Qcow2Bitmap *bitmap,
                                  const Qcow2TableEntry *entry,
                                  guint64 data_size, GError **error);
void qcow2_tail_check_free (Qcow2TailCheck *check);

G_END_DECLS
