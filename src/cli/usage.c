/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/usage.h"

#include <string.h>

#include "cli/help.h"
#include "cli/number.h"
#include "cli/suggest.h"
#include "render/format.h"

/* Returns TEXT, escaped for messages.  The caller frees it. */
char *
usage_escape (const char *text)
{
  GString *escaped = g_string_new (NULL);

  format_escaped (escaped, text, strlen (text));
  return g_string_free (escaped, FALSE);
}

/* Sets ERROR to a usage error, G_OPTION_ERROR_BAD_VALUE.  The formatted
 * message must be safe to print. */
void
usage_error (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *message = g_strdup_vprintf (format, args);
  va_end (args);

  g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                       message);
}

/* Parses TEXT, the value of OPTION, into *VALUE.  If TEXT is NULL because
 * OPTION was not used, leaves *VALUE alone.  Fails with a usage error if TEXT
 * is not a number. */
gboolean
usage_parse_number (const char *option, const char *text, guint64 *value,
                    GError **error)
{
  if (text == NULL || number_parse (text, value))
    return TRUE;

  g_autofree char *escaped = usage_escape (text);
  usage_error (error,
               "%s: '%s' is not a number: decimal, 0x..., or with a "
               "suffix k M G T P E, below 2^64",
               option, escaped);
  return FALSE;
}

/* Fails with a usage error if more than one option was used.  GIVEN, which is
 * NULL-terminated, has the names of those that were used, and "" for the
 * others. */
gboolean
usage_check_exclusive (const char *const *given, GError **error)
{
  const char *first = NULL;

  for (; *given != NULL; given++)
    {
      if (**given == '\0')
        continue;
      if (first != NULL)
        {
          usage_error (error, "%s and %s exclude each other", first, *given);
          return FALSE;
        }

      first = *given;
    }

  return TRUE;
}

/* Adds to NAMES the long names of ENTRIES that the help shows. */
static void
add_long_names (GPtrArray *names, const GOptionEntry *entries)
{
  for (; entries->long_name != NULL; entries++)
    {
      if (help_shows (entries))
        g_ptr_array_add (names, (gpointer) entries->long_name);
    }
}

/* Returns the end of a message: the guess DASHES and CLOSEST.  It is empty if
 * CLOSEST is NULL.  The caller frees it. */
static char *
format_guess (const char *dashes, const char *closest)
{
  return closest != NULL
             ? g_strdup_printf ("; did you mean '%s%s'?", dashes, closest)
             : g_strdup ("");
}

/* Returns the end of GOption's MESSAGE about an unknown option: the one of OWN
 * and COMMON that was probably meant.  The end is empty if none is similar.
 * The caller frees it. */
static char *
suggest_option (const char *message, const GOptionEntry *own,
                const GOptionEntry *common)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  const char *option = strstr (message, " --");

  if (option == NULL)
    return g_strdup ("");

  /* The option ends before its value. */
  option += strlen (" --");
  g_autofree char *name = g_strndup (option, strcspn (option, "="));

  add_long_names (names, own);
  add_long_names (names, common);
  g_ptr_array_add (names, NULL);
  return format_guess (
      "--", suggest_closest (name, (const char *const *) names->pdata));
}

/* Sets ERROR to OPTION_ERROR, reworded, and frees OPTION_ERROR.  GOption's
 * messages begin with a capital letter and contain unescaped input.  If the
 * option is unknown, the message ends with a similar one of OWN and COMMON. */
void
usage_take_option_error (GError **error, GError *option_error,
                         const GOptionEntry *own, const GOptionEntry *common)
{
  g_autofree char *escaped = usage_escape (option_error->message);
  g_autofree char *hint
      = option_error->code == G_OPTION_ERROR_UNKNOWN_OPTION
            ? suggest_option (option_error->message, own, common)
            : g_strdup ("");

  *escaped = g_ascii_tolower (*escaped);
  g_set_error (error, G_OPTION_ERROR, option_error->code, "%s%s", escaped,
               hint);
  g_error_free (option_error);
}

/* Returns the end of a message that says which of CANDIDATES, a
 * NULL-terminated array, TEXT may stand for.  The end is empty if TEXT is like
 * none of them.  The caller frees it. */
char *
usage_suggest (const char *text, const char *const *candidates)
{
  return format_guess ("", suggest_closest (text, candidates));
}

/* Fails with a usage error if VALUE, the value of OPTION or NULL if OPTION was
 * not used, is not one of GOOD, a NULL-terminated array. */
gboolean
usage_check_choice (const char *option, const char *value,
                    const char *const *good, GError **error)
{
  if (value == NULL || g_strv_contains (good, value))
    return TRUE;

  g_autofree char *escaped = usage_escape (value);
  g_autofree char *list = g_strjoinv (", ", (char **) good);
  /* If there is only one value, the message says it all: another format may
   * well have a similar name. */
  g_autofree char *hint
      = good[1] != NULL ? usage_suggest (value, good) : g_strdup ("");
  usage_error (error, "%s: unknown value '%s', not one of: %s%s", option,
               escaped, list, hint);
  return FALSE;
}
