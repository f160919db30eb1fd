/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/checked-directory.h"

#include "check/directory-rules.h"
#include "check/opening.h"

struct Qcow2CheckedDirectory
{
  Qcow2Directory *directory;
  Qcow2BitmapChecker *checker;
  const Qcow2Findings *findings; /* not owned */

  gboolean is_judged;
  Qcow2Verdict verdict;
  GError *verdict_error; /* a read that VERDICT needs failed */
};

/* Opens the bitmap directory of IMAGE as qcow2_directory_open_checked () does,
 * and makes a checker of its bitmaps.  Both add findings to FINDINGS, in which
 * those about the header and the extensions are already.  IMAGE and FINDINGS
 * must outlive the result. */
Qcow2CheckedDirectory *
qcow2_checked_directory_open (const Qcow2Image *image, Qcow2Findings *findings,
                              GError **error)
{
  Qcow2Directory *directory
      = qcow2_directory_open_checked (image, findings, error);

  if (directory == NULL)
    return NULL;

  Qcow2CheckedDirectory *self = g_new0 (Qcow2CheckedDirectory, 1);
  self->directory = directory;
  self->checker = qcow2_bitmap_checker_new (directory, findings);
  self->findings = findings;
  return self;
}

/* Returns the directory, which others may have moved. */
Qcow2Directory *
qcow2_checked_directory_get (const Qcow2CheckedDirectory *self)
{
  return self->directory;
}

/* Returns the checker of the bitmaps, which remembers the tables that it has
 * read. */
Qcow2BitmapChecker *
qcow2_checked_directory_get_checker (const Qcow2CheckedDirectory *self)
{
  return self->checker;
}

/* Stores in *VERDICT what QEMU does when it opens the image, as
 * qcow2_directory_check_opening () does.  Only the first call reads the image;
 * later ones return the same result, errors included.  The directory is
 * rewound. */
gboolean
qcow2_checked_directory_judge (Qcow2CheckedDirectory *self,
                               Qcow2Verdict *verdict, GError **error)
{
  if (!self->is_judged)
    qcow2_directory_check_opening (self->directory, self->findings,
                                   &self->verdict, &self->verdict_error);

  self->is_judged = TRUE;
  qcow2_directory_rewind (self->directory);
  *verdict = self->verdict;
  if (self->verdict_error == NULL)
    return TRUE;

  if (error != NULL)
    *error = g_error_copy (self->verdict_error);
  return FALSE;
}

void
qcow2_checked_directory_free (Qcow2CheckedDirectory *self)
{
  if (self == NULL)
    return;

  qcow2_bitmap_checker_free (self->checker);
  qcow2_directory_free (self->directory);
  g_clear_error (&self->verdict_error);
  g_free (self);
}
