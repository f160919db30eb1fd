/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2tool bitmaps: prints the directory of persistent bitmaps, for people.
 * --names, --field and --is are for scripts. */

#include "config.h"

#include "check/directory-rules.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/layers.h"
#include "cli/print-bitmap-chains.h"
#include "cli/print-bitmap.h"
#include "cli/usage.h"
#include "qcow2/error.h"
#include "render/bitmap-list.h"
#include "render/describe.h"
#include "render/format.h"

typedef struct
{
  Selection selection;
  LayerOptions layers;
  FieldOptions fields;
  gboolean names;
  gboolean tables;
  gboolean list;
  gboolean all_columns;
  gboolean stats;
  char *is;         /* --is, or NULL */
  BitmapList *rows; /* with --list, or NULL */

  guint64 n_checked; /* number of bitmaps of the image checked by --is */
} Request;

static void
request_clear (Request *request)
{
  selection_clear (&request->selection);
  layers_clear (&request->layers);
  fields_clear (&request->fields);
  g_free (request->is);
  bitmap_list_free (request->rows);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Request, request_clear)

static gboolean
show_name (Tool *tool, Qcow2Image *image G_GNUC_UNUSED,
           Qcow2BitmapChecker *checker, Qcow2Bitmap *bitmap, gpointer data,
           GError **error G_GNUC_UNUSED)
{
  const Request *request = data;
  const Qcow2Field *name
      = qcow2_record_find (qcow2_bitmap_record.fields, "name");

  qcow2_bitmap_checker_check_entry (checker, bitmap);
  if (bitmap->name != NULL)
    format_bare (tool_get_text (tool), name, bitmap,
                 request->fields.nul ? FORMAT_NUL : FORMAT_LINES);
  return TRUE;
}

static gboolean
show_fields (Tool *tool, Qcow2Image *image G_GNUC_UNUSED,
             Qcow2BitmapChecker *checker, Qcow2Bitmap *bitmap, gpointer data,
             GError **error)
{
  const Request *request = data;
  const FieldSource sources[]
      = { { qcow2_bitmap_record.fields, bitmap, G_MAXUINT },
          { qcow2_bitmap_size_fields, bitmap, G_MAXUINT },
          { .fields = NULL } };

  return qcow2_bitmap_checker_check (checker, bitmap, error)
         && (!request->stats
             || qcow2_bitmap_checker_count_dirty (checker, bitmap, error))
         && fields_print (&request->fields, sources,
                          bitmap->result.state != QCOW2_BITMAP_STATE_DAMAGED,
                          tool_get_text (tool), error);
}

static gboolean
show_answer (Tool *tool, Qcow2Image *image G_GNUC_UNUSED,
             Qcow2BitmapChecker *checker, Qcow2Bitmap *bitmap, gpointer data,
             GError **error)
{
  Request *request = data;

  request->n_checked++;
  if (!qcow2_bitmap_checker_check (checker, bitmap, error))
    return FALSE;

  const char *state
      = qcow2_label_find (qcow2_bitmap_states, bitmap->result.state);
  const gboolean yes = g_str_equal (request->is, "usable")
                           ? bitmap->result.usable != 0
                           : g_str_equal (request->is, state);
  tool_set_status (tool, yes ? TOOL_OK : TOOL_DAMAGED);
  return TRUE;
}

static gboolean
add_to_list (Tool *tool G_GNUC_UNUSED, Qcow2Image *image,
             Qcow2BitmapChecker *checker, Qcow2Bitmap *bitmap, gpointer data,
             GError **error)
{
  const Request *request = data;
  const gboolean known
      = qcow2_bitmap_checker_check (checker, bitmap, error)
        && qcow2_bitmap_checker_count_dirty (checker, bitmap, error);

  bitmap_list_add (request->rows, bitmap, image->header.size);
  return known;
}

static gboolean
print_list_row (Tool *tool, Qcow2Image *image G_GNUC_UNUSED,
                Qcow2BitmapChecker *checker G_GNUC_UNUSED, Qcow2Bitmap *bitmap,
                gpointer data, GError **error G_GNUC_UNUSED)
{
  const Request *request = data;

  bitmap_list_print_next (request->rows, tool_get_text (tool), bitmap);
  return TRUE;
}

static SelectionVisit
get_visit (Request *request)
{
  SelectionVisit visit
      = { .use = SELECTION_ALL, .key = "bitmaps", .data = request };

  if (request->fields.keys != NULL)
    {
      visit.use = SELECTION_ONE;
      visit.show = show_fields;
    }
  else if (request->is != NULL)
    {
      visit.use = SELECTION_PREDICATE;
      visit.show = show_answer;
    }
  else if (request->list)
    {
      visit.show = add_to_list;
      visit.again = print_list_row;
    }
  else if (request->names)
    visit.show = show_name;
  else
    {
      visit.show
          = request->tables ? bitmap_block_show_with_table : bitmap_block_show;
      visit.data = &request->stats;
    }

  return visit;
}

