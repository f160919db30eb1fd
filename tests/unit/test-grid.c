/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets each number in the metadata, alone and together with a related number,
 * to the values at which a count, an offset or a shift could go wrong, a
 * random part of them in each run; and tries each limit from both sides.  The
 * offsets, widths and limits of the numbers were copied by hand from the
 * specification. */

#include "config.h"

#include "oracle/drive.h"

#include "test-util.h"

/* Rows of tables that are printed: more of them test nothing new. */
#define MAX_ROWS 600

#define MAX_U64 G_MAXUINT64
#define TWO_TO(n) (G_GUINT64_CONSTANT (1) << (n))

typedef struct
{
  const char *base;
  guint64 offset; /* host, bytes */
  guint width;    /* bytes */
} Field;

/* clang-format off */
#define HEADER_V2(base)                                                       \
  { base, 0, 4 }, { base, 4, 4 }, { base, 8, 8 }, { base, 16, 4 },            \
  { base, 20, 4 }, { base, 24, 8 }, { base, 32, 4 }, { base, 36, 4 },         \
  { base, 40, 8 }, { base, 48, 8 }, { base, 56, 4 }, { base, 60, 4 },         \
  { base, 64, 8 }
#define HEADER(base)                                                          \
  HEADER_V2 (base), { base, 72, 8 }, { base, 80, 8 }, { base, 88, 8 },        \
  { base, 96, 4 }, { base, 100, 4 }, { base, 104, 1 }, { base, 105, 1 },      \
  { base, 111, 1 }
#define EXTENSION(base, at) { base, (at), 4 }, { base, (at) + 4, 4 }
#define FEATURE(base, at) { base, (at), 1 }, { base, (at) + 1, 1 }
#define BITMAPS_EXTENSION(base, at)                                           \
  { base, (at), 4 }, { base, (at) + 4, 4 }, { base, (at) + 8, 8 },            \
  { base, (at) + 16, 8 }
#define CRYPTO_EXTENSION(base, at) { base, (at), 8 }, { base, (at) + 8, 8 }
#define DIRECTORY_ENTRY(base, at)                                             \
  { base, (at), 8 }, { base, (at) + 8, 4 }, { base, (at) + 12, 4 },           \
  { base, (at) + 16, 1 }, { base, (at) + 17, 1 }, { base, (at) + 18, 2 },     \
  { base, (at) + 20, 4 }
#define TABLE_ENTRY(base, at) { base, (at), 8 }
#define SNAPSHOT(base, at)                                                    \
  { base, (at), 8 }, { base, (at) + 8, 4 }, { base, (at) + 12, 2 },           \
  { base, (at) + 14, 2 }, { base, (at) + 32, 4 }, { base, (at) + 36, 4 }

/* Offsets in the builder's images, which the builder's tests check. */
static const Field fields[] = {
  HEADER ("two-bitmaps"), EXTENSION ("two-bitmaps", 0x70),
  FEATURE ("two-bitmaps", 0x78),
  EXTENSION ("two-bitmaps", 0x1f8), BITMAPS_EXTENSION ("two-bitmaps", 0x200),
  EXTENSION ("two-bitmaps", 0x218),
  DIRECTORY_ENTRY ("two-bitmaps", 0x2c0000),
  DIRECTORY_ENTRY ("two-bitmaps", 0x2c0020),
  TABLE_ENTRY ("two-bitmaps", 0x2a0000), TABLE_ENTRY ("two-bitmaps", 0x2b0000),

  HEADER ("four-entries"), EXTENSION ("four-entries", 0x70),
  BITMAPS_EXTENSION ("four-entries", 0x78),
  EXTENSION ("four-entries", 0x90), DIRECTORY_ENTRY ("four-entries", 0x12800),
  TABLE_ENTRY ("four-entries", 0x12600), TABLE_ENTRY ("four-entries", 0x12608),
  TABLE_ENTRY ("four-entries", 0x12618),

  HEADER_V2 ("version-2"), EXTENSION ("version-2", 72),
  HEADER ("backing-file-with-format"),
  EXTENSION ("backing-file-with-format", 0x70),
  EXTENSION ("backing-file-with-format", 0x80),
  HEADER ("luks"), EXTENSION ("luks", 0x70), CRYPTO_EXTENSION ("luks", 0x78),
  HEADER ("data-file"), EXTENSION ("data-file", 0x70),
  HEADER ("snapshot"), SNAPSHOT ("snapshot", 0x50000),
  DIRECTORY_ENTRY ("extra-data-compatible", 0x70000),
};

