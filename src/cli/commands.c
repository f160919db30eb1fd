/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/commands.h"

#define ADDRESS(name) &cmd_##name,

const Command *const commands[] = { COMMANDS (ADDRESS) NULL };
