/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bitmap tables: the meaning of an entry, its guest range, and findings about
 * it. */

#include "config.h"

#include "check/table-rules.h"
#include "qcow2/table.h"

#include "test-util.h"

#define TABLE_OFFSET 0x1000

/* A table in a fake file. */
typedef struct
{
  FakeSource *source;
  Qcow2Header header;
  Qcow2Table table;
  ByteWindow *window;
} Fixture;

static void
fixture_init (Fixture *f, const guint64 *raw, gsize n, guint64 file_size)
{
  g_autoptr (Image) image = image_new ();

  for (gsize i = 0; i < n; i++)
    image_put_be (image, TABLE_OFFSET + 8 * i, 8, raw[i]);
  f->source = fake_source_new (image->bytes, file_size);
  f->header.cluster_size = 65536;
  f->header.size = 64 * 1024 * 1024;
  f->table.source = &f->source->base;
  f->table.header = &f->header;
  f->table.offset = TABLE_OFFSET;
  f->table.n_entries = n;
  f->table.granularity = 65536;
  f->window = byte_window_new (&f->source->base, G_MAXUINT64);
}

static void
fixture_clear (Fixture *f)
{
  byte_window_free (f->window);
  byte_source_free (&f->source->base);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fixture, fixture_clear)

static gsize
read_entries (Fixture *f, guint64 start, Qcow2TableEntry *entries, gsize n)
{
  g_autoptr (GError) error = NULL;
  gsize got
      = qcow2_table_read (&f->table, f->window, start, entries, n, &error);

  g_assert_no_error (error);
  return got;
}

/* Returns the decoded entry RAW. */
static Qcow2TableEntry
decode (guint64 raw)
{
  g_auto (Fixture) f = { 0 };
  Qcow2TableEntry entry;

  fixture_init (&f, &raw, 1, 0x10000);
  g_assert_cmpuint (read_entries (&f, 0, &entry, 1), ==, 1);
  g_assert_cmphex (entry.raw, ==, raw);
  g_assert_cmpuint (entry.index, ==, 0);
  g_assert_cmpuint (entry.size, ==, 65536);
  return entry;
}

/* Returns the host offset of the data of entry RAW, or 0. */
static guint64
get_data_offset (guint64 raw)
{
  g_auto (Fixture) f = { 0 };
  g_autoptr (GError) error = NULL;
  guint64 offset;

  fixture_init (&f, &raw, 1, 0x10000);
  g_assert_cmpuint (
      qcow2_table_read_offsets (&f.table, f.window, 0, &offset, 1, &error), ==,
      1);
  g_assert_no_error (error);
  return offset;
}

/* A raw entry and its fields, as the specification defines the bits. */
typedef struct
{
  guint64 raw;
  Qcow2EntryType type;
  guint64 offset;
  guint64 reserved;
} Pattern;

#define X(n) G_GUINT64_CONSTANT (0x##n)

/* clang-format off */
static const Pattern patterns[] = {
  { 0, QCOW2_ENTRY_ALL_ZEROES, 0, 0 },
  { 1, QCOW2_ENTRY_ALL_ONES, 0, 0 },
  { 2, QCOW2_ENTRY_ALL_ZEROES, 0, 2 },
  { 3, QCOW2_ENTRY_ALL_ONES, 0, 2 },
  { 0x100, QCOW2_ENTRY_ALL_ZEROES, 0, 0x100 },
  { 0x1fe, QCOW2_ENTRY_ALL_ZEROES, 0, 0x1fe },
  { 0x200, QCOW2_ENTRY_SERIALIZED, 0x200, 0 },
  { 0x201, QCOW2_ENTRY_SERIALIZED, 0x200, 1 },
  { 0x290000, QCOW2_ENTRY_SERIALIZED, 0x290000, 0 },
  { 0x290001, QCOW2_ENTRY_SERIALIZED, 0x290000, 1 },
  { 0x2901ff, QCOW2_ENTRY_SERIALIZED, 0x290000, 0x1ff },
  { X (0080000000000000), QCOW2_ENTRY_SERIALIZED, X (0080000000000000), 0 },
  { X (0100000000000000), QCOW2_ENTRY_ALL_ZEROES, 0, X (0100000000000000) },
  { X (8000000000000000), QCOW2_ENTRY_ALL_ZEROES, 0, X (8000000000000000) },
  { X (8000000000000001), QCOW2_ENTRY_ALL_ONES, 0, X (8000000000000000) },
  { X (00fffffffffffe00), QCOW2_ENTRY_SERIALIZED, X (00fffffffffffe00), 0 },
  { X (ff000000000001fe), QCOW2_ENTRY_ALL_ZEROES, 0, X (ff000000000001fe) },
  { X (ffffffffffffffff), QCOW2_ENTRY_SERIALIZED, X (00fffffffffffe00),
    X (ff000000000001ff) },
};
/* clang-format on */

