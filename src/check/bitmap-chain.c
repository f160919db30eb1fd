/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/bitmap-chain.h"

#include <string.h>

#include "check/directory-rules.h"
#include "qcow2/error.h"

/* The bitmaps of a layer. */
typedef struct
{
  const Qcow2Layer *source;
  Qcow2CheckedDirectory *directory; /* NULL before it is opened */
  Qcow2Findings *findings;          /* what was found for an answer */
  gboolean is_ready;                /* for an answer */
  gboolean is_refused;              /* QEMU does not open the layer */
  gboolean is_unknown;              /* damage may hide its bitmaps */
  gboolean breaks_off;              /* damage hides some of its bitmaps */
  GError *error;                    /* its bitmaps cannot be known */

  /* The bitmap with the name that was looked up last. */
  gboolean is_found;
  Qcow2Bitmap bitmap;
} Layer;

struct Qcow2BitmapChain
{
  guint n_layers;
  Layer layers[QCOW2_MAX_LAYERS + 1];
};

/* Opens the bitmap directory of LAYER, which is an image, unless it is open.
 */
static gboolean
open_directory (Layer *layer, GError **error)
{
  if (layer->directory == NULL)
    layer->directory = qcow2_checked_directory_open (
        layer->source->image, layer->source->findings, error);

  return layer->directory != NULL;
}

/* Finds out whether QEMU opens LAYER, which is an image, and whether damage
 * hides its bitmap directory. */
static void
judge_image (Layer *layer)
{
  Qcow2Verdict verdict;

  if (!open_directory (layer, &layer->error)
      || !qcow2_checked_directory_judge (layer->directory, &verdict,
                                         &layer->error))
    return;

  layer->is_refused = verdict.effect >= QCOW2_EFFECT_REFUSED;
  layer->breaks_off = qcow2_directory_breaks_off (layer->source->findings);
  layer->is_unknown = verdict.effect == QCOW2_EFFECT_UNKNOWN
                      || qcow2_directory_is_unknown (
                          qcow2_checked_directory_get (layer->directory),
                          layer->source->findings);
  if (layer->is_unknown && !layer->is_refused)
    g_set_error (&layer->error, QCOW2_ERROR, QCOW2_ERROR_CORRUPT,
                 "the bitmap directory cannot be read: see qcow2tool check");
  qcow2_bitmap_checker_set_findings (
      qcow2_checked_directory_get_checker (layer->directory), layer->findings);
}

/* Prepares LAYER for an answer. */
static void
prepare (Layer *layer)
{
  if (layer->is_ready)
    return;

  layer->is_ready = TRUE;
  layer->findings = qcow2_findings_new ();
  if (layer->source->image != NULL)
    judge_image (layer);
  else if (!layer->source->is_raw)
    layer->error = g_error_copy (layer->source->error);
}

/* Returns the bitmaps of CHAIN, which must outlive the result.  Nothing is
 * read yet. */
Qcow2BitmapChain *
qcow2_bitmap_chain_new (const Qcow2Chain *chain)
{
  Qcow2BitmapChain *self = g_new0 (Qcow2BitmapChain, 1);

  self->n_layers = qcow2_chain_get_n (chain);
  for (guint i = 0; i < self->n_layers; i++)
    self->layers[i].source = qcow2_chain_get (chain, i);

  return self;
}

/* Returns the bitmap directory of the layer at DEPTH, which is an image, for a
 * caller that shows it.  Tables that it has read are not read again for an
 * answer.  Call it before the first answer: findings are added to those
 * of the layer until then. */
Qcow2CheckedDirectory *
qcow2_bitmap_chain_open_directory (Qcow2BitmapChain *self, guint depth,
                                   GError **error)
{
  Layer *layer = &self->layers[depth];

  return open_directory (layer, error) ? layer->directory : NULL;
}

/* Looks for the bitmap whose name has the LEN bytes at NAME in LAYER, and
 * examines it. */
