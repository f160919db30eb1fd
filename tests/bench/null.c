/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Links GLib, parses options and does nothing.  No program of this kind can be
 * faster. */

#include <glib.h>

int
main (int argc, char **argv)
{
  gboolean nothing = FALSE;
  const GOptionEntry entries[]
      = { { "nothing", 0, 0, G_OPTION_ARG_NONE, &nothing, "Nothing", NULL },
          { NULL } };
  GOptionContext *context = g_option_context_new (NULL);

  g_option_context_add_main_entries (context, entries, NULL);
  const gboolean parsed = g_option_context_parse (context, &argc, &argv, NULL);
  g_option_context_free (context);
  return parsed ? 0 : 1;
}
