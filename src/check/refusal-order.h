/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order in which QEMU checks an image when it opens it, and so the first
 * finding for which it refuses the image. */

#pragma once

#include "check/finding.h"
#include "qcow2/image.h"

G_BEGIN_DECLS

gboolean qcow2_rule_is_about_extension (Qcow2RuleIndex rule);
gboolean qcow2_rule_is_after_slots (Qcow2RuleIndex rule);
gboolean qcow2_finding_is_about_entries (const Qcow2Finding *finding);
gboolean qcow2_finding_refuses (const Qcow2Finding *finding,
                                const Qcow2Image *image);
const Qcow2Finding *
qcow2_findings_get_first_refusal (const Qcow2Findings *findings,
                                  const Qcow2Image *image,
                                  const Qcow2Finding *first);

G_END_DECLS
