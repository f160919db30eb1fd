/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which bitmaps of a directory have equal names.  Names may take 64 MiB
 * together: they are not kept. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct Qcow2Namesakes Qcow2Namesakes;

/* Reads the name of the bitmap with INDEX again, whose entry is at OFFSET in
 * the directory; NULL without an error when it has none any more. */
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
