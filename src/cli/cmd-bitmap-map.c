/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2tool bitmap-map: prints which parts of the disk a bitmap marks, for
 * people and for backup programs. */

#include "config.h"

#include <string.h>

#include "check/bitmap-rules.h"
#include "cli/commands.h"
#include "cli/layers.h"
#include "cli/number.h"
#include "cli/print-contents.h"
#include "cli/print-guest-map.h"
#include "cli/selection.h"
#include "cli/usage.h"
#include "qcow2/error.h"
#include "render/bitmap-chain.h"
#include "render/plot.h"
#include "render/unusable.h"

#define PLOT_WIDTH 64
#define PLOT_HEIGHT 16

typedef struct
{
  Selection selection;
  LayerOptions layers;
  gboolean force;
  gboolean totals;
  gboolean want_plot;
  gboolean want_data;

  OptionsNumber start;      /* guest offset in bytes */
  OptionsNumber max_length; /* bytes */
  OptionsNumber split;      /* bytes */

  /* Option values as they were typed, or NULL. */
  char *contains_text;
  char *plot_size_text;

  ContentsStyle style;
} Request;

static void
request_clear (Request *request)
{
  selection_clear (&request->selection);
  layers_clear (&request->layers);
  g_free (request->contains_text);
  g_free (request->plot_size_text);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Request, request_clear)

/* Returns a message that says why BITMAP cannot be used, and adds HINT.  The
 * caller frees the message. */
static char *
explain (Tool *tool, const Qcow2Bitmap *bitmap, const char *hint)
{
  const Qcow2Subject subject = qcow2_bitmap_get_subject (bitmap);

  return unusable_explain (bitmap, &subject, tool_get_findings (tool), hint);
}

/* Fails with QCOW2_ERROR_CORRUPT because BITMAP cannot be used. */
static gboolean
refuse (Tool *tool, const Qcow2Bitmap *bitmap, GError **error)
{
  g_autofree char *message
      = explain (tool, bitmap, " (--force goes on all the same)");

  g_set_error_literal (error, QCOW2_ERROR, QCOW2_ERROR_CORRUPT, message);
  return FALSE;
}

/* Writes messages that say why part of QUERY is unknown, if it is: ERROR,
 * unless that is NULL, and the state of the bitmap.  STATUS becomes the exit
 * status. */
static void
complain (Tool *tool, ToolStatus status, const Qcow2ExtentQuery *query,
          const GError *error)
{
  if (error != NULL)
    tool_warn (tool, status, error->message);
  if (qcow2_bitmap_is_sound (query->bitmap))
    return;

  g_autofree char *message
      = explain (tool, query->bitmap,
                 ", so its bits cannot prove that anything is clean");
  tool_warn (tool, status, message);
}

/* Shows nothing before the directory entry and the whole table are checked,
 * and the data is known not to exceed the amount that is read. */
static gboolean
show_bitmap (Tool *tool, Qcow2Image *image, Qcow2BitmapChecker *checker,
             Qcow2Bitmap *bitmap, gpointer data, GError **error)
{
  Request *request = data;
  g_autoptr (GError) examine_error = NULL;
  g_autoptr (GError) read_error = NULL;
  Qcow2ExtentQuery query
      = { .image = image,
          .bitmap = bitmap,
          .first_error = request->force ? &read_error : NULL };

  if (!qcow2_bitmap_checker_check (checker, bitmap, &examine_error)
      && !request->force)
    {
      g_propagate_error (error, g_steal_pointer (&examine_error));
      return FALSE;
    }
  if (!qcow2_bitmap_is_sound (bitmap) && !request->force)
    return refuse (tool, bitmap, error);

  qcow2_extent_query_set_range (&query, request->start.value,
                                request->max_length.value);
  if (!request->force && !qcow2_extent_query_verify_size (&query, error))
    return FALSE;

  g_autoptr (Qcow2GuestMap) disk
      = request->want_data ? qcow2_guest_map_new (image, query.first_error)
                           : NULL;
  request->style.disk = disk;
  const gboolean printed
      = contents_print (&request->style, tool, &query, error);
  if (disk != NULL)
    guest_map_report (tool, disk);
  if (!printed)
    return FALSE;

  /* The exit status of --contains is its answer. */
  complain (tool, request->contains_text != NULL ? TOOL_OK : TOOL_DAMAGED,
            &query, read_error != NULL ? read_error : examine_error);
  return TRUE;
}

