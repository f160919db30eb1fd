/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs the program's command lines in process, over a source instead of a
 * file.  This module defines byte_source_open_file (), so that the linker does
 * not use the definition in src. */

#pragma once

#include "oracle/drive.h"

G_BEGIN_DECLS

guint command_get_n (void);
void command_run (ByteSource *source, guint number,
                  const DriveOptions *options, const DriveResult *known);

G_END_DECLS
