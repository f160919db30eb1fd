/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Formatting values, strings, table rows and findings as text. */

#include "config.h"

#include "qcow2/table.h"
#include "render/format.h"

#include <string.h>

#include "qcow2/printable.h"

typedef struct
{
  const char *path;
  const char *bytes;
  const char *text;
} Escape;

/* clang-format off */
/* The first and the last character of each range that interface.md says is
 * escaped, and the characters next to the range. */
static const Escape escapes[] = {
  { "empty", "", "" },
  { "ascii", " !\"#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~",
    " !\"#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~" },
  { "backslash", "a\\n\\", "a\\\\n\\\\" },
  { "newline", "a\nb\n", "a\\nb\\n" },
  { "tab", "\ta\t", "\\ta\\t" },
  { "carriage-return", "\r", "\\x0d" },
  { "c0", "\x01\x08\x0b\x1b[m\x1f\x20", "\\x01\\x08\\x0b\\x1b[m\\x1f " },
  { "del", "\x7e\x7f", "~\\x7f" },
  { "c1", "\xc2\x80\xc2\x9f\xc2\xa0", "\\xc2\\x80\\xc2\\x9f\xc2\xa0" },
  { "061c", "\xd8\x9b\xd8\x9c\xd8\x9d", "\xd8\x9b\\xd8\\x9c\xd8\x9d" },
  { "200b", "\xe2\x80\x8a\xe2\x80\x8b", "\xe2\x80\x8a\\xe2\\x80\\x8b" },
  { "200f", "\xe2\x80\x8f\xe2\x80\x90", "\\xe2\\x80\\x8f\xe2\x80\x90" },
  { "2028", "\xe2\x80\xa7\xe2\x80\xa8", "\xe2\x80\xa7\\xe2\\x80\\xa8" },
  { "202e", "\xe2\x80\xae\xe2\x80\xaf", "\\xe2\\x80\\xae\xe2\x80\xaf" },
  { "2060", "\xe2\x81\x9f\xe2\x81\xa0", "\xe2\x81\x9f\\xe2\\x81\\xa0" },
  { "2069", "\xe2\x81\xa9\xe2\x81\xaa", "\\xe2\\x81\\xa9\xe2\x81\xaa" },
  { "feff", "\xef\xbb\xbe\xef\xbb\xbf\xef\xbc\x80",
    "\xef\xbb\xbe\\xef\\xbb\\xbf\xef\xbc\x80" },
  { "fff9", "\xef\xbf\xb8\xef\xbf\xb9", "\xef\xbf\xb8\\xef\\xbf\\xb9" },
  { "fffb", "\xef\xbf\xbb\xef\xbf\xbc", "\\xef\\xbf\\xbb\xef\xbf\xbc" },
  { "e0000", "\xf3\x9f\xbf\xbd\xf3\xa0\x80\x80",
    "\xf3\x9f\xbf\xbd\\xf3\\xa0\\x80\\x80" },
  { "e007f", "\xf3\xa0\x81\xbf\xf3\xa0\x82\x80",
    "\\xf3\\xa0\\x81\\xbf\xf3\xa0\x82\x80" },
  { "two-bytes", "\xc3\xa4\xdf\xbf", "\xc3\xa4\xdf\xbf" },
  { "three-bytes", "\xe9\xaa\xa8\xe2\x82\xac", "\xe9\xaa\xa8\xe2\x82\xac" },
  { "four-bytes", "\xf0\x9f\x92\xbe\xf4\x8f\xbf\xbd",
    "\xf0\x9f\x92\xbe\xf4\x8f\xbf\xbd" },
  { "replacement-character", "\xef\xbf\xbd", "\xef\xbf\xbd" },

  { "invalid/continuation", "a\x80" "b\xbf", "a\\x80b\\xbf" },
  { "invalid/lead", "\xc3(\xe2(\xf0(", "\\xc3(\\xe2(\\xf0(" },
  { "invalid/cut-2", "a\xc3", "a\\xc3" },
  { "invalid/cut-3", "a\xe2\x82", "a\\xe2\\x82" },
  { "invalid/cut-4", "a\xf0\x9f\x92", "a\\xf0\\x9f\\x92" },
  { "invalid/overlong-2", "\xc0\xaf\xc1\xbf", "\\xc0\\xaf\\xc1\\xbf" },
  { "invalid/overlong-3", "\xe0\x80\xaf", "\\xe0\\x80\\xaf" },
  { "invalid/overlong-4", "\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf" },
  { "invalid/overlong-nul", "\xc0\x80", "\\xc0\\x80" },
  { "invalid/surrogate", "\xed\xa0\x80\xed\xbf\xbf",
    "\\xed\\xa0\\x80\\xed\\xbf\\xbf" },
  { "invalid/too-large", "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
  { "invalid/five-bytes", "\xf8\x88\x80\x80\x80",
    "\\xf8\\x88\\x80\\x80\\x80" },
  { "invalid/no-utf-8", "\xfe\xff", "\\xfe\\xff" },
  /* A letter after an invalid byte is not escaped. */
  { "invalid/then-valid", "\xe2\x82\xc3\xa4\xff\xc3\xa4",
    "\\xe2\\x82\xc3\xa4\\xff\xc3\xa4" },
};
/* clang-format on */

static void
assert_escaped (const char *bytes, gsize len, const char *text)
{
  g_autoptr (GString) out = g_string_new ("> ");
  /* The copy has exactly LEN bytes, so that valgrind notices reads past its
   * end. */
  g_autofree char *copy = g_malloc (len + (len == 0));

  memcpy (copy, bytes, len);
  format_escaped (out, copy, len);
  g_assert_cmpstr (out->str + 2, ==, text);
}

static void
test_escape (gconstpointer data)
{
  const Escape *row = data;

  assert_escaped (row->bytes, strlen (row->bytes), row->text);
}

static void
test_escape_nul (void)
{
  assert_escaped ("a\0b", 3, "a\\x00b");
  assert_escaped ("\0", 1, "\\x00");
}

/* Every character that interface.md lists as escaped, and no other below
 * 0x3000. */
static gboolean
is_listed (gunichar c)
{
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c
         || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e)
         || (c >= 0x2060 && c <= 0x2069);
}

