/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/order.h"

#include <string.h>

/* No sector. */
#define NONE G_MAXUINT64

/* A range of the first cluster. */
typedef struct
{
  guint64 start;
  guint64 end;
} Range;

typedef struct
{
  const EditArea *area;
  EditPlan *plan;
  const guint8 *final; /* the bytes after the edit */
  guint8 *now;         /* the bytes after the steps so far */
  guint8 *referred;    /* for each byte: whether the header refers to it */
  guint8 *target;      /* the bytes after the current step */
} Order;

static gboolean
is_in (Range range, guint64 offset)
{
  return offset >= range.start && offset < range.end;
}

static gboolean
are_apart (Range a, Range b)
{
  return a.start >= a.end || b.start >= b.end || a.end <= b.start
         || b.end <= a.start;
}

/* Ends a step: adds the bytes that change in it, with NOTE. */
static void
end_step (Order *order, const char *note)
{
  const gsize len = order->area->len;

  if (memcmp (order->now, order->target, len) == 0)
    return;

  edit_plan_begin_step (order->plan);
  edit_plan_add_changes (order->plan, 0, order->now, order->target, len, note);
  memcpy (order->now, order->target, len);
}

/* Adds RANGE with its final bytes to the current step. */
static void
add_final (Order *order, Range range)
{
  memcpy (order->target + range.start, order->final + range.start,
          range.end - range.start);
}

/* Adds the backing file name, at host offset OFFSET, to the current step. */
static void
add_name (Order *order, guint64 offset)
{
  memcpy (order->target + offset,
          order->area->bytes + order->area->name_offset,
          order->area->name_size);
}

/* Adds the step in which the header refers to the name at OFFSET. */
static void
refer_to_name (Order *order, guint64 offset)
{
  edit_area_store_name_offset (order->target, offset);
  end_step (order, "backing_file_offset");
}

/* Notes the bytes that the header refers to: the extensions, except for the
 * data of a bitmaps extension that is hidden, and the name. */
static void
note_referred (Order *order)
{
  const EditArea *area = order->area;

  memset (order->referred + area->start, 1, area->end - area->start);
  for (guint i = 0; area->is_hidden && i < area->extensions->len; i++)
    {
      const EditExtension *extension = g_ptr_array_index (area->extensions, i);
      const gsize size = g_bytes_get_size (extension->stored);

      if (extension->magic == QCOW2_EXTENSION_BITMAPS
          && extension->offset != 0)
        memset (order->referred + extension->offset
                    + QCOW2_EXTENSION_HEAD_LENGTH,
                0, size - QCOW2_EXTENSION_HEAD_LENGTH);
    }
  if (area->has_name)
    memset (order->referred + area->name_offset, 1, area->name_size);
}

/* Returns the sector that the final write of the extensions in RANGE has to
 * change: that of the bytes that change and are referred to.  Returns NONE if
 * there are no such bytes, and stores FALSE in *IS_ONE if they are in
 * several. */
static guint64
find_switch (const Order *order, Range range, gboolean *is_one)
{
  guint64 sector = NONE;

  *is_one = TRUE;
  for (guint64 i = range.start; i < range.end; i++)
    {
      if (order->referred[i] == 0 || order->now[i] == order->final[i])
        continue;
      if (sector != NONE && sector != i / EDIT_SECTOR_SIZE)
        *is_one = FALSE;

      sector = i / EDIT_SECTOR_SIZE;
    }

  return sector;
}

/* Stores in *COPY where the name can be meanwhile: apart from the RANGES.
 * Returns FALSE if there is no room. */
static gboolean
find_room (const Order *order, const Range *ranges, guint n, guint64 *copy)
{
  const guint64 len = order->area->len;
  const guint64 size = order->area->name_size;

  /* At the end of the cluster, or before the name at its end. */
  for (guint64 start = len - MIN (size, len);; start--)
    {
      const Range range = { start, start + size };
      gboolean is_free = size <= len;

      for (guint i = 0; i < n; i++)
        is_free = is_free && are_apart (range, ranges[i]);
      if (is_free)
        {
          *copy = start;
          return TRUE;
        }
      if (start <= order->area->start)
        return FALSE;
    }
}

/* The places of the extensions and of the name. */
typedef struct
{
  Range old_area;
  Range new_area;
  Range old_name;
  Range new_name;
  guint64 way;    /* host offset of the name while the extensions change */
  gboolean moves; /* the name has to move */
} Places;

