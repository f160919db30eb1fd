/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The JSON emitter: members and commas, indentation, strings of any bytes, and
 * objects that an error has left open. */

#include "config.h"

#include "qcow2/table.h"
#include "render/describe.h"
#include "render/emitter.h"

#include <string.h>

typedef struct
{
  guint64 number;
  guint64 derived;
  GBytes *string;
  guint32 bits;
  guint8 kind;
} Record;

static const Qcow2Label bit_labels[]
    = { { 0, "zero" }, { 3, "three" }, { 0, NULL } };
static const Qcow2Label kinds[] = { { 1, "one" }, { 0, NULL } };

/* clang-format off */
static const Qcow2Field fields[] = {
  QCOW2_STORED (Record, number, QCOW2_HEX),
  QCOW2_DERIVED (Record, "derived", derived, QCOW2_DEC),
  QCOW2_DERIVED (Record, "string", string, QCOW2_STRING),
  QCOW2_STORED (Record, bits, QCOW2_BITS, .labels = bit_labels),
  QCOW2_DERIVED (Record, "kind", kind, QCOW2_NAME, .labels = kinds),
  QCOW2_DERIVED (Record, "yes", kind, QCOW2_BOOL),
  QCOW2_FIELD_END
};
/* clang-format on */

enum
{
  NUMBER,
  DERIVED,
  STRING,
  BITS,
  KIND,
  YES
};

typedef struct
{
  GString *out;
  Emitter *emitter;
} Fixture;

static void
set_up (Fixture *f, gconstpointer indented)
{
  f->out = g_string_new (NULL);
  f->emitter = emitter_new_json (f->out, GPOINTER_TO_INT (indented));
}

static void
set_up_ascii (Fixture *f, gconstpointer unused G_GNUC_UNUSED)
{
  f->out = g_string_new (NULL);
  f->emitter = emitter_new_json_ascii (f->out);
}

static void
tear_down (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  emitter_free (f->emitter);
  g_string_free (f->out, TRUE);
}

#define UNUSED gconstpointer unused G_GNUC_UNUSED

static void
emit_number (Fixture *f, guint64 number)
{
  const Record record = { .number = number };

  emitter_field (f->emitter, &fields[NUMBER], &record);
}

/* Emits an object with a string of LEN bytes at BYTES. */
static void
emit_string (Fixture *f, const char *bytes, gsize len)
{
  g_autoptr (GBytes) string = g_bytes_new_static (bytes, len);
  const Record record = { .string = string };

  emitter_begin (f->emitter, EMITTER_ROW, NULL, NULL);
  emitter_field (f->emitter, &fields[STRING], &record);
  emitter_end (f->emitter);
}

#define assert_string(f, bytes, expected)                                     \
  G_STMT_START                                                                \
  {                                                                           \
    g_string_truncate ((f)->out, 0);                                          \
    emit_string ((f), (bytes), sizeof (bytes) - 1);                           \
    g_assert_cmpstr ((f)->out->str, ==, (expected));                          \
  }                                                                           \
  G_STMT_END

static void
test_numbers (Fixture *f, UNUSED)
{
  emitter_begin_image (f->emitter, "a", FALSE);
  emit_number (f, 0);
  emit_number (f, G_GUINT64_CONSTANT (9007199254740993));
  emit_number (f, G_MAXUINT64);
  emitter_end_image (f->emitter);
  g_assert_cmpstr (f->out->str, ==,
                   "{\"filename\":\"a\",\"number\":0,"
                   "\"number\":9007199254740993,"
                   "\"number\":18446744073709551615}\n");
}

static void
test_names (Fixture *f, UNUSED)
{
  const Record record
      = { .derived = QCOW2_ABSENT, .bits = 0x80000009, .kind = 1 };
  const Record other = { .kind = 0 };

  emitter_begin (f->emitter, EMITTER_BLOCK, NULL, NULL);
  emitter_field (f->emitter, &fields[DERIVED], &record);
  emitter_field (f->emitter, &fields[BITS], &record);
  emitter_field (f->emitter, &fields[KIND], &record);
  emitter_field (f->emitter, &fields[YES], &record);
  emitter_field (f->emitter, &fields[BITS], &other);
  emitter_field (f->emitter, &fields[YES], &other);
  emitter_field (f->emitter, &fields[STRING], &other);
  emitter_null (f->emitter, "nothing");
  emitter_end (f->emitter);
  g_assert_cmpstr (f->out->str, ==,
                   "{\"derived\":null,\"bits\":2147483657,"
                   "\"bits_names\":[\"zero\",\"three\",\"bit-31\"],"
                   "\"kind\":\"one\",\"yes\":true,\"bits\":0,"
                   "\"bits_names\":[],\"yes\":false,\"string\":null,"
                   "\"nothing\":null}");
}

