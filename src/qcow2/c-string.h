/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Strings from an image as QEMU has them: a string ends at its first NUL, or
 * where it ends in the image. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

gsize qcow2_c_string_get_length (GBytes *string);
char *qcow2_c_string_dup (GBytes *string);

G_END_DECLS
