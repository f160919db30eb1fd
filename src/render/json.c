/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Emitter for programs: JSON (RFC 8259), one object per image, streamed. */

#include "config.h"

#include "render/emitter.h"

#include <string.h>

#include "qcow2/printable.h"
#include "render/digits.h"
#include "render/format.h"

/* Maximum nesting depth of an image without those within it; the dumps of
 * qemu-dump.c need seven levels. */
#define IMAGE_DEPTH 8

/* Maximum number of open images, each within a list of the one before. */
#define MAX_IMAGES 4

#define MAX_DEPTH (MAX_IMAGES * IMAGE_DEPTH)
#define INDENT 4

/* Maximum number of keys of an image's object that are remembered. */
#define MAX_KEYS 8

/* U+FFFD, which replaces bytes that are not valid UTF-8. */
#define REPLACEMENT "\xef\xbf\xbd"

typedef struct
{
  char closer;       /* closing character: ] or } */
  gboolean one_line; /* even in an indented document */
  gboolean has_item;
} Level;

/* An open image. */
typedef struct
{
  guint depth;                /* of its members */
  const char *keys[MAX_KEYS]; /* keys of its object */
  guint n_keys;
} Image;

typedef struct
{
  Emitter base;
  gboolean indented;
  gboolean ascii; /* escape all but ASCII; no _hex members */
  Level levels[MAX_DEPTH];
  guint depth;
  Image images[MAX_IMAGES]; /* from the outermost one */
  guint n_images;
} JsonEmitter;

static void
append_line_break (const JsonEmitter *self)
{
  GString *out = self->base.out;

  g_string_append_c (out, '\n');
  for (guint i = 0; i < self->depth * INDENT; i++)
    g_string_append_c (out, ' ');
}

static gboolean
is_one_line (const JsonEmitter *self)
{
  return !self->indented
         || (self->depth > 0 && self->levels[self->depth - 1].one_line);
}

static void
append_unit (GString *out, guint unit)
{
  g_string_append (out, "\\u");
  digits_append_byte (out, (guint8) (unit >> 8));
  digits_append_byte (out, (guint8) unit);
}

static void
append_escaped_unit (GString *out, gunichar c)
{
  if (c >= 0x10000)
    {
      append_unit (out, 0xd800 + ((c - 0x10000) >> 10));
      c = 0xdc00 + ((c - 0x10000) & 0x3ff);
    }

  append_unit (out, c);
}

/* Appends the escape sequence for the character of SIZE bytes at BYTES, or the
 * replacement character for a byte that is not valid UTF-8. */
static void
append_escaped (const JsonEmitter *self, const char *bytes, gsize size)
{
  GString *out = self->base.out;
  static const char specials[] = "\b\t\n\f\r\"\\";
  static const char letters[] = "btnfr\"\\";
  const guint8 first = (guint8) *bytes;
  const char *special = first != 0 ? strchr (specials, first) : NULL;

  if (size > 1)
    append_escaped_unit (out, g_utf8_get_char (bytes));
  else if (special != NULL)
    {
      g_string_append_c (out, '\\');
      g_string_append_c (out, letters[special - specials]);
    }
  else if (first < 0x80)
    append_escaped_unit (out, first);
  else
    g_string_append (out, self->ascii ? "\\ufffd" : REPLACEMENT);
}

/* Appends the first character of the LEN bytes at BYTES, which is not plain
 * ASCII, and stores its length in bytes in *SIZE.  Returns whether it is valid
 * UTF-8. */
static gboolean
append_character (const JsonEmitter *self, const char *bytes, gsize len,
                  gsize *size)
{
  const gboolean printable
      = qcow2_char_is_printable ((const guint8 *) bytes, len, size);

  if (printable && *size > 1 && !self->ascii)
    g_string_append_len (self->base.out, bytes, (gssize) *size);
  else
    append_escaped (self, bytes, *size);

  return *size > 1 || (guint8) *bytes < 0x80;
}

/* Appends the LEN bytes at BYTES as a string.  Returns whether they are valid
 * UTF-8; bytes that are not become replacement characters. */
static gboolean
append_string (const JsonEmitter *self, const char *bytes, gsize len)
{
  GString *out = self->base.out;
  gboolean valid = TRUE;

  g_string_append_c (out, '"');
  while (len > 0)
    {
      gsize size = qcow2_count_plain ((const guint8 *) bytes, len);

      if (size > 0)
        g_string_append_len (out, bytes, (gssize) size);
      else
        valid = append_character (self, bytes, len, &size) && valid;

      bytes += size;
      len -= size;
    }
  g_string_append_c (out, '"');
  return valid;
}

