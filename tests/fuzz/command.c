/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks any command line over any image:
 *
 * - The exit status is one of those documented.
 * - There are messages if and only if the status is not 0, except for
 *   predicates.
 * - The output contains no terminal controls, and JSON is well formed even
 *   after an error.
 * - A command that examines the whole image fails if the image has errors. */

#include "config.h"

#include "command.h"

#include <string.h>

#include "cli/dispatch.h"
#include "oracle/answer.h"
#include "qcow2/error.h"

#define IMAGE "image.qcow2"

/* Bytes of output after which the command is stopped. */
#define MAX_OUTPUT (48 * 1024)

/* Number of backing files that exist. */
#define MAX_NAMED 2

#define MAX_ARGUMENTS 10

typedef enum
{
  PRINTS_TEXT,
  PRINTS_JSON,
  PRINTS_DUMP,     /* of QEMU's: not all of the image is judged */
  PRINTS_NUL,      /* bytes as they are in the image */
  PRINTS_NOTHING,  /* a predicate */
  PRINTS_ALL_TEXT, /* shows and judges the whole image */
  PRINTS_ALL_JSON,
  PRINTS_CHECK, /* findings are output, so that 2 has no message */
  PRINTS_CHECK_JSON
} Prints;

typedef struct
{
  Prints prints;
  const char *argv[MAX_ARGUMENTS];
} Line;

#define TEXT(...)                                                             \
  {                                                                           \
    PRINTS_TEXT, { __VA_ARGS__, IMAGE }                                       \
  }
#define JSON(...)                                                             \
  {                                                                           \
    PRINTS_JSON, { __VA_ARGS__, "--output=json", IMAGE }                      \
  }
#define JSONL(...)                                                            \
  {                                                                           \
    PRINTS_JSON, { __VA_ARGS__, "--output=jsonl", IMAGE }                     \
  }

