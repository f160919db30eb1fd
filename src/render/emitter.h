/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Output as a series of events: commands and describe.c emit the contents, and
 * an emitter formats them.  Only the output itself is kept in memory. */

#pragma once

#include "qcow2/record.h"

G_BEGIN_DECLS

typedef struct Emitter Emitter;

/* Kinds of groups; the text emitter prints each in its own form. */
typedef enum
{
  EMITTER_LIST,  /* an array of groups */
  EMITTER_BLOCK, /* an object: a line per field */
  EMITTER_ROW,   /* an object on one line */
  EMITTER_TABLE  /* an array of rows, a structure each */
} EmitterGroup;

/* Rows of a table: structures with the same fields. */
typedef struct
{
  const Qcow2Field *fields;
  gconstpointer structures; /* an array */
  gsize size;               /* bytes of a structure in memory */
  gsize n;
} EmitterRows;

typedef struct
{
  void (*begin_image) (Emitter *emitter, const char *path, gboolean several);
  void (*end_groups) (Emitter *emitter, const char *const *keys);
  void (*end_image) (Emitter *emitter);
  void (*begin) (Emitter *emitter, EmitterGroup group, const char *key,
                 const char *heading);
  void (*field) (Emitter *emitter, const Qcow2Field *field,
                 gconstpointer record);
  void (*rows) (Emitter *emitter, const EmitterRows *rows);
  void (*null) (Emitter *emitter, const char *key);
  void (*end) (Emitter *emitter);
  void (*free) (Emitter *emitter);
} EmitterClass;

struct Emitter
{
  const EmitterClass *klass;
  GString *out;              /* not owned */
  gboolean all_columns;      /* print the columns of --long in tables */
  gboolean machine_readable; /* emit the contents of messages, too */
};

Emitter *emitter_new_text (GString *out);
Emitter *emitter_new_json (GString *out, gboolean indented);
Emitter *emitter_new_json_ascii (GString *out);

void emitter_begin_image (Emitter *emitter, const char *path,
                          gboolean several);
void emitter_end_groups (Emitter *emitter, const char *const *keys);
void emitter_end_image (Emitter *emitter);
void emitter_begin (Emitter *emitter, EmitterGroup group, const char *key,
                    const char *heading);
void emitter_field (Emitter *emitter, const Qcow2Field *field,
                    gconstpointer record);
void emitter_rows (Emitter *emitter, const Qcow2Field *fields,
                   gconstpointer structures, gsize size, gsize n);
void emitter_null (Emitter *emitter, const char *key);
void emitter_end (Emitter *emitter);
void emitter_free (Emitter *emitter);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Emitter, emitter_free)

G_END_DECLS
