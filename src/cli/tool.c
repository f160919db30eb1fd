/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/tool.h"

#include "cli/image-list.h"
#include "cli/options.h"
#include "cli/usage.h"
#include "qcow2/error.h"

struct Tool
{
  Output *output;
  Emitter *emitter;
  ToolStatus status;

  Options options;
  const char *one_image; /* what takes no more than one image, or NULL */

  Report *report; /* on the image that is being shown */
};

G_DEFINE_QUARK (tool - error - quark, tool_error)

/* Returns a tool that prints to OUTPUT, which must outlive it. */
Tool *
tool_new (Output *output)
{
  Tool *tool = g_new0 (Tool, 1);

  tool->output = output;
  tool->emitter = emitter_new_text (output_get_text (output));
  return tool;
}

void
tool_free (Tool *tool)
{
  if (tool == NULL)
    return;

  emitter_free (tool->emitter);
  options_clear (&tool->options);
  g_free (tool);
}

Emitter *
tool_get_emitter (Tool *tool)
{
  return tool->emitter;
}

/* Returns where output is collected that is not for an emitter. */
GString *
tool_get_text (Tool *tool)
{
  return output_get_text (tool->output);
}

/* Writes the output so far if it is much.  Commands call it between blocks
 * and, when it returns FALSE, return FALSE themselves. */
gboolean
tool_flush (Tool *tool, GError **error)
{
  return output_flush (tool->output, error);
}

/* Makes STATUS the exit status unless there is a worse one: 1 is worse than 2,
 * 2 than 3, 3 than 0. */
void
tool_set_status (Tool *tool, ToolStatus status)
{
  if (tool->status == TOOL_OK || (status != TOOL_OK && status < tool->status))
    tool->status = status;
}

ToolStatus
tool_get_status (const Tool *tool)
{
  return tool->status;
}

/* Prints HELP and sets ERROR to one that ends the command in good order. */
void
tool_show_help (Tool *tool, const char *help, GError **error)
{
  g_string_append (tool_get_text (tool), help);
  g_set_error (error, TOOL_ERROR, TOOL_ERROR_HELP, "help was shown");
}

/* Parses ARGV, the arguments of COMMAND behind its name, by ENTRIES, its own
 * options, and those that all commands have.  Fails with a usage error, or,
 * when help was asked for, with one that ends the command in good order. */
gboolean
tool_parse (Tool *tool, const Command *command, const GOptionEntry *entries,
            char **argv, GError **error)
{
  g_autofree char *help = NULL;

  if (!options_parse (&tool->options, command->name, command->operands,
                      command->summary, entries, argv, &help, error))
    return FALSE;
  if (help == NULL)
    return TRUE;

  tool_show_help (tool, help, error);
  return FALSE;
}

/* Says that TAKER, a command or an option, takes exactly one image. */
void
tool_want_one_image (Tool *tool, const char *taker)
{
  tool->one_image = taker;
}

static ToolStatus
status_of (const GError *error)
{
  if (g_error_matches (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND))
    return TOOL_NOT_FOUND;
  if (g_error_matches (error, QCOW2_ERROR, QCOW2_ERROR_AMBIGUOUS))
    return TOOL_DAMAGED;

  return TOOL_FAILED;
}

/* Writes a message for each error in SCOPE of the image that is being shown,
 * once. */
void
tool_report (Tool *tool, ReportScope scope)
{
  report_findings (tool->report, scope);
}

static void
report_error (Tool *tool, const char *path, const GError *error)
{
  tool_set_status (tool, status_of (error));
  output_message (tool->output, path, error->message);
}

/* Writes a message about ERROR in the image that is being shown, which can
 * still be gone on with, and frees it.  Returns FALSE for any other error,
 * which stays as it is. */
gboolean
tool_go_on_after (Tool *tool, GError **error)
{
  if (!g_error_matches (*error, QCOW2_ERROR, QCOW2_ERROR_READ))
    return FALSE;

  report_error (tool, report_get_path (tool->report), *error);
  g_clear_error (error);
  return TRUE;
}

static Qcow2Image *
open_image (const char *path, GError **error)
{
  ByteSource *source = byte_source_open_file (path, error);

  return source != NULL ? qcow2_image_open (source, error) : NULL;
}

/* Whether ERROR is about the image that is being shown. */
static gboolean
is_about_image (const GError *error)
{
  return error->domain == QCOW2_ERROR;
}

/* Shows the image PATH; with HEADING it is one of several.  Fails only when
 * the tool cannot go on with the next. */
static gboolean
show_image (Tool *tool, const char *path, gboolean heading, ToolImageFunc show,
            gpointer data, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (Qcow2Image) image = open_image (path, &local_error);

  if (image == NULL)
    {
      report_error (tool, path, local_error);
      return tool_flush (tool, error);
    }

  if (heading)
    emitter_image (tool->emitter, path);
  tool->report = report_new (tool->output, path, image);
  show (tool, image, data, &local_error);
  if (!report_close (g_steal_pointer (&tool->report)))
    tool_set_status (tool, TOOL_DAMAGED);

  if (local_error != NULL && !is_about_image (local_error))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  if (local_error != NULL)
    report_error (tool, path, local_error);
  return tool_flush (tool, error);
}

/* Returns the next image's name, NULL at the end.  Lists that cannot be read
 * are reported. */
static char *
next_image (Tool *tool, ImageList *list)
{
  while (TRUE)
    {
      g_autoptr (GError) error = NULL;
      char *path = image_list_next (list, &error);

      if (error == NULL)
        return path;

      g_autofree char *message = usage_escape (error->message);
      tool_set_status (tool, TOOL_FAILED);
      output_message (tool->output, NULL, message);
    }
}

/* Calls SHOW with DATA for each image of the command line in turn, however
 * those before it came out.  Fails when output does, or with a usage error
 * when only one image may be given. */
gboolean
tool_for_each_image (Tool *tool, ToolImageFunc show, gpointer data,
                     GError **error)
{
  g_autoptr (ImageList) list
      = image_list_new (tool->options.operands, tool->options.line_files,
                        tool->options.nul_files);
  g_autofree char *path = next_image (tool, list);
  g_autofree char *next = path != NULL ? next_image (tool, list) : NULL;
  const gboolean several = next != NULL;

  if (tool->one_image != NULL && (path == NULL || several))
    {
      usage_error (error, "%s takes exactly one image", tool->one_image);
      return FALSE;
    }

  while (path != NULL)
    {
      if (!show_image (tool, path, several, show, data, error))
        return FALSE;

      g_free (path);
      path = next != NULL ? g_steal_pointer (&next) : NULL;
      if (path == NULL && several)
        path = next_image (tool, list);
    }

  return TRUE;
}
