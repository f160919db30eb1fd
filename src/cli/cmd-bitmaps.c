/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/rows.h"
#include "cli/selection.h"
#include "cli/usage.h"
#include "qcow2/error.h"
#include "render/describe.h"
#include "render/format.h"

typedef struct
{
  Selection selection;
  FieldOptions fields;
  gboolean names;
  gboolean tables;
  char *is; /* --is, or NULL */
} Request;

static void
request_clear (Request *request)
{
  selection_clear (&request->selection);
  fields_clear (&request->fields);
  g_free (request->is);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Request, request_clear)

static gboolean
print_block (Tool *tool, Qcow2Image *image, const Request *request,
             const Qcow2Bitmap *bitmap, GError **error)
{
  const RowOptions all_rows = { .count = ROWS_ALL };
  gboolean printed = TRUE;

  describe_begin_bitmap (tool_get_emitter (tool), bitmap);
  if (request->tables)
    printed = rows_print_bitmap (tool, image, bitmap, &all_rows, FALSE, error);
  emitter_end (tool_get_emitter (tool));
  return printed;
}

static gboolean
show_name (Tool *tool, Qcow2Image *image G_GNUC_UNUSED,
           Qcow2Examiner *examiner, Qcow2Bitmap *bitmap, gpointer data,
           GError **error G_GNUC_UNUSED)
{
  const Request *request = data;
  const Qcow2Field *name = qcow2_record_find (qcow2_bitmap_fields, "name");

  qcow2_examiner_judge_entry (examiner, bitmap);
  if (bitmap->name != NULL)
    format_bare (tool_get_text (tool), name, bitmap,
                 request->fields.nul ? FORMAT_NUL : FORMAT_LINES);
  return TRUE;
}

static gboolean
show_fields (Tool *tool, Qcow2Image *image G_GNUC_UNUSED,
             Qcow2Examiner *examiner, Qcow2Bitmap *bitmap, gpointer data,
             GError **error)
{
  const Request *request = data;
  const FieldSource sources[]
      = { { qcow2_bitmap_fields, bitmap, G_MAXUINT }, { .fields = NULL } };

  return qcow2_examiner_examine (examiner, bitmap, error)
         && fields_print (&request->fields, sources, tool_get_text (tool),
                          error);
}

static gboolean
show_answer (Tool *tool, Qcow2Image *image G_GNUC_UNUSED,
             Qcow2Examiner *examiner, Qcow2Bitmap *bitmap, gpointer data,
             GError **error)
{
  const Request *request = data;

  if (!qcow2_examiner_examine (examiner, bitmap, error))
    return FALSE;

  const char *state = qcow2_label_find (qcow2_bitmap_states, bitmap->state);
  const gboolean yes = g_str_equal (request->is, "usable")
                           ? bitmap->usable
                           : g_str_equal (request->is, state);
  tool_set_status (tool, yes ? TOOL_OK : TOOL_DAMAGED);
  return TRUE;
}

/* What can be read of a bitmap is printed even if its table cannot. */
static gboolean
show_block (Tool *tool, Qcow2Image *image, Qcow2Examiner *examiner,
            Qcow2Bitmap *bitmap, gpointer data, GError **error)
{
  const gboolean examined = qcow2_examiner_examine (examiner, bitmap, error);
  const gboolean printed
      = print_block (tool, image, data, bitmap, examined ? error : NULL);

  return examined && printed;
}

static SelectionFunc
get_show (const Request *request)
{
  if (request->names)
    return show_name;
  if (request->is != NULL)
    return show_answer;

  return request->fields.keys != NULL ? show_fields : show_block;
}

static SelectionUse
get_use (const Request *request)
{
  if (request->is != NULL)
    return SELECTION_PREDICATE;

  return request->fields.keys != NULL ? SELECTION_ONE : SELECTION_ALL;
}

static gboolean
show (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  const Request *request = data;

  return selection_for_each (&request->selection, get_use (request), tool,
                             image, get_show (request), data, error);
}

static gboolean
check_combinations (const Request *request, GError **error)
{
  const gboolean fields = request->fields.keys != NULL;
  const char *const given[]
      = { request->names ? "--names" : "", fields ? "--field" : "",
          request->tables ? "--tables" : "", request->is != NULL ? "--is" : "",
          NULL };

  if (!usage_check_exclusive (given, error))
    return FALSE;

  if (request->fields.nul && !request->names && !fields)
    {
      usage_error (error, "-0 goes with --names or --field");
      return FALSE;
    }
  if ((fields || request->is != NULL)
      && !selection_is_given (&request->selection))
    {
      usage_error (error, "%s needs --name or --index",
                   fields ? "--field" : "--is");
      return FALSE;
    }

  return TRUE;
}

static gboolean
check (Request *request, GError **error)
{
  static const char *const states[] = { "usable", "enabled", "disabled",
                                        "in-use", "stale",   "damaged",
                                        NULL };
  const FieldSource sources[]
      = { { .fields = qcow2_bitmap_fields }, { .fields = NULL } };

  return selection_parse (&request->selection, error)
         && usage_check_choice ("--is", request->is, states, error)
         && check_combinations (request, error)
         && fields_check (&request->fields, sources, error);
}

static gboolean
run (Tool *tool, char **argv, GError **error)
{
  g_auto (Request) request = { 0 };
  /* clang-format off */
  const GOptionEntry entries[] = {
    SELECTION_OPTIONS (&request.selection),
    { "tables", 0, 0, G_OPTION_ARG_NONE, &request.tables,
      "Print each bitmap's table under it", NULL },
    { "names", 0, 0, G_OPTION_ARG_NONE, &request.names,
      "Print only the names, one per line", NULL },
    { "is", 0, 0, G_OPTION_ARG_FILENAME, &request.is,
      "Print nothing, but exit with 0 if the bitmap is in STATE, else with 2: "
      "usable, enabled, disabled, in-use, stale or damaged", "STATE" },
    FIELD_OPTIONS (&request.fields),
    { NULL }
  };
  /* clang-format on */

  if (!tool_parse (tool, &cmd_bitmaps, entries, argv, error))
    return FALSE;
  if (!check (&request, error))
    return FALSE;
  if (request.names)
    tool_want_one_image (tool, "--names");
  if (request.fields.keys != NULL)
    tool_want_one_image (tool, "--field");
  if (request.is != NULL)
    tool_want_one_image (tool, "--is");

  return tool_for_each_image (tool, show, &request, error);
}

const Command cmd_bitmaps = {
  .name = "bitmaps",
  .operands = "IMAGE...",
  .summary = "Print the directory of persistent bitmaps",
  .run = run,
};
