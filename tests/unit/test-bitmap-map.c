/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extents and totals in every format, compared letter by letter. */

#include "config.h"

#include "render/bitmap-map.h"

#include <float.h>
#include <string.h>

#include "render/percent.h"

#define X(n) G_GUINT64_CONSTANT (0x##n)

#define CLEAN QCOW2_EXTENT_CLEAN
#define DIRTY QCOW2_EXTENT_DIRTY
#define UNKNOWN QCOW2_EXTENT_UNKNOWN

/* Adds all pieces of EXTENT and asserts that none of its bytes are lost. */
static void
add_extent (BitmapMap *map, GString *out, Qcow2Extent extent)
{
  const guint64 end = extent.offset + extent.length;

  while (bitmap_map_extent (map, out, &extent))
    {
      g_assert_cmpuint (extent.length, >, 0);
      g_assert_cmpuint (extent.offset + extent.length, ==, end);
    }
}

/* Asserts that MAP prints the N EXTENTS as EXPECTED. */
static void
check (BitmapMap map, const Qcow2Extent *extents, gsize n,
       const char *expected)
{
  g_autoptr (GString) out = g_string_new (NULL);

  bitmap_map_begin (&map, out, n > 0 ? extents[0].offset : 0);
  for (gsize i = 0; i < n; i++)
    add_extent (&map, out, extents[i]);
  bitmap_map_end (&map, out);
  g_assert_cmpstr (out->str, ==, expected);
}

static void
check_totals (BitmapMap map, Qcow2ExtentTotals totals, const char *expected)
{
  g_autoptr (GString) out = g_string_new (NULL);

  bitmap_map_begin (&map, out, 0);
  bitmap_map_totals (&map, out, &totals);
  bitmap_map_end (&map, out);
  g_assert_cmpstr (out->str, ==, expected);
}

/* One extent of each type. */
static const Qcow2Extent three[] = {
  { 0, 65536, DIRTY },
  { 65536, 131072, CLEAN },
  { 196608, 1000, UNKNOWN },
};

/* The largest numbers, which are wider than their columns. */
static const Qcow2Extent wide[] = {
  { 0, G_GUINT64_CONSTANT (9999999999), CLEAN },
  { G_GUINT64_CONSTANT (9999999999), 1, DIRTY },
  { G_GUINT64_CONSTANT (10000000000),
    G_GUINT64_CONSTANT (18446744063709551615), UNKNOWN },
};

/* One extent of each type that --data adds. */
static const Qcow2Extent split[] = {
  { 0, 512, QCOW2_EXTENT_DIRTY_ZERO },
  { 512, 512, QCOW2_EXTENT_DIRTY_UNALLOCATED },
  { 1024, 512, QCOW2_EXTENT_DIRTY_UNALLOCATED_ZERO },
};

/* ---- Extents ---- */

static void
test_text (void)
{
  const BitmapMap map = { .format = BITMAP_MAP_TEXT };

  check (map, three, 3,
         "         0       65536    1  dirty\n"
         "     65536      131072    0  clean\n"
         "    196608        1000    3  unknown\n");
  check (map, wide, 3,
         "         0  9999999999    0  clean\n"
         "9999999999           1    1  dirty\n"
         "10000000000  18446744063709551615    3  unknown\n");
}

static void
test_json (void)
{
  const BitmapMap map = { .format = BITMAP_MAP_JSON };

  check (map, three, 1,
         "[\n"
         "    {\"offset\": 0, \"length\": 65536, \"type\": 1,"
         " \"description\": \"dirty\"}\n"
         "]\n");
  check (map, three, 3,
         "[\n"
         "    {\"offset\": 0, \"length\": 65536, \"type\": 1,"
         " \"description\": \"dirty\"},\n"
         "    {\"offset\": 65536, \"length\": 131072, \"type\": 0,"
         " \"description\": \"clean\"},\n"
         "    {\"offset\": 196608, \"length\": 1000, \"type\": 3,"
         " \"description\": \"unknown\"}\n"
         "]\n");
}

