/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/bitmap-edit.h"

#include <string.h>

#include "edit/area-plan.h"
#include "edit/header-edit.h"
#include "edit/overlay.h"
#include "edit/sharing.h"

/* The number of remaining bitmaps whose names are kept. */
#define MAX_NAMES 20

/* The entry to remove, and its directory. */
typedef struct
{
  guint64 start; /* host offset of the directory */
  guint64 end;   /* host offset after it */
  guint64 entry; /* host offset of the entry */
  guint64 next;  /* host offset of the next one, or END */
} Place;

static void
bytes_free (gpointer data)
{
  g_bytes_unref (data);
}

void
edit_removal_clear (EditRemoval *removal)
{
  g_clear_pointer (&removal->name, g_bytes_unref);
  g_clear_pointer (&removal->remaining, g_ptr_array_unref);
}

/* Refuses to remove a bitmap whose entry, or one before it, has no end. */
static void
refuse_framing (EditWork *work, guint64 offset)
{
  edit_refuse_always (&work->refusals,
                      QCOW2_HEX_FORMAT
                      ": bitmap directory: where this entry ends is unknown: "
                      "the bitmap cannot be taken out; " EDIT_HOW_TO_HIDE,
                      offset);
}

/* Returns whether a directory has bytes that are not an entry. */
static gboolean
is_unframed (const Qcow2DirectoryFacts *facts)
{
  return facts->end == QCOW2_DIRECTORY_HEAD_TRUNCATED
         || facts->end == QCOW2_DIRECTORY_ENTRY_TRUNCATED;
}

/* Returns whether the bytes after the entries that were read may be others, or
 * what is left of one.  Too few bytes for an entry are not if nb_bitmaps does
 * not count it. */
static gboolean
may_be_entries (const Qcow2DirectoryFacts *facts, guint64 nb_bitmaps)
{
  return facts->end == QCOW2_DIRECTORY_ENTRY_TRUNCATED
         || (facts->end == QCOW2_DIRECTORY_HEAD_TRUNCATED
             && facts->n_entries < nb_bitmaps)
         || (facts->end == QCOW2_DIRECTORY_AT_END
             && facts->pos < facts->file_end);
}

/* Stores in *PLACE where entry INDEX of DIRECTORY is, and its name and those
 * of the others in REMOVAL.  Adds a reason to refuse if that is unknown. Fails
 * with QCOW2_ERROR_NOT_FOUND or QCOW2_ERROR_READ. */
static gboolean
find_place (EditWork *work, Qcow2Directory *directory, guint64 index,
            Place *place, EditRemoval *removal, GError **error)
{
  const Qcow2DirectoryFacts *facts = qcow2_directory_get_facts (directory);
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  gboolean is_found = FALSE;
  Qcow2Next next;

  place->start = facts->start;
  place->end = facts->declared_end;
  place->next = facts->declared_end;
  qcow2_directory_rewind (directory);
  while ((next = qcow2_directory_next (directory, &bitmap, error))
         == QCOW2_NEXT_ITEM)
    {
      if (bitmap.index == index + 1)
        place->next = bitmap.file_offset;
      if (bitmap.index <= index && bitmap.name == NULL)
        {
          refuse_framing (work, bitmap.file_offset);
          return TRUE;
        }
      if (bitmap.index != index)
        {
          removal->n_remaining++;
          if (removal->remaining->len < MAX_NAMES)
            g_ptr_array_add (removal->remaining,
                             bitmap.name != NULL ? g_bytes_ref (bitmap.name)
                                                 : g_bytes_new (NULL, 0));
          continue;
        }

      is_found = TRUE;
      place->entry = bitmap.file_offset;
      removal->name = g_bytes_ref (bitmap.name);
    }
  if (next == QCOW2_NEXT_FAILED)
    return FALSE;

  if (!is_found && is_unframed (facts))
    {
      refuse_framing (work, facts->pos);
      return TRUE;
    }
  if (!is_found)
    {
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
                   "no bitmap has the index " QCOW2_U64_FORMAT, index);
      return FALSE;
    }

  /* Bytes that were not read are kept. */
  if (place->next == facts->declared_end && facts->pos > place->entry
      && may_be_entries (facts, work->image->bitmaps.nb_bitmaps))
    place->next = facts->pos;
  return TRUE;
}

/* Plans to delete the bitmaps extension, of which the last bitmap was
 * removed. */
static gboolean
plan_extension (EditWork *work, GError **error)
{
  g_autoptr (EditArea) area
      = edit_area_read (work->image, &work->refusals, error);

  if (area == NULL)
    return FALSE;
  if (work->refusals.final != NULL)
    return TRUE;

  edit_area_remove (area, FALSE, QCOW2_EXTENSION_BITMAPS);
  if (!edit_area_plan (area, FALSE, work->plan, &work->refusals))
    edit_refuse_order (work);
  return TRUE;
}

/* Plans a directory that is SIZE bytes shorter, without entry INDEX.  An entry
 * after those that nb_bitmaps counts is not one of them. */
static gboolean
plan_count (EditWork *work, guint64 index, guint64 size, GError **error)
{
  const Qcow2BitmapsExtension *before = &work->image->bitmaps;
  const guint64 at = work->image->bitmaps_offset;
  Qcow2BitmapsExtension after = *before;

  if (index < before->nb_bitmaps)
    after.nb_bitmaps--;
  after.bitmap_directory_size -= size;
  for (const Qcow2Field *field = qcow2_bitmaps_extension_record.fields;
       field->name != NULL; field++)
    {
      const guint offset
          = qcow2_record_get_offset (&qcow2_bitmaps_extension_record, field);
      guint8 old[sizeof after];
      guint8 new[sizeof after];

      if (qcow2_field_get_number (field, before)
          == qcow2_field_get_number (field, &after))
        continue;
      if (!byte_source_read (work->source, at + offset, old, field->size,
                             qcow2_bitmaps_extension_record.name, error))
        return FALSE;

      g_assert (qcow2_record_get_size (&qcow2_bitmaps_extension_record)
                <= sizeof new);
      qcow2_record_encode (&qcow2_bitmaps_extension_record, &after, new,
                           sizeof new);
      edit_plan_add (work->plan, at + offset, old, new + offset, field->size,
                     field->name, NULL);
    }

  return TRUE;
}

