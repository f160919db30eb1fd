/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The message of QEMU when it refuses a key slot of a LUKS header. */

#pragma once

#include "qcow2/image.h"

G_BEGIN_DECLS

GBytes *qcow2_image_get_slots_refusal (const Qcow2Image *image);

G_END_DECLS
