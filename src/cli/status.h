/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Exit statuses, and what errors about an image mean for them and in JSON. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Purpose of a command. */
typedef enum
{
  TOOL_SHOWS,   /* prints the metadata as it is, damage included */
  TOOL_ANSWERS, /* prints an answer that must be right */
  TOOL_DECIDES  /* a predicate: prints nothing, and status 2 means "no" */
} ToolPurpose;

/* Exit statuses; see EXIT STATUS in the man page. */
typedef enum
{
  TOOL_OK = 0,
  TOOL_FAILED = 1,
  TOOL_DAMAGED = 2, /* for a predicate: no */
  TOOL_NOT_FOUND = 3
} ToolStatus;

ToolStatus status_get_worse (ToolPurpose purpose, ToolStatus a, ToolStatus b);
ToolStatus status_of_error (ToolPurpose purpose, const GError *error);
const char *status_get_error_word (const GError *error);

G_END_DECLS
