/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/describe.h"

/* Gives the fields of RECORD, of the stored ones the first N_STORED. */
static void
describe_fields (Emitter *emitter, const Qcow2Field *fields,
                 gconstpointer record, guint n_stored)
{
  for (; fields->name != NULL; fields++)
    {
      if (fields->stored && n_stored == 0)
        continue;
      if (fields->stored)
        n_stored--;

      emitter_field (emitter, fields, record);
    }
}

void
describe_header (Emitter *emitter, const Qcow2Header *header)
{
  emitter_begin (emitter, EMITTER_BLOCK, "header", NULL);
  describe_fields (emitter, qcow2_header_fields, header, G_MAXUINT);
  emitter_end (emitter);
}

void
describe_extension (Emitter *emitter, const Qcow2Extension *extension)
{
  const guint n_features = qcow2_extension_get_n_features (extension);
  gconstpointer record = NULL;
  const Qcow2Field *fields
      = qcow2_extension_get_payload_fields (extension, &record);

  emitter_begin (emitter, EMITTER_BLOCK, NULL, "Header extension:");
  describe_fields (emitter, qcow2_extension_fields, extension, G_MAXUINT);
  if (fields != NULL)
    describe_fields (emitter, fields, record, extension->n_decoded);
  for (guint row = 0; row < n_features; row++)
    {
      g_auto (Qcow2Feature) feature = { 0 };

      qcow2_extension_get_feature (extension, row, &feature);
      emitter_begin (emitter, EMITTER_ROW, "feature", NULL);
      describe_fields (emitter, qcow2_feature_fields, &feature, G_MAXUINT);
      emitter_end (emitter);
    }
  emitter_end (emitter);
}

/* Begins BITMAP and gives all its fields; its table may follow before
 * emitter_end (). */
void
describe_begin_bitmap (Emitter *emitter, const Qcow2Bitmap *bitmap)
{
  emitter_begin (emitter, EMITTER_BLOCK, NULL, NULL);
  describe_fields (emitter, qcow2_bitmap_fields, bitmap, G_MAXUINT);
}

/* Begins BITMAP and gives its name alone; its table follows before
 * emitter_end (). */
void
describe_begin_bitmap_name (Emitter *emitter, const Qcow2Bitmap *bitmap)
{
  emitter_begin (emitter, EMITTER_BLOCK, NULL, NULL);
  emitter_field (emitter, qcow2_record_find (qcow2_bitmap_fields, "name"),
                 bitmap);
}
