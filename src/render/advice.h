/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Explains the consequence of a finding and its remedy in words. */

#pragma once

#include "check/verdict.h"

G_BEGIN_DECLS

char *advice_get_consequence (const Qcow2Finding *finding,
                              const Qcow2Image *image,
                              const Qcow2Findings *findings);
char *advice_get_remedy (const Qcow2Finding *finding, const Qcow2Image *image,
                         const Qcow2Findings *findings);
char *advice_describe_effect (const Qcow2Rule *rule);
const char *advice_describe_verdict (const Qcow2Verdict *verdict,
                                     const char **word);
const char *advice_describe_remedy (const Qcow2Rule *rule);

G_END_DECLS
