/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lock that a QEMU that writes to an image takes. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

gboolean edit_lock_is_possible (int fd, gboolean force, GError **error);
gboolean edit_lock (int fd, gboolean force, GError **error);

G_END_DECLS