/* clang-format off */
static const Line lines[] = {
  TEXT ("header", "--field=backing_file", "--field=size", "--field=magic",
        "--field=incompatible_features", "--field=external_data_file"),
  JSONL ("extensions", "--magic=bitmaps"),
  TEXT ("extensions", "--magic=<unknown>"),
  TEXT ("extensions", "--magic=0x12345678"),
  TEXT ("extensions", "--index=1"),
  TEXT ("extensions", "--index=0", "--field=data", "--field=name"),
  TEXT ("extensions", "--magic=bitmaps", "--field=nb_bitmaps",
        "--field=bitmap_directory_offset"),
  TEXT ("extensions", "--magic=crypto header", "--field=data_hex"),
  JSONL ("bitmaps", "--tables"),
  TEXT ("bitmaps", "--list"),
  { PRINTS_NUL, { "bitmaps", "--names", "-0", IMAGE } },
  TEXT ("bitmaps", "--index=0"),
  JSON ("bitmaps", "--index=1"),
  TEXT ("bitmaps", "--name=b0"),
  TEXT ("bitmaps", "--name=\\x00"),
  TEXT ("bitmaps", "--index=0", "--field=state", "--field=name",
        "--field=granularity", "--field=disk_bytes"),
  { PRINTS_NUL, { "bitmaps", "--index=0", "--field=name", "-0", IMAGE } },
  { PRINTS_NOTHING, { "bitmaps", "--index=0", "--is=usable", IMAGE } },
  { PRINTS_NOTHING, { "bitmaps", "--name=b0", "--is=in-use", IMAGE } },
  JSONL ("bitmap-table", "--long"),
  TEXT ("bitmap-table", "--index=0", "--start=1", "--count=2"),
  TEXT ("bitmap-table", "--name=b0", "--type=serialized", "--type=all-ones"),
  TEXT ("bitmap-table", "--at=0x200", "--count=4"),
  JSON ("bitmap-table", "--at=0xfffffffffffffff8", "--count=1"),
  JSON ("bitmap-table", "--at=7", "--count=8E", "--start=3"),
  TEXT ("table", "l1"),
  JSON ("table", "l1", "--used"),
  JSON ("table", "l2", "--index=1", "--start=3"),
  TEXT ("table", "l2", "--at=0x7ffffffffffffff8", "--count=8E"),
  TEXT ("table", "refcount-table", "--count=70"),
  JSONL ("table", "refcount-table", "--used"),
  JSON ("table", "refcount-block", "--index=0", "--start=5", "--count=99"),
  JSON ("table", "refcount-block", "--at=9", "--count=8E", "--start=7"),
  TEXT ("table", "snapshots"),
  JSON ("table", "snapshots", "--start=1"),
  JSON ("table", "snapshots", "--at=0x100", "--count=8E"),
  JSONL ("snapshots", "--index=1"),
  { PRINTS_NUL, { "snapshots", "--names", "-0", IMAGE } },
  TEXT ("snapshots", "--id=1", "--list"),
  JSON ("snapshots", "--name=\\x00"),
  TEXT ("snapshots", "--index=0", "--field=name", "--field=icount",
        "--default=none"),
  { PRINTS_ALL_JSON, { "dump", "--output=jsonl", IMAGE } },
  { PRINTS_CHECK_JSON, { "check", "--output=jsonl", IMAGE } },
  { PRINTS_CHECK, { "check", "--strict", "--ignore=BDIR-18", IMAGE } },
  { PRINTS_CHECK, { "check", "--index=0", IMAGE } },
  { PRINTS_CHECK_JSON, { "check", "--name=b0", "--output=json", IMAGE } },
  JSON ("bitmaps", "--stats", "--tables"),
  TEXT ("bitmaps", "--index=0", "--stats", "--field=dirty_bytes"),
  TEXT ("bitmap-map", "--name=b0", "--dirty", "--split=64k"),
  TEXT ("bitmap-map", "--index=1", "--force", "--totals"),
  TEXT ("bitmap-map", "--index=0", "--force", "--start-offset=70001",
        "--max-length=1E"),
  { PRINTS_NOTHING, { "bitmap-map", "--index=0", "--contains=0+1G", IMAGE } },
  { PRINTS_NOTHING,
    { "bitmap-map", "--index=0", "--force", "--contains=1M", IMAGE } },
  JSON ("bitmap-map", "--index=0", "--data", "--totals", "--force"),
  JSONL ("bitmap-map", "--name=b0", "--data", "--dirty"),
  TEXT ("bitmaps", "--backing-chain"),
  TEXT ("bitmaps", "--backing-chain", "--list"),
  JSON ("bitmaps", "--backing-chain", "--stats"),
  { PRINTS_NOTHING,
    { "bitmaps", "--backing-chain", "--is=valid", "--name=b0", IMAGE } },
  TEXT ("bitmap-map", "--backing-chain", "--name=b0"),
  JSON ("bitmap-map", "--backing-chain", "--name=b0", "--totals"),
  TEXT ("info", "--backing-chain"),
  JSON ("info", "--backing-chain"),
  JSONL ("map", "--start-offset=70001", "--max-length=1G"),
  JSON ("map", "--totals"),
  { PRINTS_TEXT, { "set-header", "-n", IMAGE, "size", "1T" } },
  { PRINTS_TEXT,
    { "set-header", "-n", "--force", IMAGE, "compression_type", "1" } },
  { PRINTS_JSON,
    { "set-header", "-n", "--force", "--output=json", IMAGE,
      "backing_file_offset", "0x68" } },
  { PRINTS_TEXT, { "set-feature-bit", "-n", IMAGE, "compatible", "63" } },
  { PRINTS_TEXT,
    { "set-feature-bit", "-n", "--force", IMAGE, "autoclear", "bitmaps" } },
  { PRINTS_TEXT, { "clear-feature-bit", "-n", IMAGE, "autoclear", "bitmaps" } },
  { PRINTS_TEXT, { "add-header-ext", "-n", IMAGE, "0x12345678", "some data" } },
  { PRINTS_JSON,
    { "add-header-ext", "-n", "--force", "--output=jsonl", IMAGE, "Bitmaps",
      "123456781234567812345678" } },
  { PRINTS_TEXT, { "add-header-ext-stdio", "-n", IMAGE, "0" } },
  { PRINTS_TEXT, { "del-header-ext", "-n", IMAGE, "--index=0" } },
  { PRINTS_TEXT,
    { "del-header-ext", "-n", "--force", IMAGE, "Feature table" } },
  { PRINTS_TEXT, { "del-header-ext", "-n", "--force", IMAGE, "Bitmaps" } },
  { PRINTS_TEXT, { "remove-bitmap", "-n", "--index=0", IMAGE } },
  { PRINTS_TEXT, { "remove-bitmap", "-n", "--index=1", "--force", IMAGE } },
  { PRINTS_JSON,
    { "remove-bitmap", "-n", "--name=b0", "--output=json", IMAGE } },
  { PRINTS_TEXT, { "apply", "-n", "no-plan", IMAGE } },
};
/* clang-format on */

