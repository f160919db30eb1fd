/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2tool header: prints the fields of the image header, for people.
 * --field is for scripts. */

#include "config.h"

#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/usage.h"
#include "render/describe.h"

/* The keys requested with --field, and the image's header. */
typedef struct
{
  const FieldOptions *fields;
  const Qcow2Header *header;
} Wanted;

/* A key and the stored header fields from which its value is derived.  A
 * stored field that is not listed depends on itself alone. */
typedef struct
{
  const char *key;
  const char *from[5];      /* NULL-terminated */
  gboolean from_extensions; /* and from data after the header */
} Origin;

/* clang-format off */
static const Origin origins[] = {
  { "compression_type", { "compression_type", "header_length" }, FALSE },
  { "compression_type_name", { "compression_type", "header_length" }, FALSE },
  { "crypt_method_name", { "crypt_method" }, FALSE },
  { "cluster_size", { "cluster_bits" }, FALSE },
  { "refcount_bits", { "refcount_order" }, FALSE },
  { "l1_size", { "l1_size", "l1_table_offset" }, FALSE },
  { "refcount_table_clusters",
    { "refcount_table_clusters", "refcount_table_offset" }, FALSE },
  { "backing_file",
    { "backing_file_offset", "backing_file_size", "cluster_bits",
      "header_length" }, TRUE },
  { "backing_format",
    { "backing_file_offset", "cluster_bits", "header_length" }, TRUE },
  { "external_data_file",
    { "backing_file_offset", "cluster_bits", "header_length" }, TRUE }
};
/* clang-format on */

/* Stores the host offset of FIELD in the header in *OFFSET, and its length in
 * bytes in *LEN. */
static void
find_place (const Qcow2Field *field, guint64 *offset, guint64 *len)
{
  *offset = qcow2_record_get_offset (&qcow2_header_record, field);
  *len = field->size;
}

/* Returns the host offset after the last known field of HEADER that is
 * shown. */
static guint64
get_end (const Qcow2Header *header)
{
  return header->version < 3
             ? header->header_length
             : QCOW2_AT (qcow2_header_record, Qcow2Header, padding);
}

/* Returns whether FINDING is about the stored field NAME of HEADER. */
static gboolean
is_about (const Qcow2Finding *finding, const Qcow2Header *header,
          const char *name)
{
  const Qcow2Field *field
      = qcow2_record_find (qcow2_header_record.fields, name);
  guint64 offset;
  guint64 len;

  find_place (field, &offset, &len);
  return finding->offset < get_end (header) && finding->offset >= offset
         && finding->offset - offset < len;
}

static gboolean
bears_on_key (const Qcow2Finding *finding, const Qcow2Header *header,
              const char *key)
{
  const Origin *origin = NULL;
  /* --field accepts an alias. */
  const Qcow2Field *field
      = qcow2_record_find (qcow2_header_record.fields, key);

  for (guint i = 0; i < G_N_ELEMENTS (origins); i++)
    {
      if (g_str_equal (origins[i].key, field->name))
        origin = &origins[i];
    }
  g_assert (origin != NULL || field->stored);
  if (origin == NULL)
    return is_about (finding, header, field->name);

  for (guint i = 0; origin->from[i] != NULL; i++)
    {
      if (is_about (finding, header, origin->from[i]))
        return TRUE;
    }

  /* That the file is truncated says nothing about its first cluster. */
  return origin->from_extensions && finding->offset >= get_end (header)
         && !g_str_has_prefix (finding->rule, "FILE-");
}

/* Returns whether FINDING bears on one of the keys in DATA, a Wanted; for
 * ReportScope.bears_on. */
static gboolean
bears_on_keys (const Qcow2Finding *finding, gconstpointer data)
{
  const Wanted *wanted = data;

  for (char **key = wanted->fields->keys; *key != NULL; key++)
    {
      if (bears_on_key (finding, wanted->header, *key))
        return TRUE;
    }

  return FALSE;
}

/* Returns whether no error in FINDINGS bears on the keys in WANTED. */
static gboolean
is_intact (const Qcow2Findings *findings, const Wanted *wanted)
{
  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (findings, i);

      if (finding->severity == QCOW2_SEVERITY_ERROR
          && (finding->subject.parts & QCOW2_PART_HEADER) != 0
          && bears_on_keys (finding, wanted))
        return FALSE;
    }

  return TRUE;
}

static gboolean
show (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  const FieldOptions *fields = data;
  const FieldSource sources[]
      = { { qcow2_header_record.fields, &image->header, G_MAXUINT },
          { .fields = NULL } };
  const Wanted wanted = { .fields = fields, .header = &image->header };
  ReportScope scope = REPORT_SCOPE (QCOW2_PART_HEADER);

  if (fields->keys == NULL)
    {
      describe_header (tool_get_emitter (tool), NULL, &image->header);
      tool_report (tool, scope);
      return TRUE;
    }

  const gboolean found = fields_print (
      fields, sources, is_intact (tool_get_findings (tool), &wanted),
      tool_get_text (tool), error);
  scope.bears_on = bears_on_keys;
  scope.data = &wanted;
  tool_report (tool, scope);
  return found;
}

static gboolean
run (Tool *tool, char **argv, GError **error)
{
  g_auto (FieldOptions) fields = { 0 };
  const GOptionEntry entries[] = { FIELD_OPTIONS (&fields), { NULL } };
  const FieldSource sources[]
      = { { .fields = qcow2_header_record.fields }, { .fields = NULL } };

  if (!tool_parse (tool, &cmd_header, entries, argv, error))
    return FALSE;
  if (!fields_check (&fields, sources, error))
    return FALSE;
  if (fields.nul && fields.keys == NULL)
    {
      usage_error (error, "-0 goes with --field");
      return FALSE;
    }
  if (fields.keys != NULL)
    tool_want_one_image (tool, "--field");
  if (fields.keys != NULL && !tool_want_text (tool, "--field", error))
    return FALSE;

  return tool_for_each_image (tool, show, &fields, error);
}

const Command cmd_header = {
  .name = "header",
  .operands = "IMAGE...",
  .group = COMMAND_SHOWS,
  .summary = "Print the header, with the size of the disk",
  .example = "--field=size disk.qcow2",
  .keys = { "header" },
  .run = run,
};
