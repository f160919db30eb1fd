/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plots of disks, compared character by character. */

#include "config.h"

#include "render/plot.h"

#include <string.h>

#define X(n) G_GUINT64_CONSTANT (0x##n)

#define CLEAN QCOW2_EXTENT_CLEAN
#define DIRTY QCOW2_EXTENT_DIRTY
#define UNKNOWN QCOW2_EXTENT_UNKNOWN

/* clang-format off */
#define ASCII_SCALE(size)                                                     \
  "\nA character is " size ": . clean, : dirty up to a third, + up to two "   \
  "thirds, * more, # all of it, ? unknown\n"
#define UTF_8_SCALE(size)                                                     \
  "\nA character is " size ": · clean, ░ dirty up to a third, ▒ up to two "   \
  "thirds, ▓ more, █ all of it, ? unknown\n"
/* clang-format on */

/* Returns the plot of SHAPE with the N EXTENTS. */
static char *
draw (const PlotShape *shape, const Qcow2Extent *extents, gsize n)
{
  g_autoptr (Plot) plot = plot_new (shape);
  GString *out = g_string_new (NULL);

  for (gsize i = 0; i < n; i++)
    plot_add (plot, &extents[i]);
  plot_print (plot, out);
  return g_string_free (out, FALSE);
}

static void
check (PlotShape shape, const Qcow2Extent *extents, gsize n,
       const char *expected)
{
  g_autofree char *drawn = draw (&shape, extents, n);

  g_assert_cmpstr (drawn, ==, expected);
}

/* Eight cells of 12 bytes each, of which 0, 1, 4, 5, 8, 9, 11 and 12 are
 * dirty. */
static const Qcow2Extent densities[]
    = { { 0, 12, CLEAN }, { 12, 1, DIRTY }, { 13, 11, CLEAN },
        { 24, 4, DIRTY }, { 28, 8, CLEAN }, { 36, 5, DIRTY },
        { 41, 7, CLEAN }, { 48, 8, DIRTY }, { 56, 4, CLEAN },
        { 60, 9, DIRTY }, { 69, 3, CLEAN }, { 72, 11, DIRTY },
        { 83, 1, CLEAN }, { 84, 12, DIRTY } };

static void
test_densities (void)
{
  PlotShape shape = {
    .width = 8, .height = 1, .ascii = TRUE, .length = 96, .granularity = 1
  };

  check (shape, densities, G_N_ELEMENTS (densities),
         "       0 |.::++**#|\n" ASCII_SCALE ("12"));
  shape.ascii = FALSE;
  check (shape, densities, G_N_ELEMENTS (densities),
         "       0 |·░░▒▒▓▓█|\n" UTF_8_SCALE ("12"));
}

/* Several extents in a cell add up, and an extent may span several cells. */
static void
test_sums (void)
{
  const PlotShape shape = {
    .width = 4, .height = 1, .ascii = TRUE, .length = 40, .granularity = 1
  };
  const Qcow2Extent extents[]
      = { { 0, 2, DIRTY }, { 2, 1, CLEAN },  { 3, 2, DIRTY },
          { 5, 2, CLEAN }, { 7, 24, DIRTY }, { 31, 9, CLEAN } };

  check (shape, extents, G_N_ELEMENTS (extents),
         "       0 |*##:|\n" ASCII_SCALE ("10"));
}

/* One unknown byte makes a cell unknown, whatever else is in the cell. */
static void
test_unknown (void)
{
  const PlotShape shape = {
    .width = 4, .height = 1, .ascii = TRUE, .length = 40, .granularity = 1
  };
  const Qcow2Extent extents[] = { { 0, 9, DIRTY },
                                  { 9, 2, UNKNOWN },
                                  { 11, 4, DIRTY },
                                  { 15, 24, CLEAN },
                                  { 39, 1, UNKNOWN } };

  check (shape, extents, G_N_ELEMENTS (extents),
         "       0 |??.?|\n" ASCII_SCALE ("10"));
}

/* Ten characters in lines of four. */
static void
test_last_line (void)
{
  const PlotShape shape = { .width = 4,
                            .height = 3,
                            .ascii = TRUE,
                            .length = 10240,
                            .granularity = 1024 };
  const Qcow2Extent extents[]
      = { { 3072, 2048, DIRTY }, { 9216, 1024, DIRTY } };

  check (shape, extents, G_N_ELEMENTS (extents),
         "       0 |...#|\n"
         "      4K |#...|\n"
         "      8K |.#|\n" ASCII_SCALE ("1K"));
}

/* The last character stands for one byte, the others for three. */
static void
test_last_cell (void)
{
  const PlotShape shape = { .width = 4,
                            .height = 1,
                            .ascii = TRUE,
                            .length = 10,
                            .granularity = QCOW2_ABSENT };
  const Qcow2Extent extents[] = { { 8, 2, DIRTY } };

  check (shape, extents, 1, "       0 |..:#|\n" ASCII_SCALE ("3"));
}

/* 1000 bytes in three characters would be 334 each, but a granule belongs to
 * one character. */
