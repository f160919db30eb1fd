/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pieces of a source that were read last, so that a structure is read from
 * the file once, however many readers need it. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  guint64 start; /* host offset of the first byte */
  gsize len;     /* bytes */
  guint8 *bytes;
} BytePiece;

/* Returns whether HELD bytes from host offset START on include all of the LEN
 * bytes at OFFSET. */
static inline gboolean
byte_range_includes (guint64 start, gsize held, guint64 offset, gsize len)
{
  return offset >= start && offset - start <= held
         && len <= held - (offset - start);
}

typedef struct ByteCache ByteCache;

ByteCache *byte_cache_new (void);
const BytePiece *byte_cache_find (const ByteCache *cache, guint64 offset,
                                  gsize len);
void byte_cache_add (ByteCache *cache, guint64 start, const guint8 *bytes,
                     gsize len);
void byte_cache_free (ByteCache *cache);

G_END_DECLS
