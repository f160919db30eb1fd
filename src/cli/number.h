/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses numbers on the command line. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

gboolean number_parse (const char *text, guint64 *value);

G_END_DECLS