static void
test_whole_granules (void)
{
  const PlotShape shape = {
    .width = 3, .height = 1, .ascii = TRUE, .length = 1000, .granularity = 100
  };
  const Qcow2Extent extents[] = { { 300, 100, DIRTY }, { 800, 200, DIRTY } };

  check (shape, extents, 2, "       0 |:.#|\n" ASCII_SCALE ("400"));
}

/* There are no more characters than granules. */
static void
test_few_granules (void)
{
  const PlotShape shape = { .width = 3,
                            .height = 16,
                            .ascii = TRUE,
                            .length = 5 * 65536,
                            .granularity = 65536 };
  const Qcow2Extent extents[] = { { 65536, 65536, DIRTY } };

  check (shape, extents, 1,
         "       0 |.#.|\n"
         "    192K |..|\n" ASCII_SCALE ("64K"));
}

static void
test_one_granule (void)
{
  const PlotShape shape = { .width = 64,
                            .height = 16,
                            .ascii = TRUE,
                            .length = 1000,
                            .granularity = X (8000000000000000) };
  const Qcow2Extent extents[] = { { 0, 1000, DIRTY } };

  check (shape, extents, 1, "       0 |#|\n" ASCII_SCALE ("1000"));
  check (shape, extents, 0, "       0 |.|\n" ASCII_SCALE ("1000"));
}

/* Cells are counted from .start. */
static void
test_start (void)
{
  const PlotShape shape = { .width = 2,
                            .height = 2,
                            .ascii = TRUE,
                            .start = 1048576 + 512,
                            .length = 2000,
                            .granularity = 512 };
  const Qcow2Extent extents[] = { { 1049088, 512, CLEAN },
                                  { 1049600, 1000, DIRTY },
                                  { 1050600, 24, CLEAN },
                                  { 1050624, 464, UNKNOWN } };

  check (shape, extents, G_N_ELEMENTS (extents),
         "    1.0M |.#|\n"
         "    1.0M |*?|\n" ASCII_SCALE ("512"));
}

/* 2^63 - 1 bytes are 1024 characters of 2^53 bytes; the last has one byte
 * less. */
static void
test_huge (void)
{
  const PlotShape shape = { .width = 64,
                            .height = 16,
                            .ascii = TRUE,
                            .length = X (7fffffffffffffff),
                            .granularity = 65536 };
  const Qcow2Extent extents[]
      = { { 0, X (7fdfffffffffffff), CLEAN },
          { X (7fdfffffffffffff), X (20000000000000), DIRTY } };
  const char *const labels[]
      = { "0",  "512P", "1E", "1.5E", "2E", "2.5E", "3E", "3.5E",
          "4E", "4.5E", "5E", "5.5E", "6E", "6.5E", "7E", "7.5E" };
  g_autoptr (GString) expected = g_string_new (NULL);

  for (guint i = 0; i < 16; i++)
    g_string_append_printf (
        expected, "%8s |%s%s|\n", labels[i],
        "..............................................................",
        i == 15 ? ":#" : "..");
  g_string_append (expected, ASCII_SCALE ("8P"));
  check (shape, extents, 2, expected->str);
}

static void
test_one_character (void)
{
  PlotShape shape = {
    .width = 1, .height = 1, .ascii = TRUE, .length = 1, .granularity = 1
  };
  const Qcow2Extent byte = { 0, 1, DIRTY };
  const Qcow2Extent all = { 0, X (7fffffffffffffff), DIRTY };
  const Qcow2Extent part = { 5, X (7ffffffffffffff0), DIRTY };

  check (shape, &byte, 1, "       0 |#|\n" ASCII_SCALE ("1"));
  shape.length = X (7fffffffffffffff);
  shape.granularity = X (8000000000000000);
  check (shape, &all, 1, "       0 |#|\n" ASCII_SCALE ("7.9E"));
  check (shape, &part, 1, "       0 |*|\n" ASCII_SCALE ("7.9E"));
  shape.granularity = 512;
  check (shape, &byte, 1, "       0 |:|\n" ASCII_SCALE ("7.9E"));
}

/* Computed by hand: one character for a disk of each size, with dirty bytes up
 * to and above a third and two thirds of it.  2^63 - 2 and 2^64 - 1 are
 * multiples of 3; 2^63 - 1 is a multiple plus one. */
