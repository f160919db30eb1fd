/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A plan of an edit: steps, each a list of runs of bytes.  All bytes of a step
 * are on the disk before the next step begins. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The maximum number of runs in a plan. */
#define EDIT_PLAN_MAX_RUNS 4096

/* The unit in which a disk writes, in bytes: a write within one of them is
 * done or not done. */
#define EDIT_SECTOR_SIZE 512

/* A run of bytes that changes. */
typedef struct
{
  guint64 offset;    /* host, bytes */
  GBytes *old_bytes; /* of the same size as the new ones, which is not 0 */
  GBytes *new_bytes;
  const char *field; /* name of the field that changes, static, or NULL */
  char *note;        /* what changes, or NULL */
} EditRun;

/* The state of a regular file after an edit.  Times are in nanoseconds since
 * the epoch. */
typedef struct
{
  guint64 size; /* bytes */
  gint64 mtime;
  gint64 ctime;
} EditStamp;

typedef struct
{
  GPtrArray *steps; /* of GPtrArray of EditRun */
  gboolean is_done; /* the plan was carried out, and left the file as in
                       STAMP */
  EditStamp stamp;
} EditPlan;

/* A position in a plan, for edit_plan_next_run ().  It begins as zeroes. */
typedef struct
{
  guint step; /* of the run that was returned */
  guint run;  /* index of the next run in STEP */
} EditPosition;

EditPlan *edit_plan_new (void);
void edit_plan_free (EditPlan *plan);
void edit_plan_begin_step (EditPlan *plan);
void edit_plan_add_step (EditPlan *plan, const GPtrArray *step,
                         gboolean reversed);
void edit_plan_add_bytes (EditPlan *plan, guint64 offset, GBytes *old_bytes,
                          GBytes *new_bytes, const char *field,
                          const char *note);
void edit_plan_add (EditPlan *plan, guint64 offset, const guint8 *old_bytes,
                    const guint8 *new_bytes, gsize len, const char *field,
                    const char *note);
void edit_plan_add_change (EditPlan *plan, guint64 offset, GBytes *old_bytes,
                           GBytes *new_bytes, const char *note);
void edit_plan_add_changes (EditPlan *plan, guint64 offset,
                            const guint8 *old_bytes, const guint8 *new_bytes,
                            gsize len, const char *note);
guint edit_plan_get_n_runs (const EditPlan *plan);
gboolean edit_plan_is_empty (const EditPlan *plan);
guint edit_plan_get_n_steps (const EditPlan *plan);
const GPtrArray *edit_plan_get_step (const EditPlan *plan, guint index);
const EditRun *edit_step_get_run (const GPtrArray *step, guint index);
const EditRun *edit_plan_next_run (const EditPlan *plan, EditPosition *at);
EditPlan *edit_plan_copy (const EditPlan *plan, gboolean reversed);
gboolean edit_plan_check (const EditPlan *plan, GError **error);
void edit_plan_overlay (const EditPlan *plan, gboolean undo, guint64 offset,
                        guint8 *bytes, gsize len);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (EditPlan, edit_plan_free)

/* Returns the size of RUN in bytes. */
static inline gsize
edit_run_get_size (const EditRun *run)
{
  return g_bytes_get_size (run->new_bytes);
}

/* Returns the old bytes of RUN if OLD, otherwise the new ones. */
static inline const guint8 *
edit_run_get_bytes (const EditRun *run, gboolean old)
{
  return g_bytes_get_data (old ? run->old_bytes : run->new_bytes, NULL);
}

G_END_DECLS
