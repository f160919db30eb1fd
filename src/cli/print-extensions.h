/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walks the header extensions of an image. */

#pragma once

#include "cli/tool.h"

G_BEGIN_DECLS

/* Returns whether EXTENSION is selected. */
typedef gboolean (*ExtensionFilter) (const Qcow2Extension *extension,
                                     gconstpointer data);

typedef gboolean (*ExtensionFunc) (Tool *tool, const Qcow2Extension *extension,
                                   gpointer data, GError **error);

gboolean each_extension (Tool *tool, Qcow2Image *image, ExtensionFilter filter,
                         ExtensionFunc show, gpointer data, GError **error);
ReportScope each_extension_get_scope (const Qcow2Image *image, guint parts);

G_END_DECLS
