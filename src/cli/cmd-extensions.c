/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/number.h"
#include "cli/usage.h"
#include "qcow2/error.h"
#include "render/describe.h"

typedef struct
{
  FieldOptions fields;
  char *magic_text; /* --magic as it was typed, or NULL */
  char *index_text; /* --index, likewise */
  gboolean unknown; /* --magic '<unknown>' */
  guint64 magic;
  guint64 index;
} Request;

static void
request_clear (Request *request)
{
  fields_clear (&request->fields);
  g_free (request->magic_text);
  g_free (request->index_text);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Request, request_clear)

static const FieldSource *
get_sources (FieldSource *sources, const Qcow2Extension *extension)
{
  gconstpointer record = NULL;
  const Qcow2Field *fields
      = extension != NULL
            ? qcow2_extension_get_payload_fields (extension, &record)
            : NULL;
  const guint n = extension != NULL ? extension->n_decoded : 0;

  sources[0] = (FieldSource){ qcow2_extension_fields, extension, G_MAXUINT };
  sources[1] = (FieldSource){ qcow2_crypto_extension_fields, NULL, n };
  sources[2] = (FieldSource){ qcow2_bitmaps_extension_fields, NULL, n };
  sources[3] = (FieldSource){ NULL, NULL, 0 };
  for (guint i = 1; i < 3; i++)
    {
      if (sources[i].fields == fields)
        sources[i].record = record;
    }

  return sources;
}

static gboolean
is_selected (const Request *request, const Qcow2Extension *extension)
{
  if (request->index_text != NULL)
    return extension->index == request->index;
  if (request->unknown)
    return qcow2_label_find (qcow2_extension_names, extension->magic) == NULL;

  return request->magic_text == NULL || extension->magic == request->magic;
}

static gboolean
has_selection (const Request *request)
{
  return request->index_text != NULL || request->magic_text != NULL;
}

static gboolean
print_fields (Tool *tool, const Request *request,
              const Qcow2Extension *extension, guint64 n_before,
              GError **error)
{
  FieldSource sources[4];

  if (n_before > 0)
    {
      g_string_truncate (tool_get_text (tool), 0);
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_AMBIGUOUS,
                   "several extensions have this magic: use --index");
      return FALSE;
    }

  return fields_print (&request->fields, get_sources (sources, extension),
                       tool_get_text (tool), error);
}

/* Walks the extensions and prints those that are selected; N_SHOWN gets their
 * number. */
static gboolean
show_selected (Tool *tool, Qcow2Image *image, const Request *request,
               guint64 *n_shown, GError **error)
{
  g_autoptr (Qcow2ExtensionWalk) walk
      = qcow2_extension_walk_new (image->source, &image->header);
  const guint64 file_size = byte_source_get_size (image->source);
  g_autoptr (GError) local_error = NULL;
  Qcow2ExtensionHistory history = { .n = 0 };
  ReportScope scope = REPORT_SCOPE (QCOW2_PART_EXTENSIONS);

  while (local_error == NULL)
    {
      g_auto (Qcow2Extension) extension = { 0 };

      if (!qcow2_extension_walk_next (walk, &extension, &local_error))
        break;
      if (!is_selected (request, &extension))
        continue;

      qcow2_extension_judge (&extension, &image->header, file_size, &history,
                             QCOW2_PART_EXTENSIONS, image->problems);
      if (request->fields.keys != NULL)
        print_fields (tool, request, &extension, *n_shown, &local_error);
      else
        describe_extension (tool_get_emitter (tool), &extension);
      (*n_shown)++;

      scope.max_extension = extension.index;
      tool_report (tool, scope);
      if (local_error == NULL)
        tool_flush (tool, &local_error);
    }

  if (local_error == NULL)
    return TRUE;

  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* What bears on the whole list, or on the one magic that was asked for. */
static ReportScope
get_scope (const Request *request)
{
  const gboolean with_bitmaps
      = !has_selection (request)
        || (request->magic_text != NULL && !request->unknown
            && request->magic == QCOW2_EXTENSION_BITMAPS);

  return REPORT_SCOPE (QCOW2_PART_EXTENSIONS
                       | (with_bitmaps ? QCOW2_PART_BITMAPS_EXTENSION : 0));
}

static gboolean
show (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  const Request *request = data;
  guint64 n_shown = 0;

  if (image->has_extensions
      && !show_selected (tool, image, request, &n_shown, error))
    return FALSE;

  /* With --index, what lies behind that extension was not asked for. */
  if (request->index_text == NULL || n_shown == 0)
    tool_report (tool, get_scope (request));
  if (n_shown > 0 || !has_selection (request))
    return TRUE;

  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
               "there is no such header extension");
  return FALSE;
}

static gboolean
parse_magic (Request *request, GError **error)
{
  const char *text = request->magic_text;

  for (const Qcow2Label *it = qcow2_extension_names; it->name != NULL; it++)
    {
      if (g_ascii_strcasecmp (it->name, text) == 0)
        {
          request->magic = it->value;
          return TRUE;
        }
    }

  request->unknown = g_ascii_strcasecmp (text, "<unknown>") == 0;
  if (request->unknown)
    return TRUE;
  if (number_parse (text, &request->magic) && request->magic <= G_MAXUINT32)
    return TRUE;

  g_autofree char *escaped = usage_escape (text);
  g_autoptr (GString) list = g_string_new (NULL);
  for (const Qcow2Label *it = qcow2_extension_names; it->name != NULL; it++)
    g_string_append_printf (list, ", '%s'", it->name);
  usage_error (error,
               "--magic: '%s' is neither a number below 2^32 nor one of%s, "
               "'<unknown>'",
               escaped, list->str + 1);
  return FALSE;
}

static gboolean
check (Request *request, GError **error)
{
  FieldSource sources[4];
  const char *const given[]
      = { request->magic_text != NULL ? "--magic" : "",
          request->index_text != NULL ? "--index" : "", NULL };

  if (!usage_check_exclusive (given, error))
    return FALSE;
  if (request->magic_text != NULL && !parse_magic (request, error))
    return FALSE;
  if (request->index_text != NULL
      && !usage_parse_number ("--index", request->index_text, &request->index,
                              error))
    return FALSE;
  if (request->fields.nul && request->fields.keys == NULL)
    {
      usage_error (error, "-0 goes with --field");
      return FALSE;
    }
  if (request->fields.keys != NULL && !has_selection (request))
    {
      usage_error (error, "--field needs --magic or --index");
      return FALSE;
    }

  return fields_check (&request->fields, get_sources (sources, NULL), error);
}

static gboolean
run (Tool *tool, char **argv, GError **error)
{
  g_auto (Request) request = { 0 };
  /* clang-format off */
  const GOptionEntry entries[] = {
    { "magic", 0, 0, G_OPTION_ARG_FILENAME, &request.magic_text,
      "Select extensions by magic: a number, or the name that is printed",
      "MAGIC" },
    { "index", 0, 0, G_OPTION_ARG_FILENAME, &request.index_text,
      "Select extension N, from 0", "N" },
    FIELD_OPTIONS (&request.fields),
    { NULL }
  };
  /* clang-format on */

  if (!tool_parse (tool, &cmd_extensions, entries, argv, error))
    return FALSE;
  if (!check (&request, error))
    return FALSE;
  if (request.fields.keys != NULL)
    tool_want_one_image (tool, "--field");

  return tool_for_each_image (tool, show, &request, error);
}

const Command cmd_extensions = {
  .name = "extensions",
  .operands = "IMAGE...",
  .summary = "Print the header extensions, decoded",
  .run = run,
};