static void
append_c_string (const JsonEmitter *self, const char *string)
{
  append_string (self, string, strlen (string));
}

/* Begins the member KEY of the current object, or an item of the current
 * array. */
static void
begin_item (JsonEmitter *self, const char *key)
{
  GString *out = self->base.out;

  if (self->depth == 0)
    return;

  Level *level = &self->levels[self->depth - 1];
  if (level->has_item)
    g_string_append_c (out, ',');
  if (!is_one_line (self))
    append_line_break (self);
  else if (level->has_item && self->indented)
    g_string_append_c (out, ' ');
  level->has_item = TRUE;

  if (level->closer == ']')
    return;

  append_c_string (self, key);
  g_string_append (out, self->indented ? ": " : ":");
}

static void
open_level (JsonEmitter *self, char opener, char closer, gboolean one_line)
{
  g_assert (self->depth < MAX_DEPTH);

  self->levels[self->depth].closer = closer;
  self->levels[self->depth].one_line = one_line;
  self->levels[self->depth].has_item = FALSE;
  self->depth++;
  g_string_append_c (self->base.out, opener);
}

static void
close_level (JsonEmitter *self)
{
  g_assert (self->depth > 0);

  const gboolean one_line = is_one_line (self);
  const Level level = self->levels[--self->depth];
  if (level.has_item && !one_line)
    append_line_break (self);
  g_string_append_c (self->base.out, level.closer);
}

/* Appends the LEN bytes at BYTES as the string member KEY.  If they are not
 * valid UTF-8, another member, with the suffix "_hex", holds them in
 * hexadecimal. */
static void
append_member_string (JsonEmitter *self, const char *key, const char *bytes,
                      gsize len)
{
  GString *out = self->base.out;

  begin_item (self, key);
  if (append_string (self, bytes, len) || self->ascii)
    return;

  g_autofree char *hex_key = g_strconcat (key, "_hex", NULL);
  begin_item (self, hex_key);
  g_string_append_c (out, '"');
  for (gsize i = 0; i < len; i++)
    digits_append_byte (out, (guint8) bytes[i]);
  g_string_append_c (out, '"');
}

static void
json_begin_image (Emitter *emitter, const char *path,
                  gboolean several G_GNUC_UNUSED)
{
  JsonEmitter *self = (JsonEmitter *) emitter;

  g_assert (self->n_images < MAX_IMAGES);

  begin_item (self, NULL);
  open_level (self, '{', '}', FALSE);
  self->images[self->n_images].depth = self->depth;
  self->images[self->n_images].n_keys = 0;
  self->n_images++;
  append_member_string (self, "filename", path, strlen (path));
}

/* Returns the innermost open image, or NULL. */
static Image *
get_image (JsonEmitter *self)
{
  return self->n_images > 0 ? &self->images[self->n_images - 1] : NULL;
}

/* Remembers KEY, a static string, if it belongs to the object of the innermost
 * image. */
static void
remember_key (JsonEmitter *self, const char *key)
{
  Image *image = get_image (self);

  if (image != NULL && self->depth == image->depth && image->n_keys < MAX_KEYS)
    image->keys[image->n_keys++] = key;
}

static gboolean
has_key (const Image *image, const char *key)
{
  for (guint i = 0; i < image->n_keys; i++)
    {
      if (g_str_equal (image->keys[i], key))
        return TRUE;
    }

  return FALSE;
}

static void
json_null (Emitter *emitter, const char *key)
{
  remember_key ((JsonEmitter *) emitter, key);
  begin_item ((JsonEmitter *) emitter, key);
  g_string_append (emitter->out, "null");
}

static void
json_end_groups (Emitter *emitter, const char *const *keys)
{
  JsonEmitter *self = (JsonEmitter *) emitter;
  const Image *image = get_image (self);

  g_assert (image != NULL);

  while (self->depth > image->depth)
    close_level (self);
  for (; *keys != NULL; keys++)
    {
      if (!has_key (image, *keys))
        json_null (emitter, *keys);
    }
}

static void
json_end_image (Emitter *emitter)
{
  JsonEmitter *self = (JsonEmitter *) emitter;

  g_assert (self->n_images > 0);

  close_level (self);
  self->n_images--;
  if (self->n_images == 0)
    g_string_append_c (emitter->out, '\n');
}

