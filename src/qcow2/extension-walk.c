/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/extension-walk.h"

#include <string.h>

#include "qcow2/arithmetic.h"

#define WHAT (qcow2_extension_record.name)

/* The maximum number of bytes of data to keep: QEMU's largest cluster. */
#define MAX_DATA (2 * 1024 * 1024)

struct Qcow2ExtensionWalk
{
  ByteSource *source;
  ByteWindow *window;
  Qcow2WalkPosition at;
};

/* Returns a new walk over the extensions in SOURCE from host offset START, at
 * most the end of the file, to before END.  SOURCE must outlive the walk. */
Qcow2ExtensionWalk *
qcow2_extension_walk_new_between (ByteSource *source, guint64 start,
                                  guint64 end)
{
  Qcow2ExtensionWalk *walk = g_new0 (Qcow2ExtensionWalk, 1);

  g_assert (start <= byte_source_get_size (source));

  walk->source = source;
  walk->window = byte_window_new (source, end);
  walk->at
      = (Qcow2WalkPosition){ .pos = start,
                             .area_end = end,
                             .file_end = byte_window_get_end (walk->window) };
  return walk;
}

/* Returns a new walk over the extensions in SOURCE, which HEADER locates:
 * qcow2_header_get_extension_area () must succeed, and the area must start
 * inside the file or at its end.  SOURCE must outlive the walk. */
Qcow2ExtensionWalk *
qcow2_extension_walk_new (ByteSource *source, const Qcow2Header *header)
{
  guint64 start = 0;
  guint64 end = 0;
  const gboolean located
      = qcow2_header_get_extension_area (header, &start, &end);

  g_assert (located);

  return qcow2_extension_walk_new_between (source, start, end);
}

/* Returns QCOW2_WALKING if there is room for the head of another extension at
 * AT, or otherwise the state in which the walk ends. */
static Qcow2WalkState
room_for_head (const Qcow2WalkPosition *at)
{
  if (at->pos == at->area_end)
    return QCOW2_AT_AREA_END;
  if (at->area_end - at->pos < QCOW2_EXTENSION_HEAD_LENGTH)
    return QCOW2_NO_ROOM_FOR_HEAD;
  if (at->pos == at->file_end)
    return QCOW2_AT_FILE_END;
  if (at->file_end - at->pos < QCOW2_EXTENSION_HEAD_LENGTH)
    return QCOW2_HEAD_TRUNCATED;

  return QCOW2_WALKING;
}

/* Stores magic and length of the extension whose head the file truncates.  The
 * missing bytes are zeroes, and all of them are if the others cannot be
 * read. */
static void
read_truncated_head (Qcow2ExtensionWalk *walk)
{
  Qcow2WalkPosition *at = &walk->at;
  guint8 head[QCOW2_EXTENSION_HEAD_LENGTH] = { 0 };
  const gsize len = (gsize) (at->file_end - at->pos);
  const guint8 *bytes
      = byte_window_get (walk->window, at->pos, len, WHAT, NULL);
  Qcow2Extension e;

  if (bytes != NULL)
    memcpy (head, bytes, len);
  qcow2_record_decode (&qcow2_extension_record, head, sizeof head, &e);
  at->magic = e.magic;
  at->length = e.length;
}

/* Moves AT past the current extension, which has LENGTH bytes of data.  Ends
 * the walk if the data do not fit into the area or are truncated by the file;
 * only the padding may be truncated. */
static void
advance (Qcow2WalkPosition *at, guint32 length)
{
  const guint64 data = at->pos + QCOW2_EXTENSION_HEAD_LENGTH;
  const guint64 padded = qcow2_round_up (length, 8);

  at->length = length;
  if (length > at->area_end - data)
    at->state = QCOW2_DATA_TOO_LONG;
  else if (length > at->file_end - data)
    at->state = QCOW2_DATA_TRUNCATED;
  else
    at->pos = data + MIN (padded, at->file_end - data);
}

