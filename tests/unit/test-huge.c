/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files of the largest sizes that a 64-bit offset allows, with metadata at
 * their very end.  Offsets must not overflow, and the last byte is as usable
 * as the first.  The files take only as much memory as their metadata. */

#include "config.h"

#include "oracle/drive.h"

#include "test-util.h"

#define KIB G_GUINT64_CONSTANT (1024)
#define TWO_TO_56 (G_GUINT64_CONSTANT (1) << 56)
#define TWO_TO_63 (G_GUINT64_CONSTANT (1) << 63)

/* The last clusters of 64 KiB in a file of 2^63 - 1 bytes.  The very last one
 * lacks its last byte. */
#define LAST_CLUSTER (TWO_TO_63 - 64 * KIB)
#define CLUSTER_BEFORE (TWO_TO_63 - 128 * KIB)
#define CLUSTER_BEFORE_THAT (TWO_TO_63 - 192 * KIB)

/* The last cluster that a bitmap table entry can reference. */
#define LAST_DATA (TWO_TO_56 - 64 * KIB)

/* Offsets and sizes in base two-bitmaps: its directory of two entries, and the
 * fields of the bitmaps extension that describe the directory. */
#define DIRECTORY 0x2c0000
#define DIRECTORY_LENGTH 64
#define AT_DIRECTORY_SIZE 0x208
#define AT_DIRECTORY_OFFSET 0x210

/* An image at offset 0 and one PIECE at a larger offset.  The other bytes of
 * the file are zeroes. */
typedef struct
{
  ByteSource base;
  Image *image;
  guint64 far; /* offset of PIECE */
  GByteArray *piece;
  guint64 max_offset; /* largest end offset of a read */
} HugeSource;

/* Copies the part of PIECE, which begins at START, that overlaps the LEN bytes
 * at OFFSET to BUFFER. */
static void
overlay (const GByteArray *piece, guint64 start, guint64 offset,
         guint8 *buffer, gsize len)
{
  const guint64 first = MAX (start, offset);
  const guint64 end = MIN (start + piece->len, offset + len);

  if (first < end)
    memcpy (buffer + (first - offset), piece->data + (first - start),
            end - first);
}

static gssize
huge_read (ByteSource *source, guint64 offset, guint8 *buffer, gsize len)
{
  HugeSource *self = (HugeSource *) source;

  g_assert_cmpuint (offset, <=, source->size);
  g_assert_cmpuint (len, <=, source->size - offset);
  self->max_offset = MAX (self->max_offset, offset + len);
  memset (buffer, 0, len);
  overlay (self->image->bytes, 0, offset, buffer, len);
  overlay (self->piece, self->far, offset, buffer, len);
  return (gssize) len;
}

static void
huge_free (ByteSource *source)
{
  HugeSource *self = (HugeSource *) source;

  image_free (self->image);
  g_byte_array_unref (self->piece);
  g_free (self);
}

/* Returns base two-bitmaps with PATCH, which may be NULL, in a file of SIZE
 * bytes. */
static HugeSource *
huge_new (guint64 size, const char *patch)
{
  static const ByteSourceClass huge_class
      = { .read = huge_read, .free = huge_free };
  HugeSource *self = g_new0 (HugeSource, 1);

  self->base.klass = &huge_class;
  self->base.size = size;
  self->image = build_patched ("two-bitmaps", patch);
  self->piece = g_byte_array_new ();
  return self;
}

/* Copies the directory to OFFSET and makes the image reference the copy. */
static void
move_directory (HugeSource *source, guint64 offset)
{
  image_put_be (source->image, AT_DIRECTORY_OFFSET, 8, offset);
  source->far = offset;
  for (guint i = 0; i < DIRECTORY_LENGTH; i++)
    {
      const guint8 byte
          = (guint8) image_get_be (source->image, DIRECTORY + i, 1);

      g_byte_array_append (source->piece, &byte, 1);
    }
}

static guint64
count_errors (HugeSource *source)
{
  const DriveOptions options = { .max_rows = 10000, .twice = !RUNNING_SLOWLY };
  const DriveResult result = drive (&source->base, &options);

  g_assert_true (result.was_opened);
  g_assert_false (result.read_failed);
  g_assert_cmpuint (result.n_bitmaps, ==, 2);
  return result.n_errors;
}

/* Returns whether a bitmap of SOURCE breaks RULE.  Frees SOURCE. */
static gboolean
breaks (HugeSource *source, const char *rule)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  g_autoptr (Qcow2Image) image
      = qcow2_image_open_checked (&source->base, findings, NULL);
  g_autoptr (Qcow2Directory) directory = qcow2_directory_open (image, NULL);
  g_autoptr (Qcow2BitmapChecker) checker
      = qcow2_bitmap_checker_new (directory, findings);
  g_auto (Qcow2Bitmap) bitmap = { 0 };

  while (qcow2_directory_next (directory, &bitmap, NULL) == QCOW2_NEXT_ITEM)
    g_assert_true (qcow2_bitmap_checker_check (checker, &bitmap, NULL));

  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    {
      if (g_str_equal (qcow2_findings_get (findings, i)->rule, rule))
        return TRUE;
    }

  return FALSE;
}

