/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/qemu-dump.h"

#include <string.h>

#include "qcow2/printable.h"
#include "render/emitter.h"
#include "render/format.h"

/* Number of header fields up to header_length, the last one that the dumper
 * knows. */
#define N_HEADER_FIELDS 18

struct QemuDump
{
  Emitter *emitter; /* of JSON, or of the dumper's text */
  gboolean bitmaps; /* the current extension is that of bitmaps */
};

/* A table entry in the terms of the dumper. */
typedef struct
{
  const char *type;
  guint64 size;
  guint64 offset;
  guint64 reserved;
} Entry;

/* clang-format off */
static const Qcow2Field entry_fields[] = {
  QCOW2_DERIVED (Entry, "type", type, QCOW2_WORD, .text = NULL),
  QCOW2_DERIVED (Entry, "offset", offset, QCOW2_DEC, .text = NULL),
  QCOW2_DERIVED (Entry, "reserved", reserved, QCOW2_DEC, .text = NULL),
  QCOW2_FIELD_END
};
/* clang-format on */

static gboolean
is_plain (const char *bytes, gsize len)
{
  for (gsize i = 0; i < len; i++)
    {
      if (!g_ascii_isprint (bytes[i]))
        return FALSE;
    }

  return TRUE;
}

/* Returns whether NAME, the name of a bitmap or NULL if it cannot be read, is
 * printed exactly as QEMU's dumper prints it.  The dumper stops at a name that
 * is not ASCII, and prints control characters unescaped. */
gboolean
qemu_dump_is_plain (GBytes *name)
{
  gsize len;

  if (name == NULL)
    return FALSE;

  const char *bytes = g_bytes_get_data (name, &len);
  return is_plain (bytes, len);
}

/* Returns whether NAME is ASCII; the dumper stops at any other name. */
gboolean
qemu_dump_is_ascii (GBytes *name)
{
  gsize len;
  const char *bytes = g_bytes_get_data (name, &len);

  for (gsize i = 0; i < len; i++)
    {
      if ((bytes[i] & 0x80) != 0)
        return FALSE;
    }

  return TRUE;
}

/* Appends the numbers of the bits that are set in VALUE, in the format of a
 * Python list. */
static void
append_bit_list (GString *out, const char *name, guint64 value)
{
  const char *separator = "";

  g_string_append_printf (out, "%-25s ", name);
  g_string_append_c (out, '[');
  for (guint bit = 0; bit < QCOW2_MASK_BITS; bit++)
    {
      if ((value >> bit & 1) == 0)
        continue;

      g_string_append_printf (out, "%s%u", separator, bit);
      separator = ", ";
    }
  g_string_append (out, "]\n");
}

/* The dumper has no name for the third flag. */
static void
append_flags (GString *out, const Qcow2Field *field, gconstpointer record)
{
  static const Qcow2Label names[]
      = { { 0, "in-use" }, { 1, "auto" }, { 0, NULL } };
  Qcow2Field flags = *field;

  flags.labels = names;
  format_line (out, flags.name, &flags, record);
}

/* Appends a line with the string FIELD of RECORD.  Unlike format_line (), does
 * not escape a backslash in a printable ASCII name, and nothing in a word: the
 * data of an extension. */
static void
append_string (GString *out, const char *text, const Qcow2Field *field,
               gconstpointer record)
{
  gsize len;
  const char *string = qcow2_field_get_string (field, record, &len);

  if (field->format == QCOW2_WORD || is_plain (string, len))
    g_string_append_printf (out, "%-25s %.*s\n", text, (int) len, string);
  else
    format_line (out, text, field, record);
}

static void
text_begin (Emitter *emitter, EmitterGroup group G_GNUC_UNUSED,
            const char *key G_GNUC_UNUSED, const char *heading)
{
  if (heading != NULL)
    g_string_append_printf (emitter->out, "%s\n", heading);
}