/* Fills in way of PLACES.  The old extensions end where the name is, so that
 * even an empty one is after them.  Returns FALSE if there is no room for the
 * name. */
static gboolean
choose_way (const Order *order, Places *places)
{
  const Range ranges[] = { places->old_area, places->new_area,
                           places->old_name, places->new_name };

  places->way = places->new_name.start;
  if (!places->moves
      || (places->new_name.start >= places->old_area.end
          && are_apart (places->new_name, places->old_name)))
    return TRUE;

  return find_room (order, ranges, G_N_ELEMENTS (ranges), &places->way);
}

/* Writes everything in one step, because there is no safe order of several.
 * Returns whether that is safe, too: if there is only one sector. */
static gboolean
write_at_once (Order *order, const Places *places)
{
  const gboolean is_safe = order->area->len <= EDIT_SECTOR_SIZE;

  add_final (order, (Range){ order->area->start, order->area->len });
  if (order->area->has_name)
    edit_area_store_name_offset (order->target, places->new_name.start);
  end_step (order, is_safe ? "header extensions"
                           : "header extensions, in no safe order");
  return is_safe;
}

/* Adds the steps that write the extensions.  IS_SWITCHED says whether the
 * header refers to the name at its place on the way; otherwise the write of
 * the sector SWITCH makes it do that. */
static void
write_area (Order *order, const Places *places, guint64 sector,
            gboolean is_switched)
{
  const Range area = places->new_area;
  Range in_sector = { 0, 0 };

  if (sector != NONE)
    in_sector = (Range){ MAX (area.start, sector * EDIT_SECTOR_SIZE),
                         MIN (area.end, (sector + 1) * EDIT_SECTOR_SIZE) };
  for (guint64 i = area.start; i < area.end; i++)
    {
      if (!is_in (in_sector, i))
        add_final (order, (Range){ i, i + 1 });
    }
  end_step (order, "header extensions, which nothing refers to yet");
  if (in_sector.start < in_sector.end)
    add_final (order, in_sector);
  if (!is_switched)
    edit_area_store_name_offset (order->target, places->way);
  end_step (order, "header extensions");
}

static gboolean
plan_steps (Order *order, Places *places)
{
  const EditArea *area = order->area;
  gboolean is_one;
  gboolean is_switched = !places->moves;

  note_referred (order);
  if (!choose_way (order, places))
    return write_at_once (order, places);

  if (places->moves)
    {
      add_name (order, places->way);
      end_step (order, "backing file name");
    }
  if (places->moves && area->is_terminated)
    {
      refer_to_name (order, places->way);
      memset (order->referred + places->old_name.start, 0,
              places->old_name.end - places->old_name.start);
      is_switched = TRUE;
    }

  guint64 sector = find_switch (order, places->new_area, &is_one);
  if (!is_switched && is_one && (sector == NONE || sector == 0))
    sector = 0;
  else if (!is_one || !is_switched)
    return write_at_once (order, places);

  write_area (order, places, sector, is_switched);
  if (places->moves && places->way != places->new_name.start)
    {
      add_name (order, places->new_name.start);
      end_step (order, "backing file name");
      refer_to_name (order, places->new_name.start);
    }
  add_final (order, (Range){ area->start, area->len });
  end_step (order, "what is no longer used");
  return TRUE;
}

/* Adds to PLAN the steps that turn the first cluster of AREA into the one in
 * BYTES, apart from the bitmaps bit.  The terminator of the new extensions
 * ends at host offset END, where the name begins.  Returns FALSE if there is
 * no order of the writes in which a power failure leaves either the old or the
 * new extensions. */
gboolean
edit_order_plan (const EditArea *area, const guint8 *bytes, guint64 end,
                 EditPlan *plan)
{
  const guint64 name_size = area->has_name ? area->name_size : 0;
  g_autofree guint8 *now = g_malloc (area->len);
  g_autofree guint8 *target = g_malloc (area->len);
  g_autofree guint8 *referred = g_malloc0 (area->len);
  Order order = { .area = area,
                  .plan = plan,
                  .final = bytes,
                  .now = now,
                  .referred = referred,
                  .target = target };
  Places places
      = { .old_area = { area->start, area->end },
          .new_area = { area->start, end },
          .old_name = { area->name_offset, area->name_offset + name_size },
          .new_name = { end, end + name_size },
          .moves = area->has_name && area->name_offset != end };

  memcpy (now, area->bytes, area->len);
  memcpy (target, area->bytes, area->len);
  return plan_steps (&order, &places);
}
