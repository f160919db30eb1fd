/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Determines which bytes of a string from an image can be printed
 * unescaped. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

gboolean qcow2_char_is_printable (const guint8 *bytes, gsize len, gsize *size);
gsize qcow2_count_plain (const guint8 *bytes, gsize len);
gboolean qcow2_string_is_printable (GBytes *string);
gboolean qcow2_bytes_are_printable (const guint8 *bytes, gsize len);

G_END_DECLS
