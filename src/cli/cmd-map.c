/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2tool map: prints which parts of the disk the image has, and where, for
 * people and for programs that read the output of qemu-img map. */

#include "config.h"

#include "cli/commands.h"
#include "cli/print-guest-map.h"
#include "qcow2/error.h"
#include "render/guest-map.h"

typedef struct
{
  OptionsNumber start;      /* guest offset in bytes */
  OptionsNumber max_length; /* bytes */
  gboolean totals;
  GuestMapStyle style;
} Request;

typedef struct
{
  Tool *tool;
  GuestMapStyle *style;
  gboolean begun; /* the start of the output was printed */
} Job;

/* Returns whether FINDING, an error, is about the header fields on which the
 * map depends; for ReportScope.bears_on. */
static gboolean
bears_on_map (const Qcow2Finding *finding, gconstpointer data G_GNUC_UNUSED)
{
  static const char *const names[] = {
    "cluster_bits",          "size",         "l1_size", "l1_table_offset",
    "incompatible_features", "crypt_method", NULL
  };

  if (finding->subject.parts == QCOW2_PART_ALL)
    return TRUE;

  return finding->record == &qcow2_header_record && finding->field != NULL
         && g_strv_contains (names, finding->field->name);
}

/* Prints the start of the output, once. */
static void
begin (Job *job)
{
  if (!job->begun)
    guest_map_begin (job->style, tool_get_text (job->tool));
  job->begun = TRUE;
}

static Qcow2Next
print_extent (const Qcow2MapExtent *extent, gpointer data, GError **error)
{
  Job *job = data;

  begin (job);
  guest_map_extent (job->style, tool_get_text (job->tool), extent);
  return tool_flush (job->tool, error) ? QCOW2_NEXT_ITEM : QCOW2_NEXT_FAILED;
}

static Qcow2Next
count_extent (const Qcow2MapExtent *extent, gpointer data,
              GError **error G_GNUC_UNUSED)
{
  qcow2_map_totals_add (data, extent);
  return QCOW2_NEXT_ITEM;
}

/* If nothing can be read, nothing is printed: an empty array would be an
 * answer. */
static gboolean
print_map (Tool *tool, Qcow2GuestMap *map, GuestMapStyle *style, guint64 start,
           guint64 length, GError **error)
{
  Job job = { .tool = tool, .style = style };

  const gboolean printed
      = qcow2_guest_map_walk (map, start, length, print_extent, &job, error);
  if (printed)
    begin (&job);
  if (job.begun)
    guest_map_end (style, tool_get_text (tool));
  return printed;
}

static gboolean
print_totals (Tool *tool, Qcow2GuestMap *map, const GuestMapStyle *style,
              guint64 start, guint64 length, GError **error)
{
  Qcow2MapTotals totals = { .data = 0 };

  if (!qcow2_guest_map_walk (map, start, length, count_extent, &totals, error))
    return FALSE;

  guest_map_totals (style, tool_get_text (tool), &totals);
  return TRUE;
}

static gboolean
show (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  Request *request = data;
  const guint64 size = qcow2_header_get_qemu_size (&image->header);
  const guint64 start = MIN (request->start.value, size);
  const guint64 length = MIN (request->max_length.value, size - start);
  const ReportScope scope = { .parts = QCOW2_PART_HEADER,
                              .max_extension = G_MAXUINT64,
                              .max_bitmap = G_MAXUINT64,
                              .bears_on = bears_on_map };
  g_autoptr (Qcow2GuestMap) map = qcow2_guest_map_new (image, NULL);
  GString *file = guest_map_get_file (report_get_path (tool_get_report (tool)),
                                      &image->header);

  request->style.file = file;
  const gboolean printed
      = request->totals
            ? print_totals (tool, map, &request->style, start, length, error)
            : print_map (tool, map, &request->style, start, length, error);
  g_string_free (file, TRUE);
  tool_report (tool, scope);
  guest_map_report (tool, map);
  return printed;
}

static GuestMapFormat
get_format (OptionsOutput output)
{
  switch (output)
    {
    case OPTIONS_OUTPUT_TEXT:
    case OPTIONS_OUTPUT_MORE:
      return GUEST_MAP_TEXT;
    case OPTIONS_OUTPUT_JSON:
      return GUEST_MAP_JSON;
    case OPTIONS_OUTPUT_JSONL:
      return GUEST_MAP_JSONL;
    }

  g_assert_not_reached ();
}

static gboolean
run (Tool *tool, char **argv, GError **error)
{
  Request request = { .max_length.value = G_MAXUINT64 };
  /* clang-format off */
  const GOptionEntry entries[] = {
    { "totals", 0, 0, G_OPTION_ARG_NONE, &request.totals,
      "Print the number of bytes of each kind", NULL },
    { "start-offset", 0, 0, OPTIONS_ARG_NUMBER, &request.start,
      "Begin at guest offset OFFSET", "OFFSET" },
    { "max-length", 0, 0, OPTIONS_ARG_NUMBER, &request.max_length,
      "End after LENGTH bytes of the disk", "LENGTH" },
    { NULL }
  };
  /* clang-format on */

  if (!tool_parse (tool, &cmd_map, entries, argv, error))
    return FALSE;

  request.style.format = get_format (tool_get_output (tool));
  return tool_for_each_image (tool, show, &request, error);
}

const Command cmd_map = {
  .name = "map",
  .operands = "IMAGE",
  .group = COMMAND_SHOWS,
  .summary = "Print which parts of the disk an image has, and where",
  .statuses = "0 done, 1 cannot read, 2 damaged",
  .example = "--output=json disk.qcow2",
  .page = "qcow2tool-map",
  .own_output = TRUE,
  .one_image = TRUE,
  .purpose = TOOL_ANSWERS,
  .run = run,
};
