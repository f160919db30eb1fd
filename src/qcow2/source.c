/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/source.h"

#include <errno.h>

#include "qcow2/error.h"

struct ByteWindow
{
  ByteSource *source;
  guint64 end;   /* host offset behind the last byte to read */
  guint64 start; /* host offset of the first byte held */
  gsize len;     /* bytes held */
  guint8 bytes[BYTE_WINDOW_SIZE];
};

static gboolean
cannot_read (const char *what, guint64 offset, int errnum, GError **error)
{
  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_READ,
               "0x%" G_GINT64_MODIFIER "x: %s: cannot read: %s [FILE-04]",
               offset, what, g_strerror (errnum));
  return FALSE;
}

static gboolean
file_shrank (const char *what, guint64 offset, guint64 size, GError **error)
{
  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_READ,
               "0x%" G_GINT64_MODIFIER
               "x: %s: the file shrank from %" G_GUINT64_FORMAT
               " bytes while it was read [FILE-05]",
               offset, what, size);
  return FALSE;
}

/* Returns the size of SOURCE in bytes, as it was when it was opened. */
guint64
byte_source_get_size (const ByteSource *source)
{
  return source->size;
}

/* Reads LEN bytes at host offset OFFSET of SOURCE into BUFFER; DONE gets how
 * many were read, fewer when it fails. */
static gboolean
read_bytes (ByteSource *source, guint64 offset, guint8 *buffer, gsize len,
            gsize *done, const char *what, GError **error)
{
  *done = 0;
  while (*done < len)
    {
      const guint64 at = offset + *done;
      const gssize got
          = source->klass->read (source, at, buffer + *done, len - *done);

      if (got < 0 && errno == EINTR)
        continue;
      if (got < 0)
        return cannot_read (what, at, errno, error);
      if (got == 0)
        return file_shrank (what, at, source->size, error);

      *done += (gsize) got;
    }

  return TRUE;
}

/* Reads exactly LEN bytes at host offset OFFSET of SOURCE into BUFFER, which
 * the caller sized by a constant.  The range lies inside the source: callers
 * judge what an image claims before they read it.  WHAT names the structure in
 * the error, which is always QCOW2_ERROR_READ. */
gboolean
byte_source_read (ByteSource *source, guint64 offset, void *buffer, gsize len,
                  const char *what, GError **error)
{
  gsize done;

  g_assert (offset <= source->size && len <= source->size - offset);

  return read_bytes (source, offset, buffer, len, &done, what, error);
}

/* Tells whether another open file has the byte at host offset OFFSET of SOURCE
 * locked, without taking a lock: BYTE_SOURCE_UNLOCKED, _LOCKED or
 * _LOCK_UNKNOWN. */
guint64
byte_source_probe_lock (ByteSource *source, guint64 offset)
{
  if (source->klass->probe_lock == NULL)
    return BYTE_SOURCE_LOCK_UNKNOWN;

  return source->klass->probe_lock (source, offset);
}

/* Tells whether SOURCE was seen to change since it was opened: what was read
 * before and after may not fit together.  FALSE also where that leaves no
 * trace, as on block devices. */
gboolean
byte_source_has_changed (ByteSource *source)
{
  return source->klass->has_changed != NULL
         && source->klass->has_changed (source);
}

void
byte_source_free (ByteSource *source)
{
  if (source != NULL)
    source->klass->free (source);
}

/* Returns a window on the bytes of SOURCE before host offset END, which is cut
 * to the size of the source.  SOURCE must outlive it. */
ByteWindow *
byte_window_new (ByteSource *source, guint64 end)
{
  ByteWindow *window = g_malloc (sizeof *window);

  window->source = source;
  byte_window_set_end (window, end);
  window->start = 0;
  window->len = 0;
  return window;
}

guint64
byte_window_get_end (const ByteWindow *window)
{
  return window->end;
}

/* Moves the end of the window to host offset END, cut to the size of the
 * source; no block is read beyond it. */
void
byte_window_set_end (ByteWindow *window, guint64 end)
{
  window->end = MIN (end, window->source->size);
}

/* Returns LEN bytes at host offset OFFSET, at most BYTE_WINDOW_SIZE and inside
 * the window's end; they stay valid until the next call.  Fails as
 * byte_source_read () does. */
const guint8 *
byte_window_get (ByteWindow *window, guint64 offset, gsize len,
                 const char *what, GError **error)
{
  g_assert (len <= BYTE_WINDOW_SIZE);
  g_assert (offset <= window->end && len <= window->end - offset);

  if (offset >= window->start && offset - window->start <= window->len
      && len <= window->len - (offset - window->start))
    return window->bytes + (offset - window->start);

  /* A block ahead may touch a bad sector or the end of a file that shrank:
   * then what lies before it counts.  Where a read gives nothing of that, a
   * smaller one may, and leaves the sector alone. */
  const gsize block = (gsize) MIN (window->end - offset, BYTE_WINDOW_SIZE);
  const gsize page = (gsize) (BYTE_SOURCE_PAGE - offset % BYTE_SOURCE_PAGE);
  const gsize sizes[] = { block, CLAMP (page, len, block), len };

  window->start = offset;
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      const gboolean last = i + 1 == G_N_ELEMENTS (sizes);

      if (!last && sizes[i] == sizes[i + 1])
        continue;
      if (read_bytes (window->source, offset, window->bytes, sizes[i],
                      &window->len, what, last ? error : NULL)
          || window->len >= len)
        return window->bytes;
    }

  window->len = 0;
  return NULL;
}

/* Returns the bytes at host offset OFFSET as far as they are at hand: N gets
 * how many, a multiple of UNIT, at least one of them and at most LEN bytes.
 * Otherwise like byte_window_get (). */
const guint8 *
byte_window_get_some (ByteWindow *window, guint64 offset, gsize unit,
                      gsize len, gsize *n, const char *what, GError **error)
{
  const guint8 *bytes = byte_window_get (window, offset, unit, what, error);

  if (bytes == NULL)
    return NULL;

  const gsize at_hand = window->len - (gsize) (offset - window->start);
  *n = MIN (len, at_hand - at_hand % unit);
  return bytes;
}

void
byte_window_free (ByteWindow *window)
{
  g_free (window);
}
