/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The text emitter: blocks and the blank lines between them, headings, rows
 * and tables; and the structures described to the emitter. */

#include "config.h"

#include "qcow2/table.h"
#include "render/describe.h"
#include "render/emitter.h"

#include <string.h>

typedef struct
{
  guint32 number;
  guint64 derived;
  GBytes *string;
} Record;

/* clang-format off */
static const Qcow2Field fields[] = {
  QCOW2_STORED (Record, number, QCOW2_DEC),
  QCOW2_DERIVED (Record, "derived", derived, QCOW2_HEX),
  QCOW2_DERIVED (Record, "hidden", derived, QCOW2_DEC, .text = ""),
  QCOW2_DERIVED (Record, "renamed", number, QCOW2_DEC, .text = "Other name"),
  QCOW2_DERIVED (Record, "string", string, QCOW2_QUOTED),
  QCOW2_DERIVED (Record, "needed", string, QCOW2_STRING,
                 .absent = "<unreadable>"),
  QCOW2_FIELD_END
};
/* clang-format on */

/* An emitter and its output. */
typedef struct
{
  GString *out;
  Emitter *emitter;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  f->out = g_string_new (NULL);
  f->emitter = emitter_new_text (f->out);
}

static void
tear_down (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  emitter_free (f->emitter);
  g_string_free (f->out, TRUE);
}

#define UNUSED gconstpointer unused G_GNUC_UNUSED

static void
emit_block (Fixture *f, const char *heading, guint32 number)
{
  const Record record = { .number = number };

  emitter_begin (f->emitter, EMITTER_BLOCK, "key", heading);
  emitter_field (f->emitter, &fields[0], &record);
  emitter_end (f->emitter);
}

static void
test_block (Fixture *f, UNUSED)
{
  emit_block (f, NULL, 7);
  g_assert_cmpstr (f->out->str, ==, "number                    7\n");
}

static void
test_heading (Fixture *f, UNUSED)
{
  emit_block (f, "Header extension:", 7);
  g_assert_cmpstr (f->out->str, ==,
                   "Header extension:\n"
                   "number                    7\n");
}

/* Blank lines separate blocks; none comes before the first or after the last.
 */
static void
test_blocks (Fixture *f, UNUSED)
{
  emit_block (f, NULL, 1);
  emit_block (f, "Heading:", 2);
  emit_block (f, NULL, 3);
  g_assert_cmpstr (f->out->str, ==,
                   "number                    1\n"
                   "\n"
                   "Heading:\n"
                   "number                    2\n"
                   "\n"
                   "number                    3\n");
}

static void
test_nothing (Fixture *f, UNUSED)
{
  g_assert_cmpstr (f->out->str, ==, "");
}

static void
test_images (Fixture *f, UNUSED)
{
  emitter_begin_image (f->emitter, "a", TRUE);
  emit_block (f, NULL, 1);
  emitter_begin_image (f->emitter, "b", TRUE);
  emitter_begin_image (f->emitter, "c", TRUE);
  emit_block (f, NULL, 3);
  emit_block (f, NULL, 4);
  g_assert_cmpstr (f->out->str, ==,
                   "image: a\n"
                   "number                    1\n"
                   "\n"
                   "image: b\n"
                   "\n"
                   "image: c\n"
                   "number                    3\n"
                   "\n"
                   "number                    4\n");
}

/* A path is as hostile as a name. */
static void
test_image_path (Fixture *f, UNUSED)
{
  emitter_begin_image (f->emitter, "dir/a\nimage: b\x1b\\\xff\xc3\xa4", TRUE);
  g_assert_cmpstr (f->out->str, ==,
                   "image: dir/a\\nimage: b\\x1b\\\\\\xff\xc3\xa4\n");
}

/* The output may be taken away between two events. */
static void
test_flushed (Fixture *f, UNUSED)
{
  emit_block (f, NULL, 1);
  g_string_truncate (f->out, 0);
  emit_block (f, NULL, 2);
  g_assert_cmpstr (f->out->str, ==, "\nnumber                    2\n");
}

static void
emit_fields (Fixture *f, const Record *record)
{
  emitter_begin (f->emitter, EMITTER_BLOCK, NULL, NULL);
  for (const Qcow2Field *field = fields; field->name != NULL; field++)
    emitter_field (f->emitter, field, record);
  emitter_end (f->emitter);
}