/* Plans to move the entries after the one at PLACE over it, and to zero what
 * is free then. */
static gboolean
plan_directory (EditWork *work, const Place *place, GError **error)
{
  const gsize len = (gsize) (place->end - place->entry);
  const gsize removed = (gsize) (place->next - place->entry);
  guint8 *bytes = g_malloc0 (len + removed);
  g_autoptr (GBytes) all = g_bytes_new_take (bytes, len + removed);

  if (!byte_source_read (work->source, place->entry, bytes, len,
                         "bitmap directory", error))
    return FALSE;

  /* The new bytes are the old ones without the entry, and zeroes. */
  g_autoptr (GBytes) old = g_bytes_new_from_bytes (all, 0, len);
  g_autoptr (GBytes) new = g_bytes_new_from_bytes (all, removed, len);
  edit_plan_add_change (work->plan, place->entry, old, new,
                        "bitmap directory");
  return TRUE;
}

/* Plans all steps of the removal of the entry at PLACE. */
static gboolean
plan_steps (EditWork *work, const Place *place, EditRemoval *removal,
            GError **error)
{
  const Qcow2Header *h = &work->image->header;
  const guint8 bit = (guint8) (h->autoclear_features & 0xff);
  const gboolean is_vouched = qcow2_header_bitmaps_are_consistent (h);
  const guint64 size = place->next - place->entry;
  const gboolean is_last = place->end - place->start == size;

  removal->is_vouched = is_vouched && !is_last;
  if (is_last)
    {
      if (!plan_extension (work, error))
        return FALSE;

      edit_plan_begin_step (work->plan);
      return plan_directory (work, place, error);
    }

  if (is_vouched)
    {
      edit_plan_begin_step (work->plan);
      edit_plan_add_bitmaps_bit (work->plan, bit, FALSE);
    }
  edit_plan_begin_step (work->plan);
  if (!plan_directory (work, place, error)
      || !plan_count (work, removal->index, size, error))
    return FALSE;
  if (is_vouched)
    {
      edit_plan_begin_step (work->plan);
      edit_plan_add_bitmaps_bit (work->plan, bit, TRUE);
    }
  return TRUE;
}

/* Adds a reason to refuse to WORK if the bitmap directory cannot be edited at
 * all, so that it is not known which bitmaps there are.  An image without a
 * bitmaps extension has no directory. */
void
edit_check_directory (EditWork *work)
{
  const Qcow2Image *image = work->image;
  const guint64 offset = image->bitmaps.bitmap_directory_offset;
  const guint64 size = image->bitmaps.bitmap_directory_size;
  const guint64 file_size = byte_source_get_size (image->source);
  g_autoptr (GError) error = NULL;
  g_autoptr (EditArea) area = edit_area_read (image, &work->refusals, &error);

  if (area == NULL)
    edit_refuse_always (&work->refusals, "%s", error->message);
  else if (area->n_bitmaps == 0)
    return;
  else if (area->n_bitmaps > 1)
    edit_refuse_always (&work->refusals,
                        "header extensions: there are several bitmaps "
                        "extensions: delete the others first, with "
                        "'qcow2tool del-header-ext --index N IMAGE'");
  else if (image->header.cluster_size == QCOW2_ABSENT
           || image->bitmaps.nb_bitmaps == 0 || !image->has_bitmaps
           || offset == 0 || offset > file_size || size == 0
           || size > file_size - offset || size > QCOW2_MAX_DIRECTORY_SIZE)
    edit_refuse_always (
        &work->refusals,
        QCOW2_HEX_FORMAT
        ": bitmaps extension: the bitmap directory is not all "
        "in the file, is too large, or counts no bitmap; " EDIT_HOW_TO_HIDE,
        image->bitmaps_offset);
  else if (qcow2_image_directory_is_in_first_cluster (image))
    edit_refuse_always (
        &work->refusals,
        QCOW2_HEX_FORMAT
        ": bitmaps extension: the bitmap directory is in the "
        "first cluster, which is the header's; " EDIT_HOW_TO_HIDE,
        image->bitmaps_offset);
}

/* Plans to remove entry INDEX of DIRECTORY, which is that of the image. Stores
 * what is left in *REMOVAL, which the caller clears.  Fails with
 * QCOW2_ERROR_NOT_FOUND or QCOW2_ERROR_READ. */
gboolean
edit_remove_bitmap (EditWork *work, Qcow2Directory *directory, guint64 index,
                    EditRemoval *removal, GError **error)
{
  Place place = { 0 };

  removal->index = index;
  removal->remaining = g_ptr_array_new_with_free_func (bytes_free);
  edit_check_directory (work);
  if (work->refusals.final != NULL)
    return TRUE;
  if (!find_place (work, directory, index, &place, removal, error))
    return FALSE;
  if (work->refusals.final != NULL)
    return TRUE;

  g_autoptr (EditJudgement) judgement
      = edit_judge (edit_overlay_new (work->source, NULL, FALSE), FALSE);
  edit_judge_sharing (judgement, place.start, place.end - place.start, index,
                      &work->refusals);
  return work->refusals.final != NULL
         || plan_steps (work, &place, removal, error);
}
