/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Determines the state of a bitmap from the image header, the directory entry
 * and the bitmap table. */

#pragma once

#include "check/finding.h"
#include "qcow2/directory.h"
#include "qcow2/table.h"

G_BEGIN_DECLS

/* Checks the bitmaps of one image.  A checker remembers the tables that it
 * has read, because several bitmaps may share a table. */
typedef struct Qcow2BitmapChecker Qcow2BitmapChecker;

/* Receives the N_ENTRIES entries of BITMAP's table that were just checked.
 * BROKEN holds the rule that each entry breaks, or QCOW2_NO_RULE. */
typedef void (*Qcow2BitmapCheckerWatch) (const Qcow2Bitmap *bitmap,
                                         const Qcow2TableEntry *entries,
                                         const Qcow2RuleIndex *broken,
                                         gsize n_entries, gpointer data);

Qcow2BitmapChecker *qcow2_bitmap_checker_new (const Qcow2Directory *directory,
                                              Qcow2Findings *findings);
gboolean qcow2_bitmap_checker_check (Qcow2BitmapChecker *checker,
                                     Qcow2Bitmap *bitmap, GError **error);
gboolean
qcow2_bitmap_checker_check_truncated_entry (Qcow2BitmapChecker *checker,
                                            GError **error);
gboolean qcow2_bitmap_checker_count_dirty (Qcow2BitmapChecker *checker,
                                           Qcow2Bitmap *bitmap,
                                           GError **error);
void qcow2_bitmap_checker_set_watch (Qcow2BitmapChecker *checker,
                                     Qcow2BitmapCheckerWatch watch,
                                     gpointer data);
void qcow2_bitmap_checker_set_findings (Qcow2BitmapChecker *checker,
                                        Qcow2Findings *findings);
void qcow2_bitmap_checker_set_refused (Qcow2BitmapChecker *checker);
guint64
qcow2_bitmap_checker_get_n_left_out (const Qcow2BitmapChecker *checker);
guint64 qcow2_bitmap_checker_show_table (Qcow2BitmapChecker *checker,
                                         const Qcow2Bitmap *bitmap,
                                         gboolean with_ranges);
guint64 qcow2_bitmap_checker_take_rows (Qcow2BitmapChecker *checker,
                                        guint64 n);
void qcow2_bitmap_checker_check_entry (Qcow2BitmapChecker *checker,
                                       const Qcow2Bitmap *bitmap);
void qcow2_bitmap_checker_free (Qcow2BitmapChecker *checker);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2BitmapChecker, qcow2_bitmap_checker_free)

G_END_DECLS
