/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Errors that end the reading of an image.  Damage that leaves something to
 * read is a Qcow2Problem instead. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define QCOW2_ERROR (qcow2_error_quark ())

/* What went wrong, by cause. */
typedef enum
{
  QCOW2_ERROR_OPEN,      /* the file cannot be opened or is of a wrong kind */
  QCOW2_ERROR_NOT_QCOW2, /* the magic is another */
  QCOW2_ERROR_UNSUPPORTED, /* a qcow2 version that this reader does not know */
  QCOW2_ERROR_TRUNCATED,   /* the file ends inside the mandatory header */
  QCOW2_ERROR_CORRUPT,     /* not all of what was asked for can be given */
  QCOW2_ERROR_AMBIGUOUS, /* several things bear the name that was asked for */
  QCOW2_ERROR_NOT_FOUND, /* nothing is what was asked for */
  QCOW2_ERROR_READ,      /* the system cannot read, or the file shrank */
  QCOW2_ERROR_CHANGED    /* the file changed, so that there is no answer */
} Qcow2Error;

GQuark qcow2_error_quark (void);

G_END_DECLS