static void
text_field (Emitter *emitter, const Qcow2Field *field, gconstpointer record)
{
  const char *text = field->text != NULL ? field->text : field->name;
  GString *out = emitter->out;

  if (*text == '\0')
    return;

  if (qcow2_field_is_string (field) && qcow2_field_has_value (field, record))
    append_string (out, text, field, record);
  else if (field->format != QCOW2_BITS)
    format_line (out, text, field, record);
  else if (g_str_equal (field->name, "flags"))
    append_flags (out, field, record);
  else
    append_bit_list (out, text, qcow2_field_get_number (field, record));
}

static void
text_end (Emitter *emitter G_GNUC_UNUSED)
{
}

static void
text_free (Emitter *emitter)
{
  g_free (emitter);
}

/* The text of the dumper, for the events of a dump only. */
static const EmitterClass text_class = {
  .begin = text_begin, .field = text_field, .end = text_end, .free = text_free
};

static Emitter *
new_text (GString *out)
{
  Emitter *emitter = g_new0 (Emitter, 1);

  emitter->klass = &text_class;
  emitter->out = out;
  return emitter;
}

/* Returns a dump that appends JSON, or else text, to OUT, which must outlive
 * it. */
QemuDump *
qemu_dump_new (GString *out, gboolean json)
{
  QemuDump *dump = g_new0 (QemuDump, 1);

  dump->emitter = json ? emitter_new_json_ascii (out) : new_text (out);
  return dump;
}

/* Emits the first N of FIELDS that are stored.  In JSON, they are numbers
 * without names. */
static void
emit_fields (QemuDump *dump, const Qcow2Field *fields, gconstpointer record,
             guint n)
{
  for (; fields->name != NULL && n > 0; fields++)
    {
      Qcow2Field field = *fields;

      if (!field.stored || !qcow2_field_is_shown (&field))
        continue;

      n--;
      if (dump->emitter->machine_readable)
        field.format = QCOW2_DEC;
      emitter_field (dump->emitter, &field, record);
    }
}

static void
emit_name (QemuDump *dump, const Qcow2Record *layout, gconstpointer record)
{
  emitter_field (dump->emitter, qcow2_record_find (layout->fields, "name"),
                 record);
}

/* Ends the current group and appends what follows it in either form. */
static void
end_group (QemuDump *dump, const char *after_json, const char *after_text)
{
  Emitter *emitter = dump->emitter;

  emitter_end (emitter);
  g_string_append (emitter->out,
                   emitter->machine_readable ? after_json : after_text);
}

/* Appends the fields of HEADER that the dumper knows. */
void
qemu_dump_header (QemuDump *dump, const Qcow2Header *header)
{
  emitter_begin (dump->emitter, EMITTER_BLOCK, NULL, NULL);
  emit_fields (dump, qcow2_header_record.fields, header, N_HEADER_FIELDS);
  end_group (dump, "\n\n", "\n");
}

void
qemu_dump_begin_extensions (QemuDump *dump)
{
  emitter_begin (dump->emitter, EMITTER_LIST, NULL, NULL);
}

static char *
data_string (const Qcow2Extension *extension)
{
  gsize len = 0;
  const guint8 *bytes = extension->bytes != NULL
                            ? g_bytes_get_data (extension->bytes, &len)
                            : NULL;

  if (bytes == NULL && extension->length > 0)
    return g_strdup ("<unreadable>");
  if (!qcow2_bytes_are_printable (bytes, len))
    return g_strdup ("<binary>");

  return g_strdup_printf ("'%.*s'", (int) len, (const char *) bytes);
}

/* Begins EXTENSION.  If it is the bitmaps extension, the caller adds the
 * bitmaps before calling qemu_dump_end_extension (). */