/* An offset, and the size of the structure there in units.  A structure
 * outside the file breaks a rule. */
static const struct
{
  Field offset, size;
  guint unit;       /* bytes; 0: not an offset and a size */
  const char *rule; /* names of one or more rules */
  guint step;       /* index step of the second value; 0: 2 */
} pairs[] = {
  { { "backing-file-with-format", 8, 8 },
    { "backing-file-with-format", 16, 4 }, 1, "HDR-12 HDR-13" },
  { { "two-bitmaps", 40, 8 }, { "two-bitmaps", 36, 4 }, 8, "HDR-17" },
  { { "two-bitmaps", 48, 8 }, { "two-bitmaps", 56, 4 }, 65536, "HDR-18" },
  { { "luks", 0x78, 8 }, { "luks", 0x80, 8 }, 1, "EXT-13" },
  { { "four-entries", 0x88, 8 }, { "four-entries", 0x80, 8 }, 1,
    "BEXT-06", 8 },
  { { "two-bitmaps", 0x2c0000, 8 }, { "two-bitmaps", 0x2c0008, 4 }, 8,
    "BDIR-07", 8 },
  { { "four-entries", 0x12800, 8 }, { "four-entries", 0x12808, 4 }, 8,
    "BDIR-07", 8 },
  /* The header does not have the size of the snapshot table. */
  { { "snapshot", 64, 8 }, { "snapshot", 60, 4 } },
  /* These are multiplied, added or shifted. */
  /* size, cluster_bits */
  { { "four-entries", 24, 8 }, { "four-entries", 20, 4 } },
  /* size, granularity */
  { { "four-entries", 24, 8 }, { "four-entries", 0x12811, 1 } },
  /* cluster_bits, granularity */
  { { "four-entries", 20, 4 }, { "four-entries", 0x12811, 1 } },
  /* extra data, name */
  { { "two-bitmaps", 0x2c0014, 4 }, { "two-bitmaps", 0x2c0012, 2 } },
  /* directory, nb_bitmaps */
  { { "two-bitmaps", 0x208, 8 }, { "two-bitmaps", 0x200, 4 } },
  /* header, extension */
  { { "two-bitmaps", 100, 4 }, { "two-bitmaps", 0x74, 4 } },
};

/* clang-format on */

/* Values to store: powers of two and their neighbours, sizes of structures,
 * limits, and values that overflow 32 and 64 bits.  They are truncated to the
 * width of the field. */
