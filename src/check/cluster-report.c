/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/cluster-report.h"

/* Returns whether RUN belongs to a selected bitmap. */
gboolean
qcow2_cluster_report_wants (const Qcow2ClusterReport *report,
                            const Qcow2Run *run)
{
  return run->bitmap != QCOW2_RUN_NO_BITMAP
         && g_array_index (report->wanted, guint64, run->bitmap) != 0;
}

/* Fills in SUBJECT for a finding about RUN, without the name of a bitmap.
 * Returns FALSE when RUN belongs to a bitmap that was not selected. */
gboolean
qcow2_cluster_report_get_subject (const Qcow2ClusterReport *report,
                                  const Qcow2Run *run, Qcow2Subject *subject)
{
  const gboolean is_bitmap = run->bitmap != QCOW2_RUN_NO_BITMAP;

  if (is_bitmap && !qcow2_cluster_report_wants (report, run))
    return FALSE;

  *subject = (Qcow2Subject){
    .parts = is_bitmap || run->kind == QCOW2_OWNER_DIRECTORY
                 ? QCOW2_PART_BITMAPS
                 : QCOW2_PART_HEADER,
    .structure = is_bitmap ? "bitmap" : qcow2_owner_get_name (run->kind),
    .extension = QCOW2_NO_INDEX,
    .bitmap = is_bitmap ? run->bitmap : QCOW2_NO_INDEX,
  };
  return TRUE;
}

/* Sets the name and in_use of SUBJECT if it is a bitmap.  Reads the directory
 * entry again, into BITMAP, which must outlive SUBJECT: the names of 65535
 * bitmaps are too much to keep in memory. */
void
qcow2_cluster_report_read_name (const Qcow2ClusterReport *report,
                                Qcow2Subject *subject, Qcow2Bitmap *bitmap)
{
  if (subject->bitmap == QCOW2_NO_INDEX)
    return;

  const guint64 offset
      = g_array_index (report->wanted, guint64, subject->bitmap);
  if (qcow2_directory_read (report->directory, subject->bitmap, offset, bitmap,
                            NULL)
      == QCOW2_NEXT_ITEM)
    {
      subject->name = bitmap->name;
      subject->in_use = (bitmap->flags & QCOW2_BITMAP_IN_USE) != 0;
    }
}

/* Returns a description of RUN and the host offset of the reference to
 * CLUSTER, which lies in RUN.  The caller frees it. */
char *
qcow2_run_describe (const Qcow2Run *run, guint64 cluster)
{
  const guint64 n_before
      = run->kind == QCOW2_OWNER_BITS ? cluster - run->start : 0;
  const Qcow2Reference reference
      = { .owner = run->kind,
          .pointer = run->pointer + n_before * QCOW2_ENTRY_LENGTH,
          .index = run->bitmap != QCOW2_RUN_NO_BITMAP ? run->bitmap
                                                      : QCOW2_NO_INDEX };

  return qcow2_reference_describe (&reference);
}
