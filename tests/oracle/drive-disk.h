/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls the readers of the disk's tables, and ends the test program when an
 * invariant listed in drive-disk.c does not hold. */

#pragma once

#include "check/check-numbers.h"
#include "check/finding.h"
#include "qcow2/image.h"

G_BEGIN_DECLS

gboolean drive_map (const Qcow2Image *image, gboolean changes, GError **error);
gboolean drive_tables (const Qcow2Image *image, gboolean changes,
                       GError **error);
void drive_numbers (const Qcow2Image *image, const Qcow2Findings *findings,
                    const Qcow2CheckNumbers *numbers);

G_END_DECLS