static void
test_jsonl (void)
{
  const BitmapMap map = { .format = BITMAP_MAP_JSONL };

  check (map, three, 3,
         "{\"offset\":0,\"length\":65536,\"type\":1,"
         "\"description\":\"dirty\"}\n"
         "{\"offset\":65536,\"length\":131072,\"type\":0,"
         "\"description\":\"clean\"}\n"
         "{\"offset\":196608,\"length\":1000,\"type\":3,"
         "\"description\":\"unknown\"}\n");
}

static void
test_split_types (void)
{
  const BitmapMap text = { .format = BITMAP_MAP_TEXT, .only_dirty = TRUE };
  const BitmapMap jsonl = { .format = BITMAP_MAP_JSONL };
  const Qcow2ExtentTotals totals = { .clean = 10,
                                     .dirty = 20,
                                     .dirty_zero = 10,
                                     .dirty_unallocated = 40,
                                     .dirty_unallocated_zero = 20 };

  check (text, split, 3,
         "         0         512    5  dirty,zero\n"
         "       512         512    9  dirty,unallocated\n"
         "      1024         512   13  dirty,zero,unallocated\n");
  check (jsonl, split, 3,
         "{\"offset\":0,\"length\":512,\"type\":5,"
         "\"description\":\"dirty,zero\"}\n"
         "{\"offset\":512,\"length\":512,\"type\":9,"
         "\"description\":\"dirty,unallocated\"}\n"
         "{\"offset\":1024,\"length\":512,\"type\":13,"
         "\"description\":\"dirty,zero,unallocated\"}\n");
  check_totals (text, totals,
                "        20  20.0%   1 dirty\n"
                "        10  10.0%   5 dirty,zero\n"
                "        40  40.0%   9 dirty,unallocated\n"
                "        20  20.0%  13 dirty,zero,unallocated\n");
}

/* Dirty and unknown extents have the status "not tried" (?), because they must
 * be copied; clean extents have the status "finished" (+). */
static void
test_ddrescue (void)
{
  const BitmapMap map = { .format = BITMAP_MAP_DDRESCUE };
  const Qcow2Extent far[] = { { X (7fffffffffff0000), X (ffff), DIRTY } };

  check (map, three, 3,
         "# Mapfile. Created by qcow2tool\n"
         "# current_pos  current_status  current_pass\n"
         "0x00000000     ?               1\n"
         "#      pos        size  status\n"
         "0x00000000  0x00010000  ?\n"
         "0x00010000  0x00020000  +\n"
         "0x00030000  0x000003E8  ?\n");
  check (map, far, 1,
         "# Mapfile. Created by qcow2tool\n"
         "# current_pos  current_status  current_pass\n"
         "0x7FFFFFFFFFFF0000     ?               1\n"
         "#      pos        size  status\n"
         "0x7FFFFFFFFFFF0000  0x0000FFFF  ?\n");
}

/* There are no extents, or only extents that only_dirty leaves out. */
static void
test_empty (void)
{
  const BitmapMap text = { .format = BITMAP_MAP_TEXT, .only_dirty = TRUE };
  const BitmapMap json = { .format = BITMAP_MAP_JSON, .only_dirty = TRUE };
  const BitmapMap jsonl = { .format = BITMAP_MAP_JSONL, .only_dirty = TRUE };
  const BitmapMap rescue = { .format = BITMAP_MAP_DDRESCUE };

  for (gsize n = 0; n < 2; n++)
    {
      check (text, three + 1, n, "");
      check (json, three + 1, n, "[]\n");
      check (jsonl, three + 1, n, "");
    }
  check (rescue, NULL, 0,
         "# Mapfile. Created by qcow2tool\n"
         "# current_pos  current_status  current_pass\n"
         "0x00000000     ?               1\n"
         "#      pos        size  status\n");
}