static void
test_fields (Fixture *f, UNUSED)
{
  g_autoptr (GBytes) string = g_bytes_new ("a\n", 2);
  const Record record = { .number = 7, .derived = 31, .string = string };

  emit_fields (f, &record);
  g_assert_cmpstr (f->out->str, ==,
                   "number                    7\n"
                   "derived                   0x1f\n"
                   "Other name                7\n"
                   "string                    'a\\n'\n"
                   "needed                    a\\n\n");
}

/* A field without a value has no line, unless its description has a word for
 * such a case. */
static void
test_absent_fields (Fixture *f, UNUSED)
{
  const Record record = { .number = 7, .derived = QCOW2_ABSENT };

  emit_fields (f, &record);
  g_assert_cmpstr (f->out->str, ==,
                   "number                    7\n"
                   "Other name                7\n"
                   "needed                    <unreadable>\n");
}

static void
test_row (Fixture *f, UNUSED)
{
  g_autoptr (GBytes) string = g_bytes_new ("x y", 3);
  const Record record = { .number = 7, .string = string };

  emitter_begin (f->emitter, EMITTER_BLOCK, NULL, NULL);
  emitter_begin (f->emitter, EMITTER_ROW, "feature", "unused");
  emitter_field (f->emitter, &fields[0], &record);
  emitter_field (f->emitter, &fields[2], &record);
  emitter_field (f->emitter, &fields[4], &record);
  emitter_end (f->emitter);
  emitter_field (f->emitter, &fields[0], &record);
  emitter_end (f->emitter);
  g_assert_cmpstr (f->out->str, ==,
                   "feature                   7 'x y'\n"
                   "number                    7\n");
}

static const Qcow2TableEntry entries[] = {
  { .index = 0,
    .type = QCOW2_ENTRY_SERIALIZED,
    .offset = 5046272,
    .size = 65536,
    .guest_length = 1048576 },
  { .index = 1,
    .type = QCOW2_ENTRY_ALL_ONES,
    .size = 65536,
    .guest_offset = QCOW2_ABSENT,
    .guest_length = QCOW2_ABSENT },
};

#define HEADING                                                               \
  "Bitmap table   type            offset                   size\n"
#define ROW_0 "0              serialized      5046272                  65536\n"
#define ROW_1 "1              all-ones        0                        65536\n"