static void
test_patterns (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (patterns); i++)
    {
      const Qcow2TableEntry entry = decode (patterns[i].raw);

      g_assert_cmpint (entry.type, ==, patterns[i].type);
      g_assert_cmphex (entry.offset, ==, patterns[i].offset);
      g_assert_cmphex (entry.reserved, ==, patterns[i].reserved);
      const gboolean has_data = entry.type == QCOW2_ENTRY_SERIALIZED
                                && entry.reserved == 0
                                && entry.offset % 65536 == 0;
      g_assert_cmphex (get_data_offset (patterns[i].raw), ==,
                       has_data ? patterns[i].offset : 0);
    }
}

static void
test_single_bits (void)
{
  for (guint bit = 0; bit < 64; bit++)
    {
      const guint64 raw = G_GUINT64_CONSTANT (1) << bit;
      const Qcow2TableEntry entry = decode (raw);
      const gboolean is_offset = bit >= 9 && bit <= 55;

      g_assert_cmpint (entry.type, ==,
                       is_offset  ? QCOW2_ENTRY_SERIALIZED
                       : bit == 0 ? QCOW2_ENTRY_ALL_ONES
                                  : QCOW2_ENTRY_ALL_ZEROES);
      g_assert_cmphex (entry.offset, ==, is_offset ? raw : 0);
      g_assert_cmphex (entry.reserved, ==, is_offset || bit == 0 ? 0 : raw);
    }
}

static void
test_type_names (void)
{
  g_assert_cmpstr (
      qcow2_label_find (qcow2_entry_types, QCOW2_ENTRY_SERIALIZED), ==,
      "serialized");
  g_assert_cmpstr (
      qcow2_label_find (qcow2_entry_types, QCOW2_ENTRY_ALL_ZEROES), ==,
      "all-zeroes");
  g_assert_cmpstr (qcow2_label_find (qcow2_entry_types, QCOW2_ENTRY_ALL_ONES),
                   ==, "all-ones");
}

static void
test_window (void)
{
  const guint64 raw[] = { 0, 1, 0x10000, 0x20000, 1 };
  g_auto (Fixture) f = { 0 };
  Qcow2TableEntry entries[5];

  fixture_init (&f, raw, 5, 0x10000);
  g_assert_cmpuint (read_entries (&f, 1, entries, 2), ==, 2);
  g_assert_cmphex (entries[0].raw, ==, 1);
  g_assert_cmpuint (entries[0].index, ==, 1);
  g_assert_cmphex (entries[1].raw, ==, 0x10000);
  g_assert_cmpuint (entries[1].index, ==, 2);

  g_assert_cmpuint (read_entries (&f, 3, entries, 5), ==, 2);
  g_assert_cmpuint (entries[1].index, ==, 4);
  g_assert_cmpuint (read_entries (&f, 5, entries, 5), ==, 0);
  g_assert_cmpuint (read_entries (&f, G_MAXUINT64, entries, 5), ==, 0);
  g_assert_cmpuint (read_entries (&f, 0, entries, 0), ==, 0);
}

/* The bytes after the table are not entries, although the file has them. */
static void
test_exact_size (void)
{
  const guint64 raw[] = { 1, 1, 1, 1 };
  g_auto (Fixture) f = { 0 };
  Qcow2TableEntry entries[4];

  fixture_init (&f, raw, 4, 0x10000);
  f.table.n_entries = 3;
  g_assert_cmpuint (qcow2_table_get_n_readable (&f.table), ==, 3);
  g_assert_cmpuint (read_entries (&f, 0, entries, 4), ==, 3);
  g_assert_cmpuint (f.source->last_end, ==, TABLE_OFFSET + 3 * 8);
}

