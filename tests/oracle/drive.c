/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs an image through the code of all commands, from the readers to the
 * emitters.  Whatever the image is, these invariants must hold:
 *
 * - Text output contains nothing that can drive a terminal, and JSON output is
 *   well formed.
 * - A finding is at an offset in the file or at its end, or, if it is about a
 *   cluster that is referred to, one cluster later; and its message is one
 *   line.
 * - The image is reported as bad exactly when there is a finding of severity
 *   error; and when a command finds an error, the check finds one, too.
 * - An error that ends the reading is in the domain QCOW2_ERROR and has a
 *   message; after the header only a failed read causes one.
 * - The number of bytes read is limited to a few times the size of the
 *   structures.
 * - Extents cover the disk without a gap, adjacent extents differ in type, and
 *   the totals are the sums of the extents.
 * - The same image produces the same output again. */

#include "config.h"

#include "drive.h"

#include <string.h>

#include "answer.h"
#include "check/bitmap-checker.h"
#include "check/check.h"
#include "check/directory-rules.h"
#include "check/image-rules.h"
#include "check/opening.h"
#include "cli/print-table.h"
#include "cli/report.h"
#include "drive-disk.h"
#include "qcow2/contents.h"
#include "qcow2/error.h"
#include "qcow2/table.h"
#include "render/bitmap-list.h"
#include "render/describe.h"
#include "render/format.h"
#include "render/qemu-dump.h"

#define PATH "image.qcow2"

/* The most bytes of a directory that are read. */
#define MAX_DIRECTORY (1024 * 65535)

/* The most bytes of a file that count for the limit on the check's reads. */
#define MAX_CHECKED (1024 * 1024 * 1024)

/* Limit on the reads of a structure of this many bytes.  A window is read
 * again from where an item no longer fits, and once more, with fewer bytes,
 * when that read fails. */
#define BUDGET(bytes) (4 * (bytes) + 8 * (guint64) BYTE_WINDOW_SIZE)

/* Bitmaps with more clusters of data, or more bytes in them, are not read. */
#define MAX_DATA_CLUSTERS 64
#define MAX_DATA_BYTES (256 * 1024)

#define N_EMITTERS 4

/* A source in front of another one, which counts the bytes read. */
typedef struct
{
  ByteSource base;
  ByteSource *behind; /* not owned */
  guint64 *n_read;    /* bytes that were returned */
} Meter;

/* One run over an image.  Each emitter writes its own answer. */
typedef struct
{
  guint64 file_size;
  const DriveOptions *options;
  guint ways; /* mask of DriveWays */
  DriveResult *result;
  guint64 n_rows;

  Qcow2Image *image;
  Qcow2Findings *findings;
  guint n_emitters;
  Answer *answers[N_EMITTERS]; /* one for each emitter */
  Emitter *emitters[N_EMITTERS];
  Answer *fields; /* output of --field */
  Answer *messages;
  guint64 n_messages; /* since it was set to 0 */
} Run;

static gssize
meter_read (ByteSource *source, guint64 offset, guint8 *buffer, gsize len)
{
  Meter *self = (Meter *) source;
  const gssize got
      = self->behind->klass->read (self->behind, offset, buffer, len);

  g_assert_cmpint (got, <=, (gssize) len);
  *self->n_read += got > 0 ? (guint64) got : 0;
  return got;
}

static ByteSourceLock
meter_probe_lock (ByteSource *source, guint64 offset)
{
  return byte_source_probe_lock (((Meter *) source)->behind, offset);
}

static void
meter_free (ByteSource *source)
{
  g_free (source);
}

static ByteSource *
meter_new (ByteSource *behind, guint64 *n_read)
{
  static const ByteSourceClass meter_class = { .read = meter_read,
                                               .probe_lock = meter_probe_lock,
                                               .free = meter_free };
  Meter *self = g_new0 (Meter, 1);

  self->base.klass = &meter_class;
  self->base.size = byte_source_get_size (behind);
  self->behind = behind;
  self->n_read = n_read;
  return &self->base;
}

/* Ends the program when more than BUDGET (BYTES) bytes have been read since
 * the count was N_BEFORE.  WHAT names the structure. */
static void
check_budget (const Run *run, guint64 n_before, guint64 bytes,
              const char *what)
{
  const guint64 n = run->result->n_read - n_before;

  if (n > BUDGET (MIN (bytes, run->file_size)))
    g_error ("%s of at most " QCOW2_U64_FORMAT " bytes: " QCOW2_U64_FORMAT
             " were read",
             what, bytes, n);
}

