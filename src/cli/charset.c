/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/charset.h"

#include <langinfo.h>
#include <locale.h>

/* Returns whether the user's terminal uses UTF-8, according to the
 * environment.  The process itself has no locale: except for this, its output
 * is the same everywhere. */
gboolean
charset_is_utf8 (void)
{
  const locale_t locale = newlocale (LC_CTYPE_MASK, "", (locale_t) 0);

  if (locale == (locale_t) 0)
    return FALSE;

  const gboolean utf8
      = g_ascii_strcasecmp (nl_langinfo_l (CODESET, locale), "UTF-8") == 0;
  freelocale (locale);
  return utf8;
}
