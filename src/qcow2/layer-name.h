/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The name of a backing file, as QEMU understands it (found by running
 * QEMU 7.2).  Nothing here accesses a file. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Where a name leads. */
typedef enum
{
  QCOW2_LAYER_NONE,      /* the name is empty */
  QCOW2_LAYER_FILE,      /* to a file or block device of this machine */
  QCOW2_LAYER_ELSEWHERE, /* to a server, or to something that needs QEMU */
  QCOW2_LAYER_UNKNOWN    /* not known: the options are not understood */
} Qcow2LayerPlace;

typedef struct
{
  Qcow2LayerPlace place;
  char *full;   /* the name relative to the process: QEMU's
                   full-backing-filename; NULL if there is none */
  char *path;   /* the file's path relative to the process, if it is one */
  char *format; /* that the name itself states, or NULL */
} Qcow2LayerName;

void qcow2_layer_name_resolve (Qcow2LayerName *name, const char *overlay,
                               GBytes *backing_file);
gboolean qcow2_layer_name_has_protocol (const Qcow2LayerName *name);
void qcow2_layer_name_clear (Qcow2LayerName *name);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Qcow2LayerName, qcow2_layer_name_clear)

G_END_DECLS
