/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --backing-chain and --root: a command follows the backing files. */

#pragma once

#include "check/chain.h"
#include "cli/tool.h"

G_BEGIN_DECLS

typedef struct
{
  gboolean wanted; /* --backing-chain */
  char *root;      /* --root, or NULL */
  int fd;          /* of that directory, or -1; the tool closes it */
} LayerOptions;

/* Elements of an array of GOptionEntry that fill in OPTIONS. */
#define LAYER_OPTIONS(options)                                                \
  { "backing-chain",                                                          \
    0,                                                                        \
    0,                                                                        \
    G_OPTION_ARG_NONE,                                                        \
    &(options)->wanted,                                                       \
    "Open the backing files, too, and show all layers",                       \
    NULL },                                                                   \
  {                                                                           \
    "root", 0, 0, G_OPTION_ARG_FILENAME, &(options)->root,                    \
        "With --backing-chain: open nothing that is not in DIR or below",     \
        "DIR"                                                                 \
  }

gboolean layers_prepare (LayerOptions *options, Tool *tool, GError **error);
Qcow2Chain *layers_open (const LayerOptions *options, Tool *tool,
                         Qcow2Image *image);
gboolean layers_check_still (const Qcow2Chain *chain, GError **error);
void layers_clear (LayerOptions *options);

G_END_DECLS