/* The rows come in several events, but the heading is printed once. */
static void
test_table (Fixture *f, UNUSED)
{
  emitter_begin (f->emitter, EMITTER_TABLE, NULL, NULL);
  emitter_rows (f->emitter, qcow2_table_entry_record.fields, entries,
                sizeof entries[0], 0);
  emitter_rows (f->emitter, qcow2_table_entry_record.fields, entries,
                sizeof entries[0], 1);
  emitter_rows (f->emitter, qcow2_table_entry_record.fields, entries + 1,
                sizeof entries[0], 1);
  emitter_rows (f->emitter, qcow2_table_entry_record.fields, entries,
                sizeof entries[0], 0);
  emitter_end (f->emitter);
  g_assert_cmpstr (f->out->str, ==, HEADING ROW_0 ROW_1);
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

/* Flags are names and commas.  Only a stored number is never absent. */
static void
test_flags (Fixture *f, UNUSED)
{
  emitter_begin (f->emitter, EMITTER_TABLE, NULL, NULL);
  emitter_rows (f->emitter, flag_fields, flag_rows, sizeof flag_rows[0],
                G_N_ELEMENTS (flag_rows));
  emitter_end (f->emitter);
  g_assert_cmpstr (f->out->str, ==,
                   "flags    offset offset\n"
                   "-        0x10   0x10\n"
                   "zero     0x0    0x0\n"
                   "copied,zero,reserved -      0xffffffffffffffff\n");
}

/* A table without rows prints nothing. */
static void
test_table_empty (Fixture *f, UNUSED)
{
  emitter_begin (f->emitter, EMITTER_TABLE, NULL, NULL);
  emitter_rows (f->emitter, qcow2_table_entry_record.fields, entries,
                sizeof entries[0], 0);
  emitter_end (f->emitter);
  g_assert_cmpstr (f->out->str, ==, "");
}

static void
test_tables_in_blocks (Fixture *f, UNUSED)
{
  for (guint i = 0; i < 2; i++)
    {
      const Record record = { .number = i };

      emitter_begin (f->emitter, EMITTER_BLOCK, NULL, NULL);
      emitter_field (f->emitter, &fields[0], &record);
      emitter_begin (f->emitter, EMITTER_TABLE, NULL, NULL);
      emitter_rows (f->emitter, qcow2_table_entry_record.fields, &entries[i],
                    sizeof entries[0], 1);
      emitter_end (f->emitter);
      emitter_end (f->emitter);
    }
  g_assert_cmpstr (f->out->str, ==,
                   "number                    0\n" HEADING ROW_0 "\n"
                   "number                    1\n" HEADING ROW_1);
}

static void
test_table_long (Fixture *f, UNUSED)
{
  f->emitter->all_columns = TRUE;
  emitter_begin (f->emitter, EMITTER_TABLE, NULL, NULL);
  emitter_rows (f->emitter, qcow2_table_entry_record.fields, entries,
                sizeof entries[0], 2);
  emitter_end (f->emitter);

  g_auto (GStrv) lines = g_strsplit (f->out->str, "\n", -1);
  g_assert_true (g_str_has_prefix (
      lines[0], "Bitmap table   type            offset                   "));
  g_assert_nonnull (strstr (lines[0], " reserved "));
  g_assert_nonnull (strstr (lines[0], " guest_offset "));
  g_assert_true (g_str_has_suffix (lines[0], " guest_length"));
  g_assert_true (g_str_has_suffix (lines[1], " 1048576"));
  g_assert_true (g_str_has_suffix (lines[2], " -"));
}

static void
test_free_null (void)
{
  emitter_free (NULL);
}

/* The example in interface.md, from a header in memory. */
static void
test_header (Fixture *f, UNUSED)
{
  const Qcow2Header header = { .magic = 0x514649fb,
                               .version = 3,
                               .cluster_bits = 16,
                               .size = 10485760,
                               .l1_size = 1,
                               .l1_table_offset = 0x30000,
                               .refcount_table_offset = 0x10000,
                               .refcount_table_clusters = 1,
                               .autoclear_features = 1,
                               .refcount_order = 4,
                               .header_length = 112,
                               .cluster_size = 65536,
                               .refcount_bits = 16 };

  describe_header (f->emitter, NULL, &header);
  g_assert_cmpstr (f->out->str, ==,
                   "magic                     0x514649fb\n"
                   "version                   3\n"
                   "backing_file_offset       0x0\n"
                   "backing_file_size         0x0\n"
                   "cluster_bits              16\n"
                   "size                      10485760\n"
                   "crypt_method              0\n"
                   "l1_size                   1\n"
                   "l1_table_offset           0x30000\n"
                   "refcount_table_offset     0x10000\n"
                   "refcount_table_clusters   1\n"
                   "nb_snapshots              0\n"
                   "snapshot_offset           0x0\n"
                   "incompatible_features     0x0 ([])\n"
                   "compatible_features       0x0 ([])\n"
                   "autoclear_features        0x1 (['bitmaps'])\n"
                   "refcount_order            4\n"
                   "header_length             112\n"
                   "compression_type          0 (zlib)\n");
}

static void
assert_ends_with (const Fixture *f, const char *text)
{
  if (!g_str_has_suffix (f->out->str, text))
    g_error ("%s\ndoes not end with\n%s", f->out->str, text);
}

static void
test_header_strings (Fixture *f, UNUSED)
{
  g_autoptr (GBytes) file = g_bytes_new ("base\n.raw", 9);
  g_autoptr (GBytes) format = g_bytes_new ("raw", 3);
  g_autoptr (GBytes) external = g_bytes_new ("DF.data", 7);
  const Qcow2Header header = { .compression_type = 1,
                               .backing_file = file,
                               .backing_format = format,
                               .external_data_file = external };

  describe_header (f->emitter, NULL, &header);
  assert_ends_with (f, "compression_type          1 (zstd)\n"
                       "backing_file              base\\n.raw\n"
                       "backing_format            raw\n"
                       "external_data_file        DF.data\n");
}

/* All bits that have a name, and one that the image itself names. */
static void
test_header_masks (Fixture *f, UNUSED)
{
  char name[] = "bit sixty-three";
  const Qcow2Header header
      = { .incompatible_features = G_GUINT64_CONSTANT (0x800000000000003f),
          .compatible_features = 3,
          .autoclear_features = 7,
          .feature_names = { [0] = { [0] = name, [63] = name } } };

  describe_header (f->emitter, NULL, &header);
  g_assert_nonnull (
      strstr (f->out->str,
              "\nincompatible_features     0x800000000000003f (['dirty', "
              "'corrupt', 'external-data-file', 'compression-type', "
              "'extended-l2', 'bit-5', \"bit sixty-three\"])\n"
              "compatible_features       0x3 (['lazy-refcounts', 'bit-1'])\n"
              "autoclear_features        0x7 (['bitmaps', "
              "'raw-external-data', 'bit-2'])\n"));
}

/* The example in interface.md. */
static void
test_bitmaps_extension (Fixture *f, UNUSED)
{
  const Qcow2Extension extension
      = { .magic = 0x23852875,
          .length = 24,
          .file_offset = 0x1f8,
          .n_decoded = 4,
          .bitmaps = { .nb_bitmaps = 3,
                       .bitmap_directory_size = 0x60,
                       .bitmap_directory_offset = 0x520000 } };

  describe_extension (f->emitter, &extension);
  g_assert_cmpstr (f->out->str, ==,
                   "Header extension:\n"
                   "magic                     0x23852875 (Bitmaps)\n"
                   "file_offset               0x1f8\n"
                   "length                    24\n"
                   "nb_bitmaps                3\n"
                   "reserved32                0\n"
                   "bitmap_directory_size     0x60\n"
                   "bitmap_directory_offset   0x520000\n");
}

/* Fields that truncated data do not contain are not shown as zeroes. */
static void
test_cut_extension (Fixture *f, UNUSED)
{
  const Qcow2Extension extension
      = { .magic = 0x23852875, .length = 23, .n_decoded = 3 };

  describe_extension (f->emitter, &extension);
  assert_ends_with (f, "length                    23\n"
                       "nb_bitmaps                0\n"
                       "reserved32                0\n"
                       "bitmap_directory_size     0x0\n");
}

static void
test_unknown_extension (Fixture *f, UNUSED)
{
  g_autoptr (GBytes) data = g_bytes_new ("text", 4);
  g_autoptr (GBytes) hex = g_bytes_new ("00ff", 4);
  const Qcow2Extension text
      = { .magic = 0x12345678, .length = 4, .data = data };
  const Qcow2Extension bytes = { .magic = 1, .length = 2, .data_hex = hex };

  describe_extension (f->emitter, &text);
  describe_extension (f->emitter, &bytes);
  g_assert_cmpstr (f->out->str, ==,
                   "Header extension:\n"
                   "magic                     0x12345678 (<unknown>)\n"
                   "file_offset               0x0\n"
                   "length                    4\n"
                   "data                      'text'\n"
                   "\n"
                   "Header extension:\n"
                   "magic                     0x1 (<unknown>)\n"
                   "file_offset               0x0\n"
                   "length                    2\n"
                   "data                      00ff\n");
}

static void
test_extension_names (Fixture *f, UNUSED)
{
  const guint32 magics[] = { 0xe2792aca, 0x6803f857, 0x0537be77, 0x44415441 };
  const char *const names[] = { "(Backing format)", "(Feature table)",
                                "(Crypto header)", "(Data file)" };

  for (guint i = 0; i < G_N_ELEMENTS (magics); i++)
    {
      const Qcow2Extension extension = { .magic = magics[i] };

      g_string_truncate (f->out, 0);
      describe_extension (f->emitter, &extension);
      g_assert_nonnull (strstr (f->out->str, names[i]));
    }
}

static void
test_feature_rows (Fixture *f, UNUSED)
{
  guint8 rows[96] = { 0, 3 };

  memcpy (rows + 2, "compression type", 16);
  rows[48] = 9;
  rows[49] = 255;
  memcpy (rows + 50, "a\nb", 3);

  g_autoptr (GBytes) bytes = g_bytes_new (rows, sizeof rows);
  const Qcow2Extension extension
      = { .magic = 0x6803f857, .length = 96, .bytes = bytes };

  describe_extension (f->emitter, &extension);
  assert_ends_with (
      f, "length                    96\n"
         "feature                   incompatible 3 'compression type'\n"
         "feature                   9 255 'a\\nb'\n");
}

/* The example in interface.md. */
static void
test_bitmap (Fixture *f, UNUSED)
{
  g_autoptr (GBytes) name = g_bytes_new ("b1", 2);
  const Qcow2Bitmap bitmap = { .bitmap_table_offset = 0x470000,
                               .bitmap_table_size = 1,
                               .type = 1,
                               .granularity_bits = 19,
                               .name_size = 2,
                               .name = name,
                               .granularity = 524288,
                               .result.dirty_bytes = QCOW2_ABSENT,
                               .file_offset = 0x520020,
                               .result.state = QCOW2_BITMAP_STATE_DISABLED };

  describe_begin_bitmap (f->emitter, &bitmap);
  emitter_end (f->emitter);
  g_assert_cmpstr (f->out->str, ==,
                   "Bitmap name               b1\n"
                   "bitmap_table_offset       0x470000\n"
                   "bitmap_table_size         1\n"
                   "flags                     0x0 ([])\n"
                   "type                      1\n"
                   "granularity_bits          19\n"
                   "name_size                 2\n"
                   "extra_data_size           0\n"
                   "state                     disabled\n"
                   "file_offset               0x520020\n");
}

static void
test_bitmap_flags (Fixture *f, UNUSED)
{
  const Qcow2Bitmap bitmap = { .flags = 0x8000000f,
                               .result.state = QCOW2_BITMAP_STATE_DAMAGED,
                               .result.dirty_bytes = QCOW2_ABSENT };

  describe_begin_bitmap (f->emitter, &bitmap);
  emitter_end (f->emitter);
  g_assert_true (g_str_has_prefix (
      f->out->str, "Bitmap name               <unreadable>\n"));
  g_assert_nonnull (
      strstr (f->out->str,
              "\nflags                     0x8000000f (['in-use', 'auto', "
              "'extra-data-compatible', 'bit-3', 'bit-31'])\n"));
  assert_ends_with (f, "state                     damaged\n"
                       "file_offset               0x0\n");
}

static void
test_bitmap_states (Fixture *f, UNUSED)
{
  static const char *const names[]
      = { [QCOW2_BITMAP_STATE_DAMAGED] = "damaged",
          [QCOW2_BITMAP_STATE_STALE] = "stale",
          [QCOW2_BITMAP_STATE_IN_USE] = "in-use",
          [QCOW2_BITMAP_STATE_DISABLED] = "disabled",
          [QCOW2_BITMAP_STATE_ENABLED] = "enabled" };

  for (guint i = QCOW2_BITMAP_STATE_DAMAGED; i < G_N_ELEMENTS (names); i++)
    {
      const Qcow2Bitmap bitmap
          = { .result.state = i, .result.dirty_bytes = QCOW2_ABSENT };
      g_autofree char *line
          = g_strdup_printf ("\nstate                     %s\n"
                             "file_offset               0x0\n",
                             names[i]);

      describe_begin_bitmap (f->emitter, &bitmap);
      emitter_end (f->emitter);
      assert_ends_with (f, line);
    }
}

static void
test_bitmap_name (Fixture *f, UNUSED)
{
  g_autoptr (GBytes) name = g_bytes_new ("b\n1", 3);
  const Qcow2Bitmap bitmap = { .name = name };

  describe_begin_table (f->emitter, &bitmap, TRUE);
  emitter_begin (f->emitter, EMITTER_TABLE, NULL, NULL);
  emitter_rows (f->emitter, qcow2_table_entry_record.fields, entries,
                sizeof entries[0], 1);
  emitter_end (f->emitter);
  emitter_end (f->emitter);
  g_assert_cmpstr (f->out->str, ==,
                   "Bitmap name               b\\n1\n" HEADING ROW_0);
}

#define ADD(path, test)                                                       \
  g_test_add ((path), Fixture, NULL, set_up, (test), tear_down)

static void
add_emitter (void)
{
  ADD ("/text/nothing", test_nothing);
  ADD ("/text/block/fields", test_block);
  ADD ("/text/block/heading", test_heading);
  ADD ("/text/block/several", test_blocks);
  ADD ("/text/block/flushed", test_flushed);
  ADD ("/text/image/several", test_images);
  ADD ("/text/image/path", test_image_path);
  ADD ("/text/field/present", test_fields);
  ADD ("/text/field/absent", test_absent_fields);
  ADD ("/text/row", test_row);
  ADD ("/text/table/pieces", test_table);
  ADD ("/text/table/flags", test_flags);
  ADD ("/text/table/empty", test_table_empty);
  ADD ("/text/table/in-blocks", test_tables_in_blocks);
  ADD ("/text/table/long", test_table_long);
  g_test_add_func ("/text/free-null", test_free_null);
}

static void
add_structures (void)
{
  ADD ("/describe/header/example", test_header);
  ADD ("/describe/header/strings", test_header_strings);
  ADD ("/describe/header/masks", test_header_masks);
  ADD ("/describe/extension/bitmaps", test_bitmaps_extension);
  ADD ("/describe/extension/cut", test_cut_extension);
  ADD ("/describe/extension/unknown", test_unknown_extension);
  ADD ("/describe/extension/names", test_extension_names);
  ADD ("/describe/extension/features", test_feature_rows);
  ADD ("/describe/bitmap/example", test_bitmap);
  ADD ("/describe/bitmap/flags", test_bitmap_flags);
  ADD ("/describe/bitmap/states", test_bitmap_states);
  ADD ("/describe/bitmap/name", test_bitmap_name);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_emitter ();
  add_structures ();
  return g_test_run ();
}