/* Returns the LEN bytes at host offset OFFSET, at most MAX_DATA. */
static GBytes *
read_data (Qcow2ExtensionWalk *walk, guint64 offset, gsize len, GError **error)
{
  if (len <= BYTE_WINDOW_SIZE)
    {
      const guint8 *bytes
          = byte_window_get (walk->window, offset, len, WHAT, error);

      return bytes != NULL ? g_bytes_new (bytes, len) : NULL;
    }

  g_autofree guint8 *bytes = g_malloc (len);
  if (!byte_source_read (walk->source, offset, bytes, len, WHAT, error))
    return NULL;

  return g_bytes_new_take (g_steal_pointer (&bytes), len);
}

/* Clears *EXTENSION, the previous extension or zeroes, and stores the next
 * extension in it, which the caller clears if it is the last one.  The data of
 * the last extension of WALK may be truncated or, if its length is wrong,
 * missing.  Fails with QCOW2_ERROR_READ. */
Qcow2Next
qcow2_extension_walk_next (Qcow2ExtensionWalk *walk, Qcow2Extension *extension,
                           GError **error)
{
  Qcow2WalkPosition *at = &walk->at;

  qcow2_extension_clear (extension);
  if (at->state == QCOW2_WALKING)
    at->state = room_for_head (at);
  if (at->state == QCOW2_HEAD_TRUNCATED)
    read_truncated_head (walk);
  if (at->state != QCOW2_WALKING)
    return QCOW2_NEXT_END;

  const guint64 offset = at->pos;
  const guint8 *head = byte_window_get (
      walk->window, offset, QCOW2_EXTENSION_HEAD_LENGTH, WHAT, error);
  if (head == NULL)
    return QCOW2_NEXT_FAILED;

  Qcow2Extension e = { .index = at->index, .file_offset = offset };
  qcow2_record_decode (&qcow2_extension_record, head,
                       QCOW2_EXTENSION_HEAD_LENGTH, &e);
  at->magic = e.magic;
  advance (at, e.length);
  if (e.magic == QCOW2_EXTENSION_END)
    {
      at->state = at->state == QCOW2_DATA_TOO_LONG ? QCOW2_TERMINATOR_TOO_LONG
                                                   : QCOW2_AT_TERMINATOR;
      at->pos = offset;
      return QCOW2_NEXT_END;
    }

  at->index++;
  if (at->state != QCOW2_DATA_TOO_LONG)
    {
      const guint64 data = offset + QCOW2_EXTENSION_HEAD_LENGTH;
      const guint64 left = at->file_end - data;
      const gsize len = (gsize) MIN (MIN (e.length, left), MAX_DATA);

      e.bytes = read_data (walk, data, len, error);
      if (e.bytes == NULL)
        return QCOW2_NEXT_FAILED;
    }

  qcow2_extension_decode_data (&e);

  *extension = e;
  return QCOW2_NEXT_ITEM;
}

/* Calls FUNC with DATA for each extension that is left of WALK.  Fails with
 * QCOW2_ERROR_READ, or as FUNC does. */
gboolean
qcow2_extension_walk_each (Qcow2ExtensionWalk *walk, Qcow2ExtensionFunc func,
                           gpointer data, GError **error)
{
  g_auto (Qcow2Extension) extension = { 0 };
  Qcow2Next next;

  while ((next = qcow2_extension_walk_next (walk, &extension, error))
         == QCOW2_NEXT_ITEM)
    {
      if (!func (&extension, data, error))
        return FALSE;
    }

  return next == QCOW2_NEXT_END;
}

/* Returns where WALK is or, after its end, how it ended.  WALK owns the
 * result. */
const Qcow2WalkPosition *
qcow2_extension_walk_get_position (const Qcow2ExtensionWalk *walk)
{
  return &walk->at;
}

void
qcow2_extension_walk_free (Qcow2ExtensionWalk *walk)
{
  if (walk == NULL)
    return;

  byte_window_free (walk->window);
  g_free (walk);
}
