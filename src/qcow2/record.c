/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/record.h"

#include <string.h>

static gconstpointer
member (const Qcow2Field *field, gconstpointer structure)
{
  return (const guint8 *) structure + field->offset;
}

/* Stores VALUE in the member of FIELD, a number, in STRUCTURE.  VALUE must fit
 * into the member. */
void
qcow2_field_store (const Qcow2Field *field, gpointer structure, guint64 value)
{
  guint8 *to = (guint8 *) structure + field->offset;
  const guint16 value16 = (guint16) value;
  const guint32 value32 = (guint32) value;

  switch (field->size)
    {
    case 1:
      *to = (guint8) value;
      return;
    case 2:
      memcpy (to, &value16, sizeof value16);
      return;
    case 4:
      memcpy (to, &value32, sizeof value32);
      return;
    case 8:
      memcpy (to, &value, sizeof value);
      return;
    default:
      g_assert_not_reached ();
    }
}

/* Returns the big-endian number in the SIZE bytes at BYTES.  SIZE is at most
 * 8. */
guint64
qcow2_load_be (const guint8 *bytes, gsize size)
{
  guint64 value = 0;

  g_assert (size <= sizeof value);

  for (gsize i = 0; i < size; i++)
    value = value << 8 | bytes[i];

  return value;
}

/* Returns the number of leading zero bytes in the LEN bytes at BYTES. */
gsize
qcow2_count_zeroes (const guint8 *bytes, gsize len)
{
  static const guint8 zeroes[256];
  gsize n = 0;

  while (len - n >= sizeof zeroes
         && memcmp (bytes + n, zeroes, sizeof zeroes) == 0)
    n += sizeof zeroes;
  while (len - n >= 8 && qcow2_load_word (bytes + n) == 0)
    n += 8;
  while (n < len && bytes[n] == 0)
    n++;

  return n;
}

/* Stores VALUE as a big-endian number in the SIZE bytes at BYTES. */
static void
store_be (guint8 *bytes, gsize size, guint64 value)
{
  for (gsize i = size; i > 0; i--)
    {
      bytes[i - 1] = (guint8) (value & 0xff);
      value >>= 8;
    }
}

/* Decodes the fields of ENTRY into STRUCTURE.  Returns their number. */
static guint
unpack (const Qcow2Record *record, guint64 entry, gpointer structure)
{
  guint n_decoded = 0;

  for (const Qcow2Field *field = record->fields; field->name != NULL; field++)
    {
      if (!field->stored)
        continue;

      qcow2_field_store (field, structure, qcow2_field_unpack (field, entry));
      n_decoded++;
    }

  return n_decoded;
}

/* Encodes the fields of STRUCTURE into *ENTRY.  Returns their number. */
static guint
pack (const Qcow2Record *record, gconstpointer structure, guint64 *entry)
{
  guint n_encoded = 0;

  *entry = 0;
  for (const Qcow2Field *field = record->fields; field->name != NULL; field++)
    {
      if (!field->stored)
        continue;

      const guint64 value = qcow2_field_load (field, structure);
      *entry |= (field->in_place ? value : value << field->first_bit)
                & qcow2_field_get_mask (field);
      n_encoded++;
    }

  return n_encoded;
}

/* Decodes the stored fields of RECORD from the LEN bytes at BYTES into
 * STRUCTURE.  On disk the fields are big-endian.  Stops at the first field
 * that does not fit and leaves it and all later fields of STRUCTURE unchanged.
 * Returns the number of stored fields that were decoded. */
guint
qcow2_record_decode (const Qcow2Record *record, const guint8 *bytes, gsize len,
                     gpointer structure)
{
  guint n_decoded = 0;

  if (record->packed_size > len)
    return 0;
  if (record->packed_size > 0)
    return unpack (record, qcow2_load_be (bytes, record->packed_size),
                   structure);

  for (const Qcow2Field *field = record->fields; field->name != NULL; field++)
    {
      if (!field->stored)
        continue;
      if (field->size > len)
        return n_decoded;

      if (field->format == QCOW2_BYTES)
        memcpy ((guint8 *) structure + field->offset, bytes, field->size);
      else
        qcow2_field_store (field, structure,
                           qcow2_load_be (bytes, field->size));
      bytes += field->size;
      len -= field->size;
      n_decoded++;
    }

  return n_decoded;
}

/* Encodes the stored fields of RECORD in STRUCTURE into the LEN bytes at
 * BYTES: the inverse of qcow2_record_decode ().  Stops at the first field that
 * does not fit and leaves its bytes and all later bytes unchanged.  Returns
 * the number of stored fields that were encoded. */
guint
qcow2_record_encode (const Qcow2Record *record, gconstpointer structure,
                     guint8 *bytes, gsize len)
{
  guint n_encoded = 0;

  if (record->packed_size > len)
    return 0;
  if (record->packed_size > 0)
    {
      guint64 entry;

      n_encoded = pack (record, structure, &entry);
      store_be (bytes, record->packed_size, entry);
      return n_encoded;
    }

  for (const Qcow2Field *field = record->fields; field->name != NULL; field++)
    {
      if (!field->stored)
        continue;
      if (field->size > len)
        return n_encoded;

      if (field->format == QCOW2_BYTES)
        memcpy (bytes, member (field, structure), field->size);
      else
        store_be (bytes, field->size, qcow2_field_load (field, structure));
      bytes += field->size;
      len -= field->size;
      n_encoded++;
    }

  return n_encoded;
}

