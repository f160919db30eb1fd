/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/dispatch.h"

#include "cli/commands.h"
#include "cli/help.h"
#include "cli/suggest.h"
#include "cli/usage.h"

/* Column of the summaries in the list of commands. */
#define COMMANDS_INDENT 24

/* Scripts read the first line; the lines below it are the ones that GNU tools
 * print. */
static const char version_text[]
    = "qcow2tool " PACKAGE_VERSION "\n"
      "Copyright (C) 2026 The qcow2tool authors\n"
      "License LGPLv2.1+: GNU LGPL version 2.1 or later "
      "<https://www.gnu.org/licenses/>.\n"
      "This is free software: you are free to change and redistribute it.\n"
      "There is NO WARRANTY, to the extent permitted by law.\n";

/* A command of qemu-img, and our commands that come close, or NULL if none
 * does. */
typedef struct
{
  const char *name;
  const char *ours;
} Foreign;

static const Foreign foreign[] = {
  { "amend", NULL },  { "bench", NULL },   { "bitmap", "'bitmaps'" },
  { "commit", NULL }, { "compare", NULL }, { "convert", NULL },
  { "create", NULL }, { "dd", NULL },      { "measure", NULL },
  { "rebase", NULL }, { "resize", NULL },  { "snapshot", "'snapshots'" }
};

/* Fails with a usage error and a hint if NAME is a command of qemu-img. */
static gboolean
check_foreign (const char *name, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (foreign); i++)
    {
      if (!g_str_equal (foreign[i].name, name))
        continue;

      if (foreign[i].ours != NULL)
        usage_error (error, "unknown command '%s', did you mean %s?", name,
                     foreign[i].ours);
      else
        usage_error (error, "unknown command '%s': qemu-img does that", name);
      return FALSE;
    }

  return TRUE;
}

/* Returns the command with NAME, or NULL. */
static const Command *
look_up (const char *name)
{
  for (guint i = 0; commands[i] != NULL; i++)
    {
      if (g_str_equal (commands[i]->name, name))
        return commands[i];
    }

  return NULL;
}

/* Sets ERROR to a usage error that suggests commands for the image NAME.
 * NEXT, or NULL, is the argument after it. */
static void
suggest_for_image (const char *name, const char *next, GError **error)
{
  g_autofree char *escaped = usage_escape (name);

  if (next != NULL && look_up (next) != NULL)
    usage_error (error,
                 "unknown command '%s', did you mean 'qcow2tool %s %s'?",
                 escaped, next, escaped);
  else
    usage_error (error,
                 "unknown command '%s', did you mean 'qcow2tool info %s' or "
                 "'qcow2tool check %s'?",
                 escaped, escaped, escaped);
}

/* Sets ERROR to a usage error that says what NAME, which is no command, may
 * stand for.  NEXT, or NULL, is the argument after it. */
static void
unknown_command (const char *name, const char *next, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();

  if (!check_foreign (name, error))
    return;

  for (guint i = 0; commands[i] != NULL; i++)
    g_ptr_array_add (names, (gpointer) commands[i]->name);
  g_ptr_array_add (names, NULL);

  const char *const closest
      = suggest_closest (name, (const char *const *) names->pdata);
  g_autofree char *escaped = usage_escape (name);
  if (suggest_is_image (name))
    suggest_for_image (name, next, error);
  else if (closest != NULL)
    usage_error (error, "unknown command '%s', did you mean '%s'?", escaped,
                 closest);
  else
    usage_error (error, "unknown command '%s'", escaped);
}

/* Runs the command with NAME and its arguments ARGV. */
static gboolean
run_command (Tool *tool, const char *name, char **argv,
             const Command **command, GError **error)
{
  *command = look_up (name);
  if (*command == NULL)
    {
      unknown_command (name, *argv, error);
      return FALSE;
    }

  return (*command)->run (tool, argv, error);
}

/* Appends the commands of GROUP, which has HEADING. */
static void
append_group (GString *out, CommandGroup group, const char *heading)
{
  g_string_append_printf (out, "%s:\n", heading);
  for (guint i = 0; commands[i] != NULL; i++)
    {
      if (commands[i]->group == group)
        help_append_item (out, COMMANDS_INDENT, commands[i]->name,
                          commands[i]->summary);
    }
  g_string_append_c (out, '\n');
}

/* Returns the help of the program, with its options ENTRIES.  The caller frees
 * it. */
