/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The members of a Tool, for the files that implement it. */

#pragma once

#include "cli/tool.h"

G_BEGIN_DECLS

/* The state of an image that is shown. */
typedef struct
{
  const char *row_image; /* its name if it is one of several, or NULL */
  Qcow2Findings *findings;
  Report *report;
  GError *read_error; /* first error after which reading went on */
  guint64 n_read_errors;
} ToolImage;

struct Tool
{
  Output *output;
  const Command *command;
  Emitter *emitter;
  ToolStatus status;
  ToolPurpose purpose;

  Options options;
  const char *one_image; /* command or option that takes exactly one image, or
                            NULL */
  gboolean one_table;    /* one table for all images */
  gboolean lacks_name;   /* --name is an option here, and was not used */

  int root;             /* open directory in which all images must be, or -1 */
  gboolean with_layers; /* an image is shown as a list of its layers */
  ToolImage current;
};

G_END_DECLS
