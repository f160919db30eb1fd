/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The input describes a file of any size.  It has the size in 8 bytes, then
 * records: an offset (8 bytes), a length (2 bytes), and that number of bytes.
 * The rest of the file is zeroes, and later records override earlier ones.
 * Such files have what no file in memory can have: tables of 2^32 entries,
 * offsets at 2^63. */

#include "config.h"

#include "fuzz.h"

#include <errno.h>
#include <string.h>

#include "buffer.h"

#define MAX_ROWS 1024

#define HEAD_SIZE 10

/* Later records are ignored. */
#define MAX_RECORDS 256

/* With most file sizes, reads of more than MAX_READ bytes fail, so that
 * readers do not read ahead, which is faster.  Once MAX_HOLES reads have met
 * no record, all reads fail: a walk through zeroes finds nothing new, but
 * takes time. */
#define MAX_READ 8192
#define MAX_HOLES 256

typedef struct
{
  guint64 offset;
  gsize len;
  const guint8 *bytes; /* in the input */
} Record;

typedef struct
{
  ByteSource base;
  Record records[MAX_RECORDS];
  guint n_records;
  guint n_holes; /* reads of zeroes, weighted by length */
} SparseSource;

const char *const fuzz_name = "sparse";

static void
store_be (guint8 *bytes, guint width, guint64 value)
{
  for (guint i = 0; i < width; i++)
    bytes[i] = (guint8) (value >> 8 * (width - 1 - i));
}

/* Copies the part of RECORD that overlaps the LEN bytes at OFFSET to BUFFER.
 * Returns whether there is such a part. */
static gboolean
lay_over (const Record *record, guint64 offset, guint8 *buffer, gsize len)
{
  const guint64 start = MAX (offset, record->offset);
  const guint64 end = MIN (offset + len, record->offset + record->len);

  if (start >= end)
    return FALSE;

  memcpy (buffer + (start - offset), record->bytes + (start - record->offset),
          end - start);
  return TRUE;
}

static gssize
sparse_read (ByteSource *source, guint64 offset, guint8 *buffer, gsize len)
{
  SparseSource *self = (SparseSource *) source;
  gboolean any = FALSE;

  if (len > MAX_READ && source->size % 16 != 9)
    {
      errno = EIO;
      return -1;
    }

  memset (buffer, 0, len);
  for (guint i = 0; i < self->n_records; i++)
    any = lay_over (&self->records[i], offset, buffer, len) || any;

  self->n_holes += any ? 0 : 1 + (guint) len / 512;
  if (self->n_holes > MAX_HOLES)
    {
      errno = EIO;
      return -1;
    }

  return (gssize) len;
}

static void
sparse_rewind (ByteSource *source)
{
  ((SparseSource *) source)->n_holes = 0;
}

/* Decodes the input of SIZE bytes in DATA.  Sizes and offsets are limited to
 * the range of off_t. */
static void
sparse_decode (SparseSource *self, const guint8 *data, gsize size)
{
  self->base.size = buffer_load_be (data, 8) & G_MAXINT64;
  self->n_records = 0;
  for (gsize at = 8; size - at >= HEAD_SIZE && self->n_records < MAX_RECORDS;)
    {
      Record *record = &self->records[self->n_records++];
      const gsize len = buffer_load_be (data + at + 8, 2);

      record->offset = buffer_load_be (data + at, 8) & G_MAXINT64;
      record->len = MIN (len, size - at - HEAD_SIZE);
      record->bytes = data + at + HEAD_SIZE;
      at += HEAD_SIZE + record->len;
    }
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  static const ByteSourceClass sparse_class = { .read = sparse_read };
  const DriveOptions options
      = { .rewind = sparse_rewind, .max_rows = MAX_ROWS };
  SparseSource source = { .base.klass = &sparse_class };

  if (size < 8)
    return 0;

  sparse_decode (&source, data, size);
  fuzz_drive (&source.base, data, size, &options);
  return 0;
}

/* An input that is modified in place.  New records are appended. */
typedef struct
{
  LayoutImage base;
  SparseSource source;
  guint8 *data;
  gsize size; /* of the input, in bytes */
  gsize max_size;
} SparseImage;

static guint64
sparse_get (const LayoutImage *image, guint64 offset, guint width)
{
  const SparseSource *source = &((const SparseImage *) image)->source;
  guint8 bytes[8] = { 0 };

  for (guint i = 0; i < source->n_records; i++)
    lay_over (&source->records[i], offset, bytes, width);

  return buffer_load_be (bytes, width);
}

