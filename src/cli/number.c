/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/number.h"

#include <string.h>

/* Takes the digits of BASE off the start of TEXT.  Returns FALSE when there
 * are none or their number does not fit. */
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

/* Parses TEXT: decimal digits, 0x and hexadecimal ones, or decimal digits and
 * one of qemu-img's suffixes k M G T P E (powers of 1024, in any case).
 * Returns FALSE, and leaves VALUE alone, when it is none of these or does not
 * fit into 64 bits. */
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
