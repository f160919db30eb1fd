/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers in digits, without the way through printf: most of what is printed
 * of a large image is numbers. */

#pragma once

#include <glib.h>
#include <string.h>

G_BEGIN_DECLS

/* The digits of 2^64 - 1. */
#define DIGITS_MAX 20

#define DIGITS_HEX "0123456789abcdef"

/* The two digits of each number below 100, and a NUL that nobody reads: GCC 15
 * warns about a string that loses its own. */
extern const char digits_pairs[201];

/* Returns how many decimal digits VALUE has. */
static inline guint
digits_count (guint64 value)
{
  guint n = 1;

  for (; value >= 10000; value /= 10000)
    n += 4;

  return n + (value >= 10) + (value >= 100) + (value >= 1000);
}

/* Writes VALUE in decimal digits such that they end before END. */
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

/* Writes VALUE in decimal digits to AT, where there is room for it.  Returns
 * where they end. */
static inline char *
digits_put (char *at, guint64 value)
{
  char *const end = at + digits_count (value);

  digits_put_before (end, value);
  return end;
}

/* Writes VALUE in decimal digits to AT, and spaces before it until there are
 * WIDTH characters.  Returns where they end. */
static inline char *
digits_put_right (char *at, guint64 value, guint width)
{
  char *const end = at + MAX (digits_count (value), width);

  memset (at, ' ', width);
  digits_put_before (end, value);
  return end;
}

/* Writes TEXT, which stands beside digits, to AT, where there is room for it.
 * Returns where it ends. */
static inline char *
digits_put_text (char *at, const char *text)
{
  const gsize len = strlen (text);

  memcpy (at, text, len);
  return at + len;
}

char *digits_put_hex (char *at, guint64 value, guint n_least,
                      const char *digits);
void digits_append (GString *out, guint64 value);
void digits_append_right (GString *out, guint64 value, guint width);
void digits_append_hex (GString *out, guint64 value);
void digits_append_byte (GString *out, guint8 value);
void digits_append_spaces (GString *out, gsize n);

G_END_DECLS
