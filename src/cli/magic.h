/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The magic of a header extension on the command line. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

gboolean magic_parse (const char *what, const char *text, guint64 *magic,
                      gboolean *unknown, GError **error);

G_END_DECLS
