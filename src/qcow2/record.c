/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/record.h"

#include <string.h>

static gconstpointer
member (const Qcow2Field *field, gconstpointer record)
{
  return (const guint8 *) record + field->offset;
}

static void
store (const Qcow2Field *field, gpointer record, guint64 value)
{
  guint8 *to = (guint8 *) record + field->offset;
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

/* Decodes the stored FIELDS from the LEN bytes at BYTES into RECORD.  On disk
 * the fields are packed and big-endian.  Stops at the first field that does
 * not fit and leaves it and all later fields of RECORD unchanged.  Returns the
 * number of stored fields that were decoded. */
guint
qcow2_record_decode (const Qcow2Field *fields, const guint8 *bytes, gsize len,
                     gpointer record)
{
  guint n_decoded = 0;

  for (const Qcow2Field *field = fields; field->name != NULL; field++)
    {
      if (!field->stored)
        continue;
      if (field->size > len)
        return n_decoded;

      store (field, record, qcow2_load_be (bytes, field->size));
      bytes += field->size;
      len -= field->size;
      n_decoded++;
    }

  return n_decoded;
}

/* Returns the size on disk, in bytes, of the structure that FIELDS
 * describe. */
gsize
qcow2_record_get_size (const Qcow2Field *fields)
{
  gsize size = 0;

  for (const Qcow2Field *field = fields; field->name != NULL; field++)
    size += field->stored ? field->size : 0;

  return size;
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

gboolean
qcow2_field_is_string (const Qcow2Field *field)
{
  return field->format == QCOW2_STRING || field->format == QCOW2_QUOTED
         || field->format == QCOW2_WORD;
}

/* Returns whether FIELD has a value in RECORD.  A stored number always has
 * one.  A derived QCOW2_NAME without a label has none, unless the field has a
 * text for absent values. */
gboolean
qcow2_field_has_value (const Qcow2Field *field, gconstpointer record)
{
  if (field->presence != 0)
    {
      gboolean present;

      memcpy (&present, (const guint8 *) record + field->presence,
              sizeof present);
      return present;
    }
  if (qcow2_field_is_string (field))
    return *(gconstpointer const *) member (field, record) != NULL;
  if (field->format == QCOW2_NAME && !field->stored)
    return field->absent != NULL
           || qcow2_label_find (field->labels,
                                qcow2_field_get_number (field, record))
                  != NULL;

  return field->stored
         || qcow2_field_get_number (field, record) != QCOW2_ABSENT;
}

/* Returns the number in FIELD of RECORD.  FIELD must not be a string. */
guint64
qcow2_field_get_number (const Qcow2Field *field, gconstpointer record)
{
  const guint8 *from = member (field, record);
  guint16 value16;
  guint32 value32;
  guint64 value64;

  g_assert (!qcow2_field_is_string (field));

  switch (field->size)
    {
    case 1:
      return *from;
    case 2:
      memcpy (&value16, from, sizeof value16);
      return value16;
    case 4:
      memcpy (&value32, from, sizeof value32);
      return value32;
    case 8:
      memcpy (&value64, from, sizeof value64);
      return value64;
    default:
      g_assert_not_reached ();
    }
}

/* Returns the string in FIELD of RECORD and stores its length in bytes in
 * *LEN.  The string must be present; RECORD owns it. */
const char *
qcow2_field_get_string (const Qcow2Field *field, gconstpointer record,
                        gsize *len)
{
  const gconstpointer string = *(gconstpointer const *) member (field, record);

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
qcow2_field_get_bit_names (const Qcow2Field *field, gconstpointer record)
{
  if (field->bit_names == 0)
    return NULL;

  return (const char *const *) (gconstpointer) ((const guint8 *) record
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
