/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks the program's output, for any input: that text contains nothing that
 * can drive a terminal, and that JSON is well formed.  This file shares no
 * code with src, and ends the test program when a check fails. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  ANSWER_TEXT,
  ANSWER_JSON, /* documents, one after another */
  ANSWER_DUMP  /* text in the form of QEMU's dumper; white space is allowed */
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
