/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2tool apply: carries out a saved plan, completes it, or undoes it. */

#include "config.h"

#include "cli/commands.h"
#include "cli/edit-run.h"
#include "cli/usage.h"
#include "edit/apply.h"
#include "edit/plan-file.h"

typedef struct
{
  EditOptions options;
  gboolean reverse;
  EditPlan *plan;
} Request;

static void
request_clear (Request *request)
{
  edit_options_clear (&request->options);
  edit_plan_free (request->plan);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Request, request_clear)

static gboolean
plan (Tool *tool G_GNUC_UNUSED, EditWork *work, gpointer data, GError **error)
{
  const Request *request = data;
  gboolean interrupted = FALSE;

  if (!edit_apply (work, request->plan, request->reverse, &interrupted, error))
    return FALSE;

  if (interrupted)
    edit_work_say (work, "an edit that was interrupted was %s",
                   request->reverse ? "undone" : "completed");
  return TRUE;
}

/* Reports a plan in the file PATH that cannot be used because of ERROR. */
static void
report_plan (Tool *tool, const char *path, const GError *error)
{
  tool_set_status (tool, TOOL_FAILED);
  tool_tell (tool, path, error->message);
}

static gboolean
run (Tool *tool, char **argv, GError **error)
{
  g_auto (Request) request = { 0 };
  g_autoptr (GError) plan_error = NULL;
  /* clang-format off */
  const GOptionEntry entries[] = {
    { "reverse", 'R', 0, G_OPTION_ARG_NONE, &request.reverse,
      "Undo what the plan does", NULL },
    EDIT_OPTIONS (&request.options),
    { NULL }
  };
  /* clang-format on */

  if (!tool_parse (tool, &cmd_apply, entries, argv, error)
      || !edit_run_check_operands (tool, 2, "PLAN and IMAGE", error))
    return FALSE;

  char **operands = tool_get_operands (tool);
  request.plan = edit_plan_load (operands[0], &plan_error);
  if (request.plan == NULL)
    {
      report_plan (tool, operands[0], plan_error);
      return TRUE;
    }

  g_autofree char *line = g_strconcat (
      "apply ", request.reverse ? "--reverse " : "", operands[0], NULL);
  const EditRunJob job = { .options = &request.options,
                           .path = operands[1],
                           .command = line,
                           .plan = plan,
                           .data = &request };
  return edit_run (tool, &job, error);
}

const Command cmd_apply = {
  .name = "apply",
  .operands = "PLAN IMAGE",
  .group = COMMAND_EDITS,
  .summary = "Carry out a saved plan, complete it, or undo it",
  .statuses = EDIT_STATUSES,
  .example = "--reverse undo.plan disk.qcow2",
  .page = "qcow2tool-edit",
  .own_output = TRUE,
  .may_lack_image = TRUE,
  .writes = TRUE,
  .run = run,
};
