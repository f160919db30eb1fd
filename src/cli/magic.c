/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/magic.h"

#include "cli/number.h"
#include "cli/usage.h"
#include "qcow2/extension.h"

/* Stands for all extensions whose magic has no name. */
#define UNKNOWN_MAGIC "<unknown>"

/* Sets ERROR to a usage error, since TEXT, the value of WHAT, is no magic. */
static void
unknown_magic (const char *what, const char *text, gboolean with_unknown,
               GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();

  for (const Qcow2ExtensionType *it = qcow2_extension_types; it->name != NULL;
       it++)
    g_ptr_array_add (names, (gpointer) it->name);
  if (with_unknown)
    g_ptr_array_add (names, (gpointer) UNKNOWN_MAGIC);
  g_ptr_array_add (names, NULL);

  g_autofree char *escaped = usage_escape (text);
  g_autofree char *list = g_strjoinv ("', '", (char **) names->pdata);
  g_autofree char *hint
      = usage_suggest (text, (const char *const *) names->pdata);
  usage_error (error,
               "%s: '%s' is neither a number below 2^32 nor one of '%s'%s",
               what, escaped, list, hint);
}

/* Parses TEXT, the value of WHAT, into *MAGIC: a number, or the name of an
 * extension as the program prints it, in either case.  Unless UNKNOWN is NULL,
 * TEXT may be "<unknown>", and *UNKNOWN says whether it is.  Fails with a
 * usage error. */
gboolean
magic_parse (const char *what, const char *text, guint64 *magic,
             gboolean *unknown, GError **error)
{
  for (const Qcow2ExtensionType *it = qcow2_extension_types; it->name != NULL;
       it++)
    {
      if (g_ascii_strcasecmp (it->name, text) == 0)
        {
          *magic = it->magic;
          return TRUE;
        }
    }

  if (unknown != NULL)
    *unknown = g_ascii_strcasecmp (text, UNKNOWN_MAGIC) == 0;
  if (unknown != NULL && *unknown)
    return TRUE;
  if (number_parse (text, magic) && *magic <= G_MAXUINT32)
    return TRUE;

  unknown_magic (what, text, unknown != NULL, error);
  return FALSE;
}
