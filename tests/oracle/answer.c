/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "answer.h"

#include <string.h>

/* More than any output of the program has. */
#define MAX_DEPTH 12
#define MAX_MEMBERS 64

/* The digits of 2^64 - 1, the largest number there is. */
#define MAX_DIGITS 20

/* The parts of JSON that may come next. */
typedef enum
{
  WANT_VALUE,
  WANT_VALUE_OR_END, /* after "[" */
  WANT_KEY,
  WANT_KEY_OR_END, /* after "{" */
  WANT_COLON,
  WANT_COMMA_OR_END,
  IN_STRING,
  IN_ESCAPE,
  IN_UNIT, /* after "\u" */
  IN_NUMBER,
  IN_WORD,
  WANT_DOCUMENT
} JsonState;

typedef struct
{
  char closer;
  guint n_members;
  guint64 members[MAX_MEMBERS]; /* digests of their keys */
} JsonLevel;

struct Answer
{
  AnswerKind kind;
  const char *what;
  GString *text;  /* appended and not yet checked */
  guint64 size;   /* of the checked text, in bytes */
  guint64 digest; /* of the checked text */
  guint8 last;    /* last byte of the checked text */

  JsonState state;
  JsonLevel levels[MAX_DEPTH];
  guint depth;
  gboolean is_key;      /* the current string is a key */
  guint64 key;          /* digest of the current key */
  guint n_digits;       /* in the current number or UTF-16 unit */
  gboolean is_zero;     /* the number begins with 0 */
  gboolean is_fraction; /* its point was taken */
  gboolean is_power;    /* its e was taken */
  gboolean may_be_sign; /* the last byte was that e */
  guint unit;
  gboolean want_low; /* a low surrogate must come next */
  const char *word;  /* rest of true, false or null */
};

/* Returns an answer of KIND without text.  WHAT, a static string, names the
 * answer in error messages. */
Answer *
answer_new (AnswerKind kind, const char *what)
{
  Answer *answer = g_new0 (Answer, 1);

  answer->kind = kind;
  answer->what = what;
  answer->text = g_string_new (NULL);
  answer->state = WANT_DOCUMENT;
  answer->last = '\n';
  return answer;
}

/* Returns the text to append output to; answer_check () empties it. */
GString *
answer_get_text (Answer *answer)
{
  return answer->text;
}

static void
complain (const Answer *answer, gsize at, const char *why)
{
  const GString *text = answer->text;
  const gsize start = at - MIN (at, 60);
  g_autofree char *before
      = g_strescape (g_strndup (text->str + start, at - start), NULL);
  g_autofree char *behind = g_strescape (
      g_strndup (text->str + at, MIN (60, text->len - at)), NULL);

  g_error ("%s, byte %" G_GUINT64_FORMAT ": %s: %s<HERE>%s", answer->what,
           answer->size + at, why, before, behind);
}

/* Returns whether C must not reach a terminal, as the contract lists it. */
static gboolean
is_harmful (guint32 c)
{
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c
         || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e)
         || (c >= 0x2060 && c <= 0x2069) || c == 0xfeff
         || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

/* Decodes a multi-byte character from the LEN bytes at BYTES and stores it in
 * *C.  Returns its length in bytes, or 0 when the bytes are not UTF-8. */
static gsize
decode (const guint8 *bytes, gsize len, guint32 *c)
{
  const guint8 first = bytes[0];
  const gsize size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  static const guint32 least[] = { 0, 0, 0x80, 0x800, 0x10000 };

  if (first < 0xc0 || first >= 0xf8 || size > len)
    return 0;

  *c = first & (0x7fu >> size);
  for (gsize i = 1; i < size; i++)
    {
      if ((bytes[i] & 0xc0) != 0x80)
        return 0;
      *c = *c << 6 | (bytes[i] & 0x3fu);
    }

  return *c >= least[size] && *c <= 0x10ffff && (*c < 0xd800 || *c > 0xdfff)
             ? size
             : 0;
}

static gboolean
is_white_space (guint8 byte)
{
  return byte >= '\t' && byte <= '\r';
}

static void
check_text (const Answer *answer)
{
  const guint8 *bytes = (const guint8 *) answer->text->str;
  const gsize len = answer->text->len;

  for (gsize i = 0; i < len;)
    {
      guint32 c = 0;

      if ((bytes[i] >= ' ' && bytes[i] < 0x7f) || bytes[i] == '\n'
          || (answer->kind == ANSWER_DUMP && is_white_space (bytes[i])))
        {
          i++;
          continue;
        }

      const gsize size
          = bytes[i] >= 0x80 ? decode (bytes + i, len - i, &c) : 0;
      if (size == 0)
        complain (answer, i, bytes[i] < 0x80 ? "a control" : "not UTF-8");
      if (is_harmful (c))
        complain (answer, i, "a control or format character");
      i += size;
    }
}

