/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/header-edit.h"

#include <string.h>

#include "edit/area-plan.h"
#include "edit/error.h"

static gboolean
is_editable (const Qcow2Field *field)
{
  return field->stored && field->format != QCOW2_BYTES;
}

/* Fails with QCOW2_ERROR_NOT_FOUND, since no field is called NAME. */
static gboolean
unknown_field (GError **error)
{
  g_autoptr (GString) names = g_string_new (NULL);

  for (const Qcow2Field *field = qcow2_header_record.fields;
       field->name != NULL; field++)
    {
      if (is_editable (field))
        g_string_append_printf (names, "%s%s", names->len > 0 ? ", " : "",
                                field->name);
    }

  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
               "there is no such header field; the fields are: %s",
               names->str);
  return FALSE;
}

/* Returns the field of the header of IMAGE with NAME.  Fails with
 * QCOW2_ERROR_NOT_FOUND if the header does not have it, and with
 * QCOW2_ERROR_TRUNCATED if the file ends before it. */
static const Qcow2Field *
find_field (const Qcow2Image *image, const char *name, GError **error)
{
  const Qcow2Header *h = &image->header;
  const Qcow2Field *field
      = qcow2_record_find (qcow2_header_record.fields, name);

  if (field == NULL || !is_editable (field))
    {
      unknown_field (error);
      return NULL;
    }

  const guint end
      = qcow2_record_get_offset (&qcow2_header_record, field) + field->size;
  const guint64 known = h->version == 2 ? QCOW2_V2_HEADER_LENGTH
                        : qcow2_header_has_compression_type (h)
                            ? h->header_length
                            : QCOW2_V3_HEADER_LENGTH;
  const guint64 file_size = byte_source_get_size (image->source);

  if (end > known)
    {
      g_set_error (
          error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
          "the header has no %s: its version is %u, and its header_length "
          "%u",
          field->name, h->version, h->header_length);
      return NULL;
    }
  if (end > file_size)
    {
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_TRUNCATED,
                   "the file ends at " QCOW2_HEX_FORMAT
                   ", in the header, before the end of %s",
                   file_size, field->name);
      return NULL;
    }

  return field;
}

/* Stores in *START and *END the range of the header that a change of FIELD
 * writes: all of it or, of a mask, the bytes that differ between the headers
 * at OLD and NEW. */
static void
trim (const Qcow2Field *field, const guint8 *old, const guint8 *new,
      guint *start, guint *end)
{
  *start = qcow2_record_get_offset (&qcow2_header_record, field);
  *end = *start + field->size;
  if (field->format != QCOW2_BITS)
    return;

  while (old[*start] == new[*start])
    (*start)++;
  while (old[*end - 1] == new[*end - 1])
    (*end)--;
}

/* Plans the change of FIELD to VALUE, with NOTE.  The old bytes are those that
 * were read with the header: the file may have changed since. */
static void
change_field (EditWork *work, const Qcow2Field *field, guint64 value,
              const char *note)
{
  const Qcow2Header *before = &work->image->header;
  Qcow2Header after = *before;
  guint8 old[QCOW2_KNOWN_HEADER_LENGTH] = { 0 };
  guint8 new[QCOW2_KNOWN_HEADER_LENGTH] = { 0 };
  guint start;
  guint end;

  if (value == qcow2_field_get_number (field, before))
    return;

  qcow2_field_store (field, &after, value);
  qcow2_record_encode (&qcow2_header_record, before, old, sizeof old);
  qcow2_record_encode (&qcow2_header_record, &after, new, sizeof new);
  trim (field, old, new, &start, &end);
  edit_plan_begin_step (work->plan);
  edit_plan_add (work->plan, start, old + start, new + start, end - start,
                 field->name, note);
  edit_work_judge_headers (work, before, &after);
}

/* Plans to set the header field NAME to VALUE.  Fails with
 * QCOW2_ERROR_NOT_FOUND if the header does not have it, with
 * QCOW2_ERROR_TRUNCATED if the file ends before it, and with EDIT_ERROR_VALUE
 * if VALUE does not fit. */
gboolean
edit_set_field (EditWork *work, const char *name, guint64 value,
                GError **error)
{
  const Qcow2Field *field = find_field (work->image, name, error);

  if (field == NULL)
    return FALSE;
  if (field->size < sizeof value && value >> (8 * field->size) != 0)
    {
      g_set_error (error, EDIT_ERROR, EDIT_ERROR_VALUE,
                   QCOW2_U64_FORMAT " does not fit into %s, which has %u bits",
                   value, field->name, 8 * field->size);
      return FALSE;
    }

  change_field (work, field, value, NULL);
  return TRUE;
}

