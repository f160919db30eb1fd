/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2tool extensions: prints the header extensions, decoded. */

#include "config.h"

#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/magic.h"
#include "cli/print-extensions.h"
#include "cli/usage.h"
#include "qcow2/error.h"
#include "render/describe.h"

typedef struct
{
  FieldOptions fields;
  char *magic_text; /* --magic as it was typed, or NULL */
  char *index_text; /* --index as it was typed, or NULL */
  gboolean unknown; /* --magic '<unknown>' */
  guint64 magic;
  guint64 index;

  /* State of the current image. */
  guint64 n_shown;
  GString *answer; /* output of --field; printed if only one extension
                      matches */
} Request;

static void
request_clear (Request *request)
{
  fields_clear (&request->fields);
  g_free (request->magic_text);
  g_free (request->index_text);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Request, request_clear)

/* Appends to SOURCES the structure with FIELDS in the data of EXTENSION, which
 * is NULL when only the keys matter. */
static void
add_source (GArray *sources, const Qcow2Field *fields,
            const Qcow2Extension *extension)
{
  FieldSource source = { .fields = fields };
  gconstpointer structure = NULL;

  if (extension != NULL
      && qcow2_extension_get_data_fields (extension, &structure) == fields)
    {
      source.record = structure;
      source.n_stored = extension->n_decoded;
    }
  g_array_append_val (sources, source);
}

/* Returns an array of FieldSource in which keys are looked up.  EXTENSION is
 * NULL when only the keys matter. */
static GArray *
get_sources (const Qcow2Extension *extension)
{
  GArray *sources = g_array_new (TRUE, TRUE, sizeof (FieldSource));
  const FieldSource head
      = { qcow2_extension_record.fields, extension, G_MAXUINT };

  g_array_append_val (sources, head);
  add_source (sources, qcow2_data_extension_fields, extension);
  for (const Qcow2ExtensionType *it = qcow2_extension_types; it->name != NULL;
       it++)
    {
      if (it->record != NULL)
        add_source (sources, it->record->fields, extension);
    }

  return sources;
}

static gboolean
is_selected (const Qcow2Extension *extension, gconstpointer data)
{
  const Request *request = data;

  if (request->index_text != NULL)
    return extension->index == request->index;
  if (request->unknown)
    return qcow2_extension_find_type (extension->magic) == NULL;

  return request->magic_text == NULL || extension->magic == request->magic;
}

static gboolean
has_selection (const Request *request)
{
  return request->index_text != NULL || request->magic_text != NULL;
}

/* Returns whether FINDINGS has no error of EXTENSION. */
static gboolean
is_intact (const Qcow2Findings *findings, const Qcow2Extension *extension)
{
  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (findings, i);

      if (finding->severity == QCOW2_SEVERITY_ERROR
          && finding->subject.extension == extension->index)
        return FALSE;
    }

  return TRUE;
}

static gboolean
show_extension (Tool *tool, const Qcow2Extension *extension, gpointer data,
                GError **error)
{
  Request *request = data;

  request->n_shown++;
  if (request->fields.keys == NULL)
    {
      describe_extension (tool_get_emitter (tool), extension);
      return TRUE;
    }
  if (request->n_shown > 1)
    {
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_AMBIGUOUS,
                   "several extensions have this magic: use --index");
      return FALSE;
    }

  g_autoptr (GArray) sources = get_sources (extension);
  return fields_print (
      &request->fields, &g_array_index (sources, FieldSource, 0),
      is_intact (tool_get_findings (tool), extension), request->answer, error);
}

/* Returns the scope of the findings on the whole list, or on the magic that
 * was requested. */
static ReportScope
get_scope (const Request *request, const Qcow2Image *image)
{
  const gboolean with_bitmaps
      = !has_selection (request)
        || (request->magic_text != NULL && !request->unknown
            && request->magic == QCOW2_EXTENSION_BITMAPS);

  return each_extension_get_scope (
      image, QCOW2_PART_EXTENSIONS
                 | (with_bitmaps ? QCOW2_PART_BITMAPS_EXTENSION : 0));
}

static gboolean
show (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  Request *request = data;

  g_autoptr (GString) answer = g_string_new (NULL);

  request->n_shown = 0;
  request->answer = answer;
  if (!each_extension (tool, image, is_selected, show_extension, request,
                       error))
    return FALSE;

  /* With --index, extensions after the selected one were not requested. */
  const gboolean found = request->n_shown > 0;
  g_string_append_len (tool_get_text (tool), answer->str,
                       (gssize) answer->len);
  if (request->index_text == NULL || !found)
    tool_report (tool, get_scope (request, image));
  if (found || !has_selection (request))
    return TRUE;

  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
               "there is no such header extension");
  return FALSE;
}

static gboolean
check (Request *request, GError **error)
{
  const char *const given[]
      = { request->magic_text != NULL ? "--magic" : "",
          request->index_text != NULL ? "--index" : "", NULL };

  if (!usage_check_exclusive (given, error))
    return FALSE;
  if (request->magic_text != NULL
      && !magic_parse ("--magic", request->magic_text, &request->magic,
                       &request->unknown, error))
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

  g_autoptr (GArray) sources = get_sources (NULL);
  return fields_check (&request->fields,
                       &g_array_index (sources, FieldSource, 0), error);
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
  if (request.fields.keys != NULL && !tool_want_text (tool, "--field", error))
    return FALSE;

  return tool_for_each_image (tool, show, &request, error);
}

const Command cmd_extensions = {
  .name = "extensions",
  .operands = "IMAGE...",
  .group = COMMAND_SHOWS,
  .summary = "Print the header extensions, decoded",
  .example = "--magic='Feature table' disk.qcow2",
  .keys = { "extensions" },
  .run = run,
};
