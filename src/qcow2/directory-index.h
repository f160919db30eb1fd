/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds the bitmaps of a directory that have equal names.  The names together
 * may take 64 MiB, so they are not kept in memory. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct Qcow2DirectoryIndex Qcow2DirectoryIndex;

/* Returns the name of the bitmap with INDEX, read again from its entry at
 * OFFSET bytes from the start of the directory.  The caller owns the name.
 * Returns NULL without an error when the bitmap no longer has a name. */
typedef GBytes *(*Qcow2DirectoryIndexRead) (guint32 index, guint32 offset,
                                            gpointer data, GError **error);

Qcow2DirectoryIndex *qcow2_directory_index_new (void);
void qcow2_directory_index_add (Qcow2DirectoryIndex *name_index,
                                guint32 offset, const guint8 *name, gsize len);
gboolean qcow2_directory_index_find (Qcow2DirectoryIndex *name_index,
                                     Qcow2DirectoryIndexRead again,
                                     gpointer data, GError **error);
guint64 qcow2_directory_index_look_up (const Qcow2DirectoryIndex *name_index,
                                       const guint8 *name, gsize len,
                                       guint64 start);
gboolean
qcow2_directory_index_get_offset (const Qcow2DirectoryIndex *name_index,
                                  guint64 index, guint32 *offset);
guint64 qcow2_directory_index_get_n (const Qcow2DirectoryIndex *name_index);
guint64 qcow2_directory_index_get_first (const Qcow2DirectoryIndex *name_index,
                                         guint64 index);
guint64
qcow2_directory_index_get_first_c (const Qcow2DirectoryIndex *name_index,
                                   guint64 index);
void qcow2_directory_index_free (Qcow2DirectoryIndex *name_index);

G_END_DECLS
