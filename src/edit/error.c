/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/error.h"

/* clang-format off */
G_DEFINE_QUARK (edit-error-quark, edit_error)
/* clang-format on */
