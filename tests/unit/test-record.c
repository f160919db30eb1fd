/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Field tables: decoding, sizes, looking up fields. */

#include "config.h"

#include "qcow2/record.h"

#include <string.h>

#include "qcow2/bitmap.h"
#include "qcow2/extension.h"

typedef struct
{
  guint8 one;
  guint16 two;
  guint32 four;
  guint64 eight;
  guint64 derived;
  GBytes *text;
  guint32 kind;
  char *bits[QCOW2_MASK_BITS];
} Sample;

static const Qcow2Label kinds[] = {
  { 0, "none" },
  { 7, "seven" },
  { 0, NULL },
};

/* clang-format off */
static const Qcow2Field sample_fields[] = {
  QCOW2_DERIVED (Sample, "derived", derived, QCOW2_DEC),
  QCOW2_STORED (Sample, one, QCOW2_DEC),
  QCOW2_STORED (Sample, two, QCOW2_DEC, .alias = "second"),
  QCOW2_DERIVED (Sample, "text", text, QCOW2_STRING),
  QCOW2_STORED (Sample, four, QCOW2_HEX),
  QCOW2_STORED (Sample, eight, QCOW2_BITS, .labels = kinds,
                .bit_names = offsetof (Sample, bits)),
  QCOW2_DERIVED (Sample, "kind", kind, QCOW2_NAME, .labels = kinds),
  QCOW2_DERIVED (Sample, "any_kind", kind, QCOW2_NAME, .labels = kinds,
                 .absent = "<unknown>"),
  QCOW2_FIELD_END
};
/* clang-format on */

static const guint8 sample_bytes[15]
    = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
        0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f };

static const Qcow2Field *
find (const char *name)
{
  const Qcow2Field *field = qcow2_record_find (sample_fields, name);

  g_assert_nonnull (field);
  return field;
}

static void
test_load_be (void)
{
  const guint8 bytes[8] = { 0x80, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0xff };

  g_assert_cmphex (qcow2_load_be (bytes, 0), ==, 0);
  g_assert_cmphex (qcow2_load_be (bytes, 1), ==, 0x80);
  g_assert_cmphex (qcow2_load_be (bytes, 2), ==, 0x8001);
  g_assert_cmphex (qcow2_load_be (bytes, 4), ==, 0x80010203);
  g_assert_cmphex (qcow2_load_be (bytes, 8), ==,
                   G_GUINT64_CONSTANT (0x80010203040506ff));
}

static void
test_decode (void)
{
  Sample sample = { .derived = 99, .kind = 3 };

  g_assert_cmpuint (qcow2_record_decode (sample_fields, sample_bytes,
                                         sizeof sample_bytes, &sample),
                    ==, 4);
  g_assert_cmphex (sample.one, ==, 0x01);
  g_assert_cmphex (sample.two, ==, 0x0203);
  g_assert_cmphex (sample.four, ==, 0x04050607);
  g_assert_cmphex (sample.eight, ==, G_GUINT64_CONSTANT (0x08090a0b0c0d0e0f));
  g_assert_cmpuint (sample.derived, ==, 99);
  g_assert_cmpuint (sample.kind, ==, 3);
  g_assert_null (sample.text);
}

/* Returns the number of fields in LEN bytes: the fields end at 1, 3, 7 and 15.
 */
static guint
n_fields_in (gsize len)
{
  return (len >= 1) + (len >= 3) + (len >= 7) + (len >= 15);
}

static void
test_decode_cut (void)
{
  for (gsize len = 0; len <= sizeof sample_bytes; len++)
    {
      const guint n = n_fields_in (len);
      Sample sample
          = { .one = 0xee, .two = 0xeeee, .four = 0xeeee, .eight = 5 };
      g_autofree guint8 *bytes = g_malloc (len + 1);

      memcpy (bytes, sample_bytes, len);
      g_assert_cmpuint (
          qcow2_record_decode (sample_fields, bytes, len, &sample), ==, n);
      g_assert_cmphex (sample.one, ==, n > 0 ? 0x01 : 0xee);
      g_assert_cmphex (sample.two, ==, n > 1 ? 0x0203 : 0xeeee);
      g_assert_cmphex (sample.four, ==, n > 2 ? 0x04050607 : 0xeeee);
      g_assert_cmphex (sample.eight, ==,
                       n > 3 ? G_GUINT64_CONSTANT (0x08090a0b0c0d0e0f) : 5);
    }
}

