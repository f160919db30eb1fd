/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arithmetic that several files need. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Returns NUMBER / DIVISOR, rounded up. */
static inline guint64
qcow2_divide_up (guint64 number, guint64 divisor)
{
  return number / divisor + (number % divisor != 0);
}

/* Returns NUMBER, rounded up to a multiple of UNIT. */
static inline guint64
qcow2_round_up (guint64 number, guint64 unit)
{
  return qcow2_divide_up (number, unit) * unit;
}

/* Returns a number below, equal to or above 0 if A is below, equal to or above
 * B. */
static inline gint
qcow2_compare (guint64 a, guint64 b)
{
  return a < b ? -1 : a > b;
}

G_END_DECLS