static void
test_indented (Fixture *f, UNUSED)
{
  emitter_begin_image (f->emitter, "a", FALSE);
  emitter_begin (f->emitter, EMITTER_LIST, "empty", NULL);
  emitter_end (f->emitter);
  emitter_begin (f->emitter, EMITTER_LIST, "list", NULL);
  emitter_begin (f->emitter, EMITTER_ROW, NULL, NULL);
  emit_number (f, 1);
  emit_number (f, 2);
  emitter_end (f->emitter);
  emitter_begin (f->emitter, EMITTER_BLOCK, NULL, NULL);
  emit_number (f, 3);
  emitter_end (f->emitter);
  emitter_end (f->emitter);
  emitter_end_image (f->emitter);
  g_assert_cmpstr (f->out->str, ==,
                   "{\n"
                   "    \"filename\": \"a\",\n"
                   "    \"empty\": [],\n"
                   "    \"list\": [\n"
                   "        {\"number\": 1, \"number\": 2},\n"
                   "        {\n"
                   "            \"number\": 3\n"
                   "        }\n"
                   "    ]\n"
                   "}\n");
}

static void
test_strings (Fixture *f, UNUSED)
{
  assert_string (f, "", "{\"string\":\"\"}");
  assert_string (f, "a/b'<", "{\"string\":\"a/b'<\"}");
  assert_string (f, "\"\\", "{\"string\":\"\\\"\\\\\"}");
  assert_string (f, "\b\t\n\f\r", "{\"string\":\"\\b\\t\\n\\f\\r\"}");
  assert_string (f, "a\0b", "{\"string\":\"a\\u0000b\"}");
  assert_string (f, "\x1b\x1f\x7f", "{\"string\":\"\\u001b\\u001f\\u007f\"}");
  assert_string (f, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
                 "{\"string\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"}");
  assert_string (f, "\xc2\x85\xe2\x80\xae\xef\xbb\xbf",
                 "{\"string\":\"\\u0085\\u202e\\ufeff\"}");
  /* U+E0041 is beyond 16 bits and takes a surrogate pair. */
  assert_string (f, "\xf3\xa0\x81\x81", "{\"string\":\"\\udb40\\udc41\"}");
}

static void
test_not_utf8 (Fixture *f, UNUSED)
{
  assert_string (f,
                 "a\xff"
                 "b",
                 "{\"string\":\"a\xef\xbf\xbd"
                 "b\",\"string_hex\":\"61ff62\"}");
  /* Truncated, overlong, half of a surrogate pair, beyond the last character.
   */
  assert_string (f, "\xe2\x82",
                 "{\"string\":\"\xef\xbf\xbd\xef\xbf\xbd\","
                 "\"string_hex\":\"e282\"}");
  assert_string (f, "\xc0\xaf",
                 "{\"string\":\"\xef\xbf\xbd\xef\xbf\xbd\","
                 "\"string_hex\":\"c0af\"}");
  assert_string (f, "\xed\xa0\x80",
                 "{\"string\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\","
                 "\"string_hex\":\"eda080\"}");
  assert_string (f, "\xf4\x90\x80\x80",
                 "{\"string\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                 "\xef\xbf\xbd\",\"string_hex\":\"f4908080\"}");
  /* The replacement character itself is valid UTF-8. */
  assert_string (f, "\xef\xbf\xbd", "{\"string\":\"\xef\xbf\xbd\"}");
}

static void
test_file_name (Fixture *f, UNUSED)
{
  emitter_begin_image (f->emitter, "\xff\"", TRUE);
  emitter_end_image (f->emitter);
  g_assert_cmpstr (f->out->str, ==,
                   "{\"filename\":\"\xef\xbf\xbd\\\"\","
                   "\"filename_hex\":\"ff22\"}\n");
}

/* The same strings as Python's json.dumps prints. */
static void
test_ascii (Fixture *f, UNUSED)
{
  assert_string (f, "\"\\\b\t\n\f\r\v",
                 "{\"string\": \"\\\"\\\\\\b\\t\\n\\f\\r\\u000b\"}");
  assert_string (f, "~\x7f", "{\"string\": \"~\\u007f\"}");
  assert_string (f, "\xc3\xa4\xf0\x9f\x98\x80",
                 "{\"string\": \"\\u00e4\\ud83d\\ude00\"}");
  assert_string (f, "\xff", "{\"string\": \"\\ufffd\"}");
}

