/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The result of the functions that return one item after the other. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  QCOW2_NEXT_FAILED = -1, /* the error is set */
  QCOW2_NEXT_END,         /* there is no further item */
  QCOW2_NEXT_ITEM         /* the next item was stored */
} Qcow2Next;

G_END_DECLS
