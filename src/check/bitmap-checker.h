/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Determines the state of a bitmap from the image header, the directory entry
 * and the bitmap table. */

#pragma once

#include "check/problem.h"
#include "qcow2/directory.h"
#include "qcow2/table.h"

G_BEGIN_DECLS

/* Judges the bitmaps of one image.  An examiner remembers the tables that it
 * has read, because several bitmaps may share a table. */
typedef struct Qcow2Examiner Qcow2Examiner;

/* Receives the N_ENTRIES entries of BITMAP's table that were just judged.
 * BROKEN holds the rule that each entry breaks, or QCOW2_NO_RULE. */
typedef void (*Qcow2ExaminerWatch) (const Qcow2Bitmap *bitmap,
                                    const Qcow2TableEntry *entries,
                                    const Qcow2RuleIndex *broken,
                                    gsize n_entries, gpointer data);

Qcow2Examiner *qcow2_examiner_new (const Qcow2Directory *directory,
                                   Qcow2Problems *problems);
gboolean qcow2_examiner_examine (Qcow2Examiner *examiner, Qcow2Bitmap *bitmap,
                                 GError **error);
gboolean qcow2_examiner_examine_cut_entry (Qcow2Examiner *examiner,
                                           GError **error);
gboolean qcow2_examiner_count_dirty (Qcow2Examiner *examiner,
                                     Qcow2Bitmap *bitmap, GError **error);
void qcow2_examiner_set_watch (Qcow2Examiner *examiner,
                               Qcow2ExaminerWatch watch, gpointer data);
void qcow2_examiner_set_problems (Qcow2Examiner *examiner,
                                  Qcow2Problems *problems);
void qcow2_examiner_set_refused (Qcow2Examiner *examiner);
guint64 qcow2_examiner_get_n_bytes (const Qcow2Examiner *examiner);
guint64 qcow2_examiner_get_n_left_out (const Qcow2Examiner *examiner);
guint64 qcow2_examiner_show_table (Qcow2Examiner *examiner,
                                   const Qcow2Bitmap *bitmap,
                                   gboolean with_ranges);
guint64 qcow2_examiner_take_rows (Qcow2Examiner *examiner, guint64 n);
void qcow2_examiner_judge_entry (Qcow2Examiner *examiner,
                                 const Qcow2Bitmap *bitmap);
void qcow2_examiner_free (Qcow2Examiner *examiner);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2Examiner, qcow2_examiner_free)

G_END_DECLS
