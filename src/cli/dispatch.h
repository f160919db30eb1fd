/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds and runs the command that a command line names. */

#pragma once

#include "cli/output.h"

G_BEGIN_DECLS

int dispatch (char **argv, OutputWriteFunc write, gpointer data);

G_END_DECLS