static void
test_escape_all (void)
{
  for (gunichar c = 0; c < 0x3000; c++)
    {
      g_autoptr (GString) out = g_string_new (NULL);
      char bytes[6];
      const gint len = g_unichar_to_utf8 (c, bytes);

      format_escaped (out, bytes, (gsize) len);
      if (is_listed (c) || c == '\\')
        {
          g_assert_cmpint (out->str[0], ==, '\\');
          continue;
        }
      g_assert_cmpmem (out->str, out->len, bytes, (gsize) len);
    }
}

static void
test_escape_bytes (void)
{
  g_autoptr (GBytes) bytes = g_bytes_new ("a\0\n", 3);
  g_autoptr (GBytes) empty = g_bytes_new (NULL, 0);
  g_autoptr (GString) out = g_string_new (NULL);

  format_escaped_bytes (out, bytes);
  format_escaped_bytes (out, empty);
  g_assert_cmpstr (out->str, ==, "a\\x00\\n");
}

typedef struct
{
  guint64 number;
  guint8 small;
  GBytes *string;
  char *bits[QCOW2_MASK_BITS];
} Record;

static const Qcow2Label kinds[] = {
  { 0, "none" },
  { 2, "luks" },
  { 0, NULL },
};

static const Qcow2Label bits[] = {
  { 0, "in-use" },
  { 1, "auto" },
  { 63, "last" },
  { 0, NULL },
};

#define NUMBER(fmt, ...) QCOW2_STORED (Record, number, fmt, __VA_ARGS__)