/* Only the size of the file is huge. */
static void
test_length (gconstpointer data)
{
  static const guint64 sizes[] = { TWO_TO_63 - 1, TWO_TO_63, G_MAXUINT64 };

  HugeSource *source = huge_new (sizes[GPOINTER_TO_UINT (data)], NULL);
  g_assert_cmpuint (count_errors (source), ==, 0);
  byte_source_free (&source->base);
}

/* Directory, table and data are at the largest possible offsets. */
static void
test_everything_at_the_end (void)
{
  HugeSource *source = huge_new (TWO_TO_63 - 1, NULL);

  image_put_be (source->image, DIRECTORY, 8, CLUSTER_BEFORE);
  image_put_be (source->image, DIRECTORY + 32, 8, CLUSTER_BEFORE_THAT);
  move_directory (source, LAST_CLUSTER);
  g_assert_cmpuint (count_errors (source), ==, 0);
  g_assert_cmpuint (source->max_offset, >=, LAST_CLUSTER + 64);
  byte_source_free (&source->base);
}

static void
test_data_at_the_end (void)
{
  HugeSource *source = huge_new (TWO_TO_63 - 1, NULL);

  image_put_be (source->image, 0x2a0000, 8, LAST_DATA);
  g_assert_cmpuint (count_errors (source), ==, 0);
  byte_source_free (&source->base);
}

/* The last 65535 bytes hold a table of 8191 entries, but not of 8192. */
static void
test_table_at_the_end (void)
{
  for (guint n = 8191; n <= 8192; n++)
    {
      HugeSource *source = huge_new (TWO_TO_63 - 1, NULL);

      image_put_be (source->image, DIRECTORY, 8, LAST_CLUSTER);
      image_put_be (source->image, DIRECTORY + 8, 4, n);
      g_assert_cmpuint (count_errors (source), >, 0); /* it needs one entry */
      g_assert_cmpint (breaks (source, "BDIR-07"), ==, n == 8192);
    }
}

/* The last 65535 bytes hold a directory of 65528 bytes, the largest multiple
 * of 8 that fits. */
static void
test_directory_at_the_end (void)
{
  for (guint64 size = 65528; size <= 65544; size += 8)
    {
      HugeSource *source = huge_new (TWO_TO_63 - 1, NULL);

      image_put_be (source->image, AT_DIRECTORY_SIZE, 8, size);
      move_directory (source, LAST_CLUSTER);
      g_assert_cmpint (breaks (source, "BEXT-06"), ==, size > 65528);
    }
}

/* An offset that overflows when the size is added does not lead to the start
 * of the file. */
static void
test_wraps (void)
{
  static const guint64 offsets[]
      = { TWO_TO_63, G_MAXUINT64 - 64 * KIB + 1, G_MAXUINT64 - 128 * KIB + 1 };

  const guint step = RUNNING_SLOWLY ? G_N_ELEMENTS (offsets) : 1;

  for (guint i = 0; i < G_N_ELEMENTS (offsets); i += step)
    {
      HugeSource *table = huge_new (TWO_TO_63 - 1, NULL);
      HugeSource *directory = huge_new (TWO_TO_63 - 1, NULL);

      image_put_be (table->image, DIRECTORY, 8, offsets[i]);
      image_put_be (table->image, DIRECTORY + 8, 4, 16384);
      g_assert_cmpuint (count_errors (table), >, 0);
      g_assert_true (breaks (table, "BDIR-07"));

      image_put_be (directory->image, AT_DIRECTORY_SIZE, 8, 131072);
      image_put_be (directory->image, AT_DIRECTORY_OFFSET, 8, offsets[i]);
      g_assert_true (breaks (directory, "BEXT-06"));
    }
}

int
main (int argc, char **argv)
{
  /* valgrind takes seconds for each check of a whole file of this size. */
  const guint n_lengths = RUNNING_SLOWLY ? 1 : 3;

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < n_lengths; i++)
    {
      g_autofree char *path = g_strdup_printf ("/huge/length/%u", i);

      g_test_add_data_func (path, GUINT_TO_POINTER (i), test_length);
    }
  g_test_add_func ("/huge/everything-at-the-end", test_everything_at_the_end);
  if (!RUNNING_SLOWLY)
    {
      g_test_add_func ("/huge/data-at-the-end", test_data_at_the_end);
      g_test_add_func ("/huge/table-at-the-end", test_table_at_the_end);
    }
  g_test_add_func ("/huge/directory-at-the-end", test_directory_at_the_end);
  g_test_add_func ("/huge/wraps", test_wraps);
  return g_test_run ();
}
