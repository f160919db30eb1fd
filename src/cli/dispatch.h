/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a command line to its command. */

#pragma once

#include "cli/output.h"

G_BEGIN_DECLS

int dispatch (char **argv, OutputWriteFunc write);

G_END_DECLS
