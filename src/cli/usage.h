/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks options and their values, and words all usage errors alike. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

char *usage_escape (const char *text);
void usage_error (GError **error, const char *format, ...)
    G_GNUC_PRINTF (2, 3);
void usage_take_option_error (GError **error, GError *option_error,
                              const GOptionEntry *own,
                              const GOptionEntry *common);
gboolean usage_parse_number (const char *option, const char *text,
                             guint64 *value, GError **error);
char *usage_suggest (const char *text, const char *const *candidates);
gboolean usage_check_choice (const char *option, const char *value,
                             const char *const *good, GError **error);
gboolean usage_check_exclusive (const char *const *given, GError **error);

G_END_DECLS
