/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/emitter.h"

/* Begins the image at PATH, which may be one of SEVERAL. */
void
emitter_begin_image (Emitter *emitter, const char *path, gboolean several)
{
  emitter->klass->begin_image (emitter, path, several);
}

/* Ends all groups of the image that an error has left open, and says of those
 * of KEYS, which end with NULL, that have not come that they are not known. */
void
emitter_end_groups (Emitter *emitter, const char *const *keys)
{
  emitter->klass->end_groups (emitter, keys);
}

/* Ends the image. */
void
emitter_end_image (Emitter *emitter)
{
  emitter->klass->end_image (emitter);
}

/* Begins a GROUP, to be ended by emitter_end ().  KEY is its name for
 * programs, HEADING the line that people see above it, NULL for none. */
void
emitter_begin (Emitter *emitter, EmitterGroup group, const char *key,
               const char *heading)
{
  emitter->klass->begin (emitter, group, key, heading);
}

/* Gives the value that FIELD has in RECORD, if it has one. */
void
emitter_field (Emitter *emitter, const Qcow2Field *field, gconstpointer record)
{
  emitter->klass->field (emitter, field, record);
}

/* Gives the next entries of the table that has begun. */
void
emitter_rows (Emitter *emitter, const Qcow2TableEntry *entries,
              gsize n_entries)
{
  emitter->klass->rows (emitter, entries, n_entries);
}

/* Says that what KEY names is not known. */
void
emitter_null (Emitter *emitter, const char *key)
{
  emitter->klass->null (emitter, key);
}

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
