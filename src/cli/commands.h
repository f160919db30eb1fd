/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All commands, in the order in which the help lists them. */

#pragma once

#include "cli/tool.h"

G_BEGIN_DECLS

extern const Command cmd_header;
extern const Command cmd_extensions;
extern const Command cmd_bitmaps;
extern const Command cmd_bitmap_table;
extern const Command cmd_bitmap_map;
extern const Command cmd_dump;
extern const Command cmd_check;
extern const Command cmd_dump_header;
extern const Command cmd_dump_header_exts;

extern const Command *const commands[]; /* NULL-terminated */

G_END_DECLS