/* Records ERROR, which ended a read after the header, and frees it. */
static void
take_read_error (Run *run, GError *error)
{
  g_assert_true (g_error_matches (error, QCOW2_ERROR, QCOW2_ERROR_READ)
                 || g_error_matches (error, QCOW2_ERROR, QCOW2_ERROR_LIMIT));
  run->result->read_failed = TRUE;
  g_string_append_printf (answer_get_text (run->messages), "%s\n",
                          error->message);
  answer_check (run->messages);
  g_error_free (error);
}

static void
check_answers (Run *run)
{
  for (guint i = 0; i < run->n_emitters; i++)
    answer_check (run->answers[i]);
  answer_check (run->fields);
}

static void
begin (Run *run, EmitterGroup group, const char *key, const char *heading)
{
  for (guint i = 0; i < run->n_emitters; i++)
    emitter_begin (run->emitters[i], group, key, heading);
}

static void
end (Run *run)
{
  for (guint i = 0; i < run->n_emitters; i++)
    emitter_end (run->emitters[i]);
}

/* Prints fields of RECORD as --field does.  Only the first N_STORED stored
 * fields are present. */
static void
print_fields (Run *run, const Qcow2Field *fields, gconstpointer record,
              guint n_stored)
{
  GString *out = answer_get_text (run->fields);
  g_autoptr (GString) raw = g_string_new (NULL);

  if ((run->ways & DRIVE_FIELDS) == 0)
    return;

  for (; fields->name != NULL; fields++)
    {
      if (fields->stored && n_stored-- == 0)
        return;
      if (!qcow2_field_is_shown (fields)
          || !qcow2_field_has_value (fields, record))
        continue;

      format_bare (out, fields, record, FORMAT_LINES);
      g_string_truncate (raw, 0);
      format_bare (raw, fields, record, FORMAT_NUL);
      g_assert_cmpuint (raw->len, >, 0);
      g_assert_cmpint (raw->str[raw->len - 1], ==, '\0');
    }
}

static void
show_header (Run *run)
{
  const Qcow2Header *header = &run->image->header;

  for (guint i = 0; i < run->n_emitters; i++)
    describe_header (run->emitters[i], "Header:", header);
  print_fields (run, qcow2_header_record.fields, header, G_MAXUINT);
}

static void
show_extension (Run *run, const Qcow2Extension *extension)
{
  gconstpointer structure = NULL;
  const Qcow2Field *fields
      = qcow2_extension_get_data_fields (extension, &structure);

  for (guint i = 0; i < run->n_emitters; i++)
    describe_extension (run->emitters[i], extension);

  print_fields (run, qcow2_extension_record.fields, extension, G_MAXUINT);
  if (fields != NULL)
    print_fields (run, fields, structure, extension->n_decoded);
  check_answers (run);
}

/* Returns the largest possible size of the extension area, in bytes. */
static guint64
get_area_size (const Qcow2Header *header)
{
  return header->cluster_size != QCOW2_ABSENT ? header->cluster_size : 0;
}

static void
show_extensions (Run *run)
{
  Qcow2Image *image = run->image;
  const guint64 before = run->result->n_read;
  g_auto (Qcow2Extension) extension = { 0 };
  GError *error = NULL;

  if (!image->has_extensions)
    return;

  g_autoptr (Qcow2ExtensionWalk) walk
      = qcow2_extension_walk_new (image->source, &image->header);

  begin (run, EMITTER_LIST, "extensions", NULL);
  while (qcow2_extension_walk_next (walk, &extension, &error)
         == QCOW2_NEXT_ITEM)
    show_extension (run, &extension);
  end (run);

  if (error != NULL)
    take_read_error (run, error);
  check_budget (run, before, get_area_size (&image->header), "extensions");
}

/* Passes the rows of TABLE to the emitters, or to DUMPS unless it is NULL, up
 * to the limit max_rows.  Returns FALSE when a read fails. */
static gboolean
print_rows (Run *run, const Qcow2Table *table, QemuDump *const *dumps,
            GError **error)
{
  const guint64 n = qcow2_table_get_n_readable (table);
  const guint64 before = run->result->n_read;
  const guint64 max = run->options->max_rows;
  g_autoptr (ByteWindow) window = byte_window_new (table->source, 0);
  Qcow2TableEntry entries[ROWS_BLOCK];

  g_assert_cmpuint (n, <=, table->n_entries);
  for (guint64 start = 0; start < n;)
    {
      const gsize wanted = (gsize) MIN (n - start, ROWS_BLOCK);

      if (max != 0 && run->n_rows >= max)
        break;

      const gsize got
          = qcow2_table_read (table, window, start, entries, wanted, error);
      if (got == 0)
        return FALSE;

      for (guint i = 0; dumps == NULL && i < run->n_emitters; i++)
        emitter_rows (run->emitters[i], qcow2_table_entry_record.fields,
                      entries, sizeof entries[0], got);
      for (guint i = 0; dumps != NULL && i < 2; i++)
        qemu_dump_rows (dumps[i], entries, got);
      check_answers (run);
      run->n_rows += got;
      start += got;
    }

  check_budget (run, before, n * 8, "bitmap table");
  return TRUE;
}