static guint64
n_readable (guint64 offset, guint64 n_entries, guint64 file_size)
{
  g_auto (Fixture) f = { 0 };
  const guint64 raw = 0;

  fixture_init (&f, &raw, 1, file_size);
  f.table.offset = offset;
  f.table.n_entries = n_entries;
  return qcow2_table_get_n_readable (&f.table);
}

/* The number of entries that are completely inside the file, whatever the
 * image claims. */
static void
test_n_readable (void)
{
  g_assert_cmpuint (n_readable (0x1000, 4, 0x1020), ==, 4);
  g_assert_cmpuint (n_readable (0x1000, 4, 0x101f), ==, 3);
  g_assert_cmpuint (n_readable (0x1000, 4, 0x1007), ==, 0);
  g_assert_cmpuint (n_readable (0x1000, 4, 0x1000), ==, 0);
  g_assert_cmpuint (n_readable (0x1000, 4, 0x800), ==, 0);
  g_assert_cmpuint (n_readable (G_MAXUINT64, G_MAXUINT32, 0x1000), ==, 0);
  g_assert_cmpuint (n_readable (0, G_MAXUINT64, G_MAXUINT64), ==,
                    G_MAXUINT64 / 8);
}

static void
test_long_read (void)
{
  const guint64 raw = 1;
  const gsize n = BYTE_WINDOW_SIZE / 8;
  g_auto (Fixture) f = { 0 };
  g_autofree Qcow2TableEntry *entries = g_new0 (Qcow2TableEntry, 20000);

  fixture_init (&f, &raw, 1, 0x1000000);
  f.table.n_entries = 100000;
  /* At most one window of entries is read at a time. */
  g_assert_cmpuint (read_entries (&f, 0, entries, 20000), ==, n);
  g_assert_cmpuint (read_entries (&f, n, entries, 20000), ==, n);
  g_assert_cmpuint (entries[0].index, ==, n);
}

static void
test_read_error (void)
{
  const guint64 raw[] = { 1, 1 };
  g_auto (Fixture) f = { 0 };
  g_autoptr (GError) error = NULL;
  Qcow2TableEntry entries[2];

  fixture_init (&f, raw, 2, 0x10000);
  f.source->bad_start = TABLE_OFFSET + 8;
  f.source->bad_end = TABLE_OFFSET + 9;
  g_assert_cmpuint (read_entries (&f, 0, entries, 1), ==, 1);
  g_assert_cmpuint (
      qcow2_table_read (&f.table, f.window, 0, entries, 2, &error), ==, 0);
  assert_fatal (error, QCOW2_ERROR_READ, "0x1000", "FILE-04");
}

/* Entries before an unreadable one are counted; a count that starts at the
 * unreadable one fails. */
