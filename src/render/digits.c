/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/digits.h"

static const char hex_digits[] = "0123456789abcdef";

const char digits_pairs[200] = { "00010203040506070809"
                                 "10111213141516171819"
                                 "20212223242526272829"
                                 "30313233343536373839"
                                 "40414243444546474849"
                                 "50515253545556575859"
                                 "60616263646566676869"
                                 "70717273747576777879"
                                 "80818283848586878889"
                                 "90919293949596979899" };

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

/* Appends VALUE in decimal digits to OUT, and spaces until there are WIDTH
 * characters. */
void
digits_append_left (GString *out, guint64 value, guint width)
{
  const gsize before = out->len;

  digits_append (out, value);
  digits_append_spaces (out, width - MIN (width, out->len - before));
}

/* Appends spaces and VALUE in decimal digits to OUT, at least WIDTH characters
 * together. */
void
digits_append_right (GString *out, guint64 value, guint width)
{
  digits_append_spaces (out, width - MIN (width, digits_count (value)));
  digits_append (out, value);
}

/* Appends VALUE with 0x and in hexadecimal digits to OUT. */
void
digits_append_hex (GString *out, guint64 value)
{
  char text[2 + 16];
  char *const end = text + sizeof text;
  char *start = end;

  do
    *--start = hex_digits[value & 0xf];
  while ((value >>= 4) != 0);
  *--start = 'x';
  *--start = '0';

  g_string_append_len (out, start, end - start);
}

/* Appends the two hexadecimal digits of VALUE to OUT. */
void
digits_append_byte (GString *out, guint8 value)
{
  const char pair[] = { hex_digits[value >> 4], hex_digits[value & 0xf] };

  g_string_append_len (out, pair, sizeof pair);
}
