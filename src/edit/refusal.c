/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/refusal.h"

#include "edit/error.h"

/* The number of reasons that are kept. */
#define MAX_REASONS 100

void
edit_refusals_init (EditRefusals *refusals)
{
  refusals->lifted = g_ptr_array_new_with_free_func (g_free);
  refusals->final = NULL;
}

void
edit_refusals_clear (EditRefusals *refusals)
{
  g_clear_pointer (&refusals->lifted, g_ptr_array_unref);
  g_clear_pointer (&refusals->final, g_free);
}

/* Adds a reason that --force lifts to REFUSALS. */
void
edit_refuse (EditRefusals *refusals, const char *format, ...)
{
  va_list args;

  if (refusals->lifted->len == MAX_REASONS)
    return;

  va_start (args, format);
  g_ptr_array_add (refusals->lifted, g_strdup_vprintf (format, args));
  va_end (args);
}

/* Adds a reason that nothing lifts to REFUSALS. */
void
edit_refuse_always (EditRefusals *refusals, const char *format, ...)
{
  va_list args;

  if (refusals->final != NULL)
    return;

  va_start (args, format);
  refusals->final = g_strdup_vprintf (format, args);
  va_end (args);
}

/* Fails with EDIT_ERROR_REFUSED if there is a reason in REFUSALS that FORCE
 * does not lift. */
gboolean
edit_refusals_check (const EditRefusals *refusals, gboolean force,
                     GError **error)
{
  if (refusals->final != NULL)
    {
      g_set_error (error, EDIT_ERROR, EDIT_ERROR_REFUSED, "refused: %s",
                   refusals->final);
      return FALSE;
    }
  if (force || refusals->lifted->len == 0)
    return TRUE;

  const guint n_more = refusals->lifted->len - 1;
  g_autofree char *more = n_more > 0
                              ? g_strdup_printf (" (and %u more)", n_more)
                              : g_strdup ("");
  g_set_error (error, EDIT_ERROR, EDIT_ERROR_REFUSED,
               "refused: %s%s; --force does it anyway",
               (const char *) g_ptr_array_index (refusals->lifted, 0), more);
  return FALSE;
}