static void
test_count_up_to_error (void)
{
  const guint64 raw[20] = { 0, 1, 0 };
  g_auto (Fixture) f = { 0 };
  g_autoptr (GError) error = NULL;
  guint64 zeroes;
  guint64 ones;

  fixture_init (&f, raw, G_N_ELEMENTS (raw), 0x10000);
  f.source->bad_start = TABLE_OFFSET + 7 * 8 + 7;
  f.source->bad_end = f.source->bad_start + 1;
  g_assert_true (qcow2_table_count_uniform (&f.table, f.window, 0, 20, &zeroes,
                                            &ones, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (zeroes, ==, 6);
  g_assert_cmpuint (ones, ==, 1);
  g_assert_false (qcow2_table_count_uniform (&f.table, f.window, 7, 13,
                                             &zeroes, &ones, &error));
  assert_fatal (error, QCOW2_ERROR_READ, "0x1038", "FILE-04");
}

/* The guest range that entry INDEX covers. */
typedef struct
{
  const char *path;
  guint cluster_bits;
  guint granularity_bits; /* 64: none */
  guint64 size;
  guint64 index;
  guint64 guest_offset; /* QCOW2_ABSENT: covers nothing */
  guint64 guest_length;
} Range;

#define NOTHING QCOW2_ABSENT, QCOW2_ABSENT

/* clang-format off */
/* One entry covers 2^(cluster_bits + 3 + granularity_bits) bytes. */
static const Range ranges[] = {
  { "first", 16, 16, X (1000000000), 0, 0, X (800000000) },
  { "second", 16, 16, X (1000000000), 1, X (800000000), X (800000000) },
  { "after", 16, 16, X (1000000000), 2, NOTHING },
  { "clamped", 16, 16, 64 * 1024 * 1024, 0, 0, 64 * 1024 * 1024 },
  { "clamped-second", 16, 16, X (800000001), 1, X (800000000), 1 },
  { "exact", 16, 16, X (800000000), 0, 0, X (800000000) },
  { "exact-after", 16, 16, X (800000000), 1, NOTHING },
  { "size-1", 16, 16, 1, 0, 0, 1 },
  { "size-0", 16, 16, 0, 0, NOTHING },
  { "smallest", 9, 0, 10000, 2, 8192, 1808 },
  { "no-granularity", 16, 64, 512, 0, NOTHING },
  { "granularity-63", 16, 63, G_MAXUINT64, 0, 0, G_MAXUINT64 },
  { "granularity-63-second", 16, 63, G_MAXUINT64, 1, NOTHING },
  /* 2^(9 + 3 + 51) is 2^63; twice that is 2^64. */
  { "2-63-first", 9, 51, G_MAXUINT64, 0, 0, X (8000000000000000) },
  { "2-63-second", 9, 51, G_MAXUINT64, 1, X (8000000000000000),
    X (7fffffffffffffff) },
  { "2-63-third", 9, 51, G_MAXUINT64, 2, NOTHING },
  { "2-64", 9, 52, G_MAXUINT64, 0, 0, G_MAXUINT64 },
  { "2-64-second", 9, 52, G_MAXUINT64, 1, NOTHING },
  { "largest-cluster", 30, 31, G_MAXUINT64, 0, 0, G_MAXUINT64 },
  /* 2^(61 + 3) is 2^64 even with granularity_bits 0. */
  { "cluster-2-60", 60, 0, G_MAXUINT64, 1, X (8000000000000000),
    X (7fffffffffffffff) },
  { "cluster-2-61", 61, 0, G_MAXUINT64, 0, 0, G_MAXUINT64 },
  { "cluster-2-63", 63, 16, G_MAXUINT64, 0, 0, G_MAXUINT64 },
  { "cluster-2-63-second", 63, 16, G_MAXUINT64, 1, NOTHING },
  { "last-index", 16, 16, G_MAXUINT64, G_MAXUINT32, NOTHING },
};
/* clang-format on */

static void
test_range (gconstpointer data)
{
  const Range *row = data;
  const guint64 raw = 0;
  g_auto (Fixture) f = { 0 };
  Qcow2TableEntry entry;

  fixture_init (&f, &raw, 1, G_GUINT64_CONSTANT (1) << 40);
  f.header.cluster_size = G_GUINT64_CONSTANT (1) << row->cluster_bits;
  f.header.size = row->size;
  f.table.n_entries = row->index + 1;
  f.table.granularity = row->granularity_bits < 64
                            ? G_GUINT64_CONSTANT (1) << row->granularity_bits
                            : QCOW2_ABSENT;

  g_assert_cmpuint (read_entries (&f, row->index, &entry, 1), ==, 1);
  g_assert_cmphex (entry.guest_offset, ==, row->guest_offset);
  g_assert_cmphex (entry.guest_length, ==, row->guest_length);
  g_assert_cmpuint (entry.size, ==, f.header.cluster_size);
}

/* An entry in a file of 0x300000 bytes with clusters of 64 KiB.  The bitmap
 * has 0x18000 bytes: entry 1 uses half of its cluster, entry 2 nothing. */
typedef struct
{
  const char *path;
  guint64 raw;
  guint64 index;
  const char *findings;
  const char *first_rule;
} Judged;

#define AT_0 "@0x1000"
#define AT_1 "@0x1008"
#define AT_2 "@0x1010"

/* clang-format off */
static const Judged judged[] = {
  { "zero", 0, 0, "", NULL },
  { "ones", 1, 0, "", NULL },
  { "data", 0x290000, 0, "", NULL },
  { "BTAB-01/bit-1", 0x290002, 0, "E BTAB-01" AT_0, "BTAB-01" },
  { "BTAB-01/bit-8", 0x290100, 0, "E BTAB-01" AT_0, "BTAB-01" },
  { "BTAB-01/bit-56", X (0100000000290000), 0, "E BTAB-01" AT_0, "BTAB-01" },
  { "BTAB-01/bit-63", X (8000000000290000), 0, "E BTAB-01" AT_0, "BTAB-01" },
  { "BTAB-01/without-offset", 0x1fe, 0, "E BTAB-01" AT_0, "BTAB-01" },
  { "BTAB-01/ones", 3, 1, "E BTAB-01" AT_1, "BTAB-01" },
  { "BTAB-02/ones-and-offset", 0x290001, 0, "E BTAB-02" AT_0, "BTAB-02" },
  { "BTAB-03/512", 0x290200, 0, "E BTAB-03" AT_0, "BTAB-03" },
  { "BTAB-03/half", 0x298000, 0, "E BTAB-03" AT_0, "BTAB-03" },
  { "BTAB-05/last-cluster", 0x2f0000, 0, "", NULL },
  { "BTAB-05/after-file", 0x300000, 0, "E BTAB-05" AT_0, "BTAB-05" },
  { "BTAB-05/largest", X (00ffffffffff0000), 0, "E BTAB-05" AT_0,
    "BTAB-05" },
  { "BTAB-05/unused-at-end", 0x300000, 2, "", NULL },
  { "BTAB-05/unused-after-end", 0x310000, 2, "E BTAB-05" AT_2, "BTAB-05" },
  { "all", G_MAXUINT64, 1,
    "E BTAB-01" AT_1 "; E BTAB-02" AT_1 "; E BTAB-03" AT_1 "; E BTAB-05" AT_1,
    "BTAB-01" },
  { "first-of-two", 0x290201, 0, "E BTAB-02" AT_0 "; E BTAB-03" AT_0,
    "BTAB-02" },
};
/* clang-format on */

static void
judge (const Fixture *f, guint64 raw, guint64 index, const char *expected,
       const char *first_rule)
{
  const Qcow2Subject subject = { .parts = QCOW2_PART_BITMAPS,
                                 .structure = "bitmap",
                                 .extension = QCOW2_NO_INDEX,
                                 .bitmap = 3 };
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  Qcow2TableEntry entry = decode (raw);

  entry.index = index;
  const Qcow2RuleIndex first = qcow2_table_check_entry (
      &f->table, &entry, 0x18000, &subject, findings);
  g_assert_cmpstr (first != QCOW2_NO_RULE ? qcow2_rules[first].id : NULL, ==,
                   first_rule);
  assert_findings (findings, expected);
  if (first_rule != NULL)
    g_assert_cmpuint (qcow2_findings_get (findings, 0)->subject.bitmap, ==, 3);
}

static void
test_judge (gconstpointer data)
{
  const Judged *row = data;
  const guint64 raw = 0;
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, &raw, 1, 0x300000);
  judge (&f, row->raw, row->index, row->findings, row->first_rule);
}

/* An entry that breaks all rules for tables.  The value of each finding is the
 * whole entry. */
static void
test_judge_values (void)
{
  static const guint64 values[]
      = { G_MAXUINT64, G_MAXUINT64, G_MAXUINT64, G_MAXUINT64 };
  const guint64 raw = 0;
  const Qcow2Subject subject = { .structure = "bitmap" };
  g_auto (Fixture) f = { 0 };
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();

  fixture_init (&f, &raw, 1, 0x300000);
  const Qcow2TableEntry entry = decode (G_MAXUINT64);
  qcow2_table_check_entry (&f.table, &entry, 0x18000, &subject, findings);
  g_assert_cmpuint (qcow2_findings_get_n (findings), ==, 4);
  for (guint i = 0; i < G_N_ELEMENTS (values); i++)
    g_assert_cmphex (qcow2_findings_get (findings, i)->value, ==, values[i]);
}

/* A data cluster may be truncated after the bytes that hold bits. */
static void
test_judge_cut_cluster (void)
{
  const guint64 raw = 0;
  g_auto (Fixture) whole = { 0 };
  g_auto (Fixture) cut = { 0 };

  fixture_init (&whole, &raw, 1, 0x2f8000);
  judge (&whole, 0x2f0000, 1, "", NULL);
  fixture_init (&cut, &raw, 1, 0x2f7fff);
  judge (&cut, 0x2f0000, 1, "E BTAB-05" AT_1, "BTAB-05");
}

static void
add_data_tests (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (ranges); i++)
    {
      g_autofree char *path
          = g_strdup_printf ("/table/range/%s", ranges[i].path);

      g_test_add_data_func (path, &ranges[i], test_range);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (judged); i++)
    {
      g_autofree char *path
          = g_strdup_printf ("/table/judge/%s", judged[i].path);

      g_test_add_data_func (path, &judged[i], test_judge);
    }
}

