/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looks at what the program prints, whatever it prints of: is it text that a
 * terminal cannot be driven by, and is JSON well formed.  It shares no code
 * with src, and ends the test program when something is wrong. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  ANSWER_TEXT,
  ANSWER_JSON, /* documents, one after the other */
  ANSWER_DUMP  /* text as QEMU's dumper prints it: white space stays */
} AnswerKind;

typedef struct Answer Answer;

Answer *answer_new (AnswerKind kind, const char *what);
GString *answer_get_text (Answer *answer);
void answer_check (Answer *answer);
void answer_end (Answer *answer);
guint64 answer_get_size (const Answer *answer);
guint64 answer_add_to_digest (guint64 digest, const void *bytes, gsize len);
guint64 answer_get_digest (const Answer *answer);
void answer_free (Answer *answer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Answer, answer_free)

G_END_DECLS