static void
show_rows (Run *run, const Qcow2Bitmap *bitmap)
{
  const Qcow2Table table = qcow2_image_get_table (run->image, bitmap);
  GError *error = NULL;
  const gboolean readable
      = table.offset != 0
        && (table.n_entries == 0 || qcow2_table_get_n_readable (&table) > 0);

  for (guint i = 0; !readable && i < run->n_emitters; i++)
    emitter_null (run->emitters[i], "bitmap_table");
  if (!readable)
    return;

  begin (run, EMITTER_TABLE, "bitmap_table", NULL);
  if (!print_rows (run, &table, NULL, &error))
    take_read_error (run, error);
  end (run);
}

static void
check_bitmap (const Qcow2Bitmap *bitmap, gboolean was_examined,
              guint64 n_errors)
{
  const Qcow2BitmapState state = bitmap->result.state;
  const gboolean usable = state == QCOW2_BITMAP_STATE_ENABLED
                          || state == QCOW2_BITMAP_STATE_DISABLED;

  g_assert_cmpint (state, !=, QCOW2_BITMAP_STATE_UNKNOWN);
  g_assert_cmpint (bitmap->result.usable, ==, usable);
  if (!was_examined || n_errors > 0 || bitmap->name == NULL)
    g_assert_cmpint (state, ==, QCOW2_BITMAP_STATE_DAMAGED);
}

/* A summary of the extents of a bitmap. */
typedef struct
{
  guint64 end; /* guest offset of the end of the last extent */
  Qcow2ExtentType last;
  Qcow2ExtentTotals totals;
} Extents;

static Qcow2Next
take_extent (const Qcow2Extent *extent, gpointer data,
             GError **error G_GNUC_UNUSED)
{
  Extents *extents = data;
  guint64 *const total
      = extent->type == QCOW2_EXTENT_CLEAN   ? &extents->totals.clean
        : extent->type == QCOW2_EXTENT_DIRTY ? &extents->totals.dirty
                                             : &extents->totals.unknown;

  g_assert_cmpuint (extent->offset, ==, extents->end);
  g_assert_cmpuint (extent->length, >, 0);
  g_assert_true (extents->end == 0 || extents->last != extent->type);
  extents->end += extent->length;
  extents->last = extent->type;
  *total += extent->length;
  return QCOW2_NEXT_ITEM;
}

/* Reads the contents of BITMAP, even if BITMAP cannot be used. */
static void
read_contents (Run *run, const Qcow2Bitmap *bitmap)
{
  const Qcow2Header *header = &run->image->header;
  const guint64 n_clusters = bitmap->result.counts.serialized;
  g_autoptr (GError) unread = NULL;
  GError *error = NULL;
  Qcow2ExtentQuery contents
      = { .image = run->image,
          .bitmap = bitmap,
          .first_error = bitmap->result.usable ? NULL : &unread };
  Extents extents = { .end = 0 };
  Qcow2ExtentTotals totals;

  if (!bitmap->result.has_counts || n_clusters > MAX_DATA_CLUSTERS
      || n_clusters * header->cluster_size > MAX_DATA_BYTES)
    return;

  qcow2_extent_query_set_range (&contents, 0, G_MAXUINT64);
  const gboolean walked
      = qcow2_extent_query_walk (&contents, take_extent, &extents, &error)
        && qcow2_extent_query_count (&contents, &totals, &error);
  if (!walked)
    {
      take_read_error (run, error);
      return;
    }

  g_assert_cmpuint (extents.end, ==, header->size);
  g_assert_true (!bitmap->result.usable || totals.unknown == 0);
  g_assert_true (qcow2_bitmap_is_sound (bitmap) || totals.clean == 0);
  if (!run->options->changes && unread == NULL)
    g_assert_cmpmem (&totals, sizeof totals, &extents.totals,
                     sizeof extents.totals);
}

