/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The walk over the header extensions of an image. */

#pragma once

#include "qcow2/extension.h"
#include "qcow2/next.h"

G_BEGIN_DECLS

/* The ways in which a walk over the extensions ends. */
typedef enum
{
  QCOW2_WALKING,            /* it has not ended */
  QCOW2_AT_TERMINATOR,      /* the extension with the magic 0 */
  QCOW2_AT_AREA_END,        /* without a terminator */
  QCOW2_AT_FILE_END,        /* between two extensions */
  QCOW2_NO_ROOM_FOR_HEAD,   /* the area ends inside magic and length */
  QCOW2_HEAD_TRUNCATED,     /* the file does */
  QCOW2_DATA_TOO_LONG,      /* the data exceed the area */
  QCOW2_DATA_TRUNCATED,     /* the data exceed the file */
  QCOW2_TERMINATOR_TOO_LONG /* the data of the terminator exceed the
                               area */
} Qcow2WalkState;

/* Where a walk is, or how it ended. */
typedef struct
{
  Qcow2WalkState state;
  guint64 pos;      /* host offset of the next extension or of the one at which
                       the walk ended */
  guint64 area_end; /* host offset; the file may end before it */
  guint64 file_end; /* host offset, at most AREA_END */
  guint64 index;    /* of the next extension */
  guint32 magic;    /* of the last extension; missing bytes are zeroes */
  guint32 length;   /* bytes of its data; missing bytes are zeroes */
} Qcow2WalkPosition;

/* A walk over the extension area, from start to end. */
typedef struct Qcow2ExtensionWalk Qcow2ExtensionWalk;

/* Is called for each EXTENSION of a walk.  Returns FALSE with an error to end
 * the walk. */
typedef gboolean (*Qcow2ExtensionFunc) (const Qcow2Extension *extension,
                                        gpointer data, GError **error);

Qcow2ExtensionWalk *qcow2_extension_walk_new (ByteSource *source,
                                              const Qcow2Header *header);
Qcow2ExtensionWalk *qcow2_extension_walk_new_between (ByteSource *source,
                                                      guint64 start,
                                                      guint64 end);
Qcow2Next qcow2_extension_walk_next (Qcow2ExtensionWalk *walk,
                                     Qcow2Extension *extension,
                                     GError **error);
gboolean qcow2_extension_walk_each (Qcow2ExtensionWalk *walk,
                                    Qcow2ExtensionFunc func, gpointer data,
                                    GError **error);
const Qcow2WalkPosition *
qcow2_extension_walk_get_position (const Qcow2ExtensionWalk *walk);
void qcow2_extension_walk_free (Qcow2ExtensionWalk *walk);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2ExtensionWalk, qcow2_extension_walk_free)

G_END_DECLS