/* A command line that other tests use as well. */
typedef struct
{
  Prints prints;
  const char *words;
  gboolean adds_json; /* --output=json is one of them */
} Way;

/* clang-format off */
#define GROUP(heading)
#define COMMAND(name)
#define TEXT_WAY(prints, words) { PRINTS_##prints, (words), FALSE },
#define MORE_WAY(prints, words) TEXT_WAY (prints, words)
#define JSON_WAY(text, json, words)                                           \
  TEXT_WAY (text, words) { PRINTS_##json, (words), TRUE },

static const Way ways[] = {
#include "commands.def"
};
/* clang-format on */

/* A source that the program frees, and which reads from one that it does not.
 */
typedef struct
{
  ByteSource base;
  ByteSource *lender;
} Loan;

/* The command line that runs. */
typedef struct
{
  Line line;
  Answer *output;
  Answer *messages;
  guint64 n_printed; /* bytes */
  gboolean was_cut;
} Run;

/* The image of the command line that runs.  It is global because
 * byte_source_open_file () takes only a path. */
static ByteSource *image;

/* Number of backing files that it has opened. */
static guint n_named;

static gssize
loan_read (ByteSource *source, guint64 offset, guint8 *buffer, gsize len)
{
  ByteSource *lender = ((Loan *) source)->lender;

  return lender->klass->read (lender, offset, buffer, len);
}

static ByteSourceLock
loan_probe_lock (ByteSource *source, guint64 offset)
{
  return byte_source_probe_lock (((Loan *) source)->lender, offset);
}

static void
loan_free (ByteSource *source)
{
  g_free (source);
}

static ByteSource *
open_loan (void)
{
  static const ByteSourceClass loan_class = { .read = loan_read,
                                              .probe_lock = loan_probe_lock,
                                              .free = loan_free };
  Loan *loan = g_new0 (Loan, 1);

  loan->base.klass = &loan_class;
  loan->base.size = byte_source_get_size (image);
  loan->lender = image;
  return &loan->base;
}

/* Replaces the program's function.  Returns a new source that reads from the
 * image of the current run.  PATH must be IMAGE. */
ByteSource *
byte_source_open_file (const char *path, GError **error G_GNUC_UNUSED)
{
  g_assert_cmpstr (path, ==, IMAGE);
  return open_loan ();
}

/* Replaces the program's function, so that no name in an image leads to a file
 * of this machine.  The first backing files have the contents of the image,
 * and the next one is missing. */
ByteSource *
byte_source_open_named (const char *path G_GNUC_UNUSED, int root,
                        GError **error)
{
  g_assert_cmpint (root, ==, -1);
  if (n_named++ < MAX_NAMED)
    return open_loan ();

  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_OPEN, "cannot open");
  return NULL;
}

/* Replaces the program's function: no command line has --root. */
int
byte_source_open_root (const char *path G_GNUC_UNUSED,
                       GError **error G_GNUC_UNUSED)
{
  g_assert_not_reached ();
}

void
byte_source_close_root (int root)
{
  g_assert_cmpint (root, ==, -1);
}

static gboolean
write_output (OutputStream stream, const char *bytes, gsize len, gpointer data,
              GError **error)
{
  Run *run = data;

  if (stream == OUTPUT_STREAM_MESSAGES)
    {
      g_string_append_len (answer_get_text (run->messages), bytes,
                           (gssize) len);
      answer_check (run->messages);
      return TRUE;
    }

  run->n_printed += len;
  if (run->n_printed > MAX_OUTPUT)
    {
      run->was_cut = TRUE;
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_PIPE, "no reader");
      return FALSE;
    }
  if (run->line.prints != PRINTS_NUL)
    {
      g_string_append_len (answer_get_text (run->output), bytes, (gssize) len);
      answer_check (run->output);
    }

  return TRUE;
}

