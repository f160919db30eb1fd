/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/source-cache.h"

#include <string.h>

/* The most pieces that are kept, and their bytes in all. */
#define MAX_PIECES 32
#define MAX_BYTES (256 * 1024)

struct ByteCache
{
  BytePiece pieces[MAX_PIECES]; /* a ring */
  guint first;                  /* index of the oldest one */
  guint n;
  gsize size; /* of all pieces, in bytes */
};

ByteCache *
byte_cache_new (void)
{
  return g_new0 (ByteCache, 1);
}

/* Returns a piece in CACHE that has the LEN bytes at host offset OFFSET, or
 * NULL.  It stays valid until the next call of byte_cache_add (). */
const BytePiece *
byte_cache_find (const ByteCache *cache, guint64 offset, gsize len)
{
  for (guint i = 0; i < cache->n; i++)
    {
      const BytePiece *piece = &cache->pieces[(cache->first + i) % MAX_PIECES];

      if (byte_range_includes (piece->start, piece->len, offset, len))
        return piece;
    }

  return NULL;
}

static void
drop_first (ByteCache *cache)
{
  BytePiece *piece = &cache->pieces[cache->first];

  cache->first = (cache->first + 1) % MAX_PIECES;
  cache->n--;
  cache->size -= piece->len;
  g_clear_pointer (&piece->bytes, g_free);
}

/* Keeps a copy of the LEN bytes at BYTES, from host offset START on, in place
 * of the oldest pieces.  There are not more than CACHE may have in all. */
void
byte_cache_add (ByteCache *cache, guint64 start, const guint8 *bytes,
                gsize len)
{
  g_assert (len <= MAX_BYTES);

  if (len == 0)
    return;

  while (cache->n == MAX_PIECES || len > MAX_BYTES - cache->size)
    drop_first (cache);

  BytePiece *piece = &cache->pieces[(cache->first + cache->n++) % MAX_PIECES];
  piece->start = start;
  piece->len = len;
  piece->bytes = memcpy (g_malloc (len), bytes, len);
  cache->size += len;
}

void
byte_cache_free (ByteCache *cache)
{
  while (cache->n > 0)
    drop_first (cache);

  g_free (cache);
}
