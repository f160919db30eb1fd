/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Compares the digits with those of printf, for numbers of every length and
 * around the smallest and the largest of each length. */

#include "config.h"

#include "render/digits.h"

#define WIDTH 12

/* Compares OUT with EXPECTED, and frees both. */
static void
compare (GString *out, char *expected)
{
  g_assert_cmpstr (out->str, ==, expected);
  g_string_free (out, TRUE);
  g_free (expected);
}

static void
check_all (guint64 value)
{
  GString *plain = g_string_new ("before ");
  GString *right = g_string_new ("before ");
  GString *hex = g_string_new ("before ");

  digits_append (plain, value);
  digits_append_right (right, value, WIDTH);
  digits_append_hex (hex, value);

  compare (plain, g_strdup_printf ("before %" G_GUINT64_FORMAT, value));
  compare (right, g_strdup_printf ("before %12" G_GINT64_MODIFIER "u", value));
  compare (hex, g_strdup_printf ("before 0x%" G_GINT64_MODIFIER "x", value));
}

static void
test_decimal_borders (void)
{
  guint64 power = 1;

  for (guint i = 0; i < 20; i++, power *= 10)
    {
      check_all (power - 1);
      check_all (power);
      check_all (power + 1);
      check_all (power * 9 / 5);
    }
}

static void
test_binary_borders (void)
{
  for (guint bit = 0; bit < 64; bit++)
    {
      const guint64 power = G_GUINT64_CONSTANT (1) << bit;

      check_all (power - 1);
      check_all (power);
      check_all (~power);
    }
  check_all (G_MAXUINT64);
}

static void
test_small (void)
{
  for (guint64 value = 0; value < 11000; value++)
    check_all (value);
}

static void
test_bytes (void)
{
  for (guint value = 0; value < 256; value++)
    {
      GString *out = g_string_new (NULL);

      digits_append_byte (out, (guint8) value);
      compare (out, g_strdup_printf ("%02x", value));
    }
}

static void
test_spaces (void)
{
  for (gsize n = 0; n < 100; n++)
    {
      GString *out = g_string_new (NULL);

      digits_append_spaces (out, n);
      compare (out, g_strdup_printf ("%*s", (int) n, ""));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/digits/decimal-borders", test_decimal_borders);
  g_test_add_func ("/digits/binary-borders", test_binary_borders);
  g_test_add_func ("/digits/small", test_small);
  g_test_add_func ("/digits/bytes", test_bytes);
  g_test_add_func ("/digits/spaces", test_spaces);

  return g_test_run ();
}
