/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules about the LUKS header of an encrypted image.  Key material, digest
 * and salts cannot be checked without the secret. */

#pragma once

#include "check/finding.h"
#include "qcow2/image.h"
#include "qcow2/luks.h"

G_BEGIN_DECLS

gboolean qcow2_luks_check (const Qcow2Extension *extension, ByteSource *source,
                           Qcow2Findings *findings, GError **error);
gboolean qcow2_luks_check_all (const Qcow2Image *image,
                               Qcow2Findings *findings, GError **error);

G_END_DECLS
