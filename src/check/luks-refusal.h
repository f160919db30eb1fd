/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The message of QEMU when it refuses a key slot of a LUKS header. */

#pragma once

#include "qcow2/luks.h"

G_BEGIN_DECLS

GBytes *qcow2_luks_slots_get_refusal (const Qcow2Luks *luks);

G_END_DECLS
