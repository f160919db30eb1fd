/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/commands.h"
#include "cli/rows.h"
#include "cli/selection.h"
#include "cli/usage.h"
#include "qcow2/error.h"
#include "render/describe.h"

typedef struct
{
  Selection selection;
  RowOptions rows;
  guint64 at; /* host offset */

  /* As they were typed, or NULL. */
  char *at_text;
  char *start_text;
  char *count_text;
  char **types;
  gboolean all_columns;
} Options;

static void
options_clear (Options *options)
{
  selection_clear (&options->selection);
  g_free (options->at_text);
  g_free (options->start_text);
  g_free (options->count_text);
  g_strfreev (options->types);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, options_clear)

/* Decodes entries at a host offset.  Nothing claims that there is a table:
 * nothing is judged. */
static gboolean
show_at (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  const Options *options = data;
  const RowOptions *rows = &options->rows;
  const guint64 n_wanted
      = rows->start + MIN (rows->count, G_MAXUINT64 - rows->start);
  const Qcow2Table table = { .source = image->source,
                             .header = &image->header,
                             .offset = options->at,
                             .n_entries = n_wanted,
                             .granularity = QCOW2_ABSENT };

  if (image->header.cluster_size == QCOW2_ABSENT)
    {
      tool_report (tool, REPORT_SCOPE (QCOW2_PART_BITMAPS));
      return TRUE;
    }

  if (!rows_print (tool, &table, rows, error))
    return FALSE;

  const guint64 n_readable = qcow2_table_get_n_readable (&table);
  if (n_readable == n_wanted || rows->count == 0)
    return TRUE;

  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
               QCOW2_X ": bitmap table: only " QCOW2_U " of " QCOW2_U
                       " entries are in the file, which has " QCOW2_U " bytes",
               options->at, n_readable - MIN (rows->start, n_readable),
               rows->count, byte_source_get_size (image->source));
  return FALSE;
}

static gboolean
show_bitmap (Tool *tool, Qcow2Image *image, const Options *options,
             Qcow2Examiner *examiner, const Qcow2Bitmap *bitmap,
             GError **error)
{
  const gboolean selected = selection_is_given (&options->selection);

  qcow2_examiner_judge_entry (examiner, bitmap);
  if (selected)
    return rows_print_bitmap (tool, image, bitmap, &options->rows, TRUE,
                              error);

  describe_begin_bitmap_name (tool_get_emitter (tool), bitmap);
  const gboolean printed
      = rows_print_bitmap (tool, image, bitmap, &options->rows, TRUE, error);
  emitter_end (tool_get_emitter (tool));
  return printed;
}

static gboolean
show_selected (Tool *tool, Qcow2Image *image, Qcow2Directory *directory,
               const Options *options, GError **error)
{
  g_autoptr (Qcow2Examiner) examiner = qcow2_examiner_new (image, directory);
  g_autoptr (GError) local_error = NULL;
  ReportScope scope = REPORT_SCOPE (QCOW2_PART_BITMAPS);

  while (local_error == NULL)
    {
      g_auto (Qcow2Bitmap) bitmap = { 0 };

      if (!qcow2_directory_next (directory, &bitmap, &local_error))
        break;
      if (!selection_matches (&options->selection, &bitmap))
        continue;

      show_bitmap (tool, image, options, examiner, &bitmap, &local_error);
      scope.max_bitmap = bitmap.index;
      tool_report (tool, scope);
      if (local_error == NULL)
        tool_flush (tool, &local_error);
    }

  if (local_error == NULL)
    return TRUE;

  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

static gboolean
show (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  const Options *options = data;
  const gboolean selected = selection_is_given (&options->selection);
  g_autoptr (Qcow2Directory) directory = qcow2_directory_open (image, error);
  guint64 last;

  if (directory == NULL)
    return FALSE;

  if (selected
      && !selection_find (&options->selection, directory, TRUE, &last, error))
    {
      tool_report (tool, REPORT_SCOPE (QCOW2_PART_BITMAPS));
      return FALSE;
    }
  if (!show_selected (tool, image, directory, options, error))
    return FALSE;

  if (!selected)
    tool_report (tool, REPORT_SCOPE (QCOW2_PART_BITMAPS));
  return TRUE;
}

static gboolean
parse_types (Options *options, GError **error)
{
  static const char *const names[]
      = { "serialized", "all-zeroes", "all-ones", NULL };

  for (char **type = options->types; type != NULL && *type != NULL; type++)
    {
      if (!usage_check_choice ("--type", *type, names, error))
        return FALSE;

      for (guint i = 0; i < QCOW2_N_ENTRY_TYPES; i++)
        {
          if (g_str_equal (qcow2_label_find (qcow2_entry_types, i), *type))
            options->rows.types |= 1u << i;
        }
    }

  return TRUE;
}

static gboolean
parse_number (const char *option, const char *text, guint64 *value,
              GError **error)
{
  return text == NULL || usage_parse_number (option, text, value, error);
}

static gboolean
check (Options *options, GError **error)
{
  const Selection *selection = &options->selection;
  const char *const given[]
      = { options->at_text != NULL ? "--at" : "",
          selection->name != NULL ? "--name" : "",
          selection->index_text != NULL ? "--index" : "", NULL };

  if (!usage_check_exclusive (given, error)
      || !selection_parse (&options->selection, error)
      || !parse_number ("--at", options->at_text, &options->at, error)
      || !parse_number ("--start", options->start_text, &options->rows.start,
                        error)
      || !parse_number ("--count", options->count_text, &options->rows.count,
                        error)
      || !parse_types (options, error))
    return FALSE;

  if (options->at_text != NULL && options->count_text == NULL)
    {
      usage_error (error, "--at needs --count");
      return FALSE;
    }

  return TRUE;
}

static gboolean
run (Tool *tool, char **argv, GError **error)
{
  g_auto (Options) options = { .rows.count = ROWS_ALL };
  /* clang-format off */
  const GOptionEntry entries[] = {
    SELECTION_OPTIONS (&options.selection),
    { "start", 0, 0, G_OPTION_ARG_FILENAME, &options.start_text,
      "Begin with entry I", "I" },
    { "count", 0, 0, G_OPTION_ARG_FILENAME, &options.count_text,
      "Print at most N entries of a table", "N" },
    { "type", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options.types,
      "Print only entries of TYPE: serialized, all-zeroes or all-ones; may be "
      "given again", "TYPE" },
    { "long", 0, 0, G_OPTION_ARG_NONE, &options.all_columns,
      "Print reserved bits and the guest range as well", NULL },
    { "at", 0, 0, G_OPTION_ARG_FILENAME, &options.at_text,
      "Decode what is at OFFSET of the file, without a bitmap; with --count",
      "OFFSET" },
    { NULL }
  };
  /* clang-format on */

  if (!tool_parse (tool, &cmd_bitmap_table, entries, argv, error))
    return FALSE;
  if (!check (&options, error))
    return FALSE;

  tool_get_emitter (tool)->all_columns = options.all_columns;
  return tool_for_each_image (tool, options.at_text != NULL ? show_at : show,
                              &options, error);
}

const Command cmd_bitmap_table = {
  .name = "bitmap-table",
  .operands = "IMAGE...",
  .summary = "Print the entries of bitmap tables",
  .run = run,
};