static const guint64 values[] = {
  0,
  1,
  2,
  3,
  7,
  8,
  9,
  21,
  22,
  23,
  24,
  25,
  30,
  31,
  32,
  33,
  63,
  64,
  65,
  71,
  72,
  103,
  104,
  105,
  111,
  112,
  113,
  120,
  127,
  128,
  129,
  255,
  256,
  511,
  512,
  513,
  1023,
  1024,
  4096,
  8192,
  32767,
  32768,
  65535,
  65536,
  65537,
  0x40000,
  0x2a0000,
  0x2c0000,
  0x2c0040, /* size of two-bitmaps */
  0x2c0041,
  67107839, /* largest bitmap directory: 1024 * 65535 */
  67107840,
  67107841,
  0x8000000, /* longest bitmap table */
  0x8000001,
  0x1fffffff, /* times 8 is 2^32 - 8 */
  0x20000000,
  0x20000001,
  0x7fffffff,
  0x80000000,
  0x80000001,
  0xffff0000,
  0xffffffe5, /* plus 24 and a name of 3 bytes is 2^32 */
  0xfffffff8,
  0xffffffff,
  TWO_TO (32),
  TWO_TO (32) + 1,
  TWO_TO (32) + 65536,
  TWO_TO (40),
  TWO_TO (55),
  TWO_TO (56) - 512, /* largest offset in a table entry */
  TWO_TO (56),
  TWO_TO (60), /* times 16 overflows to 0 */
  TWO_TO (61), /* times 8 overflows to 0 */
  TWO_TO (62),
  TWO_TO (63) - 65536,
  TWO_TO (63) - 512,
  TWO_TO (63) - 1,
  TWO_TO (63),
  TWO_TO (63) + 1,
  TWO_TO (63) + 65536,
  MAX_U64 - 0x2c003f, /* plus the size of two-bitmaps overflows to 0 */
  MAX_U64 - 65535,
  MAX_U64 - 511,
  MAX_U64 - 31,
  MAX_U64 - 7,
  MAX_U64 - 6,
  MAX_U64,
};

/* A value at a limit: with it, the rule is broken unless IS_KEPT. */
typedef struct
{
  Field field;
  guint64 value;
  const char *finding; /* severity and rule */
  gboolean is_kept;
} Limit;

/* clang-format off */
#define LIMIT(base, offset, width, most, over, finding)                       \
  { { base, offset, width }, most, finding, TRUE },                           \
  { { base, offset, width }, over, finding, FALSE }