static void
append_record (SparseImage *self, guint64 offset, guint width, guint64 value)
{
  guint8 *to = self->data + self->size;

  if (width == 0 || self->max_size - self->size < HEAD_SIZE + width)
    return;

  store_be (to, 8, offset);
  store_be (to + 8, 2, width);
  store_be (to + HEAD_SIZE, width, value);
  self->size += HEAD_SIZE + width;
  sparse_decode (&self->source, self->data, self->size);
}

/* Returns whether RECORD has all of the WIDTH bytes at OFFSET. */
static gboolean
has_all (const Record *record, guint64 offset, guint width)
{
  return offset >= record->offset && record->len >= width
         && offset - record->offset <= record->len - width;
}

static void
sparse_put (LayoutImage *image, guint64 offset, guint width, guint64 value)
{
  SparseImage *self = (SparseImage *) image;

  for (guint i = self->source.n_records; i > 0; i--)
    {
      const Record *record = &self->source.records[i - 1];

      if (has_all (record, offset, width))
        {
          const gsize at = (gsize) (record->bytes - self->data);

          store_be (self->data + at + (offset - record->offset), width, value);
          return;
        }
    }

  append_record (self, offset, width, value);
}

static void
sparse_resize (LayoutImage *image, guint64 size)
{
  SparseImage *self = (SparseImage *) image;
  static const guint bits[] = { 63, 55, 43, 41, 33, 32, 31, 21 };

  /* Sparse files may have any size. */
  if (layout_random (image, 2) == 0)
    size = (G_GUINT64_CONSTANT (1)
            << bits[layout_random (image, G_N_ELEMENTS (bits))])
           - layout_random (image, 2);

  store_be (self->data, 8, size);
  sparse_decode (&self->source, self->data, self->size);
  image->size = self->source.base.size;
}

gsize
LLVMFuzzerCustomMutator (guint8 *data, gsize size, gsize max_size,
                         unsigned int seed)
{
  if (size < 8 || seed % 3 == 0)
    return LLVMFuzzerMutate (data, size, max_size);

  SparseImage image = { .base = { .get = sparse_get,
                                  .put = sparse_put,
                                  .resize = sparse_resize,
                                  .random = seed | 1ull << 40 },
                        .data = data,
                        .size = size,
                        .max_size = max_size };

  sparse_decode (&image.source, data, size);
  image.base.size = image.source.base.size;
  layout_mutate (&image.base);
  return image.size;
}

/* Number of zero bytes that end a record. */
#define GAP 32

static gsize
count_zeroes (const GByteArray *bytes, gsize at)
{
  gsize n = 0;

  while (at + n < bytes->len && bytes->data[at + n] == 0)
    n++;

  return n;
}

/* Returns the end of the record that begins at AT. */
static gsize
find_end (const GByteArray *bytes, gsize at)
{
  const gsize most = MIN (bytes->len, at + 1024);
  gsize end = at;

  while (end < most)
    {
      const gsize n = count_zeroes (bytes, end);

      if (n >= GAP || end + n == bytes->len)
        return end;
      end += n + 1;
    }

  return MIN (end, most);
}

/* Returns IMAGE as records, the only variant of the seed.  Returns NULL for
 * other variants, or if there are too many records. */
GBytes *
fuzz_get_seed (const Image *image, guint variant)
{
  const GByteArray *bytes = image->bytes;
  g_autoptr (GByteArray) seed = g_byte_array_new ();
  guint8 head[HEAD_SIZE];

  if (variant > 0)
    return NULL;

  store_be (head, 8, image->size);
  g_byte_array_append (seed, head, 8);
  for (gsize at = count_zeroes (bytes, 0); at < bytes->len;)
    {
      const gsize end = find_end (bytes, at);

      store_be (head, 8, at);
      store_be (head + 8, 2, end - at);
      g_byte_array_append (seed, head, HEAD_SIZE);
      g_byte_array_append (seed, bytes->data + at, (guint) (end - at));
      if (seed->len > FUZZ_MAX_SIZE / 2)
        return NULL;

      at = end + count_zeroes (bytes, end);
    }

  return g_byte_array_free_to_bytes (g_steal_pointer (&seed));
}
