/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/format.h"

#include <string.h>

#include "qcow2/printable.h"
#include "render/digits.h"

#define NAME_WIDTH 25
#define LABEL_UNKNOWN "<unknown>"
#define CELL_ABSENT "-"
#define NAME_UNREADABLE "<unreadable>"

/* Appends TEXT, padded with spaces on the right to WIDTH characters. */
static void
append_left (GString *out, const char *text, guint width)
{
  const gsize before = out->len;

  g_string_append (out, text);
  digits_append_spaces (out, width - MIN (width, out->len - before));
}

static void
append_escapes (GString *out, const guint8 *bytes, gsize len)
{
  for (gsize i = 0; i < len; i++)
    {
      if (bytes[i] == '\\')
        g_string_append (out, "\\\\");
      else if (bytes[i] == '\n')
        g_string_append (out, "\\n");
      else if (bytes[i] == '\t')
        g_string_append (out, "\\t");
      else
        {
          g_string_append (out, "\\x");
          digits_append_byte (out, bytes[i]);
        }
    }
}

/* Appends the LEN bytes at BYTES, from an image or a path, escaped so that
 * they stay on one line and cannot control a terminal. */
void
format_escaped (GString *out, const char *bytes, gsize len)
{
  while (len > 0)
    {
      const guint8 *at = (const guint8 *) bytes;
      gsize size = qcow2_count_plain (at, len);
      const gboolean stays
          = size > 0
            || (qcow2_char_is_printable (at, len, &size) && *at != '\\');

      if (stays)
        g_string_append_len (out, bytes, (gssize) size);
      else
        append_escapes (out, at, size);

      bytes += size;
      len -= size;
    }
}

/* Appends STRING, escaped like format_escaped (). */
void
format_escaped_bytes (GString *out, GBytes *string)
{
  gsize len;
  const char *bytes = g_bytes_get_data (string, &len);

  format_escaped (out, bytes, len);
}

/* Appends NAME, the name of a bitmap or a snapshot, escaped.  NULL means that
 * the name cannot be read. */
void
format_name (GString *out, GBytes *name)
{
  if (name == NULL)
    g_string_append (out, NAME_UNREADABLE);
  else
    format_escaped_bytes (out, name);
}

/* Appends COUNT, or "-" for QCOW2_ABSENT. */
void
format_count (GString *out, guint64 count)
{
  if (count == QCOW2_ABSENT)
    g_string_append (out, CELL_ABSENT);
  else
    digits_append (out, count);
}

/* Appends BYTES in the largest unit that does not exceed it.  A number that is
 * not whole has one decimal, rounded down: 512, 64K, 1.5M.  Appends "-" for
 * QCOW2_ABSENT. */
void
format_size (GString *out, guint64 bytes)
{
  static const char units[] = "\0KMGTPE";
  guint unit = 0;

  if (bytes == QCOW2_ABSENT)
    {
      g_string_append (out, CELL_ABSENT);
      return;
    }

  while (unit < 6 && bytes >> (10 * unit) >= 1024)
    unit++;

  const guint64 whole = bytes >> (10 * unit);
  const guint64 rest = bytes - (whole << (10 * unit));
  digits_append (out, whole);
  if (rest != 0)
    g_string_append_printf (out, ".%u",
                            (guint) ((rest >> (10 * (unit - 1))) * 10 / 1024));
  if (unit > 0)
    g_string_append_c (out, units[unit]);
}

/* Appends BYTES as qemu-img does, with three digits: 512 B, 1.5 GiB.  From
 * 1000 of a unit on, the next one is used. */
void
format_rounded_size (GString *out, guint64 bytes)
{
  static const char *const units[]
      = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
  char digits[G_ASCII_DTOSTR_BUF_SIZE];
  double size = (double) bytes;
  guint unit = 0;

  /* Divisions by powers of 2 are exact. */
  while (unit + 1 < G_N_ELEMENTS (units) && size >= 1000)
    {
      size /= 1024;
      unit++;
    }

  g_string_append (out, g_ascii_formatd (digits, sizeof digits, "%.3g", size));
  g_string_append_printf (out, " %s", units[unit]);
}

