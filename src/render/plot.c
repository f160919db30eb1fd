/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/plot.h"

#include "qcow2/arithmetic.h"
#include "render/format.h"

/* Number of characters in the range from all clean to all dirty. */
#define N_LEVELS 5

typedef struct
{
  guint64 dirty; /* bytes */
  gboolean has_unknown;
} Cell;

struct Plot
{
  PlotShape shape;
  guint64 cell_size; /* bytes of the disk per character */
  guint64 n_cells;
  Cell *cells;
};

static const char *const levels[N_LEVELS] = { "·", "░", "▒", "▓", "█" };
static const char *const ascii_levels[N_LEVELS] = { ".", ":", "+", "*", "#" };

/* Returns the number of bytes per character: as few as possible, but a
 * multiple of the granularity. */
static guint64
get_cell_size (const PlotShape *shape)
{
  const guint64 least = qcow2_divide_up (shape->length, (guint64) shape->width
                                                            * shape->height);
  const guint64 granule
      = shape->granularity != QCOW2_ABSENT ? shape->granularity : 1;
  const guint64 n_granules = MAX (qcow2_divide_up (least, granule), 1);

  return n_granules > G_MAXUINT64 / granule ? G_MAXUINT64
                                            : n_granules * granule;
}

/* Returns an empty plot of SHAPE. */
Plot *
plot_new (const PlotShape *shape)
{
  Plot *plot = g_new0 (Plot, 1);

  g_assert (shape->width >= 1 && shape->width <= PLOT_MAX);
  g_assert (shape->height >= 1 && shape->height <= PLOT_MAX);

  plot->shape = *shape;
  plot->cell_size = get_cell_size (shape);
  plot->n_cells = qcow2_divide_up (shape->length, plot->cell_size);
  plot->cells = g_new0 (Cell, plot->n_cells);
  return plot;
}

/* Adds EXTENT, which must lie within the plot. */
void
plot_add (Plot *plot, const Qcow2Extent *extent)
{
  guint64 at = extent->offset - plot->shape.start;
  guint64 left = extent->length;

  while (left > 0 && extent->type != QCOW2_EXTENT_CLEAN)
    {
      Cell *cell = &plot->cells[at / plot->cell_size];
      const guint64 part = MIN (left, plot->cell_size - at % plot->cell_size);

      cell->dirty += part;
      cell->has_unknown
          = cell->has_unknown || extent->type == QCOW2_EXTENT_UNKNOWN;
      at += part;
      left -= part;
    }
}

/* Returns the character for cell I, which covers SIZE bytes. */
static const char *
get_character (const Plot *plot, guint64 i, guint64 size)
{
  const Cell *cell = &plot->cells[i];
  const char *const *characters = plot->shape.ascii ? ascii_levels : levels;

  if (cell->has_unknown)
    return "?";
  if (cell->dirty == 0)
    return characters[0];
  if (cell->dirty == size)
    return characters[N_LEVELS - 1];

  /* Rounding down changes no comparison: there is no whole number of bytes
   * between the rounded and the exact value of one third or two thirds of
   * SIZE. */
  const guint64 third = size / 3;
  const guint64 two_thirds = size - qcow2_divide_up (size, 3);
  return characters[cell->dirty <= third        ? 1
                    : cell->dirty <= two_thirds ? 2
                                                : 3];
}

static void
print_line (const Plot *plot, guint64 first, GString *out)
{
  const PlotShape *shape = &plot->shape;
  const guint64 end = MIN (first + shape->width, plot->n_cells);
  g_autoptr (GString) label = g_string_new (NULL);

  format_size (label, shape->start + first * plot->cell_size);
  g_string_append_printf (out, "%8s |", label->str);
  for (guint64 i = first; i < end; i++)
    {
      const guint64 left = shape->length - i * plot->cell_size;

      g_string_append (out,
                       get_character (plot, i, MIN (left, plot->cell_size)));
    }
  g_string_append (out, "|\n");
}

static void
print_scale (const Plot *plot, GString *out)
{
  const char *const *characters = plot->shape.ascii ? ascii_levels : levels;
  const guint64 size = MIN (plot->cell_size, plot->shape.length);

  /* The largest disk has QCOW2_ABSENT bytes, which format_size () would take
   * for a missing size. */
  g_string_append (out, "\nA character is ");
  format_size (out, MIN (size, QCOW2_ABSENT - 1));
  g_string_append_printf (out,
                          ": %s clean, %s dirty up to a third, %s up to two "
                          "thirds, %s more, %s all of it, ? unknown\n",
                          characters[0], characters[1], characters[2],
                          characters[3], characters[4]);
}

/* Appends the lines to OUT, each with the guest offset of its first byte, and
 * the scale.  Appends nothing for a disk of 0 bytes. */
void
plot_print (const Plot *plot, GString *out)
{
  for (guint64 i = 0; i < plot->n_cells; i += plot->shape.width)
    print_line (plot, i, out);
  if (plot->n_cells > 0)
    print_scale (plot, out);
}

void
plot_free (Plot *plot)
{
  if (plot == NULL)
    return;

  g_free (plot->cells);
  g_free (plot);
}
