/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/bitmap-map.h"

#include <string.h>

#include "render/digits.h"
#include "render/percent.h"

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
    case QCOW2_EXTENT_DIRTY_ZERO:
      return "dirty,zero";
    case QCOW2_EXTENT_DIRTY_UNALLOCATED:
      return "dirty,unallocated";
    case QCOW2_EXTENT_DIRTY_UNALLOCATED_ZERO:
      return "dirty,zero,unallocated";
    }

  g_assert_not_reached ();
}

/* Writes NUMBER, an offset or a size, in the format of map files, "0x%08X".
 * Returns the end of the text. */
static char *
put_map_number (char *at, guint64 number)
{
  return digits_put_hex (at, number, 8, "0123456789ABCDEF");
}

/* Appends the start of the output to OUT.  START is the guest offset in bytes
 * at which the map begins. */
void
bitmap_map_begin (BitmapMap *map, GString *out, guint64 start)
{
  if (map->format == BITMAP_MAP_JSON)
    g_string_append_c (out, '[');
  if (map->format != BITMAP_MAP_DDRESCUE)
    return;

  g_string_append (out, "# Mapfile. Created by qcow2tool\n"
                        "# current_pos  current_status  current_pass\n");
  digits_end_piece (out, put_map_number (digits_begin_piece (out), start));
  g_string_append (out, "     ?               1\n"
                        "#      pos        size  status\n");
}

/* Begins an object, and ends the line of the previous one. */
static char *
put_object_begin (BitmapMap *map, char *at)
{
  if (map->format == BITMAP_MAP_JSON)
    at = digits_put_text (at, map->has_items ? ",\n    " : "\n    ");
  *at++ = '{';
  map->has_items = TRUE;
  return at;
}

static char *
put_member (const BitmapMap *map, char *at, const char *key, guint64 value)
{
  *at++ = '"';
  at = digits_put_text (at, key);
  at = digits_put_text (at, map->format == BITMAP_MAP_JSON ? "\": " : "\":");
  return digits_put (at, value);
}

static char *
put_comma (const BitmapMap *map, char *at)
{
  return digits_put_text (at, map->format == BITMAP_MAP_JSON ? ", " : ",");
}

/* Writes the last members of an object, type and description, and closes the
 * object. */
static char *
put_object_end (const BitmapMap *map, char *at, Qcow2ExtentType type)
{
  const gboolean compact = map->format == BITMAP_MAP_JSONL;

  at = put_member (map, put_comma (map, at), "type", type);
  at = digits_put_text (put_comma (map, at), "\"description\":");
  at = digits_put_text (at, compact ? "\"" : " \"");
  at = digits_put_text (at, get_description (type));
  return digits_put_text (at, compact ? "\"}\n" : "\"}");
}

static char *
put_object (BitmapMap *map, char *at, const Qcow2Extent *extent)
{
  at = put_member (map, put_object_begin (map, at), "offset", extent->offset);
  at = put_member (map, put_comma (map, at), "length", extent->length);
  return put_object_end (map, at, extent->type);
}

/* Returns the end of the line for an extent of TYPE. */
static const char *
get_line_end (Qcow2ExtentType type)
{
  switch (type)
    {
    case QCOW2_EXTENT_CLEAN:
      return "    0  clean\n";
    case QCOW2_EXTENT_DIRTY:
      return "    1  dirty\n";
    case QCOW2_EXTENT_UNKNOWN:
      return "    3  unknown\n";
    case QCOW2_EXTENT_DIRTY_ZERO:
      return "    5  dirty,zero\n";
    case QCOW2_EXTENT_DIRTY_UNALLOCATED:
      return "    9  dirty,unallocated\n";
    case QCOW2_EXTENT_DIRTY_UNALLOCATED_ZERO:
      return "   13  dirty,zero,unallocated\n";
    }

  g_assert_not_reached ();
}