static const Limit limits[] = {
  LIMIT ("two-bitmaps", 20, 4, 9, 8, "E HDR-04"),
  LIMIT ("two-bitmaps", 20, 4, 21, 22, "W HDR-04"),
  LIMIT ("backing-file-with-format", 16, 4, 1023, 1024, "E HDR-13"),
  LIMIT ("backing-file-with-format", 16, 4, 1, 0, "W HDR-13"),
  /* one L1 entry */
  LIMIT ("two-bitmaps", 24, 8, 0x20000000, 0x20000200, "E HDR-15"),
  LIMIT ("two-bitmaps", 24, 8, 67108864, 67108865, "W HDR-15"),
  LIMIT ("two-bitmaps", 32, 4, 0, 3, "E HDR-16"),
  LIMIT ("two-bitmaps", 96, 4, 6, 7, "E HDR-28"),
  LIMIT ("two-bitmaps", 96, 4, 6, 64, "E HDR-28"),
  LIMIT ("two-bitmaps", 100, 4, 104, 103, "E HDR-06"),
  LIMIT ("two-bitmaps", 100, 4, 112, 113, "E HDR-07"),
  LIMIT ("two-bitmaps", 100, 4, 65536, 65544, "E HDR-08"),
  LIMIT ("four-entries", 100, 4, 512, 520, "E HDR-08"),
  LIMIT ("snapshot", 60, 4, 65536, 65537, "W HDR-19"),
  LIMIT ("snapshot", 64, 8, 0x50000, 0x51000, "E HDR-19"),
  LIMIT ("snapshot", 64, 8, 0x50000, TWO_TO (40), "E HDR-19"),
  LIMIT ("two-bitmaps", 72, 8, 3, 32, "E HDR-20"),
  LIMIT ("two-bitmaps", 72, 8, 0, TWO_TO (63), "E HDR-20"),
  /* 0x78 to 0x10000 */
  LIMIT ("two-bitmaps", 0x74, 4, 65416, 65417, "E EXT-03"),
  LIMIT ("two-bitmaps", 0x74, 4, 65416, MAX_U64, "E EXT-03"),
  LIMIT ("four-entries", 0x94, 4, 0, 8, "W EXT-06"),
  LIMIT ("four-entries", 0x94, 4, 360, 361, "E EXT-06"), /* 0x98 to 0x200 */
  LIMIT ("two-bitmaps", 0x79, 1, 63, 64, "W EXT-11"),
  LIMIT ("two-bitmaps", 0xd8, 1, 2, 3, "W EXT-11"), /* third row */
  LIMIT ("two-bitmaps", 0x1fc, 4, 24, 23, "E EXT-12"),
  LIMIT ("two-bitmaps", 0x1fc, 4, 24, 25, "E EXT-12"),
  LIMIT ("two-bitmaps", 0x200, 4, 1, 0, "E BEXT-01"),
  LIMIT ("two-bitmaps", 0x200, 4, 65535, 65536, "E BEXT-02"),
  LIMIT ("two-bitmaps", 0x204, 4, 0, 1, "E BEXT-03"),
  LIMIT ("two-bitmaps", 0x204, 4, 0, MAX_U64, "E BEXT-03"),
  LIMIT ("two-bitmaps", 0x208, 8, 67107840, 67107848, "E BEXT-04"),
  /* 24 for each of two */
  LIMIT ("two-bitmaps", 0x208, 8, 48, 40, "E BEXT-04"),
  LIMIT ("two-bitmaps", 0x208, 8, 64, 65, "E BEXT-04"),
  LIMIT ("two-bitmaps", 0x208, 8, 64, 0, "E BEXT-04"),
  LIMIT ("two-bitmaps", 0x210, 8, 0x2c0000, 0, "E BEXT-05"),
  LIMIT ("two-bitmaps", 0x210, 8, 0x2c0000, 0x2c0200, "E BEXT-05"),
  LIMIT ("two-bitmaps", 0x208, 8, 64, 72, "E BEXT-06"),
  LIMIT ("two-bitmaps", 0x2c0000, 8, 0x2a0000, 0, "E BDIR-05"),
  LIMIT ("two-bitmaps", 0x2c0000, 8, 0x2a0000, 0x2a0008, "E BDIR-05"),
  LIMIT ("two-bitmaps", 0x2c0008, 4, 1, 0, "E BDIR-06"),
  LIMIT ("two-bitmaps", 0x2c0008, 4, 0x8000000, 0x8000001, "E BDIR-06"),
  /* 512 MiB */
  LIMIT ("two-bitmaps", 0x2c0008, 4, 0x2000, 0x2001, "W BDIR-06"),
  LIMIT ("two-bitmaps", 0x2c0000, 8, 0x2c0000, 0x2d0000, "E BDIR-07"),
  /* to 0x2c0040 */
  LIMIT ("two-bitmaps", 0x2c0008, 4, 0x4008, 0x4009, "E BDIR-07"),
  LIMIT ("two-bitmaps", 0x2c000c, 4, 3, 8, "E BDIR-08"),
  LIMIT ("two-bitmaps", 0x2c000c, 4, 3, TWO_TO (31), "E BDIR-08"),
  LIMIT ("two-bitmaps", 0x2c0010, 1, 1, 2, "E BDIR-11"),
  LIMIT ("two-bitmaps", 0x2c0010, 1, 1, 0, "E BDIR-11"),
  LIMIT ("two-bitmaps", 0x2c0011, 1, 63, 64, "E BDIR-12"),
  LIMIT ("two-bitmaps", 0x2c0011, 1, 31, 32, "W BDIR-12"),
  LIMIT ("two-bitmaps", 0x2c0011, 1, 9, 8, "W BDIR-12"),
  LIMIT ("two-bitmaps", 0x2c0012, 2, 1, 0, "E BDIR-13"),
  LIMIT ("two-bitmaps", 0x2c0012, 2, 40, 41, "E BDIR-02"), /* to 0x2c0040 */
  LIMIT ("two-bitmaps", 0x2c0014, 4, 37, 38, "E BDIR-02"), /* and 3 of name */
  LIMIT ("two-bitmaps", 0x2c0014, 4, 0, 1, "E BDIR-14"),
  LIMIT ("four-entries", 0x12808, 4, 4, 5, "E BDIR-18"),
  LIMIT ("four-entries", 0x12808, 4, 4, 3, "E BDIR-18"),
  LIMIT ("two-bitmaps", 0x2a0000, 8, 1, 2, "E BTAB-01"),
  LIMIT ("two-bitmaps", 0x2a0000, 8, 1, 0x100, "E BTAB-01"),
  LIMIT ("two-bitmaps", 0x2a0000, 8, 0x290000, TWO_TO (56), "E BTAB-01"),
  LIMIT ("two-bitmaps", 0x2a0000, 8, 1, 0x290001, "E BTAB-02"),
  LIMIT ("two-bitmaps", 0x2a0000, 8, 0x290000, 0x290200, "E BTAB-03"),
  LIMIT ("two-bitmaps", 0x2a0000, 8, 0x2b0000, 0x2c0000, "E BTAB-05"),
};
/* clang-format on */

