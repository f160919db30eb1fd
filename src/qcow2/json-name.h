/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the names of backing files that are options of a block device in JSON:
 * json:{"driver": "qcow2", "file": {"driver": "file", "filename": "a"}}. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  char *filename; /* path of the file that holds the layer; it has no protocol,
                     even if there is a colon in it */
  char *format;   /* of the layer, or NULL if it is not stated */
} Qcow2JsonName;

gboolean qcow2_json_name_parse (Qcow2JsonName *name, const char *text);
void qcow2_json_name_clear (Qcow2JsonName *name);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Qcow2JsonName, qcow2_json_name_clear)

G_END_DECLS
