/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/edit-run.h"

#include "cli/usage.h"
#include "edit/error.h"
#include "edit/plan-file.h"
#include "qcow2/error.h"
#include "render/plan.h"

/* The text of a plan is written to its file in pieces of this size, in
 * bytes. */
#define WRITE_SIZE (64 * 1024)

void
edit_options_clear (EditOptions *options)
{
  g_clear_pointer (&options->save_plan, g_free);
}

/* Fails with a usage error unless there are N operands, which are called
 * NAMES. */
gboolean
edit_run_check_operands (Tool *tool, guint n, const char *names,
                         GError **error)
{
  char **operands = tool_get_operands (tool);
  const guint given = operands != NULL ? g_strv_length (operands) : 0;

  if (given == n)
    return TRUE;

  usage_error (error, "%u operands are given, not %u: %s", given, n, names);
  return FALSE;
}

/* Prints the plan in the format that --output selects.  Fails with
 * OUTPUT_ERROR, but not for JSON. */
static gboolean
print_plan (Tool *tool, const PlanTitle *title, const EditPlan *plan,
            GError **error)
{
  const OptionsOutput output = tool_get_output (tool);
  GString *text = tool_get_text (tool);
  PlanPosition at = { 0 };

  if (output != OPTIONS_OUTPUT_TEXT)
    {
      g_autoptr (Emitter) emitter
          = emitter_new_json (text, output == OPTIONS_OUTPUT_JSON);
      plan_describe (emitter, title, plan);
      return TRUE;
    }

  while (plan_append_part (text, title, plan, &at))
    {
      if (!tool_flush (tool, error))
        return FALSE;
    }

  return TRUE;
}

/* Writes PLAN to FILE. */
static gboolean
write_plan (EditPlanFile *file, const PlanTitle *title, const EditPlan *plan,
            GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  PlanPosition at = { 0 };
  gboolean is_left = TRUE;

  while (is_left)
    {
      is_left = plan_append_part (text, title, plan, &at);
      if (is_left && text->len < WRITE_SIZE)
        continue;
      if (!edit_plan_file_write (file, text->str, text->len, error))
        return FALSE;

      g_string_truncate (text, 0);
    }

  return edit_plan_file_keep (file, error);
}

/* Saves the plan in the file that --save-plan names.  Returns FALSE if that
 * fails.  Stores NULL in *FILE if the option was not used. */
static gboolean
save_plan (const EditRunJob *job, const PlanTitle *title, const EditPlan *plan,
           EditPlanFile **file, GError **error)
{
  const char *path = job->options->save_plan;

  *file = NULL;
  if (path == NULL)
    return TRUE;

  g_autoptr (EditPlanFile) created = edit_plan_file_create (path, error);
  if (created != NULL && write_plan (created, title, plan, error))
    {
      *file = g_steal_pointer (&created);
      return TRUE;
    }

  g_autofree char *escaped = usage_escape (path);
  g_prefix_error (
      error, "the plan %s was not saved, and nothing was done: ", escaped);
  return FALSE;
}

/* Notes in FILE that its plan was carried out on the image of WORK. */
static void
note_done (EditWork *work, const EditRunJob *job, EditPlanFile *file)
{
  g_autoptr (GString) line = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  EditStamp stamp;

  if (!edit_target_settle (work->target)
      || !edit_target_get_stamp (work->target, &stamp))
    return;

  plan_append_done (line, &stamp);
  if (edit_plan_file_append (file, line->str, &error))
    return;

  g_autofree char *escaped = usage_escape (job->options->save_plan);
  edit_work_say (work, "the edit is done, but the plan %s does not say so: %s",
                 escaped, error->message);
}

static void
tell_messages (Tool *tool, EditWork *work, const EditRunJob *job)
{
  for (guint i = 0; i < work->refusals.lifted->len; i++)
    {
      g_autofree char *message = g_strconcat (
          "done because of --force: ",
          (const char *) g_ptr_array_index (work->refusals.lifted, i), NULL);

      tool_tell (tool, job->path, message);
    }
  for (guint i = 0; i < work->messages->len; i++)
    tool_tell (tool, job->path, g_ptr_array_index (work->messages, i));
}

/* Prints the plan of WORK, which was carried out.  If that fails, says that it
 * was: the exit status alone would deny it. */
static void
print_done (Tool *tool, EditWork *work, const PlanTitle *title)
{
  if (print_plan (tool, title, work->plan, NULL)
      && tool_flush_all (tool, NULL))
    return;

  if (!edit_plan_is_empty (work->plan))
    edit_work_say (work, "the edit is done, but its plan cannot be printed");
}

/* Plans, saves and carries out the edit of WORK. */
static gboolean
do_edit (Tool *tool, EditWork *work, const EditRunJob *job, GError **error)
{
  const PlanTitle title = { .command = job->command,
                            .path = job->path,
                            .size = byte_source_get_size (work->source) };
  const gboolean prints
      = job->options->dry_run || tool_get_output (tool) != OPTIONS_OUTPUT_TEXT;
  g_autoptr (EditPlanFile) file = NULL;

  if (!job->plan (tool, work, job->data, error)
      || !edit_work_judge (work, error)
      || !save_plan (job, &title, work->plan, &file, error))
    return FALSE;
  if (job->options->dry_run)
    return print_plan (tool, &title, work->plan, error);

  const gboolean changes = !edit_plan_is_empty (work->plan);
  if (!edit_work_commit (work, error))
    return FALSE;
  if (changes && file != NULL)
    note_done (work, job, file);
  if (prints)
    print_done (tool, work, &title);
  if (changes && job->done != NULL
      && !job->done (tool, work, job->data, error))
    return FALSE;
  if (changes)
    tell_messages (tool, work, job);
  return TRUE;
}

/* Does what JOB says.  Errors about the image are told, and determine the exit
 * status; only others are returned. */
gboolean
edit_run (Tool *tool, const EditRunJob *job, GError **error)
{
  const EditMode mode = { .dry_run = job->options->dry_run,
                          .force = job->options->force,
                          .saves_plan = job->options->save_plan != NULL };
  g_autoptr (GError) local_error = NULL;
  g_autoptr (EditWork) work = edit_work_open (job->path, &mode, &local_error);

  if (work != NULL && do_edit (tool, work, job, &local_error))
    return TRUE;
  if (local_error->domain != QCOW2_ERROR && local_error->domain != EDIT_ERROR)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }

  tool_set_status (tool, status_of_error (TOOL_SHOWS, local_error));
  tool_tell (tool, job->path, local_error->message);
  return TRUE;
}
