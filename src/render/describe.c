/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/describe.h"

#include "render/advice.h"

/* Emits the fields of RECORD.  Only the first N_STORED of its stored fields
 * are present; programs receive null for the others. */
static void
describe_fields (Emitter *emitter, const Qcow2Field *fields,
                 gconstpointer record, guint n_stored)
{
  for (; fields->name != NULL; fields++)
    {
      if (!qcow2_field_is_shown (fields))
        continue;
      if (fields->stored && n_stored == 0)
        {
          emitter_null (emitter, fields->name);
          continue;
        }
      if (fields->stored)
        n_stored--;

      emitter_field (emitter, fields, record);
    }
}

/* Emits, for programs, the members of LAYER that only an image in a list of
 * layers has. */
void
describe_layer (Emitter *emitter, const Qcow2Layer *layer)
{
  static const Qcow2Field fields[]
      = { QCOW2_DERIVED (Qcow2Layer, "layer", depth, QCOW2_DEC),
          QCOW2_DERIVED (Qcow2Layer, "format", format, QCOW2_WORD),
          QCOW2_FIELD_END };

  if (emitter->machine_readable)
    describe_fields (emitter, fields, layer, G_MAXUINT);
}

/* Emits HEADER.  HEADING is the line above the fields, or NULL for none. */
void
describe_header (Emitter *emitter, const char *heading,
                 const Qcow2Header *header)
{
  emitter_begin (emitter, EMITTER_BLOCK, "header", heading);
  describe_fields (emitter, qcow2_header_record.fields, header, G_MAXUINT);
  emitter_end (emitter);
}

static void
describe_features (Emitter *emitter, const Qcow2Extension *extension)
{
  const guint n_features = qcow2_extension_get_n_features (extension);

  if (extension->bytes == NULL)
    {
      emitter_null (emitter, "features");
      return;
    }

  emitter_begin (emitter, EMITTER_LIST, "features", NULL);
  for (guint row = 0; row < n_features; row++)
    {
      g_auto (Qcow2Feature) feature = { 0 };

      qcow2_extension_get_feature (extension, row, &feature);
      emitter_begin (emitter, EMITTER_ROW, "feature", NULL);
      describe_fields (emitter, qcow2_feature_record.fields, &feature,
                       G_MAXUINT);
      emitter_end (emitter);
    }
  emitter_end (emitter);
}

/* Emits EXTENSION with its data, decoded as far as they are known. */
void
describe_extension (Emitter *emitter, const Qcow2Extension *extension)
{
  gconstpointer structure = NULL;
  const Qcow2Field *fields
      = qcow2_extension_get_data_fields (extension, &structure);

  emitter_begin (emitter, EMITTER_BLOCK, NULL, "Header extension:");
  describe_fields (emitter, qcow2_extension_record.fields, extension,
                   G_MAXUINT);
  if (fields != NULL)
    describe_fields (emitter, fields, structure, extension->n_decoded);
  else
    describe_features (emitter, extension);
  emitter_end (emitter);
}

static void
describe_counts (Emitter *emitter, const Qcow2Bitmap *bitmap)
{
  if (!bitmap->result.has_counts)
    {
      emitter_null (emitter, "table_entries");
      return;
    }

  emitter_begin (emitter, EMITTER_ROW, "table_entries", NULL);
  describe_fields (emitter, qcow2_table_counts_fields, &bitmap->result.counts,
                   G_MAXUINT);
  emitter_end (emitter);
}

/* Begins the block of BITMAP and emits all of its fields.  The caller may emit
 * its table before calling emitter_end (). */
