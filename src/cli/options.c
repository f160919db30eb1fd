/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/options.h"

#include "cli/arguments.h"
#include "cli/usage.h"

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

/* Takes the first operand, a kind, from OPTIONS. */
static gboolean
take_kind (Options *options, GError **error)
{
  if (options->operands == NULL)
    {
      g_autofree char *list = g_strjoinv (", ", (char **) options->kinds);

      usage_error (error, "no KIND is given: %s", list);
      return FALSE;
    }

  const char *given = *options->operands;
  if (!usage_check_choice ("KIND", given, options->kinds, error))
    return FALSE;

  while (!g_str_equal (options->kinds[options->kind], given))
    options->kind++;

  g_auto (GStrv) operands = options->operands;
  options->operands = operands[1] != NULL ? g_strdupv (operands + 1) : NULL;
  return TRUE;
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
  if (options->kinds != NULL && !take_kind (options, error))
    return FALSE;

  return options->may_lack_image || options_check_image (options, error);
}

/* Returns a copy of ENTRIES for GOption.  Each number in it is an option whose
 * text is stored in TEXTS, at the index of its entry.  The caller frees the
 * copy. */
static GOptionEntry *
copy_entries (const GOptionEntry *entries, GPtrArray *texts)
{
  guint n = 0;

  while (entries[n].long_name != NULL)
    n++;

  GOptionEntry *copy = g_new0 (GOptionEntry, n + 1);
  g_ptr_array_set_size (texts, (gint) n);
  for (guint i = 0; i < n; i++)
    {
      copy[i] = entries[i];
      if (entries[i].arg != OPTIONS_ARG_NUMBER)
        continue;

      copy[i].arg = G_OPTION_ARG_FILENAME;
      copy[i].arg_data = &g_ptr_array_index (texts, i);
    }

  return copy;
}

/* Stores the numbers of ENTRIES whose texts are in TEXTS. */
static gboolean
parse_numbers (const GOptionEntry *entries, const GPtrArray *texts,
               GError **error)
{
  for (guint i = 0; i < texts->len; i++)
    {
      const char *text = g_ptr_array_index (texts, i);
      OptionsNumber *number = entries[i].arg_data;

      if (text == NULL)
        continue;

      g_autofree char *option = g_strconcat ("--", entries[i].long_name, NULL);
      if (!usage_parse_number (option, text, &number->value, error))
        return FALSE;

      number->given = TRUE;
    }

  return TRUE;
}

/* Parses PROGRAM and ARGV with CONTEXT, to which it adds the command's OWN
 * options and the COMMON ones.  Stores the texts of numbers in TEXTS. */
static gboolean
parse_arguments (GOptionContext *context, char *program, char **argv,
                 const GOptionEntry *own, const GOptionEntry *common,
                 GPtrArray *texts, GError **error)
{
  g_autoptr (GPtrArray) strings = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) args
      = arguments_prepare (program, argv, own, common, strings, error);
  if (args == NULL)
    return FALSE;

  g_autofree GOptionEntry *entries = copy_entries (own, texts);
  int argc = (int) args->len - 1;
  char **strv = (char **) args->pdata;
  GError *option_error = NULL;

  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_main_entries (context, common, NULL);
  if (g_option_context_parse (context, &argc, &strv, &option_error))
    return TRUE;

  usage_take_option_error (error, option_error, own, common);
  return FALSE;
}

/* Returns the help of --output. */
static const char *
get_output_help (const Options *options)
{
  if (options->extra_output != NULL)
    return "Print text, which is the default, json, jsonl: a line per extent, "
           "or ddrescue: a map file for GNU ddrescue";

  if (options->writes)
    return "Print the plan as json, or as jsonl: on one line; text, which is "
           "the default, is printed only with --dry-run";

  return options->one_image ? "Print text, which is the default, json, or "
                              "jsonl: a line per extent"
                            : "Print text, which is the default, json for one "
                              "image, or jsonl: a line per image";
}

/* Parses ARGV, the arguments after the command, into OPTIONS.  TEXT describes
 * the command.  ENTRIES are its own options; those of every command are added.
 * If help is requested, stores it in *HELP, which the caller frees, and checks
 * nothing else.  Fails with G_OPTION_ERROR. */
gboolean
options_parse (Options *options, const HelpText *text,
               const GOptionEntry *entries, char **argv, char **help,
               GError **error)
{
  gboolean want_help = FALSE;
  gboolean force_share = FALSE;
  g_autofree char *output = NULL;
  g_autofree char *format = NULL;
  g_autofree char *outputs
      = g_strjoin ("|", "text|json|jsonl", options->extra_output, NULL);
  /* The help omits options that are always refused or have no use. */
  const int lists
      = options->one_image || options->writes ? G_OPTION_FLAG_HIDDEN : 0;
  const int shares = options->writes ? G_OPTION_FLAG_HIDDEN : 0;
  const int forms = options->text_only ? G_OPTION_FLAG_HIDDEN : 0;
  /* clang-format off */
  const GOptionEntry common[] = {
    { "output", 0, forms, G_OPTION_ARG_FILENAME, &output,
      get_output_help (options), outputs },
    { "files-from", 0, lists, G_OPTION_ARG_FILENAME_ARRAY,
      &options->line_files,
      "Read names of more images from FILE, one per line; - is standard input",
      "FILE" },
    { "files0-from", 0, lists, G_OPTION_ARG_FILENAME_ARRAY,
      &options->nul_files,
      "The same, each name ended by a NUL byte", "FILE" },
    { "format", 'f', 0, G_OPTION_ARG_FILENAME, &format,
      "Accepted as in qemu-img; the format can only be qcow2", "qcow2" },
    { "force-share", 'U', shares, G_OPTION_ARG_NONE, &force_share,
      "Accepted as in qemu-img; no lock is taken", NULL },
    { "help", 'h', 0, G_OPTION_ARG_NONE, &want_help, "Show this help", NULL },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY,
      &options->operands, NULL, NULL },
    { NULL }
  };
  /* clang-format on */
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autofree char *program = g_strconcat ("qcow2tool ", text->command, NULL);
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);

  g_set_prgname (program);
  g_option_context_set_help_enabled (context, FALSE);
  if (!parse_arguments (context, program, argv, entries, common, texts, error))
    return FALSE;
  if (want_help)
    {
      *help = help_format (text, entries, common);
      return TRUE;
    }

  if (options->writes
      && (force_share || options->line_files != NULL
          || options->nul_files != NULL))
    {
      usage_error (error, "%s takes one image, and locks it", text->command);
      return FALSE;
    }

  return check (options, output, format, error)
         && parse_numbers (entries, texts, error);
}

void
options_clear (Options *options)
{
  g_clear_pointer (&options->operands, g_strfreev);
  g_clear_pointer (&options->line_files, g_strfreev);
  g_clear_pointer (&options->nul_files, g_strfreev);
}
