/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules about the LUKS header of an encrypted image.  Key material, digest
 * and salts cannot be judged without the secret. */

#pragma once

#include "check/problem.h"
#include "qcow2/image.h"
#include "qcow2/luks.h"

G_BEGIN_DECLS

gboolean qcow2_luks_judge (const Qcow2Extension *extension, ByteSource *source,
                           Qcow2Problems *problems, GError **error);
gboolean qcow2_luks_judge_all (const Qcow2Image *image,
                               Qcow2Problems *problems, GError **error);

G_END_DECLS