/* Unknown extents are printed as well, because they must be copied, too. */
static void
test_only_dirty (void)
{
  const BitmapMap text = { .format = BITMAP_MAP_TEXT, .only_dirty = TRUE };
  const BitmapMap json = { .format = BITMAP_MAP_JSON, .only_dirty = TRUE };

  check (text, three, 3,
         "         0       65536    1  dirty\n"
         "    196608        1000    3  unknown\n");
  check (json, three, 3,
         "[\n"
         "    {\"offset\": 0, \"length\": 65536, \"type\": 1,"
         " \"description\": \"dirty\"},\n"
         "    {\"offset\": 196608, \"length\": 1000, \"type\": 3,"
         " \"description\": \"unknown\"}\n"
         "]\n");
}

/* ---- Pieces ---- */

static void
test_split (void)
{
  const Qcow2Extent extents[]
      = { { 512, 2500, DIRTY }, { 3012, 1000, CLEAN } };
  const BitmapMap map = { .format = BITMAP_MAP_TEXT, .split = 1000 };
  const BitmapMap exact = { .format = BITMAP_MAP_TEXT, .split = 1250 };
  const BitmapMap larger = { .format = BITMAP_MAP_TEXT, .split = 2501 };

  check (map, extents, 2,
         "       512        1000    1  dirty\n"
         "      1512        1000    1  dirty\n"
         "      2512         500    1  dirty\n"
         "      3012        1000    0  clean\n");
  check (exact, extents, 1,
         "       512        1250    1  dirty\n"
         "      1762        1250    1  dirty\n");
  check (larger, extents, 1, "       512        2500    1  dirty\n");
}

static void
test_split_huge (void)
{
  const Qcow2Extent all[] = { { 0, G_MAXUINT64, DIRTY } };
  const BitmapMap half
      = { .format = BITMAP_MAP_TEXT, .split = X (8000000000000000) };
  const BitmapMap most = { .format = BITMAP_MAP_TEXT, .split = G_MAXUINT64 };

  check (half, all, 1,
         "         0  9223372036854775808    1  dirty\n"
         "9223372036854775808  9223372036854775807    1  dirty\n");
  check (most, all, 1, "         0  18446744073709551615    1  dirty\n");
}

/* Pieces are separated by commas, as extents are; clean extents add none. */
static void
test_split_json (void)
{
  const BitmapMap map
      = { .format = BITMAP_MAP_JSON, .split = 600, .only_dirty = TRUE };

  check (map, three + 1, 2,
         "[\n"
         "    {\"offset\": 196608, \"length\": 600, \"type\": 3,"
         " \"description\": \"unknown\"},\n"
         "    {\"offset\": 197208, \"length\": 400, \"type\": 3,"
         " \"description\": \"unknown\"}\n"
         "]\n");
}

/* Each call takes off one piece and returns whether there is more. */
static void
test_one_piece (void)
{
  BitmapMap map = { .format = BITMAP_MAP_JSONL, .split = 4 };
  Qcow2Extent extent = { 10, 6, DIRTY };
  g_autoptr (GString) out = g_string_new (NULL);

  g_assert_true (bitmap_map_extent (&map, out, &extent));
  g_assert_cmpuint (extent.offset, ==, 14);
  g_assert_cmpuint (extent.length, ==, 2);
  g_assert_false (bitmap_map_extent (&map, out, &extent));
  g_assert_cmpuint (extent.offset, ==, 16);
  g_assert_cmpuint (extent.length, ==, 0);
  g_assert_cmpstr (out->str, ==,
                   "{\"offset\":10,\"length\":4,\"type\":1,"
                   "\"description\":\"dirty\"}\n"
                   "{\"offset\":14,\"length\":2,\"type\":1,"
                   "\"description\":\"dirty\"}\n");
}

/* ---- Totals ---- */

