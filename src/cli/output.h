/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes output and messages.  Output is collected and written in large
 * pieces; a message never overtakes the output that precedes it. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  OUTPUT_STREAM_ANSWER,  /* standard output */
  OUTPUT_STREAM_MESSAGES /* standard error */
} OutputStream;

/* Writes LEN bytes to STREAM or fails with a G_FILE_ERROR.  DATA is the
 * caller's. */
typedef gboolean (*OutputWriteFunc) (OutputStream stream, const char *bytes,
                                     gsize len, gpointer data, GError **error);

#define OUTPUT_ERROR (output_error_quark ())

typedef enum
{
  OUTPUT_ERROR_FAILED /* an earlier write failed: see output_close () */
} OutputError;

typedef struct Output Output;

GQuark output_error_quark (void);
Output *output_new (OutputWriteFunc write, gpointer data);
GString *output_get_text (Output *output);
gboolean output_flush (Output *output, GError **error);
gboolean output_flush_all (Output *output, GError **error);
void output_hold (Output *output);
gboolean output_release (Output *output, GError **error);
void output_message (Output *output, const char *image, const char *message);
void output_unprefixed_message (Output *output, const char *line);
gboolean output_close (Output *output);
void output_free (Output *output);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Output, output_free)

G_END_DECLS
