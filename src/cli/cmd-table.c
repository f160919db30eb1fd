/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2tool table: prints the entries of the tables of the disk itself, for
 * people and tests that would otherwise read them from a hex dump. */

#include "config.h"

#include "check/snapshot-rules.h"
#include "cli/commands.h"
#include "cli/print-entries.h"
#include "cli/usage.h"
#include "qcow2/error.h"
#include "qcow2/table.h"
#include "render/describe.h"

/* Request.count without --count. */
#define COUNT_ALL G_MAXUINT64

/* The kinds of tables, in the order of Qcow2TableKind, and SNAPSHOTS. */
#define SNAPSHOTS QCOW2_N_TABLE_KINDS

static const char *const kinds[]
    = { "l1", "l2", "refcount-table", "refcount-block", "snapshots", NULL };

/* The header fields that determine where a table is and how it is read. */
static const char *const origins[][6] = {
  { "cluster_bits", "l1_size", "l1_table_offset", NULL },
  { "cluster_bits", "l1_size", "l1_table_offset", "incompatible_features",
    NULL },
  { "cluster_bits", "refcount_order", "refcount_table_clusters",
    "refcount_table_offset", NULL },
  { "cluster_bits", "refcount_order", "refcount_table_clusters",
    "refcount_table_offset", NULL },
  { "cluster_bits", "nb_snapshots", "snapshot_offset", NULL },
};

/* The rules that a truncated table breaks. */
static const char *const end_rules[]
    = { "HDR-17", "L1-03", "HDR-18", "HDR-18", "HDR-19" };

typedef struct
{
  guint kind;          /* index in kinds */
  OptionsNumber index; /* of the table */
  OptionsNumber at;    /* host offset in bytes */
  OptionsNumber start;
  OptionsNumber count;
  gboolean used;
} Request;

/* Returns whether FINDING is about one of the header fields in DATA, a row of
 * origins, or about a snapshot; for ReportScope.bears_on. */
static gboolean
bears_on_table (const Qcow2Finding *finding, gconstpointer data)
{
  const char *const *names = data;

  if (finding->record == &qcow2_snapshot_record)
    return TRUE;

  return finding->record == &qcow2_header_record && finding->field != NULL
         && g_strv_contains (names, finding->field->name);
}

/* Returns whether HEADER tells all that is needed to read a table of KIND.  An
 * error about the header says so otherwise. */
static gboolean
is_readable (const Qcow2Header *header, guint kind)
{
  if (kind == SNAPSHOTS)
    return TRUE;

  return header->cluster_size != QCOW2_ABSENT
         && (kind != QCOW2_TABLE_REFCOUNT_BLOCK
             || header->refcount_bits != QCOW2_ABSENT);
}

/* Returns the range that REQUEST selects of a table of N_ENTRIES entries, or
 * of as many as it asks for with --at.  Without --count, at most MAX entries
 * are selected. */
static EntryRange
get_range (const Request *request, guint64 n_entries, guint64 max)
{
  const guint64 start = MIN (request->start.value, n_entries);
  const guint64 count = request->count.given ? request->count.value : max;
  const EntryRange range = { .start = start,
                             .end = start + MIN (count, n_entries - start),
                             .used = request->used };

  return range;
}

/* Returns the number of entries that --at, --start and --count ask for. */
static guint64
get_n_wanted (const Request *request)
{
  return request->start.value
         + MIN (request->count.value, G_MAXUINT64 - request->start.value);
}

/* Sets ERROR because only the first N_READABLE entries of the table NAME at
 * host offset OFFSET are in the file, and RANGE has more. */
static gboolean
fail_truncated (Tool *tool, const Request *request, const Qcow2Image *image,
                const char *name, guint64 offset, const EntryRange *range,
                guint64 n_readable, GError **error)
{
  static const char format[] = QCOW2_HEX_FORMAT
      ": %s: only " QCOW2_U64_FORMAT " of " QCOW2_U64_FORMAT
      " entries are in the file, which has " QCOW2_U64_FORMAT " bytes";

  /* The header may have been found at fault already. */
  if (!request->at.given && report_has_errors (tool_get_report (tool)))
    return TRUE;

  const guint64 n_left = n_readable - MIN (range->start, n_readable);
  const guint64 n_wanted = range->end - range->start;
  const guint64 file_size = byte_source_get_size (image->source);

  if (request->at.given)
    g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND, format, offset,
                 name, n_left, n_wanted, file_size);
  else
    qcow2_set_rule_error (error, QCOW2_ERROR_CORRUPT, end_rules[request->kind],
                          format, offset, name, n_left, n_wanted, file_size);
  return FALSE;
}