static void
assert_value (const Qcow2Field *field, const Record *record, const char *text)
{
  g_autoptr (GString) out = g_string_new (NULL);

  format_value (out, field, record);
  g_assert_cmpstr (out->str, ==, text);
}

static void
assert_number (const Qcow2Field *field, guint64 number, const char *text)
{
  const Record record = { .number = number };

  assert_value (field, &record, text);
}

static void
test_decimal (void)
{
  const Qcow2Field field = NUMBER (QCOW2_DEC);

  assert_number (&field, 0, "0");
  assert_number (&field, 10485760, "10485760");
  assert_number (&field, G_MAXUINT64, "18446744073709551615");
}

static void
test_hex (void)
{
  const Qcow2Field field = NUMBER (QCOW2_HEX);

  assert_number (&field, 0, "0x0");
  assert_number (&field, 0x514649fb, "0x514649fb");
  assert_number (&field, G_MAXUINT64, "0xffffffffffffffff");
}

static void
test_small (void)
{
  const Qcow2Field field = QCOW2_STORED (Record, small, QCOW2_HEX);
  const Record record = { .number = G_MAXUINT64, .small = 0xfe };

  assert_value (&field, &record, "0xfe");
}

static void
test_enum (void)
{
  const Qcow2Field decimal = NUMBER (QCOW2_ENUM, .labels = kinds);
  const Qcow2Field hex = NUMBER (QCOW2_HEX_ENUM, .labels = kinds);

  assert_number (&decimal, 0, "0 (none)");
  assert_number (&decimal, 2, "2 (luks)");
  assert_number (&decimal, 10, "10 (<unknown>)");
  assert_number (&hex, 2, "0x2 (luks)");
  assert_number (&hex, 0x10, "0x10 (<unknown>)");
}

static void
test_name (void)
{
  const Qcow2Field plain = NUMBER (QCOW2_NAME, .labels = kinds);
  const Qcow2Field absent
      = NUMBER (QCOW2_NAME, .labels = kinds, .absent = "<other>");

  assert_number (&plain, 2, "luks");
  assert_number (&plain, 3, "3");
  assert_number (&absent, 2, "luks");
  assert_number (&absent, 3, "<other>");
}

static void
test_bool (void)
{
  const Qcow2Field field = NUMBER (QCOW2_BOOL);

  assert_number (&field, 0, "false");
  assert_number (&field, 1, "true");
}

static void
test_mask (void)
{
  const Qcow2Field field = NUMBER (QCOW2_BITS, .labels = bits);

  assert_number (&field, 0, "0x0 ([])");
  assert_number (&field, 2, "0x2 (['auto'])");
  assert_number (&field, 3, "0x3 (['in-use', 'auto'])");
  assert_number (&field, 0x14, "0x14 (['bit-2', 'bit-4'])");
  assert_number (&field, G_GUINT64_CONSTANT (0xc000000000000001),
                 "0xc000000000000001 (['in-use', 'bit-62', 'last'])");
}

/* Quotes tell the names in the image from ours, which take precedence. */
static void
test_mask_names (void)
{
  const Qcow2Field field = NUMBER (QCOW2_BITS, .labels = bits,
                                   .bit_names = offsetof (Record, bits));
  char theirs[] = "theirs";
  char hostile[] = "a\n'\"\\\x1b";
  const Record record
      = { .number = 0x1d, .bits = { theirs, theirs, theirs, hostile } };

  assert_value (&field, &record,
                "0x1d (['in-use', \"theirs\", \"a\\n'\"\\\\\\x1b\", "
                "'bit-4'])");
}

static void
test_string (void)
{
  const Qcow2Field plain = QCOW2_DERIVED (Record, "s", string, QCOW2_STRING);
  const Qcow2Field quoted = QCOW2_DERIVED (Record, "s", string, QCOW2_QUOTED);
  g_autoptr (GBytes) string = g_bytes_new ("a'\n\0", 4);
  const Record record = { .string = string };

  assert_value (&plain, &record, "a'\\n\\x00");
  assert_value (&quoted, &record, "'a'\\n\\x00'");
}