static void
show_bitmap (Run *run, Qcow2BitmapChecker *checker, Qcow2Bitmap *bitmap,
             BitmapList *list)
{
  const Qcow2Findings *findings = run->findings;
  const guint64 before = run->result->n_read;
  const guint64 n_errors = qcow2_findings_get_n_errors (findings);
  GError *error = NULL;

  const gboolean examined
      = qcow2_bitmap_checker_check (checker, bitmap, &error);
  check_budget (run, before, (guint64) bitmap->bitmap_table_size * 8,
                "examined table");
  g_assert_true (examined == (error == NULL));
  if (!examined)
    take_read_error (run, error);
  check_bitmap (bitmap, examined,
                qcow2_findings_get_n_errors (findings) - n_errors);
  run->result->n_usable += bitmap->result.usable != 0;
  read_contents (run, bitmap);

  for (guint i = 0; i < run->n_emitters; i++)
    describe_begin_bitmap (run->emitters[i], bitmap);
  show_rows (run, bitmap);
  end (run);

  print_fields (run, qcow2_bitmap_record.fields, bitmap, G_MAXUINT);
  print_fields (run, qcow2_bitmap_size_fields, bitmap, G_MAXUINT);
  bitmap_list_add (list, bitmap, run->image->header.size);
  check_answers (run);
}

/* Prints the bitmaps in a second walk, as --list does. */
static void
print_list (Run *run, Qcow2Directory *directory, BitmapList *list)
{
  g_autoptr (Answer) answer = answer_new (ANSWER_TEXT, "bitmap list");
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  GError *error = NULL;

  qcow2_directory_rewind (directory);
  while (qcow2_directory_next (directory, &bitmap, &error) == QCOW2_NEXT_ITEM)
    {
      bitmap_list_print_next (list, answer_get_text (answer), &bitmap);
      answer_check (answer);
    }

  answer_end (answer);
  run->result->digest ^= answer_get_digest (answer);
  if (error != NULL)
    take_read_error (run, error);
}

static void
walk_directory (Run *run, Qcow2Directory *directory)
{
  g_autoptr (Qcow2BitmapChecker) checker
      = qcow2_bitmap_checker_new (directory, run->findings);
  g_autoptr (BitmapList) list = bitmap_list_new (TRUE);
  const guint64 n = qcow2_directory_get_n (directory);
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  GError *error = NULL;

  begin (run, EMITTER_LIST, "bitmaps", NULL);
  while (qcow2_directory_next (directory, &bitmap, &error) == QCOW2_NEXT_ITEM)
    {
      g_assert_cmpuint (bitmap.index, ==, run->result->n_bitmaps);
      g_assert_cmpuint (
          qcow2_directory_get_first_with_name (directory, bitmap.index), <=,
          bitmap.index);
      show_bitmap (run, checker, &bitmap, list);
      run->result->n_bitmaps++;
    }
  end (run);

  if (error != NULL)
    take_read_error (run, error);
  else if (!run->options->changes)
    g_assert_cmpuint (run->result->n_bitmaps, ==, n);
  if ((run->ways & DRIVE_LIST) != 0)
    print_list (run, directory, list);
}

static void
show_bitmaps (Run *run)
{
  const Qcow2Image *image = run->image;
  const guint64 before = run->result->n_read;
  GError *error = NULL;
  g_autoptr (Qcow2Directory) directory
      = qcow2_directory_open_checked (run->image, run->findings, &error);

  check_budget (run, before,
                MIN (image->bitmaps.bitmap_directory_size, MAX_DIRECTORY),
                "bitmap directory");
  g_assert_true ((directory == NULL) == (error != NULL));
  if (directory == NULL)
    take_read_error (run, error);
  else
    walk_directory (run, directory);
}

/* Decodes a table as --at does: the last entries of a table that no bitmap
 * refers to and that extends to the end of the file. */
static void
show_table_at (Run *run, guint64 offset)
{
  static const Qcow2Bitmap nobody = { .index = QCOW2_NO_INDEX };
  g_autoptr (ByteWindow) window = byte_window_new (run->image->source, 0);
  const Qcow2Table table = { .source = run->image->source,
                             .header = &run->image->header,
                             .offset = offset,
                             .n_entries = G_MAXUINT64,
                             .granularity = QCOW2_ABSENT };
  Qcow2TableEntry entries[8];
  const guint64 n = qcow2_table_get_n_readable (&table);
  const guint64 start = n - MIN (n, G_N_ELEMENTS (entries) / 2);
  GError *error = NULL;
  const gsize got = qcow2_table_read (&table, window, start, entries,
                                      G_N_ELEMENTS (entries), &error);

  for (guint i = 0; i < run->n_emitters; i++)
    {
      describe_begin_table (run->emitters[i], &nobody, FALSE);
      emitter_begin (run->emitters[i], EMITTER_TABLE, "bitmap_table", NULL);
      emitter_rows (run->emitters[i], qcow2_table_entry_record.fields, entries,
                    sizeof entries[0], got);
    }
  end (run);
  end (run);

  if (error != NULL)
    take_read_error (run, error);
  else
    g_assert_cmpuint (got, ==, n - start);
}

