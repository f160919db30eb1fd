/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recognizes mistakes on a command line and guesses what was meant. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* QEMU's programs accept the name of a file with this prefix, too. */
#define SUGGEST_QEMU_PREFIX "file:"

const char *suggest_closest (const char *text, const char *const *candidates);
gboolean suggest_is_image (const char *name);
gboolean suggest_is_bitmap (const char *name, const char *other);
gboolean suggest_has_qemu_prefix (const char *path);

G_END_DECLS