static void
json_begin (Emitter *emitter, EmitterGroup group, const char *key,
            const char *heading G_GNUC_UNUSED)
{
  JsonEmitter *self = (JsonEmitter *) emitter;

  remember_key (self, key);
  begin_item (self, key);
  switch (group)
    {
    case EMITTER_LIST:
    case EMITTER_TABLE:
      open_level (self, '[', ']', FALSE);
      return;
    case EMITTER_BLOCK:
      open_level (self, '{', '}', FALSE);
      return;
    case EMITTER_ROW:
      open_level (self, '{', '}', TRUE);
      return;
    }
}

/* Appends the names of the bits that are set in VALUE.  Only our own names are
 * used: a name from the image may be anything. */
static void
append_bit_names (JsonEmitter *self, const Qcow2Field *field, guint64 value)
{
  g_autofree char *key = g_strconcat (field->name, "_names", NULL);
  GString *out = self->base.out;

  begin_item (self, key);
  open_level (self, '[', ']', TRUE);
  for (guint bit = 0; bit < QCOW2_MASK_BITS; bit++)
    {
      const char *label = qcow2_label_find (field->labels, bit);

      if ((value >> bit & 1) == 0)
        continue;

      begin_item (self, NULL);
      if (label != NULL)
        append_c_string (self, label);
      else
        g_string_append_printf (out, "\"bit-%u\"", bit);
    }
  close_level (self);
}

static void
append_label (JsonEmitter *self, const Qcow2Field *field, guint64 value)
{
  const char *label = qcow2_label_find (field->labels, value);
  const char *name = label != NULL ? label : field->absent;

  if (name != NULL)
    append_c_string (self, name);
  else
    digits_append (self->base.out, value);
}

static void
append_number (JsonEmitter *self, const Qcow2Field *field, guint64 value)
{
  begin_item (self, field->name);
  if (field->format == QCOW2_NAME)
    append_label (self, field, value);
  else if (field->format == QCOW2_BOOL)
    g_string_append (self->base.out, value != 0 ? "true" : "false");
  else
    digits_append (self->base.out, value);

  if (field->format == QCOW2_BITS)
    append_bit_names (self, field, value);
}

static void
json_field (Emitter *emitter, const Qcow2Field *field, gconstpointer record)
{
  JsonEmitter *self = (JsonEmitter *) emitter;

  remember_key (self, field->name);
  if (!qcow2_field_has_value (field, record))
    {
      json_null (emitter, field->name);
      return;
    }
  if (!qcow2_field_is_string (field))
    {
      append_number (self, field, qcow2_field_get_number (field, record));
      return;
    }

  gsize len;
  const char *bytes = qcow2_field_get_string (field, record, &len);
  append_member_string (self, field->name, bytes, len);
}

/* Maximum size in bytes of a key with its separators. */
#define KEY_MAX 32

/* A member of a row. */
typedef struct
{
  const Qcow2Field *field;
  char before[KEY_MAX]; /* the text before the value */
  gsize before_len;
} Column;

typedef struct
{
  Column columns[FORMAT_MAX_COLUMNS];
  guint n;
  const char *separator; /* between the items of an array in a row */
  gsize row_max; /* bytes of a row without the text before the next row, at
                    most */
} RowStyle;

/* The maximum number of bytes around a flag: quotes, a comma and a space. */
#define FLAG_OVERHEAD 4

/* Returns the number of bytes that the value of FIELD takes in addition to the
 * names of all its flags, at most. */
static gsize
get_flags_overhead (const Qcow2Field *field)
{
  gsize n = 0;

  if (field->format != QCOW2_FLAGS)
    return 0;

  while (field->labels[n].name != NULL)
    n++;

  return strlen ("[]") + n * FLAG_OVERHEAD;
}