static void
put (Image *image, const Field *field, guint64 value)
{
  image_put_be (image, field->offset, field->width, value);
}

static void
drive_image (const Image *image, gboolean twice)
{
  const DriveOptions options = { .max_rows = MAX_ROWS, .twice = twice };
  FakeSource *source = fake_source_new (image->bytes, image->size);
  const DriveResult result = drive (&source->base, &options);

  g_assert_false (result.read_failed);
  byte_source_free (&source->base);
}

/* Returns whether VALUE fits into FIELD.  MAX_U64 always does: truncated, it
 * is all ones. */
static gboolean
fits (const Field *field, guint64 value)
{
  return field->width == 8 || value == MAX_U64
         || value < TWO_TO (8 * field->width);
}

/* Returns the first of the values that a test tries, if it tries one in STEP.
 * It is random, so that many runs try all. */
static guint
choose_first (guint step)
{
  return (guint) g_test_rand_int_range (0, (gint32) step);
}

/* Sets each number of an image to some of the values. */
static void
test_values (gconstpointer data)
{
  const char *base = data;
  const guint step = RUNNING_SLOWLY ? 181 : RUNNING_SANITIZED ? 27 : 9;
  const guint first = choose_first (step);
  g_autoptr (Image) image = image_build (base);

  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    {
      if (!g_str_equal (fields[i].base, base))
        continue;

      const guint64 was
          = image_get_be (image, fields[i].offset, fields[i].width);
      for (guint k = (first + i) % step; k < G_N_ELEMENTS (values); k += step)
        {
          if (!fits (&fields[i], values[k]))
            continue;

          put (image, &fields[i], values[k]);
          drive_image (image, TRUE);
        }
      put (image, &fields[i], was);
    }
}

static void
examine_bitmaps (const Qcow2Image *image, Qcow2Findings *findings)
{
  g_autoptr (Qcow2Directory) directory
      = qcow2_directory_open_checked (image, findings, NULL);
  g_autoptr (Qcow2BitmapChecker) checker
      = qcow2_bitmap_checker_new (directory, findings);
  g_auto (Qcow2Bitmap) bitmap = { 0 };

  while (qcow2_directory_next (directory, &bitmap, NULL) == QCOW2_NEXT_ITEM)
    g_assert_true (qcow2_bitmap_checker_check (checker, &bitmap, NULL));
}

/* Returns all findings about IMAGE, or NULL when it cannot be opened. */
static Qcow2Findings *
judge (const Image *image)
{
  FakeSource *source = fake_source_new (image->bytes, image->size);
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  g_autoptr (Qcow2Image) judged
      = qcow2_image_open_checked (&source->base, findings, NULL);

  if (judged == NULL)
    return NULL;

  examine_bitmaps (judged, findings);
  return g_steal_pointer (&findings);
}

/* Returns whether FINDINGS has a finding of one of RULES.  Its severity must
 * be SEVERITY, one of the letters E, W and I, unless SEVERITY is 0. */