static void
assert_line (const char *name, const Qcow2Field *field, const Record *record,
             const char *text)
{
  g_autoptr (GString) out = g_string_new (NULL);

  format_line (out, name, field, record);
  g_assert_cmpstr (out->str, ==, text);
}

/* interface.md: the name padded to 25 columns, a space, the value. */
static void
test_line (void)
{
  const Qcow2Field field = NUMBER (QCOW2_DEC);
  const Record record = { .number = 3 };

  assert_line ("version", &field, &record, "version                   3\n");
  assert_line ("refcount_table_clusters_x", &field, &record,
               "refcount_table_clusters_x 3\n");
  assert_line ("refcount_table_clusters_xy", &field, &record,
               "refcount_table_clusters_xy 3\n");
}

static void
test_line_absent (void)
{
  const Qcow2Field field = QCOW2_DERIVED (Record, "s", string, QCOW2_STRING,
                                          .absent = "<unreadable>");
  const Record record = { .string = NULL };

  assert_line ("Bitmap name", &field, &record,
               "Bitmap name               <unreadable>\n");
}

static void
assert_bare (const Qcow2Field *field, const Record *record,
             FormatEnding ending, const char *bytes, gsize len)
{
  g_autoptr (GString) out = g_string_new (NULL);

  format_bare (out, field, record, ending);
  g_assert_cmpmem (out->str, out->len, bytes, len);
}

/* Numbers for scripts are decimal, whatever the base in other output. */
static void
test_bare_number (void)
{
  const Qcow2Field hex = NUMBER (QCOW2_HEX);
  const Qcow2Field mask = NUMBER (QCOW2_BITS, .labels = bits);
  const Qcow2Field kind = NUMBER (QCOW2_ENUM, .labels = kinds);
  const Record record = { .number = 18 };

  assert_bare (&hex, &record, FORMAT_LINES, "18\n", 3);
  assert_bare (&mask, &record, FORMAT_LINES, "18\n", 3);
  assert_bare (&kind, &record, FORMAT_LINES, "18\n", 3);
  assert_bare (&kind, &record, FORMAT_NUL, "18\0", 3);
}

static void
test_bare_name (void)
{
  const Qcow2Field name = NUMBER (QCOW2_NAME, .labels = kinds);
  const Qcow2Field truth = NUMBER (QCOW2_BOOL);
  const Record record = { .number = 2 };

  assert_bare (&name, &record, FORMAT_LINES, "luks\n", 5);
  assert_bare (&name, &record, FORMAT_NUL, "luks\0", 5);
  assert_bare (&truth, &record, FORMAT_LINES, "true\n", 5);
}

static void
test_bare_string (void)
{
  const Qcow2Field field = QCOW2_DERIVED (Record, "s", string, QCOW2_QUOTED);
  g_autoptr (GBytes) string = g_bytes_new ("a\n\xff\0b", 5);
  const Record record = { .string = string };

  assert_bare (&field, &record, FORMAT_LINES, "a\\n\\xff\\x00b\n", 13);
  assert_bare (&field, &record, FORMAT_NUL, "a\n\xff\0b\0", 6);
}

/* interface.md: columns padded to 14, 15 and 24, each followed by a space. */
static void
test_table (void)
{
  const Qcow2TableEntry entries[] = {
    { .index = 0,
      .type = QCOW2_ENTRY_SERIALIZED,
      .offset = 5046272,
      .size = 65536 },
    { .index = 1, .type = QCOW2_ENTRY_ALL_ZEROES, .size = 65536 },
    { .index = 2, .type = QCOW2_ENTRY_ALL_ONES, .size = 65536 },
  };
  g_autoptr (GString) out = g_string_new (NULL);

  format_table_heading (out, qcow2_table_entry_record.fields, FALSE);
  for (guint i = 0; i < G_N_ELEMENTS (entries); i++)
    format_table_rows (out, qcow2_table_entry_record.fields, &entries[i],
                       sizeof (Qcow2TableEntry), 1, FALSE);
  g_assert_cmpstr (
      out->str, ==,
      "Bitmap table   type            offset                   size\n"
      "0              serialized      5046272                  65536\n"
      "1              all-zeroes      0                        65536\n"
      "2              all-ones        0                        65536\n");
}

