/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Character set of the user's terminal. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

gboolean charset_is_utf8 (void);

G_END_DECLS
