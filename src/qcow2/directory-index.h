/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds the bitmaps of a directory that have equal names.  The names together
 * may take 64 MiB, so they are not kept in memory. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct Qcow2Namesakes Qcow2Namesakes;

/* Returns the name of the bitmap with INDEX, read again from its entry at
 * OFFSET bytes from the start of the directory.  The caller owns the name.
 * Returns NULL without an error when the bitmap no longer has a name. */
typedef GBytes *(*Qcow2NamesakesRead) (guint32 index, guint32 offset,
                                       gpointer data, GError **error);

Qcow2Namesakes *qcow2_namesakes_new (void);
void qcow2_namesakes_add (Qcow2Namesakes *namesakes, guint32 offset,
                          const guint8 *name, gsize len);
gboolean qcow2_namesakes_find (Qcow2Namesakes *namesakes,
                               Qcow2NamesakesRead again, gpointer data,
                               GError **error);
guint64 qcow2_namesakes_look_up (const Qcow2Namesakes *namesakes,
                                 const guint8 *name, gsize len, guint64 start);
gboolean qcow2_namesakes_get_offset (const Qcow2Namesakes *namesakes,
                                     guint64 index, guint32 *offset);
guint64 qcow2_namesakes_get_n (const Qcow2Namesakes *namesakes);
guint64 qcow2_namesakes_get_whole (const Qcow2Namesakes *namesakes,
                                   guint64 index);
guint64 qcow2_namesakes_get_cut (const Qcow2Namesakes *namesakes,
                                 guint64 index);
void qcow2_namesakes_free (Qcow2Namesakes *namesakes);

G_END_DECLS
