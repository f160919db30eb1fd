/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/options.h"

#include <string.h>

#include "cli/usage.h"

/* Returns the help of CONTEXT, which the caller frees, with GOption's ellipsis
 * in ASCII like the rest of the text. */
char *
options_get_help (GOptionContext *context)
{
  g_autofree char *help = g_option_context_get_help (context, TRUE, NULL);
  g_auto (GStrv) parts = g_strsplit (help, "[OPTION…]", 2);

  return g_strjoinv ("[OPTION...]", parts);
}

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

/* Returns the length of the options in ARG if a value is attached to the last
 * one, -f: 2 for -fqcow2, 3 for -Ufqcow2.  Returns 0 otherwise. */
static gsize
count_before_value (const char *arg)
{
  if (*arg != '-')
    return 0;

  const gsize len = 1 + strspn (arg + 1, "U0hjq");
  return arg[len] == 'f' && arg[len + 1] != '\0' ? len + 1 : 0;
}

/* GOption, unlike getopt, does not accept a value attached to a short option.
 * Returns PROGRAM and ARGV, NULL-terminated, with such arguments split in two;
 * STRINGS owns the new strings.  Fails like check_no_value (). */
static GPtrArray *
prepare (char *program, char **argv, const GOptionEntry *own,
         const GOptionEntry *common, GPtrArray *strings, GError **error)
{
  g_autoptr (GPtrArray) args = g_ptr_array_new ();
  gboolean only_operands = FALSE;

  g_ptr_array_add (args, program);
  for (; *argv != NULL; argv++)
    {
      only_operands = only_operands || g_str_equal (*argv, "--");
      const gsize split = only_operands ? 0 : count_before_value (*argv);
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

static OptionsOutput
output_of (const Options *options, const char *name)
{
  if (g_strcmp0 (name, "json") == 0)
    return OPTIONS_OUTPUT_JSON;
  if (g_strcmp0 (name, "jsonl") == 0)
    return OPTIONS_OUTPUT_JSONL;

  return name != NULL && g_strcmp0 (name, options->extra_output) == 0
             ? OPTIONS_OUTPUT_MORE
             : OPTIONS_OUTPUT_TEXT;
}

/* Fails with a usage error if OPTIONS name no image. */
gboolean
options_check_image (const Options *options, GError **error)
{
  if (options->operands != NULL || options->line_files != NULL
      || options->nul_files != NULL)
    return TRUE;

  usage_error (error, "no image is given");
  return FALSE;
}

static gboolean
check (Options *options, const char *output, const char *format,
       GError **error)
{
  const char *const outputs[]
      = { "text", "json", "jsonl", "human", options->extra_output, NULL };
  static const char *const formats[] = { "qcow2", NULL };

  if (!usage_check_choice ("--output", output, outputs, error)
      || !usage_check_choice ("--format", format, formats, error))
    return FALSE;

  options->output = output_of (options, output);
  return options->may_lack_image || options_check_image (options, error);
}

/* Parses ARGV, the arguments after COMMAND, into OPTIONS.  ENTRIES are the
 * command's own options; those of every command are added.  The help shows
 * OPERANDS and SUMMARY.  If help is requested, stores it in *HELP, which the
 * caller frees, and checks nothing else.  Fails with G_OPTION_ERROR. */
gboolean
options_parse (Options *options, const char *command, const char *operands,
               const char *summary, const GOptionEntry *entries, char **argv,
               char **help, GError **error)
{
  gboolean want_help = FALSE;
  gboolean force_share = FALSE;
  g_autofree char *output = NULL;
  g_autofree char *format = NULL;
  g_autofree char *outputs
      = g_strjoin ("|", "text|json|jsonl", options->extra_output, NULL);
  /* The help omits options that are always refused or have no use. */
  const int lists = options->one_image ? G_OPTION_FLAG_HIDDEN : 0;
  const int forms = options->text_only ? G_OPTION_FLAG_HIDDEN : 0;
  const char *const form_help
      = options->one_image
            ? "Print text, which is the default, json, or jsonl: a line per "
              "extent"
            : "Print text, which is the default, json for one image, or "
              "jsonl: a line per image";
  /* clang-format off */
  const GOptionEntry common[] = {
    { "output", 0, forms, G_OPTION_ARG_FILENAME, &output, form_help,
      outputs },
    { "files-from", 0, lists, G_OPTION_ARG_FILENAME_ARRAY,
      &options->line_files,
      "Read names of more images from FILE, one per line; - is standard input",
      "FILE" },
    { "files0-from", 0, lists, G_OPTION_ARG_FILENAME_ARRAY,
      &options->nul_files,
      "The same, each name ended by a NUL byte", "FILE" },
    { "format", 'f', 0, G_OPTION_ARG_FILENAME, &format,
      "Accepted as in qemu-img; the format can only be qcow2", "qcow2" },
    { "force-share", 'U', 0, G_OPTION_ARG_NONE, &force_share,
      "Accepted as in qemu-img; images are never locked", NULL },
    { "help", 'h', 0, G_OPTION_ARG_NONE, &want_help, "Show this help", NULL },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY,
      &options->operands, NULL, NULL },
    { NULL }
  };
  /* clang-format on */
  g_autoptr (GOptionContext) context = g_option_context_new (operands);
  g_autofree char *program = g_strconcat ("qcow2tool ", command, NULL);
  g_autoptr (GPtrArray) strings = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) args
      = prepare (program, argv, entries, common, strings, error);
  if (args == NULL)
    return FALSE;

  int argc = (int) args->len - 1;
  char **strv = (char **) args->pdata;
  GError *option_error = NULL;

  g_set_prgname (program);
  g_option_context_set_help_enabled (context, FALSE);
  g_option_context_set_summary (context, summary);
  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_main_entries (context, common, NULL);

  if (!g_option_context_parse (context, &argc, &strv, &option_error))
    {
      usage_take_option_error (error, option_error);
      return FALSE;
    }
  if (want_help)
    {
      *help = options_get_help (context);
      return TRUE;
    }

  return check (options, output, format, error);
}

void
options_clear (Options *options)
{
  g_clear_pointer (&options->operands, g_strfreev);
  g_clear_pointer (&options->line_files, g_strfreev);
  g_clear_pointer (&options->nul_files, g_strfreev);
}
