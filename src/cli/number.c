/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/number.h"

#include <string.h>

/* Parses the digits of BASE at the start of *TEXT into *VALUE, and moves *TEXT
 * to the end of the digits.  Returns FALSE if there are no digits or the
 * number does not fit into 64 bits. */
static gboolean
take_digits (const char **text, guint base, guint64 *value)
{
  const char *start = *text;

  *value = 0;
  for (; g_ascii_isxdigit (**text); (*text)++)
    {
      const guint digit = (guint) g_ascii_xdigit_value (**text);

      if (digit >= base)
        break;
      if (*value > (G_MAXUINT64 - digit) / base)
        return FALSE;

      *value = *value * base + digit;
    }

  return *text > start;
}

/* Parses TEXT into *VALUE: decimal digits, 0x and hexadecimal digits, or
 * decimal digits and one of qemu-img's suffixes k M G T P E (powers of 1024,
 * in either case).  If TEXT is none of these or does not fit into 64 bits,
 * returns FALSE and leaves *VALUE alone. */
gboolean
number_parse (const char *text, guint64 *value)
{
  static const char suffixes[] = "kmgtpe";
  const gboolean hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
  const char *rest = hex ? text + 2 : text;
  guint64 number;

  if (!take_digits (&rest, hex ? 16 : 10, &number))
    return FALSE;

  if (!hex && *rest != '\0')
    {
      const char *suffix = strchr (suffixes, g_ascii_tolower (*rest));

      if (suffix == NULL)
        return FALSE;

      const guint shift = 10 * (guint) (suffix - suffixes + 1);
      if (number > G_MAXUINT64 >> shift)
        return FALSE;

      number <<= shift;
      rest++;
    }

  if (*rest != '\0')
    return FALSE;

  *value = number;
  return TRUE;
}
