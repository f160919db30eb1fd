/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory for large arrays. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

gpointer qcow2_memory_new0 (gsize size, gpointer *block);

G_END_DECLS
