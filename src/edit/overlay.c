/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/overlay.h"

typedef struct
{
  ByteSource base;
  ByteSource *below;
  const EditPlan *plan;
  gboolean undo;
} Overlay;

static gssize
overlay_read (ByteSource *source, guint64 offset, guint8 *buffer, gsize len)
{
  const Overlay *self = (Overlay *) source;
  const gssize got
      = self->below->klass->read (self->below, offset, buffer, len);

  if (got > 0 && self->plan != NULL)
    edit_plan_overlay (self->plan, self->undo, offset, buffer, (gsize) got);

  return got;
}

static ByteSourceLock
overlay_probe_lock (ByteSource *source, guint64 offset)
{
  return byte_source_probe_lock (((Overlay *) source)->below, offset);
}

static void
overlay_free (ByteSource *source)
{
  g_free (source);
}

static const ByteSourceClass overlay_class
    = { .read = overlay_read,
        .probe_lock = overlay_probe_lock,
        .has_changed = NULL,
        .free = overlay_free };

/* Returns a source that reads BASE with the changes of PLAN or, with UNDO,
 * without them.  PLAN may be NULL: the source is BASE as it is.  Both must
 * outlive the source and are not freed with it. */
ByteSource *
edit_overlay_new (ByteSource *base, const EditPlan *plan, gboolean undo)
{
  Overlay *self = g_new0 (Overlay, 1);

  self->base.klass = &overlay_class;
  self->base.size = byte_source_get_size (base);
  self->below = base;
  self->plan = plan;
  self->undo = undo;
  return &self->base;
}
