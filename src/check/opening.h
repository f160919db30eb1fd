/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A check of only those parts of an image that QEMU reads when it opens it. */

#pragma once

#include "check/verdict.h"
#include "qcow2/directory.h"

G_BEGIN_DECLS

gboolean qcow2_directory_find_obstacles (Qcow2Directory *directory,
                                         Qcow2Findings *findings,
                                         GError **error);
gboolean qcow2_directory_check_opening (Qcow2Directory *directory,
                                        const Qcow2Findings *known,
                                        Qcow2Verdict *verdict, GError **error);

G_END_DECLS