/* Appends the local date and time of SECONDS after the start of 1970. */
void
format_local_time (GString *out, gint64 seconds)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_local (seconds);
  g_autofree char *text
      = time != NULL ? g_date_time_format (time, "%Y-%m-%d %H:%M:%S") : NULL;

  g_string_append (out, text != NULL ? text : CELL_ABSENT);
}

/* Appends NANOSECONDS as hours, minutes, seconds and milliseconds, rounded
 * down. */
void
format_clock (GString *out, guint64 nanoseconds)
{
  const guint64 milliseconds = nanoseconds / 1000000;
  const guint64 seconds = milliseconds / 1000;

  g_string_append_printf (out, "%02" G_GINT64_MODIFIER "u:%02u:%02u.%03u",
                          seconds / 3600, (guint) (seconds / 60 % 60),
                          (guint) (seconds % 60),
                          (guint) (milliseconds % 1000));
}

/* Appends the name of bit BIT: our own in single quotes, one from the image in
 * double quotes. */
static void
append_bit (GString *out, const Qcow2Field *field,
            const char *const *bit_names, guint bit)
{
  const char *label = qcow2_label_find (field->labels, bit);

  if (label != NULL)
    {
      g_string_append_printf (out, "'%s'", label);
      return;
    }
  if (bit_names == NULL || bit_names[bit] == NULL)
    {
      g_string_append_printf (out, "'bit-%u'", bit);
      return;
    }

  g_string_append_c (out, '"');
  format_escaped (out, bit_names[bit], strlen (bit_names[bit]));
  g_string_append_c (out, '"');
}

static void
append_bits (GString *out, const Qcow2Field *field, gconstpointer record)
{
  const guint64 value = qcow2_field_get_number (field, record);
  const char *const *bit_names = qcow2_field_get_bit_names (field, record);
  const char *separator = "";

  g_string_append_printf (out, QCOW2_HEX_FORMAT " ([", value);
  for (guint bit = 0; bit < QCOW2_MASK_BITS; bit++)
    {
      if ((value >> bit & 1) == 0)
        continue;

      g_string_append (out, separator);
      append_bit (out, field, bit_names, bit);
      separator = ", ";
    }
  g_string_append (out, "])");
}

static const char *
label_of (const Qcow2Field *field, gconstpointer record)
{
  const char *label = qcow2_label_find (
      field->labels, qcow2_field_get_number (field, record));

  return label != NULL ? label : LABEL_UNKNOWN;
}

static void
append_string (GString *out, const Qcow2Field *field, gconstpointer record)
{
  const char *quote = field->format == QCOW2_QUOTED ? "'" : "";
  gsize len;
  const char *string = qcow2_field_get_string (field, record, &len);

  g_string_append (out, quote);
  format_escaped (out, string, len);
  g_string_append (out, quote);
}

static void
append_name (GString *out, const Qcow2Field *field, guint64 value)
{
  const char *label = qcow2_label_find (field->labels, value);

  if (label == NULL)
    label = field->absent;

  if (label != NULL)
    g_string_append (out, label);
  else
    digits_append (out, value);
}

static void
append_number (GString *out, const Qcow2Field *field, gconstpointer record)
{
  const guint64 value = qcow2_field_get_number (field, record);

  switch (field->format)
    {
    case QCOW2_DEC:
      digits_append (out, value);
      return;
    case QCOW2_HEX:
      digits_append_hex (out, value);
      return;
    case QCOW2_BITS:
      append_bits (out, field, record);
      return;
    case QCOW2_ENUM:
      g_string_append_printf (out, QCOW2_U64_FORMAT " (%s)", value,
                              label_of (field, record));
      return;
    case QCOW2_HEX_ENUM:
      g_string_append_printf (out, QCOW2_HEX_FORMAT " (%s)", value,
                              label_of (field, record));
      return;
    case QCOW2_NAME:
      append_name (out, field, value);
      return;
    case QCOW2_BOOL:
      g_string_append (out, value != 0 ? "true" : "false");
      return;
    case QCOW2_STRING:
    case QCOW2_QUOTED:
    case QCOW2_WORD:
    case QCOW2_FLAGS:
    case QCOW2_HIDDEN:
    case QCOW2_BYTES:
      g_assert_not_reached ();
    }
}

