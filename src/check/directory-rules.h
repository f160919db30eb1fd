/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules about the bitmap directory as a whole. */

#pragma once

#include "check/finding.h"
#include "qcow2/directory.h"

G_BEGIN_DECLS

Qcow2Directory *qcow2_directory_open_checked (const Qcow2Image *image,
                                              Qcow2Findings *findings,
                                              GError **error);
gboolean qcow2_directory_is_rewritten (const Qcow2Directory *directory);
gboolean qcow2_directory_is_hidden (const Qcow2Findings *findings);
gboolean qcow2_directory_breaks_off (const Qcow2Findings *findings);
gboolean qcow2_directory_is_unknown (const Qcow2Directory *directory,
                                     const Qcow2Findings *findings);

G_END_DECLS
