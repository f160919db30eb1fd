/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Field tables: decoding, sizes, looking up fields. */

#include "config.h"

#include "qcow2/record.h"

#include <string.h>

#include "qcow2/bitmap.h"
#include "qcow2/extension.h"
#include "qcow2/l1-table.h"
#include "qcow2/l2-table.h"
#include "qcow2/luks.h"
#include "qcow2/refcount.h"
#include "qcow2/snapshot.h"
#include "qcow2/table.h"

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

static const Qcow2Record sample_record
    = { .name = "sample", .fields = sample_fields };

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

  g_assert_cmpuint (qcow2_record_decode (&sample_record, sample_bytes,
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
          qcow2_record_decode (&sample_record, bytes, len, &sample), ==, n);
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
  const Qcow2Record record = { .name = "sample", .fields = fields };
  Sample sample = { .one = 0xee };

  g_assert_cmpuint (qcow2_record_decode (&record, sample_bytes, 7, &sample),
                    ==, 0);
  g_assert_cmphex (sample.one, ==, 0xee);
}

/* A field as the specification has it: at AT, in bytes, for SIZE bytes; or in
 * a packed record, at bit AT for SIZE bits. */
typedef struct
{
  const char *name;
  guint at;
  guint size;
} Place;

/* A record, the size of its struct and its fields in the specification. */
typedef struct
{
  const Qcow2Record *record;
  gsize struct_size;
  guint size; /* bytes on disk */
  const Place *places;
} Known;

static const Place header_places[] = {
  { "magic", 0, 4 },
  { "version", 4, 4 },
  { "backing_file_offset", 8, 8 },
  { "backing_file_size", 16, 4 },
  { "cluster_bits", 20, 4 },
  { "size", 24, 8 },
  { "crypt_method", 32, 4 },
  { "l1_size", 36, 4 },
  { "l1_table_offset", 40, 8 },
  { "refcount_table_offset", 48, 8 },
  { "refcount_table_clusters", 56, 4 },
  { "nb_snapshots", 60, 4 },
  { "snapshot_offset", 64, 8 },
  { "incompatible_features", 72, 8 },
  { "compatible_features", 80, 8 },
  { "autoclear_features", 88, 8 },
  { "refcount_order", 96, 4 },
  { "header_length", 100, 4 },
  { "compression_type", 104, 1 },
  { "padding", 105, 7 },
  { NULL, 0, 0 },
};

static const Place extension_places[]
    = { { "magic", 0, 4 }, { "length", 4, 4 }, { NULL, 0, 0 } };

static const Place crypto_places[] = { { "crypto_header_offset", 0, 8 },
                                       { "crypto_header_length", 8, 8 },
                                       { NULL, 0, 0 } };

static const Place bitmaps_places[] = { { "nb_bitmaps", 0, 4 },
                                        { "reserved32", 4, 4 },
                                        { "bitmap_directory_size", 8, 8 },
                                        { "bitmap_directory_offset", 16, 8 },
                                        { NULL, 0, 0 } };

static const Place feature_places[] = {
  { "type", 0, 1 }, { "bit", 1, 1 }, { "padded_name", 2, 46 }, { NULL, 0, 0 }
};

static const Place bitmap_places[] = {
  { "bitmap_table_offset", 0, 8 },
  { "bitmap_table_size", 8, 4 },
  { "flags", 12, 4 },
  { "type", 16, 1 },
  { "granularity_bits", 17, 1 },
  { "name_size", 18, 2 },
  { "extra_data_size", 20, 4 },
  { NULL, 0, 0 },
};

static const Place snapshot_places[] = {
  { "l1_table_offset", 0, 8 },  { "l1_size", 8, 4 },
  { "id_str_size", 12, 2 },     { "name_size", 14, 2 },
  { "date_sec", 16, 4 },        { "date_nsec", 20, 4 },
  { "vm_clock_nsec", 24, 8 },   { "vm_state_size", 32, 4 },
  { "extra_data_size", 36, 4 }, { NULL, 0, 0 },
};