static void
test_totals_text (void)
{
  const BitmapMap map = { .format = BITMAP_MAP_TEXT };
  const Qcow2ExtentTotals third = { .clean = 2000, .dirty = 1000 };
  const Qcow2ExtentTotals each = { .clean = 500, .dirty = 499, .unknown = 1 };
  const Qcow2ExtentTotals huge
      = { .clean = X (7fffffffffffffff), .unknown = X (8000000000000000) };

  check_totals (map, third,
                "      2000  66.7%   0 clean\n"
                "      1000  33.3%   1 dirty\n");
  check_totals (map, each,
                "       500  50.0%   0 clean\n"
                "       499  49.9%   1 dirty\n"
                "         1   0.1%   3 unknown\n");
  check_totals (map, huge,
                "9223372036854775807  50.0%   0 clean\n"
                "9223372036854775808  50.0%   3 unknown\n");
}

/* A type without bytes has no row, and an empty disk has no rows at all. */
static void
test_totals_one_type (void)
{
  const BitmapMap text = { .format = BITMAP_MAP_TEXT };
  const BitmapMap json = { .format = BITMAP_MAP_JSON };
  const Qcow2ExtentTotals dirty = { .dirty = 67108864 };
  const Qcow2ExtentTotals nothing = { 0 };

  check_totals (text, dirty, "  67108864 100.0%   1 dirty\n");
  check_totals (json, dirty,
                "[\n"
                "    {\"size\": 67108864, \"percent\": 100, \"type\": 1,"
                " \"description\": \"dirty\"}\n"
                "]\n");
  check_totals (text, nothing, "");
  check_totals (json, nothing, "[]\n");
}

static void
test_totals_json (void)
{
  const BitmapMap json = { .format = BITMAP_MAP_JSON };
  const BitmapMap jsonl = { .format = BITMAP_MAP_JSONL };
  const Qcow2ExtentTotals totals
      = { .clean = 125, .dirty = 3, .unknown = 128 };

  check_totals (json, totals,
                "[\n"
                "    {\"size\": 125, \"percent\": 48.8281, \"type\": 0,"
                " \"description\": \"clean\"},\n"
                "    {\"size\": 3, \"percent\": 1.17188, \"type\": 1,"
                " \"description\": \"dirty\"},\n"
                "    {\"size\": 128, \"percent\": 50, \"type\": 3,"
                " \"description\": \"unknown\"}\n"
                "]\n");
  check_totals (jsonl, totals,
                "{\"size\":125,\"percent\":48.8281,\"type\":0,"
                "\"description\":\"clean\"}\n"
                "{\"size\":3,\"percent\":1.17188,\"type\":1,"
                "\"description\":\"dirty\"}\n"
                "{\"size\":128,\"percent\":50,\"type\":3,"
                "\"description\":\"unknown\"}\n");
}

/* Types that are not printed still count: percents are of the whole disk. */
static void
test_totals_only_dirty (void)
{
  const BitmapMap text = { .format = BITMAP_MAP_TEXT, .only_dirty = TRUE };
  const BitmapMap json = { .format = BITMAP_MAP_JSON, .only_dirty = TRUE };
  const Qcow2ExtentTotals totals
      = { .clean = 600, .dirty = 300, .unknown = 100 };
  const Qcow2ExtentTotals clean = { .clean = 600 };

  check_totals (text, totals,
                "       300  30.0%   1 dirty\n"
                "       100  10.0%   3 unknown\n");
  check_totals (text, clean, "");
  check_totals (json, clean, "[]\n");
}

/* Asserts that PERCENT is EXPECTED bit by bit. */
static void
check_percent (guint64 part, guint64 whole, double expected)
{
  const double percent = percent_of (part, whole);

  if (memcmp (&percent, &expected, sizeof percent) != 0)
    g_error ("%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
             ": %.17g is not %.17g",
             part, whole, percent, expected);
}

