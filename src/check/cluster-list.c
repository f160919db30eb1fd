/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/cluster-list.h"

#include "qcow2/record.h"

struct Qcow2ClusterList
{
  GArray *runs; /* of Qcow2Run */
  guint n_data; /* runs of data of bitmaps */
};

Qcow2ClusterList *
qcow2_cluster_list_new (void)
{
  Qcow2ClusterList *list = g_new0 (Qcow2ClusterList, 1);

  list->runs = g_array_new (FALSE, FALSE, sizeof (Qcow2Run));
  return list;
}

/* Compares runs by start, then by kind, then by pointer.  Of runs with the
 * same start, the first one counts as the owner. */
static gint
compare_runs (gconstpointer a, gconstpointer b)
{
  const Qcow2Run *left = a;
  const Qcow2Run *right = b;

  if (left->start != right->start)
    return left->start < right->start ? -1 : 1;
  if (left->kind != right->kind)
    return left->kind < right->kind ? -1 : 1;

  return left->pointer < right->pointer ? -1 : left->pointer > right->pointer;
}

/* Returns whether RUN continues LAST: both are data of the same bitmap, and
 * their clusters as well as the references to them are contiguous. */
static gboolean
continues (const Qcow2Run *last, const Qcow2Run *run)
{
  return run->kind == QCOW2_OWNER_BITS && last->kind == QCOW2_OWNER_BITS
         && run->bitmap == last->bitmap && run->start == last->start + last->n
         && run->pointer
                == last->pointer + (guint64) last->n * QCOW2_ENTRY_LENGTH
         && run->n <= G_MAXUINT32 - last->n;
}

/* Adds the clusters of RUN to LIST.  Returns FALSE if there is no room. */
gboolean
qcow2_cluster_list_add (Qcow2ClusterList *list, const Qcow2Run *run)
{
  GArray *runs = list->runs;
  const gboolean is_data = run->kind == QCOW2_OWNER_BITS;
  Qcow2Run *last
      = runs->len > 0 ? &g_array_index (runs, Qcow2Run, runs->len - 1) : NULL;

  if (run->n == 0)
    return TRUE;
  if (last != NULL && continues (last, run))
    {
      last->n += run->n;
      return TRUE;
    }
  if (runs->len == QCOW2_CLUSTER_LIST_RUNS
      || (is_data && list->n_data == QCOW2_CLUSTER_LIST_DATA_RUNS))
    return FALSE;

  list->n_data += is_data;
  g_array_append_vals (runs, run, 1);
  return TRUE;
}

/* Sorts the runs of LIST by their start.  More runs may be added afterwards.
 */
void
qcow2_cluster_list_sort (Qcow2ClusterList *list)
{
  g_array_sort (list->runs, compare_runs);
}

guint
qcow2_cluster_list_get_n (const Qcow2ClusterList *list)
{
  return list->runs->len;
}

const Qcow2Run *
qcow2_cluster_list_get (const Qcow2ClusterList *list, guint index)
{
  g_assert (index < list->runs->len);

  return &g_array_index (list->runs, Qcow2Run, index);
}

void
qcow2_cluster_list_free (Qcow2ClusterList *list)
{
  if (list == NULL)
    return;

  g_array_unref (list->runs);
  g_free (list);
}