static RowStyle
get_style (const JsonEmitter *self, const Qcow2Field *fields)
{
  const char *space = self->indented ? " " : "";
  RowStyle style = { .row_max = 1, .separator = self->indented ? ", " : "," };

  for (; fields->name != NULL; fields++)
    {
      if (!qcow2_field_is_shown (fields)
          || (fields->column == QCOW2_COLUMN_LONG && !self->base.all_columns))
        continue;

      g_assert (style.n < FORMAT_MAX_COLUMNS);
      Column *column = &style.columns[style.n];
      column->field = fields;
      column->before_len = (gsize) g_snprintf (
          column->before, sizeof column->before, "%s%s\"%s\":%s%s",
          style.n == 0 ? "{" : ",", style.n == 0 ? "" : space, fields->name,
          space, fields->format == QCOW2_NAME ? "\"" : "");
      g_assert (column->before_len < sizeof column->before);
      style.row_max += column->before_len + 1 + format_get_cell_max (fields)
                       + get_flags_overhead (fields);
      style.n++;
    }

  return style;
}

/* Writes an array of the names of the bits of VALUE, a mask of LABELS, to AT,
 * with SEPARATOR between them.  Returns the end of the array. */
static char *
put_flags (char *at, const Qcow2Label *labels, guint64 value,
           const char *separator)
{
  const char *before = "";

  *at++ = '[';
  for (; labels->name != NULL; labels++)
    {
      if ((value >> labels->value & 1) == 0)
        continue;

      at = digits_put_text (at, before);
      *at++ = '"';
      at = digits_put_text (at, labels->name);
      *at++ = '"';
      before = separator;
    }
  *at++ = ']';
  return at;
}

static char *
put_row (char *at, const RowStyle *style, gconstpointer structure)
{
  for (guint i = 0; i < style->n; i++)
    {
      const Column *column = &style->columns[i];
      const Qcow2Field *field = column->field;
      const guint64 value = qcow2_field_load (field, structure);

      /* Some bytes more than are needed, because their number is constant. */
      memcpy (at, column->before, sizeof column->before);
      at += column->before_len;
      if (field->format == QCOW2_NAME)
        {
          at = digits_put_text (at, qcow2_label_find (field->labels, value));
          *at++ = '"';
        }
      else if (field->format == QCOW2_FLAGS)
        at = put_flags (at, field->labels, value, style->separator);
      else if (value == QCOW2_ABSENT && !field->stored)
        at = digits_put_text (at, "null");
      else
        at = digits_put (at, value);
    }

  *at++ = '}';
  return at;
}

/* Appends the rows in place because there may be 2^27 of them.  Their fields
 * are numbers, names or flags. */
static void
json_rows (Emitter *emitter, const EmitterRows *rows)
{
  JsonEmitter *self = (JsonEmitter *) emitter;
  const RowStyle style = get_style (self, rows->fields);
  const guint8 *structure = rows->structures;
  GString *out = emitter->out;

  if (rows->n == 0)
    return;

  g_autofree char *separator
      = self->indented
            ? g_strdup_printf (",\n%*s", (int) (self->depth * INDENT), "")
            : g_strdup (",");
  begin_item (self, NULL);
  const gsize start = out->len;
  g_string_set_size (
      out, start + rows->n * (style.row_max + strlen (separator)) + KEY_MAX);
  char *at = out->str + start;
  for (gsize i = 0; i < rows->n; i++)
    {
      if (i > 0)
        at = digits_put_text (at, separator);
      at = put_row (at, &style, structure + i * rows->size);
    }
  g_string_set_size (out, (gsize) (at - out->str));
}

static void
json_end (Emitter *emitter)
{
  close_level ((JsonEmitter *) emitter);
}

static void
json_free (Emitter *emitter)
{
  g_free (emitter);
}

static const EmitterClass json_class = { .begin_image = json_begin_image,
                                         .end_groups = json_end_groups,
                                         .end_image = json_end_image,
                                         .begin = json_begin,
                                         .field = json_field,
                                         .rows = json_rows,
                                         .null = json_null,
                                         .end = json_end,
                                         .free = json_free };

/* Returns an emitter that appends JSON to OUT, which must outlive it.  The
 * JSON is INDENTED for people to read, or has one line per image. */
Emitter *
emitter_new_json (GString *out, gboolean indented)
{
  JsonEmitter *self = g_new0 (JsonEmitter, 1);

  self->base.klass = &json_class;
  self->base.out = out;
  self->base.machine_readable = TRUE;
  self->indented = indented;
  return &self->base;
}

/* Returns an emitter that appends indented JSON in ASCII to OUT, which must
 * outlive it, in the format that Python writes. */
Emitter *
emitter_new_json_ascii (GString *out)
{
  Emitter *emitter = emitter_new_json (out, TRUE);

  ((JsonEmitter *) emitter)->ascii = TRUE;
  return emitter;
}