static void
show_tables_at (Run *run)
{
  if (run->image->header.cluster_size == QCOW2_ABSENT)
    return;

  begin (run, EMITTER_LIST, "bitmap_tables", NULL);
  show_table_at (run, run->file_size / 2);
  show_table_at (run, G_MAXUINT64);
  end (run);
}

static void
dump_bitmaps (Run *run, QemuDump *const *dumps, Answer *const *answers,
              const Qcow2Extension *extension)
{
  g_autoptr (Qcow2Directory) directory
      = qcow2_directory_open_counted (run->image, &extension->bitmaps);
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  GError *error = NULL;

  while (error == NULL
         && qcow2_directory_next (directory, &bitmap, &error)
                == QCOW2_NEXT_ITEM)
    {
      const Qcow2Table table = qcow2_image_get_table (run->image, &bitmap);
      for (guint i = 0; i < 2; i++)
        qemu_dump_begin_bitmap (dumps[i], &bitmap);
      print_rows (run, &table, dumps, &error);
      for (guint i = 0; i < 2; i++)
        {
          qemu_dump_end_bitmap (dumps[i]);
          answer_check (answers[i]);
        }
    }

  if (error != NULL)
    take_read_error (run, error);
}

static void
dump_extension (Run *run, QemuDump *const *dumps, Answer *const *answers,
                const Qcow2Extension *extension)
{
  const gboolean located = extension->n_decoded == 4
                           && (extension->bitmaps.bitmap_directory_offset != 0
                               || extension->bitmaps.nb_bitmaps == 0);

  for (guint i = 0; i < 2; i++)
    qemu_dump_begin_extension (dumps[i], extension);
  if (extension->magic == QCOW2_EXTENSION_BITMAPS && located)
    dump_bitmaps (run, dumps, answers, extension);
  for (guint i = 0; i < 2; i++)
    {
      qemu_dump_end_extension (dumps[i]);
      answer_check (answers[i]);
    }
}

/* Runs dump-header in text and JSON form. */
static void
dump_as_qemu (Run *run)
{
  g_autoptr (Answer) text = answer_new (ANSWER_DUMP, "dump-header");
  g_autoptr (Answer) json = answer_new (ANSWER_JSON, "dump-header -j");
  g_autoptr (QemuDump) text_dump
      = qemu_dump_new (answer_get_text (text), FALSE);
  g_autoptr (QemuDump) json_dump
      = qemu_dump_new (answer_get_text (json), TRUE);
  QemuDump *const dumps[] = { text_dump, json_dump };
  Answer *const answers[] = { text, json };
  g_auto (Qcow2Extension) extension = { 0 };
  GError *error = NULL;

  if (!run->image->has_extensions)
    return;

  g_autoptr (Qcow2ExtensionWalk) walk
      = qcow2_extension_walk_new (run->image->source, &run->image->header);

  for (guint i = 0; i < 2; i++)
    {
      qemu_dump_header (dumps[i], &run->image->header);
      qemu_dump_begin_extensions (dumps[i]);
    }
  while (qcow2_extension_walk_next (walk, &extension, &error)
         == QCOW2_NEXT_ITEM)
    dump_extension (run, dumps, answers, &extension);
  for (guint i = 0; i < 2; i++)
    {
      qemu_dump_end_extensions (dumps[i]);
      answer_end (answers[i]);
      run->result->digest ^= answer_get_digest (answers[i]);
    }

  if (error != NULL)
    take_read_error (run, error);
}

static void
check_finding (const Run *run, const Qcow2Finding *finding)
{
  g_assert_cmpstr (finding->rule, ==, qcow2_rules[finding->index].id);
  g_assert_cmpint (finding->severity, ==,
                   qcow2_rules[finding->index].severity);

  const gboolean is_cluster
      = g_str_equal (finding->subject.structure, "cluster");
  const guint64 more = is_cluster ? run->image->header.cluster_size : 0;
  if (finding->offset > run->file_size + more)
    g_error ("%s: a finding at " QCOW2_HEX_FORMAT " of " QCOW2_HEX_FORMAT
             " bytes: %s",
             finding->rule, finding->offset, run->file_size, finding->message);
  if (*finding->message == '\0' || strchr (finding->message, '\n') != NULL)
    g_error ("%s: no message: '%s'", finding->rule, finding->message);
}