static char *
get_help (const GOptionEntry *entries)
{
  static const char *const headings[N_COMMAND_GROUPS]
      = { [COMMAND_SHOWS] = "Commands that show what is in an image",
          [COMMAND_CHECKS] = "Commands that check an image",
          [COMMAND_EDITS] = "Commands that change an image",
          [COMMAND_OF_QEMU] = "Commands of QEMU's qcow2.py" };
  GString *out = g_string_new (
      "Usage:\n  qcow2tool [--help] [--version] COMMAND [OPTION...] "
      "IMAGE...\n\nShow what a qcow2 disk image says about itself.\n\n");

  for (guint i = 0; i < N_COMMAND_GROUPS; i++)
    append_group (out, (CommandGroup) i, headings[i]);

  g_string_append (out, "Options:\n");
  help_append_options (out, entries);
  g_string_append (out,
                   "\n'qcow2tool COMMAND --help' shows a command's help.  See "
                   "qcow2tool(1).\n");
  return g_string_free (out, FALSE);
}

static void
show_help (Tool *tool, const GOptionEntry *entries, GError **error)
{
  g_autofree char *help = get_help (entries);

  tool_show_help (tool, help, error);
}

/* Runs "help" and "help COMMAND".  ENTRIES are the options of the program. */
static gboolean
run_help (Tool *tool, const GOptionEntry *entries, char **argv,
          const Command **command, GError **error)
{
  char option[] = "--help";
  char *request[] = { option, NULL };

  if (argv[0] == NULL || g_str_equal (argv[0], "help")
      || g_str_equal (argv[0], "--help"))
    {
      show_help (tool, entries, error);
      return FALSE;
    }
  if (argv[1] != NULL)
    {
      usage_error (error, "help takes one command");
      return FALSE;
    }

  return run_command (tool, argv[0], request, command, error);
}

/* Runs the command line ARGV, and stores its command in *COMMAND as soon as it
 * is known. */
static gboolean
run (Tool *tool, char **argv, const Command **command, GError **error)
{
  gboolean want_help = FALSE;
  gboolean version = FALSE;
  const GOptionEntry entries[] = { { "help", 'h', 0, G_OPTION_ARG_NONE,
                                     &want_help, "Show this help", NULL },
                                   { "version", 'V', 0, G_OPTION_ARG_NONE,
                                     &version, "Show the version", NULL },
                                   { NULL } };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  GError *option_error = NULL;
  int argc = (int) g_strv_length (argv);

  g_set_prgname ("qcow2tool");
  g_option_context_set_help_enabled (context, FALSE);
  g_option_context_set_strict_posix (context, TRUE);
  g_option_context_add_main_entries (context, entries, NULL);

  if (!g_option_context_parse (context, &argc, &argv, &option_error))
    {
      static const GOptionEntry none[] = { { NULL } };

      usage_take_option_error (error, option_error, entries, none);
      return FALSE;
    }

  /* GOption does not remove a "--" before the command. */
  char **operands = argv[0] != NULL ? argv + 1 : argv;
  if (*operands != NULL && g_str_equal (*operands, "--"))
    operands++;

  if (want_help)
    {
      show_help (tool, entries, error);
      return FALSE;
    }
  if (version)
    {
      g_string_append (tool_get_text (tool), version_text);
      return TRUE;
    }
  if (*operands == NULL)
    {
      g_autofree char *help = get_help (entries);
      g_set_error_literal (error, TOOL_ERROR, TOOL_ERROR_NO_COMMAND, help);
      return FALSE;
    }
  if (g_str_equal (*operands, "help"))
    return run_help (tool, entries, operands + 1, command, error);

  return run_command (tool, *operands, operands + 1, command, error);
}

static void
report_usage (Output *output, const Command *command, const GError *error)
{
  g_autofree char *hint = g_strdup_printf (
      "Try 'qcow2tool%s%s --help'.", command != NULL ? " " : "",
      command != NULL ? command->name : "");

  output_message (output, NULL, error->message);
  output_unprefixed_message (output, hint);
}

static ToolStatus
run_reporting (Tool *tool, Output *output, char **argv)
{
  g_autoptr (GError) error = NULL;
  const Command *command = NULL;

  if (run (tool, argv, &command, &error)
      || g_error_matches (error, TOOL_ERROR, TOOL_ERROR_HELP))
    return tool_get_status (tool);

  /* output_close () reports output errors. */
  if (error->domain == G_OPTION_ERROR)
    report_usage (output, command, error);
  else if (error->domain == TOOL_ERROR)
    {
      output_message (output, NULL, "no command is given\n");
      output_unprefixed_message (output, g_strchomp (error->message));
    }

  return TOOL_FAILED;
}

/* Runs the command line ARGV, which is NULL-terminated.  WRITE, called
 * with DATA, receives the output and the messages.  Returns the exit status.
 */
int
dispatch (char **argv, OutputWriteFunc write, gpointer data)
{
  g_autoptr (Output) output = output_new (write, data);
  g_autoptr (Tool) tool = tool_new (output);
  const ToolStatus status = run_reporting (tool, output, argv);

  return output_close (output) ? (int) status : TOOL_FAILED;
}
