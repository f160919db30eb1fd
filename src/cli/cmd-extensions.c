/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2tool extensions: prints the header extensions, decoded. */

#include "config.h"

#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/number.h"
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

#define N_PAYLOADS 4

/* Fills in SOURCES, in which keys are looked up, and returns them.  EXTENSION
 * is NULL when only the keys matter. */
static const FieldSource *
get_sources (FieldSource *sources, const Qcow2Extension *extension)
{
  const Qcow2Field *const payloads[N_PAYLOADS]
      = { qcow2_data_extension_fields, qcow2_crypto_extension_record.fields,
          qcow2_bitmaps_extension_record.fields, NULL };
  gconstpointer record = NULL;
  const Qcow2Field *fields
      = extension != NULL
            ? qcow2_extension_get_payload_fields (extension, &record)
            : NULL;

  sources[0]
      = (FieldSource){ qcow2_extension_record.fields, extension, G_MAXUINT };
  for (guint i = 0; i < N_PAYLOADS; i++)
    {
      FieldSource *source = &sources[i + 1];

      source->fields = payloads[i];
      source->record = payloads[i] == fields ? record : NULL;
      source->n_stored = extension != NULL ? extension->n_decoded : 0;
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
    return qcow2_label_find (qcow2_extension_names, extension->magic) == NULL;

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
  FieldSource sources[N_PAYLOADS + 1];

  request->n_shown++;
  if (request->fields.keys == NULL)
    {
      describe_extension (tool_get_emitter (tool), extension);
      return TRUE;
    }
  if (request->n_shown == 1)
    return fields_print (&request->fields, get_sources (sources, extension),
                         is_intact (tool_get_findings (tool), extension),
                         request->answer, error);

  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_AMBIGUOUS,
               "several extensions have this magic: use --index");
  return FALSE;
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
    {
      g_string_append (list, ", '");
      g_string_append (list, it->name);
      g_string_append_c (list, '\'');
    }
  usage_error (error,
               "--magic: '%s' is neither a number below 2^32 nor one of%s, "
               "'<unknown>'",
               escaped, list->str + 1);
  return FALSE;
}

static gboolean
check (Request *request, GError **error)
{
  FieldSource sources[N_PAYLOADS + 1];
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
  if (request.fields.keys != NULL && !tool_want_text (tool, "--field", error))
    return FALSE;

  return tool_for_each_image (tool, show, &request, error);
}

const Command cmd_extensions = {
  .name = "extensions",
  .operands = "IMAGE...",
  .summary = "Print the header extensions, decoded",
  .keys = { "extensions" },
  .run = run,
};