void
describe_begin_bitmap (Emitter *emitter, const Qcow2Bitmap *bitmap)
{
  emitter_begin (emitter, EMITTER_BLOCK, NULL, NULL);
  if (!emitter->machine_readable)
    {
      Qcow2Bitmap shown = *bitmap;

      shown.result.state = qcow2_bitmap_get_shown_state (bitmap);
      describe_fields (emitter, qcow2_bitmap_record.fields, &shown, G_MAXUINT);
    }
  else
    {
      describe_fields (emitter, qcow2_bitmap_record.fields, bitmap, G_MAXUINT);
      describe_counts (emitter, bitmap);
    }
  describe_fields (emitter, qcow2_bitmap_size_fields, bitmap, G_MAXUINT);
}

/* Begins the block of BITMAP's table.  The caller emits the entries before
 * calling emitter_end ().  For people, the block names BITMAP only if
 * WITH_NAME. */
void
describe_begin_table (Emitter *emitter, const Qcow2Bitmap *bitmap,
                      gboolean with_name)
{
  emitter_begin (emitter, EMITTER_BLOCK, NULL, NULL);
  if (with_name || emitter->machine_readable)
    describe_fields (emitter, qcow2_bitmap_table_fields, bitmap, G_MAXUINT);
}

/* Emits OWNER, the index of the bitmap with which the table was printed
 * already, or QCOW2_ABSENT when there is no such bitmap. */
void
describe_table_owner (Emitter *emitter, guint64 owner)
{
  static const Qcow2Field field = { .name = "bitmap_table_of",
                                    .format = QCOW2_DEC,
                                    .size = sizeof owner };

  emitter_field (emitter, &field, &owner);
}