static void
test_thirds (void)
{
  static const struct
  {
    guint64 size;
    guint64 dirty;
    char character;
  } cases[] = {
    { 3, 1, ':' },
    { 3, 2, '+' },
    { 4, 1, ':' },
    { 4, 2, '+' },
    { 4, 3, '*' },
    { 5, 1, ':' },
    { 5, 2, '+' },
    { 5, 3, '+' },
    { 5, 4, '*' },
    { G_GUINT64_CONSTANT (9223372036854775806),
      G_GUINT64_CONSTANT (3074457345618258602), ':' },
    { G_GUINT64_CONSTANT (9223372036854775806),
      G_GUINT64_CONSTANT (3074457345618258603), '+' },
    { G_GUINT64_CONSTANT (9223372036854775806),
      G_GUINT64_CONSTANT (6148914691236517204), '+' },
    { G_GUINT64_CONSTANT (9223372036854775806),
      G_GUINT64_CONSTANT (6148914691236517205), '*' },
    { G_GUINT64_CONSTANT (9223372036854775806),
      G_GUINT64_CONSTANT (9223372036854775805), '*' },
    { G_GUINT64_CONSTANT (9223372036854775807),
      G_GUINT64_CONSTANT (3074457345618258602), ':' },
    { G_GUINT64_CONSTANT (9223372036854775807),
      G_GUINT64_CONSTANT (3074457345618258603), '+' },
    { G_GUINT64_CONSTANT (9223372036854775807),
      G_GUINT64_CONSTANT (6148914691236517204), '+' },
    { G_GUINT64_CONSTANT (9223372036854775807),
      G_GUINT64_CONSTANT (6148914691236517205), '*' },
    { G_MAXUINT64, G_GUINT64_CONSTANT (6148914691236517205), ':' },
    { G_MAXUINT64, G_GUINT64_CONSTANT (6148914691236517206), '+' },
    { G_MAXUINT64, G_GUINT64_CONSTANT (12297829382473034410), '+' },
    { G_MAXUINT64, G_GUINT64_CONSTANT (12297829382473034411), '*' },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const PlotShape shape = { .width = 1,
                                .height = 1,
                                .ascii = TRUE,
                                .length = cases[i].size,
                                .granularity = 1 };
      const Qcow2Extent extent = { 0, cases[i].dirty, DIRTY };
      g_autofree char *drawn = draw (&shape, &extent, 1);
      g_autofree char *line
          = g_strdup_printf ("       0 |%c|\n", cases[i].character);

      if (!g_str_has_prefix (drawn, line))
        g_error ("case %" G_GSIZE_FORMAT ": %s", i, drawn);
    }
}

/* The largest disk that a header can describe. */
static void
test_largest (void)
{
  PlotShape shape = { .width = 1,
                      .height = 1,
                      .ascii = TRUE,
                      .length = G_MAXUINT64,
                      .granularity = X (8000000000000000) };
  const Qcow2Extent all = { 0, G_MAXUINT64, DIRTY };

  check (shape, &all, 1, "       0 |#|\n" ASCII_SCALE ("15.9E"));
  shape.width = 2;
  check (shape, &all, 1, "       0 |##|\n" ASCII_SCALE ("8E"));
  shape.granularity = 512;
  check (shape, &all, 1, "       0 |##|\n" ASCII_SCALE ("8E"));
}

/* The maximum number of characters, one for each byte. */
static void
test_max (void)
{
  const PlotShape shape = { .width = PLOT_MAX,
                            .height = PLOT_MAX,
                            .ascii = TRUE,
                            .length = 512 * 512,
                            .granularity = 1 };
  const Qcow2Extent extents[] = { { 512 * 512 - 1, 1, DIRTY } };
  g_autofree char *drawn = draw (&shape, extents, 1);
  g_auto (GStrv) lines = g_strsplit (drawn, "\n", -1);

  g_assert_cmpuint (PLOT_MAX, ==, 512);
  /* The lines, an empty line, the scale, and an empty string after the last
   * newline. */
  g_assert_cmpuint (g_strv_length (lines), ==, 512 + 3);
  for (guint i = 0; i < 512; i++)
    {
      g_assert_cmpuint (strlen (lines[i]), ==, 8 + 2 + 512 + 1);
      g_assert_cmpuint (strspn (lines[i] + 10, "."), ==, i == 511 ? 511 : 512);
    }
  g_assert_cmpstr (lines[511] + 10 + 511, ==, "#|");
  g_assert_true (g_str_has_prefix (lines[1], "     512 |"));
  g_assert_true (g_str_has_prefix (lines[511], "  255.5K |"));
}

static void
test_nothing (void)
{
  const PlotShape shape
      = { .width = 4, .height = 4, .ascii = TRUE, .granularity = 512 };

  check (shape, NULL, 0, "");
  plot_free (NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plot/densities", test_densities);
  g_test_add_func ("/plot/thirds", test_thirds);
  g_test_add_func ("/plot/sums", test_sums);
  g_test_add_func ("/plot/unknown", test_unknown);
  g_test_add_func ("/plot/last-line", test_last_line);
  g_test_add_func ("/plot/last-cell", test_last_cell);
  g_test_add_func ("/plot/granule/whole", test_whole_granules);
  g_test_add_func ("/plot/granule/few", test_few_granules);
  g_test_add_func ("/plot/granule/one", test_one_granule);
  g_test_add_func ("/plot/start", test_start);
  g_test_add_func ("/plot/size/huge", test_huge);
  g_test_add_func ("/plot/size/one-character", test_one_character);
  g_test_add_func ("/plot/size/largest", test_largest);
  g_test_add_func ("/plot/size/max", test_max);
  g_test_add_func ("/plot/nothing", test_nothing);
  return g_test_run ();
}
