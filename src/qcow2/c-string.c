/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/c-string.h"

#include <string.h>

/* Returns the length in bytes of STRING, which may be NULL, up to its first
 * NUL. */
gsize
qcow2_c_string_get_length (GBytes *string)
{
  gsize len = 0;
  const char *bytes = string != NULL ? g_bytes_get_data (string, &len) : NULL;

  return len > 0 ? strnlen (bytes, len) : 0;
}

/* Returns STRING, which may be NULL, up to its first NUL, or NULL if nothing
 * precedes that.  The caller frees it. */
char *
qcow2_c_string_dup (GBytes *string)
{
  const gsize len = qcow2_c_string_get_length (string);

  return len > 0 ? g_strndup (g_bytes_get_data (string, NULL), len) : NULL;
}