/* Decoding stops at a field that is truncated, even if a later one would fit.
 */
static void
test_decode_stops (void)
{
  static const Qcow2Field fields[]
      = { QCOW2_STORED (Sample, eight, QCOW2_DEC),
          QCOW2_STORED (Sample, one, QCOW2_DEC), QCOW2_FIELD_END };
  Sample sample = { .one = 0xee };

  g_assert_cmpuint (qcow2_record_decode (fields, sample_bytes, 7, &sample), ==,
                    0);
  g_assert_cmphex (sample.one, ==, 0xee);
}

/* qcow2 spec: 72 bytes in version 2, 32 more in version 3, and then the
 * compression type. */
static void
test_size_header (void)
{
  g_assert_cmpuint (qcow2_record_get_size (qcow2_header_fields), ==,
                    72 + 32 + 1);
}

static void
test_size_extensions (void)
{
  g_assert_cmpuint (qcow2_record_get_size (qcow2_extension_fields), ==, 8);
  g_assert_cmpuint (qcow2_record_get_size (qcow2_crypto_extension_fields), ==,
                    16);
  g_assert_cmpuint (qcow2_record_get_size (qcow2_bitmaps_extension_fields), ==,
                    24);
  g_assert_cmpuint (qcow2_record_get_size (qcow2_feature_fields), ==, 2);
}

static void
test_size_directory_entry (void)
{
  g_assert_cmpuint (qcow2_record_get_size (qcow2_bitmap_fields), ==, 24);
}

static void
test_size_ignores_derived (void)
{
  g_assert_cmpuint (qcow2_record_get_size (sample_fields), ==, 15);
}

static void
test_find (void)
{
  g_assert_true (qcow2_record_find (sample_fields, "four")
                 == &sample_fields[4]);
  g_assert_true (qcow2_record_find (sample_fields, "derived")
                 == &sample_fields[0]);
}

static void
test_find_alias (void)
{
  g_assert_true (qcow2_record_find (sample_fields, "second") == find ("two"));
  g_assert_true (
      qcow2_record_find (qcow2_header_fields, "snapshots_offset")
      == qcow2_record_find (qcow2_header_fields, "snapshot_offset"));
}

static void
test_find_nothing (void)
{
  g_assert_null (qcow2_record_find (sample_fields, "fou"));
  g_assert_null (qcow2_record_find (sample_fields, "fourth"));
  g_assert_null (qcow2_record_find (sample_fields, "FOUR"));
  g_assert_null (qcow2_record_find (sample_fields, ""));
}

static void
test_is_string (void)
{
  const Qcow2Field quoted = { .format = QCOW2_QUOTED };

  g_assert_true (qcow2_field_is_string (find ("text")));
  g_assert_true (qcow2_field_is_string (&quoted));
  g_assert_false (qcow2_field_is_string (find ("four")));
  g_assert_false (qcow2_field_is_string (find ("kind")));
}

static void
test_numbers (void)
{
  const Sample sample = {
    .one = 0xfe, .two = 0xfedc, .four = 0xfedcba98, .eight = G_MAXUINT64 - 1
  };

  g_assert_cmphex (qcow2_field_get_number (find ("one"), &sample), ==, 0xfe);
  g_assert_cmphex (qcow2_field_get_number (find ("two"), &sample), ==, 0xfedc);
  g_assert_cmphex (qcow2_field_get_number (find ("four"), &sample), ==,
                   0xfedcba98);
  g_assert_cmphex (qcow2_field_get_number (find ("eight"), &sample), ==,
                   G_MAXUINT64 - 1);
}

