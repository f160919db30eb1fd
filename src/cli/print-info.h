/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads what qemu-img info prints about an image, and prints it. */

#pragma once

#include "cli/tool.h"
#include "qcow2/directory.h"
#include "render/qemu-tree.h"

G_BEGIN_DECLS

/* An image to be printed: one of the command line, or a layer of a chain. */
typedef struct
{
  const char *filename; /* as it was opened */
  const Qcow2Image *image;
  Qcow2Findings *findings;   /* about the header and the extensions */
  Qcow2Directory *directory; /* its bitmap directory */
  gboolean with_children;    /* print the file as a child of the image */
} InfoJob;

gboolean print_info (Tool *tool, const InfoJob *job, QemuTree *tree,
                     GError **error);

G_END_DECLS
