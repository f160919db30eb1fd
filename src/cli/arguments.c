/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/arguments.h"

#include <string.h>

#include "cli/usage.h"

/* Returns whether ARG is an option whose value is the next argument. */
static gboolean
wants_value (const GOptionEntry *entries, const char *arg)
{
  for (; entries->long_name != NULL; entries++)
    {
      if (entries->arg != G_OPTION_ARG_NONE && g_str_has_prefix (arg, "--")
          && g_str_equal (arg + 2, entries->long_name))
        return TRUE;
    }

  return g_str_equal (arg, "-f");
}

/* Fails with a usage error if ARG gives a value to an option that takes none,
 * which GOption would accept. */
static gboolean
check_no_value (const GOptionEntry *entries, const char *arg, GError **error)
{
  const char *value = strchr (arg, '=');

  for (; value != NULL && entries->long_name != NULL; entries++)
    {
      if (entries->arg != G_OPTION_ARG_NONE || !g_str_has_prefix (arg, "--")
          || strlen (entries->long_name) != (gsize) (value - arg - 2)
          || !g_str_has_prefix (arg + 2, entries->long_name))
        continue;

      usage_error (error, "option --%s takes no value", entries->long_name);
      return FALSE;
    }

  return TRUE;
}

/* Returns whether one of ENTRIES is the short option LETTER without a value.
 */
static gboolean
is_flag (const GOptionEntry *entries, char letter)
{
  for (; entries->long_name != NULL; entries++)
    {
      if (entries->short_name == letter && entries->arg == G_OPTION_ARG_NONE)
        return TRUE;
    }

  return FALSE;
}

/* Returns the length of the options in ARG, some of OWN and COMMON, if a value
 * is attached to the last one, -f: 2 for -fqcow2, 3 for -Ufqcow2.  Returns 0
 * otherwise. */
static gsize
count_before_value (const GOptionEntry *own, const GOptionEntry *common,
                    const char *arg)
{
  gsize len = 1;

  if (*arg != '-')
    return 0;

  while (arg[len] != '\0'
         && (is_flag (own, arg[len]) || is_flag (common, arg[len])))
    len++;
  return arg[len] == 'f' && arg[len + 1] != '\0' ? len + 1 : 0;
}

/* Returns PROGRAM and ARGV, NULL-terminated, with each value that is attached
 * to a short option as an argument of its own, since GOption, unlike getopt,
 * does not accept it there.  STRINGS owns the new strings.  OWN and COMMON are
 * all options.  Fails with a usage error if an option that takes no value has
 * one. */
GPtrArray *
arguments_prepare (char *program, char **argv, const GOptionEntry *own,
                   const GOptionEntry *common, GPtrArray *strings,
                   GError **error)
{
  g_autoptr (GPtrArray) args = g_ptr_array_new ();
  gboolean only_operands = FALSE;

  g_ptr_array_add (args, program);
  for (; *argv != NULL; argv++)
    {
      only_operands = only_operands || g_str_equal (*argv, "--");
      const gsize split
          = only_operands ? 0 : count_before_value (own, common, *argv);
      if (!only_operands
          && (!check_no_value (own, *argv, error)
              || !check_no_value (common, *argv, error)))
        return NULL;

      char *head = split > 0 ? g_strndup (*argv, split) : *argv;

      g_ptr_array_add (args, head);
      if (split > 0)
        {
          g_ptr_array_add (strings, head);
          g_ptr_array_add (args, *argv + split);
        }
      else if (!only_operands && argv[1] != NULL
               && (wants_value (own, *argv) || wants_value (common, *argv)))
        g_ptr_array_add (args, *++argv);
    }

  g_ptr_array_add (args, NULL);
  return g_steal_pointer (&args);
}
