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
} Options;

static void
options_clear (Options *options)
{
  selection_clear (&options->selection);
  fields_clear (&options->fields);
  g_free (options->is);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, options_clear)

static void
print_name (Tool *tool, const Options *options, const Qcow2Bitmap *bitmap)
{
  const Qcow2Field *name = qcow2_record_find (qcow2_bitmap_fields, "name");

  if (bitmap->name != NULL)
    format_bare (tool_get_text (tool), name, bitmap,
                 options->fields.nul ? FORMAT_NUL : FORMAT_LINES);
}

static void
answer (Tool *tool, const Options *options, const Qcow2Bitmap *bitmap)
{
  const gboolean yes
      = g_str_equal (options->is, "usable")
            ? bitmap->usable
            : g_str_equal (options->is, qcow2_label_find (qcow2_bitmap_states,
                                                          bitmap->state));

  tool_set_status (tool, yes ? TOOL_OK : TOOL_DAMAGED);
}

static gboolean
print_block (Tool *tool, Qcow2Image *image, const Options *options,
             const Qcow2Bitmap *bitmap, GError **error)
{
  const RowOptions all_rows = { .count = ROWS_ALL };
  gboolean printed = TRUE;

  describe_begin_bitmap (tool_get_emitter (tool), bitmap);
  if (options->tables)
    printed = rows_print_bitmap (tool, image, bitmap, &all_rows, FALSE, error);
  emitter_end (tool_get_emitter (tool));
  return printed;
}

static gboolean
show_bitmap (Tool *tool, Qcow2Image *image, const Options *options,
             Qcow2Examiner *examiner, Qcow2Bitmap *bitmap, GError **error)
{
  const FieldSource sources[]
      = { { qcow2_bitmap_fields, bitmap, G_MAXUINT }, { .fields = NULL } };

  if (options->names)
    {
      qcow2_examiner_judge_entry (examiner, bitmap);
      print_name (tool, options, bitmap);
      return TRUE;
    }
  if (!qcow2_examiner_examine (examiner, bitmap, error))
    return FALSE;
  if (options->fields.keys != NULL)
    return fields_print (&options->fields, sources, tool_get_text (tool),
                         error);
  if (options->is == NULL)
    return print_block (tool, image, options, bitmap, error);

  answer (tool, options, bitmap);
  return TRUE;
}

/* Shows the bitmaps that are selected, up to the one with index LAST. */
static gboolean
show_selected (Tool *tool, Qcow2Image *image, Qcow2Directory *directory,
               const Options *options, guint64 last, GError **error)
{
  g_autoptr (Qcow2Examiner) examiner = qcow2_examiner_new (image, directory);
  g_autoptr (GError) local_error = NULL;
  ReportScope scope = REPORT_SCOPE (QCOW2_PART_BITMAPS);

  while (local_error == NULL)
    {
      g_auto (Qcow2Bitmap) bitmap = { 0 };

      if (!qcow2_directory_next (directory, &bitmap, &local_error))
        break;
      if (bitmap.index > last)
        break;
      if (!selection_matches (&options->selection, &bitmap))
        continue;

      show_bitmap (tool, image, options, examiner, &bitmap, &local_error);
      scope.max_bitmap = bitmap.index;
      if (options->is == NULL)
        tool_report (tool, scope);
      if (local_error == NULL)
        tool_flush (tool, &local_error);
    }

  if (local_error == NULL)
    return TRUE;

  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* A predicate has no answer when its bitmap cannot be told: neither 0 nor 2.
 */
static void
deny_answer (GError **error)
{
  if (g_error_matches (*error, QCOW2_ERROR, QCOW2_ERROR_AMBIGUOUS))
    (*error)->code = QCOW2_ERROR_READ;
}

static gboolean
show (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  const Options *options = data;
  const gboolean selected = selection_is_given (&options->selection);
  const gboolean unique = options->fields.keys != NULL || options->is != NULL;
  g_autoptr (Qcow2Directory) directory = qcow2_directory_open (image, error);
  guint64 last = G_MAXUINT64;

  if (directory == NULL)
    return FALSE;

  if (selected
      && !selection_find (&options->selection, directory, unique, &last,
                          error))
    {
      if (options->is != NULL)
        deny_answer (error);
      else
        tool_report (tool, REPORT_SCOPE (QCOW2_PART_BITMAPS));
      return FALSE;
    }
  if (!show_selected (tool, image, directory, options, last, error))
    return FALSE;

  if (!selected)
    tool_report (tool, REPORT_SCOPE (QCOW2_PART_BITMAPS));
  return TRUE;
}

static gboolean
check_combinations (const Options *options, GError **error)
{
  const gboolean fields = options->fields.keys != NULL;
  const char *const given[]
      = { options->names ? "--names" : "", fields ? "--field" : "",
          options->tables ? "--tables" : "", options->is != NULL ? "--is" : "",
          NULL };

  if (!usage_check_exclusive (given, error))
    return FALSE;

  if (options->fields.nul && !options->names && !fields)
    {
      usage_error (error, "-0 goes with --names or --field");
      return FALSE;
    }
  if ((fields || options->is != NULL)
      && !selection_is_given (&options->selection))
    {
      usage_error (error, "%s needs --name or --index",
                   fields ? "--field" : "--is");
      return FALSE;
    }

  return TRUE;
}

static gboolean
check (Options *options, GError **error)
{
  static const char *const states[] = { "usable", "enabled", "disabled",
                                        "in-use", "stale",   "damaged",
                                        NULL };
  const FieldSource sources[]
      = { { .fields = qcow2_bitmap_fields }, { .fields = NULL } };

  return selection_parse (&options->selection, error)
         && usage_check_choice ("--is", options->is, states, error)
         && check_combinations (options, error)
         && fields_check (&options->fields, sources, error);
}

static gboolean
run (Tool *tool, char **argv, GError **error)
{
  g_auto (Options) options = { 0 };
  /* clang-format off */
  const GOptionEntry entries[] = {
    SELECTION_OPTIONS (&options.selection),
    { "tables", 0, 0, G_OPTION_ARG_NONE, &options.tables,
      "Print each bitmap's table under it", NULL },
    { "names", 0, 0, G_OPTION_ARG_NONE, &options.names,
      "Print only the names, one per line", NULL },
    { "is", 0, 0, G_OPTION_ARG_FILENAME, &options.is,
      "Print nothing, but exit with 0 if the bitmap is in STATE, else with 2: "
      "usable, enabled, disabled, in-use, stale or damaged", "STATE" },
    FIELD_OPTIONS (&options.fields),
    { NULL }
  };
  /* clang-format on */

  if (!tool_parse (tool, &cmd_bitmaps, entries, argv, error))
    return FALSE;
  if (!check (&options, error))
    return FALSE;
  if (options.names)
    tool_want_one_image (tool, "--names");
  if (options.fields.keys != NULL)
    tool_want_one_image (tool, "--field");
  if (options.is != NULL)
    tool_want_one_image (tool, "--is");

  return tool_for_each_image (tool, show, &options, error);
}

const Command cmd_bitmaps = {
  .name = "bitmaps",
  .operands = "IMAGE...",
  .summary = "Print the directory of persistent bitmaps",
  .run = run,
};