static const Place snapshot_extra_places[] = { { "vm_state_size_large", 0, 8 },
                                               { "disk_size", 8, 8 },
                                               { "icount", 16, 8 },
                                               { NULL, 0, 0 } };

static const Place luks_places[] = {
  { "magic", 0, 6 },
  { "version", 6, 2 },
  { "cipher_name", 8, 32 },
  { "cipher_mode", 40, 32 },
  { "hash_spec", 72, 32 },
  { "payload_offset", 104, 4 },
  { "key_bytes", 108, 4 },
  { "mk_digest", 112, 20 },
  { "mk_digest_salt", 132, 32 },
  { "mk_digest_iter", 164, 4 },
  { "uuid", 168, 40 },
  { NULL, 0, 0 },
};

static const Place luks_slot_places[] = {
  { "active", 0, 4 },   { "iterations", 4, 4 },
  { "salt", 8, 32 },    { "key_material_offset", 40, 4 },
  { "stripes", 44, 4 }, { NULL, 0, 0 },
};

static const Place table_entry_places[] = { { "offset", 9, 47 },
                                            { "all_ones", 0, 1 },
                                            { "reserved_low", 1, 8 },
                                            { "reserved_high", 56, 8 },
                                            { NULL, 0, 0 } };

static const Place l1_entry_places[] = { { "offset", 9, 47 },
                                         { "reserved_low", 0, 9 },
                                         { "reserved_high", 56, 7 },
                                         { "copied", 63, 1 },
                                         { NULL, 0, 0 } };

static const Place l2_entry_places[] = {
  { "offset", 9, 47 },      { "compressed", 62, 1 },    { "all_zeroes", 0, 1 },
  { "reserved_low", 1, 8 }, { "reserved_high", 56, 6 }, { "copied", 63, 1 },
  { NULL, 0, 0 },
};

static const Place subcluster_bitmap_places[]
    = { { "allocated", 0, 32 }, { "zeroes", 32, 32 }, { NULL, 0, 0 } };

static const Place refcount_entry_places[]
    = { { "offset", 9, 55 }, { "reserved", 0, 9 }, { NULL, 0, 0 } };

static const Known known[] = {
  { &qcow2_header_record, sizeof (Qcow2Header), 112, header_places },
  { &qcow2_extension_record, sizeof (Qcow2Extension), 8, extension_places },
  { &qcow2_crypto_extension_record, sizeof (Qcow2CryptoExtension), 16,
    crypto_places },
  { &qcow2_bitmaps_extension_record, sizeof (Qcow2BitmapsExtension), 24,
    bitmaps_places },
  { &qcow2_feature_record, sizeof (Qcow2Feature), 48, feature_places },
  { &qcow2_bitmap_record, sizeof (Qcow2Bitmap), 24, bitmap_places },
  { &qcow2_snapshot_record, sizeof (Qcow2SnapshotEntry), 40, snapshot_places },
  { &qcow2_snapshot_extra_record, sizeof (Qcow2SnapshotExtra), 24,
    snapshot_extra_places },
  { &qcow2_luks_record, sizeof (Qcow2Luks), 208, luks_places },
  { &qcow2_luks_slot_record, sizeof (Qcow2LuksSlot), 48, luks_slot_places },
  { &qcow2_table_entry_record, sizeof (Qcow2TableEntry), 8,
    table_entry_places },
  { &qcow2_l1_entry_record, sizeof (Qcow2L1Entry), 8, l1_entry_places },
  { &qcow2_l2_entry_record, sizeof (Qcow2L2Entry), 8, l2_entry_places },
  { &qcow2_subcluster_bitmap_record, sizeof (Qcow2SubclusterBitmap), 8,
    subcluster_bitmap_places },
  { &qcow2_refcount_entry_record, sizeof (Qcow2RefcountEntry), 8,
    refcount_entry_places },
};

