/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checker of the program's output must reject what is not allowed. */

#include "config.h"

#include "oracle/answer.h"

typedef struct
{
  const char *path;
  AnswerKind kind;
  const char *text;
  const char *complaint; /* NULL: none */
} Row;

static const Row rows[] = {
  { "text/plain", ANSWER_TEXT, "a line\n\nanother: ~\n", NULL },
  { "text/utf-8", ANSWER_TEXT, "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80\n",
    NULL },
  { "text/no-line-break", ANSWER_TEXT, "a\nb", "does not end" },
  { "text/tab", ANSWER_TEXT, "a\tb\n", "a control" },
  { "text/escape", ANSWER_TEXT, "\033[2J\n", "a control" },
  { "text/del", ANSWER_TEXT, "\x7f\n", "a control" },
  { "text/c1", ANSWER_TEXT, "\xc2\x9b\n", "format character" },
  { "text/after-c1", ANSWER_TEXT, "\xc2\xa0\n", NULL },
  { "text/arabic-mark", ANSWER_TEXT, "\xd8\x9c\n", "format character" },
  { "text/zero-width", ANSWER_TEXT, "\xe2\x80\x8b\n", "format character" },
  { "text/before-zero-width", ANSWER_TEXT, "\xe2\x80\x8a\n", NULL },
  { "text/override", ANSWER_TEXT, "\xe2\x80\xae\n", "format character" },
  { "text/isolate", ANSWER_TEXT, "\xe2\x81\xa9\n", "format character" },
  { "text/byte-order", ANSWER_TEXT, "\xef\xbb\xbf\n", "format character" },
  { "text/annotation", ANSWER_TEXT, "\xef\xbf\xb9\n", "format character" },
  { "text/replacement", ANSWER_TEXT, "\xef\xbf\xbd\n", NULL },
  { "text/tag", ANSWER_TEXT, "\xf3\xa0\x81\xbf\n", "format character" },
  { "text/latin-1", ANSWER_TEXT, "\xe4\n", "not UTF-8" },
  { "text/continuation", ANSWER_TEXT, "\x80\n", "not UTF-8" },
  { "text/cut", ANSWER_TEXT, "\xe2\x82", "not UTF-8" },
  { "text/overlong-2", ANSWER_TEXT, "\xc0\xaf\n", "not UTF-8" },
  { "text/overlong-3", ANSWER_TEXT, "\xe0\x80\xaf\n", "not UTF-8" },
  { "text/overlong-4", ANSWER_TEXT, "\xf0\x8f\xbf\xbf\n", "not UTF-8" },
  { "text/surrogate", ANSWER_TEXT, "\xed\xa0\x80\n", "not UTF-8" },
  { "text/too-large", ANSWER_TEXT, "\xf4\x90\x80\x80\n", "not UTF-8" },
  { "text/five-bytes", ANSWER_TEXT, "\xf8\x88\x80\x80\x80\n", "not UTF-8" },

  { "dump/tab", ANSWER_DUMP, "a\tb\v\n", NULL },
  { "dump/escape", ANSWER_DUMP, "\033\n", "a control" },

  { "json/object", ANSWER_JSON, "{\"a\": [1, 0, true, null], \"b\": {}}\n",
    NULL },
  { "json/lines", ANSWER_JSON, "{\"a\":1}\n{\"a\":[]}\n", NULL },
  { "json/escapes", ANSWER_JSON, "[\"\\u00e4\\n\\\"\\\\\\ud83d\\ude00\"]\n",
    NULL },
  { "json/largest", ANSWER_JSON, "[18446744073709551615]\n", NULL },
  { "json/no-document", ANSWER_JSON, "1\n", "neither an object" },
  { "json/open", ANSWER_JSON, "{\"a\": [1]\n", "does not end" },
  { "json/closed-twice", ANSWER_JSON, "[1]]\n", "neither an object" },
  { "json/other-bracket", ANSWER_JSON, "[1}\n", "the other bracket" },
  { "json/other-bracket-empty", ANSWER_JSON, "[}\n", "the other bracket" },
  { "json/comma-at-end", ANSWER_JSON, "[1,]\n", "no value" },
  { "json/comma-at-end-of-object", ANSWER_JSON, "{\"a\":1,}\n", "no key" },
  { "json/comma-at-start", ANSWER_JSON, "[,1]\n", "no value" },
  { "json/no-comma", ANSWER_JSON, "[1 2]\n", "the other bracket" },
  { "json/no-colon", ANSWER_JSON, "{\"a\" 1}\n", "no colon" },
  { "json/no-value", ANSWER_JSON, "{\"a\":}\n", "no value" },
  { "json/bare-key", ANSWER_JSON, "{a:1}\n", "neither a key" },
  { "json/number-as-key", ANSWER_JSON, "{\"a\":1,2:3}\n", "no key" },
  { "json/same-key", ANSWER_JSON, "{\"a\":1,\"b\":2,\"a\":3}\n",
    "there already" },
  { "json/same-key-elsewhere", ANSWER_JSON, "{\"a\":{\"a\":1}}\n", NULL },
  { "json/leading-zero", ANSWER_JSON, "[01]\n", "no number" },
  { "json/power", ANSWER_JSON, "[9.27699e-08, 1e+20, 0e0]\n", NULL },
  { "json/power-without-digits", ANSWER_JSON, "[1e-]\n", "no digit" },
  { "json/power-twice", ANSWER_JSON, "[1e1e1]\n", "the other bracket" },
  { "json/power-of-nothing", ANSWER_JSON, "[1.e1]\n", "no digit" },
  { "json/sign-twice", ANSWER_JSON, "[1e--1]\n", "no digit" },
  { "json/sign-late", ANSWER_JSON, "[1e1-1]\n", "the other bracket" },
  { "json/negative", ANSWER_JSON, "[-1, -0, -9223372036854775808, -0.5]\n",
    NULL },
  { "json/minus-alone", ANSWER_JSON, "[-]\n", "no digit" },
  { "json/minus-twice", ANSWER_JSON, "[--1]\n", "no digit" },
  { "json/minus-leading-zero", ANSWER_JSON, "[-01]\n", "no number" },
  { "json/minus-point", ANSWER_JSON, "[-.5]\n", "no digit" },
  { "json/hex", ANSWER_JSON, "[0x1]\n", "the other bracket" },
  { "json/too-long-number", ANSWER_JSON, "[184467440737095516150]\n",
    "no number" },
  { "json/word", ANSWER_JSON, "[nul]\n", "no such word" },
  { "json/long-word", ANSWER_JSON, "[nulll]\n", "the other bracket" },
  { "json/line-break-in-string", ANSWER_JSON, "[\"a\nb\"]\n",
    "a control in a string" },
  { "json/bad-escape", ANSWER_JSON, "[\"\\x41\"]\n", "no such escape" },
  { "json/bad-unit", ANSWER_JSON, "[\"\\u00g0\"]\n", "no hexadecimal" },
  { "json/high-alone", ANSWER_JSON, "[\"\\ud83d\"]\n", "surrogate" },
  { "json/high-and-text", ANSWER_JSON, "[\"\\ud83dx\"]\n", "surrogate" },
  { "json/high-and-escape", ANSWER_JSON, "[\"\\ud83d\\n\"]\n",
    "no such escape" },
  { "json/low-alone", ANSWER_JSON, "[\"\\ude00\"]\n", "surrogate" },
  { "json/control", ANSWER_JSON, "[\"\x7f\"]\n", "a control" },
  { "json/deep", ANSWER_JSON, "[[[[[[[[[[[[[1]]]]]]]]]]]]]\n", "too deep" },
};

/* Adds the text in two or more pieces, as output arrives, split where the
 * result is the same. */
static void
judge (const Row *row)
{
  g_autoptr (Answer) answer = answer_new (row->kind, "test");

  for (const char *it = row->text; *it != '\0'; it++)
    {
      g_string_append_c (answer_get_text (answer), *it);
      if (*it == '\n' || *it == '1')
        answer_check (answer);
    }
  answer_end (answer);
}

static void
test_row (gconstpointer data)
{
  const Row *row = data;

  if (row->complaint == NULL || g_test_subprocess ())
    {
      judge (row);
      return;
    }

  g_autofree char *pattern = g_strdup_printf ("*%s*", row->complaint);
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_failed ();
  g_test_trap_assert_stderr (pattern);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *path = g_strdup_printf ("/answer/%s", rows[i].path);

      g_test_add_data_func (path, &rows[i], test_row);
    }

  return g_test_run ();
}
