/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes GOption read arguments as getopt does. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

GPtrArray *arguments_prepare (char *program, char **argv,
                              const GOptionEntry *own,
                              const GOptionEntry *common, GPtrArray *strings,
                              GError **error);

G_END_DECLS
