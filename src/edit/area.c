/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/area.h"

#include <string.h>

#include "qcow2/error.h"

/* The magic and the length of an extension.  The terminator is a head of
 * zeroes. */
#define HEAD QCOW2_EXTENSION_HEAD_LENGTH

static void
extension_free (gpointer data)
{
  EditExtension *extension = data;

  g_bytes_unref (extension->stored);
  g_free (extension);
}

/* Adds a reason to REFUSALS because the walk over the extensions ended in a
 * state in which they cannot be written again. */
static void
refuse_walk (const Qcow2WalkPosition *at, EditRefusals *refusals)
{
  edit_refuse_always (refusals,
                      QCOW2_HEX_FORMAT
                      ": header extension " QCOW2_U64_FORMAT
                      ": the extension area cannot be walked to its end: see "
                      "qcow2tool check; " EDIT_HOW_TO_HIDE,
                      at->pos, at->index);
}

/* A Qcow2ExtensionFunc that keeps EXTENSION as it is on disk. */
static gboolean
keep (const Qcow2Extension *extension, gpointer data,
      GError **error G_GNUC_UNUSED)
{
  EditArea *area = data;
  const guint64 size = qcow2_extension_get_stored_size (extension->length);

  if (extension->file_offset > area->len
      || size > area->len - extension->file_offset)
    return TRUE;

  EditExtension *kept = g_new0 (EditExtension, 1);
  kept->magic = extension->magic;
  kept->offset = extension->file_offset;
  kept->stored
      = g_bytes_new (area->bytes + extension->file_offset, (gsize) size);
  g_ptr_array_add (area->extensions, kept);
  area->end = extension->file_offset + size;
  if (extension->magic == QCOW2_EXTENSION_BITMAPS)
    area->n_bitmaps++;
  return TRUE;
}

static gboolean
read_extensions (EditArea *area, const Qcow2Image *image,
                 EditRefusals *refusals, GError **error)
{
  g_autoptr (Qcow2ExtensionWalk) walk
      = qcow2_extension_walk_new (image->source, &image->header);

  if (!qcow2_extension_walk_each (walk, keep, area, error))
    return FALSE;

  const Qcow2WalkPosition *at = qcow2_extension_walk_get_position (walk);
  const gboolean is_ended
      = at->state == QCOW2_AT_TERMINATOR || at->state == QCOW2_AT_AREA_END;

  area->is_terminated = at->state == QCOW2_AT_TERMINATOR;
  if (!is_ended || at->index != area->extensions->len || area->end != at->pos)
    {
      refuse_walk (at, refusals);
      return TRUE;
    }
  if (area->is_terminated)
    area->end += HEAD;
  return TRUE;
}

/* Notes where the backing file name of IMAGE is, and refuses names in other
 * places than the specification allows. */
static void
note_name (EditArea *area, const Qcow2Image *image, EditRefusals *refusals)
{
  const Qcow2Header *h = &image->header;

  area->has_name = h->backing_file_offset != 0;
  area->name_offset = h->backing_file_offset;
  area->name_size = h->backing_file_size;
  if (!area->has_name)
    return;

  if (area->name_offset < area->start || area->name_offset > area->len
      || area->name_size > area->len - area->name_offset
      || area->name_size > QCOW2_MAX_BACKING_FILE_NAME)
    edit_refuse_always (refusals,
                        QCOW2_HEX_FORMAT
                        ": header: the backing file name, " QCOW2_U64_FORMAT
                        " bytes at " QCOW2_HEX_FORMAT
                        ", does not lie between the header and the end of the "
                        "first cluster: set backing_file_offset first",
                        (guint64) QCOW2_AT (qcow2_header_record, Qcow2Header,
                                            backing_file_offset),
                        area->name_size, area->name_offset);
}

/* Returns the first cluster of IMAGE.  If its extensions cannot be written
 * again, adds a reason to REFUSALS.  Fails with QCOW2_ERROR_READ. */
EditArea *
edit_area_read (const Qcow2Image *image, EditRefusals *refusals,
                GError **error)
{
  g_autoptr (EditArea) area = g_new0 (EditArea, 1);
  const Qcow2Header *h = &image->header;
  guint64 area_end = 0;

  area->extensions = g_ptr_array_new_with_free_func (extension_free);
  area->is_vouched = qcow2_header_bitmaps_are_consistent (h);
  area->is_hidden = !area->is_vouched;
  if (!qcow2_header_get_extension_area (h, &area->start, &area_end)
      || area->start > byte_source_get_size (image->source))
    {
      edit_refuse_always (
          refusals, "header: header_length or cluster_bits is wrong: "
                    "where the extensions are is unknown; " EDIT_HOW_TO_HIDE);
      return g_steal_pointer (&area);
    }

  area->len = (gsize) MIN (MIN (h->cluster_size, EDIT_MAX_FIRST_CLUSTER),
                           byte_source_get_size (image->source));
  area->bytes = g_malloc (area->len);
  area->end = area->start;
  if (!byte_source_read (image->source, 0, area->bytes, area->len, "header",
                         error))
    return NULL;

  note_name (area, image, refusals);
  return read_extensions (area, image, refusals, error)
             ? g_steal_pointer (&area)
             : NULL;
}

void
edit_area_free (EditArea *area)
{
  if (area == NULL)
    return;

  g_free (area->bytes);
  g_ptr_array_unref (area->extensions);
  g_free (area);
}

/* Stores backing_file_offset, which is OFFSET, in the header at BYTES. */
void
edit_area_store_name_offset (guint8 *bytes, guint64 offset)
{
  const Qcow2Field *field
      = QCOW2_FIELD (qcow2_header_record, Qcow2Header, backing_file_offset);
  const guint at = qcow2_record_get_offset (&qcow2_header_record, field);
  const Qcow2Header header = { .backing_file_offset = offset };
  guint8 encoded[QCOW2_KNOWN_HEADER_LENGTH] = { 0 };

  qcow2_record_encode (&qcow2_header_record, &header, encoded, sizeof encoded);
  memcpy (bytes + at, encoded + at, field->size);
}

/* Appends an extension with MAGIC and DATA to AREA. */
void
edit_area_append (EditArea *area, guint32 magic, GBytes *data)
{
  gsize len;
  const guint8 *from = g_bytes_get_data (data, &len);
  const gsize size = (gsize) qcow2_extension_get_stored_size (len);
  g_autofree guint8 *stored = g_malloc0 (size);
  const Qcow2Extension head = { .magic = magic, .length = (guint32) len };
  EditExtension *extension = g_new0 (EditExtension, 1);

  qcow2_record_encode (&qcow2_extension_record, &head, stored, HEAD);
  if (len > 0)
    memcpy (stored + HEAD, from, len);
  extension->magic = magic;
  extension->stored = g_bytes_new_take (g_steal_pointer (&stored), size);
  g_ptr_array_add (area->extensions, extension);
}

/* Removes the extension whose index is VALUE if BY_INDEX, and otherwise all
 * whose magic is VALUE.  Returns their number. */
guint
edit_area_remove (EditArea *area, gboolean by_index, guint64 value)
{
  guint n = 0;

  if (by_index)
    {
      if (value >= area->extensions->len)
        return 0;

      g_ptr_array_remove_index (area->extensions, (guint) value);
      return 1;
    }

  for (guint i = area->extensions->len; i > 0; i--)
    {
      const EditExtension *extension
          = g_ptr_array_index (area->extensions, i - 1);

      if (extension->magic != value)
        continue;

      g_ptr_array_remove_index (area->extensions, i - 1);
      n++;
    }

  return n;
}