static void
check_status (const Run *run, int status, const DriveOptions *options,
              const DriveResult *known)
{
  const Line *line = &run->line;
  const gboolean silent = answer_get_size (run->messages) == 0;
  const gboolean all
      = line->prints == PRINTS_ALL_TEXT || line->prints == PRINTS_ALL_JSON;
  const gboolean no
      = status == 2
        && (line->prints == PRINTS_NOTHING || line->prints == PRINTS_CHECK
            || line->prints == PRINTS_CHECK_JSON);

  g_assert_cmpint (status, >=, 0);
  g_assert_cmpint (status, <=, 3);
  if (run->was_cut)
    {
      g_assert_cmpint (status, ==, 1);
      return;
    }

  /* With --force, unknown bits count as dirty, which the program reports. */
  const gboolean doubtful
      = status == 0 && line->prints == PRINTS_NOTHING
        && g_strv_contains ((const char *const *) line->argv, "--force");

  if (!no && !doubtful && silent != (status == 0))
    g_error ("status %d %s messages", status, silent ? "without" : "with");
  if (line->prints == PRINTS_NOTHING)
    g_assert_cmpuint (run->n_printed, ==, 0);
  if (options->changes || known == NULL)
    return;

  if (!known->was_opened)
    g_assert_cmpint (status, ==, 1);
  if (all && known->n_errors > 0)
    g_assert_cmpint (status, !=, 0);
  if (all && known->n_errors == 0 && !known->read_failed && known->was_opened)
    g_assert_cmpint (status, ==, 0);
}

static AnswerKind
get_kind (Prints prints)
{
  switch (prints)
    {
    case PRINTS_JSON:
    case PRINTS_ALL_JSON:
    case PRINTS_CHECK_JSON:
      return ANSWER_JSON;
    case PRINTS_DUMP:
      return ANSWER_DUMP;
    case PRINTS_TEXT:
    case PRINTS_NUL:
    case PRINTS_NOTHING:
    case PRINTS_ALL_TEXT:
    case PRINTS_CHECK:
      return ANSWER_TEXT;
    }

  g_assert_not_reached ();
}

guint
command_get_n (void)
{
  return G_N_ELEMENTS (lines) + G_N_ELEMENTS (ways);
}

/* Stores the words of WAY, and those that follow, in LINE. */
static void
add_words (Line *line, const Way *way, char **words)
{
  guint n = 0;

  line->prints = way->prints;
  for (; words[n] != NULL; n++)
    line->argv[n] = words[n];
  if (way->adds_json)
    line->argv[n++] = "--output=json";
  line->argv[n++] = IMAGE;
  g_assert_cmpuint (n, <, MAX_ARGUMENTS);
}

/* Runs command line NUMBER, modulo command_get_n (), over SOURCE and checks
 * its status and output.  KNOWN is the result of drive () for SOURCE, or NULL.
 */
void
command_run (ByteSource *source, guint number, const DriveOptions *options,
             const DriveResult *known)
{
  const guint index = number % command_get_n ();
  const Way *way = index >= G_N_ELEMENTS (lines)
                       ? &ways[index - G_N_ELEMENTS (lines)]
                       : NULL;
  g_auto (GStrv) words = way != NULL ? g_strsplit (way->words, " ", -1) : NULL;
  Run run = { .was_cut = FALSE };

  if (way != NULL)
    add_words (&run.line, way, words);
  else
    run.line = lines[index];

  g_autofree char *what = g_strjoinv (" ", (char **) run.line.argv);
  char *argv[MAX_ARGUMENTS + 2] = { (char *) "qcow2tool" };

  for (guint i = 0; run.line.argv[i] != NULL; i++)
    argv[i + 1] = (char *) run.line.argv[i];
  if (options->rewind != NULL)
    options->rewind (source);

  run.output = answer_new (get_kind (run.line.prints), what);
  run.messages = answer_new (ANSWER_TEXT, "messages");
  image = source;
  n_named = 0;
  check_status (&run, dispatch (argv, write_output, &run), options, known);
  if (!run.was_cut)
    answer_end (run.output);
  answer_end (run.messages);
  answer_free (run.output);
  answer_free (run.messages);
}