/* Even the widest numbers have spaces between them. */
static void
test_table_wide (void)
{
  const Qcow2TableEntry entry = { .index = G_MAXUINT64,
                                  .type = QCOW2_ENTRY_SERIALIZED,
                                  .offset = G_MAXUINT64,
                                  .size = G_MAXUINT64,
                                  .reserved = G_MAXUINT64,
                                  .guest_offset = G_MAXUINT64 - 1,
                                  .guest_length = G_MAXUINT64 - 1 };
  g_autoptr (GString) out = g_string_new (NULL);

  format_table_rows (out, qcow2_table_entry_record.fields, &entry,
                     sizeof (Qcow2TableEntry), 1, TRUE);
  g_auto (GStrv) cells = g_strsplit_set (g_strchomp (out->str), " ", -1);
  guint n = 0;
  for (guint i = 0; cells[i] != NULL; i++)
    n += *cells[i] != '\0';
  g_assert_cmpuint (n, ==, 7);
}

static void
get_long_cells (const Qcow2TableEntry *entry, char *cells[8])
{
  g_autoptr (GString) out = g_string_new (NULL);

  format_table_rows (out, qcow2_table_entry_record.fields, entry,
                     sizeof (Qcow2TableEntry), 1, TRUE);
  g_assert_true (g_str_has_suffix (out->str, "\n"));
  g_auto (GStrv) words = g_strsplit_set (g_strchomp (out->str), " ", -1);
  guint n = 0;
  for (guint i = 0; words[i] != NULL && n < 8; i++)
    {
      if (*words[i] != '\0')
        cells[n++] = g_strdup (words[i]);
    }
  g_assert_cmpuint (n, ==, 7);
}

static void
assert_long_row (const Qcow2TableEntry *entry, const char *const *expected)
{
  char *cells[8] = { NULL };

  get_long_cells (entry, cells);
  for (guint i = 0; i < 7; i++)
    {
      g_assert_cmpstr (cells[i], ==, expected[i]);
      g_free (cells[i]);
    }
}

/* The long form adds the columns reserved, guest_offset and guest_length. */
static void
test_table_long (void)
{
  const Qcow2TableEntry covered = { .index = 3,
                                    .type = QCOW2_ENTRY_SERIALIZED,
                                    .offset = 2686976,
                                    .size = 512,
                                    .reserved = 0x101,
                                    .guest_offset = 6291456,
                                    .guest_length = 2097152 };
  const Qcow2TableEntry uncovered = { .index = 4,
                                      .type = QCOW2_ENTRY_ALL_ONES,
                                      .size = 512,
                                      .guest_offset = QCOW2_ABSENT,
                                      .guest_length = QCOW2_ABSENT };

  assert_long_row (&covered,
                   (const char *const[]){ "3", "serialized", "2686976", "512",
                                          "0x101", "6291456", "2097152" });
  assert_long_row (
      &uncovered,
      (const char *const[]){ "4", "all-ones", "0", "512", "0x0", "-", "-" });
}

static gsize
column_of (const char *line, const char *word)
{
  const char *at = strstr (line, word);

  g_assert_nonnull (at);
  return (gsize) (at - line);
}