/* Adds the bitmap of LAYER to DIRTY, if its data is not too much to read. */
static gboolean
add_layer (Qcow2BitmapUnion *dirty, const Qcow2Layer *layer,
           const Qcow2Bitmap *bitmap, GError **error)
{
  Qcow2ExtentQuery query = { .image = layer->image, .bitmap = bitmap };

  qcow2_extent_query_set_range (&query, 0, G_MAXUINT64);
  if (!qcow2_extent_query_verify_size (&query, error))
    return FALSE;

  qcow2_bitmap_union_add (dirty, layer->image, bitmap);
  return TRUE;
}

/* Shows what the bitmaps of BITMAPS mark, in the layers of CHAIN that VERDICT
 * has found. */
static gboolean
show_union (Tool *tool, const Qcow2Chain *chain,
            const Qcow2BitmapChain *bitmaps,
            const Qcow2BitmapChainVerdict *verdict, Request *request,
            GError **error)
{
  const Qcow2Bitmap *top = qcow2_bitmap_chain_get (bitmaps, 0);
  g_autoptr (Qcow2BitmapUnion) dirty
      = qcow2_bitmap_union_new (top->granularity);
  Qcow2ExtentQuery query
      = { .image = qcow2_chain_get (chain, 0)->image, .bitmap = top };

  for (guint i = 0; i < verdict->n; i++)
    {
      if (!add_layer (dirty, qcow2_chain_get (chain, i),
                      qcow2_bitmap_chain_get (bitmaps, i), error))
        return FALSE;
    }

  qcow2_extent_query_set_range (&query, request->start.value,
                                request->max_length.value);
  request->style.layers = dirty;
  return contents_print (&request->style, tool, &query, error)
         && layers_check_still (chain, error);
}

/* Shows what the selected bitmaps of IMAGE and the layers below mark.  Fails
 * with QCOW2_ERROR_CORRUPT if they are no chain. */
static gboolean
show_chain (Tool *tool, Qcow2Image *image, Request *request, GError **error)
{
  const char *name = request->selection.name;
  g_autoptr (Qcow2Chain) chain = layers_open (&request->layers, tool, image);
  g_autoptr (Qcow2BitmapChain) bitmaps = qcow2_bitmap_chain_new (chain);
  Qcow2BitmapChainVerdict verdict;

  qcow2_bitmap_chain_judge (bitmaps, name, strlen (name), &verdict);
  if (verdict.answer == QCOW2_BITMAP_CHAIN_VALID)
    return show_union (tool, chain, bitmaps, &verdict, request, error);

  g_autofree char *reason = bitmap_chain_explain (&verdict);
  g_autofree char *escaped = usage_escape (name);
  const Qcow2Error code = verdict.answer == QCOW2_BITMAP_CHAIN_UNKNOWN
                              ? QCOW2_ERROR_READ
                          : !verdict.is_found ? QCOW2_ERROR_NOT_FOUND
                                              : QCOW2_ERROR_CORRUPT;
  g_set_error (error, QCOW2_ERROR, code, "bitmap '%s': no chain: %s", escaped,
               reason);
  return FALSE;
}

static gboolean
show (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  Request *request = data;

  if (request->layers.wanted)
    return show_chain (tool, image, request, error);

  const SelectionVisit visit
      = { .use = request->contains_text != NULL ? SELECTION_PREDICATE
                                                : SELECTION_ONE,
          .show = show_bitmap,
          .data = data };

  return selection_visit (&request->selection, &visit, tool, image, error);
}

/* Parses OFFSET[+LENGTH].  LENGTH is one byte by default. */
static gboolean
parse_contains (Request *request, GError **error)
{
  if (request->contains_text == NULL)
    return TRUE;

  g_auto (GStrv) parts = g_strsplit (request->contains_text, "+", 2);

  request->max_length.value = 1;
  if (parts[0] == NULL || !number_parse (parts[0], &request->start.value)
      || (parts[1] != NULL
          && !number_parse (parts[1], &request->max_length.value))
      || request->max_length.value == 0)
    {
      g_autofree char *escaped = usage_escape (request->contains_text);

      usage_error (error,
                   "--contains: '%s' is not OFFSET or OFFSET+LENGTH, of one "
                   "byte or more",
                   escaped);
      return FALSE;
    }

  return TRUE;
}

