/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/l2-references.h"

#include "qcow2/arithmetic.h"
#include "qcow2/l1-table.h"

/* The most L2 tables that are kept at a time: 8 MiB. */
#define MAX_TABLES (1 << 18)

/* A walk over L2 tables, which covers those at the host offsets from LOW to
 * before HIGH at a time. */
typedef struct
{
  GArray *tables; /* of Qcow2L2Table */
  guint64 low;
  guint64 high;
  gboolean is_sorted; /* the tables are in order, each of them once */
} Collection;

static gint
compare_tables (gconstpointer a, gconstpointer b)
{
  const Qcow2L2Table *left = a;
  const Qcow2L2Table *right = b;
  const gint order = qcow2_compare (left->offset, right->offset);

  /* One of the active L1 table comes first. */
  return order != 0 ? order : qcow2_compare (right->n_active, left->n_active);
}

/* Adds A and B, of which neither exceeds the largest number. */
static guint32
add_saturated (guint32 a, guint32 b)
{
  return a > G_MAXUINT32 - b ? G_MAXUINT32 : a + b;
}

/* Sorts the tables that were collected, and merges equal ones. */
static void
merge (Collection *collection)
{
  GArray *tables = collection->tables;
  guint n = 0;

  if (collection->is_sorted)
    return;

  g_array_sort (tables, compare_tables);
  for (guint i = 0; i < tables->len; i++)
    {
      const Qcow2L2Table table = g_array_index (tables, Qcow2L2Table, i);
      Qcow2L2Table *last
          = n > 0 ? &g_array_index (tables, Qcow2L2Table, n - 1) : NULL;

      if (last == NULL || last->offset != table.offset)
        {
          g_array_index (tables, Qcow2L2Table, n++) = table;
          continue;
        }
      if (table.n_active > 0)
        last->other = table.index;
      last->n = add_saturated (last->n, table.n);
      last->n_active = add_saturated (last->n_active, table.n_active);
    }
  g_array_set_size (tables, n);
  collection->is_sorted = TRUE;
}

/* Makes room for more tables: leaves the upper half to a later part if merging
 * is not enough. */
static void
make_room (Collection *collection)
{
  GArray *tables = collection->tables;

  merge (collection);
  if (tables->len <= MAX_TABLES / 2)
    return;

  collection->high
      = g_array_index (tables, Qcow2L2Table, MAX_TABLES / 2).offset;
  g_array_set_size (tables, MAX_TABLES / 2);
}

/* A Qcow2L1ReferenceFunc that collects the L2 table of ENTRY. */
static gboolean
collect (const Qcow2L1Reference *entry, gpointer data,
         GError **error G_GNUC_UNUSED)
{
  Collection *collection = data;
  GArray *tables = collection->tables;
  const Qcow2Field *place
      = QCOW2_FIELD (qcow2_l1_entry_record, Qcow2L1Entry, offset);
  const gboolean is_active = entry->snapshot == QCOW2_NO_INDEX;
  const Qcow2L2Table table
      = { .offset = qcow2_field_unpack (place, entry->raw),
          .pointer = entry->pointer,
          .index = (guint32) entry->index,
          .snapshot = (guint32) entry->snapshot,
          .n = 1,
          .n_active = is_active ? 1 : 0 };

  if (table.offset < collection->low || table.offset >= collection->high)
    return TRUE;

  if (tables->len == MAX_TABLES)
    make_room (collection);
  if (table.offset >= collection->high)
    return TRUE;

  collection->is_sorted
      &= tables->len == 0
         || g_array_index (tables, Qcow2L2Table, tables->len - 1).offset
                < table.offset;
  g_array_append_val (tables, table);
  return TRUE;
}

/* Passes each L2 table to FUNC along with DATA, in the order of their host
 * offsets.  An L1 entry that is not 0 counts as a reference, whatever it
 * holds.  Fails with QCOW2_ERROR_READ, or as FUNC does. */
gboolean
qcow2_references_walk_l2_tables (Qcow2References *references,
                                 Qcow2L2TableFunc func, gpointer data,
                                 GError **error)
{
  g_autoptr (GArray) tables
      = g_array_new (FALSE, FALSE, sizeof (Qcow2L2Table));
  Collection collection = { .tables = tables, .high = 0 };

  while (collection.high != G_MAXUINT64)
    {
      collection.low = collection.high;
      collection.high = G_MAXUINT64;
      collection.is_sorted = TRUE;
      g_array_set_size (tables, 0);
      if (!qcow2_references_walk_l1_tables (references, collect, &collection,
                                            error))
        return FALSE;

      merge (&collection);
      for (guint i = 0; i < tables->len; i++)
        {
          if (!func (&g_array_index (tables, Qcow2L2Table, i), data, error))
            return FALSE;
        }
    }

  return TRUE;
}
