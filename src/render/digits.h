/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints numbers without the overhead of printf (): most of the output for a
 * large image is numbers. */

#pragma once

#include <glib.h>
#include <string.h>

G_BEGIN_DECLS

/* Number of decimal digits of 2^64 - 1. */
#define DIGITS_MAX 20

#define DIGITS_HEX "0123456789abcdef"

/* The two digits of each number below 100.  The NUL at the end is never used:
 * GCC 15 warns about a string whose own NUL does not fit. */
extern const char digits_pairs[201];

/* Returns the number of decimal digits of VALUE. */
static inline guint
digits_count (guint64 value)
{
  guint n = 1;

  for (; value >= 10000; value /= 10000)
    n += 4;

  return n + (value >= 10) + (value >= 100) + (value >= 1000);
}

/* Writes VALUE in decimal digits that end just before END. */
static inline void
digits_put_before (char *end, guint64 value)
{
  for (; value >= 100; value /= 100)
    {
      end -= 2;
      memcpy (end, digits_pairs + value % 100 * 2, 2);
    }
  if (value >= 10)
    memcpy (end - 2, digits_pairs + value * 2, 2);
  else
    end[-1] = (char) ('0' + value);
}

/* Writes VALUE in decimal digits to AT, where the caller has left enough room.
 * Returns the end of the digits. */
static inline char *
digits_put (char *at, guint64 value)
{
  char *const end = at + digits_count (value);

  digits_put_before (end, value);
  return end;
}

/* Writes VALUE in decimal digits to AT, padded with spaces on the left to
 * WIDTH characters.  Returns the end of the digits. */
static inline char *
digits_put_right (char *at, guint64 value, guint width)
{
  char *const end = at + MAX (digits_count (value), width);

  memset (at, ' ', width);
  digits_put_before (end, value);
  return end;
}

/* Writes TEXT, without its NUL, to AT, where the caller has left enough room.
 * Returns the end of the text. */
static inline char *
digits_put_text (char *at, const char *text)
{
  const gsize len = strlen (text);

  memcpy (at, text, len);
  return at + len;
}

/* Maximum size in bytes of what is written between digits_begin_piece () and
 * digits_end_piece (). */
#define DIGITS_PIECE_MAX 256

/* Returns the end of OUT, with room for DIGITS_PIECE_MAX bytes after it.
 * Pieces are written in place because there may be very many of them. */
static inline char *
digits_begin_piece (GString *out)
{
  const gsize len = out->len;

  if (out->allocated_len - len <= DIGITS_PIECE_MAX)
    {
      g_string_set_size (out, len + DIGITS_PIECE_MAX);
      g_string_truncate (out, len);
    }

  return out->str + len;
}

/* Makes OUT end at AT, the end of the piece that was written. */
static inline void
digits_end_piece (GString *out, char *at)
{
  *at = '\0';
  out->len = (gsize) (at - out->str);
}

char *digits_put_hex (char *at, guint64 value, guint n_least,
                      const char *digits);
void digits_append (GString *out, guint64 value);
void digits_append_right (GString *out, guint64 value, guint width);
void digits_append_hex (GString *out, guint64 value);
void digits_append_byte (GString *out, guint8 value);
void digits_append_spaces (GString *out, gsize n);

G_END_DECLS