static void
test_percent (void)
{
  check_percent (0, 7, 0);
  check_percent (7, 7, 100);
  check_percent (1, 8, 12.5);
  check_percent (36, 1024, 3.515625);
  check_percent (G_MAXUINT64, G_MAXUINT64, 100);
  check_percent (X (4000000000000000), X (8000000000000000), 50);
  check_percent (1, X (8000000000000000), 0x1.9p-57); /* 100 / 2^63 */
}

/* The values that Python, whose numbers are doubles, computes for 100.0 * PART
 * / WHOLE.  With the 64 bits of the x87 unit the second one would be 48.8 %,
 * the third 6.2 %, and the last digit of the last one a 3. */
static void
test_percent_steps (void)
{
  const BitmapMap map = { .format = BITMAP_MAP_TEXT, .only_dirty = TRUE };
  const Qcow2ExtentTotals below
      = { .clean = G_GUINT64_CONSTANT (232469295973788213),
          .dirty = G_GUINT64_CONSTANT (5966711929993896461) };
  const Qcow2ExtentTotals half
      = { .clean = G_GUINT64_CONSTANT (1955542807303135148),
          .dirty = G_GUINT64_CONSTANT (1860150474859079765) };
  const Qcow2ExtentTotals sixteenth
      = { .clean = G_GUINT64_CONSTANT (7161163582000246952),
          .dirty = G_GUINT64_CONSTANT (477410905487683109) };

  check_totals (map, below, "5966711929993896461  96.3%   1 dirty\n");
  check_totals (map, half, "1860150474859079765  48.7%   1 dirty\n");
  check_totals (map, sixteenth, "477410905487683109   6.3%   1 dirty\n");
  check_percent (G_GUINT64_CONSTANT (7721089716328),
                 G_GUINT64_CONSTANT (51744127472420), 14.921673421671661);
}

static guint64
random_number (void)
{
  const guint64 high = (guint64) (guint32) g_test_rand_int ();
  const guint64 number = high << 32 | (guint32) g_test_rand_int ();

  return number >> g_test_rand_int_range (0, 64);
}

/* Computes the same steps on this machine, if it rounds each to a double. */
static void
test_percent_random (void)
{
  if (FLT_EVAL_METHOD != 0)
    {
      g_test_skip ("this machine computes with more bits than a double has");
      return;
    }

  for (guint i = 0; i < 20000; i++)
    {
      const guint64 a = random_number ();
      const guint64 b = random_number ();
      const guint64 whole = MAX (MAX (a, b), 1);
      const guint64 part = MIN (a, b);

      check_percent (part, whole, 100.0 * (double) part / (double) whole);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/bitmap-map/text", test_text);
  g_test_add_func ("/bitmap-map/json", test_json);
  g_test_add_func ("/bitmap-map/jsonl", test_jsonl);
  g_test_add_func ("/bitmap-map/split-types", test_split_types);
  g_test_add_func ("/bitmap-map/ddrescue", test_ddrescue);
  g_test_add_func ("/bitmap-map/empty", test_empty);
  g_test_add_func ("/bitmap-map/only-dirty", test_only_dirty);
  g_test_add_func ("/bitmap-map/split/text", test_split);
  g_test_add_func ("/bitmap-map/split/huge", test_split_huge);
  g_test_add_func ("/bitmap-map/split/json", test_split_json);
  g_test_add_func ("/bitmap-map/split/one-piece", test_one_piece);
  g_test_add_func ("/bitmap-map/totals/text", test_totals_text);
  g_test_add_func ("/bitmap-map/totals/one-type", test_totals_one_type);
  g_test_add_func ("/bitmap-map/totals/json", test_totals_json);
  g_test_add_func ("/bitmap-map/totals/only-dirty", test_totals_only_dirty);
  g_test_add_func ("/bitmap-map/percent/exact", test_percent);
  g_test_add_func ("/bitmap-map/percent/steps", test_percent_steps);
  g_test_add_func ("/bitmap-map/percent/random", test_percent_random);
  return g_test_run ();
}