static gboolean
is_found (const Qcow2Findings *findings, const char *rules, char severity)
{
  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (findings, i);

      if ((severity == '\0' || "EWI"[finding->severity] == severity)
          && strstr (rules, finding->rule) != NULL)
        return TRUE;
    }

  return FALSE;
}

/* Returns whether the structure that pair I describes ends after the file. */
static gboolean
is_outside (guint i, const Image *image)
{
  const Field *offset = &pairs[i].offset;
  const Field *size = &pairs[i].size;
  const guint64 start = image_get_be (image, offset->offset, offset->width);
  const guint64 n = image_get_be (image, size->offset, size->width);

  if (start == 0 || n == 0 || pairs[i].unit == 0)
    return FALSE; /* no structure */

  return start > image->size || n > (image->size - start) / pairs[i].unit;
}

static void
check_pair (guint i, const Image *image)
{
  if (!is_outside (i, image))
    return;

  g_autoptr (Qcow2Findings) findings = judge (image);

  g_assert_nonnull (findings);
  if (!is_found (findings, pairs[i].rule, '\0'))
    g_error (
        "no %s with 0x%" G_GINT64_MODIFIER "x and 0x%" G_GINT64_MODIFIER "x",
        pairs[i].rule,
        image_get_be (image, pairs[i].offset.offset, pairs[i].offset.width),
        image_get_be (image, pairs[i].size.offset, pairs[i].size.width));
}

/* Sets the numbers of a pair to combinations of two values. */
static void
test_pair (gconstpointer data)
{
  const guint i = GPOINTER_TO_UINT (data);
  const guint factor = RUNNING_SLOWLY ? 243 : RUNNING_SANITIZED ? 27 : 9;
  const guint step = MAX (pairs[i].step, 2) * factor;
  const guint first = choose_first (step);
  const Field *offset = &pairs[i].offset;
  const Field *size = &pairs[i].size;
  g_autoptr (Image) image = image_build (offset->base);

  for (guint k = 0; k < G_N_ELEMENTS (values); k++)
    {
      for (guint n = (first + k) % step; n < G_N_ELEMENTS (values); n += step)
        {
          if (!fits (offset, values[k]) || !fits (size, values[n]))
            continue;

          put (image, offset, values[k]);
          put (image, size, values[n]);
          drive_image (image, FALSE);
          check_pair (i, image);
        }
    }
}

static void
test_limit (gconstpointer data)
{
  const Limit *limit = data;
  g_autoptr (Image) image = image_build (limit->field.base);

  put (image, &limit->field, limit->value);
  g_autoptr (Qcow2Findings) findings = judge (image);

  g_assert_nonnull (findings);
  g_assert_cmpint (is_found (findings, limit->finding + 2, *limit->finding),
                   ==, !limit->is_kept);
}

static void
add_values (void)
{
  const char *base = "";

  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    {
      if (g_str_equal (base, fields[i].base))
        continue;

      base = fields[i].base;
      g_autofree char *path = g_strdup_printf ("/values/%s", base);
      g_test_add_data_func (path, base, test_values);
    }
}

static void
add_pairs (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (pairs); i++)
    {
      g_autofree char *path = g_strdup_printf (
          "/pairs/%s-0x%" G_GINT64_MODIFIER "x-0x%" G_GINT64_MODIFIER "x",
          pairs[i].offset.base, pairs[i].offset.offset, pairs[i].size.offset);

      g_test_add_data_func (path, GUINT_TO_POINTER (i), test_pair);
    }
}

static void
add_limits (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (limits); i++)
    {
      g_autofree char *path = g_strdup_printf (
          "/limits/%s/%c/%s-%u", limits[i].finding + 2, *limits[i].finding,
          limits[i].is_kept ? "kept" : "broken", i);

      g_test_add_data_func (path, &limits[i], test_limit);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_limits ();
  add_values ();
  add_pairs ();
  return g_test_run ();
}
