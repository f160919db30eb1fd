/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers on the command line: decimal, hexadecimal, with a suffix. */

#include "config.h"

#include "cli/number.h"

typedef struct
{
  const char *text;
  guint64 value;
} Good;

static const Good decimal[] = {
  { "0", 0 },
  { "1", 1 },
  { "65536", 65536 },
  { "18446744073709551615", G_MAXUINT64 },
  { "000018446744073709551615", G_MAXUINT64 },
};

/* A leading zero does not make a number octal. */
static const Good octal_looking[] = {
  { "010", 10 },
  { "0777", 777 },
  { "08", 8 },
  { "09k", 9216 },
};

static const Good hexadecimal[] = {
  { "0x0", 0 },
  { "0x10", 16 },
  { "0X1f", 31 },
  { "0xDeadBeef", 0xdeadbeef },
  { "0xe", 14 },
  { "0xffffffffffffffff", G_MAXUINT64 },
  { "0x0000000000ffffffffffffffff", G_MAXUINT64 },
};

static const Good suffixes[] = {
  { "1k", 1024 },
  { "1K", 1024 },
  { "1m", 1048576 },
  { "1M", 1048576 },
  { "1g", 1073741824 },
  { "1G", 1073741824 },
  { "1t", G_GUINT64_CONSTANT (1099511627776) },
  { "1T", G_GUINT64_CONSTANT (1099511627776) },
  { "1p", G_GUINT64_CONSTANT (1125899906842624) },
  { "1P", G_GUINT64_CONSTANT (1125899906842624) },
  { "1e", G_GUINT64_CONSTANT (1152921504606846976) },
  { "1E", G_GUINT64_CONSTANT (1152921504606846976) },
  { "64k", 65536 },
  { "0E", 0 },
};

/* The largest multiple of each suffix below 2^64. */
static const Good borders[] = {
  { "18014398509481983k", G_MAXUINT64 - 1023 },
  { "17592186044415M", G_MAXUINT64 - 1048575 },
  { "17179869183G", G_MAXUINT64 - 1073741823 },
  { "16777215T", G_GUINT64_CONSTANT (0xffffff0000000000) },
  { "16383P", G_GUINT64_CONSTANT (0xfffc000000000000) },
  { "15E", G_GUINT64_CONSTANT (0xf000000000000000) },
};

static const char *const too_large[] = {
  "18446744073709551616",
  "18446744073709551620",
  "99999999999999999999",
  "184467440737095516150",
  "0x10000000000000000",
  "0xfffffffffffffffff",
  "18014398509481984k",
  "17592186044416M",
  "17179869184G",
  "16777216T",
  "16384P",
  "16E",
};

static const char *const no_numbers[] = {
  "", " ", "k", "x", "0x", "0xk", "abc", "one", "0xg", "1.5", "1.5k", "1,000",
};

static const char *const signs[] = { "-1", "+1", "-0", "0x-1", "0x+1", "--1" };

static const char *const spaces[]
    = { " 1", "1 ", "\t1", "1\n", "1 k", "0x 1" };

/* A suffix is one letter after a decimal number. */
static const char *const bad_suffixes[] = {
  "1kk", "1kB", "1KiB", "1b", "1s", "1z", "0x1k", "0x1G", "1k1", "1e3", "1x",
};

typedef struct
{
  const char *path;
  const Good *rows;
  gsize n_rows;
} GoodTable;

typedef struct
{
  const char *path;
  const char *const *rows;
  gsize n_rows;
} BadTable;

#define TABLE(path, array)                                                    \
  {                                                                           \
    (path), (array), G_N_ELEMENTS (array)                                     \
  }

static const GoodTable good_tables[] = {
  TABLE ("/number/decimal", decimal),
  TABLE ("/number/octal-looking", octal_looking),
  TABLE ("/number/hexadecimal", hexadecimal),
  TABLE ("/number/suffix", suffixes),
  TABLE ("/number/suffix-border", borders),
};

static const BadTable bad_tables[] = {
  TABLE ("/number/too-large", too_large),
  TABLE ("/number/none", no_numbers),
  TABLE ("/number/sign", signs),
  TABLE ("/number/space", spaces),
  TABLE ("/number/bad-suffix", bad_suffixes),
};

static void
test_good (gconstpointer data)
{
  const GoodTable *table = data;

  for (gsize i = 0; i < table->n_rows; i++)
    {
      guint64 value = 4711;

      if (!number_parse (table->rows[i].text, &value))
        g_error ("'%s' is refused", table->rows[i].text);
      g_assert_cmphex (value, ==, table->rows[i].value);
    }
}

static void
test_bad (gconstpointer data)
{
  const BadTable *table = data;

  for (gsize i = 0; i < table->n_rows; i++)
    {
      guint64 value = 4711;

      if (number_parse (table->rows[i], &value))
        g_error ("'%s' is taken", table->rows[i]);
      g_assert_cmpuint (value, ==, 4711);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (good_tables); i++)
    g_test_add_data_func (good_tables[i].path, &good_tables[i], test_good);
  for (gsize i = 0; i < G_N_ELEMENTS (bad_tables); i++)
    g_test_add_data_func (bad_tables[i].path, &bad_tables[i], test_bad);
  return g_test_run ();
}
