/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/area-plan.h"

#include <string.h>

#include "edit/order.h"
#include "qcow2/error.h"

/* The terminator is a head of zeroes. */
#define HEAD QCOW2_EXTENSION_HEAD_LENGTH

/* Returns whether a bitmaps extension of AREA moves or is new, or one of those
 * on disk is missing. */
static gboolean
changes_bitmaps (const EditArea *area)
{
  guint64 offset = area->start;
  guint n = 0;

  for (guint i = 0; i < area->extensions->len; i++)
    {
      const EditExtension *extension = g_ptr_array_index (area->extensions, i);

      if (extension->magic == QCOW2_EXTENSION_BITMAPS)
        {
          if (extension->offset != offset)
            return TRUE;
          n++;
        }
      offset += g_bytes_get_size (extension->stored);
    }

  return n != area->n_bitmaps;
}

/* Returns the number of bytes that the extensions of AREA and the terminator
 * take. */
static guint64
measure (const EditArea *area)
{
  guint64 size = HEAD;

  for (guint i = 0; i < area->extensions->len; i++)
    {
      const EditExtension *extension = g_ptr_array_index (area->extensions, i);

      size += g_bytes_get_size (extension->stored);
    }

  return size;
}

/* Returns the host offset of the byte of autoclear_features that holds the
 * bitmaps bit. */
guint64
edit_area_get_bitmaps_byte (void)
{
  const Qcow2Field *field
      = QCOW2_FIELD (qcow2_header_record, Qcow2Header, autoclear_features);

  return qcow2_record_get_offset (&qcow2_header_record, field) + field->size
         - 1;
}

/* Adds the byte of autoclear_features that holds the bitmaps bit, and is BYTE,
 * to the last step of PLAN: with the bit SET or clear. */
void
edit_plan_add_bitmaps_bit (EditPlan *plan, guint8 byte, gboolean set)
{
  const Qcow2Field *field
      = QCOW2_FIELD (qcow2_header_record, Qcow2Header, autoclear_features);
  const guint8 with = byte | QCOW2_AUTOCLEAR_BITMAPS;
  const guint8 without = byte & (guint8) ~QCOW2_AUTOCLEAR_BITMAPS;

  edit_plan_add (plan, edit_area_get_bitmaps_byte (), set ? &without : &with,
                 set ? &with : &without, 1, field->name,
                 set ? "bitmaps is set" : "bitmaps is cleared");
}

/* Writes the extensions of AREA, the terminator and the name to BYTES, where
 * those on disk are, and zeroes what they no longer take.  The name begins at
 * host offset END, after the terminator. */
static void
lay_out (const EditArea *area, guint8 *bytes, guint64 end)
{
  guint8 *at = bytes + area->start;

  memset (at, 0, area->end - area->start);
  if (area->has_name)
    memset (bytes + area->name_offset, 0, area->name_size);
  for (guint i = 0; i < area->extensions->len; i++)
    {
      const EditExtension *extension = g_ptr_array_index (area->extensions, i);
      gsize size;
      const guint8 *stored = g_bytes_get_data (extension->stored, &size);

      memcpy (at, stored, size);
      at += size;
    }
  memset (at, 0, HEAD);
  if (area->has_name)
    {
      edit_area_store_name_offset (bytes, end);
      memcpy (bytes + end, area->bytes + area->name_offset, area->name_size);
    }
}

/* Adds to PLAN the steps that write the extensions of AREA in place of those
 * on disk, and makes AREA what is on disk then.  Returns FALSE if no order of
 * them is safe. */
static gboolean
write_extensions (EditArea *area, EditPlan *plan)
{
  const guint64 end = area->start + measure (area);
  g_autofree guint8 *bytes = g_malloc (area->len);

  memcpy (bytes, area->bytes, area->len);
  lay_out (area, bytes, end);
  const gboolean is_ordered = edit_order_plan (area, bytes, end, plan);

  memcpy (area->bytes, bytes, area->len);
  area->end = end;
  area->is_terminated = TRUE;
  area->name_offset = end;
  return is_ordered;
}