static gboolean
write_message (OutputStream stream, const char *bytes, gsize len,
               gpointer data, GError **error G_GNUC_UNUSED)
{
  Run *run = data;

  g_assert_cmpint (stream, ==, OUTPUT_STREAM_MESSAGES);
  g_assert_cmpuint (len, >, 1);

  g_string_append_len (answer_get_text (run->messages), bytes, (gssize) len);
  answer_check (run->messages);
  run->n_messages++;
  return TRUE;
}

static void
check_findings (Run *run)
{
  const Qcow2Findings *findings = run->findings;

  run->result->n_findings = qcow2_findings_get_n (findings);
  run->result->n_errors = qcow2_findings_get_n_errors (findings);
  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    check_finding (run, qcow2_findings_get (findings, i));
}

/* Passes the findings in TOLD to the emitters for programs. */
static void
describe_findings (Run *run, const Report *told)
{
  for (guint i = 0; i < run->n_emitters; i++)
    {
      if (run->emitters[i]->machine_readable)
        report_describe (told, run->emitters[i]);
    }
}

/* Reports the findings as messages. */
static void
report (Run *run)
{
  Output *output = output_new (write_message, run);
  Report *told = report_new (output, PATH, run->image, run->findings);

  check_findings (run);
  run->n_messages = 0;
  report_findings (told, REPORT_SCOPE (QCOW2_PART_ALL));
  describe_findings (run, told);

  const gboolean clean = report_close (told);
  g_assert_true (clean == (run->result->n_errors == 0));
  g_assert_true (clean == (run->n_messages == 0));
  output_free (output);
}

/* Prints the findings as output.  NUMBERS is NULL after a check of the
 * metadata. */
static void
print_findings (Run *run, const Qcow2BitmapSummary *bitmaps,
                const Qcow2Verdict *verdict, const Qcow2CheckNumbers *numbers)
{
  Output *output = output_new (write_message, run);
  Report *told = report_new (output, PATH, run->image, run->findings);
  DescribeSummary summary
      = { .bitmaps = *bitmaps, .verdict = verdict, .numbers = numbers };

  check_findings (run);
  run->n_messages = 0;
  report_make_answer (told, NULL);
  report_findings (told, REPORT_SCOPE (QCOW2_PART_ALL));
  report_count (told, &summary.counts);
  g_assert_true ((summary.counts.errors == 0) == (run->result->n_errors == 0));
  for (guint i = 0; i < run->n_emitters; i++)
    {
      if (run->emitters[i]->machine_readable)
        describe_summary (run->emitters[i], &summary);
      else
        report_print (told, answer_get_text (run->answers[i]));
    }
  describe_findings (run, told);

  report_close (told);
  g_assert_cmpuint (run->n_messages, ==, 0);
  output_free (output);
}

/* Ends the open groups. */
static void
end_groups (Run *run)
{
  static const char *const keys[]
      = { "header", "extensions", "bitmaps", "bitmap_tables", NULL };

  for (guint i = 0; i < run->n_emitters; i++)
    emitter_end_groups (run->emitters[i], keys);
}

/* Ends the image.  ERROR, unless it is NULL, is the reason why nothing else is
 * known about the image. */
static void
end_image (Run *run, const GError *error)
{
  const ByteSourceLock lock = run->image != NULL
                                  ? qcow2_image_probe_writer (run->image)
                                  : BYTE_SOURCE_LOCK_UNKNOWN;
  DescribeEnd the_end = { .writer = QCOW2_ABSENT };

  if (lock != BYTE_SOURCE_LOCK_UNKNOWN)
    the_end.writer = lock == BYTE_SOURCE_LOCKED;
  the_end.error_code = error != NULL ? "error" : NULL;
  the_end.error_message = error != NULL ? error->message : NULL;

  for (guint i = 0; i < run->n_emitters; i++)
    {
      if (run->emitters[i]->machine_readable)
        describe_end (run->emitters[i], &the_end);
      emitter_end_image (run->emitters[i]);
    }
}

/* Reports that the image could not be opened.  Frees ERROR. */
static void
show_failure (Run *run, GError *error)
{
  g_assert_nonnull (error);
  g_assert_true (error->domain == QCOW2_ERROR);
  g_assert_cmpuint (strlen (error->message), >, 0);

  end_groups (run);
  end_image (run, error);
  run->result->read_failed
      = g_error_matches (error, QCOW2_ERROR, QCOW2_ERROR_READ);
  g_string_append_printf (answer_get_text (run->messages), "%s\n",
                          error->message);
  g_error_free (error);
}

