/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2tool bitmap-table: prints the entries of bitmap tables, for people who
 * look for data or damage in an image. */

#include "config.h"

#include "cli/commands.h"
#include "cli/print-table.h"
#include "cli/selection.h"
#include "cli/usage.h"
#include "qcow2/error.h"
#include "render/describe.h"

typedef struct
{
  Selection selection;
  RowOptions rows;
  OptionsNumber at; /* host offset in bytes */
  OptionsNumber start;
  OptionsNumber count;
  char **types; /* --type as it was typed, or NULL */
  gboolean all_columns;
} Request;

static void
request_clear (Request *request)
{
  selection_clear (&request->selection);
  g_strfreev (request->types);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Request, request_clear)

static gboolean
print_at (Tool *tool, const Qcow2Table *table, const Request *request,
          GError **error)
{
  const Qcow2Bitmap nobody
      = { .index = QCOW2_NO_INDEX,
          .bitmap_table_offset = table->offset,
          .bitmap_table_size = (guint32) MIN (table->n_entries, G_MAXUINT32) };
  Emitter *emitter = tool_get_emitter (tool);

  emitter_begin (emitter, EMITTER_LIST, "bitmap_tables", NULL);
  describe_begin_table (emitter, &nobody, FALSE);
  describe_table_owner (emitter, QCOW2_ABSENT);
  const gboolean printed = rows_print (tool, table, &request->rows, error);
  emitter_end (emitter);
  emitter_end (emitter);
  return printed;
}

/* Decodes entries at a host offset without checks: any bytes become rows. */
static gboolean
show_at (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  const Request *request = data;
  const RowOptions *rows = &request->rows;
  const guint64 n_wanted
      = rows->start + MIN (rows->count, G_MAXUINT64 - rows->start);
  const Qcow2Table table = { .source = image->source,
                             .header = &image->header,
                             .offset = request->at.value,
                             .n_entries = n_wanted,
                             .granularity = QCOW2_ABSENT };

  if (image->header.cluster_size == QCOW2_ABSENT)
    {
      tool_report (tool, REPORT_SCOPE (QCOW2_PART_BITMAPS));
      return TRUE;
    }

  if (!print_at (tool, &table, request, error))
    return FALSE;

  const guint64 n_readable = qcow2_table_get_n_readable (&table);
  if (n_readable == n_wanted || rows->count == 0)
    return TRUE;

  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
               QCOW2_HEX_FORMAT
               ": bitmap table: only " QCOW2_U64_FORMAT " of " QCOW2_U64_FORMAT
               " entries are in the file, which has " QCOW2_U64_FORMAT
               " bytes",
               request->at.value, n_readable - MIN (rows->start, n_readable),
               rows->count, byte_source_get_size (image->source));
  return FALSE;
}

static gboolean
show_table (Tool *tool, Qcow2Image *image, Qcow2BitmapChecker *checker,
            Qcow2Bitmap *bitmap, gpointer data, GError **error)
{
  const Request *request = data;

  qcow2_bitmap_checker_check_entry (checker, bitmap);
  describe_begin_table (tool_get_emitter (tool), bitmap,
                        !selection_is_given (&request->selection));
  const gboolean shown = rows_print_bitmap (tool, image, checker, bitmap,
                                            &request->rows, TRUE, error);
  emitter_end (tool_get_emitter (tool));
  return shown;
}

static gboolean
show (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  const Request *request = data;
  const SelectionVisit visit
      = { .use = selection_is_given (&request->selection) ? SELECTION_ONE
                                                          : SELECTION_ALL,
          .key = "bitmap_tables",
          .show = show_table,
          .data = data };

  return selection_visit (&request->selection, &visit, tool, image, error);
}

static gboolean
parse_types (Request *request, GError **error)
{
  const char *names[QCOW2_N_ENTRY_TYPES + 1] = { NULL };

  for (guint i = 0; i < QCOW2_N_ENTRY_TYPES; i++)
    names[i] = qcow2_label_find (qcow2_entry_types, i);

  for (char **type = request->types; type != NULL && *type != NULL; type++)
    {
      if (!usage_check_choice ("--type", *type, names, error))
        return FALSE;

      for (guint i = 0; i < QCOW2_N_ENTRY_TYPES; i++)
        {
          if (g_str_equal (names[i], *type))
            request->rows.types |= 1u << i;
        }
    }

  return TRUE;
}

static gboolean
check (Request *request, GError **error)
{
  const Selection *selection = &request->selection;
  const char *const given[]
      = { request->at.given ? "--at" : "",
          selection->name != NULL ? "--name" : "",
          selection->index.given ? "--index" : "", NULL };

  if (!usage_check_exclusive (given, error)
      || !selection_check (&request->selection, error)
      || !parse_types (request, error))
    return FALSE;

  if (request->at.given && !request->count.given)
    {
      usage_error (error, "--at needs --count");
      return FALSE;
    }

  request->rows.start = request->start.value;
  request->rows.count = request->count.value;
  return TRUE;
}

static gboolean
run (Tool *tool, char **argv, GError **error)
{
  g_auto (Request) request = { .count.value = ROWS_ALL };
  /* clang-format off */
  const GOptionEntry entries[] = {
    SELECTION_OPTIONS (&request.selection),
    { "start", 0, 0, OPTIONS_ARG_NUMBER, &request.start,
      "Begin with entry I", "I" },
    { "count", 0, 0, OPTIONS_ARG_NUMBER, &request.count,
      "Print at most N entries of a table", "N" },
    { "type", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &request.types,
      "Print only entries of TYPE: serialized, all-zeroes or all-ones; may be "
      "given again", "TYPE" },
    { "long", 0, 0, G_OPTION_ARG_NONE, &request.all_columns,
      "Print reserved bits and the guest range as well", NULL },
    { "at", 0, 0, OPTIONS_ARG_NUMBER, &request.at,
      "Decode entries at OFFSET of the file, without a bitmap; needs --count",
      "OFFSET" },
    { NULL }
  };
  /* clang-format on */

  if (!tool_parse (tool, &cmd_bitmap_table, entries, argv, error))
    return FALSE;
  if (!check (&request, error))
    return FALSE;

  tool_get_emitter (tool)->all_columns = request.all_columns;
  return tool_for_each_image (tool, request.at.given ? show_at : show,
                              &request, error);
}

const Command cmd_bitmap_table = {
  .name = "bitmap-table",
  .operands = "IMAGE...",
  .group = COMMAND_SHOWS,
  .summary = "Print the bitmap tables: where the bits are in the file",
  .example = "--name=b0 --type=serialized disk.qcow2",
  .keys = { "bitmap_tables" },
  .run = run,
};