static gboolean
check_split (const Request *request, GError **error)
{
  if (!request->split.given || request->split.value > 0)
    return TRUE;

  usage_error (error, "--split: 0 bytes are no piece");
  return FALSE;
}

/* Parses WIDTHxHEIGHT. */
static gboolean
parse_plot_size (Request *request, GError **error)
{
  guint64 width = PLOT_WIDTH;
  guint64 height = PLOT_HEIGHT;

  if (request->plot_size_text != NULL)
    {
      g_auto (GStrv) parts = g_strsplit (request->plot_size_text, "x", 2);

      if (parts[0] == NULL || parts[1] == NULL
          || !number_parse (parts[0], &width)
          || !number_parse (parts[1], &height) || width == 0 || height == 0
          || width > PLOT_MAX || height > PLOT_MAX)
        {
          g_autofree char *escaped = usage_escape (request->plot_size_text);

          usage_error (error,
                       "--plot-size: '%s' is not WxH, each from 1 to %u",
                       escaped, PLOT_MAX);
          return FALSE;
        }
    }

  request->style.plot_width = (guint) width;
  request->style.plot_height = (guint) height;
  return TRUE;
}

static ContentsForm
get_form (const Request *request)
{
  if (request->contains_text != NULL)
    return CONTENTS_ANSWER;
  if (request->totals)
    return CONTENTS_TOTALS;

  return request->want_plot ? CONTENTS_PLOT : CONTENTS_MAP;
}

/* Fails with a usage error if --backing-chain does not go with the other
 * options: a chain has one name in all layers, and only sound bitmaps. */
static gboolean
check_layers (const Request *request, GError **error)
{
  const char *const chain = request->layers.wanted ? "--backing-chain" : "";
  const char *const forces[]
      = { chain, request->force ? "--force" : "", NULL };
  const char *const forms[]
      = { chain, request->want_data ? "--data" : "", NULL };

  if (!usage_check_exclusive (forces, error)
      || !usage_check_exclusive (forms, error))
    return FALSE;
  if (!request->layers.wanted || request->selection.name != NULL)
    return TRUE;

  usage_error (error, "--backing-chain needs --name");
  return FALSE;
}

/* Fails with a usage error if options that select the output exclude each
 * other, or if no bitmap is selected. */
static gboolean
check_combinations (const Request *request, OptionsOutput output,
                    GError **error)
{
  const char *const what = request->contains_text != NULL ? "--contains"
                           : request->totals              ? "--totals"
                           : request->want_plot           ? "--plot"
                                                          : "";
  const gboolean map_file = output == OPTIONS_OUTPUT_MORE;
  const char *const kinds[]
      = { request->contains_text != NULL ? "--contains" : "",
          request->totals ? "--totals" : "",
          request->want_plot ? "--plot" : "",
          map_file ? "--output=ddrescue" : "", NULL };
  const char *const splits[]
      = { what, request->split.given ? "--split" : "", NULL };
  const char *const dirties[]
      = { request->totals ? "" : what, map_file ? "--output=ddrescue" : "",
          request->style.map.only_dirty ? "--dirty" : "", NULL };
  const char *const forms[]
      = { request->totals ? "" : what, map_file ? "--output=ddrescue" : "",
          request->want_data ? "--data" : "", NULL };
  const char *const ranges[]
      = { request->contains_text != NULL ? "--contains" : "",
          request->start.given        ? "--start-offset"
          : request->max_length.given ? "--max-length"
                                      : "",
          NULL };

  if (!usage_check_exclusive (kinds, error)
      || !usage_check_exclusive (splits, error)
      || !usage_check_exclusive (dirties, error)
      || !usage_check_exclusive (forms, error)
      || !usage_check_exclusive (ranges, error)
      || !check_layers (request, error))
    return FALSE;

  if (selection_is_given (&request->selection))
    return TRUE;

  usage_error (error, "bitmap-map needs --name or --index");
  return FALSE;
}

static gboolean
check (Request *request, OptionsOutput output, GError **error)
{
  request->want_plot = request->want_plot || request->plot_size_text != NULL;
  return selection_check (&request->selection, error)
         && check_combinations (request, output, error)
         && parse_contains (request, error) && check_split (request, error)
         && parse_plot_size (request, error);
}