static void
show_image (Run *run)
{
  check_budget (run, 0, get_area_size (&run->image->header) + 4096, "header");

  show_header (run);
  show_extensions (run);
  show_bitmaps (run);
  show_tables_at (run);
  if ((run->ways & DRIVE_DUMP) != 0)
    dump_as_qemu (run);

  end_groups (run);
  report (run);
  end_image (run, NULL);
}

static gboolean
want_all (const Qcow2Bitmap *bitmap, gconstpointer data)
{
  Run *run = (Run *) data;

  /* The check asks once or twice about each bitmap. */
  run->result->n_bitmaps = MAX (run->result->n_bitmaps, bitmap->index + 1);
  return TRUE;
}

static void
take_check_error (GError *error, gpointer data)
{
  take_read_error (data, error);
}

/* Returns the limit on the bytes that the check may read: each bitmap's table
 * and the table's refcounts. */
static guint64
get_most_checked (const Run *run)
{
  const guint64 size = MIN (run->file_size, MAX_CHECKED);

  return (8 + 4 * run->result->n_bitmaps) * size;
}

/* Asserts that the check and the judgement of the opening alone come to the
 * same verdict, except for what only a check finds out. */
static void
check_verdict (Run *run, Qcow2Directory *directory,
               const Qcow2Verdict *verdict)
{
  Qcow2Verdict again;
  GError *error = NULL;

  if (directory == NULL)
    return;

  const gboolean judged = qcow2_directory_check_opening (
      directory, run->findings, &again, &error);
  if (!judged)
    take_read_error (run, error);
  else if (!run->result->read_failed && !run->options->changes
           && qcow2_findings_get_use (run->findings, QCOW2_RES_06)->n == 0)
    g_assert_cmpint (verdict->effect, ==, again.effect);
}

static void
check_image (Run *run)
{
  const Qcow2CheckCalls calls
      = { .wants = want_all, .failed = take_check_error, .data = run };
  Qcow2BitmapSummary bitmaps = { 0 };
  Qcow2Verdict verdict;
  GError *error = NULL;
  g_autoptr (Qcow2Directory) directory
      = qcow2_directory_open_checked (run->image, run->findings, &error);

  if (directory == NULL)
    take_read_error (run, error);
  qcow2_image_check (run->image, run->findings, directory, &calls, &bitmaps,
                     &verdict, NULL);
  g_assert_cmpuint (bitmaps.enabled + bitmaps.disabled + bitmaps.in_use
                        + bitmaps.stale + bitmaps.damaged,
                    ==, run->result->n_bitmaps);
  run->result->n_usable = bitmaps.enabled + bitmaps.disabled;
  g_assert_cmpuint (run->result->n_read, <=, BUDGET (get_most_checked (run)));
  check_verdict (run, directory, &verdict);

  end_groups (run);
  print_findings (run, &bitmaps, &verdict, NULL);
  end_image (run, NULL);
}

/* Checks all of the image, and reads the tables of the disk. */
static void
drive_disk (Run *run)
{
  const gboolean changes = run->options->changes;
  const Qcow2CheckCalls calls
      = { .wants = want_all, .failed = take_check_error, .data = run };
  Qcow2BitmapSummary bitmaps = { 0 };
  Qcow2CheckNumbers numbers;
  Qcow2Verdict verdict;
  GError *error = NULL;
  g_autoptr (Qcow2Directory) directory
      = qcow2_directory_open_checked (run->image, run->findings, &error);

  if (directory == NULL)
    take_read_error (run, g_steal_pointer (&error));
  qcow2_image_check (run->image, run->findings, directory, &calls, &bitmaps,
                     &verdict, &numbers);
  if (!run->result->read_failed && !changes)
    drive_numbers (run->image, run->findings, &numbers);

  if (!drive_map (run->image, changes, &error))
    take_read_error (run, g_steal_pointer (&error));
  if (!drive_tables (run->image, changes, &error))
    take_read_error (run, error);

  end_groups (run);
  print_findings (run, &bitmaps, &verdict, &numbers);
  end_image (run, NULL);
}