static gboolean
fail_left_out (const char *name, guint64 offset, guint64 first, guint64 last,
               const char *hint, GError **error)
{
  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_CORRUPT,
               QCOW2_HEX_FORMAT ": %s: entries " QCOW2_U64_FORMAT
                                " to " QCOW2_U64_FORMAT " are left out: %s",
               offset, name, first, last, hint);
  return FALSE;
}

/* Fails with QCOW2_ERROR_CORRUPT if TABLE, to which an entry of another table
 * points, is not the start of a cluster. */
static gboolean
check_alignment (const Qcow2ClusterTable *table, GError **error)
{
  const guint64 cluster_size = table->image->header.cluster_size;
  const Qcow2TableKind top
      = table->kind == QCOW2_TABLE_L2 ? QCOW2_TABLE_L1 : QCOW2_TABLE_REFCOUNTS;

  if (table->index == QCOW2_NO_INDEX || table->offset % cluster_size == 0)
    return TRUE;

  qcow2_set_rule_error (
      error, QCOW2_ERROR_CORRUPT,
      table->kind == QCOW2_TABLE_L2 ? "L1-02" : "HDR-18",
      QCOW2_HEX_FORMAT ": %s: entry " QCOW2_U64_FORMAT
                       " points to the %s at " QCOW2_HEX_FORMAT
                       ", not a multiple of the cluster "
                       "size " QCOW2_U64_FORMAT,
      table->pointer, qcow2_table_kind_get_name (top), table->index,
      qcow2_table_kind_get_name (table->kind), table->offset, cluster_size);
  return FALSE;
}

/* Prints the entries of TABLE in RANGE. */
static gboolean
print_table (Tool *tool, const Request *request,
             const Qcow2ClusterTable *table, const EntryRange *range,
             GError **error)
{
  const DescribeTable description = { .kind = kinds[request->kind],
                                      .index = table->index,
                                      .file_offset = table->offset,
                                      .size = table->n_entries };
  /* Offset 0 holds the header, not a table. */
  const gboolean is_header = table->offset == 0 && !request->at.given;

  describe_begin_rows (tool_get_emitter (tool), &description);
  const gboolean printed
      = is_header || entries_print (tool, table, range, error);
  describe_end_rows (tool_get_emitter (tool));
  return printed;
}

/* Shows the table of REQUEST, unless that is the snapshot table. */
static gboolean
show_table (Tool *tool, const Qcow2Image *image, const Request *request,
            const ReportScope *scope, GError **error)
{
  const Qcow2TableKind kind = (Qcow2TableKind) request->kind;
  const char *name = qcow2_table_kind_get_name (kind);
  Qcow2ClusterTable table = qcow2_cluster_table_at (
      image, kind, request->at.value, get_n_wanted (request));

  if (!request->at.given
      && !qcow2_cluster_table_find (image, kind, request->index.value, &table,
                                    error))
    return FALSE;

  const EntryRange range
      = get_range (request, table.n_entries, QCOW2_MAX_TABLE_ENTRIES);
  if (!print_table (tool, request, &table, &range, error))
    return FALSE;

  if (!request->at.given)
    tool_report (tool, *scope);
  if (!check_alignment (&table, error))
    return FALSE;

  const guint64 n_readable = qcow2_cluster_table_get_n_readable (&table);
  if (n_readable < range.end && range.start < range.end)
    return fail_truncated (tool, request, image, name, table.offset, &range,
                           n_readable, error);
  if (!request->count.given && range.end < table.n_entries)
    return fail_left_out (name, table.offset, range.end, table.n_entries - 1,
                          "use --start and --count", error);
  return TRUE;
}

/* Prints the entries of WALK in RANGE, and says if some of the requested ones
 * are missing. */
static gboolean
print_snapshots (Tool *tool, Qcow2Image *image, const Request *request,
                 Qcow2SnapshotWalk *walk, const EntryRange *range,
                 const ReportScope *scope, GError **error)
{
  const char *name = qcow2_snapshot_record.name;
  g_auto (Qcow2SnapshotTable) table = { .size = 0 };
  gboolean complete;

  if (!entries_print_snapshots (tool, walk, range, &complete, error))
    return FALSE;
  if (!request->at.given && image->header.cluster_size != QCOW2_ABSENT
      && !qcow2_snapshot_table_check (image, &table, tool_get_findings (tool),
                                      error))
    return FALSE;

  if (!request->at.given)
    tool_report (tool, *scope);
  if (complete)
    return TRUE;

  const guint64 n = qcow2_snapshot_walk_get_n (walk);
  if (qcow2_snapshot_walk_get_end (walk) == QCOW2_SNAPSHOTS_TOO_MANY)
    return fail_left_out (name, qcow2_snapshot_walk_get_offset (walk), n,
                          range->end - 1, "QEMU accepts no more", error);
  return fail_truncated (tool, request, image, name,
                         qcow2_snapshot_walk_get_offset (walk), range, n,
                         error);
}

