/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules about the header alone. */

#pragma once

#include "check/finding.h"
#include "qcow2/header.h"

G_BEGIN_DECLS

gboolean qcow2_header_check (const Qcow2Header *header, ByteSource *source,
                             Qcow2Findings *findings, GError **error);

G_END_DECLS
