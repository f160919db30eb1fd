/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/guest-map.h"

#include "qcow2/c-string.h"
#include "render/digits.h"
#include "render/format.h"

/* Width of each column before the file name, as in qemu-img map. */
#define COLUMN_WIDTH 16

/* Width of the name of a total, as in other text output. */
#define NAME_WIDTH 25

#define NO_VALUE "-"

/* Returns the name of the file with the data of the image at PATH, escaped.
 * As in QEMU, the name of an external data file is used as it is, relative to
 * the process.  The caller frees the string. */
GString *
guest_map_get_file (const char *path, const Qcow2Header *header)
{
  GString *file = g_string_new (NULL);
  const gsize len = qcow2_c_string_get_length (header->external_data_file);

  if ((header->incompatible_features & QCOW2_INCOMPATIBLE_DATA_FILE) == 0)
    format_escaped (file, path, strlen (path));
  else if (len > 0)
    format_escaped (file, g_bytes_get_data (header->external_data_file, NULL),
                    len);
  else
    g_string_append (file, NO_VALUE);
  return file;
}

/* Appends the start of the output to OUT. */
void
guest_map_begin (GuestMapStyle *style, GString *out)
{
  switch (style->format)
    {
    case GUEST_MAP_TEXT:
      g_string_append (
          out, "Offset          Length          Mapped to       File\n");
      return;
    case GUEST_MAP_JSON:
      g_string_append_c (out, '[');
      return;
    case GUEST_MAP_JSONL:
      return;
    }
}

/* Pads the column that begins at COLUMN and ends at AT with spaces.  Returns
 * the end of the column. */
static char *
put_padding (const char *column, char *at)
{
  do
    *at++ = ' ';
  while (at - column < COLUMN_WIDTH);

  return at;
}

/* Writes VALUE as qemu-img prints it: 0 has no "0x". */
static char *
put_column (char *at, guint64 value)
{
  char *const column = at;

  at = value == 0 ? digits_put_text (at, "0")
                  : digits_put_hex (at, value, 1, DIGITS_HEX);
  return put_padding (column, at);
}

static char *
put_place (char *at, const Qcow2MapExtent *extent)
{
  if ((extent->flags & QCOW2_MAP_OFFSET) != 0)
    return put_column (at, extent->offset);

  return put_padding (
      at, digits_put_text (at, extent->damage != QCOW2_MAP_SOUND ? "damaged"
                                                                 : NO_VALUE));
}

static void
append_row (const GuestMapStyle *style, GString *out,
            const Qcow2MapExtent *extent)
{
  if ((extent->flags & QCOW2_MAP_DATA) == 0)
    return;

  char *at = put_column (digits_begin_piece (out), extent->start);

  at = put_column (at, extent->length);
  digits_end_piece (out, put_place (at, extent));
  g_string_append_len (out, style->file->str, (gssize) style->file->len);
  g_string_append_c (out, '\n');
}

/* Writes KEY and TEXT, and the separators before and after KEY. */
static char *
put_member (const GuestMapStyle *style, char *at, const char *key,
            const char *text)
{
  const gboolean compact = style->format == GUEST_MAP_JSONL;

  at = digits_put_text (at, at[-1] == '{' ? "" : compact ? "," : ", ");
  *at++ = '"';
  at = digits_put_text (at, key);
  at = digits_put_text (at, compact ? "\":" : "\": ");
  return digits_put_text (at, text);
}

static char *
put_number (const GuestMapStyle *style, char *at, const char *key,
            guint64 value)
{
  return digits_put (put_member (style, at, key, ""), value);
}

static char *
put_flag (const GuestMapStyle *style, char *at, const char *key, guint flag)
{
  return put_member (style, at, key, flag != 0 ? "true" : "false");
}

static void
append_object (GuestMapStyle *style, GString *out,
               const Qcow2MapExtent *extent)
{
  const guint flags = extent->flags;
  char *at = digits_begin_piece (out);

  if (style->format == GUEST_MAP_JSON)
    at = digits_put_text (at, style->has_items ? ",\n    " : "\n    ");
  style->has_items = TRUE;

  *at++ = '{';
  at = put_number (style, at, "start", extent->start);
  at = put_number (style, at, "length", extent->length);
  at = put_number (style, at, "depth", 0);
  at = put_flag (style, at, "present", flags & QCOW2_MAP_PRESENT);
  at = put_flag (style, at, "zero", flags & QCOW2_MAP_ZERO);
  at = put_flag (style, at, "data", flags & QCOW2_MAP_DATA);
  at = put_flag (style, at, "compressed", flags & QCOW2_MAP_COMPRESSED);
  if ((flags & QCOW2_MAP_OFFSET) != 0)
    at = put_number (style, at, "offset", extent->offset);
  if (extent->damage != QCOW2_MAP_SOUND)
    at = put_flag (style, at, "damaged", TRUE);
  *at++ = '}';
  digits_end_piece (out, at);
  if (style->format == GUEST_MAP_JSONL)
    g_string_append_c (out, '\n');
}