/* Every number on disk is a value.  Only in derived fields do all ones mean
 * "none". */
static void
test_absent_number (void)
{
  const Sample absent = { .derived = QCOW2_ABSENT, .eight = QCOW2_ABSENT };
  const Sample present = { .derived = 0 };

  g_assert_false (qcow2_field_has_value (find ("derived"), &absent));
  g_assert_true (qcow2_field_has_value (find ("eight"), &absent));
  g_assert_true (qcow2_field_has_value (find ("derived"), &present));
}

static void
test_absent_string (void)
{
  g_autoptr (GBytes) empty = g_bytes_new (NULL, 0);
  const Sample absent = { .text = NULL };
  const Sample present = { .text = empty };

  g_assert_false (qcow2_field_has_value (find ("text"), &absent));
  g_assert_true (qcow2_field_has_value (find ("text"), &present));
  gsize len = 1;
  qcow2_field_get_string (find ("text"), &present, &len);
  g_assert_cmpuint (len, ==, 0);
}

static void
test_absent_label (void)
{
  const Sample named = { .kind = 7 };
  const Sample nameless = { .kind = 8 };

  g_assert_true (qcow2_field_has_value (find ("kind"), &named));
  g_assert_false (qcow2_field_has_value (find ("kind"), &nameless));
  g_assert_true (qcow2_field_has_value (find ("any_kind"), &nameless));
}

static void
test_bit_names (void)
{
  char name[] = "bit";
  const Sample sample = { .bits = { [63] = name } };
  const char *const *names
      = qcow2_field_get_bit_names (find ("eight"), &sample);

  g_assert_true (names[63] == name);
  g_assert_null (names[0]);
  g_assert_null (qcow2_field_get_bit_names (find ("four"), &sample));
}

static void
test_label (void)
{
  g_assert_cmpstr (qcow2_label_find (kinds, 0), ==, "none");
  g_assert_cmpstr (qcow2_label_find (kinds, 7), ==, "seven");
  g_assert_null (qcow2_label_find (kinds, 1));
  g_assert_null (qcow2_label_find (kinds, G_GUINT64_CONSTANT (0x100000007)));
}

static void
test_count_zeroes (void)
{
  guint8 bytes[300];

  for (gsize len = 0; len <= sizeof bytes; len++)
    {
      memset (bytes, 0, sizeof bytes);
      g_assert_cmpuint (qcow2_count_zeroes (bytes, len), ==, len);
      for (gsize at = 0; at < sizeof bytes; at++)
        {
          memset (bytes, 0, sizeof bytes);
          bytes[at] = at % 2 == 0 ? 0x80 : 1;
          g_assert_cmpuint (qcow2_count_zeroes (bytes, len), ==,
                            MIN (at, len));
        }
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/record/load-be", test_load_be);
  g_test_add_func ("/record/count-zeroes", test_count_zeroes);
  g_test_add_func ("/record/decode/all", test_decode);
  g_test_add_func ("/record/decode/cut", test_decode_cut);
  g_test_add_func ("/record/decode/stops", test_decode_stops);
  g_test_add_func ("/record/size/header", test_size_header);
  g_test_add_func ("/record/size/extensions", test_size_extensions);
  g_test_add_func ("/record/size/directory-entry", test_size_directory_entry);
  g_test_add_func ("/record/size/derived", test_size_ignores_derived);
  g_test_add_func ("/record/find/name", test_find);
  g_test_add_func ("/record/find/alias", test_find_alias);
  g_test_add_func ("/record/find/nothing", test_find_nothing);
  g_test_add_func ("/record/is-string", test_is_string);
  g_test_add_func ("/record/number", test_numbers);
  g_test_add_func ("/record/absent/number", test_absent_number);
  g_test_add_func ("/record/absent/string", test_absent_string);
  g_test_add_func ("/record/absent/label", test_absent_label);
  g_test_add_func ("/record/bit-names", test_bit_names);
  g_test_add_func ("/record/label", test_label);
  return g_test_run ();
}
