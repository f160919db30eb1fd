/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/usage.h"
#include "render/describe.h"

static gboolean
show (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  const FieldOptions *fields = data;
  const FieldSource sources[]
      = { { qcow2_header_fields, &image->header, G_MAXUINT },
          { .fields = NULL } };
  const gboolean wanted = fields->keys != NULL;
  gboolean found = TRUE;

  if (wanted)
    found = fields_print (fields, sources, tool_get_text (tool), error);
  else
    describe_header (tool_get_emitter (tool), NULL, &image->header);

  tool_report (tool, REPORT_SCOPE (QCOW2_PART_HEADER));
  return found;
}

static gboolean
run (Tool *tool, char **argv, GError **error)
{
  g_auto (FieldOptions) fields = { 0 };
  const GOptionEntry entries[] = { FIELD_OPTIONS (&fields), { NULL } };
  const FieldSource sources[]
      = { { .fields = qcow2_header_fields }, { .fields = NULL } };

  if (!tool_parse (tool, &cmd_header, entries, argv, error))
    return FALSE;
  if (!fields_check (&fields, sources, error))
    return FALSE;
  if (fields.nul && fields.keys == NULL)
    {
      usage_error (error, "-0 goes with --field");
      return FALSE;
    }
  if (fields.keys != NULL)
    tool_want_one_image (tool, "--field");
  if (fields.keys != NULL && !tool_want_text (tool, "--field", error))
    return FALSE;

  return tool_for_each_image (tool, show, &fields, error);
}

const Command cmd_header = {
  .name = "header",
  .operands = "IMAGE...",
  .summary = "Print the fields of the image header",
  .keys = { "header" },
  .run = run,
};