/* The values stand below their headings. */
static void
test_table_long_heading (void)
{
  const Qcow2TableEntry entry = { .index = 1,
                                  .type = QCOW2_ENTRY_ALL_ZEROES,
                                  .offset = 22222,
                                  .size = 333,
                                  .reserved = 0x444,
                                  .guest_offset = 55555,
                                  .guest_length = 66666 };
  g_autoptr (GString) heading = g_string_new (NULL);
  g_autoptr (GString) row = g_string_new (NULL);
  const char *const pairs[][2]
      = { { "Bitmap table", "1" },    { "type", "all-zeroes" },
          { "offset", "22222" },      { "size", "333" },
          { "reserved", "0x444" },    { "guest_offset", "55555" },
          { "guest_length", "66666" } };

  format_table_heading (heading, qcow2_table_entry_record.fields, TRUE);
  format_table_rows (row, qcow2_table_entry_record.fields, &entry,
                     sizeof (Qcow2TableEntry), 1, TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (pairs); i++)
    g_assert_cmpuint (column_of (heading->str, pairs[i][0]), ==,
                      column_of (row->str, pairs[i][1]));
  g_assert_true (g_str_has_suffix (heading->str, "guest_length\n"));
}

static void
assert_finding (const Qcow2Subject *subject, const char *text)
{
  char message[] = "what is wrong";
  const Qcow2Finding finding = { .rule = "BDIR-12",
                                 .offset = 0x2c0012,
                                 .subject = *subject,
                                 .message = message };
  g_autoptr (GString) out = g_string_new (NULL);

  format_finding_message (out, &finding);
  g_assert_cmpstr (out->str, ==, text);
}

/* interface.md: 0x2c0012: bitmap 0 'b1': what is wrong [BDIR-12] */
static void
test_finding_bitmap (void)
{
  g_autoptr (GBytes) name = g_bytes_new ("b1", 2);
  const Qcow2Subject subject = { .structure = "bitmap",
                                 .extension = QCOW2_NO_INDEX,
                                 .bitmap = 0,
                                 .name = name };

  assert_finding (&subject,
                  "0x2c0012: bitmap 0 'b1': what is wrong [BDIR-12]");
}

static void
test_finding_nameless (void)
{
  const Qcow2Subject bitmap = { .structure = "bitmap",
                                .extension = QCOW2_NO_INDEX,
                                .bitmap = 70000 };
  const Qcow2Subject extension = { .structure = "header extension",
                                   .extension = 2,
                                   .bitmap = QCOW2_NO_INDEX };
  const Qcow2Subject header = { .structure = "header",
                                .extension = QCOW2_NO_INDEX,
                                .bitmap = QCOW2_NO_INDEX };

  assert_finding (&bitmap, "0x2c0012: bitmap 70000: what is wrong [BDIR-12]");
  assert_finding (&extension,
                  "0x2c0012: header extension 2: what is wrong [BDIR-12]");
  assert_finding (&header, "0x2c0012: header: what is wrong [BDIR-12]");
}

static void
test_finding_hostile_name (void)
{
  g_autoptr (GBytes) name = g_bytes_new ("a\n\x1b[2J\0\xff", 8);
  const Qcow2Subject subject = { .structure = "bitmap",
                                 .extension = QCOW2_NO_INDEX,
                                 .bitmap = 1,
                                 .name = name };

  assert_finding (&subject, "0x2c0012: bitmap 1 'a\\n\\x1b[2J\\x00\\xff': "
                            "what is wrong [BDIR-12]");
}

static void
add_values (void)
{
  g_test_add_func ("/format/value/decimal", test_decimal);
  g_test_add_func ("/format/value/hex", test_hex);
  g_test_add_func ("/format/value/small", test_small);
  g_test_add_func ("/format/value/enum", test_enum);
  g_test_add_func ("/format/value/name", test_name);
  g_test_add_func ("/format/value/bool", test_bool);
  g_test_add_func ("/format/value/mask", test_mask);
  g_test_add_func ("/format/value/mask-names", test_mask_names);
  g_test_add_func ("/format/value/string", test_string);
  g_test_add_func ("/format/line/value", test_line);
  g_test_add_func ("/format/line/absent", test_line_absent);
  g_test_add_func ("/format/bare/number", test_bare_number);
  g_test_add_func ("/format/bare/name", test_bare_name);
  g_test_add_func ("/format/bare/string", test_bare_string);
}

