/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/source.h"

#include <errno.h>
#include <string.h>

#include "qcow2/error.h"
#include "qcow2/source-cache.h"

/* The cache keeps any piece of at most this size, in bytes, and larger ones
 * from which the window has at most so many bytes up to its end. */
#define MAX_SMALL (32 * 1024)
#define MAX_STRUCTURE (192 * 1024)

struct ByteWindow
{
  /* Aligned because it comes first: the kernel copies twice as fast then. */
  guint8 bytes[BYTE_WINDOW_SIZE];
  ByteSource *source;
  guint64 end;   /* host offset after the last byte that may be read */
  guint64 start; /* host offset of the first byte held */
  gsize len;     /* bytes held */
  gboolean is_streaming;
};

static gboolean
cannot_read (const char *what, guint64 offset, int errnum, GError **error)
{
  qcow2_set_rule_error (error, QCOW2_ERROR_READ, "FILE-04",
                        QCOW2_HEX_FORMAT ": %s: cannot read: %s", offset, what,
                        g_strerror (errnum));
  return FALSE;
}

static gboolean
file_shrank (const char *what, guint64 offset, guint64 size, GError **error)
{
  qcow2_set_rule_error (error, QCOW2_ERROR_READ, "FILE-05",
                        QCOW2_HEX_FORMAT
                        ": %s: the file shrank from " QCOW2_U64_FORMAT
                        " bytes while it was read",
                        offset, what, size);
  return FALSE;
}

/* Returns the size of SOURCE in bytes at the time of opening. */
guint64
byte_source_get_size (const ByteSource *source)
{
  return source->size;
}

/* Returns the size of SOURCE in bytes as QEMU has it: up to the end of a
 * sector of 512 bytes.  No file has 2^63 bytes or more. */
guint64
byte_source_get_qemu_size (const ByteSource *source)
{
  const guint64 size = MIN (source->size, G_MAXINT64);

  return (size + 511) / 512 * 512;
}

/* Reads LEN bytes at host offset OFFSET of SOURCE into BUFFER.  Stores the
 * number of bytes read in *DONE: fewer than LEN if the read fails. */
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

/* Reads exactly LEN bytes at host offset OFFSET of SOURCE into BUFFER.  The
 * size of BUFFER must be bounded by a constant, not by the image, and the
 * range must lie in the source: callers check the offsets and sizes in an
 * image before they read.  WHAT names the structure in error messages.  Fails
 * with QCOW2_ERROR_READ. */
gboolean
byte_source_read (ByteSource *source, guint64 offset, void *buffer, gsize len,
                  const char *what, GError **error)
{
  gsize done;

  g_assert (offset <= source->size && len <= source->size - offset);

  if (source->cache != NULL && len <= BYTE_WINDOW_SIZE)
    {
      g_autoptr (ByteWindow) window = byte_window_new (source, source->size);

      return byte_window_copy (window, offset, buffer, len, what, error);
    }

  return read_bytes (source, offset, buffer, len, &done, what, error);
}

/* Returns whether another open file description holds a lock on the byte at
 * host offset OFFSET of SOURCE.  Takes no lock. */
ByteSourceLock
byte_source_probe_lock (ByteSource *source, guint64 offset)
{
  if (source->klass->probe_lock == NULL)
    return BYTE_SOURCE_LOCK_UNKNOWN;

  return source->klass->probe_lock (source, offset);
}

/* Returns whether SOURCE has changed since it was opened, in which case
 * earlier and later reads may be inconsistent.  Returns FALSE if changes leave
 * no trace, as on block devices. */
gboolean
byte_source_has_changed (ByteSource *source)
{
  return source->klass->has_changed != NULL
         && source->klass->has_changed (source);
}

/* Returns the identity of the file of SOURCE. */
ByteIdentity
byte_source_get_identity (const ByteSource *source)
{
  if (source->klass->get_identity != NULL)
    return source->klass->get_identity (source);

  return (ByteIdentity){ .inode = (guintptr) source };
}

/* Returns the number of bytes that SOURCE took on the disk when it was opened,
 * or G_MAXUINT64 if it takes no room on a disk. */
guint64
byte_source_get_disk_size (const ByteSource *source)
{
  return source->klass->get_disk_size != NULL
             ? source->klass->get_disk_size (source)
             : G_MAXUINT64;
}

/* Returns whether SOURCE reads a block device. */
gboolean
byte_source_is_device (const ByteSource *source)
{
  return source->klass->is_device != NULL && source->klass->is_device (source);
}

/* Makes SOURCE keep what was read last, for readers that need it again.  A
 * file that this program changes must not be read so. */
void
byte_source_use_cache (ByteSource *source)
{
  source->cache = byte_cache_new ();
}

void
byte_source_free (ByteSource *source)
{
  if (source == NULL)
    return;

  g_clear_pointer (&source->cache, byte_cache_free);
  source->klass->free (source);
}

/* Returns a window on the bytes of SOURCE before host offset END, clipped to
 * the size of the source.  SOURCE must outlive the window. */
ByteWindow *
byte_window_new (ByteSource *source, guint64 end)
{
  ByteWindow *window = g_malloc (sizeof *window);

  window->source = source;
  byte_window_set_end (window, end);
  window->start = 0;
  window->len = 0;
  window->is_streaming = FALSE;
  return window;
}

/* Returns a window for bytes of which there are many and that are read once:
 * they are not kept.  Otherwise like byte_window_new (). */
ByteWindow *
byte_window_new_streaming (ByteSource *source, guint64 end)
{
  ByteWindow *window = byte_window_new (source, end);

  window->is_streaming = TRUE;
  return window;
}