/* Breaking off closes all open objects; members that were not emitted are
 * null. */
static void
test_break_off (Fixture *f, UNUSED)
{
  static const char *const keys[] = { "list", "later", NULL };

  emitter_begin_image (f->emitter, "a", FALSE);
  emitter_begin (f->emitter, EMITTER_LIST, "list", NULL);
  emitter_begin (f->emitter, EMITTER_BLOCK, NULL, NULL);
  emit_number (f, 1);
  emitter_begin (f->emitter, EMITTER_TABLE, "table", NULL);
  emitter_end_groups (f->emitter, keys);
  emitter_end_image (f->emitter);
  g_assert_cmpstr (
      f->out->str, ==,
      "{\"filename\":\"a\",\"list\":[{\"number\":1,\"table\":[]}],"
      "\"later\":null}\n");
}

static void
test_two_images (Fixture *f, UNUSED)
{
  static const char *const keys[] = { "list", NULL };

  emitter_begin_image (f->emitter, "a", TRUE);
  emitter_begin (f->emitter, EMITTER_LIST, "list", NULL);
  emitter_end (f->emitter);
  emitter_end_groups (f->emitter, keys);
  emitter_end_image (f->emitter);
  emitter_begin_image (f->emitter, "b", TRUE);
  emitter_end_groups (f->emitter, keys);
  emitter_end_image (f->emitter);
  g_assert_cmpstr (f->out->str, ==,
                   "{\"filename\":\"a\",\"list\":[]}\n"
                   "{\"filename\":\"b\",\"list\":null}\n");
}

static void
test_rows (Fixture *f, UNUSED)
{
  const Qcow2TableEntry entries[] = { { .index = 5,
                                        .type = QCOW2_ENTRY_SERIALIZED,
                                        .offset = 512,
                                        .size = 512,
                                        .reserved = 1 },
                                      { .index = 6,
                                        .type = QCOW2_ENTRY_ALL_ONES,
                                        .size = 512,
                                        .guest_offset = QCOW2_ABSENT,
                                        .guest_length = 7 } };

  emitter_begin (f->emitter, EMITTER_TABLE, NULL, NULL);
  emitter_rows (f->emitter, qcow2_table_entry_record.fields, entries,
                sizeof entries[0], 1);
  f->emitter->all_columns = TRUE;
  emitter_rows (f->emitter, qcow2_table_entry_record.fields, &entries[1],
                sizeof entries[0], 1);
  emitter_end (f->emitter);
  g_assert_cmpstr (f->out->str, ==,
                   "[{\"index\":5,\"type\":\"serialized\",\"offset\":512,"
                   "\"size\":512,\"reserved\":1},"
                   "{\"index\":6,\"type\":\"all-ones\",\"offset\":0,"
                   "\"size\":512,\"reserved\":0,\"guest_offset\":null,"
                   "\"guest_length\":7}]");
}

/* A row with flags, and an offset that it may lack. */
typedef struct
{
  guint64 flags;
  guint64 offset;
} FlagRow;

static const Qcow2Label flag_names[]
    = { { 0, "copied" }, { 3, "zero" }, { 63, "reserved" }, { 0, NULL } };

/* clang-format off */
static const Qcow2Field flag_fields[] = {
  QCOW2_DERIVED (FlagRow, "flags", flags, QCOW2_FLAGS, .labels = flag_names,
                 .width = 8),
  QCOW2_DERIVED (FlagRow, "offset", offset, QCOW2_HEX, .width = 6),
  QCOW2_STORED (FlagRow, offset, QCOW2_HEX),
  QCOW2_FIELD_END
};
/* clang-format on */

static const FlagRow flag_rows[]
    = { { 0, 0x10 },
        { 1 << 3, 0 },
        { 1 | 1 << 3 | G_GUINT64_CONSTANT (1) << 63, QCOW2_ABSENT } };