static void
test_sizes (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    g_assert_cmpuint (qcow2_record_get_size (known[i].record), ==,
                      known[i].size);

  g_assert_cmpuint (QCOW2_KNOWN_HEADER_LENGTH, ==, 112);
  g_assert_cmpuint (QCOW2_EXTENSION_HEAD_LENGTH, ==, 8);
  g_assert_cmpuint (QCOW2_BITMAP_HEAD_LENGTH, ==, 24);
  g_assert_cmpuint (QCOW2_SNAPSHOT_HEAD, ==, 40);
  g_assert_cmpuint (QCOW2_SNAPSHOT_EXTRA_LENGTH, ==, 24);
  g_assert_cmpuint (QCOW2_LUKS_LENGTH, ==, 592);
  g_assert_cmpuint (qcow2_luks_get_slot_offset (QCOW2_LUKS_N_SLOTS), ==, 592);
}

/* A bit of a field of the header: its name, and its constant. */
typedef struct
{
  const char *field;
  const char *name;
  guint64 bit;
} BitRow;

static const BitRow header_bits[] = {
  { "incompatible_features", "dirty", QCOW2_INCOMPATIBLE_DIRTY },
  { "incompatible_features", "corrupt", QCOW2_INCOMPATIBLE_CORRUPT },
  { "incompatible_features", "external-data-file",
    QCOW2_INCOMPATIBLE_DATA_FILE },
  { "incompatible_features", "compression-type",
    QCOW2_INCOMPATIBLE_COMPRESSION },
  { "incompatible_features", "extended-l2", QCOW2_INCOMPATIBLE_EXTENDED_L2 },
  { "compatible_features", "lazy-refcounts", QCOW2_COMPATIBLE_LAZY_REFCOUNTS },
  { "autoclear_features", "bitmaps", QCOW2_AUTOCLEAR_BITMAPS },
  { "autoclear_features", "raw-external-data", QCOW2_AUTOCLEAR_RAW_DATA },
};

/* Asserts that the names of the bits of the header field FIELD have the
 * constants in the table, and that the known bits, KNOWN_BITS, are these. */
static void
assert_bits (const char *field, guint64 known_bits)
{
  const Qcow2Label *labels
      = qcow2_record_find (qcow2_header_record.fields, field)->labels;
  guint64 found = 0;
  guint n = 0;

  for (guint i = 0; i < G_N_ELEMENTS (header_bits); i++)
    {
      if (!g_str_equal (header_bits[i].field, field))
        continue;

      const guint number = (guint) g_bit_nth_lsf (header_bits[i].bit, -1);
      g_assert_cmpstr (qcow2_label_find (labels, number), ==,
                       header_bits[i].name);
      found |= header_bits[i].bit;
      n++;
    }

  g_assert_null (labels[n].name);
  g_assert_cmphex (found, ==, known_bits);
}

static void
test_bits (void)
{
  assert_bits ("incompatible_features", QCOW2_INCOMPATIBLE_KNOWN);
  assert_bits ("compatible_features", QCOW2_COMPATIBLE_KNOWN);
  assert_bits ("autoclear_features", QCOW2_AUTOCLEAR_KNOWN);
}

/* Returns whether RECORD, which may be NULL, is tested here. */
static gboolean
is_known (const Qcow2Record *record)
{
  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    {
      if (known[i].record == record)
        return TRUE;
    }

  return record == NULL;
}

static void
test_extensions (void)
{
  for (const Qcow2ExtensionType *it = qcow2_extension_types; it->name != NULL;
       it++)
    {
      g_test_message ("%s", it->name);
      g_assert_true (is_known (it->record));
      g_assert_true (is_known (it->row_record));
    }
}

/* Version 2 has the fields before incompatible_features, and version 3 has at
 * least those before compression_type. */