void
qemu_dump_begin_extension (QemuDump *dump, const Qcow2Extension *extension)
{
  static const Qcow2Field data_field = { .name = "data_str",
                                         .text = "data",
                                         .format = QCOW2_WORD,
                                         .size = sizeof (char *) };

  emitter_begin (dump->emitter, EMITTER_BLOCK, NULL, "Header extension:");
  emit_name (dump, &qcow2_extension_record, extension);
  emit_fields (dump, qcow2_extension_record.fields, extension, G_MAXUINT);
  dump->bitmaps = extension->magic == QCOW2_EXTENSION_BITMAPS;
  if (!dump->bitmaps)
    {
      g_autofree char *data = data_string (extension);

      emitter_field (dump->emitter, &data_field, &data);
      return;
    }

  emitter_begin (dump->emitter, EMITTER_BLOCK, "data", NULL);
  emit_fields (dump, qcow2_bitmaps_extension_record.fields,
               &extension->bitmaps, extension->n_decoded);
  emitter_begin (dump->emitter, EMITTER_LIST, "bitmap_directory", NULL);
}

/* Begins BITMAP.  The caller adds the entries of its table before calling
 * qemu_dump_end_bitmap (). */
void
qemu_dump_begin_bitmap (QemuDump *dump, const Qcow2Bitmap *bitmap)
{
  emitter_begin (dump->emitter, EMITTER_BLOCK, NULL, "");
  emit_name (dump, &qcow2_bitmap_record, bitmap);
  emit_fields (dump, qcow2_bitmap_record.fields, bitmap, G_MAXUINT);
  emitter_begin (dump->emitter, EMITTER_LIST, "bitmap_table",
                 "Bitmap table   type            size         offset");
}

static Entry
translate (const Qcow2TableEntry *entry)
{
  const gboolean invalid
      = entry->type == QCOW2_ENTRY_SERIALIZED && entry->all_ones != 0;
  const gboolean stored = entry->type == QCOW2_ENTRY_SERIALIZED && !invalid;
  const char *type = qcow2_label_find (qcow2_entry_types, entry->type);
  const Entry translated
      = { .type = invalid ? "invalid" : type,
          .size = stored ? entry->size : 0,
          .offset = entry->offset,
          .reserved = entry->reserved_low | entry->reserved_high };

  return translated;
}

static void
append_json_row (Emitter *emitter, const Entry *entry)
{
  emitter_begin (emitter, EMITTER_BLOCK, NULL, NULL);
  for (const Qcow2Field *it = entry_fields; it->name != NULL; it++)
    emitter_field (emitter, it, entry);
  emitter_end (emitter);
}

static void
append_text_row (GString *out, guint64 index, const Entry *entry)
{
  g_string_append_printf (out,
                          "%-14" G_GINT64_MODIFIER
                          "u %-15s %-12" G_GINT64_MODIFIER
                          "u " QCOW2_U64_FORMAT "\n",
                          index, entry->type, entry->size, entry->offset);
}

/* Appends the N_ENTRIES table entries at ENTRIES to the current bitmap. */
void
qemu_dump_rows (QemuDump *dump, const Qcow2TableEntry *entries,
                gsize n_entries)
{
  Emitter *emitter = dump->emitter;

  for (gsize i = 0; i < n_entries; i++)
    {
      const Entry entry = translate (&entries[i]);

      if (emitter->machine_readable)
        append_json_row (emitter, &entry);
      else
        append_text_row (emitter->out, entries[i].index, &entry);
    }
}

void
qemu_dump_end_bitmap (QemuDump *dump)
{
  emitter_end (dump->emitter);
  emitter_end (dump->emitter);
}

void
qemu_dump_end_extension (QemuDump *dump)
{
  if (dump->bitmaps)
    {
      emitter_end (dump->emitter);
      emitter_end (dump->emitter);
    }
  end_group (dump, "", "\n");
}

void
qemu_dump_end_extensions (QemuDump *dump)
{
  end_group (dump, "\n", "");
}

void
qemu_dump_free (QemuDump *dump)
{
  if (dump == NULL)
    return;

  emitter_free (dump->emitter);
  g_free (dump);
}