/* Appends EXTENT to OUT.  Text has only extents with data, as that of qemu-img
 * map. */
void
guest_map_extent (GuestMapStyle *style, GString *out,
                  const Qcow2MapExtent *extent)
{
  if (style->format == GUEST_MAP_TEXT)
    append_row (style, out, extent);
  else
    append_object (style, out, extent);
}

/* Appends the end of the output to OUT. */
void
guest_map_end (GuestMapStyle *style, GString *out)
{
  if (style->format == GUEST_MAP_JSON)
    g_string_append (out, style->has_items ? "\n]\n" : "]\n");
}

/* Appends TOTALS to OUT: a line for each total, or one object. */
void
guest_map_totals (const GuestMapStyle *style, GString *out,
                  const Qcow2MapTotals *totals)
{
  const struct
  {
    const char *name;
    guint64 size;
  } rows[] = { { "data", totals->data },
               { "zero", totals->zero },
               { "unallocated", totals->unallocated },
               { "compressed", totals->compressed },
               { "damaged", totals->damaged } };

  if (style->format == GUEST_MAP_TEXT)
    {
      for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
        {
          if (rows[i].size > 0 || !g_str_equal (rows[i].name, "damaged"))
            g_string_append_printf (out, "%-*s " QCOW2_U64_FORMAT "\n",
                                    NAME_WIDTH, rows[i].name, rows[i].size);
        }
      return;
    }

  char *at = digits_begin_piece (out);

  *at++ = '{';
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    at = put_number (style, at, rows[i].name, rows[i].size);
  digits_end_piece (out, digits_put_text (at, "}\n"));
}

/* The words for a kind of damage. */
typedef struct
{
  const char *where;  /* the entry or structure */
  const char *target; /* to which it leads, or NULL */
  const char *what;
  const char *rule; /* which the entry breaks; NULL if none does, or if there
                       is a finding about the header as well */
} Words;

static const Words damages[] = {
  [QCOW2_MAP_NO_CLUSTERS]
  = { "header", NULL, "the cluster size is unknown", NULL },
  [QCOW2_MAP_L1_UNALIGNED]
  = { "header", "L1 table", "is not at the start of a cluster", NULL },
  [QCOW2_MAP_L1_ENDS]
  = { "header", "L1 table", "does not map all of the disk", NULL },
  [QCOW2_MAP_L1_LARGE]
  = { "header", "L1 table", "is not read after its first 32 MiB", NULL },
  [QCOW2_MAP_L2_UNALIGNED]
  = { "L1 table", "L2 table", "is not at the start of a cluster", "L1-02" },
  [QCOW2_MAP_L2_OUTSIDE]
  = { "L1 table", "L2 table", "is after the end of the file", "L1-03" },
  [QCOW2_MAP_L2_ENDS]
  = { "L2 table", "table", "is not in the file to its end", "L1-03" },
  [QCOW2_MAP_UNALIGNED]
  = { "L2 table", "data", "is not at the start of a cluster", "L2-02" },
  [QCOW2_MAP_OUTSIDE]
  = { "L2 table", "data", "is after the end of the file", "L2-03" },
  [QCOW2_MAP_ZERO_FLAG]
  = { "L2 table", NULL,
      "a cluster reads as zeroes, which version 2 does not have", "L2-10" },
  [QCOW2_MAP_SUBCLUSTERS]
  = { "L2 table", NULL, "a subcluster is both allocated and zero", "L2-08" },
  [QCOW2_MAP_NO_CLUSTER]
  = { "L2 table", NULL, "subclusters are allocated in a cluster that is not",
      "L2-09" },
  [QCOW2_MAP_NO_COMPRESSED]
  = { "L2 table", NULL,
      "a cluster is compressed, although the data is in an external file",
      "L2-06" },
  [QCOW2_MAP_NOT_RAW]
  = { "L2 table", "data", "is at another offset than in the raw data file",
      "L2-12" },
  [QCOW2_MAP_UNREAD] = { "L1 or L2 table", NULL, "not read", NULL },
};

/* Returns a message about EXTENT, which is damaged.  The caller frees it. */
char *
guest_map_explain (const Qcow2MapExtent *extent)
{
  const Words *words = &damages[extent->damage];
  g_autofree char *target
      = words->target == NULL
            ? g_strdup ("")
            : g_strdup_printf ("the %s at " QCOW2_HEX_FORMAT " ",
                               words->target, extent->offset);

  g_autofree char *rule = words->rule == NULL
                              ? g_strdup ("")
                              : g_strdup_printf (" [%s]", words->rule);

  return g_strdup_printf (QCOW2_HEX_FORMAT
                          ": %s: %s%s; this concerns " QCOW2_U64_FORMAT
                          " bytes of the disk from " QCOW2_HEX_FORMAT " on%s",
                          extent->pointer, words->where, target, words->what,
                          extent->length, extent->start, rule);
}
