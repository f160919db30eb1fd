/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/opening.h"

#include "check/bitmap-checker.h"
#include "check/directory-rules.h"
#include "check/guard.h"
#include "check/luks-rules.h"
#include "check/snapshot-rules.h"

/* Checks every bitmap in DIRECTORY and adds findings to FINDINGS. */
static gboolean
check_bitmaps (Qcow2Directory *directory, Qcow2Findings *findings,
               GError **error)
{
  g_autoptr (Qcow2BitmapChecker) checker
      = qcow2_bitmap_checker_new (directory, findings);
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  Qcow2Next next;

  qcow2_directory_rewind (directory);
  while ((next = qcow2_directory_next (directory, &bitmap, error))
         == QCOW2_NEXT_ITEM)
    {
      if (!qcow2_bitmap_checker_check (checker, &bitmap, error))
        break;
    }
  qcow2_directory_rewind (directory);

  return next == QCOW2_NEXT_END
         && qcow2_bitmap_checker_check_truncated_entry (checker, error);
}

/* Checks what keeps QEMU from writing DIRECTORY, if it has to when it opens
 * the image. */
static gboolean
check_guard (Qcow2Directory *directory, const Qcow2SnapshotTable *snapshots,
             Qcow2Findings *findings, GError **error)
{
  const Qcow2Image *image = qcow2_directory_get_image (directory);

  if (!qcow2_directory_is_rewritten (directory))
    return TRUE;

  g_autoptr (Qcow2Refcounts) refcounts = qcow2_refcounts_new (image);

  return qcow2_guard_check (image, snapshots, refcounts, findings, error);
}

/* Adds findings to FINDINGS about everything that QEMU examines when it opens
 * the image of DIRECTORY, except the header, the extensions and the directory
 * as a whole.  DIRECTORY is rewound.  Does nothing if the cluster size is
 * unknown.  Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_directory_find_obstacles (Qcow2Directory *directory,
                                Qcow2Findings *findings, GError **error)
{
  const Qcow2Image *image = qcow2_directory_get_image (directory);
  g_auto (Qcow2SnapshotTable) snapshots = { .size = 0 };

  if (image->header.cluster_size == QCOW2_ABSENT)
    return TRUE;

  return qcow2_luks_check_all (image, findings, error)
         && check_bitmaps (directory, findings, error)
         && qcow2_snapshot_table_check (image, &snapshots, findings, error)
         && check_guard (directory, &snapshots, findings, error);
}

/* Stores in *VERDICT what QEMU does when it opens the image of DIRECTORY,
 * which is rewound.  KNOWN has the findings about the header, the extensions
 * and the directory as a whole; those about everything else that QEMU examines
 * are not kept.  Fails with QCOW2_ERROR_READ; the effect in *VERDICT is then
 * QCOW2_EFFECT_UNKNOWN or worse. */
gboolean
qcow2_directory_check_opening (Qcow2Directory *directory,
                               const Qcow2Findings *known,
                               Qcow2Verdict *verdict, GError **error)
{
  const Qcow2Image *image = qcow2_directory_get_image (directory);
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();

  *verdict = (Qcow2Verdict) QCOW2_VERDICT_INIT;
  qcow2_verdict_add (verdict, image, known);

  const gboolean checked
      = qcow2_directory_find_obstacles (directory, findings, error);

  qcow2_verdict_add (verdict, image, findings);
  if (!checked && verdict->effect < QCOW2_EFFECT_UNKNOWN)
    *verdict = (Qcow2Verdict){ QCOW2_EFFECT_UNKNOWN, QCOW2_FILE_04 };
  return checked;
}
