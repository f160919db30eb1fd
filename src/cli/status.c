/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/status.h"

#include "edit/error.h"
#include "qcow2/error.h"

/* Returns the rank of STATUS: 1 is worse than 2, 2 than 3, and 3 than 0.  For
 * a predicate, 3 is worse than 2, because 2 is an answer and 3 is not. */
static guint
get_rank (ToolPurpose purpose, ToolStatus status)
{
  switch (status)
    {
    case TOOL_OK:
      return 0;
    case TOOL_NOT_FOUND:
      return purpose == TOOL_DECIDES ? 2 : 1;
    case TOOL_DAMAGED:
      return purpose == TOOL_DECIDES ? 1 : 2;
    case TOOL_FAILED:
      return 3;
    }

  g_assert_not_reached ();
}

/* Returns the worse one of A and B for a command with PURPOSE. */
ToolStatus
status_get_worse (ToolPurpose purpose, ToolStatus a, ToolStatus b)
{
  return get_rank (purpose, b) > get_rank (purpose, a) ? b : a;
}

/* Returns the exit status of a command with PURPOSE for ERROR.  TOOL_DAMAGED
 * means "no" for a predicate, so an error of a predicate never leads to it. */
ToolStatus
status_of_error (ToolPurpose purpose, const GError *error)
{
  if (g_error_matches (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND))
    return TOOL_NOT_FOUND;
  if (g_error_matches (error, EDIT_ERROR, EDIT_ERROR_REFUSED))
    return TOOL_DAMAGED;
  if (purpose != TOOL_DECIDES
      && (g_error_matches (error, QCOW2_ERROR, QCOW2_ERROR_AMBIGUOUS)
          || g_error_matches (error, QCOW2_ERROR, QCOW2_ERROR_CORRUPT)))
    return TOOL_DAMAGED;

  return TOOL_FAILED;
}

/* Returns the word for ERROR, which is in QCOW2_ERROR, in JSON.  A limit
 * counts as a failed read there. */
const char *
status_get_error_word (const GError *error)
{
  switch ((Qcow2Error) error->code)
    {
    case QCOW2_ERROR_OPEN:
      return "open";
    case QCOW2_ERROR_REFUSED:
      return "refused";
    case QCOW2_ERROR_NOT_QCOW2:
      return "not-qcow2";
    case QCOW2_ERROR_UNSUPPORTED:
      return "unsupported";
    case QCOW2_ERROR_TRUNCATED:
      return "truncated";
    case QCOW2_ERROR_CORRUPT:
      return "corrupt";
    case QCOW2_ERROR_AMBIGUOUS:
      return "ambiguous";
    case QCOW2_ERROR_NOT_FOUND:
      return "not-found";
    case QCOW2_ERROR_READ:
    case QCOW2_ERROR_LIMIT:
      return "read";
    case QCOW2_ERROR_CHANGED:
      return "changed";
    }

  g_assert_not_reached ();
}
