/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/error.h"

/* clang-format off */
G_DEFINE_QUARK (qcow2-error-quark, qcow2_error)
/* clang-format on */