/* Returns whether the answer depends on whether QEMU opens the image. */
static gboolean
asks_for_usable (const Request *request)
{
  return g_strcmp0 (request->is, "usable") == 0
         || (request->fields.keys != NULL
             && g_strv_contains ((const char *const *) request->fields.keys,
                                 "usable"));
}

/* Shows the selected bitmaps of IMAGE, in DIRECTORY unless that is NULL, where
 * there may be none. */
static gboolean
show_bitmaps (Tool *tool, Qcow2Image *image, Request *request,
              Qcow2CheckedDirectory *directory, GError **error)
{
  SelectionVisit visit = get_visit (request);

  visit.directory = directory;
  visit.may_be_none = directory != NULL;
  visit.with_verdict
      = tool_get_emitter (tool)->machine_readable || asks_for_usable (request);
  request->n_checked = 0;
  if (!selection_visit (&request->selection, &visit, tool, image, error))
    return FALSE;
  if (request->is == NULL || request->n_checked > 0)
    return TRUE;

  /* Without any bitmap, it would be true of every state that all bitmaps are
   * in it. */
  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
               "there are no bitmaps");
  return FALSE;
}

/* A layer that is shown. */
typedef struct
{
  Request *request;
  Qcow2BitmapChain *bitmaps;
  const Qcow2Layer *layer;
} ShownLayer;

/* With --list, prints a row that says why LAYER has no rows, or not all. */
static void
print_error_row (Tool *tool, const Qcow2Layer *layer, const char *message,
                 Request *request)
{
  if (request->list)
    bitmap_list_print_error (request->rows, tool_get_text (tool),
                             layer->filename, message);
}

/* Shows the selected bitmaps of IMAGE, the layer that DATA names.  There may
 * be none. */
static gboolean
show_layer (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  const ShownLayer *shown = data;
  GError *local_error = NULL;
  Qcow2CheckedDirectory *checked = qcow2_bitmap_chain_open_directory (
      shown->bitmaps, shown->layer->depth, &local_error);

  if (checked == NULL
      || !show_bitmaps (tool, image, shown->request, checked, &local_error))
    {
      print_error_row (tool, shown->layer, local_error->message,
                       shown->request);
      g_propagate_error (error, local_error);
      return FALSE;
    }

  if (qcow2_directory_is_unknown (qcow2_checked_directory_get (checked),
                                  tool_get_findings (tool)))
    print_error_row (tool, shown->layer,
                     "its bitmaps cannot be known: see qcow2tool check",
                     shown->request);
  return TRUE;
}

/* Shows the layers of CHAIN, whose bitmaps are BITMAPS, those with an error
 * included. */
static gboolean
show_layers (Tool *tool, const Qcow2Chain *chain, Qcow2BitmapChain *bitmaps,
             Request *request, GError **error)
{
  Emitter *emitter = tool_get_emitter (tool);
  const guint n = qcow2_chain_get_n (chain);

  if (emitter->machine_readable)
    emitter_begin (emitter, EMITTER_LIST, "layers", NULL);
  for (guint i = 0; i < n; i++)
    {
      const Qcow2Layer *layer = qcow2_chain_get (chain, i);
      ShownLayer shown
          = { .request = request, .bitmaps = bitmaps, .layer = layer };

      if (request->list)
        bitmap_list_begin_layer (request->rows, i);
      if (!tool_show_layer (tool, layer, show_layer, &shown, error))
        return FALSE;
      if (layer->image == NULL)
        print_error_row (tool, layer, layer->error->message, request);
    }
  if (emitter->machine_readable)
    emitter_end (emitter);
  return TRUE;
}

static gboolean
show (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  Request *request = data;
  const char *name = request->selection.name;

  if (request->list)
    bitmap_list_begin_image (request->rows, tool_get_row_image (tool));
  if (!request->layers.wanted)
    return show_bitmaps (tool, image, request, NULL, error);

  g_autoptr (Qcow2Chain) chain = layers_open (&request->layers, tool, image);
  g_autoptr (Qcow2BitmapChain) bitmaps = qcow2_bitmap_chain_new (chain);
  if (request->is != NULL)
    return bitmap_chains_answer (tool, chain, bitmaps, name, error);

  if (!show_layers (tool, chain, bitmaps, request, error))
    return FALSE;

  /* A table has no place for chains, but a name must be found somewhere. */
  if (request->list)
    return name == NULL || bitmap_chains_have_name (bitmaps, name, error);

  return bitmap_chains_show (tool, chain, bitmaps, &request->selection, error);
}

/* Fails with a usage error if --backing-chain does not go with the other
 * options. */
static gboolean
check_layers (const Request *request, GError **error)
{
  const gboolean is_valid = g_strcmp0 (request->is, "valid") == 0;
  const char *other = request->names                     ? "--names"
                      : request->fields.keys != NULL     ? "--field"
                      : request->tables                  ? "--tables"
                      : request->selection.index.given   ? "--index"
                      : request->is != NULL && !is_valid ? "a state of --is"
                                                         : NULL;

  if (is_valid && !(request->layers.wanted && request->selection.name != NULL))
    {
      usage_error (error, "--is valid needs --backing-chain and --name");
      return FALSE;
    }
  if (!request->layers.wanted || other == NULL)
    return TRUE;

  usage_error (error, "%s does not go with --backing-chain", other);
  return FALSE;
}

