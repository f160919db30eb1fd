/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Emitter for people: blocks of lines, with a blank line between blocks. */

#include "config.h"

#include "render/emitter.h"

#include <string.h>

#include "render/format.h"

/* Maximum nesting depth: a list of blocks that hold lists of rows. */
#define MAX_DEPTH 4

typedef struct
{
  Emitter base;
  EmitterGroup groups[MAX_DEPTH];
  guint depth;
  gboolean after_image; /* the "image: " line was printed */
  gboolean after_block; /* a blank line comes before the next block */
  gboolean has_heading; /* the current table's heading was printed */
} TextEmitter;

static void
text_begin_image (Emitter *emitter, const char *path, gboolean several)
{
  TextEmitter *self = (TextEmitter *) emitter;

  if (!several)
    return;

  if (self->after_image)
    g_string_append_c (emitter->out, '\n');
  g_string_append (emitter->out, "image: ");
  format_escaped (emitter->out, path, strlen (path));
  g_string_append_c (emitter->out, '\n');

  self->after_image = TRUE;
  self->after_block = FALSE;
}

static void
text_end_groups (Emitter *emitter, const char *const *keys G_GNUC_UNUSED)
{
  TextEmitter *self = (TextEmitter *) emitter;

  self->depth = 0;
}

/* A block that follows belongs to no single image, so a blank line separates
 * it from the last image, even if that has no block. */
static void
text_end_image (Emitter *emitter)
{
  TextEmitter *self = (TextEmitter *) emitter;

  self->after_block = self->after_image;
}

static void
text_begin (Emitter *emitter, EmitterGroup group, const char *key,
            const char *heading)
{
  TextEmitter *self = (TextEmitter *) emitter;

  g_assert (self->depth < MAX_DEPTH);
  self->groups[self->depth++] = group;

  switch (group)
    {
    case EMITTER_LIST:
      return;
    case EMITTER_BLOCK:
      if (self->after_block)
        g_string_append_c (emitter->out, '\n');
      if (heading != NULL)
        g_string_append_printf (emitter->out, "%s\n", heading);
      self->after_block = TRUE;
      return;
    case EMITTER_ROW:
      g_string_append_printf (emitter->out, "%-25s", key);
      return;
    case EMITTER_TABLE:
      self->has_heading = FALSE;
      return;
    }
}

static void
text_field (Emitter *emitter, const Qcow2Field *field, gconstpointer record)
{
  const TextEmitter *self = (TextEmitter *) emitter;
  const char *name = field->text != NULL ? field->text : field->name;

  g_assert (self->depth > 0);
  if (*name == '\0')
    return;

  if (self->groups[self->depth - 1] == EMITTER_ROW)
    {
      g_string_append_c (emitter->out, ' ');
      format_value (emitter->out, field, record);
    }
  else if (qcow2_field_has_value (field, record) || field->absent != NULL)
    format_line (emitter->out, name, field, record);
}

/* Prints the heading with the first row, so that a table without rows produces
 * no output. */
static void
text_rows (Emitter *emitter, const EmitterRows *rows)
{
  TextEmitter *self = (TextEmitter *) emitter;

  if (!self->has_heading && rows->n > 0)
    {
      format_table_heading (emitter->out, rows->fields, emitter->all_columns);
      self->has_heading = TRUE;
    }

  format_table_rows (emitter->out, rows->fields, rows->structures, rows->size,
                     rows->n, emitter->all_columns);
}

static void
text_null (Emitter *emitter G_GNUC_UNUSED, const char *key G_GNUC_UNUSED)
{
}

static void
text_end (Emitter *emitter)
{
  TextEmitter *self = (TextEmitter *) emitter;

  g_assert (self->depth > 0);
  if (self->groups[--self->depth] == EMITTER_ROW)
    g_string_append_c (emitter->out, '\n');
}

static void
text_free (Emitter *emitter)
{
  g_free (emitter);
}

static const EmitterClass text_class = { .begin_image = text_begin_image,
                                         .end_groups = text_end_groups,
                                         .end_image = text_end_image,
                                         .begin = text_begin,
                                         .field = text_field,
                                         .rows = text_rows,
                                         .null = text_null,
                                         .end = text_end,
                                         .free = text_free };

/* Returns an emitter that appends text to OUT, which must outlive it. */
Emitter *
emitter_new_text (GString *out)
{
  TextEmitter *self = g_new0 (TextEmitter, 1);

  self->base.klass = &text_class;
  self->base.out = out;
  return &self->base;
}
