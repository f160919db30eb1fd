/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Errors that end the reading of an image.  Readers note any other damage in
 * what they return. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define QCOW2_ERROR (qcow2_error_quark ())

/* The causes of errors. */
typedef enum
{
  QCOW2_ERROR_OPEN,        /* the file cannot be opened, or is of a kind that
                              cannot hold an image */
  QCOW2_ERROR_REFUSED,     /* an option forbids to open the file */
  QCOW2_ERROR_NOT_QCOW2,   /* the magic number is wrong */
  QCOW2_ERROR_UNSUPPORTED, /* the qcow2 version is not supported */
  QCOW2_ERROR_TRUNCATED,   /* the file ends inside the mandatory header */
  QCOW2_ERROR_CORRUPT,     /* part of what was requested cannot be shown, or
                              the image allows no certain answer */
  QCOW2_ERROR_AMBIGUOUS,   /* more than one item matches the request */
  QCOW2_ERROR_NOT_FOUND,   /* no item matches the request */
  QCOW2_ERROR_READ,        /* a read failed, or the file shrank */
  QCOW2_ERROR_LIMIT,       /* a limit on reading was reached */
  QCOW2_ERROR_CHANGED      /* the file changed during the read, so there is no
                              reliable answer */
} Qcow2Error;

GQuark qcow2_error_quark (void);

void qcow2_set_rule_error (GError **error, Qcow2Error code, const char *rule,
                           const char *format, ...) G_GNUC_PRINTF (4, 5);

/* Formats for offsets (QCOW2_HEX_FORMAT) and other numbers (QCOW2_U64_FORMAT)
 * in messages. */
#define QCOW2_HEX_FORMAT "0x%" G_GINT64_MODIFIER "x"
#define QCOW2_U64_FORMAT "%" G_GUINT64_FORMAT

G_END_DECLS
