/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2tool snapshots: prints the snapshot table, or the list that qemu-img
 * snapshot -l prints.  --names and --field are for scripts. */

#include "config.h"

#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/snapshot-selection.h"
#include "cli/usage.h"
#include "render/describe.h"
#include "render/format.h"
#include "render/info-snapshot.h"

typedef struct
{
  SnapshotSelection selection;
  FieldOptions fields;
  gboolean names;
  gboolean list;

  gboolean has_headings; /* --list printed them for this image */
} Request;

static void
request_clear (Request *request)
{
  snapshot_selection_clear (&request->selection);
  fields_clear (&request->fields);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Request, request_clear)

static gboolean
show_block (Tool *tool, const Qcow2Snapshot *snapshot,
            gpointer data G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
  describe_snapshot (tool_get_emitter (tool), snapshot);
  return TRUE;
}

static gboolean
show_row (Tool *tool, const Qcow2Snapshot *snapshot, gpointer data,
          GError **error G_GNUC_UNUSED)
{
  Request *request = data;
  GString *out = tool_get_text (tool);

  if (!request->has_headings)
    info_snapshot_heading (out);
  request->has_headings = TRUE;
  info_snapshot_row (out, snapshot);
  return TRUE;
}

static gboolean
show_name (Tool *tool, const Qcow2Snapshot *snapshot, gpointer data,
           GError **error G_GNUC_UNUSED)
{
  const Request *request = data;
  const Qcow2Field *name
      = qcow2_record_find (qcow2_snapshot_rest_fields, "name");

  if (snapshot->name != NULL)
    format_bare (tool_get_text (tool), name, snapshot,
                 request->fields.nul ? FORMAT_NUL : FORMAT_LINES);
  return TRUE;
}

/* A snapshot that cannot be read has an error already. */
static gboolean
show_fields (Tool *tool, const Qcow2Snapshot *snapshot, gpointer data,
             GError **error)
{
  const Request *request = data;
  const FieldSource sources[]
      = { { qcow2_snapshot_index_fields, snapshot, G_MAXUINT },
          { qcow2_snapshot_place_fields, snapshot, G_MAXUINT },
          { qcow2_snapshot_record.fields, &snapshot->entry, G_MAXUINT },
          { qcow2_snapshot_extra_record.fields, &snapshot->extra,
            snapshot->n_extra },
          { qcow2_snapshot_rest_fields, snapshot, G_MAXUINT },
          { .fields = NULL } };

  return (snapshot->name == NULL && !snapshot->is_truncated)
         || fields_print (
             &request->fields, sources,
             snapshot_selection_is_intact (tool_get_findings (tool)),
             tool_get_text (tool), error);
}

static SnapshotVisit
get_visit (Request *request)
{
  SnapshotVisit visit = { .show = show_block, .data = request };

  visit.only_one = request->fields.keys != NULL;
  if (request->fields.keys != NULL)
    visit.show = show_fields;
  else if (request->list)
    visit.show = show_row;
  else if (request->names)
    visit.show = show_name;

  return visit;
}

static gboolean
show (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  Request *request = data;
  const SnapshotVisit visit = get_visit (request);

  request->has_headings = FALSE;
  return snapshot_selection_visit (&request->selection, &visit, tool, image,
                                   error);
}

static gboolean
check (const Request *request, GError **error)
{
  const gboolean fields = request->fields.keys != NULL;
  const char *const given[]
      = { request->names ? "--names" : "", fields ? "--field" : "",
          request->list ? "--list" : "", NULL };
  const FieldSource sources[]
      = { { .fields = qcow2_snapshot_index_fields },
          { .fields = qcow2_snapshot_place_fields },
          { .fields = qcow2_snapshot_record.fields },
          { .fields = qcow2_snapshot_extra_record.fields },
          { .fields = qcow2_snapshot_rest_fields },
          { .fields = NULL } };

  if (!snapshot_selection_check (&request->selection, error)
      || !usage_check_exclusive (given, error))
    return FALSE;
  if (request->fields.nul && !request->names && !fields)
    {
      usage_error (error, "-0 goes with --names or --field");
      return FALSE;
    }
  if (fields && !snapshot_selection_is_given (&request->selection))
    {
      usage_error (error, "--field needs --id, --name or --index");
      return FALSE;
    }

  return fields_check (&request->fields, sources, error);
}

static gboolean
run (Tool *tool, char **argv, GError **error)
{
  g_auto (Request) request = { 0 };
  /* clang-format off */
  const GOptionEntry entries[] = {
    { "id", 0, 0, G_OPTION_ARG_FILENAME, &request.selection.id,
      "Select the snapshot with the id ID", "ID" },
    { "name", 0, 0, G_OPTION_ARG_FILENAME, &request.selection.name,
      "Select the snapshot NAME", "NAME" },
    { "index", 0, 0, OPTIONS_ARG_NUMBER, &request.selection.index,
      "Select snapshot N of the table, from 0", "N" },
    { "list", 0, 0, G_OPTION_ARG_NONE, &request.list,
      "Print a row per snapshot, as qemu-img snapshot -l does", NULL },
    { "names", 0, 0, G_OPTION_ARG_NONE, &request.names,
      "Print only the names, one per line", NULL },
    FIELD_OPTIONS (&request.fields),
    { NULL }
  };
  /* clang-format on */

  if (!tool_parse (tool, &cmd_snapshots, entries, argv, error))
    return FALSE;
  if (!check (&request, error))
    return FALSE;
  const char *const only = request.names                 ? "--names"
                           : request.fields.keys != NULL ? "--field"
                                                         : NULL;
  if (request.list && !tool_want_text (tool, "--list", error))
    return FALSE;
  if (only != NULL && !tool_want_text (tool, only, error))
    return FALSE;
  if (only != NULL)
    tool_want_one_image (tool, only);

  return tool_for_each_image (tool, show, &request, error);
}

const Command cmd_snapshots = {
  .name = "snapshots",
  .operands = "IMAGE...",
  .group = COMMAND_SHOWS,
  .summary = "List the internal snapshots",
  .example = "--list disk.qcow2",
  .page = "qcow2tool-snapshots",
  .item = "snapshot",
  .keys = { "snapshots" },
  .run = run,
};