/* Emits the members of TABLE other than its entries. */
static void
describe_table (Emitter *emitter, const DescribeTable *table)
{
#define D(member, format)                                                     \
  QCOW2_DERIVED (DescribeTable, #member, member, format, .text = "")
  /* The offset may be any number: it is stored in the image. */
  static const Qcow2Field fields[]
      = { D (kind, QCOW2_WORD), D (index, QCOW2_DEC),
          QCOW2_STORED (DescribeTable, file_offset, QCOW2_DEC, .text = ""),
          D (size, QCOW2_DEC), QCOW2_FIELD_END };
#undef D

  describe_fields (emitter, fields, table, G_MAXUINT);
}

/* Begins TABLE.  The caller emits its entries as rows before calling
 * describe_end_rows (). */
void
describe_begin_rows (Emitter *emitter, const DescribeTable *table)
{
  emitter_begin (emitter, EMITTER_BLOCK, "table", NULL);
  describe_table (emitter, table);
  emitter_begin (emitter, EMITTER_TABLE, "entries", NULL);
}

void
describe_end_rows (Emitter *emitter)
{
  emitter_end (emitter);
  emitter_end (emitter);
}

/* Begins TABLE, a snapshot table.  The caller emits its entries before calling
 * describe_end_snapshots ().  For people, each entry is a block of its own. */
void
describe_begin_snapshots (Emitter *emitter, const DescribeTable *table)
{
  if (emitter->machine_readable)
    emitter_begin (emitter, EMITTER_BLOCK, "table", NULL);
  if (emitter->machine_readable)
    describe_table (emitter, table);
  emitter_begin (emitter, EMITTER_LIST, "entries", NULL);
}

/* Emits SNAPSHOT as a block. */
void
describe_snapshot (Emitter *emitter, const Qcow2Snapshot *snapshot)
{
  emitter_begin (emitter, EMITTER_BLOCK, NULL, NULL);
  describe_fields (emitter, qcow2_snapshot_index_fields, snapshot, G_MAXUINT);
  describe_fields (emitter, qcow2_snapshot_record.fields, &snapshot->entry,
                   G_MAXUINT);
  describe_fields (emitter, qcow2_snapshot_place_fields, snapshot, G_MAXUINT);
  describe_fields (emitter, qcow2_snapshot_extra_record.fields,
                   &snapshot->extra, snapshot->n_extra);
  describe_fields (emitter, qcow2_snapshot_rest_fields, snapshot, G_MAXUINT);
  emitter_end (emitter);
}

void
describe_end_snapshots (Emitter *emitter)
{
  emitter_end (emitter);
  if (emitter->machine_readable)
    emitter_end (emitter);
}

static void
begin_finding (Emitter *emitter, const Qcow2Finding *finding)
{
  emitter_begin (emitter, EMITTER_ROW, NULL, NULL);
  describe_fields (emitter, qcow2_finding_fields, finding, G_MAXUINT);
}

static void
end_finding (Emitter *emitter, guint64 n_suppressed)
{
  static const Qcow2Field suppressed
      = { .name = "suppressed", .format = QCOW2_DEC, .size = 8 };

  if (n_suppressed > 0)
    emitter_field (emitter, &suppressed, &n_suppressed);
  emitter_end (emitter);
}

/* Emits FINDING.  If N_SUPPRESSED is not 0, FINDING represents N_SUPPRESSED
 * similar findings that are left out. */
void
describe_finding (Emitter *emitter, const Qcow2Finding *finding,
                  guint64 n_suppressed)
{
  begin_finding (emitter, finding);
  end_finding (emitter, n_suppressed);
}

/* Explanations that accompany a finding or a rule. */
typedef struct
{
  const char *consequence;
  const char *remedy;
  const char *told_as;
} Advice;

#define ADVICE(member)                                                        \
  QCOW2_DERIVED (Advice, #member, member, QCOW2_WORD, .text = NULL)

/* Emits FINDING, one of the FINDINGS of IMAGE, like describe_finding (),
 * together with its consequence and remedy. */
void
describe_checked_finding (Emitter *emitter, const Qcow2Finding *finding,
                          const Qcow2Image *image,
                          const Qcow2Findings *findings, guint64 n_suppressed)
{
  static const Qcow2Field fields[]
      = { ADVICE (consequence), ADVICE (remedy), QCOW2_FIELD_END };
  const gboolean is_rest = n_suppressed > 0;
  g_autofree char *consequence
      = is_rest ? NULL : advice_get_consequence (finding, image, findings);
  g_autofree char *remedy
      = is_rest ? NULL : advice_get_remedy (finding, image, findings);
  const Advice advice = { .consequence = consequence, .remedy = remedy };

  begin_finding (emitter, finding);
  describe_fields (emitter, fields, &advice, G_MAXUINT);
  end_finding (emitter, n_suppressed);
}

/* Returns the static description, for people, of WORD, one of the DESCRIBE_...
 * words for parts that a check skips. */
const char *
describe_not_examined (const char *word)
{
  static const struct
  {
    const char *word;
    const char *text;
  } texts[] = { { DESCRIBE_GUEST_CLUSTERS, "the guest's clusters" },
                { DESCRIBE_BACKING_FILE, "the backing file" },
                { DESCRIBE_DATA_FILE, "the data file" },
                { DESCRIBE_REST_OF_IMAGE,
                  "all but these bitmaps and what leads to them" } };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      if (g_str_equal (texts[i].word, word))
        return texts[i].text;
    }

  g_assert_not_reached ();
}

/* Emits VERDICT for programs, or null when VERDICT is NULL. */
void
describe_verdict (Emitter *emitter, const Qcow2Verdict *verdict)
{
  typedef struct
  {
    const char *qemu;
    const char *qemu_rule;
  } Words;
  static const Qcow2Field fields[]
      = { QCOW2_DERIVED (Words, "qemu", qemu, QCOW2_WORD, .text = NULL),
          QCOW2_DERIVED (Words, "qemu_rule", qemu_rule, QCOW2_WORD,
                         .text = NULL),
          QCOW2_FIELD_END };
  Words words = { 0 };

  if (verdict != NULL)
    advice_describe_verdict (verdict, &words.qemu);
  if (verdict != NULL && verdict->rule != QCOW2_NO_RULE)
    words.qemu_rule = qcow2_rules[verdict->rule].id;
  describe_fields (emitter, fields, &words, G_MAXUINT);
}

static void
describe_left_out (Emitter *emitter, const DescribeSummary *summary)
{
  static const Qcow2Field word
      = { .name = "", .format = QCOW2_WORD, .size = sizeof (const char *) };

  emitter_begin (emitter, EMITTER_LIST, "not_examined", NULL);
  for (guint i = 0; summary->not_examined[i] != NULL; i++)
    emitter_field (emitter, &word, &summary->not_examined[i]);
  emitter_end (emitter);
}

/* Emits NUMBERS for programs, or null for each of them when NUMBERS is
 * NULL. */
static void
describe_numbers (Emitter *emitter, const Qcow2CheckNumbers *numbers)
{
  Qcow2CheckNumbers unknown = { 0 };

  qcow2_check_numbers_forget (&unknown);
  describe_fields (emitter, qcow2_check_number_fields,
                   numbers != NULL ? numbers : &unknown, G_MAXUINT);
}

/* Emits SUMMARY and its verdict for programs. */
void
describe_summary (Emitter *emitter, const DescribeSummary *summary)
{
#define COUNT(member)                                                         \
  QCOW2_DERIVED (DescribeCounts, #member, member, QCOW2_DEC)
  static const Qcow2Field fields[]
      = { COUNT (errors), COUNT (warnings), COUNT (notes), QCOW2_FIELD_END };

  emitter_begin (emitter, EMITTER_BLOCK, "summary", NULL);
  describe_fields (emitter, fields, &summary->counts, G_MAXUINT);
  if (summary->bitmaps.is_complete)
    {
      emitter_begin (emitter, EMITTER_ROW, "bitmaps", NULL);
      describe_fields (emitter, qcow2_bitmap_summary_fields, &summary->bitmaps,
                       G_MAXUINT);
      emitter_end (emitter);
    }
  else
    emitter_null (emitter, "bitmaps");
  describe_left_out (emitter, summary);
  describe_numbers (emitter, summary->numbers);
  emitter_end (emitter);
  describe_verdict (emitter, summary->verdict);
}

/* Emits RULE for programs. */
void
describe_rule (Emitter *emitter, const Qcow2Rule *rule)
{
  static const Qcow2Field fields[] = { ADVICE (consequence), ADVICE (remedy),
                                       ADVICE (told_as), QCOW2_FIELD_END };
  g_autofree char *consequence = advice_describe_effect (rule);
  const Advice advice = { .consequence = consequence,
                          .remedy = advice_describe_remedy (rule),
                          .told_as = rule->reported_by };

  emitter_begin (emitter, EMITTER_ROW, NULL, NULL);
  describe_fields (emitter, qcow2_rule_fields, rule, G_MAXUINT);
  describe_fields (emitter, fields, &advice, G_MAXUINT);
  emitter_end (emitter);
}

/* Emits the error of END, or null if there is none. */
void
describe_error (Emitter *emitter, const DescribeEnd *end)
{
  static const Qcow2Field error_fields[]
      = { QCOW2_DERIVED (DescribeEnd, "code", error_code, QCOW2_WORD,
                         .text = NULL),
          QCOW2_DERIVED (DescribeEnd, "message", error_message, QCOW2_WORD,
                         .text = NULL),
          QCOW2_FIELD_END };

  if (end->error_code == NULL)
    {
      emitter_null (emitter, "error");
      return;
    }

  emitter_begin (emitter, EMITTER_ROW, "error", NULL);
  describe_fields (emitter, error_fields, end, G_MAXUINT);
  emitter_end (emitter);
}

/* Emits END, the last members of an image before the list of its findings. */
void
describe_end (Emitter *emitter, const DescribeEnd *end)
{
  static const Qcow2Field writer = QCOW2_DERIVED (
      DescribeEnd, "writer", writer, QCOW2_BOOL, .text = NULL);

  emitter_field (emitter, &writer, end);
  describe_error (emitter, end);
}
