/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The common part of commands that write: their options, and an edit from its
 * plan to its messages. */

#pragma once

#include "cli/tool.h"
#include "edit/work.h"

G_BEGIN_DECLS

/* The meanings of the exit statuses of these commands. */
#define EDIT_STATUSES                                                         \
  "0 done, or nothing to do, 1 failed, 2 refused, 3 no such field, bit, "     \
  "extension or bitmap"

typedef struct
{
  gboolean dry_run;
  gboolean force;
  char *save_plan; /* file name, or NULL */
} EditOptions;

/* Elements of an array of GOptionEntry that fill in OPTIONS. */
#define EDIT_OPTIONS(options)                                                 \
  { "dry-run",                                                                \
    'n',                                                                      \
    0,                                                                        \
    G_OPTION_ARG_NONE,                                                        \
    &(options)->dry_run,                                                      \
    "Only print the plan; the image is opened for reading, without a lock",   \
    NULL },                                                                   \
      { "save-plan",                                                          \
        0,                                                                    \
        0,                                                                    \
        G_OPTION_ARG_FILENAME,                                                \
        &(options)->save_plan,                                                \
        "Save the plan in the new file FILE before anything is written; "     \
        "apply "                                                              \
        "--reverse undoes it",                                                \
        "FILE" },                                                             \
  {                                                                           \
    "force", 0, 0, G_OPTION_ARG_NONE, &(options)->force,                      \
        "Make the edit even if it damages the image, or could hide that a "   \
        "bitmap is out of date",                                              \
        NULL                                                                  \
  }

/* Plans the edit of WORK, or adds messages after it. */
typedef gboolean (*EditRunFunc) (Tool *tool, EditWork *work, gpointer data,
                                 GError **error);

/* An edit. */
typedef struct
{
  const EditOptions *options;
  const char *path;    /* of the image */
  const char *command; /* as plans show it: with arguments, without the
                          image */
  EditRunFunc plan;
  EditRunFunc done; /* called before the messages are told, or NULL */
  gpointer data;    /* of these */
} EditRunJob;

void edit_options_clear (EditOptions *options);
gboolean edit_run_check_operands (Tool *tool, guint n, const char *names,
                                  GError **error);
gboolean edit_run (Tool *tool, const EditRunJob *job, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (EditOptions, edit_options_clear)

G_END_DECLS
