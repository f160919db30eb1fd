/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* FILE-09: finds references of an image to clusters after the end of its
 * file. */

#pragma once

#include "check/finding.h"
#include "qcow2/refcount.h"

G_BEGIN_DECLS

/* References to clusters after the end of the file, as host offsets.  0 means
 * that none was found. */
typedef struct
{
  guint64 needed;  /* end of the last cluster that a table or field refers
                      to */
  guint64 counted; /* end of the last cluster that only a refcount marks as in
                      use */
} Qcow2FileEnd;

void qcow2_file_end_note_needed (Qcow2FileEnd *end, const Qcow2Image *image,
                                 guint64 offset, guint64 size);
void qcow2_file_end_note_counted (Qcow2FileEnd *end, const Qcow2Image *image,
                                  guint64 offset, guint64 size);
void qcow2_file_end_note_header (Qcow2FileEnd *end, const Qcow2Image *image);
gboolean qcow2_file_end_note_refcounts (Qcow2FileEnd *end,
                                        const Qcow2Image *image,
                                        Qcow2Refcounts *refcounts,
                                        GError **error);
gboolean qcow2_file_end_check (Qcow2FileEnd *end, const Qcow2Image *image,
                               Qcow2Findings *findings, GError **error);
void qcow2_file_end_report (const Qcow2Image *image, guint64 needed,
                            Qcow2Findings *findings);

G_END_DECLS
