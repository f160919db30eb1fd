/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The layers of an image: itself, its backing file, and so on. */

#pragma once

#include "check/finding.h"
#include "qcow2/image.h"

G_BEGIN_DECLS

/* Maximum number of layers that are opened. */
#define QCOW2_MAX_LAYERS 200

typedef struct
{
  guint depth;         /* 0: the image itself */
  char *filename;      /* by which it is opened: relative to the process */
  char *format;        /* that its overlay states; NULL if it states none */
  gboolean is_guessed; /* it looks like qcow2, but no format is stated */
  gboolean is_raw;     /* all of it is the guest's: it ends the chain */

  /* IMAGE is NULL if the layer cannot be shown.  ERROR then says why.  SOURCE
   * is set if the file could be opened. */
  Qcow2Image *image;
  Qcow2Findings *findings;
  ByteSource *source;
  GError *error;
} Qcow2Layer;

typedef struct Qcow2Chain Qcow2Chain;

Qcow2Chain *qcow2_chain_open (const char *path, Qcow2Image *top,
                              Qcow2Findings *findings, int root);
guint qcow2_chain_get_n (const Qcow2Chain *chain);
const Qcow2Layer *qcow2_chain_get (const Qcow2Chain *chain, guint depth);
void qcow2_chain_free (Qcow2Chain *chain);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2Chain, qcow2_chain_free)

G_END_DECLS
