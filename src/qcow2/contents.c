/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/contents.h"

#include "qcow2/bit-walk.h"

/* Sets the range of QUERY to the MAX_LENGTH bytes at guest offset START,
 * clipped to the disk of the image. */
void
qcow2_extent_query_set_range (Qcow2ExtentQuery *query, guint64 start,
                              guint64 max_length)
{
  const guint64 size = query->image->header.size;

  query->start = MIN (start, size);
  query->length = MIN (max_length, size - query->start);
}

static gboolean
skip_run (Qcow2BitWalk *walk G_GNUC_UNUSED, guint64 first G_GNUC_UNUSED,
          guint64 end G_GNUC_UNUSED, Qcow2ExtentType type G_GNUC_UNUSED,
          GError **error G_GNUC_UNUSED)
{
  return TRUE;
}

/* Checks, without reading any bitmap data, that QUERY has no more than
 * QCOW2_MAX_DATA_BYTES of it.  If there is more, or if the table is unreadable
 * or has changed since it was examined, handles that as a read error: fails
 * with QCOW2_ERROR_LIMIT or QCOW2_ERROR_READ, unless QUERY collects errors in
 * first_error. */
gboolean
qcow2_extent_query_verify_size (const Qcow2ExtentQuery *query, GError **error)
{
  static const Qcow2BitSink sink = { .on_run = skip_run };
  const Qcow2Bitmap *bitmap = query->bitmap;
  const guint64 cluster_size = query->image->header.cluster_size;
  Qcow2BitWalk walk = { .query = query, .sink = &sink };

  if (query->length == 0 || !qcow2_bit_walk_is_possible (query))
    return TRUE;

  /* All of the bitmap is within the limit: no need to read the table again. */
  if (bitmap->result.has_counts
      && bitmap->result.counts.serialized
             <= QCOW2_MAX_DATA_BYTES / cluster_size)
    return TRUE;

  qcow2_bit_walk_begin (&walk);
  return qcow2_bit_walk_run (&walk, error);
}