static char *
put_line (char *at, const Qcow2Extent *extent)
{
  at = digits_put_right (at, extent->offset, 10);
  at = digits_put_right (digits_put_text (at, "  "), extent->length, 10);
  return digits_put_text (at, get_line_end (extent->type));
}

static char *
put_block (char *at, const Qcow2Extent *extent)
{
  at = digits_put_text (put_map_number (at, extent->offset), "  ");
  at = put_map_number (at, extent->length);
  return digits_put_text (at, QCOW2_EXTENT_MUST_COPY (extent->type) ? "  ?\n"
                                                                    : "  +\n");
}

static char *
put_extent (BitmapMap *map, char *at, const Qcow2Extent *extent)
{
  switch (map->format)
    {
    case BITMAP_MAP_TEXT:
      return put_line (at, extent);
    case BITMAP_MAP_JSON:
    case BITMAP_MAP_JSONL:
      return put_object (map, at, extent);
    case BITMAP_MAP_DDRESCUE:
      return put_block (at, extent);
    }

  g_assert_not_reached ();
}

/* Appends the first piece of EXTENT, at most MAP->split bytes long, to OUT and
 * removes it from EXTENT.  Returns whether there is more to print. */
gboolean
bitmap_map_extent (BitmapMap *map, GString *out, Qcow2Extent *extent)
{
  Qcow2Extent piece = *extent;

  if (map->only_dirty && !QCOW2_EXTENT_MUST_COPY (extent->type))
    return FALSE;

  if (map->split != 0)
    piece.length = MIN (piece.length, map->split);
  digits_end_piece (out, put_extent (map, digits_begin_piece (out), &piece));
  extent->offset += piece.length;
  extent->length -= piece.length;
  return extent->length > 0;
}

static void
append_total (BitmapMap *map, GString *out, Qcow2ExtentType type, guint64 size,
              guint64 whole)
{
  const gboolean compact = map->format == BITMAP_MAP_JSONL;

  if (size == 0 || (map->only_dirty && !QCOW2_EXTENT_MUST_COPY (type)))
    return;

  const double percent = percent_of (size, whole);
  if (map->format == BITMAP_MAP_TEXT)
    {
      digits_append_right (out, size, 10);
      g_string_append_printf (out, " %5.1f%% %3u %s\n", percent, type,
                              get_description (type));
      return;
    }

  char *at = put_object_begin (map, digits_begin_piece (out));
  at = put_comma (map, put_member (map, at, "size", size));
  digits_end_piece (out, at);
  g_string_append_printf (out, compact ? "\"percent\":%g" : "\"percent\": %g",
                          percent);
  digits_end_piece (out, put_object_end (map, digits_begin_piece (out), type));
}

/* Appends a row to OUT for each type of extent that TOTALS has bytes of. */
void
bitmap_map_totals (BitmapMap *map, GString *out,
                   const Qcow2ExtentTotals *totals)
{
  const struct
  {
    Qcow2ExtentType type;
    guint64 size;
  } rows[] = { { QCOW2_EXTENT_CLEAN, totals->clean },
               { QCOW2_EXTENT_DIRTY, totals->dirty },
               { QCOW2_EXTENT_UNKNOWN, totals->unknown },
               { QCOW2_EXTENT_DIRTY_ZERO, totals->dirty_zero },
               { QCOW2_EXTENT_DIRTY_UNALLOCATED, totals->dirty_unallocated },
               { QCOW2_EXTENT_DIRTY_UNALLOCATED_ZERO,
                 totals->dirty_unallocated_zero } };
  guint64 whole = 0;

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    whole += rows[i].size;
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    append_total (map, out, rows[i].type, rows[i].size, whole);
}

/* Appends the end of the output to OUT. */
void
bitmap_map_end (BitmapMap *map, GString *out)
{
  if (map->format == BITMAP_MAP_JSON)
    g_string_append (out, map->has_items ? "\n]\n" : "]\n");
}
