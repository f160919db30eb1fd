/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2tool info: prints what qemu-img info prints, for programs that read its
 * output and for people. */

#include "config.h"

#include "cli/commands.h"
#include "cli/print-info.h"

typedef struct
{
  gboolean children;
  QemuTreeForm form;
  gboolean begun; /* an image was printed */
} Request;

static gboolean
show (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  Request *request = data;
  const InfoJob job = { .filename = report_get_path (tool_get_report (tool)),
                        .image = image,
                        .findings = tool_get_findings (tool),
                        .with_children = request->children };
  g_autoptr (QemuTree) tree
      = qemu_tree_new (tool_get_text (tool), request->form);

  if (request->begun && request->form == QEMU_TREE_TEXT)
    g_string_append_c (tool_get_text (tool), '\n');
  request->begun = TRUE;
  return print_info (tool, &job, tree, error);
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
  Request request = { .form = QEMU_TREE_TEXT };
  const GOptionEntry entries[]
      = { { "children", 0, 0, G_OPTION_ARG_NONE, &request.children,
            "Print the file itself, too, as QEMU 8.0 and later do", NULL },
          { NULL } };

  if (!tool_parse (tool, &cmd_info, entries, argv, error))
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
