/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text output of check, apart from the findings: the summary and the rules. */

#pragma once

#include "render/describe.h"

G_BEGIN_DECLS

void check_text_summary (GString *out, const char *path,
                         const DescribeSummary *summary);
void check_text_rules (GString *out);

G_END_DECLS
