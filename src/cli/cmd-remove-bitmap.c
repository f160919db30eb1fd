/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2tool remove-bitmap: takes a bitmap out of the directory, even if QEMU
 * refuses the image because of it. */

#include "config.h"

#include "check/directory-rules.h"
#include "check/verdict.h"
#include "cli/commands.h"
#include "cli/edit-run.h"
#include "cli/selection.h"
#include "cli/usage.h"
#include "edit/bitmap-edit.h"
#include "render/format.h"

typedef struct
{
  EditOptions options;
  Selection selection;
  EditRemoval removal;
} Request;

static void
request_clear (Request *request)
{
  edit_options_clear (&request->options);
  selection_clear (&request->selection);
  edit_removal_clear (&request->removal);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Request, request_clear)

/* Stores in *INDEX the index of the bitmap of DIRECTORY that is selected by
 * its name, or of an entry that may be that bitmap if there is none. */
static gboolean
find_name (const Selection *selection, Qcow2Directory *directory,
           guint64 *index, GError **error)
{
  const Qcow2DirectoryFacts *facts = qcow2_directory_get_facts (directory);
  GError *find_error = NULL;

  if (selection_find (selection, SELECTION_ONE, directory, index, &find_error))
    return TRUE;

  if (!g_error_matches (find_error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND)
      || (facts->end != QCOW2_DIRECTORY_HEAD_TRUNCATED
          && facts->end != QCOW2_DIRECTORY_ENTRY_TRUNCATED))
    {
      g_propagate_error (error, find_error);
      return FALSE;
    }

  g_error_free (find_error);
  *index = facts->n_entries;
  return TRUE;
}

static gboolean
plan (Tool *tool G_GNUC_UNUSED, EditWork *work, gpointer data, GError **error)
{
  Request *request = data;
  const Selection *selection = &request->selection;
  guint64 index = selection->index.value;

  if (!edit_work_read (work, error))
    return FALSE;

  g_autoptr (Qcow2Directory) directory
      = qcow2_directory_open_checked (work->image, work->findings, error);
  if (directory == NULL)
    return FALSE;
  if (selection->name != NULL)
    {
      /* In a directory that cannot be read, there is no name to be found. */
      edit_check_directory (work);
      if (work->refusals.final != NULL)
        return TRUE;
      if (!find_name (selection, directory, &index, error))
        return FALSE;
    }

  return edit_remove_bitmap (work, directory, index, &request->removal, error);
}

/* Says which bitmaps remain, and what their indexes are now. */
static void
say_remaining (EditWork *work, const EditRemoval *removal)
{
  g_autoptr (GString) names = g_string_new (NULL);

  for (guint i = 0; i < removal->remaining->len; i++)
    {
      g_string_append (names, i > 0 ? ", " : "");
      format_count (names, i);
      g_string_append (names, " '");
      format_escaped_bytes (names, g_ptr_array_index (removal->remaining, i));
      g_string_append_c (names, '\'');
    }
  if (removal->n_remaining > removal->remaining->len)
    g_string_append (names, ", ...");

  if (removal->n_remaining > 0)
    edit_work_say (work, "the bitmaps that remain, by their indexes now: %s",
                   names->str);
}

static gboolean
say_what_is_left (Tool *tool G_GNUC_UNUSED, EditWork *work, gpointer data,
                  GError **error G_GNUC_UNUSED)
{
  const Request *request = data;
  const EditRemoval *removal = &request->removal;
  const Qcow2Image *after = work->after->image;
  const gboolean is_leaked = removal->is_vouched || removal->n_remaining == 0;
  const gboolean loses_snapshots
      = after != NULL && qcow2_image_may_lose_snapshots (after);
  const gboolean is_dirty
      = after != NULL && qcow2_header_is_dirty (&after->header);

  if (request->selection.index.given)
    say_remaining (work, removal);
  if (is_leaked && is_dirty)
    edit_work_say (work, "the clusters of the bitmap are leaked now: QEMU "
                         "frees them when it repairs the image, which is "
                         "dirty; do not run 'qemu-img check -r leaks', which "
                         "would clear the dirty bit without the repair");
  else if (is_leaked && loses_snapshots)
    edit_work_say (work, "the clusters of the bitmap are leaked now: leave "
                         "them, because 'qemu-img check -r leaks' would lose "
                         "the snapshots, see qcow2tool-check(1)");
  else if (is_leaked)
    edit_work_say (work, "the clusters of the bitmap are leaked now; if "
                         "'qcow2tool check' finds no error, 'qemu-img check "
                         "-r leaks' frees them");
  if (edit_judgement_is_refused (work->after))
    edit_work_say (work, "QEMU still refuses to open the image: see "
                         "'qcow2tool check'");
  return TRUE;
}

static gboolean
run (Tool *tool, char **argv, GError **error)
{
  g_auto (Request) request = { 0 };
  /* clang-format off */
  const GOptionEntry entries[] = {
    SELECTION_OPTIONS (&request.selection),
    EDIT_OPTIONS (&request.options),
    { NULL }
  };
  /* clang-format on */

  if (!tool_parse (tool, &cmd_remove_bitmap, entries, argv, error)
      || !selection_check (&request.selection, error)
      || !edit_run_check_operands (tool, 1, "IMAGE", error))
    return FALSE;
  if (!selection_is_given (&request.selection))
    {
      usage_error (error, "remove-bitmap needs --name or --index");
      return FALSE;
    }

  g_autoptr (GString) line = g_string_new ("remove-bitmap --");
  g_string_append (line, request.selection.name != NULL ? "name " : "index ");
  if (request.selection.name != NULL)
    g_string_append (line, request.selection.name);
  else
    format_count (line, request.selection.index.value);

  const EditRunJob job = { .options = &request.options,
                           .path = *tool_get_operands (tool),
                           .command = line->str,
                           .plan = plan,
                           .done = say_what_is_left,
                           .data = &request };
  return edit_run (tool, &job, error);
}

const Command cmd_remove_bitmap = {
  .name = "remove-bitmap",
  .operands = "IMAGE",
  .group = COMMAND_EDITS,
  .summary = "Take a bitmap out of the directory, even a damaged one",
  .statuses = EDIT_STATUSES,
  .example = "--dry-run --index=0 disk.qcow2",
  .page = "qcow2tool-edit",
  .own_output = TRUE,
  .may_lack_image = TRUE,
  .writes = TRUE,
  .run = run,
};
