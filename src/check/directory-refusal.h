/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The message of QEMU when it refuses a bitmap directory. */

#pragma once

#include "qcow2/image.h"

G_BEGIN_DECLS

GBytes *qcow2_entries_get_refusal (const Qcow2Image *image);

G_END_DECLS
