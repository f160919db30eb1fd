/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Errors of edits.  Errors about the image that are not in this domain are in
 * QCOW2_ERROR. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define EDIT_ERROR (edit_error_quark ())

typedef enum
{
  EDIT_ERROR_REFUSED, /* the result would be damaged, or would claim something
                         that is not known */
  EDIT_ERROR_LOCKED,  /* another program has the image open, or no lock can be
                         taken */
  EDIT_ERROR_CHANGED, /* the image has other bytes than those expected */
  EDIT_ERROR_WRITE,   /* a write failed */
  EDIT_ERROR_PLAN,    /* the plan cannot be read or saved */
  EDIT_ERROR_VALUE    /* a value does not fit into its field */
} EditError;

GQuark edit_error_quark (void);

G_END_DECLS
