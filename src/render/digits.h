/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers in digits, without the way through printf: most of what is printed
 * of a large image is numbers. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

void digits_append (GString *out, guint64 value);
void digits_append_left (GString *out, guint64 value, guint width);
void digits_append_right (GString *out, guint64 value, guint width);
void digits_append_hex (GString *out, guint64 value);
void digits_append_byte (GString *out, guint8 value);
void digits_append_spaces (GString *out, gsize n);

G_END_DECLS
