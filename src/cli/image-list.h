/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The images named by a command line: operands first, then those in list
 * files, which are read as needed. */

#pragma once

#include "qcow2/next.h"

G_BEGIN_DECLS

typedef struct ImageList ImageList;

ImageList *image_list_new (char **operands, char **line_files,
                           char **nul_files);
Qcow2Next image_list_next (ImageList *list, char **name, GError **error);
void image_list_free (ImageList *list);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (ImageList, image_list_free)

G_END_DECLS
