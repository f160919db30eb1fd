/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Explains why the contents of a bitmap cannot be used. */

#pragma once

#include "check/finding.h"
#include "qcow2/bitmap.h"

G_BEGIN_DECLS

char *unusable_explain (const Qcow2Bitmap *bitmap, const Qcow2Subject *subject,
                        const Qcow2Findings *findings, const char *hint);

G_END_DECLS