static void
test_versions (void)
{
  g_assert_cmpuint (
      QCOW2_AT (qcow2_header_record, Qcow2Header, incompatible_features), ==,
      QCOW2_V2_HEADER_LENGTH);
  g_assert_cmpuint (
      QCOW2_AT (qcow2_header_record, Qcow2Header, compression_type), ==,
      QCOW2_V3_HEADER_LENGTH);
  g_assert_cmpuint (QCOW2_V2_HEADER_LENGTH, ==, 72);
  g_assert_cmpuint (QCOW2_V3_HEADER_LENGTH, ==, 104);
}

/* Returns the place of the stored field NAME in PLACES. */
static const Place *
find_place (const Place *places, const char *name)
{
  while (places->name != NULL && !g_str_equal (places->name, name))
    places++;

  g_assert_nonnull (places->name);
  return places;
}

static void
test_offsets (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    {
      const Qcow2Record *record = known[i].record;
      guint n = 0;

      for (const Qcow2Field *it = record->fields; it->name != NULL; it++)
        {
          if (!it->stored)
            continue;

          const Place *place = find_place (known[i].places, it->name);
          n++;
          if (record->packed_size == 0)
            {
              g_assert_cmpuint (qcow2_record_get_offset (record, it), ==,
                                place->at);
              g_assert_cmpuint (it->size, ==, place->size);
              continue;
            }
          g_assert_cmpuint (qcow2_record_get_offset (record, it), ==, 0);
          g_assert_cmpuint (it->first_bit, ==, place->at);
          g_assert_cmpuint (it->n_bits, ==, place->size);
        }

      g_assert_null (known[i].places[n].name);
    }
}

/* Each bit of a packed record is in one field. */
static void
test_masks (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    {
      guint64 seen = 0;

      if (known[i].record->packed_size == 0)
        continue;

      for (const Qcow2Field *it = known[i].record->fields; it->name != NULL;
           it++)
        {
          if (!it->stored)
            continue;

          g_assert_cmphex (seen & qcow2_field_get_mask (it), ==, 0);
          seen |= qcow2_field_get_mask (it);
        }
      g_assert_cmphex (seen, ==, G_MAXUINT64);
    }
}

static void
test_unpack (void)
{
  const guint8 bytes[8] = { 0x81, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef };
  Qcow2TableEntry entry;
  Qcow2L1Entry l1;

  g_assert_cmpuint (
      qcow2_record_decode (&qcow2_table_entry_record, bytes, 8, &entry), ==,
      4);
  g_assert_cmphex (entry.offset, ==, G_GUINT64_CONSTANT (0x0023456789abcc00));
  g_assert_cmphex (entry.all_ones, ==, 1);
  g_assert_cmphex (entry.reserved_low, ==, 0x1ee);
  g_assert_cmphex (entry.reserved_high, ==,
                   G_GUINT64_CONSTANT (0x8100000000000000));
  qcow2_record_decode (&qcow2_l1_entry_record, bytes, 8, &l1);
  g_assert_cmphex (l1.copied, ==, 1);
  g_assert_cmpuint (
      qcow2_record_decode (&qcow2_l1_entry_record, bytes, 7, &l1), ==, 0);
}

static void
test_round_trip (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    {
      const gsize size = known[i].size;
      g_autofree guint8 *structure = g_malloc (known[i].struct_size);
      g_autofree guint8 *bytes = g_malloc (size);
      g_autofree guint8 *again = g_malloc0 (size);

      for (guint n = 0; n < 100; n++)
        {
          for (gsize at = 0; at < size; at++)
            bytes[at] = (guint8) g_test_rand_int_range (0, 256);

          const guint n_decoded
              = qcow2_record_decode (known[i].record, bytes, size, structure);
          g_assert_cmpuint (
              qcow2_record_encode (known[i].record, structure, again, size),
              ==, n_decoded);
          g_assert_cmpmem (again, size, bytes, size);
        }
    }
}

/* The fields of an entry of compressed data depend on the cluster size: x = 62
 * - (cluster_bits - 8). */
