/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The search of an image for a bitmap or a snapshot by a string or an index,
 * and the messages about it. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  const char *noun;   /* of the items, such as "bitmap" */
  const char *key;    /* of the string, such as "name" */
  const char *wanted; /* the string, raw; or NULL: the index is WANTED_INDEX */
  guint64 wanted_index;

  guint64 n_matches;
  guint64 last;      /* index of the last match */
  guint64 lookalike; /* index of an item whose escaped string is WANTED, or
                        QCOW2_NO_INDEX */
} Search;

gboolean search_is_equal (const char *wanted, GBytes *string);
gboolean search_looks_like (const char *wanted, GBytes *string);
gboolean search_may_look_like (const char *wanted);
gboolean search_fail_not_found (const Search *search, const char *hint,
                                GError **error);
gboolean search_fail_ambiguous (const Search *search, GError **error);

G_END_DECLS
