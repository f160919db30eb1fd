/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All commands. */

#pragma once

#include "cli/tool.h"

G_BEGIN_DECLS

/* Expands DO (NAME) for the Command cmd_NAME of each command, in the order in
 * which the help lists them. */
#define COMMANDS(DO)                                                          \
  DO (info)                                                                   \
  DO (header)                                                                 \
  DO (extensions)                                                             \
  DO (bitmaps)                                                                \
  DO (bitmap_table)                                                           \
  DO (bitmap_map)                                                             \
  DO (map)                                                                    \
  DO (snapshots)                                                              \
  DO (dump)                                                                   \
  DO (table)                                                                  \
  DO (check)                                                                  \
  DO (set_header)                                                             \
  DO (set_feature_bit)                                                        \
  DO (clear_feature_bit)                                                      \
  DO (add_header_ext)                                                         \
  DO (add_header_ext_stdio)                                                   \
  DO (del_header_ext)                                                         \
  DO (remove_bitmap)                                                          \
  DO (apply)                                                                  \
  DO (dump_header)                                                            \
  DO (dump_header_exts)

#define COMMANDS_DECLARE(name) extern const Command cmd_##name;
COMMANDS (COMMANDS_DECLARE)

extern const Command *const commands[]; /* NULL-terminated */

G_END_DECLS
