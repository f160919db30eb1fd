/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bitmap directory of an image together with the results of checks, for
 * callers that need them more than once. */

#pragma once

#include "check/bitmap-checker.h"
#include "check/verdict.h"

G_BEGIN_DECLS

typedef struct Qcow2CheckedDirectory Qcow2CheckedDirectory;

Qcow2CheckedDirectory *qcow2_checked_directory_open (const Qcow2Image *image,
                                                     Qcow2Findings *findings,
                                                     GError **error);
Qcow2Directory *
qcow2_checked_directory_get (const Qcow2CheckedDirectory *self);
Qcow2BitmapChecker *
qcow2_checked_directory_get_checker (const Qcow2CheckedDirectory *self);
gboolean qcow2_checked_directory_judge (Qcow2CheckedDirectory *self,
                                        Qcow2Verdict *verdict, GError **error);
void qcow2_checked_directory_free (Qcow2CheckedDirectory *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2CheckedDirectory,
                               qcow2_checked_directory_free)

G_END_DECLS
