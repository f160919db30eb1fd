/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2tool add-header-ext, add-header-ext-stdio and del-header-ext: add and
 * delete header extensions. */

#include "config.h"

#include <string.h>

#include "cli/commands.h"
#include "cli/edit-run.h"
#include "cli/magic.h"
#include "cli/usage.h"
#include "edit/header-edit.h"
#include "edit/plan-file.h"
#include "render/format.h"

/* More bytes than any extension can have. */
#define MAX_DATA (4 * 1024 * 1024)

typedef struct
{
  EditOptions options;
  OptionsNumber index;
  guint64 magic;
  GBytes *data;
} Request;

static void
request_clear (Request *request)
{
  edit_options_clear (&request->options);
  g_clear_pointer (&request->data, g_bytes_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Request, request_clear)

static gboolean
plan_add (Tool *tool G_GNUC_UNUSED, EditWork *work, gpointer data,
          GError **error)
{
  const Request *request = data;

  return edit_work_read (work, error)
         && edit_add_extension (work, (guint32) request->magic, request->data,
                                error);
}

static gboolean
plan_delete (Tool *tool G_GNUC_UNUSED, EditWork *work, gpointer data,
             GError **error)
{
  const Request *request = data;
  const gboolean by_index = request->index.given;

  return edit_work_read (work, error)
         && edit_delete_extensions (
             work, by_index, by_index ? request->index.value : request->magic,
             error);
}

/* Parses TEXT as the magic of an extension.  0 is that of the terminator. */
static gboolean
parse_magic (Request *request, const char *text, GError **error)
{
  if (!magic_parse ("MAGIC", text, &request->magic, NULL, error))
    return FALSE;
  if (request->magic != QCOW2_EXTENSION_END)
    return TRUE;

  usage_error (error, "MAGIC: 0 ends the extensions and is not one of them");
  return FALSE;
}

/* Adds the extension of REQUEST. */
static gboolean
add (Tool *tool, const Command *command, Request *request, GError **error)
{
  char **operands = tool_get_operands (tool);
  g_autoptr (GString) line = g_string_new (command->name);

  g_string_append_c (line, ' ');
  g_string_append (line, operands[1]);
  g_string_append (line, " (");
  format_count (line, g_bytes_get_size (request->data));
  g_string_append (line, " bytes)");

  const EditRunJob job = { .options = &request->options,
                           .path = operands[0],
                           .command = line->str,
                           .plan = plan_add,
                           .data = request };

  return edit_run (tool, &job, error);
}

static gboolean
run_add (Tool *tool, char **argv, GError **error)
{
  g_auto (Request) request = { 0 };
  const GOptionEntry entries[] = { EDIT_OPTIONS (&request.options), { NULL } };

  if (!tool_parse (tool, &cmd_add_header_ext, entries, argv, error)
      || !edit_run_check_operands (tool, 3, "IMAGE, MAGIC and DATA", error))
    return FALSE;

  char **operands = tool_get_operands (tool);
  request.data = g_bytes_new (operands[2], strlen (operands[2]));
  return parse_magic (&request, operands[1], error)
         && add (tool, &cmd_add_header_ext, &request, error);
}

static gboolean
run_add_stdio (Tool *tool, char **argv, GError **error)
{
  g_auto (Request) request = { 0 };
  const GOptionEntry entries[] = { EDIT_OPTIONS (&request.options), { NULL } };
  g_autoptr (GError) read_error = NULL;

  if (!tool_parse (tool, &cmd_add_header_ext_stdio, entries, argv, error)
      || !edit_run_check_operands (tool, 2, "IMAGE and MAGIC", error)
      || !parse_magic (&request, tool_get_operands (tool)[1], error))
    return FALSE;

  request.data = edit_read_standard_input (MAX_DATA, &read_error);
  if (request.data != NULL)
    return add (tool, &cmd_add_header_ext_stdio, &request, error);

  tool_set_status (tool, TOOL_FAILED);
  tool_tell (tool, NULL, read_error->message);
  return TRUE;
}

static gboolean
run_delete (Tool *tool, char **argv, GError **error)
{
  g_auto (Request) request = { 0 };
  /* clang-format off */
  const GOptionEntry entries[] = {
    { "index", 0, 0, OPTIONS_ARG_NUMBER, &request.index,
      "Delete extension N, from 0", "N" },
    EDIT_OPTIONS (&request.options),
    { NULL }
  };
  /* clang-format on */

  if (!tool_parse (tool, &cmd_del_header_ext, entries, argv, error))
    return FALSE;

  const gboolean by_index = request.index.given;
  if (!edit_run_check_operands (
          tool, by_index ? 1 : 2,
          by_index ? "IMAGE alone, with --index" : "IMAGE and MAGIC", error))
    return FALSE;

  char **operands = tool_get_operands (tool);
  if (!by_index && !parse_magic (&request, operands[1], error))
    return FALSE;

  g_autoptr (GString) line = g_string_new ("del-header-ext");
  g_string_append (line, by_index ? " --index " : " ");
  if (by_index)
    format_count (line, request.index.value);
  else
    g_string_append (line, operands[1]);

  const EditRunJob job = { .options = &request.options,
                           .path = operands[0],
                           .command = line->str,
                           .plan = plan_delete,
                           .data = &request };
  return edit_run (tool, &job, error);
}

const Command cmd_add_header_ext = {
  .name = "add-header-ext",
  .operands = "IMAGE MAGIC DATA",
  .group = COMMAND_EDITS,
  .summary = "Append a header extension",
  .statuses = EDIT_STATUSES,
  .example = "--dry-run disk.qcow2 0x12345678 'some data'",
  .page = "qcow2tool-edit",
  .own_output = TRUE,
  .may_lack_image = TRUE,
  .writes = TRUE,
  .run = run_add,
};

const Command cmd_add_header_ext_stdio = {
  .name = "add-header-ext-stdio",
  .operands = "IMAGE MAGIC",
  .group = COMMAND_EDITS,
  .summary = "Append a header extension from standard input",
  .statuses = EDIT_STATUSES,
  .example = "--dry-run disk.qcow2 0x12345678 < data",
  .page = "qcow2tool-edit",
  .own_output = TRUE,
  .may_lack_image = TRUE,
  .writes = TRUE,
  .run = run_add_stdio,
};

const Command cmd_del_header_ext = {
  .name = "del-header-ext",
  .operands = "IMAGE MAGIC",
  .group = COMMAND_EDITS,
  .summary = "Delete header extensions with a magic, or one of them",
  .statuses = EDIT_STATUSES,
  .example = "--dry-run disk.qcow2 'Feature table'",
  .page = "qcow2tool-edit",
  .own_output = TRUE,
  .may_lack_image = TRUE,
  .writes = TRUE,
  .run = run_delete,
};
