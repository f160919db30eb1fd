/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Computes percentages that are the same on every machine, digit for digit. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

double percent_of (guint64 part, guint64 whole);

G_END_DECLS