/* Asserts how many of at most MOST entries from START on are plain.  The first
 * N_ZEROES entries are all-zeroes; before the first other entry, there are
 * N_PLAIN_ZEROES all-zeroes and N_PLAIN_ONES all-ones entries. */
static void
count (Fixture *f, guint64 start, guint64 most, guint64 n_zeroes,
       guint64 n_plain_zeroes, guint64 n_plain_ones)
{
  guint64 zeroes;
  guint64 ones;

  g_assert_true (qcow2_table_count_uniform (&f->table, f->window, start, most,
                                            &zeroes, NULL, NULL));
  g_assert_cmpuint (zeroes, ==, n_zeroes);
  g_assert_true (qcow2_table_count_uniform (&f->table, f->window, start, most,
                                            &zeroes, &ones, NULL));
  g_assert_cmpuint (zeroes, ==, n_plain_zeroes);
  g_assert_cmpuint (ones, ==, n_plain_ones);
}

/* Zeroes are counted from any entry up to the first other one, or up to the
 * number requested, also across blocks.  With ones, both are counted in one
 * run. */
static void
test_count_plain (void)
{
  const guint64 raw[] = { 0, 0, 1, 0, 0x10000, 0, 1 };
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, raw, G_N_ELEMENTS (raw), 0x200000);
  f.table.n_entries = 0x8000;
  count (&f, 0, 0x8000, 2, 3, 1);
  count (&f, 1, 0x7fff, 1, 2, 1);
  count (&f, 2, 0x7ffe, 0, 1, 1);
  count (&f, 3, 0x7ffd, 1, 1, 0);
  count (&f, 4, 0x7ffc, 0, 0, 0);
  count (&f, 5, 0x7ffb, 1, 0x7ffa, 1);
  count (&f, 7, 0x7ff9, 0x7ff9, 0x7ff9, 0);
  count (&f, 7, 20000, 20000, 20000, 0);
  count (&f, 0, 1, 1, 1, 0);
  count (&f, 0, 3, 2, 2, 1);
  count (&f, 2, 1, 0, 0, 1);
}

