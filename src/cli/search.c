/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/search.h"

#include <string.h>

#include "cli/usage.h"
#include "qcow2/error.h"
#include "qcow2/record.h"
#include "render/format.h"

/* Returns whether STRING, which is NULL if it cannot be read, has the bytes of
 * WANTED. */
gboolean
search_is_equal (const char *wanted, GBytes *string)
{
  gsize len;

  if (string == NULL)
    return FALSE;

  const char *bytes = g_bytes_get_data (string, &len);
  return len == strlen (wanted)
         && (len == 0 || memcmp (bytes, wanted, len) == 0);
}

/* Returns whether STRING, which is NULL if it cannot be read, is WANTED when
 * it is escaped. */
gboolean
search_looks_like (const char *wanted, GBytes *string)
{
  g_autoptr (GString) shown = g_string_new (NULL);

  if (string == NULL)
    return FALSE;

  format_escaped_bytes (shown, string);
  return g_str_equal (shown->str, wanted);
}

/* Returns whether any other string can be WANTED when it is escaped.  That
 * takes an escape in WANTED. */
gboolean
search_may_look_like (const char *wanted)
{
  return strchr (wanted, '\\') != NULL;
}

/* Fails with QCOW2_ERROR_NOT_FOUND because SEARCH found nothing.  HINT, which
 * may be empty, says where else the item may be. */
gboolean
search_fail_not_found (const Search *search, const char *hint, GError **error)
{
  if (search->wanted == NULL)
    {
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
                   "no %s has the index " QCOW2_U64_FORMAT, search->noun,
                   search->wanted_index);
      return FALSE;
    }

  /* If there is a lookalike, the wanted string is in escaped form already. */
  if (search->lookalike != QCOW2_NO_INDEX)
    {
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
                   "no %s has the %s '%s', but %s " QCOW2_U64_FORMAT
                   " is shown that way: use --index " QCOW2_U64_FORMAT,
                   search->noun, search->key, search->wanted, search->noun,
                   search->lookalike, search->lookalike);
      return FALSE;
    }

  g_autofree char *escaped = usage_escape (search->wanted);
  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
               "no %s has the %s '%s'%s", search->noun, search->key, escaped,
               hint);
  return FALSE;
}

/* Fails with QCOW2_ERROR_AMBIGUOUS because SEARCH, which was for a string,
 * found several items where one was wanted. */
gboolean
search_fail_ambiguous (const Search *search, GError **error)
{
  g_autofree char *escaped = usage_escape (search->wanted);

  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_AMBIGUOUS,
               QCOW2_U64_FORMAT " %ss have the %s '%s': use --index",
               search->n_matches, search->noun, search->key, escaped);
  return FALSE;
}
