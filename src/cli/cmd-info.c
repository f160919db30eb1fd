/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2tool info: prints what qemu-img info prints, for programs that read its
 * output and for people. */

#include "config.h"

#include "check/directory-rules.h"
#include "cli/commands.h"
#include "cli/layers.h"
#include "cli/print-info.h"
#include "render/info.h"

typedef struct
{
  LayerOptions layers;
  gboolean children;
  QemuTreeForm form;
  gboolean begun; /* an image was printed */
  QemuTree *tree; /* the current one */
} Request;

static void
request_clear (Request *request)
{
  layers_clear (&request->layers);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Request, request_clear)

/* Begins an image or a layer: in text, a blank line separates them. */
static void
begin (Request *request, Tool *tool)
{
  if (request->begun && request->form == QEMU_TREE_TEXT)
    g_string_append_c (tool_get_text (tool), '\n');
  request->begun = TRUE;
}

/* Opens the bitmap directory of IMAGE, and reads what else is needed to print
 * anything.  Fails with QCOW2_ERROR_READ. */
static Qcow2Directory *
open_directory (Tool *tool, Qcow2Image *image, GError **error)
{
  if (!qcow2_image_read_name_in_header (image, error))
    return NULL;

  return qcow2_directory_open_checked (image, tool_get_findings (tool), error);
}

/* Shows IMAGE, whose bitmap directory is DIRECTORY. */
static gboolean
show_opened (Tool *tool, const Qcow2Image *image, Qcow2Directory *directory,
             Request *request, GError **error)
{
  const InfoJob job = { .filename = report_get_path (tool_get_report (tool)),
                        .image = image,
                        .findings = tool_get_findings (tool),
                        .directory = directory,
                        .with_children = request->children };

  begin (request, tool);
  return print_info (tool, &job, request->tree, error);
}

static gboolean
show_image (Tool *tool, Qcow2Image *image, Request *request, GError **error)
{
  g_autoptr (Qcow2Directory) directory = open_directory (tool, image, error);

  return directory != NULL
         && show_opened (tool, image, directory, request, error);
}

/* Shows LAYER, about which nothing else is known because of ERROR. */
static void
show_unshown (Tool *tool, const Qcow2Layer *layer, const GError *error,
              Request *request)
{
  const ByteSource *source = layer->source;
  const InfoUnshown unshown
      = { .filename = layer->filename,
          .format = layer->format,
          .is_raw = layer->is_raw,
          .file_size = source != NULL ? byte_source_get_qemu_size (source) : 0,
          .disk_size
          = source != NULL ? byte_source_get_disk_size (source) : QCOW2_ABSENT,
          .error = error->message };

  begin (request, tool);
  info_print_unshown (&unshown, request->tree, tool_get_text (tool));
}

/* A layer that is shown. */
typedef struct
{
  Request *request;
  const Qcow2Layer *layer;
} ShownLayer;

/* Shows IMAGE, the layer that DATA names.  After a failed read, it is still in
 * the list. */
static gboolean
show_layer (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  const ShownLayer *shown = data;
  GError *local_error = NULL;
  g_autoptr (Qcow2Directory) directory
      = open_directory (tool, image, &local_error);

  if (directory != NULL)
    return show_opened (tool, image, directory, shown->request, error);

  show_unshown (tool, shown->layer, local_error, shown->request);
  g_propagate_error (error, local_error);
  return FALSE;
}

/* Shows IMAGE and the layers below it, in a list. */
static gboolean
show_layers (Tool *tool, Qcow2Image *image, Request *request, GError **error)
{
  g_autoptr (Qcow2Chain) chain = layers_open (&request->layers, tool, image);
  const gboolean is_text = request->form == QEMU_TREE_TEXT;

  if (!is_text)
    qemu_tree_begin_list (request->tree, NULL);
  for (guint i = 0; i < qcow2_chain_get_n (chain); i++)
    {
      const Qcow2Layer *layer = qcow2_chain_get (chain, i);
      ShownLayer shown = { .request = request, .layer = layer };

      if (!tool_show_layer (tool, layer, show_layer, &shown, error))
        return FALSE;
      if (layer->image == NULL)
        show_unshown (tool, layer, layer->error, request);
    }
  if (!is_text)
    qemu_tree_end (request->tree);
  return TRUE;
}

static gboolean
show (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  Request *request = data;
  g_autoptr (QemuTree) tree
      = qemu_tree_new (tool_get_text (tool), request->form);

  request->tree = tree;
  return request->layers.wanted ? show_layers (tool, image, request, error)
                                : show_image (tool, image, request, error);
}

static QemuTreeForm
get_form (OptionsOutput output)
{
  switch (output)
    {
    case OPTIONS_OUTPUT_TEXT:
    case OPTIONS_OUTPUT_MORE:
      return QEMU_TREE_TEXT;
    case OPTIONS_OUTPUT_JSON:
      return QEMU_TREE_JSON;
    case OPTIONS_OUTPUT_JSONL:
      return QEMU_TREE_JSONL;
    }

  g_assert_not_reached ();
}

static gboolean
run (Tool *tool, char **argv, GError **error)
{
  g_auto (Request) request = { .form = QEMU_TREE_TEXT };
  /* clang-format off */
  const GOptionEntry entries[] = {
    LAYER_OPTIONS (&request.layers),
    { "children", 0, 0, G_OPTION_ARG_NONE, &request.children,
      "Add the child nodes, as QEMU 8.0 and later do", NULL },
    { NULL }
  };
  /* clang-format on */

  if (!tool_parse (tool, &cmd_info, entries, argv, error)
      || !layers_prepare (&request.layers, tool, error))
    return FALSE;

  request.form = get_form (tool_get_output (tool));
  tool_want_one_table (tool);
  return tool_for_each_image (tool, show, &request, error);
}

const Command cmd_info = {
  .name = "info",
  .operands = "IMAGE...",
  .group = COMMAND_SHOWS,
  .summary = "Print what qemu-img info prints, without a lock",
  .statuses = "0 done, 1 cannot read, 2 damaged, or QEMU refuses the image",
  .example = "--output=json disk.qcow2",
  .page = "qcow2tool-info",
  .own_output = TRUE,
  .own_object = TRUE,
  .run = run,
};
