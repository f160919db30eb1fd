/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/fields.h"

#include "cli/usage.h"
#include "qcow2/error.h"
#include "render/format.h"

static const Qcow2Field *
find (const FieldSource *sources, const char *key, const FieldSource **source)
{
  for (; sources->fields != NULL; sources++)
    {
      const Qcow2Field *field = qcow2_record_find (sources->fields, key);

      *source = sources;
      if (field != NULL && qcow2_field_is_shown (field))
        return field;
    }

  return NULL;
}

/* Sets ERROR to a usage error that lists the keys of SOURCES, since KEY is not
 * one of them. */
static void
unknown_key (const FieldSource *sources, const char *key, GError **error)
{
  g_autoptr (GPtrArray) keys = g_ptr_array_new ();

  for (; sources->fields != NULL; sources++)
    {
      for (const Qcow2Field *it = sources->fields; it->name != NULL; it++)
        {
          if (qcow2_field_is_shown (it))
            g_ptr_array_add (keys, (gpointer) it->name);
        }
    }
  g_ptr_array_add (keys, NULL);

  g_autofree char *escaped = usage_escape (key);
  g_autofree char *list = g_strjoinv (", ", (char **) keys->pdata);
  g_autofree char *hint
      = usage_suggest (key, (const char *const *) keys->pdata);
  usage_error (error, "--field: unknown key '%s', not one of: %s%s", escaped,
               list, hint);
}

/* Fails with a usage error if a key in OPTIONS is in none of SOURCES, or if
 * there is a default without a key.  The records of SOURCES are not used. */
gboolean
fields_check (const FieldOptions *options, const FieldSource *sources,
              GError **error)
{
  const FieldSource *source;

  if (options->default_text != NULL && options->keys == NULL)
    {
      usage_error (error, "--default goes with --field");
      return FALSE;
    }

  for (char **key = options->keys; key != NULL && *key != NULL; key++)
    {
      if (find (sources, *key, &source) != NULL)
        continue;

      unknown_key (sources, *key, error);
      return FALSE;
    }

  return TRUE;
}

/* Returns whether SOURCE has a value for FIELD, one of its fields. */
static gboolean
has_value (const FieldSource *source, const Qcow2Field *field)
{
  guint n_before = 0;

  if (source->record == NULL)
    return FALSE;

  for (const Qcow2Field *it = source->fields; it != field; it++)
    n_before += it->stored ? 1 : 0;

  if (field->stored && n_before >= source->n_stored)
    return FALSE;

  return qcow2_field_has_value (field, source->record);
}

/* Appends to OUT the values of the keys in OPTIONS, which fields_check () has
 * accepted.  The default replaces a missing value only if SOURCES are INTACT,
 * since damage may be the reason why the value is missing.  Otherwise appends
 * nothing and fails with QCOW2_ERROR_NOT_FOUND. */
gboolean
fields_print (const FieldOptions *options, const FieldSource *sources,
              gboolean intact, GString *out, GError **error)
{
  const FormatEnding ending = options->nul ? FORMAT_NUL : FORMAT_LINES;
  const gsize before = out->len;

  for (char **key = options->keys; *key != NULL; key++)
    {
      const FieldSource *source = NULL;
      const Qcow2Field *field = find (sources, *key, &source);

      g_assert (field != NULL && source != NULL);
      const gboolean present = has_value (source, field);
      if (!present && intact && options->default_text != NULL)
        {
          g_string_append (out, options->default_text);
          g_string_append_c (out, options->nul ? '\0' : '\n');
          continue;
        }
      if (!present)
        {
          g_string_truncate (out, before);
          g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
                       "there is no value for '%s'", field->name);
          return FALSE;
        }

      format_bare (out, field, source->record, ending);
    }

  return TRUE;
}

void
fields_clear (FieldOptions *options)
{
  g_clear_pointer (&options->keys, g_strfreev);
  g_clear_pointer (&options->default_text, g_free);
}
