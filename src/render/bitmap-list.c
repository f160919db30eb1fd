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

#define IMAGE_HEADING "IMAGE"
#define LAYER_HEADING "LAYER"

/* The word in column STATE for a layer whose bitmaps cannot be shown. */
#define ERROR_STATE "error"

/* Maximum width of column IMAGE.  A longer name moves only its own row. */
#define IMAGE_MAX 64

/* A blank in column IMAGE becomes this, so that a shell can split the row.
 * Tabs and newlines are escaped anyway. */
#define ESCAPED_BLANK "\\x20"

typedef struct
{
  const char *heading;
  gboolean is_word; /* aligned to the left; numbers are to the right */
  gsize several;    /* minimum width, if there are several images */
} Column;

/* clang-format off */
static const Column columns[N_COLUMNS] = {
  { "INDEX", FALSE, 0 },
  { "STATE", TRUE, 8 },
  { "GRANULARITY", FALSE, 0 },
  { "DIRTY", FALSE, 6 },
  { "DIRTY%", FALSE, 0 },
  { "DISK", FALSE, 6 },
  { "SERIALIZED", FALSE, 0 },
  { "ALL-ONES", FALSE, 0 },
  { "ALL-ZEROES", FALSE, 0 },
};
/* clang-format on */

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
  gboolean has_layers;    /* there is a column LAYER */
  guint layer;            /* the current one, 0 for the image itself */
  gboolean has_headings;  /* they were printed */
  gsize width[N_COLUMNS]; /* characters */
  gsize image_width;      /* that of column IMAGE */

  /* State of the current image. */
  char *image;  /* its name, escaped, or NULL if it is the only one */
  GArray *rows; /* of Row */
  guint next;   /* index of the next row to print */
};

/* Returns an empty list, with the columns of --long if ALL_COLUMNS. */
BitmapList *
bitmap_list_new (gboolean all_columns)
{
  BitmapList *list = g_new0 (BitmapList, 1);

  list->n_columns = all_columns ? N_COLUMNS : N_SHORT_COLUMNS;
  list->rows = g_array_new (FALSE, FALSE, sizeof (Row));
  for (guint i = 0; i < N_COLUMNS; i++)
    list->width[i] = strlen (columns[i].heading);
  list->image_width = strlen (IMAGE_HEADING);
  return list;
}

/* Returns PATH as column IMAGE shows it.  The caller frees it. */
static char *
escape_image (const char *path)
{
  g_autoptr (GString) escaped = g_string_new (NULL);

  format_escaped (escaped, path, strlen (path));

  g_auto (GStrv) parts = g_strsplit (escaped->str, " ", -1);
  return g_strjoinv (ESCAPED_BLANK, parts);
}

/* Returns the width of TEXT, valid UTF-8, on a screen. */
static gsize
measure (const char *text)
{
  gsize width = 0;

  for (; *text != '\0'; text = g_utf8_next_char (text))
    {
      const gunichar c = g_utf8_get_char (text);

      if (!g_unichar_iszerowidth (c))
        width += g_unichar_iswide (c) ? 2 : 1;
    }

  return width;
}

static void
widen_image_column (BitmapList *list, const char *escaped)
{
  const gsize width = MIN (measure (escaped), IMAGE_MAX);

  list->image_width = MAX (list->image_width, width);
}

/* Makes column IMAGE wide enough for the name PATH, which is known before its
 * turn. */
void
bitmap_list_make_room (BitmapList *list, const char *path)
{
  g_autofree char *escaped = escape_image (path);

  widen_image_column (list, escaped);
}

static void
widen_for_several (BitmapList *list)
{
  for (guint i = 0; i < N_COLUMNS; i++)
    list->width[i] = MAX (list->width[i], columns[i].several);
}

/* Drops the rows of the image before, and begins those of the image at PATH,
 * one of several, or NULL for the only one. */
void
bitmap_list_begin_image (BitmapList *list, const char *path)
{
  g_clear_pointer (&list->image, g_free);
  g_array_set_size (list->rows, 0);
  list->next = 0;
  if (path == NULL)
    return;

  list->image = escape_image (path);
  widen_image_column (list, list->image);
  widen_for_several (list);
}

/* Drops the rows of the layer before, and begins those of the layer at DEPTH:
 * 0 is the image itself. */
void
bitmap_list_begin_layer (BitmapList *list, guint depth)
{
  g_array_set_size (list->rows, 0);
  list->next = 0;
  list->has_layers = TRUE;
  list->layer = depth;
  widen_for_several (list);
}

/* A disk of 0 bytes has no percentage.  A little is not nothing, and almost
 * everything is not all. */
static void
append_percent (GString *cell, const Row *row)
{
  if (row->dirty_bytes == QCOW2_ABSENT || row->disk_size == 0)
    {
      format_count (cell, QCOW2_ABSENT);
      return;
    }

  g_string_append_printf (cell, "%.1f%%",
                          percent_of (row->dirty_bytes, row->disk_size));
  if (row->dirty_bytes > 0 && g_str_equal (cell->str, "0.0%"))
    g_string_assign (cell, "<0.1%");
  if (row->dirty_bytes < row->disk_size && g_str_equal (cell->str, "100.0%"))
    g_string_assign (cell, ">99.9%");
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
  const Qcow2TableCounts *counts = &bitmap->result.counts;
  const gboolean known = bitmap->result.has_counts;
  const Row row = { .index = bitmap->index,
                    .granularity = bitmap->granularity,
                    .disk_bytes = bitmap->result.disk_bytes,
                    .dirty_bytes = bitmap->result.dirty_bytes,
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
  const int width = (int) list->width[column];

  if (columns[column].is_word)
    g_string_append_printf (out, "%-*s ", width, cell);
  else
    g_string_append_printf (out, "%*s ", width, cell);
}

/* Appends IMAGE, the heading or a name, if there are several images. */
static void
append_image (const BitmapList *list, GString *out, const char *image)
{
  if (list->image == NULL)
    return;

  const gsize width = measure (image);
  const gsize rest = list->image_width > width ? list->image_width - width : 0;
  g_string_append_printf (out, "%s%*s ", image, (int) rest, "");
}

static void
append_headings (const BitmapList *list, GString *out)
{
  append_image (list, out, IMAGE_HEADING);
  if (list->has_layers)
    g_string_append (out, LAYER_HEADING " ");
  for (guint i = 0; i < list->n_columns; i++)
    append_padded (list, out, i, columns[i].heading);
  g_string_append (out, "NAME\n");
}

/* Appends what precedes the cells of a row, and the headings before the first
 * row. */
static void
begin_row (BitmapList *list, GString *out)
{
  if (!list->has_headings)
    append_headings (list, out);
  list->has_headings = TRUE;

  append_image (list, out, list->image);
  if (list->has_layers)
    g_string_append_printf (out, "%-*u ", (int) strlen (LAYER_HEADING),
                            list->layer);
}

/* Appends a row to OUT that says why the current layer, the file at PATH, has
 * no rows. */
void
bitmap_list_print_error (BitmapList *list, GString *out, const char *path,
                         const char *message)
{
  begin_row (list, out);
  for (guint i = 0; i < list->n_columns; i++)
    append_padded (list, out, i, columns[i].is_word ? ERROR_STATE : "-");
  format_escaped (out, path, strlen (path));
  g_string_append_printf (out, ": %s\n", message);
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

  begin_row (list, out);
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
  g_free (list->image);
  g_free (list);
}
