/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/digits.h"

const char digits_pairs[] = "00010203040506070809"
                            "10111213141516171819"
                            "20212223242526272829"
                            "30313233343536373839"
                            "40414243444546474849"
                            "50515253545556575859"
                            "60616263646566676869"
                            "70717273747576777879"
                            "80818283848586878889"
                            "90919293949596979899";

/* Appends VALUE in decimal digits to OUT. */
void
digits_append (GString *out, guint64 value)
{
  char digits[DIGITS_MAX];
  const char *end = digits_put (digits, value);

  g_string_append_len (out, digits, end - digits);
}

/* Appends N spaces to OUT. */
void
digits_append_spaces (GString *out, gsize n)
{
  static const char spaces[] = "                                ";

  while (n > 0)
    {
      const gsize part = MIN (n, sizeof spaces - 1);

      g_string_append_len (out, spaces, (gssize) part);
      n -= part;
    }
}

/* Appends VALUE in decimal digits to OUT, padded with spaces on the left to at
 * least WIDTH characters. */
void
digits_append_right (GString *out, guint64 value, guint width)
{
  digits_append_spaces (out, width - MIN (width, digits_count (value)));
  digits_append (out, value);
}

/* Writes "0x" and VALUE in at least N_LEAST hexadecimal digits to AT, where
 * the caller has left enough room.  DIGITS are the 16 characters to use as
 * digits.  Returns the end of the text. */
char *
digits_put_hex (char *at, guint64 value, guint n_least, const char *digits)
{
  guint n_digits = n_least;

  while (n_digits < 16 && value >> 4 * n_digits != 0)
    n_digits++;

  at = digits_put_text (at, "0x");
  for (guint i = n_digits; i > 0; i--)
    *at++ = digits[value >> 4 * (i - 1) & 0xf];
  return at;
}

/* Appends "0x" and VALUE in hexadecimal digits to OUT. */
void
digits_append_hex (GString *out, guint64 value)
{
  char text[2 + 16];
  const char *end = digits_put_hex (text, value, 1, DIGITS_HEX);

  g_string_append_len (out, text, end - text);
}

/* Appends the two hexadecimal digits of VALUE to OUT. */
void
digits_append_byte (GString *out, guint8 value)
{
  const char pair[] = { DIGITS_HEX[value >> 4], DIGITS_HEX[value & 0xf] };

  g_string_append_len (out, pair, sizeof pair);
}
