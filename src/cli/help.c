/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/help.h"

#include <string.h>

/* Maximum number of characters in a line. */
#define WIDTH 79

/* Column of the texts about options. */
#define OPTIONS_INDENT 26

/* Appends TEXT to a line of OUT that is filled up to column INDENT, and breaks
 * it between words where it becomes too long. */
static void
append_wrapped (GString *out, gsize indent, const char *text)
{
  gsize at = indent;
  g_auto (GStrv) words = g_strsplit (text, " ", -1);

  for (char **word = words; *word != NULL; word++)
    {
      const gsize len = strlen (*word);

      if (at > indent && at + 1 + len > WIDTH)
        {
          g_string_append_printf (out, "\n%*s", (int) indent, "");
          at = indent;
        }
      else if (word != words)
        {
          g_string_append_c (out, ' ');
          at++;
        }

      g_string_append (out, *word);
      at += len;
    }
  g_string_append_c (out, '\n');
}

/* Appends ITEM, a command or an option, and beside it, from column INDENT on,
 * TEXT, which explains it.  A long item has a line of its own. */
void
help_append_item (GString *out, gsize indent, const char *item,
                  const char *text)
{
  const gsize end = 2 + strlen (item);

  g_string_append_printf (out, "  %s", item);
  if (end + 2 <= indent)
    g_string_append_printf (out, "%*s", (int) (indent - end), "");
  else
    g_string_append_printf (out, "\n%*s", (int) indent, "");
  append_wrapped (out, indent, text);
}

/* Returns whether the help shows ENTRY: it is not hidden, and is an option. */
gboolean
help_shows (const GOptionEntry *entry)
{
  return (entry->flags & G_OPTION_FLAG_HIDDEN) == 0
         && !g_str_equal (entry->long_name, G_OPTION_REMAINING);
}

/* Appends a list of the ENTRIES that the help shows. */
void
help_append_options (GString *out, const GOptionEntry *entries)
{
  g_autoptr (GString) item = g_string_new (NULL);

  for (; entries->long_name != NULL; entries++)
    {
      if (!help_shows (entries))
        continue;

      g_string_truncate (item, 0);
      if (entries->short_name != '\0')
        g_string_append_printf (item, "-%c, ", entries->short_name);
      g_string_append_printf (item, "--%s", entries->long_name);
      if (entries->arg_description != NULL)
        g_string_append_printf (item, "=%s", entries->arg_description);

      help_append_item (out, OPTIONS_INDENT, item->str, entries->description);
    }
}

/* Returns the help of the command that TEXT describes, with its OWN options
 * and the COMMON ones.  The caller frees it. */
char *
help_format (const HelpText *text, const GOptionEntry *own,
             const GOptionEntry *common)
{
  GString *out = g_string_new (NULL);

  g_string_append_printf (out,
                          "Usage:\n  qcow2tool %s [OPTION...] %s\n\n"
                          "%s\n\n",
                          text->command, text->operands, text->summary);
  if (text->kinds != NULL)
    {
      g_autofree char *list = g_strjoinv (", ", (char **) text->kinds);

      g_string_append_printf (out, "KIND is one of: %s\n\n", list);
    }
  g_string_append (out, "Options:\n");
  help_append_options (out, own);
  help_append_options (out, common);
  if (text->statuses != NULL)
    {
      g_string_append (out, "\nExit status:\n  ");
      append_wrapped (out, 2, text->statuses);
    }
  g_string_append_printf (out, "\nExample:\n  qcow2tool %s %s\n\nSee %s(1).\n",
                          text->command, text->example, text->page);
  return g_string_free (out, FALSE);
}