static gboolean
check_combinations (const Request *request, GError **error)
{
  const gboolean fields = request->fields.keys != NULL;
  const char *const given[]
      = { request->names ? "--names" : "",   fields ? "--field" : "",
          request->tables ? "--tables" : "", request->list ? "--list" : "",
          request->is != NULL ? "--is" : "", NULL };

  if (!usage_check_exclusive (given, error))
    return FALSE;

  if (request->fields.nul && !request->names && !fields)
    {
      usage_error (error, "-0 goes with --names or --field");
      return FALSE;
    }
  if (request->stats && (request->names || request->is != NULL))
    {
      usage_error (error, "--stats does not go with %s",
                   request->names ? "--names" : "--is");
      return FALSE;
    }
  if (request->all_columns && !request->list)
    {
      usage_error (error, "--long goes with --list");
      return FALSE;
    }
  if (fields && !selection_is_given (&request->selection))
    {
      usage_error (error, "--field needs --name or --index");
      return FALSE;
    }

  return TRUE;
}

static gboolean
check (Request *request, GError **error)
{
  static const char *const states[]
      = { "usable", "enabled", "disabled", "in-use",
          "stale",  "damaged", "valid",    NULL };
  const FieldSource sources[] = { { .fields = qcow2_bitmap_record.fields },
                                  { .fields = qcow2_bitmap_size_fields },
                                  { .fields = NULL } };

  return selection_check (&request->selection, error)
         && usage_check_choice ("--is", request->is, states, error)
         && check_combinations (request, error)
         && check_layers (request, error)
         && fields_check (&request->fields, sources, error);
}

/* Prepares the table of --list.  Fails with a usage error if the output is not
 * text. */
static gboolean
prepare_list (Request *request, Tool *tool, GError **error)
{
  if (!tool_want_text (tool, "--list", error))
    return FALSE;

  request->rows = bitmap_list_new (request->all_columns);
  tool_want_one_table (tool);
  for (char **path = tool_get_operands (tool); path != NULL && *path != NULL;
       path++)
    bitmap_list_make_room (request->rows, *path);
  return TRUE;
}

static gboolean
run (Tool *tool, char **argv, GError **error)
{
  g_auto (Request) request = { 0 };
  /* clang-format off */
  const GOptionEntry entries[] = {
    SELECTION_OPTIONS (&request.selection),
    LAYER_OPTIONS (&request.layers),
    { "tables", 0, 0, G_OPTION_ARG_NONE, &request.tables,
      "Print each bitmap's table under it", NULL },
    { "list", 0, 0, G_OPTION_ARG_NONE, &request.list,
      "Print a row per bitmap, for people; reads the contents, too", NULL },
    { "long", 0, 0, G_OPTION_ARG_NONE, &request.all_columns,
      "With --list: print how many table entries there are of each type",
      NULL },
    { "stats", 0, 0, G_OPTION_ARG_NONE, &request.stats,
      "Read the contents, too, and print how many bytes are dirty", NULL },
    { "names", 0, 0, G_OPTION_ARG_NONE, &request.names,
      "Print only the names, one per line", NULL },
    { "is", 0, 0, G_OPTION_ARG_FILENAME, &request.is,
      "Print nothing, but exit with 0 if every bitmap, or the selected one, "
      "is in STATE, and with 2 if not: usable, enabled, disabled, in-use, "
      "stale or damaged; for an incremental backup, use enabled: usable "
      "includes disabled; with --backing-chain: valid, if the layers' bitmaps "
      "of that name form a chain", "STATE" },
    FIELD_OPTIONS (&request.fields),
    { NULL }
  };
  /* clang-format on */

  if (!tool_parse (tool, &cmd_bitmaps, entries, argv, error))
    return FALSE;
  if (!check (&request, error)
      || !layers_prepare (&request.layers, tool, error))
    return FALSE;
  const char *const only = request.names                 ? "--names"
                           : request.fields.keys != NULL ? "--field"
                           : request.is != NULL          ? "--is"
                                                         : NULL;
  if (request.list && !prepare_list (&request, tool, error))
    return FALSE;
  if (only != NULL && !tool_want_text (tool, only, error))
    return FALSE;
  if (request.is != NULL)
    tool_set_purpose (tool, TOOL_DECIDES);
  else if (only != NULL)
    tool_want_one_image (tool, only);

  return tool_for_each_image (tool, show, &request, error);
}

const Command cmd_bitmaps = {
  .name = "bitmaps",
  .operands = "IMAGE...",
  .group = COMMAND_SHOWS,
  .summary = "List the dirty bitmaps and whether they can be used",
  .statuses = "0 no damage, 1 cannot read, 2 damage, 3 not in the image; "
              "with --is, 0 is yes and 2 is no",
  .example = "--list disk.qcow2",
  .page = "qcow2tool-bitmaps",
  .keys = { "bitmaps", "qemu", "qemu_rule" },
  .run = run,
};