/* Appends the value of FIELD in RECORD, which must have one, in the form used
 * in blocks. */
void
format_value (GString *out, const Qcow2Field *field, gconstpointer record)
{
  if (qcow2_field_is_string (field))
    append_string (out, field, record);
  else
    append_number (out, field, record);
}

/* Appends a line of a block: NAME and the value of FIELD in RECORD, or FIELD's
 * text for a missing value. */
void
format_line (GString *out, const char *name, const Qcow2Field *field,
             gconstpointer record)
{
  append_left (out, name, NAME_WIDTH);
  g_string_append_c (out, ' ');
  if (qcow2_field_has_value (field, record))
    format_value (out, field, record);
  else
    g_string_append (out, field->absent);
  g_string_append_c (out, '\n');
}

/* Appends the value of FIELD in RECORD, which must have one, for scripts.
 * Numbers are decimal; labels and strings are as in JSON.  Strings are escaped
 * unless ENDING is FORMAT_NUL. */
void
format_bare (GString *out, const Qcow2Field *field, gconstpointer record,
             FormatEnding ending)
{
  const gboolean is_string = qcow2_field_is_string (field);
  gsize len = 0;
  const char *string
      = is_string ? qcow2_field_get_string (field, record, &len) : NULL;

  if (field->format == QCOW2_NAME || field->format == QCOW2_BOOL)
    append_number (out, field, record);
  else if (!is_string)
    digits_append (out, qcow2_field_get_number (field, record));
  else if (ending == FORMAT_LINES)
    format_escaped (out, string, len);
  else
    g_string_append_len (out, string, (gssize) len);

  g_string_append_c (out, ending == FORMAT_LINES ? '\n' : '\0');
}

/* Returns the maximum number of bytes of a cell of FIELD in a table, without
 * any padding.  A comma after each of its flags is included. */
gsize
format_get_cell_max (const Qcow2Field *field)
{
  const Qcow2Label *label = field->labels;
  gsize longest = 0;
  gsize all = 0;

  for (; label != NULL && label->name != NULL; label++)
    {
      longest = MAX (longest, strlen (label->name));
      all += strlen (label->name) + 1;
    }

  return MAX (FORMAT_NUMBER_MAX, field->format == QCOW2_FLAGS ? all : longest);
}

/* The columns of a table, from the first to the last. */
typedef struct
{
  const Qcow2Field *fields[FORMAT_MAX_COLUMNS];
  guint n;
  gsize row_max; /* bytes of a row, at most */
} Columns;

/* Returns the columns of a table of structures with FIELDS, with those of
 * --long if ALL_COLUMNS. */
static Columns
get_columns (const Qcow2Field *fields, gboolean all_columns)
{
  Columns columns = { .n = 0 };

  for (; fields->name != NULL; fields++)
    {
      if (!qcow2_field_is_shown (fields)
          || (fields->column != QCOW2_COLUMN && !all_columns))
        continue;

      g_assert (columns.n < FORMAT_MAX_COLUMNS);
      columns.fields[columns.n++] = fields;
      columns.row_max += MAX (fields->width, format_get_cell_max (fields)) + 1;
    }

  return columns;
}

/* Appends the heading of a table of structures with FIELDS, with the columns
 * of --long if ALL_COLUMNS. */
void
format_table_heading (GString *out, const Qcow2Field *fields,
                      gboolean all_columns)
{
  const Columns columns = get_columns (fields, all_columns);

  for (guint i = 0; i < columns.n; i++)
    {
      const Qcow2Field *field = columns.fields[i];
      const char *text = field->text != NULL ? field->text : field->name;

      append_left (out, text, i + 1 < columns.n ? field->width : 0);
      g_string_append_c (out, i + 1 < columns.n ? ' ' : '\n');
    }
}