static void
add_emitter (Run *run, DriveWays way, const char *what)
{
  const gboolean text = way == DRIVE_TEXT || way == DRIVE_TEXT_LONG;
  const gboolean with_all = way == DRIVE_TEXT_LONG || way == DRIVE_JSONL;

  if ((run->ways & way) == 0)
    return;

  Answer *answer = answer_new (text ? ANSWER_TEXT : ANSWER_JSON, what);
  GString *out = answer_get_text (answer);
  Emitter *emitter = text ? emitter_new_text (out)
                          : emitter_new_json (out, way == DRIVE_JSON);

  emitter->all_columns = with_all;
  emitter_begin_image (emitter, PATH, with_all);
  run->answers[run->n_emitters] = answer;
  run->emitters[run->n_emitters++] = emitter;
}

static void
run_begin (Run *run)
{
  add_emitter (run, DRIVE_TEXT, "text");
  add_emitter (run, DRIVE_TEXT_LONG, "text, long");
  add_emitter (run, DRIVE_JSON, "json");
  add_emitter (run, DRIVE_JSONL, "jsonl");
  run->fields = answer_new (ANSWER_TEXT, "--field");
  run->messages = answer_new (ANSWER_TEXT, "messages");
}

static void
run_end (Run *run)
{
  for (guint i = 0; i < run->n_emitters; i++)
    {
      answer_end (run->answers[i]);
      run->result->digest
          = run->result->digest * 31 + answer_get_digest (run->answers[i]);
      emitter_free (run->emitters[i]);
      answer_free (run->answers[i]);
    }

  answer_end (run->fields);
  answer_end (run->messages);
  run->result->digest ^= answer_get_digest (run->messages);
  answer_free (run->fields);
  g_clear_pointer (&run->messages, answer_free);
}

/* Opens the image in SOURCE, and calls SHOW if that succeeds. */
static DriveResult
run_once (ByteSource *source, const DriveOptions *options,
          void (*show) (Run *run))
{
  DriveResult result = { 0 };
  Run run = { .file_size = byte_source_get_size (source),
              .options = options,
              .ways = options->ways != 0 ? options->ways : G_MAXUINT,
              .result = &result };
  GError *error = NULL;

  if (options->rewind != NULL)
    options->rewind (source);

  run_begin (&run);
  run.findings = qcow2_findings_new ();
  run.image = qcow2_image_open_checked (meter_new (source, &result.n_read),
                                        run.findings, &error);
  result.was_opened = run.image != NULL;
  if (run.image != NULL)
    show (&run);
  else
    show_failure (&run, error);

  run_end (&run);
  qcow2_image_free (run.image);
  qcow2_findings_free (run.findings);
  return result;
}

/* Asserts that every kind of error in KNOWN is in CHECKED, the result of the
 * check of the same image. */
static void
compare_with_check (const DriveResult *known, const DriveResult *checked)
{
  g_assert_true (checked->was_opened == known->was_opened);
  if (known->read_failed || checked->read_failed)
    return;

  g_assert_cmpuint (checked->n_bitmaps, ==, known->n_bitmaps);
  g_assert_cmpuint (checked->n_usable, ==, known->n_usable);
  if (known->n_errors > 0)
    g_assert_cmpuint (checked->n_errors, >, 0);
}

static DriveResult
drive_once (ByteSource *source, const DriveOptions *options)
{
  const guint passes = options->ways != 0 ? options->ways : G_MAXUINT;

  if (passes == DRIVE_DISK)
    return run_once (source, options, drive_disk);
  if ((passes & DRIVE_CHECK) == 0)
    return run_once (source, options, show_image);

  const DriveResult checked = run_once (source, options, check_image);
  if ((passes & DRIVE_SHOW) == 0)
    return checked;

  DriveResult result = run_once (source, options, show_image);
  if (!options->changes)
    compare_with_check (&result, &checked);
  if ((passes & DRIVE_DISK) != 0)
    {
      const DriveResult disk = run_once (source, options, drive_disk);

      result.n_read += disk.n_read;
      result.digest ^= disk.digest;
    }

  result.read_failed = result.read_failed || checked.read_failed;
  result.n_check_errors = checked.n_errors;
  result.n_read += checked.n_read;
  result.digest ^= checked.digest;
  return result;
}

/* Runs the program over the image in SOURCE, which the caller keeps, and ends
 * the test program when an invariant does not hold.  OPTIONS may be NULL. */
DriveResult
drive (ByteSource *source, const DriveOptions *options)
{
  static const DriveOptions none = { .max_rows = 0 };
  const DriveOptions *given = options != NULL ? options : &none;
  const DriveResult result = drive_once (source, given);

  if (given->twice)
    {
      const DriveResult again = drive_once (source, given);

      g_assert_cmpuint (again.digest, ==, result.digest);
      g_assert_cmpuint (again.n_findings, ==, result.n_findings);
      g_assert_cmpuint (again.n_read, ==, result.n_read);
    }

  return result;
}