guint64
byte_window_get_end (const ByteWindow *window)
{
  return window->end;
}

/* Moves the end of WINDOW to host offset END, clipped to the size of the
 * source.  No bytes are read beyond the end. */
void
byte_window_set_end (ByteWindow *window, guint64 end)
{
  window->end = MIN (end, window->source->size);
}

/* Makes WINDOW hold the LEN bytes at host offset OFFSET, for a caller that
 * also has use for the bytes that follow, WANTED in all. */
static gboolean
read_block (ByteWindow *window, guint64 offset, gsize len, gsize wanted,
            const char *what, GError **error)
{
  /* The next read may be elsewhere, so a whole block is read only for a
   * reader that wants more than the rest of the sector, or continues.  It may
   * include a bad sector, or extend beyond the end of a file that shrank.  The
   * bytes before that point are used.  If there are none, a smaller read may
   * succeed because it leaves out the bad sector. */
  const gboolean continues
      = window->len > 0
        && byte_range_includes (window->start, window->len, offset, 0);
  const gsize block = (gsize) MIN (window->end - offset, BYTE_WINDOW_SIZE);
  const gsize page
      = (gsize) (BYTE_SOURCE_SECTOR_SIZE - offset % BYTE_SOURCE_SECTOR_SIZE);
  const gsize sector = CLAMP (page, len, block);
  const gsize sizes[]
      = { continues || wanted > sector ? block : sector, sector, len };

  window->start = offset;
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      const gboolean last = i + 1 == G_N_ELEMENTS (sizes);

      if (!last && sizes[i] == sizes[i + 1])
        continue;
      if (read_bytes (window->source, offset, window->bytes, sizes[i],
                      &window->len, what, last ? error : NULL)
          || window->len >= len)
        return TRUE;
    }

  window->len = 0;
  return FALSE;
}

/* Makes WINDOW hold the LEN bytes at host offset OFFSET if the cache of its
 * source has them. */
static gboolean
take_from_cache (ByteWindow *window, guint64 offset, gsize len)
{
  const ByteCache *cache = window->source->cache;
  const BytePiece *piece
      = cache != NULL ? byte_cache_find (cache, offset, len) : NULL;

  if (piece == NULL)
    return FALSE;

  window->start = piece->start;
  window->len = piece->len;
  memcpy (window->bytes, piece->bytes, piece->len);
  return TRUE;
}

/* Adds the bytes of WINDOW to the cache of its source, unless they are many
 * and more of them follow: a large structure would take the place of all
 * others, and to read it again costs less. */
static void
add_to_cache (const ByteWindow *window)
{
  const gboolean is_large
      = window->len > MAX_SMALL && window->end - window->start > MAX_STRUCTURE;

  if (window->source->cache != NULL && !window->is_streaming && !is_large)
    byte_cache_add (window->source->cache, window->start, window->bytes,
                    window->len);
}

/* Implements byte_window_get () for a caller that also has use for the bytes
 * that follow, WANTED in all. */
static const guint8 *
get (ByteWindow *window, guint64 offset, gsize len, gsize wanted,
     const char *what, GError **error)
{
  g_assert (len <= BYTE_WINDOW_SIZE);
  g_assert (offset <= window->end && len <= window->end - offset);

  if (!byte_range_includes (window->start, window->len, offset, len)
      && !take_from_cache (window, offset, len))
    {
      if (!read_block (window, offset, len, wanted, what, error))
        return NULL;
      add_to_cache (window);
    }

  return window->bytes + (offset - window->start);
}

/* Returns LEN bytes at host offset OFFSET, which stay valid until the next
 * call.  LEN is at most BYTE_WINDOW_SIZE, and the range ends before the end of
 * WINDOW.  WHAT names the structure in error messages.  Fails with
 * QCOW2_ERROR_READ. */
const guint8 *
byte_window_get (ByteWindow *window, guint64 offset, gsize len,
                 const char *what, GError **error)
{
  return get (window, offset, len, len, what, error);
}

/* Returns the bytes at host offset OFFSET that WINDOW already holds, or reads
 * them.  Stores their number in *N: a multiple of UNIT, at least UNIT and at
 * most LEN.  Otherwise like byte_window_get (). */
const guint8 *
byte_window_get_available (ByteWindow *window, guint64 offset, gsize unit,
                           gsize len, gsize *n, const char *what,
                           GError **error)
{
  const guint8 *bytes = get (window, offset, unit, len, what, error);

  if (bytes == NULL)
    return NULL;

  const guint64 held = window->start + window->len;
  const gsize at_hand = (gsize) (MIN (held, window->end) - offset);
  *n = MIN (len, at_hand - at_hand % unit);
  return bytes;
}

/* Stores the LEN bytes at host offset OFFSET in BUFFER.  Bytes after the end
 * of WINDOW are zeroes, as those after the end of a file are for QEMU.
 * Otherwise like byte_window_get (). */
gboolean
byte_window_copy (ByteWindow *window, guint64 offset, guint8 *buffer,
                  gsize len, const char *what, GError **error)
{
  const gsize n
      = (gsize) MIN ((guint64) len, window->end - MIN (offset, window->end));

  memset (buffer + n, 0, len - n);
  if (n == 0)
    return TRUE;

  const guint8 *bytes = byte_window_get (window, offset, n, what, error);
  if (bytes == NULL)
    return FALSE;

  memcpy (buffer, bytes, n);
  return TRUE;
}

void
byte_window_free (ByteWindow *window)
{
  g_free (window);
}