/* Writes the names of the bits of VALUE, a mask of LABELS, to AT.  Returns the
 * end of the text. */
static char *
put_flags (char *at, const Qcow2Label *labels, guint64 value)
{
  const char *separator = "";

  if (value == 0)
    return digits_put_text (at, CELL_ABSENT);

  for (; labels->name != NULL; labels++)
    {
      if ((value >> labels->value & 1) == 0)
        continue;

      at = digits_put_text (at, separator);
      at = digits_put_text (at, labels->name);
      separator = ",";
    }

  return at;
}

/* Writes the value of FIELD in STRUCTURE to AT.  Returns its end. */
static inline char *
put_value (char *at, const Qcow2Field *field, gconstpointer structure)
{
  const guint64 value = qcow2_field_load (field, structure);

  if (field->format == QCOW2_NAME)
    return digits_put_text (at, qcow2_label_find (field->labels, value));
  if (field->format == QCOW2_FLAGS)
    return put_flags (at, field->labels, value);
  if (value == QCOW2_ABSENT && !field->stored)
    return digits_put_text (at, CELL_ABSENT);
  if (field->format == QCOW2_HEX)
    return digits_put_hex (at, value, 1, DIGITS_HEX);

  return digits_put (at, value);
}

/* Appends a row for each of the N structures of SIZE bytes with FIELDS in the
 * array STRUCTURES, with the columns of --long if ALL_COLUMNS.  The columns
 * are numbers, names or flags. */
void
format_table_rows (GString *out, const Qcow2Field *fields,
                   gconstpointer structures, gsize size, gsize n,
                   gboolean all_columns)
{
  const Columns columns = get_columns (fields, all_columns);
  const gsize before = out->len;

  /* Rows are written in place because there may be 2^27 of them. */
  g_string_set_size (out, before + n * columns.row_max);
  char *at = out->str + before;
  for (gsize row = 0; row < n; row++)
    {
      const guint8 *structure = (const guint8 *) structures + row * size;

      memset (at, ' ', columns.row_max);
      for (guint i = 0; i < columns.n; i++)
        {
          const Qcow2Field *field = columns.fields[i];
          char *const end = put_value (at, field, structure);

          at = i + 1 < columns.n ? MAX (end + 1, at + field->width + 1)
                                 : end + 1;
        }
      at[-1] = '\n';
    }
  g_string_set_size (out, (gsize) (at - out->str));
}

static void
append_subject (GString *out, const Qcow2Subject *subject)
{
  const guint64 index = subject->bitmap != QCOW2_NO_INDEX ? subject->bitmap
                                                          : subject->extension;

  g_string_append (out, subject->structure);
  if (index != QCOW2_NO_INDEX)
    {
      g_string_append_c (out, ' ');
      digits_append (out, index);
    }
  if (subject->name == NULL)
    return;

  g_string_append (out, " '");
  format_escaped_bytes (out, subject->name);
  g_string_append_c (out, '\'');
}

/* Appends FINDING as a line of a check: severity, rule, host offset, subject
 * and message. */
void
format_finding (GString *out, const Qcow2Finding *finding)
{
  g_string_append_printf (
      out, "%s %s " QCOW2_HEX_FORMAT " ",
      qcow2_label_find (qcow2_severities, finding->severity), finding->rule,
      finding->offset);
  append_subject (out, &finding->subject);
  g_string_append_printf (out, ": %s\n", finding->message);
}

/* Appends the start of a message about SUBJECT: host offset OFFSET, and
 * SUBJECT. */
void
format_place (GString *out, guint64 offset, const Qcow2Subject *subject)
{
  digits_append_hex (out, offset);
  g_string_append (out, ": ");
  append_subject (out, subject);
  g_string_append (out, ": ");
}

/* Appends FINDING in the form of a message, without a newline: host offset,
 * subject, message and rule. */
void
format_finding_message (GString *out, const Qcow2Finding *finding)
{
  format_place (out, finding->offset, &finding->subject);
  g_string_append_printf (out, "%s [%s]", finding->message, finding->rule);
}
