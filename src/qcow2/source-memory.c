/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A source that reads bytes in memory, for tests and fuzzing. */

#include "config.h"

#include "qcow2/source.h"

#include <string.h>

typedef struct
{
  ByteSource base;
  GBytes *bytes;
} MemorySource;

static gssize
memory_read (ByteSource *source, guint64 offset, guint8 *buffer, gsize len)
{
  const MemorySource *self = (MemorySource *) source;
  const guint8 *bytes = g_bytes_get_data (self->bytes, NULL);

  memcpy (buffer, bytes + offset, len);
  return (gssize) len;
}

static void
memory_free (ByteSource *source)
{
  MemorySource *self = (MemorySource *) source;

  g_bytes_unref (self->bytes);
  g_free (self);
}

static const ByteSourceClass memory_class
    = { .read = memory_read, .free = memory_free };

/* Returns a source that reads BYTES.  Takes a reference to BYTES. */
ByteSource *
byte_source_new_memory (GBytes *bytes)
{
  MemorySource *self = g_new0 (MemorySource, 1);

  self->base.klass = &memory_class;
  self->base.size = g_bytes_get_size (bytes);
  self->bytes = g_bytes_ref (bytes);
  return &self->base;
}