static void
begin_level (Answer *answer, char closer, gsize at)
{
  if (answer->depth == MAX_DEPTH)
    complain (answer, at, "too deep");

  answer->levels[answer->depth].closer = closer;
  answer->levels[answer->depth].n_members = 0;
  answer->depth++;
  answer->state = closer == ']' ? WANT_VALUE_OR_END : WANT_KEY_OR_END;
}

static void
end_value (Answer *answer)
{
  answer->state = answer->depth > 0 ? WANT_COMMA_OR_END : WANT_DOCUMENT;
}

static void
end_level (Answer *answer, char closer, gsize at)
{
  if (answer->levels[answer->depth - 1].closer != closer)
    complain (answer, at, "the other bracket is open");

  answer->depth--;
  end_value (answer);
}

static void
begin_string (Answer *answer, gboolean is_key)
{
  answer->is_key = is_key;
  answer->key = 0;
  answer->state = IN_STRING;
}

static void
end_string (Answer *answer, gsize at)
{
  if (!answer->is_key)
    {
      end_value (answer);
      return;
    }

  JsonLevel *level = &answer->levels[answer->depth - 1];
  for (guint i = 0; i < level->n_members; i++)
    {
      if (level->members[i] == answer->key)
        complain (answer, at, "the key is there already");
    }
  if (level->n_members == MAX_MEMBERS)
    complain (answer, at, "too many members");

  level->members[level->n_members++] = answer->key;
  answer->state = WANT_COLON;
}

static void
begin_value (Answer *answer, char c, gsize at)
{
  if (c == '{' || c == '[')
    begin_level (answer, c == '{' ? '}' : ']', at);
  else if (c == '"')
    begin_string (answer, FALSE);
  else if (g_ascii_isdigit (c) || c == '-')
    {
      answer->state = IN_NUMBER;
      answer->n_digits = c == '-' ? 0 : 1;
      answer->is_zero = c == '0';
      answer->is_fraction = FALSE;
      answer->is_power = FALSE;
      answer->may_be_sign = FALSE;
    }
  else
    {
      answer->word = c == 't'   ? "rue"
                     : c == 'f' ? "alse"
                     : c == 'n' ? "ull"
                                : NULL;
      answer->state = IN_WORD;
      if (answer->word == NULL)
        complain (answer, at, "no value begins so");
    }
}

/* A UTF-16 unit: surrogates must come in pairs. */
static void
end_unit (Answer *answer, gsize at)
{
  const gboolean low = answer->unit >= 0xdc00 && answer->unit <= 0xdfff;

  if (low != answer->want_low)
    complain (answer, at, "half a surrogate pair");

  answer->want_low = answer->unit >= 0xd800 && answer->unit <= 0xdbff;
  answer->state = IN_STRING;
}

static void
take_string_byte (Answer *answer, char c, gsize at)
{
  answer->key
      = (answer->key ^ (guint8) c) * G_GUINT64_CONSTANT (0x100000001b3);
  if (answer->want_low && c != '\\')
    complain (answer, at, "half a surrogate pair");

  if (c == '\\')
    answer->state = IN_ESCAPE;
  else if (c == '"')
    end_string (answer, at);
  else if ((guint8) c < ' ')
    complain (answer, at, "a control in a string");
}

static void
take_escape (Answer *answer, char c, gsize at)
{
  answer->key
      = (answer->key ^ (guint8) c) * G_GUINT64_CONSTANT (0x100000001b3);
  if (c == 0 || strchr ("\"\\/bfnrtu", c) == NULL
      || (answer->want_low && c != 'u'))
    complain (answer, at, "no such escape");

  answer->state = c == 'u' ? IN_UNIT : IN_STRING;
  answer->n_digits = 0;
  answer->unit = 0;
}

static void
take_unit_digit (Answer *answer, char c, gsize at)
{
  answer->key
      = (answer->key ^ (guint8) c) * G_GUINT64_CONSTANT (0x100000001b3);
  if (!g_ascii_isxdigit (c))
    complain (answer, at, "no hexadecimal digit");

  answer->unit = answer->unit << 4 | (guint) g_ascii_xdigit_value (c);
  if (++answer->n_digits == 4)
    end_unit (answer, at);
}