static gboolean
show_snapshots (Tool *tool, Qcow2Image *image, const Request *request,
                const ReportScope *scope, GError **error)
{
  const Qcow2Header *h = &image->header;
  const guint64 offset
      = request->at.given ? request->at.value : h->snapshot_offset;
  const guint64 n
      = request->at.given ? get_n_wanted (request) : h->nb_snapshots;
  const EntryRange range = get_range (request, n, G_MAXUINT64);
  const DescribeTable description = { .kind = kinds[SNAPSHOTS],
                                      .index = QCOW2_NO_INDEX,
                                      .file_offset = offset,
                                      .size = n };
  g_autoptr (Qcow2SnapshotWalk) walk
      = qcow2_snapshot_walk_new (image, offset, n);

  describe_begin_snapshots (tool_get_emitter (tool), &description);
  const gboolean shown
      = print_snapshots (tool, image, request, walk, &range, scope, error);
  describe_end_snapshots (tool_get_emitter (tool));
  return shown;
}

static gboolean
show (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  const Request *request = data;
  ReportScope scope = REPORT_SCOPE (QCOW2_PART_HEADER);

  scope.bears_on = bears_on_table;
  scope.data = origins[request->kind];
  if (!is_readable (&image->header, request->kind))
    {
      tool_report (tool, scope);
      return TRUE;
    }

  const gboolean shown
      = request->kind == SNAPSHOTS
            ? show_snapshots (tool, image, request, &scope, error)
            : show_table (tool, image, request, &scope, error);

  /* An error in the header may be the reason why there is no table. */
  if (!request->at.given)
    tool_report (tool, scope);
  return shown;
}

static gboolean
check (const Request *request, GError **error)
{
  const char *const given[] = { request->at.given ? "--at" : "",
                                request->index.given ? "--index" : "", NULL };
  const gboolean is_listed
      = request->kind != SNAPSHOTS
        && qcow2_table_kind_is_listed ((Qcow2TableKind) request->kind);

  if (!usage_check_exclusive (given, error))
    return FALSE;
  if (request->at.given && !request->count.given)
    {
      usage_error (error, "--at needs --count");
      return FALSE;
    }
  if (request->index.given && !is_listed)
    {
      usage_error (error, "--index is for l2 and refcount-block");
      return FALSE;
    }
  if (is_listed && !request->index.given && !request->at.given)
    {
      usage_error (error, "%s needs --index or --at", kinds[request->kind]);
      return FALSE;
    }

  return TRUE;
}

static gboolean
run (Tool *tool, char **argv, GError **error)
{
  Request request = { .count.value = COUNT_ALL };
  /* clang-format off */
  const GOptionEntry entries[] = {
    { "index", 0, 0, OPTIONS_ARG_NUMBER, &request.index,
      "Select the L2 table or the refcount block that entry N of the L1 table "
      "or the refcount table points to", "N" },
    { "start", 0, 0, OPTIONS_ARG_NUMBER, &request.start,
      "Begin with entry I", "I" },
    { "count", 0, 0, OPTIONS_ARG_NUMBER, &request.count,
      "Print at most N entries", "N" },
    { "used", 0, 0, G_OPTION_ARG_NONE, &request.used,
      "Print only entries that are not 0", NULL },
    { "at", 0, 0, OPTIONS_ARG_NUMBER, &request.at,
      "Decode entries at OFFSET of the file, whatever is there; needs --count",
      "OFFSET" },
    { NULL }
  };
  /* clang-format on */

  if (!tool_parse (tool, &cmd_table, entries, argv, error))
    return FALSE;

  request.kind = tool_get_kind (tool);
  return check (&request, error)
         && tool_for_each_image (tool, show, &request, error);
}

const Command cmd_table = {
  .name = "table",
  .operands = "KIND IMAGE...",
  .group = COMMAND_SHOWS,
  .summary = "Print entries of L1, L2, refcount or snapshot tables",
  .example = "l2 --index=0 --used disk.qcow2",
  .keys = { "table" },
  .kinds = kinds,
  .run = run,
};