/* Returns the offset of FIELD, one of the fields of RECORD, in bytes from the
 * start of the structure on disk.  The offset after all fields is that of the
 * row that ends the table.  All fields of a packed record are at offset 0. */
guint
qcow2_record_get_offset (const Qcow2Record *record, const Qcow2Field *field)
{
  guint offset = 0;

  if (record->packed_size > 0)
    return 0;

  for (const Qcow2Field *it = record->fields; it != field; it++)
    offset += it->stored ? it->size : 0;

  return offset;
}

/* Returns the size on disk, in bytes, of the structure that RECORD
 * declares. */
guint
qcow2_record_get_size (const Qcow2Record *record)
{
  const Qcow2Field *end = record->fields;

  if (record->packed_size > 0)
    return record->packed_size;

  while (end->name != NULL)
    end++;

  return qcow2_record_get_offset (record, end);
}

/* Returns the stored field of RECORD that is decoded into the member of SIZE
 * bytes at OFFSET in the struct.  There must be one: see QCOW2_FIELD (). */
const Qcow2Field *
qcow2_record_get_field (const Qcow2Record *record, gsize offset, gsize size)
{
  const Qcow2Field *field = record->fields;

  while (field->name != NULL
         && !(field->stored && field->offset == offset && field->size == size))
    field++;

  g_assert (field->name != NULL);
  return field;
}

/* Returns the field in FIELDS whose name or alias is NAME, or NULL if there is
 * none. */
const Qcow2Field *
qcow2_record_find (const Qcow2Field *fields, const char *name)
{
  for (const Qcow2Field *field = fields; field->name != NULL; field++)
    {
      if (g_str_equal (field->name, name)
          || g_strcmp0 (field->alias, name) == 0)
        return field;
    }

  return NULL;
}

/* Returns whether FIELD is in the output and can be selected by --field. */
gboolean
qcow2_field_is_shown (const Qcow2Field *field)
{
  return field->format != QCOW2_HIDDEN && field->format != QCOW2_BYTES;
}

gboolean
qcow2_field_is_string (const Qcow2Field *field)
{
  return field->format == QCOW2_STRING || field->format == QCOW2_QUOTED
         || field->format == QCOW2_WORD;
}

/* Returns whether FIELD has a value in STRUCTURE.  A stored number always has
 * one.  A derived QCOW2_NAME without a label has none, unless the field has a
 * text for absent values. */
gboolean
qcow2_field_has_value (const Qcow2Field *field, gconstpointer structure)
{
  if (field->presence != 0)
    {
      gboolean present;

      memcpy (&present, (const guint8 *) structure + field->presence,
              sizeof present);
      return present;
    }
  if (qcow2_field_is_string (field))
    return *(gconstpointer const *) member (field, structure) != NULL;
  if (field->format == QCOW2_NAME && !field->stored)
    return field->absent != NULL
           || qcow2_label_find (field->labels,
                                qcow2_field_get_number (field, structure))
                  != NULL;

  return field->stored
         || qcow2_field_get_number (field, structure) != QCOW2_ABSENT;
}

/* Returns the number in FIELD of STRUCTURE.  FIELD must be a number. */
guint64
qcow2_field_get_number (const Qcow2Field *field, gconstpointer structure)
{
  g_assert (!qcow2_field_is_string (field) && field->format != QCOW2_BYTES);

  return qcow2_field_load (field, structure);
}

/* Returns the string in FIELD of STRUCTURE and stores its length in bytes in
 * *LEN.  The string must be present; STRUCTURE owns it. */
const char *
qcow2_field_get_string (const Qcow2Field *field, gconstpointer structure,
                        gsize *len)
{
  const gconstpointer string
      = *(gconstpointer const *) member (field, structure);

  g_assert (qcow2_field_is_string (field) && string != NULL);

  if (field->format != QCOW2_WORD)
    return g_bytes_get_data ((GBytes *) string, len);

  *len = strlen (string);
  return string;
}

/* Returns the names that the image defines for the bits of FIELD:
 * QCOW2_MASK_BITS strings, each of which may be NULL.  Returns NULL if an
 * image cannot define names for FIELD. */
const char *const *
qcow2_field_get_bit_names (const Qcow2Field *field, gconstpointer structure)
{
  if (field->bit_names == 0)
    return NULL;

  return (const char *const *) (gconstpointer) ((const guint8 *) structure
                                                + field->bit_names);
}

/* Returns the name of VALUE in LABELS, or NULL if it has none. */
const char *
qcow2_label_find (const Qcow2Label *labels, guint64 value)
{
  for (; labels->name != NULL; labels++)
    {
      if (labels->value == value)
        return labels->name;
    }

  return NULL;
}