/* Takes a byte outside strings, numbers and words. */
static void
take_structure (Answer *answer, char c, gsize at)
{
  if (c == ' ' || c == '\n')
    return;

  switch (answer->state)
    {
    case WANT_KEY_OR_END:
    case WANT_VALUE_OR_END:
      if (c == '}' || c == ']')
        end_level (answer, c, at);
      else if (answer->state == WANT_VALUE_OR_END)
        begin_value (answer, c, at);
      else if (c == '"')
        begin_string (answer, TRUE);
      else
        complain (answer, at, "neither a key nor an end");
      return;
    case WANT_KEY:
      if (c != '"')
        complain (answer, at, "no key");
      begin_string (answer, TRUE);
      return;
    case WANT_COLON:
      if (c != ':')
        complain (answer, at, "no colon");
      answer->state = WANT_VALUE;
      return;
    case WANT_COMMA_OR_END:
      if (c != ',')
        end_level (answer, c, at);
      else
        answer->state = answer->levels[answer->depth - 1].closer == '}'
                            ? WANT_KEY
                            : WANT_VALUE;
      return;
    case WANT_DOCUMENT:
      if (c != '{' && c != '[')
        complain (answer, at, "neither an object nor an array");
      begin_value (answer, c, at);
      return;
    case WANT_VALUE:
      begin_value (answer, c, at);
      return;
    case IN_STRING:
    case IN_ESCAPE:
    case IN_UNIT:
    case IN_NUMBER:
    case IN_WORD:
      g_assert_not_reached ();
    }
}

/* Takes a byte of a number, or the first byte after it. */
static void
take_number (Answer *answer, char c, gsize at)
{
  if (c == '.' && !answer->is_fraction && !answer->is_power
      && answer->n_digits > 0)
    {
      answer->is_fraction = TRUE;
      answer->is_zero = FALSE;
      answer->n_digits = 0;
      return;
    }
  if (c == 'e' && !answer->is_power && answer->n_digits > 0)
    {
      answer->is_power = TRUE;
      answer->may_be_sign = TRUE;
      answer->is_zero = FALSE;
      answer->n_digits = 0;
      return;
    }
  if ((c == '-' || c == '+') && answer->may_be_sign)
    {
      answer->may_be_sign = FALSE;
      return;
    }
  answer->may_be_sign = FALSE;
  if (!g_ascii_isdigit (c))
    {
      if (answer->n_digits == 0)
        complain (answer, at, "no digit after the sign, the point or the e");
      end_value (answer);
      take_structure (answer, c, at);
      return;
    }

  if (answer->is_zero || ++answer->n_digits > MAX_DIGITS)
    complain (answer, at, "no number of ours");

  /* The first digit may follow a sign. */
  answer->is_zero = c == '0' && answer->n_digits == 1 && !answer->is_fraction
                    && !answer->is_power;
}

static void
take_word (Answer *answer, char c, gsize at)
{
  if (c != *answer->word)
    complain (answer, at, "no such word");
  if (*++answer->word == '\0')
    end_value (answer);
}

static void
take_byte (Answer *answer, char c, gsize at)
{
  switch (answer->state)
    {
    case IN_STRING:
      take_string_byte (answer, c, at);
      return;
    case IN_ESCAPE:
      take_escape (answer, c, at);
      return;
    case IN_UNIT:
      take_unit_digit (answer, c, at);
      return;
    case IN_NUMBER:
      take_number (answer, c, at);
      return;
    case IN_WORD:
      take_word (answer, c, at);
      return;
    case WANT_VALUE:
    case WANT_VALUE_OR_END:
    case WANT_KEY:
    case WANT_KEY_OR_END:
    case WANT_COLON:
    case WANT_COMMA_OR_END:
    case WANT_DOCUMENT:
      take_structure (answer, c, at);
      return;
    }
}

/* Returns DIGEST with the LEN bytes at BYTES added.  The result also depends
 * on how the bytes are split between calls. */
guint64
answer_add_to_digest (guint64 digest, const void *bytes, gsize len)
{
  for (gsize i = 0; i < len; i += sizeof (guint64))
    {
      guint64 word = 0;

      memcpy (&word, (const char *) bytes + i, MIN (len - i, sizeof word));
      digest = (digest ^ word) * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
      digest ^= digest >> 32;
    }

  return digest;
}

/* Checks and drops the text that was appended, which must end with a complete
 * character. */
void
answer_check (Answer *answer)
{
  GString *text = answer->text;

  if (text->len == 0)
    return;

  check_text (answer);
  for (gsize i = 0; answer->kind == ANSWER_JSON && i < text->len; i++)
    take_byte (answer, text->str[i], i);
  answer->digest = answer_add_to_digest (answer->digest, text->str, text->len);
  answer->size += text->len;
  answer->last = (guint8) text->str[text->len - 1];
  g_string_truncate (text, 0);
}

/* Checks the remaining text, which must end with a complete line and a
 * complete document. */
void
answer_end (Answer *answer)
{
  answer_check (answer);
  if (answer->last != '\n')
    complain (answer, 0, "the last line does not end");
  if (answer->state != WANT_DOCUMENT)
    complain (answer, 0, "the document does not end");
}

/* Returns the number of bytes checked. */
guint64
answer_get_size (const Answer *answer)
{
  return answer->size;
}

guint64
answer_get_digest (const Answer *answer)
{
  return answer->digest;
}

void
answer_free (Answer *answer)
{
  if (answer == NULL)
    return;

  g_string_free (answer->text, TRUE);
  g_free (answer);
}
