/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/print-contents.h"

#include "cli/charset.h"
#include "qcow2/error.h"
#include "render/plot.h"

typedef struct
{
  Tool *tool;
  BitmapMap *map;
} MapJob;

static Qcow2Next
print_extent (const Qcow2Extent *extent, gpointer data, GError **error)
{
  const MapJob *job = data;
  GString *out = tool_get_text (job->tool);
  Qcow2Extent rest = *extent;

  while (bitmap_map_extent (job->map, out, &rest))
    {
      if (!tool_flush (job->tool, error))
        return QCOW2_NEXT_FAILED;
    }

  return tool_flush (job->tool, error) ? QCOW2_NEXT_ITEM : QCOW2_NEXT_FAILED;
}

/* Calls FUNC with DATA for the extents of QUERY as STYLE wants them. */
static gboolean
walk (const ContentsStyle *style, const Qcow2ExtentQuery *query,
      Qcow2ExtentFunc func, gpointer data, GError **error)
{
  if (style->layers != NULL)
    return qcow2_bitmap_union_walk (style->layers, query->start, query->length,
                                    func, data, error);
  if (style->disk != NULL)
    return qcow2_dirty_data_walk (query, style->disk, func, data, error);

  return qcow2_extent_query_walk (query, func, data, error);
}

static Qcow2Next
count_extent (const Qcow2Extent *extent, gpointer data,
              GError **error G_GNUC_UNUSED)
{
  qcow2_extent_totals_add (data, extent->type, extent->length);
  return QCOW2_NEXT_ITEM;
}

static gboolean
count (const ContentsStyle *style, const Qcow2ExtentQuery *query,
       Qcow2ExtentTotals *totals, GError **error)
{
  if (style->layers == NULL && style->disk != NULL)
    return qcow2_dirty_data_count (query, style->disk, totals, error);
  if (style->layers == NULL)
    return qcow2_extent_query_count (query, totals, error);

  *totals = (Qcow2ExtentTotals){ .dirty = 0 };
  return walk (style, query, count_extent, totals, error);
}

static gboolean
print_map (ContentsStyle *style, Tool *tool, const Qcow2ExtentQuery *query,
           GError **error)
{
  GString *out = tool_get_text (tool);
  MapJob job = { .tool = tool, .map = &style->map };

  bitmap_map_begin (&style->map, out, query->start);
  const gboolean printed = walk (style, query, print_extent, &job, error);
  bitmap_map_end (&style->map, out);
  return printed;
}

static gboolean
print_totals (ContentsStyle *style, Tool *tool, const Qcow2ExtentQuery *query,
              GError **error)
{
  GString *out = tool_get_text (tool);
  Qcow2ExtentTotals totals;

  if (!count (style, query, &totals, error))
    return FALSE;

  bitmap_map_begin (&style->map, out, query->start);
  bitmap_map_totals (&style->map, out, &totals);
  bitmap_map_end (&style->map, out);
  return TRUE;
}

static Qcow2Next
plot_extent (const Qcow2Extent *extent, gpointer data,
             GError **error G_GNUC_UNUSED)
{
  plot_add (data, extent);
  return QCOW2_NEXT_ITEM;
}

static gboolean
print_plot (const ContentsStyle *style, Tool *tool,
            const Qcow2ExtentQuery *query, GError **error)
{
  const PlotShape shape = { .width = style->plot_width,
                            .height = style->plot_height,
                            .ascii = !charset_is_utf8 (),
                            .start = query->start,
                            .length = query->length,
                            .granularity = query->bitmap->granularity };
  g_autoptr (Plot) plot = plot_new (&shape);

  if (!walk (style, query, plot_extent, plot, error))
    return FALSE;

  plot_print (plot, tool_get_text (tool));
  return TRUE;
}

/* Stores in DATA, a gboolean, whether EXTENT must be copied, and ends the walk
 * if so. */
static Qcow2Next
look_at_extent (const Qcow2Extent *extent, gpointer data,
                GError **error G_GNUC_UNUSED)
{
  gboolean *const has_dirty = data;

  *has_dirty = QCOW2_EXTENT_MUST_COPY (extent->type);
  return *has_dirty ? QCOW2_NEXT_END : QCOW2_NEXT_ITEM;
}

/* Answers through the exit status whether any of the bytes is dirty.
 * Unknown parts have to be copied, so they count as dirty. */
static gboolean
answer (const ContentsStyle *style, Tool *tool, const Qcow2ExtentQuery *query,
        GError **error)
{
  const guint64 size = query->image->header.size;
  gboolean has_dirty = FALSE;

  if (!walk (style, query, look_at_extent, &has_dirty, error))
    return FALSE;
  if (has_dirty)
    return TRUE;

  if (query->length < style->length)
    {
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
                   "--contains: not all of that is on the disk, which "
                   "has " QCOW2_U64_FORMAT " bytes",
                   size);
      return FALSE;
    }

  tool_set_status (tool, TOOL_DAMAGED);
  return TRUE;
}

/* Prints QUERY to TOOL in the form of STYLE.  Fails as the reading of QUERY
 * does, when output fails, or, for CONTENTS_ANSWER, with QCOW2_ERROR_NOT_FOUND
 * if the disk is too small for a clean answer. */
gboolean
contents_print (ContentsStyle *style, Tool *tool,
                const Qcow2ExtentQuery *query, GError **error)
{
  switch (style->form)
    {
    case CONTENTS_MAP:
      return print_map (style, tool, query, error);
    case CONTENTS_TOTALS:
      return print_totals (style, tool, query, error);
    case CONTENTS_PLOT:
      return print_plot (style, tool, query, error);
    case CONTENTS_ANSWER:
      return answer (style, tool, query, error);
    }

  g_assert_not_reached ();
}