static BitmapMapFormat
get_format (OptionsOutput output)
{
  switch (output)
    {
    case OPTIONS_OUTPUT_TEXT:
      return BITMAP_MAP_TEXT;
    case OPTIONS_OUTPUT_JSON:
      return BITMAP_MAP_JSON;
    case OPTIONS_OUTPUT_JSONL:
      return BITMAP_MAP_JSONL;
    case OPTIONS_OUTPUT_MORE:
      return BITMAP_MAP_DDRESCUE;
    }

  g_assert_not_reached ();
}

static gboolean
run (Tool *tool, char **argv, GError **error)
{
  g_auto (Request) request = { .max_length.value = G_MAXUINT64 };
  /* clang-format off */
  const GOptionEntry entries[] = {
    SELECTION_OPTIONS (&request.selection),
    LAYER_OPTIONS (&request.layers),
    { "totals", 0, 0, G_OPTION_ARG_NONE, &request.totals,
      "Print the number of bytes of each type", NULL },
    { "dirty", 0, 0, G_OPTION_ARG_NONE, &request.style.map.only_dirty,
      "Print only extents that must be copied: dirty or unknown ones", NULL },
    { "data", 0, 0, G_OPTION_ARG_NONE, &request.want_data,
      "Split dirty extents by what this image has of them: data, zeroes or "
      "nothing", NULL },
    { "start-offset", 0, 0, OPTIONS_ARG_NUMBER, &request.start,
      "Begin at guest offset OFFSET", "OFFSET" },
    { "max-length", 0, 0, OPTIONS_ARG_NUMBER, &request.max_length,
      "End after LENGTH bytes of the disk", "LENGTH" },
    { "split", 0, 0, OPTIONS_ARG_NUMBER, &request.split,
      "Cut extents into pieces of at most SIZE bytes", "SIZE" },
    { "contains", 0, 0, G_OPTION_ARG_FILENAME, &request.contains_text,
      "Print nothing, but exit with 0 if the byte at OFFSET, or any of LENGTH "
      "bytes from there on, is dirty, and with 2 if not", "OFFSET[+LENGTH]" },
    { "force", 0, 0, G_OPTION_ARG_NONE, &request.force,
      "Go on with a bitmap that cannot be used; bits that are clear, or "
      "cannot be read, are unknown", NULL },
    { "plot", 0, 0, G_OPTION_ARG_NONE, &request.want_plot,
      "Draw the disk; darker characters have more dirty bytes", NULL },
    { "plot-size", 0, 0, G_OPTION_ARG_FILENAME, &request.plot_size_text,
      "Draw the disk in at most H lines of W characters", "WxH" },
    { NULL }
  };
  /* clang-format on */

  if (!tool_parse (tool, &cmd_bitmap_map, entries, argv, error))
    return FALSE;

  const OptionsOutput output = tool_get_output (tool);
  if (!check (&request, output, error)
      || !layers_prepare (&request.layers, tool, error))
    return FALSE;
  if (request.contains_text != NULL
      && !tool_want_text (tool, "--contains", error))
    return FALSE;
  if (request.want_plot && !tool_want_text (tool, "--plot", error))
    return FALSE;

  if (request.contains_text != NULL)
    tool_set_purpose (tool, TOOL_DECIDES);
  request.style.form = get_form (&request);
  request.style.length = request.max_length.value;
  request.style.map.split = request.split.value;
  request.style.map.format = get_format (output);
  return tool_for_each_image (tool, show, &request, error);
}

const Command cmd_bitmap_map = {
  .name = "bitmap-map",
  .operands = "IMAGE",
  .group = COMMAND_SHOWS,
  .summary = "Print which parts of the disk a bitmap marks as dirty",
  .statuses = "0 done, 1 cannot read, 2 bitmap cannot be used, 3 not in the "
              "image; 0 is yes and 2 is no with --contains",
  .example = "--name=b0 --dirty disk.qcow2",
  .page = "qcow2tool-bitmap-map",
  .extra_output = "ddrescue",
  .own_output = TRUE,
  .one_image = TRUE,
  .purpose = TOOL_ANSWERS,
  .run = run,
};