/* Adds to PLAN the steps that write the extensions of AREA in two parts,
 * between which there is no bitmaps extension: it is hidden anyway.  Returns
 * FALSE if no order of them is safe. */
static gboolean
write_bitmaps_last (EditArea *area, EditPlan *plan)
{
  g_autoptr (GPtrArray) others = g_ptr_array_new ();
  GPtrArray *all = area->extensions;

  for (guint i = 0; i < all->len; i++)
    {
      EditExtension *extension = g_ptr_array_index (all, i);

      if (extension->magic == QCOW2_EXTENSION_BITMAPS)
        extension->offset = 0;
      else
        g_ptr_array_add (others, extension);
    }

  area->extensions = others;
  const gboolean is_ordered = write_extensions (area, plan);
  area->extensions = all;
  return is_ordered && write_extensions (area, plan);
}

static void
add_steps (EditPlan *plan, const EditPlan *steps)
{
  for (guint i = 0; i < edit_plan_get_n_steps (steps); i++)
    edit_plan_add_step (plan, edit_plan_get_step (steps, i), FALSE);
}

/* Adds to PLAN the steps that write the extensions of AREA, at once or, if
 * only that is safe, in two parts.  Returns FALSE if neither is. */
static gboolean
plan_steps (const EditArea *area, EditPlan *plan)
{
  g_autoptr (EditPlan) at_once = edit_plan_new ();
  g_autoptr (EditPlan) in_parts = edit_plan_new ();
  g_autofree guint8 *bytes = g_malloc (area->len);
  EditArea copy = *area;

  copy.bytes = memcpy (bytes, area->bytes, area->len);
  const gboolean is_ordered = write_extensions (&copy, at_once);
  if (is_ordered || !area->is_hidden)
    {
      add_steps (plan, at_once);
      return is_ordered;
    }

  copy = *area;
  copy.bytes = memcpy (bytes, area->bytes, area->len);
  const gboolean is_safe = write_bitmaps_last (&copy, in_parts);
  add_steps (plan, is_safe ? in_parts : at_once);
  return is_safe;
}

/* Adds to PLAN the steps that write the extensions of AREA in place of those
 * on disk.  The bitmaps bit is cleared meanwhile if a bitmaps extension
 * changes; it is set again afterwards if KEEPS_BIT.  If the extensions do not
 * fit, adds a reason to REFUSALS.  Returns FALSE if no order of the writes is
 * safe. */
gboolean
edit_area_plan (EditArea *area, gboolean keeps_bit, EditPlan *plan,
                EditRefusals *refusals)
{
  if (refusals->final != NULL)
    return TRUE;

  const guint64 size = measure (area);
  const guint64 room = area->len - area->start;
  const guint64 name_size = area->has_name ? area->name_size : 0;
  const gboolean hides = area->is_vouched && changes_bitmaps (area);

  if (size > room || name_size > room - size)
    {
      edit_refuse_always (
          refusals,
          "the extensions, their terminator and the backing "
          "file name would take " QCOW2_U64_FORMAT
          " bytes, but the first cluster has room for " QCOW2_U64_FORMAT,
          size + name_size, room);
      return TRUE;
    }

  const guint8 bit = hides ? area->bytes[edit_area_get_bitmaps_byte ()] : 0;
  if (hides)
    {
      edit_plan_begin_step (plan);
      edit_plan_add_bitmaps_bit (plan, bit, FALSE);
      area->is_hidden = TRUE;
    }

  const gboolean is_ordered = plan_steps (area, plan);
  if (hides && keeps_bit)
    {
      edit_plan_begin_step (plan);
      edit_plan_add_bitmaps_bit (plan, bit, TRUE);
    }
  return is_ordered;
}
