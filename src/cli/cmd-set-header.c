/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2tool set-header, set-feature-bit and clear-feature-bit: change a field
 * of the header. */

#include "config.h"

#include "cli/commands.h"
#include "cli/edit-run.h"
#include "cli/number.h"
#include "cli/usage.h"
#include "edit/header-edit.h"

typedef struct
{
  EditOptions options;
  const char *name; /* of the field or the group */
  const char *text; /* the value or the bit as it was typed */
  guint64 value;
  gboolean is_number; /* TEXT is VALUE */
  gboolean set;       /* the bit is set, not cleared */
} Request;

static void
request_clear (Request *request)
{
  edit_options_clear (&request->options);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Request, request_clear)

static gboolean
plan_field (Tool *tool G_GNUC_UNUSED, EditWork *work, gpointer data,
            GError **error)
{
  const Request *request = data;

  return edit_work_read (work, error)
         && edit_set_field (work, request->name, request->value, error);
}

static gboolean
plan_bit (Tool *tool G_GNUC_UNUSED, EditWork *work, gpointer data,
          GError **error)
{
  const Request *request = data;

  return edit_work_read (work, error)
         && edit_set_bit (work, request->name, request->text,
                          request->is_number, request->value, request->set,
                          error);
}

/* Runs COMMAND with ARGV, whose operands are called NAMES. */
static gboolean
run_command (Tool *tool, const Command *command, const char *names,
             Request *request, EditRunFunc plan, char **argv, GError **error)
{
  static const char *const groups[]
      = { "incompatible", "compatible", "autoclear", NULL };
  const GOptionEntry entries[]
      = { EDIT_OPTIONS (&request->options), { NULL } };

  if (!tool_parse (tool, command, entries, argv, error)
      || !edit_run_check_operands (tool, 3, names, error))
    return FALSE;

  char **operands = tool_get_operands (tool);
  request->name = operands[1];
  request->text = operands[2];
  request->is_number = number_parse (request->text, &request->value);
  if (plan == plan_bit
      && !usage_check_choice ("GROUP", request->name, groups, error))
    return FALSE;
  if (plan == plan_field
      && !usage_parse_number ("VALUE", request->text, &request->value, error))
    return FALSE;

  g_autofree char *line
      = g_strjoin (" ", command->name, request->name, request->text, NULL);
  const EditRunJob job = { .options = &request->options,
                           .path = operands[0],
                           .command = line,
                           .plan = plan,
                           .data = request };
  return edit_run (tool, &job, error);
}

static gboolean
run_set_header (Tool *tool, char **argv, GError **error)
{
  g_auto (Request) request = { .set = TRUE };

  return run_command (tool, &cmd_set_header, "IMAGE, FIELD and VALUE",
                      &request, plan_field, argv, error);
}

static gboolean
run_set_feature_bit (Tool *tool, char **argv, GError **error)
{
  g_auto (Request) request = { .set = TRUE };

  return run_command (tool, &cmd_set_feature_bit, "IMAGE, GROUP and BIT",
                      &request, plan_bit, argv, error);
}

static gboolean
run_clear_feature_bit (Tool *tool, char **argv, GError **error)
{
  g_auto (Request) request = { .set = FALSE };

  return run_command (tool, &cmd_clear_feature_bit, "IMAGE, GROUP and BIT",
                      &request, plan_bit, argv, error);
}

const Command cmd_set_header = {
  .name = "set-header",
  .operands = "IMAGE FIELD VALUE",
  .group = COMMAND_EDITS,
  .summary = "Set a field of the header",
  .statuses = EDIT_STATUSES,
  .example = "--dry-run disk.qcow2 autoclear_features 0",
  .page = "qcow2tool-edit",
  .own_output = TRUE,
  .may_lack_image = TRUE,
  .writes = TRUE,
  .run = run_set_header,
};

const Command cmd_set_feature_bit = {
  .name = "set-feature-bit",
  .operands = "IMAGE GROUP BIT",
  .group = COMMAND_EDITS,
  .summary = "Set a feature bit: 0 to 63, or its name",
  .statuses = EDIT_STATUSES,
  .example = "--dry-run disk.qcow2 compatible lazy-refcounts",
  .page = "qcow2tool-edit",
  .own_output = TRUE,
  .may_lack_image = TRUE,
  .writes = TRUE,
  .run = run_set_feature_bit,
};

const Command cmd_clear_feature_bit = {
  .name = "clear-feature-bit",
  .operands = "IMAGE GROUP BIT",
  .group = COMMAND_EDITS,
  .summary = "Clear a feature bit: 0 to 63, or its name",
  .statuses = EDIT_STATUSES,
  .example = "--save-plan=undo.plan disk.qcow2 autoclear bitmaps",
  .page = "qcow2tool-edit",
  .own_output = TRUE,
  .may_lack_image = TRUE,
  .writes = TRUE,
  .run = run_clear_feature_bit,
};
