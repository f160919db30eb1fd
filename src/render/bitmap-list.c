/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/bitmap-list.h"

#include <string.h>

#include "render/format.h"
#include "render/percent.h"

/* Number of columns before the name; the last three are printed only with
 * --long. */
#define N_COLUMNS 9
#define N_SHORT_COLUMNS 6

static const char *const headings[N_COLUMNS]
    = { "INDEX", "STATE",      "GRANULARITY", "DIRTY",     "DIRTY%",
        "DISK",  "SERIALIZED", "ALL-ONES",    "ALL-ZEROES" };

typedef struct
{
  guint64 index;
  guint64 granularity;
  guint64 disk_bytes;
  guint64 dirty_bytes;
  guint64 disk_size;  /* guest's disk, in bytes */
  guint64 entries[3]; /* in the order of the headings */
  const char *state;
} Row;

struct BitmapList
{
  guint n_columns;
  GArray *rows;           /* of Row */
  guint next;             /* index of the next row to print */
  gsize width[N_COLUMNS]; /* characters */
};

/* Returns an empty list, with the columns of --long if ALL_COLUMNS. */
BitmapList *
bitmap_list_new (gboolean all_columns)
{
  BitmapList *list = g_new0 (BitmapList, 1);

  list->n_columns = all_columns ? N_COLUMNS : N_SHORT_COLUMNS;
  list->rows = g_array_new (FALSE, FALSE, sizeof (Row));
  for (guint i = 0; i < N_COLUMNS; i++)
    list->width[i] = strlen (headings[i]);
  return list;
}

/* A disk of 0 bytes has no percentage. */
static void
append_percent (GString *cell, const Row *row)
{
  if (row->dirty_bytes == QCOW2_ABSENT || row->disk_size == 0)
    format_count (cell, QCOW2_ABSENT);
  else
    g_string_append_printf (cell, "%.1f%%",
                            percent_of (row->dirty_bytes, row->disk_size));
}

static void
append_cell (GString *cell, const Row *row, guint column)
{
  const guint first_entry = N_SHORT_COLUMNS;

  switch (column)
    {
    case 0:
      format_count (cell, row->index);
      return;
    case 1:
      g_string_append (cell, row->state);
      return;
    case 2:
      format_size (cell, row->granularity);
      return;
    case 3:
      format_size (cell, row->dirty_bytes);
      return;
    case 4:
      append_percent (cell, row);
      return;
    case 5:
      format_size (cell, row->disk_bytes);
      return;
    default:
      format_count (cell, row->entries[column - first_entry]);
      return;
    }
}

/* Adds a row for BITMAP, which was examined, on a guest disk of DISK_SIZE
 * bytes. */
void
bitmap_list_add (BitmapList *list, const Qcow2Bitmap *bitmap,
                 guint64 disk_size)
{
  const Qcow2TableCounts *counts = &bitmap->counts;
  const gboolean known = bitmap->has_counts;
  const Row row = { .index = bitmap->index,
                    .granularity = bitmap->granularity,
                    .disk_bytes = bitmap->disk_bytes,
                    .dirty_bytes = bitmap->dirty_bytes,
                    .disk_size = disk_size,
                    .entries = { known ? counts->serialized : QCOW2_ABSENT,
                                 known ? counts->all_ones : QCOW2_ABSENT,
                                 known ? counts->all_zeroes : QCOW2_ABSENT },
                    .state = qcow2_bitmap_get_state_word (bitmap) };
  g_autoptr (GString) cell = g_string_new (NULL);

  for (guint i = 0; i < list->n_columns; i++)
    {
      g_string_truncate (cell, 0);
      append_cell (cell, &row, i);
      list->width[i] = MAX (list->width[i], cell->len);
    }

  g_array_append_val (list->rows, row);
}

static void
append_padded (const BitmapList *list, GString *out, guint column,
               const char *cell)
{
  g_string_append_printf (out, "%-*s ", (int) list->width[column], cell);
}

/* Appends the next row to OUT, with the name of BITMAP; the headings precede
 * the first row.  Appends nothing once all rows are printed: a writer may have
 * added bitmaps to the directory since the rows were collected. */
void
bitmap_list_print_next (BitmapList *list, GString *out,
                        const Qcow2Bitmap *bitmap)
{
  if (list->next == list->rows->len)
    return;

  const Row *row = &g_array_index (list->rows, Row, list->next);
  g_autoptr (GString) cell = g_string_new (NULL);

  for (guint i = 0; list->next == 0 && i < list->n_columns; i++)
    append_padded (list, out, i, headings[i]);
  if (list->next == 0)
    g_string_append (out, "NAME\n");

  for (guint i = 0; i < list->n_columns; i++)
    {
      g_string_truncate (cell, 0);
      append_cell (cell, row, i);
      append_padded (list, out, i, cell->str);
    }
  format_name (out, bitmap->name);
  g_string_append_c (out, '\n');
  list->next++;
}

void
bitmap_list_free (BitmapList *list)
{
  if (list == NULL)
    return;

  g_array_unref (list->rows);
  g_free (list);
}