static void
test_compressed (void)
{
  for (guint32 bits = QCOW2_MIN_CLUSTER_BITS; bits <= QCOW2_MAX_CLUSTER_BITS;
       bits++)
    {
      const Qcow2Header header = { .cluster_bits = bits };
      const Qcow2Record *record = qcow2_l2_get_compressed_record (&header);
      const guint x = 62 - (bits - 8);
      const guint64 offset = (G_GUINT64_CONSTANT (1) << x) - 1;
      Qcow2CompressedEntry decoded;
      guint8 bytes[8];

      for (guint i = 0; i < 8; i++)
        bytes[i] = (guint8) g_test_rand_int_range (0, 256);
      const guint64 raw = qcow2_load_be64 (bytes);
      g_assert_cmpuint (qcow2_record_decode (record, bytes, 8, &decoded), ==,
                        4);
      g_assert_cmphex (decoded.offset, ==, raw & offset);
      g_assert_cmphex (decoded.additional_sectors, ==, raw << 2 >> 2 >> x);
      g_assert_cmphex (decoded.compressed, ==, raw >> 62 & 1);
      g_assert_cmphex (decoded.copied, ==, raw >> 63);

      guint8 again[8] = { 0 };
      qcow2_record_encode (record, &decoded, again, 8);
      g_assert_cmpmem (again, 8, bytes, 8);
    }
}

/* Encoding stops where decoding does and leaves the other bytes alone. */
static void
test_encode_cut (void)
{
  Sample sample = { 0 };

  qcow2_record_decode (&sample_record, sample_bytes, sizeof sample_bytes,
                       &sample);
  for (gsize len = 0; len <= sizeof sample_bytes; len++)
    {
      static const gsize ends[] = { 0, 1, 3, 7, 15 };
      const guint n = n_fields_in (len);
      guint8 bytes[sizeof sample_bytes];

      memset (bytes, 0xee, sizeof bytes);
      g_assert_cmpuint (
          qcow2_record_encode (&sample_record, &sample, bytes, len), ==, n);
      g_assert_cmpmem (bytes, ends[n], sample_bytes, ends[n]);
      for (gsize at = ends[n]; at < sizeof bytes; at++)
        g_assert_cmphex (bytes[at], ==, 0xee);
    }
}

/* A derived field may share the member of a stored one. */
static void
test_field (void)
{
  const Qcow2Field *magic
      = QCOW2_FIELD (qcow2_extension_record, Qcow2Extension, magic);

  g_assert_true (magic->stored);
  g_assert_cmpstr (magic->name, ==, "magic");
  g_assert_cmpuint (QCOW2_AT (qcow2_extension_record, Qcow2Extension, length),
                    ==, 4);
}

static void
test_is_shown (void)
{
  g_assert_true (qcow2_field_is_shown (find ("four")));
  g_assert_false (qcow2_field_is_shown (
      QCOW2_FIELD (qcow2_header_record, Qcow2Header, padding)));
  g_assert_false (qcow2_field_is_shown (
      QCOW2_FIELD (qcow2_table_entry_record, Qcow2TableEntry, reserved_low)));
}

static void
test_size_ignores_derived (void)
{
  g_assert_cmpuint (qcow2_record_get_size (&sample_record), ==, 15);
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
      qcow2_record_find (qcow2_header_record.fields, "snapshots_offset")
      == qcow2_record_find (qcow2_header_record.fields, "snapshot_offset"));
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
  g_test_add_func ("/record/encode/cut", test_encode_cut);
  g_test_add_func ("/record/encode/round-trip", test_round_trip);
  g_test_add_func ("/record/compressed", test_compressed);
  g_test_add_func ("/record/packed/unpack", test_unpack);
  g_test_add_func ("/record/packed/masks", test_masks);
  g_test_add_func ("/record/offsets", test_offsets);
  g_test_add_func ("/record/field", test_field);
  g_test_add_func ("/record/is-shown", test_is_shown);
  g_test_add_func ("/record/size/all", test_sizes);
  g_test_add_func ("/record/bits", test_bits);
  g_test_add_func ("/record/extensions", test_extensions);
  g_test_add_func ("/record/size/versions", test_versions);
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
