/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/bitmap-map.h"

#include <string.h>

#include "render/digits.h"

static const char *
get_description (Qcow2ExtentType type)
{
  switch (type)
    {
    case QCOW2_EXTENT_CLEAN:
      return "clean";
    case QCOW2_EXTENT_DIRTY:
      return "dirty";
    case QCOW2_EXTENT_UNKNOWN:
      return "unknown";
    }

  g_assert_not_reached ();
}

/* Returns how much PART is of WHOLE, which is not 0, in percent. */
double
bitmap_map_get_percent (guint64 part, guint64 whole)
{
  return 100.0 * (double) part / (double) whole;
}

/* Appends a position or a size as map files have it. */
static void
append_map_number (GString *out, guint64 number)
{
  g_string_append_printf (out, "0x%08" G_GINT64_MODIFIER "X", number);
}

/* Begins what is said of the disk from guest offset START on. */
void
bitmap_map_begin (BitmapMap *map, GString *out, guint64 start)
{
  if (map->format == BITMAP_MAP_JSON)
    g_string_append_c (out, '[');
  if (map->format != BITMAP_MAP_DDRESCUE)
    return;

  g_string_append (out, "# Mapfile. Created by qcow2tool\n"
                        "# current_pos  current_status  current_pass\n");
  append_map_number (out, start);
  g_string_append (out, "     ?               1\n"
                        "#      pos        size  status\n");
}

/* Begins an object, and ends the line of the one before it. */
static void
begin_object (BitmapMap *map, GString *out)
{
  if (map->format == BITMAP_MAP_JSON)
    g_string_append (out, map->has_items ? ",\n    " : "\n    ");
  g_string_append_c (out, '{');
  map->has_items = TRUE;
}

/* Appends the members TYPE and description, the last ones of an object. */
static void
end_object (const BitmapMap *map, GString *out, Qcow2ExtentType type)
{
  const gboolean compact = map->format == BITMAP_MAP_JSONL;

  g_string_append (out, compact ? ",\"type\":" : ", \"type\": ");
  digits_append (out, type);
  g_string_append (out,
                   compact ? ",\"description\":\"" : ", \"description\": \"");
  g_string_append (out, get_description (type));
  g_string_append (out, compact ? "\"}\n" : "\"}");
}

/* An extent is put together on the stack: there may be very many. */
#define EXTENT_MAX 160

/* Writes spaces and VALUE to AT, at least WIDTH characters together. */
static char *
put_right (char *at, guint64 value, guint width)
{
  const guint n_spaces = width - MIN (width, digits_count (value));

  memset (at, ' ', width);
  return digits_put (at + n_spaces, value);
}

static void
append_object (BitmapMap *map, GString *out, const Qcow2Extent *extent)
{
  const gboolean compact = map->format == BITMAP_MAP_JSONL;
  char text[EXTENT_MAX];
  char *at = text;

  begin_object (map, out);
  at = digits_put_text (at, compact ? "\"offset\":" : "\"offset\": ");
  at = digits_put (at, extent->offset);
  at = digits_put_text (at, compact ? ",\"length\":" : ", \"length\": ");
  at = digits_put (at, extent->length);
  g_string_append_len (out, text, at - text);
  end_object (map, out, extent->type);
}

static void
append_text (GString *out, const Qcow2Extent *extent)
{
  char line[EXTENT_MAX];
  char *at = put_right (line, extent->offset, 10);

  at = put_right (digits_put_text (at, "  "), extent->length, 10);
  at = put_right (digits_put_text (at, "  "), extent->type, 3);
  at = digits_put_text (digits_put_text (at, "  "),
                        get_description (extent->type));
  *at++ = '\n';
  g_string_append_len (out, line, at - line);
}

static void
append_block (GString *out, const Qcow2Extent *extent)
{
  append_map_number (out, extent->offset);
  g_string_append (out, "  ");
  append_map_number (out, extent->length);
  g_string_append (out,
                   QCOW2_EXTENT_MUST_COPY (extent->type) ? "  ?\n" : "  +\n");
}

static void
append_extent (BitmapMap *map, GString *out, const Qcow2Extent *extent)
{
  switch (map->format)
    {
    case BITMAP_MAP_TEXT:
      append_text (out, extent);
      return;
    case BITMAP_MAP_JSON:
    case BITMAP_MAP_JSONL:
      append_object (map, out, extent);
      return;
    case BITMAP_MAP_DDRESCUE:
      append_block (out, extent);
      return;
    }
}

/* Appends the first piece of EXTENT that is not longer than an extent may be,
 * and takes it off.  Returns whether there is more. */
gboolean
bitmap_map_extent (BitmapMap *map, GString *out, Qcow2Extent *extent)
{
  Qcow2Extent piece = *extent;

  if (map->only_dirty && !QCOW2_EXTENT_MUST_COPY (extent->type))
    return FALSE;

  if (map->split != 0)
    piece.length = MIN (piece.length, map->split);
  append_extent (map, out, &piece);
  extent->offset += piece.length;
  extent->length -= piece.length;
  return extent->length > 0;
}

static void
append_total (BitmapMap *map, GString *out, Qcow2ExtentType type, guint64 size,
              guint64 whole)
{
  const double percent = bitmap_map_get_percent (size, whole);
  const gboolean compact = map->format == BITMAP_MAP_JSONL;

  if (size == 0 || (map->only_dirty && !QCOW2_EXTENT_MUST_COPY (type)))
    return;

  if (map->format == BITMAP_MAP_TEXT)
    {
      digits_append_right (out, size, 10);
      g_string_append_printf (out, " %5.1f%% %3u %s\n", percent, type,
                              get_description (type));
      return;
    }

  begin_object (map, out);
  g_string_append (out, compact ? "\"size\":" : "\"size\": ");
  digits_append (out, size);
  g_string_append_printf (
      out, compact ? ",\"percent\":%g" : ", \"percent\": %g", percent);
  end_object (map, out, type);
}

/* Appends TOTALS, a row for each type that there is. */
void
bitmap_map_totals (BitmapMap *map, GString *out,
                   const Qcow2ExtentTotals *totals)
{
  const guint64 whole = totals->clean + totals->dirty + totals->unknown;

  append_total (map, out, QCOW2_EXTENT_CLEAN, totals->clean, whole);
  append_total (map, out, QCOW2_EXTENT_DIRTY, totals->dirty, whole);
  append_total (map, out, QCOW2_EXTENT_UNKNOWN, totals->unknown, whole);
}

void
bitmap_map_end (BitmapMap *map, GString *out)
{
  if (map->format == BITMAP_MAP_JSON)
    g_string_append (out, map->has_items ? "\n]\n" : "]\n");
}
