/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2tool dump: prints the header, the header extensions, and the bitmaps
 * with their tables, for people who want to see all metadata. */

#include "config.h"

#include "cli/commands.h"
#include "cli/print-bitmap.h"
#include "cli/print-extensions.h"
#include "render/describe.h"

static gboolean
any_extension (const Qcow2Extension *extension G_GNUC_UNUSED,
               gconstpointer data G_GNUC_UNUSED)
{
  return TRUE;
}

static gboolean
show_extension (Tool *tool, const Qcow2Extension *extension,
                gpointer data G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
  describe_extension (tool_get_emitter (tool), extension);
  return TRUE;
}

static gboolean
show (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  const Selection all = { .name = NULL };
  const SelectionVisit visit
      = { .key = "bitmaps",
          .show = bitmap_block_show_with_table,
          .with_verdict = tool_get_emitter (tool)->machine_readable };

  describe_header (tool_get_emitter (tool), "Header:", &image->header);
  tool_report (tool, REPORT_SCOPE (QCOW2_PART_HEADER));

  if (!each_extension (tool, image, any_extension, show_extension, data,
                       error))
    return FALSE;
  tool_report (tool, each_extension_get_scope (image, QCOW2_PART_EXTENSIONS));

  return selection_visit (&all, &visit, tool, image, error);
}

static gboolean
run (Tool *tool, char **argv, GError **error)
{
  const GOptionEntry entries[] = { { NULL } };

  return tool_parse (tool, &cmd_dump, entries, argv, error)
         && tool_for_each_image (tool, show, NULL, error);
}

const Command cmd_dump = {
  .name = "dump",
  .operands = "IMAGE...",
  .group = COMMAND_SHOWS,
  .summary = "Print header, extensions and bitmaps with their tables",
  .example = "--output=json disk.qcow2",
  .keys = { "header", "extensions", "bitmaps", "qemu", "qemu_rule" },
  .run = run,
};