static void
look_up (Layer *layer, const char *name, gsize len)
{
  layer->is_found = FALSE;
  qcow2_bitmap_clear (&layer->bitmap);
  prepare (layer);
  if (layer->error != NULL || layer->is_unknown || layer->directory == NULL)
    return;

  Qcow2Directory *directory = qcow2_checked_directory_get (layer->directory);
  qcow2_directory_rewind (directory);
  while (!layer->is_found
         && qcow2_directory_skip_to_name (directory, name, len))
    {
      const Qcow2Next next
          = qcow2_directory_next (directory, &layer->bitmap, &layer->error);
      gsize found_len = 0;

      if (next != QCOW2_NEXT_ITEM)
        return;

      const char *found
          = layer->bitmap.name != NULL
                ? g_bytes_get_data (layer->bitmap.name, &found_len)
                : NULL;
      layer->is_found = found != NULL && found_len == len
                        && (len == 0 || memcmp (found, name, len) == 0);
    }

  if (layer->is_found)
    qcow2_bitmap_checker_check (
        qcow2_checked_directory_get_checker (layer->directory), &layer->bitmap,
        &layer->error);
}

/* Stores the answer in *VERDICT if a layer cannot be read: it may have a
 * bitmap that makes a gap.  If QEMU refuses the layer, it may have the only
 * bitmap. */
static gboolean
find_unknown (Qcow2BitmapChain *self, Qcow2BitmapChainVerdict *verdict)
{
  for (guint i = 0; i < self->n_layers; i++)
    {
      Layer *layer = &self->layers[i];

      if (layer->error == NULL
          && (verdict->is_found
                  ? layer->breaks_off && !layer->is_found && !layer->is_refused
                  : layer->breaks_off || layer->is_unknown))
        g_set_error (&layer->error, QCOW2_ERROR, QCOW2_ERROR_CORRUPT,
                     "its bitmaps cannot be known: see qcow2tool check");
      if (layer->error == NULL)
        continue;

      verdict->answer = QCOW2_BITMAP_CHAIN_UNKNOWN;
      verdict->depth = i;
      verdict->error = layer->error;
      return TRUE;
    }

  return FALSE;
}

/* Judges the layer at DEPTH, after those above it. */
static Qcow2BitmapChainAnswer
judge_layer (const Qcow2BitmapChain *self, guint depth,
             const Qcow2BitmapChainVerdict *above)
{
  const Layer *layer = &self->layers[depth];

  if (layer->is_refused)
    return QCOW2_BITMAP_CHAIN_REFUSED;
  if (!layer->is_found)
    return QCOW2_BITMAP_CHAIN_VALID;
  if (above->n < depth)
    return above->n > 0 ? QCOW2_BITMAP_CHAIN_GAP
                        : QCOW2_BITMAP_CHAIN_NOT_IN_TOP;

  return layer->bitmap.result.state == QCOW2_BITMAP_STATE_ENABLED
             ? QCOW2_BITMAP_CHAIN_VALID
             : QCOW2_BITMAP_CHAIN_STATE;
}

/* Stores in *VERDICT whether the bitmaps whose name has the LEN bytes at NAME
 * are a chain that libvirt takes.  If a layer cannot be read, that is
 * unknown. */
void
qcow2_bitmap_chain_judge (Qcow2BitmapChain *self, const char *name, gsize len,
                          Qcow2BitmapChainVerdict *verdict)
{
  *verdict = (Qcow2BitmapChainVerdict){ .answer = QCOW2_BITMAP_CHAIN_VALID };
  for (guint i = 0; i < self->n_layers; i++)
    {
      look_up (&self->layers[i], name, len);
      verdict->is_found = verdict->is_found || self->layers[i].is_found;
    }
  if (find_unknown (self, verdict))
    return;

  for (guint i = 0; i < self->n_layers; i++)
    {
      verdict->depth = i;
      verdict->answer = judge_layer (self, i, verdict);
      if (verdict->answer != QCOW2_BITMAP_CHAIN_VALID)
        {
          verdict->state = self->layers[i].bitmap.result.state;
          return;
        }
      if (self->layers[i].is_found)
        verdict->n++;
    }

  if (verdict->n == 0)
    verdict->answer = QCOW2_BITMAP_CHAIN_NOT_IN_TOP;
}

/* Returns the bitmap of the layer at DEPTH that was looked up last.  It is
 * there if DEPTH is below n of the verdict. */
const Qcow2Bitmap *
qcow2_bitmap_chain_get (const Qcow2BitmapChain *self, guint depth)
{
  return &self->layers[depth].bitmap;
}

void
qcow2_bitmap_chain_free (Qcow2BitmapChain *self)
{
  if (self == NULL)
    return;

  for (guint i = 0; i < self->n_layers; i++)
    {
      Layer *layer = &self->layers[i];

      qcow2_bitmap_clear (&layer->bitmap);
      qcow2_checked_directory_free (layer->directory);
      qcow2_findings_free (layer->findings);
      g_clear_error (&layer->error);
    }
  g_free (self);
}