/* Several entries are examined at once, so this tries positions and bits at
 * which an entry can differ from plain ones. */
static void
test_count_plain_steps (void)
{
  guint64 raw[200];

  for (guint at = 0; at < G_N_ELEMENTS (raw); at += 7)
    for (guint bit = 1; bit < 64; bit += 6)
      {
        g_auto (Fixture) f = { 0 };
        guint n_ones = 0;
        guint64 zeroes;
        guint64 ones;

        for (guint i = 0; i < G_N_ELEMENTS (raw); i++)
          {
            raw[i] = i % 3 == 0 ? 1 : 0;
            n_ones += i < at && i % 3 == 0;
          }
        raw[at] |= G_GUINT64_CONSTANT (1) << bit;
        fixture_init (&f, raw, G_N_ELEMENTS (raw), 0x200000);
        g_assert_true (qcow2_table_count_uniform (
            &f.table, f.window, 0, G_N_ELEMENTS (raw), &zeroes, &ones, NULL));
        g_assert_cmpuint (ones, ==, n_ones);
        g_assert_cmpuint (zeroes, ==, at - n_ones);
      }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/table/entry/patterns", test_patterns);
  g_test_add_func ("/table/entry/single-bits", test_single_bits);
  g_test_add_func ("/table/entry/type-names", test_type_names);
  g_test_add_func ("/table/read/window", test_window);
  g_test_add_func ("/table/read/exact-size", test_exact_size);
  g_test_add_func ("/table/read/n-readable", test_n_readable);
  g_test_add_func ("/table/read/long", test_long_read);
  g_test_add_func ("/table/read/error", test_read_error);
  g_test_add_func ("/table/count-plain/zeroes-and-ones", test_count_plain);
  g_test_add_func ("/table/count-plain/steps", test_count_plain_steps);
  g_test_add_func ("/table/count-plain/up-to-error", test_count_up_to_error);
  g_test_add_func ("/table/judge/values", test_judge_values);
  g_test_add_func ("/table/judge/cut-cluster", test_judge_cut_cluster);
  add_data_tests ();
  return g_test_run ();
}
