/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/commands.h"

/* In the order in which the help lists them. */
/* clang-format off */
const Command *const commands[] = {
  &cmd_header,
  &cmd_extensions,
  &cmd_bitmaps,
  &cmd_bitmap_table,
  &cmd_bitmap_map,
  &cmd_dump,
  &cmd_check,
  &cmd_dump_header,
  &cmd_dump_header_exts,
  NULL,
};
/* clang-format on */
