/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/bitmap-union.h"

/* Number of dirty extents of a bitmap that are read at a time. */
#define N_EXTENTS 512

/* A dirty range of the disk: guest offsets in bytes. */
typedef struct
{
  guint64 start;
  guint64 end;
} Range;

/* The dirty ranges of one bitmap, in order. */
typedef struct
{
  Qcow2ExtentQuery query; /* its range is set for each reading */
  Range ranges[N_EXTENTS];
  guint n;
  guint next;
  guint64 resume; /* guest offset from which on ranges are not read yet */
  /* The part of the layers below that is beyond the end of this layer's disk;
   * may be empty. */
  Range cut;
} Reader;

struct Qcow2BitmapUnion
{
  guint64 granularity; /* bytes */
  GPtrArray *readers;  /* of Reader, from the top */
};

/* Returns an empty union with GRANULARITY, a power of 2, in bytes. */
Qcow2BitmapUnion *
qcow2_bitmap_union_new (guint64 granularity)
{
  Qcow2BitmapUnion *self = g_new0 (Qcow2BitmapUnion, 1);

  self->granularity = granularity;
  self->readers = g_ptr_array_new_with_free_func (g_free);
  return self;
}

/* Adds BITMAP, which is sound, of IMAGE, the layer below those before.  Both
 * must outlive SELF.  The part beyond the end of a layer above, whose disk is
 * shorter, reads as zeroes, so that it has changed. */
void
qcow2_bitmap_union_add (Qcow2BitmapUnion *self, const Qcow2Image *image,
                        const Qcow2Bitmap *bitmap)
{
  const guint64 size = image->header.size;
  Reader *reader = g_new0 (Reader, 1);

  for (guint i = 0; i < self->readers->len; i++)
    {
      Reader *above = g_ptr_array_index (self->readers, i);

      above->cut.end = MAX (above->cut.end, size);
    }

  reader->query.image = image;
  reader->query.bitmap = bitmap;
  reader->cut = (Range){ .start = size, .end = size };
  g_ptr_array_add (self->readers, reader);
}

static Qcow2Next
keep_range (const Qcow2Extent *extent, gpointer data,
            GError **error G_GNUC_UNUSED)
{
  Reader *reader = data;

  reader->resume = extent->offset + extent->length;
  if (!QCOW2_EXTENT_MUST_COPY (extent->type))
    return QCOW2_NEXT_ITEM;

  reader->ranges[reader->n++]
      = (Range){ .start = extent->offset, .end = reader->resume };
  return reader->n < N_EXTENTS ? QCOW2_NEXT_ITEM : QCOW2_NEXT_END;
}

/* Reads the next ranges, or none at the end of the layer's disk. */
static gboolean
read_ranges (Reader *reader, GError **error)
{
  reader->n = 0;
  reader->next = 0;
  qcow2_extent_query_set_range (&reader->query, reader->resume, G_MAXUINT64);
  return qcow2_extent_query_walk (&reader->query, keep_range, reader, error);
}

/* Returns RANGE, which is not empty, extended to whole granules. */
static Range
round_range (const Qcow2BitmapUnion *self, const Range *range)
{
  const guint64 mask = self->granularity - 1;

  return (Range){ .start = range->start & ~mask,
                  .end = range->end > G_MAXUINT64 - mask
                             ? G_MAXUINT64
                             : (range->end + mask) & ~mask };
}

/* Stores in *RANGE the first dirty range of READER, in whole granules, that
 * ends after guest offset AT, or one that begins at G_MAXUINT64 if there is
 * none. */
static gboolean
get_range (const Qcow2BitmapUnion *self, Reader *reader, guint64 at,
           Range *range, GError **error)
{
  const Range *cut = &reader->cut;

  for (;; reader->next++)
    {
      if (reader->next == reader->n && reader->resume < cut->start
          && !read_ranges (reader, error))
        return FALSE;
      if (reader->next == reader->n)
        break;

      *range = round_range (self, &reader->ranges[reader->next]);
      if (range->end > at)
        return TRUE;
    }

  *range = (Range){ .start = G_MAXUINT64, .end = G_MAXUINT64 };
  if (cut->start < cut->end && round_range (self, cut).end > at)
    *range = round_range (self, cut);
  return TRUE;
}

/* Stores in *FOUND the first dirty range of all bitmaps that ends after
 * guest offset AT, or one that begins at G_MAXUINT64. */
static gboolean
find_range (const Qcow2BitmapUnion *self, guint64 at, Range *found,
            GError **error)
{
  gboolean grows = TRUE;
  Range range;

  *found = (Range){ .start = G_MAXUINT64, .end = G_MAXUINT64 };
  for (guint i = 0; i < self->readers->len; i++)
    {
      if (!get_range (self, g_ptr_array_index (self->readers, i), at, &range,
                      error))
        return FALSE;
      if (range.start < found->start)
        *found = range;
    }

  while (grows && found->start != G_MAXUINT64)
    {
      grows = FALSE;
      for (guint i = 0; i < self->readers->len; i++)
        {
          if (!get_range (self, g_ptr_array_index (self->readers, i),
                          found->end, &range, error))
            return FALSE;
          if (range.start > found->end || range.start == G_MAXUINT64)
            continue;
          found->end = range.end;
          grows = TRUE;
        }
    }

  return TRUE;
}

/* Begins to read again, from the granule with guest offset START. */
static void
rewind_to (Qcow2BitmapUnion *self, guint64 start)
{
  for (guint i = 0; i < self->readers->len; i++)
    {
      Reader *reader = g_ptr_array_index (self->readers, i);

      reader->n = 0;
      reader->next = 0;
      reader->resume = start & ~(self->granularity - 1);
    }
}

static Qcow2Next
give (guint64 start, guint64 end, Qcow2ExtentType type, Qcow2ExtentFunc func,
      gpointer data, GError **error)
{
  const Qcow2Extent extent
      = { .offset = start, .length = end - start, .type = type };

  return start < end ? func (&extent, data, error) : QCOW2_NEXT_ITEM;
}

/* Calls FUNC with DATA for each extent of the LENGTH bytes at guest offset
 * START, in order, as qcow2_extent_query_walk () does.  Fails with
 * QCOW2_ERROR_READ or QCOW2_ERROR_LIMIT, or as FUNC does. */
gboolean
qcow2_bitmap_union_walk (Qcow2BitmapUnion *self, guint64 start, guint64 length,
                         Qcow2ExtentFunc func, gpointer data, GError **error)
{
  const guint64 end = start + length;
  Qcow2Next next = QCOW2_NEXT_ITEM;

  rewind_to (self, start);
  for (guint64 at = start; at < end && next == QCOW2_NEXT_ITEM;)
    {
      Range dirty;

      if (!find_range (self, at, &dirty, error))
        return FALSE;

      dirty.start = MIN (MAX (dirty.start, at), end);
      dirty.end = MIN (dirty.end, end);
      next = give (at, dirty.start, QCOW2_EXTENT_CLEAN, func, data, error);
      if (next == QCOW2_NEXT_ITEM)
        next = give (dirty.start, dirty.end, QCOW2_EXTENT_DIRTY, func, data,
                     error);
      at = dirty.end;
    }

  return next != QCOW2_NEXT_FAILED;
}

void
qcow2_bitmap_union_free (Qcow2BitmapUnion *self)
{
  if (self == NULL)
    return;

  g_ptr_array_unref (self->readers);
  g_free (self);
}
