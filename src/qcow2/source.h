/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where an image's bytes come from: bounded, exact reads at host offsets.
 * A source knows nothing of qcow2. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct ByteSource ByteSource;

/* What a kind of source implements. */
typedef struct
{
  /* Reads up to LEN bytes at OFFSET; 0 is the end, -1 sets errno. */
  gssize (*read) (ByteSource *source, guint64 offset, guint8 *buffer,
                  gsize len);
  /* See byte_source_probe_lock (); NULL: nobody can tell. */
  guint64 (*probe_lock) (ByteSource *source, guint64 offset);
  /* See byte_source_has_changed (); NULL: it cannot change unseen. */
  gboolean (*has_changed) (ByteSource *source);
  void (*free) (ByteSource *source);
} ByteSourceClass;

/* What byte_source_probe_lock () answers. */
#define BYTE_SOURCE_UNLOCKED 0
#define BYTE_SOURCE_LOCKED 1
#define BYTE_SOURCE_LOCK_UNKNOWN G_MAXUINT64

struct ByteSource
{
  const ByteSourceClass *klass;
  guint64 size; /* bytes */
};

ByteSource *byte_source_open_file (const char *path, GError **error);
ByteSource *byte_source_new_memory (GBytes *bytes);
guint64 byte_source_get_size (const ByteSource *source);
gboolean byte_source_read (ByteSource *source, guint64 offset, void *buffer,
                           gsize len, const char *what, GError **error);
guint64 byte_source_probe_lock (ByteSource *source, guint64 offset);
gboolean byte_source_has_changed (ByteSource *source);
void byte_source_free (ByteSource *source);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (ByteSource, byte_source_free)

/* The unit in which disks fail, in bytes: what cannot be read goes on to a
 * multiple of it. */
#define BYTE_SOURCE_PAGE 4096

/* The size in bytes of a block of a source that is kept while neighbouring
 * bytes are asked for.  The longest name of a bitmap fits into it, with its
 * padding.  From 128 KiB on, malloc () maps and unmaps memory each time. */
#define BYTE_WINDOW_SIZE (72 * 1024)

typedef struct ByteWindow ByteWindow;

ByteWindow *byte_window_new (ByteSource *source, guint64 end);
guint64 byte_window_get_end (const ByteWindow *window);
void byte_window_set_end (ByteWindow *window, guint64 end);
const guint8 *byte_window_get (ByteWindow *window, guint64 offset, gsize len,
                               const char *what, GError **error);
const guint8 *byte_window_get_some (ByteWindow *window, guint64 offset,
                                    gsize unit, gsize len, gsize *n,
                                    const char *what, GError **error);
void byte_window_free (ByteWindow *window);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (ByteWindow, byte_window_free)

G_END_DECLS
