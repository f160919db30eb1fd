/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the bytes of an image file: exact, bounded reads at host offsets.  A
 * source does not depend on the qcow2 format. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct ByteSource ByteSource;

/* Whether another open file description holds a lock. */
typedef enum
{
  BYTE_SOURCE_UNLOCKED,
  BYTE_SOURCE_LOCKED,
  BYTE_SOURCE_LOCK_UNKNOWN
} ByteSourceLock;

/* The identity of a file or a block device: equal for two sources of it. */
typedef struct
{
  guint64 device;
  guint64 inode;
} ByteIdentity;

/* The functions that a kind of source implements. */
typedef struct
{
  /* Reads up to LEN bytes at host offset OFFSET into BUFFER.  Returns the
   * number of bytes read, 0 at the end, or -1 with errno set. */
  gssize (*read) (ByteSource *source, guint64 offset, guint8 *buffer,
                  gsize len);
  /* Implements byte_source_probe_lock ().  NULL if locks cannot be
   * detected. */
  ByteSourceLock (*probe_lock) (ByteSource *source, guint64 offset);
  /* Implements byte_source_has_changed ().  NULL if the bytes cannot
   * change. */
  gboolean (*has_changed) (ByteSource *source);
  /* Implements byte_source_get_identity ().  NULL if a source has none. */
  ByteIdentity (*get_identity) (const ByteSource *source);
  /* Implements byte_source_get_disk_size ().  NULL if the bytes take no room
   * on a disk. */
  guint64 (*get_disk_size) (const ByteSource *source);
  /* Implements byte_source_is_device ().  NULL if it is none. */
  gboolean (*is_device) (const ByteSource *source);
  void (*free) (ByteSource *source);
} ByteSourceClass;

struct ByteSource
{
  const ByteSourceClass *klass;
  guint64 size;            /* bytes */
  struct ByteCache *cache; /* NULL unless the source uses one */
};

ByteSource *byte_source_open_file (const char *path, GError **error);
ByteSource *byte_source_open_named (const char *path, int root,
                                    GError **error);
int byte_source_open_root (const char *path, GError **error);
void byte_source_close_root (int root);
ByteSource *byte_source_new_memory (GBytes *bytes);
guint64 byte_source_get_size (const ByteSource *source);
guint64 byte_source_get_qemu_size (const ByteSource *source);
gboolean byte_source_read (ByteSource *source, guint64 offset, void *buffer,
                           gsize len, const char *what, GError **error);
ByteSourceLock byte_source_probe_lock (ByteSource *source, guint64 offset);
gboolean byte_source_has_changed (ByteSource *source);
ByteIdentity byte_source_get_identity (const ByteSource *source);
guint64 byte_source_get_disk_size (const ByteSource *source);
gboolean byte_source_is_device (const ByteSource *source);
void byte_source_use_cache (ByteSource *source);
void byte_source_free (ByteSource *source);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (ByteSource, byte_source_free)

/* The unit in which disks fail, in bytes: an unreadable range ends at a
 * multiple of it. */
#define BYTE_SOURCE_SECTOR_SIZE 4096

/* The size, in bytes, of the block of a source that a window keeps for reads
 * of neighbouring bytes.  The longest bitmap name fits into it with its
 * padding.  It is below 128 KiB because from that size on malloc () maps and
 * unmaps memory each time. */
#define BYTE_WINDOW_SIZE (72 * 1024)

typedef struct ByteWindow ByteWindow;

ByteWindow *byte_window_new (ByteSource *source, guint64 end);
ByteWindow *byte_window_new_streaming (ByteSource *source, guint64 end);
guint64 byte_window_get_end (const ByteWindow *window);
void byte_window_set_end (ByteWindow *window, guint64 end);
const guint8 *byte_window_get (ByteWindow *window, guint64 offset, gsize len,
                               const char *what, GError **error);
const guint8 *byte_window_get_available (ByteWindow *window, guint64 offset,
                                         gsize unit, gsize len, gsize *n,
                                         const char *what, GError **error);
gboolean byte_window_copy (ByteWindow *window, guint64 offset, guint8 *buffer,
                           gsize len, const char *what, GError **error);
void byte_window_free (ByteWindow *window);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (ByteWindow, byte_window_free)

G_END_DECLS
