/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/dirty-data.h"

#include <string.h>

/* The extent that may still grow, and the function that receives extents. */
typedef struct
{
  Qcow2GuestMap *map;
  Qcow2ExtentFunc func;
  gpointer func_data;
  Qcow2Extent last; /* length 0: there is none yet */
  Qcow2Next next;   /* last result of FUNC */
} State;

/* Passes on the extent that cannot grow any more, if there is one. */
static Qcow2Next
finish_extent (State *state, GError **error)
{
  if (state->last.length > 0)
    state->next = state->func (&state->last, state->func_data, error);

  return state->next;
}

static Qcow2Next
add (State *state, guint64 offset, guint64 length, Qcow2ExtentType type,
     GError **error)
{
  if (state->last.length > 0 && state->last.type == type)
    {
      state->last.length += length;
      return QCOW2_NEXT_ITEM;
    }

  const Qcow2Next next = finish_extent (state, error);
  state->last = (Qcow2Extent){ offset, length, type };
  return next;
}

/* Returns the type of a dirty range that is mapped by EXTENT. */
static Qcow2ExtentType
get_type (const Qcow2MapExtent *extent)
{
  const gboolean is_zero = (extent->flags & QCOW2_MAP_ZERO) != 0;

  if ((extent->flags & QCOW2_MAP_PRESENT) != 0)
    return is_zero ? QCOW2_EXTENT_DIRTY_ZERO : QCOW2_EXTENT_DIRTY;

  return is_zero ? QCOW2_EXTENT_DIRTY_UNALLOCATED_ZERO
                 : QCOW2_EXTENT_DIRTY_UNALLOCATED;
}

static Qcow2Next
add_mapped (const Qcow2MapExtent *extent, gpointer data, GError **error)
{
  return add (data, extent->start, extent->length, get_type (extent), error);
}

static Qcow2Next
split_extent (const Qcow2Extent *extent, gpointer data, GError **error)
{
  State *state = data;

  if (extent->type != QCOW2_EXTENT_DIRTY)
    return add (state, extent->offset, extent->length, extent->type, error);

  if (!qcow2_guest_map_walk (state->map, extent->offset, extent->length,
                             add_mapped, state, error))
    return QCOW2_NEXT_FAILED;

  return state->next;
}

/* Calls FUNC with DATA for each extent of QUERY, as qcow2_extent_query_walk ()
 * does, but with each dirty extent split by MAP, a map of the same image.
 * Clean and unknown extents are not split.  Damaged parts of MAP are dirty and
 * nothing else.  Fails as the walks over QUERY and MAP do. */
gboolean
qcow2_dirty_data_walk (const Qcow2ExtentQuery *query, Qcow2GuestMap *map,
                       Qcow2ExtentFunc func, gpointer data, GError **error)
{
  State state = {
    .map = map, .func = func, .func_data = data, .next = QCOW2_NEXT_ITEM
  };

  if (!qcow2_extent_query_walk (query, split_extent, &state, error))
    return FALSE;
  if (state.next == QCOW2_NEXT_END)
    return TRUE;

  return finish_extent (&state, error) != QCOW2_NEXT_FAILED;
}

static Qcow2Next
count_extent (const Qcow2Extent *extent, gpointer data,
              GError **error G_GNUC_UNUSED)
{
  qcow2_extent_totals_add (data, extent->type, extent->length);
  return QCOW2_NEXT_ITEM;
}

/* Stores in *TOTALS the number of bytes of each type that
 * qcow2_dirty_data_walk () finds.  Fails as that function does. */
gboolean
qcow2_dirty_data_count (const Qcow2ExtentQuery *query, Qcow2GuestMap *map,
                        Qcow2ExtentTotals *totals, GError **error)
{
  memset (totals, 0, sizeof *totals);
  return qcow2_dirty_data_walk (query, map, count_extent, totals, error);
}
