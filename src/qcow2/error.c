/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/error.h"

/* clang-format off */
G_DEFINE_QUARK (qcow2-error-quark, qcow2_error)
/* clang-format on */

/* Sets ERROR to an error in QCOW2_ERROR with CODE.  The message is FORMAT with
 * its arguments, followed by RULE, the id of the rule that the image breaks,
 * in brackets, as in the text of findings. */
void
qcow2_set_rule_error (GError **error, Qcow2Error code, const char *rule,
                      const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  g_autofree char *message = g_strdup_vprintf (format, arguments);
  va_end (arguments);

  g_set_error (error, QCOW2_ERROR, code, "%s [%s]", message, rule);
}