static void
add_structures (void)
{
  g_test_add_func ("/format/table/short", test_table);
  g_test_add_func ("/format/table/wide", test_table_wide);
  g_test_add_func ("/format/table/long", test_table_long);
  g_test_add_func ("/format/table/long-heading", test_table_long_heading);
  g_test_add_func ("/format/problem/bitmap", test_finding_bitmap);
  g_test_add_func ("/format/problem/nameless", test_finding_nameless);
  g_test_add_func ("/format/problem/hostile-name", test_finding_hostile_name);
}

/* A character without its last byte is not printable, whatever bytes follow
 * the string. */
static void
test_cut_character (void)
{
  static const char text[] = "\xc3\xa9";
  g_autoptr (GBytes) whole = g_bytes_new_static (text, 2);
  g_autoptr (GBytes) cut = g_bytes_new_static (text, 1);

  g_assert_true (qcow2_string_is_printable (whole));
  g_assert_false (qcow2_string_is_printable (cut));

  gsize size;
  g_assert_false (qcow2_char_is_printable ((const guint8 *) text, 1, &size));
  g_assert_cmpuint (size, ==, 1);
}

/* The borders of the ranges of characters that control a terminal or hide
 * text, and the characters next to them: Unicode's categories Cc and Cf, and
 * its bidi and layout controls. */
static void
test_printable_borders (void)
{
  /* Alternately the first printable character and the first one that is not
   * printable; those from NUL on are not. */
  static const gunichar borders[]
      = { 0x20,   0x7f,   0xa0,   0x61c,   0x61d,  0x200b,
          0x2010, 0x2028, 0x202f, 0x2060,  0x206a, 0xfeff,
          0xff00, 0xfff9, 0xfffc, 0xe0000, 0xe0080 };

  for (guint i = 0; i < G_N_ELEMENTS (borders); i++)
    for (guint before = 0; before < 2; before++)
      {
        char text[6];
        gsize size;
        const gsize len
            = (gsize) g_unichar_to_utf8 (borders[i] - before, text);
        const gboolean printable = (i % 2 == 0) != (before == 1);

        g_assert_cmpint (
            qcow2_char_is_printable ((const guint8 *) text, len, &size), ==,
            printable);
        g_assert_cmpuint (size, ==, len);
      }
}

/* Several bytes are examined at once, so this tries every byte value at every
 * position, with any number of bytes before and after it. */
static void
test_plain_bytes (void)
{
  guint8 text[100];

  for (guint byte = 0; byte < 256; byte++)
    {
      const gboolean plain
          = byte >= 0x20 && byte <= 0x7e && byte != '"' && byte != '\\';

      for (gsize len = 1; len <= sizeof text; len += 9)
        for (gsize at = 0; at < len; at++)
          {
            memset (text, 'x', sizeof text);
            text[at] = (guint8) byte;
            g_assert_cmpuint (qcow2_count_plain (text, len), ==,
                              plain ? len : at);
          }
    }

  g_assert_cmpuint (qcow2_count_plain (text, 0), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/format/cut-character", test_cut_character);
  for (gsize i = 0; i < G_N_ELEMENTS (escapes); i++)
    {
      g_autofree char *path
          = g_strdup_printf ("/format/escape/%s", escapes[i].path);

      g_test_add_data_func (path, &escapes[i], test_escape);
    }
  g_test_add_func ("/format/escape/nul", test_escape_nul);
  g_test_add_func ("/format/escape/every-character", test_escape_all);
  g_test_add_func ("/format/escape/bytes", test_escape_bytes);
  add_values ();
  add_structures ();
  g_test_add_func ("/format/printable-borders", test_printable_borders);
  g_test_add_func ("/format/plain-bytes", test_plain_bytes);
  return g_test_run ();
}
