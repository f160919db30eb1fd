/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/tool-private.h"

#include "cli/usage.h"

/* clang-format off */
G_DEFINE_QUARK (tool-error-quark, tool_error)
/* clang-format on */

/* Returns a tool that prints to OUTPUT, which must outlive it. */
Tool *
tool_new (Output *output)
{
  Tool *tool = g_new0 (Tool, 1);

  tool->output = output;
  tool->root = -1;
  return tool;
}

void
tool_free (Tool *tool)
{
  if (tool == NULL)
    return;

  byte_source_close_root (tool->root);
  emitter_free (tool->emitter);
  options_clear (&tool->options);
  g_free (tool);
}

Emitter *
tool_get_emitter (Tool *tool)
{
  return tool->emitter;
}

/* Returns the collected output, for text that bypasses the emitter. */
GString *
tool_get_text (Tool *tool)
{
  return output_get_text (tool->output);
}

/* Writes the collected output if there is much of it.  Commands call this
 * between blocks and, when it returns FALSE, return FALSE themselves.  Fails
 * with OUTPUT_ERROR. */
gboolean
tool_flush (Tool *tool, GError **error)
{
  return output_flush (tool->output, error);
}

/* Writes the collected output.  Fails with OUTPUT_ERROR. */
gboolean
tool_flush_all (Tool *tool, GError **error)
{
  return output_flush_all (tool->output, error);
}

/* Makes STATUS the exit status, unless there is a worse one already. */
void
tool_set_status (Tool *tool, ToolStatus status)
{
  tool->status = status_get_worse (tool->purpose, tool->status, status);
}

ToolStatus
tool_get_status (const Tool *tool)
{
  return tool->status;
}

/* Prints HELP and sets ERROR to TOOL_ERROR_HELP, which ends the command
 * successfully. */
void
tool_show_help (Tool *tool, const char *help, GError **error)
{
  g_string_append (tool_get_text (tool), help);
  g_set_error (error, TOOL_ERROR, TOOL_ERROR_HELP, "help was shown");
}

static Emitter *
new_emitter (Tool *tool)
{
  GString *text = output_get_text (tool->output);

  if (tool->command->own_output)
    return emitter_new_text (text);

  switch (tool->options.output)
    {
    case OPTIONS_OUTPUT_TEXT:
    case OPTIONS_OUTPUT_MORE:
      return emitter_new_text (text);
    case OPTIONS_OUTPUT_JSON:
      return emitter_new_json (text, TRUE);
    case OPTIONS_OUTPUT_JSONL:
      return emitter_new_json (text, FALSE);
    }

  g_assert_not_reached ();
}

/* Returns the format that --output selects. */
OptionsOutput
tool_get_output (const Tool *tool)
{
  return tool->options.output;
}

/* Returns the images that were named as operands, NULL-terminated, or NULL if
 * there are none.  The list files may name more. */
char **
tool_get_operands (const Tool *tool)
{
  return tool->options.operands;
}

/* Returns the index in Command.kinds of the KIND that was given. */
guint
tool_get_kind (const Tool *tool)
{
  return tool->options.kind;
}

/* Requires exactly one image.  USER is the command or option that a usage
 * error names. */
void
tool_want_one_image (Tool *tool, const char *user)
{
  tool->one_image = user;
}

/* Omits the lines that separate images, for text in which each row names its
 * image. */
void
tool_want_one_table (Tool *tool)
{
  tool->one_table = TRUE;
}

/* Shows each image as a list of its layers.  Unless ROOT, which TOOL closes,
 * is -1, all of them must be in that open directory or below. */
void
tool_want_layers (Tool *tool, int root)
{
  tool->with_layers = TRUE;
  tool->root = root;
}

/* Replaces the purpose of the command by PURPOSE. */
void
tool_set_purpose (Tool *tool, ToolPurpose purpose)
{
  tool->purpose = purpose;
}

/* Fails with a usage error if no image was given, for a command that may do
 * without. */
gboolean
tool_want_image (Tool *tool, GError **error)
{
  return options_check_image (&tool->options, error);
}

/* Fails with a usage error if USER, an option, is used with an image. */
gboolean
tool_want_no_image (Tool *tool, const char *user, GError **error)
{
  if (!options_check_image (&tool->options, NULL))
    return TRUE;

  usage_error (error, "%s takes no image", user);
  return FALSE;
}

/* Fails with a usage error if USER, a command or an option, is used with
 * output other than text. */
gboolean
tool_want_text (Tool *tool, const char *user, GError **error)
{
  if (tool->options.output == OPTIONS_OUTPUT_TEXT)
    return TRUE;

  usage_error (error, "%s is for text output", user);
  return FALSE;
}

/* Prepares for a caller that prints nothing: there is no document, whatever
 * --output says, and no heading for each of several images. */
void
tool_want_nothing (Tool *tool)
{
  tool->one_table = TRUE;
  tool->options.output = OPTIONS_OUTPUT_TEXT;
  emitter_free (tool->emitter);
  tool->emitter = new_emitter (tool);
}

/* Returns whether ENTRIES have the option --name, and it was not used. */
static gboolean
lacks_name (const GOptionEntry *entries)
{
  for (; entries->long_name != NULL; entries++)
    {
      if (g_str_equal (entries->long_name, "name"))
        return *(char **) entries->arg_data == NULL;
    }

  return FALSE;
}

/* Parses ARGV, the arguments after the name of COMMAND.  ENTRIES are the
 * command's own options; those of every command are added.  Fails with
 * G_OPTION_ERROR, or with TOOL_ERROR_HELP after showing the help. */
gboolean
tool_parse (Tool *tool, const Command *command, const GOptionEntry *entries,
            char **argv, GError **error)
{
  const HelpText text
      = { .command = command->name,
          .operands = command->operands,
          .summary = command->summary,
          .kinds = command->kinds,
          .statuses = command->statuses,
          .example = command->example,
          .page = command->page != NULL ? command->page : "qcow2tool" };
  g_autofree char *help = NULL;

  tool->options.may_lack_image = command->may_lack_image;
  tool->options.one_image = command->one_image;
  tool->options.text_only = command->text_only;
  tool->options.writes = command->writes;
  tool->options.extra_output = command->extra_output;
  tool->options.kinds = command->kinds;
  if (!options_parse (&tool->options, &text, entries, argv, &help, error))
    return FALSE;
  if (help != NULL)
    {
      tool_show_help (tool, help, error);
      return FALSE;
    }

  tool->command = command;
  tool->purpose = command->purpose;
  tool->lacks_name = lacks_name (entries);
  tool->emitter = new_emitter (tool);
  if (command->one_image)
    tool_want_one_image (tool, command->name);
  else if (tool->options.output == OPTIONS_OUTPUT_JSON && !command->writes)
    tool_want_one_image (tool, "--output=json (unlike jsonl)");

  return !command->text_only || tool_want_text (tool, command->name, error);
}
