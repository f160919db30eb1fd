/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/plan.h"

#include <string.h>

#include "edit/plan-parse.h"
#include "render/digits.h"
#include "render/format.h"

/* A run as JSON shows it. */
typedef struct
{
  guint64 step;
  guint64 offset;
  const char *old; /* in hexadecimal */
  const char *new;
  const char *field;
  const char *note;
} Change;

#define T(member, format) QCOW2_DERIVED (PlanTitle, #member, member, format)
#define C(member, format) QCOW2_DERIVED (Change, #member, member, format)

static const Qcow2Field title_fields[]
    = { T (command, QCOW2_WORD), T (size, QCOW2_DEC), QCOW2_FIELD_END };

static const Qcow2Field change_fields[]
    = { C (step, QCOW2_DEC), C (offset, QCOW2_DEC), C (old, QCOW2_WORD),
        C (new, QCOW2_WORD), C (field, QCOW2_WORD), C (note, QCOW2_WORD),
        QCOW2_FIELD_END };

static void
append_hex (GString *out, const EditRun *run, gboolean old)
{
  const guint8 *bytes = edit_run_get_bytes (run, old);

  for (gsize i = 0; i < edit_run_get_size (run); i++)
    digits_append_byte (out, bytes[i]);
}

/* Appends NOTE, escaped except for its backslashes: in a note that was read
 * from a plan, they are the escapes of what was written there. */
static void
append_note (GString *out, const char *note)
{
  for (;;)
    {
      const gsize len = strcspn (note, "\\");

      format_escaped (out, note, len);
      if (note[len] == '\0')
        return;

      g_string_append_c (out, '\\');
      note += len + 1;
    }
}

static void
append_comment (GString *out, const EditRun *run)
{
  if (run->field == NULL && run->note == NULL)
    return;

  g_string_append (out, "    # ");
  if (run->field != NULL)
    g_string_append (out, run->field);
  if (run->field != NULL && run->note != NULL)
    g_string_append (out, ": ");
  if (run->note != NULL)
    append_note (out, run->note);
}

/* Appends PLAN to OUT as text, which edit_plan_parse () reads back. */
void
plan_append_text (GString *out, const PlanTitle *title, const EditPlan *plan)
{
  g_string_append (out, EDIT_PLAN_MAGIC);
  format_escaped (out, title->command, strlen (title->command));
  g_string_append (out, ", ");
  format_escaped (out, title->path, strlen (title->path));
  g_string_append_printf (out, ", %" G_GUINT64_FORMAT " bytes\n", title->size);

  for (guint i = 0; i < edit_plan_get_n_steps (plan); i++)
    {
      const GPtrArray *step = edit_plan_get_step (plan, i);

      for (guint k = 0; k < step->len; k++)
        {
          const EditRun *run = edit_step_get_run (step, k);

          g_string_append_printf (out,
                                  "0x%" G_GINT64_MODIFIER "x: ", run->offset);
          append_hex (out, run, TRUE);
          g_string_append (out, " -> ");
          append_hex (out, run, FALSE);
          append_comment (out, run);
          g_string_append_c (out, '\n');
        }
      if (step->len > 0)
        g_string_append (out, EDIT_PLAN_SYNC "\n");
    }
}

/* Appends the line that says that a plan was carried out and left the file as
 * in STAMP. */
void
plan_append_done (GString *out, const EditStamp *stamp)
{
  g_string_append_printf (out,
                          EDIT_PLAN_DONE "%" G_GUINT64_FORMAT
                                         " %" G_GINT64_FORMAT
                                         " %" G_GINT64_FORMAT "\n",
                          stamp->size, stamp->mtime, stamp->ctime);
}

static void
describe_run (Emitter *emitter, guint step, const EditRun *run)
{
  g_autoptr (GString) old = g_string_new (NULL);
  g_autoptr (GString) new = g_string_new (NULL);
  Change change = {
    .step = step, .offset = run->offset, .field = run->field, .note = run->note
  };

  append_hex (old, run, TRUE);
  append_hex (new, run, FALSE);
  change.old = old->str;
  change.new = new->str;

  emitter_begin (emitter, EMITTER_ROW, NULL, NULL);
  for (const Qcow2Field *field = change_fields; field->name != NULL; field++)
    emitter_field (emitter, field, &change);
  emitter_end (emitter);
}

/* Emits PLAN as the object of an image. */
void
plan_describe (Emitter *emitter, const PlanTitle *title, const EditPlan *plan)
{
  static const char *const keys[] = { "changes", NULL };
  EditPosition at = { 0, 0 };
  const EditRun *run;

  emitter_begin_image (emitter, title->path, FALSE);
  for (const Qcow2Field *field = title_fields; field->name != NULL; field++)
    emitter_field (emitter, field, title);
  emitter_begin (emitter, EMITTER_LIST, "changes", NULL);
  while ((run = edit_plan_next_run (plan, &at)) != NULL)
    describe_run (emitter, at.step, run);
  emitter_end (emitter);
  emitter_end_groups (emitter, keys);
  emitter_end_image (emitter);
}
