/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/emitter.h"

/* Says that the image at PATH, one of several, is next. */
void
emitter_image (Emitter *emitter, const char *path)
{
  emitter->klass->image (emitter, path);
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