/* Finds the bit of FIELD that is called NAME, or is BIT if IS_NUMBER.  Fails
 * with QCOW2_ERROR_NOT_FOUND. */
static gboolean
find_bit (const Qcow2Field *field, const char *name, gboolean is_number,
          guint64 *bit, GError **error)
{
  g_autoptr (GString) names = g_string_new (NULL);

  if (is_number && *bit < QCOW2_MASK_BITS)
    return TRUE;
  /* The name of a bit that has none. */
  if (!is_number && g_str_has_prefix (name, "bit-")
      && g_ascii_string_to_unsigned (name + strlen ("bit-"), 10, 0,
                                     QCOW2_MASK_BITS - 1, bit, NULL))
    return TRUE;

  for (const Qcow2Label *label = field->labels; label->name != NULL; label++)
    {
      if (!is_number && g_str_equal (label->name, name))
        {
          *bit = label->value;
          return TRUE;
        }
      g_string_append_printf (names, ", %s", label->name);
    }

  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
               "%s has no such bit; the bits are: 0 to 63%s", field->name,
               names->str);
  return FALSE;
}

/* Plans to SET or clear a bit of the mask GROUP, which is "incompatible",
 * "compatible" or "autoclear": the bit called NAME or, if IS_NUMBER, BIT.
 * Fails with QCOW2_ERROR_NOT_FOUND. */
gboolean
edit_set_bit (EditWork *work, const char *group, const char *name,
              gboolean is_number, guint64 bit, gboolean set, GError **error)
{
  g_autofree char *field_name = g_strconcat (group, "_features", NULL);
  const Qcow2Field *field = find_field (work->image, field_name, error);

  if (field == NULL || !find_bit (field, name, is_number, &bit, error))
    return FALSE;

  const guint64 mask = G_GUINT64_CONSTANT (1) << bit;
  const guint64 now = qcow2_field_get_number (field, &work->image->header);
  const char *label = qcow2_label_find (field->labels, bit);
  g_autofree char *number = g_strdup_printf ("bit-%u", (guint) bit);
  g_autofree char *note = g_strdup_printf (
      "%s is %s", label != NULL ? label : number, set ? "set" : "cleared");

  change_field (work, field, set ? now | mask : now & ~mask, note);
  return TRUE;
}

/* Refuses the plan because there is no order of its writes in which a power
 * failure does no harm, unless it can be completed from a saved plan. */
void
edit_refuse_order (EditWork *work)
{
  if (work->mode.force && work->mode.saves_plan)
    return;

  edit_refuse_always (&work->refusals,
                      EDIT_NO_ORDER "; with both --force and --save-plan it "
                                    "is done, and the plan can complete it");
}

/* Plans to write the extensions of AREA. */
static void
plan_area (EditWork *work, EditArea *area)
{
  if (!edit_area_plan (area, TRUE, work->plan, &work->refusals))
    edit_refuse_order (work);
}

/* Plans to append an extension with MAGIC, which is not 0, and DATA.  Fails
 * with QCOW2_ERROR_READ. */
gboolean
edit_add_extension (EditWork *work, guint32 magic, GBytes *data,
                    GError **error)
{
  g_autoptr (EditArea) area
      = edit_area_read (work->image, &work->refusals, error);

  if (area == NULL)
    return FALSE;

  edit_area_append (area, magic, data);
  work->needs_all |= magic == QCOW2_EXTENSION_CRYPTO;
  plan_area (work, area);
  return TRUE;
}

/* Plans to delete extension VALUE if BY_INDEX, and otherwise all extensions
 * with the magic VALUE.  Fails with QCOW2_ERROR_NOT_FOUND or
 * QCOW2_ERROR_READ. */
gboolean
edit_delete_extensions (EditWork *work, gboolean by_index, guint64 value,
                        GError **error)
{
  g_autoptr (EditArea) area
      = edit_area_read (work->image, &work->refusals, error);

  if (area == NULL)
    return FALSE;
  if (work->refusals.final != NULL)
    return TRUE;

  if (edit_area_remove (area, by_index, value) == 0)
    {
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
                   "there is no such header extension");
      return FALSE;
    }

  work->needs_all |= work->image->has_crypto;
  plan_area (work, area);
  return TRUE;
}
