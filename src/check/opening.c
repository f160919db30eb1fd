/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/opening.h"

#include "check/examine.h"
#include "check/guard.h"
#include "qcow2/luks.h"

/* Judges EXTENSION of IMAGE, and the LUKS header if EXTENSION points to one.
 */
static gboolean
judge_extension (Qcow2Image *image, const Qcow2Extension *extension,
                 GError **error)
{
  qcow2_extension_judge (extension, &image->header,
                         byte_source_get_size (image->source), FALSE,
                         QCOW2_PART_EXTENSIONS, image->problems);

  return !qcow2_luks_is_located (extension, &image->header)
         || qcow2_luks_judge (extension, image->source, image->problems,
                              error);
}

/* Judges the header extensions of IMAGE.  The end of their walk was judged
 * when the image was opened. */
static gboolean
judge_extensions (Qcow2Image *image, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  if (!image->has_extensions)
    return TRUE;

  g_autoptr (Qcow2ExtensionWalk) walk
      = qcow2_extension_walk_new (image->source, &image->header);
  while (local_error == NULL)
    {
      g_auto (Qcow2Extension) extension = { 0 };

      if (!qcow2_extension_walk_next (walk, &extension, &local_error))
        break;

      judge_extension (image, &extension, &local_error);
    }

  if (local_error == NULL)
    return TRUE;

  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* Judges every bitmap in DIRECTORY and adds findings to PROBLEMS. */
static gboolean
judge_bitmaps (Qcow2Image *image, Qcow2Directory *directory,
               Qcow2Problems *problems, GError **error)
{
  g_autoptr (Qcow2Examiner) examiner = qcow2_examiner_new (image, directory);
  g_autoptr (GError) local_error = NULL;

  qcow2_examiner_set_problems (examiner, problems);
  qcow2_directory_rewind (directory);
  while (local_error == NULL)
    {
      g_auto (Qcow2Bitmap) bitmap = { 0 };

      if (!qcow2_directory_next (directory, &bitmap, &local_error))
        break;

      qcow2_examiner_examine (examiner, &bitmap, &local_error);
    }
  qcow2_directory_rewind (directory);

  if (local_error == NULL)
    qcow2_examiner_examine_cut_entry (examiner, &local_error);
  if (local_error == NULL)
    return TRUE;

  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* Stores in *VERDICT what QEMU does when it opens IMAGE.  DIRECTORY is the
 * bitmap directory of IMAGE; it is rewound.  Findings are not added to the
 * problems of IMAGE.  Fails with QCOW2_ERROR_READ; the effect in *VERDICT is
 * then QCOW2_EFFECT_UNKNOWN or worse. */
gboolean
qcow2_image_judge_opening (Qcow2Image *image, Qcow2Directory *directory,
                           Qcow2Verdict *verdict, GError **error)
{
  g_autoptr (Qcow2Problems) problems = qcow2_problems_new ();
  g_auto (Qcow2SnapshotTable) snapshots = { .size = 0 };
  Qcow2Problems *const kept = image->problems;

  *verdict = (Qcow2Verdict) QCOW2_VERDICT_INIT;
  qcow2_verdict_add (verdict, image, kept);
  if (image->header.cluster_size == QCOW2_ABSENT)
    return TRUE;

  /* The functions that judge add findings to the problems of the image. */
  image->problems = problems;
  const gboolean judged
      = judge_extensions (image, error)
        && judge_bitmaps (image, directory, problems, error)
        && qcow2_snapshot_table_judge (image, &snapshots, error)
        && (!qcow2_directory_is_rewritten (directory)
            || qcow2_guard_judge (image, &snapshots, error));
  image->problems = kept;

  qcow2_verdict_add (verdict, image, problems);
  if (!judged && verdict->effect < QCOW2_EFFECT_UNKNOWN)
    *verdict = (Qcow2Verdict){ QCOW2_EFFECT_UNKNOWN, QCOW2_FILE_04 };
  return judged;
}
