/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* FILE-09: what an image refers to that lies after the end of its file. */

#pragma once

#include "qcow2/image.h"
#include "qcow2/refcount.h"

G_BEGIN_DECLS

/* What was found after the end of the file: host offsets, 0 for nothing. */
typedef struct
{
  guint64 needed;  /* the end of the last cluster to which something leads */
  guint64 counted; /* of the last one that only refcounts say is in use */
} Qcow2FileEnd;

void qcow2_file_end_note_needed (Qcow2FileEnd *end, const Qcow2Image *image,
                                 guint64 offset, guint64 size);
void qcow2_file_end_note_counted (Qcow2FileEnd *end, const Qcow2Image *image,
                                  guint64 offset, guint64 size);
gboolean qcow2_file_end_note_refcounts (Qcow2FileEnd *end,
                                        const Qcow2Image *image,
                                        Qcow2Refcounts *refcounts,
                                        GError **error);
gboolean qcow2_file_end_judge (Qcow2FileEnd *end, Qcow2Image *image,
                               GError **error);

G_END_DECLS
