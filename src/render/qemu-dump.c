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
  GString *out;
  Emitter *json;    /* NULL: text */
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

/* Returns a dump that appends JSON, or else text, to OUT, which must outlive
 * it. */
QemuDump *
qemu_dump_new (GString *out, gboolean json)
{
  QemuDump *dump = g_new0 (QemuDump, 1);

  dump->out = out;
  dump->json = json ? emitter_new_json_ascii (out) : NULL;
  return dump;
}

/* Appends the numbers of the bits that are set in VALUE, in the format of a
 * Python list. */
static void
append_bit_list (GString *out, guint64 value)
{
  const char *separator = "";

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

static void
append_number (QemuDump *dump, const Qcow2Field *field, gconstpointer record)
{
  Qcow2Field plain = *field;

  plain.format = QCOW2_DEC;
  emitter_field (dump->json, &plain, record);
}

static void
append_header_field (QemuDump *dump, const Qcow2Field *field,
                     const Qcow2Header *header)
{
  if (dump->json != NULL)
    {
      append_number (dump, field, header);
      return;
    }
  if (field->format != QCOW2_BITS)
    {
      format_line (dump->out, field->name, field, header);
      return;
    }

  g_string_append_printf (dump->out, "%-25s ", field->name);
  append_bit_list (dump->out, qcow2_field_get_number (field, header));
}

/* Appends the fields of HEADER that the dumper knows. */
void
qemu_dump_header (QemuDump *dump, const Qcow2Header *header)
{
  if (dump->json != NULL)
    emitter_begin (dump->json, EMITTER_BLOCK, NULL, NULL);
  for (guint i = 0; i < N_HEADER_FIELDS; i++)
    append_header_field (dump, &qcow2_header_record.fields[i], header);
  if (dump->json != NULL)
    {
      emitter_end (dump->json);
      g_string_append_c (dump->out, '\n');
    }
  g_string_append_c (dump->out, '\n');
}

void
qemu_dump_begin_extensions (QemuDump *dump)
{
  if (dump->json != NULL)
    emitter_begin (dump->json, EMITTER_LIST, NULL, NULL);
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

static void
append_fields (QemuDump *dump, const Qcow2Field *fields, gconstpointer record,
               guint n)
{
  for (; fields->name != NULL && n > 0; fields++)
    {
      if (!fields->stored || !qcow2_field_is_shown (fields))
        continue;

      n--;
      if (dump->json != NULL)
        append_number (dump, fields, record);
      else
        format_line (dump->out, fields->name, fields, record);
    }
}

static void
begin_json_extension (QemuDump *dump, const Qcow2Extension *extension,
                      char *data)
{
  static const Qcow2Field data_field
      = { .name = "data_str", .format = QCOW2_WORD, .size = sizeof (char *) };

  emitter_begin (dump->json, EMITTER_BLOCK, NULL, NULL);
  emitter_field (dump->json,
                 qcow2_record_find (qcow2_extension_record.fields, "name"),
                 extension);
  append_fields (dump, qcow2_extension_record.fields, extension, G_MAXUINT);
  if (data != NULL)
    {
      emitter_field (dump->json, &data_field, &data);
      return;
    }

  emitter_begin (dump->json, EMITTER_BLOCK, "data", NULL);
  append_fields (dump, qcow2_bitmaps_extension_record.fields,
                 &extension->bitmaps, extension->n_decoded);
  emitter_begin (dump->json, EMITTER_LIST, "bitmap_directory", NULL);
}

static void
begin_text_extension (QemuDump *dump, const Qcow2Extension *extension,
                      const char *data)
{
  g_string_append (dump->out, "Header extension:\n");
  append_fields (dump, qcow2_extension_record.fields, extension, G_MAXUINT);
  if (data != NULL)
    g_string_append_printf (dump->out, "%-25s %s\n", "data", data);
  else
    append_fields (dump, qcow2_bitmaps_extension_record.fields,
                   &extension->bitmaps, extension->n_decoded);
}

/* Begins EXTENSION.  If it is the bitmaps extension, the caller adds the
 * bitmaps before calling qemu_dump_end_extension (). */
void
qemu_dump_begin_extension (QemuDump *dump, const Qcow2Extension *extension)
{
  g_autofree char *data = NULL;

  dump->bitmaps = extension->magic == QCOW2_EXTENSION_BITMAPS;
  if (!dump->bitmaps)
    data = data_string (extension);

  if (dump->json != NULL)
    begin_json_extension (dump, extension, data);
  else
    begin_text_extension (dump, extension, data);
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
  for (gsize i = 0; i < len; i++)
    {
      if (!g_ascii_isprint (bytes[i]))
        return FALSE;
    }

  return TRUE;
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

/* The dumper has no name for the third flag. */
static void
append_flags (GString *out, guint32 flags)
{
  static const Qcow2Label names[]
      = { { 0, "in-use" }, { 1, "auto" }, { 0, NULL } };
  static const Qcow2Field field = { .name = "flags",
                                    .format = QCOW2_BITS,
                                    .size = sizeof (guint32),
                                    .labels = names };

  format_line (out, "flags", &field, &flags);
}

/* Unlike format_name (), does not escape a backslash in a printable ASCII
 * name. */
static void
append_name (GString *out, GBytes *name)
{
  g_string_append_printf (out, "%-25s ", "Bitmap name");
  if (qemu_dump_is_plain (name))
    g_string_append_len (out, g_bytes_get_data (name, NULL),
                         (gssize) g_bytes_get_size (name));
  else
    format_name (out, name);
  g_string_append_c (out, '\n');
}

static void
append_text_bitmap (QemuDump *dump, const Qcow2Bitmap *bitmap)
{
  g_string_append_c (dump->out, '\n');
  for (const Qcow2Field *it = qcow2_bitmap_record.fields; it->name != NULL;
       it++)
    {
      if (g_str_equal (it->name, "flags"))
        append_flags (dump->out, bitmap->flags);
      else if (g_str_equal (it->name, "name"))
        append_name (dump->out, bitmap->name);
      else if (it->stored && qcow2_field_is_shown (it))
        format_line (dump->out, it->text != NULL ? it->text : it->name, it,
                     bitmap);
    }
  g_string_append_printf (dump->out, "%-14s %-15s %-12s %s\n", "Bitmap table",
                          "type", "size", "offset");
}

/* Begins BITMAP.  The caller adds the entries of its table before calling
 * qemu_dump_end_bitmap (). */
void
qemu_dump_begin_bitmap (QemuDump *dump, const Qcow2Bitmap *bitmap)
{
  if (dump->json == NULL)
    {
      append_text_bitmap (dump, bitmap);
      return;
    }

  emitter_begin (dump->json, EMITTER_BLOCK, NULL, NULL);
  emitter_field (dump->json,
                 qcow2_record_find (qcow2_bitmap_record.fields, "name"),
                 bitmap);
  append_fields (dump, qcow2_bitmap_record.fields, bitmap, G_MAXUINT);
  emitter_begin (dump->json, EMITTER_LIST, "bitmap_table", NULL);
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
append_json_row (QemuDump *dump, const Entry *entry)
{
  emitter_begin (dump->json, EMITTER_BLOCK, NULL, NULL);
  for (const Qcow2Field *it = entry_fields; it->name != NULL; it++)
    emitter_field (dump->json, it, entry);
  emitter_end (dump->json);
}

/* Appends the N_ENTRIES table entries at ENTRIES to the current bitmap. */
void
qemu_dump_rows (QemuDump *dump, const Qcow2TableEntry *entries,
                gsize n_entries)
{
  for (gsize i = 0; i < n_entries; i++)
    {
      const Entry entry = translate (&entries[i]);

      if (dump->json != NULL)
        append_json_row (dump, &entry);
      else
        g_string_append_printf (
            dump->out,
            "%-14" G_GINT64_MODIFIER "u %-15s %-12" G_GINT64_MODIFIER
            "u " QCOW2_U64_FORMAT "\n",
            entries[i].index, entry.type, entry.size, entry.offset);
    }
}

void
qemu_dump_end_bitmap (QemuDump *dump)
{
  if (dump->json == NULL)
    return;

  emitter_end (dump->json);
  emitter_end (dump->json);
}

void
qemu_dump_end_extension (QemuDump *dump)
{
  if (dump->json == NULL)
    {
      g_string_append_c (dump->out, '\n');
      return;
    }

  if (dump->bitmaps)
    {
      emitter_end (dump->json);
      emitter_end (dump->json);
    }
  emitter_end (dump->json);
}

void
qemu_dump_end_extensions (QemuDump *dump)
{
  if (dump->json == NULL)
    return;

  emitter_end (dump->json);
  g_string_append_c (dump->out, '\n');
}

void
qemu_dump_free (QemuDump *dump)
{
  if (dump == NULL)
    return;

  emitter_free (dump->json);
  g_free (dump);
}
