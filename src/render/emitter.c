/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/emitter.h"

/* Begins the output for the image at PATH.  SEVERAL says that there may be
 * other images.  For programs, an image may begin within a list of another
 * one. */
void
emitter_begin_image (Emitter *emitter, const char *path, gboolean several)
{
  emitter->klass->begin_image (emitter, path, several);
}

/* Ends all groups of the innermost open image that an error has left open, and
 * emits null for each of KEYS, a NULL-terminated array, that was not emitted.
 */
void
emitter_end_groups (Emitter *emitter, const char *const *keys)
{
  emitter->klass->end_groups (emitter, keys);
}

/* Ends the output for the innermost open image. */
void
emitter_end_image (Emitter *emitter)
{
  emitter->klass->end_image (emitter);
}

/* Begins a GROUP, which the caller ends with emitter_end ().  KEY is its name
 * for programs.  HEADING is the line above it for people, or NULL for none. */
void
emitter_begin (Emitter *emitter, EmitterGroup group, const char *key,
               const char *heading)
{
  emitter->klass->begin (emitter, group, key, heading);
}

/* Emits the value of FIELD in RECORD, or the fact that there is none. */
void
emitter_field (Emitter *emitter, const Qcow2Field *field, gconstpointer record)
{
  emitter->klass->field (emitter, field, record);
}

/* Emits the next N rows of the current table.  STRUCTURES is an array of
 * structures of SIZE bytes with FIELDS. */
void
emitter_rows (Emitter *emitter, const Qcow2Field *fields,
              gconstpointer structures, gsize size, gsize n)
{
  const EmitterRows rows = { fields, structures, size, n };

  emitter->klass->rows (emitter, &rows);
}

/* Emits null for KEY: its value is unknown.  Text leaves it out. */
void
emitter_null (Emitter *emitter, const char *key)
{
  emitter->klass->null (emitter, key);
}

/* Ends the group that was begun last. */
void
emitter_end (Emitter *emitter)
{
  emitter->klass->end (emitter);
}

void
emitter_free (Emitter *emitter)
{
  if (emitter != NULL)
    emitter->klass->free (emitter);
}