/* Flags are an array of names. */
static void
test_flags (Fixture *f, gconstpointer indented)
{
  const gboolean spaced = GPOINTER_TO_INT (indented);

  emitter_begin (f->emitter, EMITTER_TABLE, NULL, NULL);
  emitter_rows (f->emitter, flag_fields, flag_rows, sizeof flag_rows[0],
                G_N_ELEMENTS (flag_rows));
  emitter_end (f->emitter);
  g_assert_cmpstr (
      f->out->str, ==,
      spaced ? "[\n    {\"flags\": [], \"offset\": 16, \"offset\": 16},\n"
               "    {\"flags\": [\"zero\"], \"offset\": 0, \"offset\": 0},\n"
               "    {\"flags\": [\"copied\", \"zero\", \"reserved\"], "
               "\"offset\": null, \"offset\": 18446744073709551615}\n]"
             : "[{\"flags\":[],\"offset\":16,\"offset\":16},"
               "{\"flags\":[\"zero\"],\"offset\":0,\"offset\":0},"
               "{\"flags\":[\"copied\",\"zero\",\"reserved\"],"
               "\"offset\":null,\"offset\":18446744073709551615}]");
}

static void
test_finding (Fixture *f, UNUSED)
{
  Qcow2Finding finding = { .rule = "BDIR-05",
                           .severity = QCOW2_SEVERITY_WARNING,
                           .offset = 704,
                           .subject.bitmap = 3,
                           .subject.extension = QCOW2_NO_INDEX,
                           .value = 5,
                           .message = (char *) "what is wrong" };

  describe_finding (f->emitter, &finding, 0);
  g_assert_cmpstr (f->out->str, ==,
                   "{\"rule\":\"BDIR-05\",\"severity\":\"warning\","
                   "\"offset\":704,\"message\":\"what is wrong\","
                   "\"bitmap\":3,\"extension\":null,\"value\":null,"
                   "\"allowed\":null}");

  g_string_truncate (f->out, 0);
  describe_finding (f->emitter, &finding, 50);
  g_assert_true (g_str_has_suffix (f->out->str, ",\"suppressed\":50}"));

  /* A value with all bits set is a number like any other. */
  finding.has_value = TRUE;
  finding.value = G_MAXUINT64;
  g_string_truncate (f->out, 0);
  describe_finding (f->emitter, &finding, 0);
  g_assert_nonnull (strstr (f->out->str, ",\"value\":18446744073709551615,"));
}

/* An image within an image breaks off: only its own groups are closed, and its
 * missing keys are null, whatever keys the outer image has. */
static void
test_image_within (Fixture *f, UNUSED)
{
  static const char *const inner[] = { "list", "later", NULL };
  static const char *const outer[] = { "number", "later", "images", NULL };

  emitter_begin_image (f->emitter, "a", FALSE);
  emitter_null (f->emitter, "later");
  emitter_begin (f->emitter, EMITTER_LIST, "images", NULL);

  emitter_begin_image (f->emitter, "b", FALSE);
  emit_number (f, 1);
  emitter_begin (f->emitter, EMITTER_LIST, "list", NULL);
  emitter_begin (f->emitter, EMITTER_BLOCK, NULL, NULL);
  emitter_end_groups (f->emitter, inner);
  emitter_end_image (f->emitter);

  emitter_begin_image (f->emitter, "c", FALSE);
  emitter_end_groups (f->emitter, inner);
  emitter_end_image (f->emitter);

  emitter_end_groups (f->emitter, outer);
  emitter_end_image (f->emitter);
  g_assert_cmpstr (f->out->str, ==,
                   "{\"filename\":\"a\",\"later\":null,\"images\":["
                   "{\"filename\":\"b\",\"number\":1,\"list\":[{}],"
                   "\"later\":null},"
                   "{\"filename\":\"c\",\"list\":null,\"later\":null}],"
                   "\"number\":null}\n");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, test, data, setup)                                          \
  g_test_add (path, Fixture, GINT_TO_POINTER (data), setup, test, tear_down)

  ADD ("/json/numbers", test_numbers, FALSE, set_up);
  ADD ("/json/names", test_names, FALSE, set_up);
  ADD ("/json/indented", test_indented, TRUE, set_up);
  ADD ("/json/strings", test_strings, FALSE, set_up);
  ADD ("/json/not-utf8", test_not_utf8, FALSE, set_up);
  ADD ("/json/file-name", test_file_name, FALSE, set_up);
  ADD ("/json/ascii", test_ascii, FALSE, set_up_ascii);
  ADD ("/json/break-off", test_break_off, FALSE, set_up);
  ADD ("/json/two-images", test_two_images, FALSE, set_up);
  ADD ("/json/image-within", test_image_within, FALSE, set_up);
  ADD ("/json/rows", test_rows, FALSE, set_up);
  ADD ("/json/flags", test_flags, FALSE, set_up);
  ADD ("/json/flags-indented", test_flags, TRUE, set_up);
  ADD ("/json/problem", test_finding, FALSE, set_up);
  return g_test_run ();
}
