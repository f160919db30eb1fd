/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/chain.h"

#include "check/image-rules.h"
#include "qcow2/c-string.h"
#include "qcow2/error.h"
#include "qcow2/layer-name.h"

#define FORMAT_QCOW2 "qcow2"
#define FORMAT_RAW "raw"

struct Qcow2Chain
{
  GPtrArray *layers; /* of Qcow2Layer */
  int root;          /* the directory in which all layers must be, or -1 */
};

static void
layer_free (gpointer data)
{
  Qcow2Layer *layer = data;

  /* The image of layer 0 and its findings belong to the caller. */
  if (layer->depth > 0)
    {
      if (layer->image == NULL)
        byte_source_free (layer->source);
      qcow2_image_free (layer->image);
      qcow2_findings_free (layer->findings);
    }
  g_clear_error (&layer->error);
  g_free (layer->filename);
  g_free (layer->format);
  g_free (layer);
}

static Qcow2Layer *
add_layer (Qcow2Chain *chain, const char *filename)
{
  Qcow2Layer *layer = g_new0 (Qcow2Layer, 1);

  layer->depth = chain->layers->len;
  layer->filename = g_strdup (filename);
  g_ptr_array_add (chain->layers, layer);
  return layer;
}

/* Returns whether HEADER says that there is a backing file, but not which
 * one: its name begins outside the file, or is too long. */
static gboolean
hides_backing_file (const Qcow2Header *header)
{
  return header->backing_file_offset != 0 && header->backing_file_size != 0
         && (header->backing_file == NULL
             || header->backing_file_size > QCOW2_MAX_BACKING_FILE_NAME);
}

/* Returns the layer of CHAIN that is the same file as LAYER, which is the last
 * one, or NULL. */
static const Qcow2Layer *
find_same (const Qcow2Chain *chain, const Qcow2Layer *layer)
{
  const ByteIdentity id = byte_source_get_identity (layer->source);

  for (guint i = 0; i < layer->depth; i++)
    {
      const Qcow2Layer *other = g_ptr_array_index (chain->layers, i);
      const ByteIdentity other_id = byte_source_get_identity (other->source);

      if (id.device == other_id.device && id.inode == other_id.inode)
        return other;
    }

  return NULL;
}

/* Reads the header of LAYER, whose source was opened. */
static void
open_image (Qcow2Layer *layer)
{
  layer->image = qcow2_image_open_checked (layer->source, layer->findings,
                                           &layer->error);
  if (layer->image != NULL)
    {
      layer->is_guessed = layer->format == NULL;
      return;
    }

  /* The source was freed with the image. */
  layer->source = NULL;
}

/* Returns whether LAYER, which does not have to be qcow2, begins like it. */
static gboolean
looks_like_qcow2 (Qcow2Layer *layer)
{
  guint8 magic[4];

  return byte_source_get_size (layer->source) >= sizeof magic
         && byte_source_read (layer->source, 0, magic, sizeof magic, "magic",
                              &layer->error)
         && qcow2_load_be (magic, sizeof magic) == QCOW2_MAGIC;
}

/* Examines LAYER, whose source was opened. */
static void
examine (const Qcow2Chain *chain, Qcow2Layer *layer)
{
  const Qcow2Layer *same = find_same (chain, layer);

  if (same != NULL)
    g_set_error (&layer->error, QCOW2_ERROR, QCOW2_ERROR_OPEN,
                 "not opened: the chain is a loop, as this is the file of "
                 "layer %u",
                 same->depth);
  else if (layer->format != NULL && !g_str_equal (layer->format, FORMAT_QCOW2))
    {
      layer->is_raw = g_str_equal (layer->format, FORMAT_RAW);
      g_set_error (&layer->error, QCOW2_ERROR, QCOW2_ERROR_NOT_QCOW2,
                   "its overlay states another format than qcow2");
    }
  else if (layer->format != NULL || looks_like_qcow2 (layer))
    open_image (layer);
  else if (layer->error == NULL)
    {
      layer->is_raw = TRUE;
      g_set_error (&layer->error, QCOW2_ERROR, QCOW2_ERROR_NOT_QCOW2,
                   "not a qcow2 image, and its overlay states no format");
    }
}

/* Returns why a layer whose name leads to PLACE, which is not a file, is not
 * opened. */
static const char *
get_reason (Qcow2LayerPlace place)
{
  return place == QCOW2_LAYER_UNKNOWN
             ? "its json: name is invalid, or has options that are not "
               "supported"
             : "only files and block devices are";
}

/* Adds the layer that NAME, which is not empty, leads to.  FORMAT is what the
 * overlay states, or NULL.  It counts before the driver of a json: name, as
 * for QEMU. */
static void
add_named (Qcow2Chain *chain, const Qcow2LayerName *name, const char *format)
{
  const gboolean is_file = name->place == QCOW2_LAYER_FILE;
  const gboolean is_held = chain->root >= 0;
  Qcow2Layer *layer = add_layer (chain, is_file ? name->path : name->full);

  layer->format = g_strdup (format != NULL ? format : name->format);
  layer->findings = qcow2_findings_new ();
  if (layer->depth >= QCOW2_MAX_LAYERS)
    g_set_error (&layer->error, QCOW2_ERROR, QCOW2_ERROR_LIMIT,
                 "not opened: the chain has more than %u layers",
                 QCOW2_MAX_LAYERS);
  else if (!is_file)
    g_set_error (&layer->error, QCOW2_ERROR,
                 is_held ? QCOW2_ERROR_REFUSED : QCOW2_ERROR_OPEN,
                 "not opened: %s", get_reason (name->place));
  else if (is_held && qcow2_layer_name_has_protocol (name))
    g_set_error_literal (&layer->error, QCOW2_ERROR, QCOW2_ERROR_REFUSED,
                         "not opened: its name has a protocol");
  else
    layer->source
        = byte_source_open_named (layer->filename, chain->root, &layer->error);

  if (layer->source != NULL)
    {
      byte_source_use_cache (layer->source);
      examine (chain, layer);
    }
}

/* Adds the layer below OVERLAY, if there is one.  Returns whether there may be
 * more. */
static gboolean
add_next (Qcow2Chain *chain, const Qcow2Layer *overlay)
{
  qcow2_image_read_name_in_header (overlay->image, NULL);

  const Qcow2Header *header = &overlay->image->header;
  g_auto (Qcow2LayerName) name = { .full = NULL };
  g_autofree char *format = overlay->image->extensions_ignored
                                ? NULL
                                : qcow2_c_string_dup (header->backing_format);

  if (hides_backing_file (header))
    {
      Qcow2Layer *layer = add_layer (chain, "");

      layer->findings = qcow2_findings_new ();
      g_set_error (&layer->error, QCOW2_ERROR, QCOW2_ERROR_OPEN,
                   "not opened: its overlay has no name for it that can be "
                   "read");
      return FALSE;
    }

  qcow2_layer_name_resolve (&name, overlay->filename, header->backing_file);
  if (name.place == QCOW2_LAYER_NONE)
    return FALSE;

  add_named (chain, &name, format);
  return qcow2_chain_get (chain, chain->layers->len - 1)->image != NULL;
}

/* Opens the layers below TOP, which was opened as PATH and has FINDINGS; both
 * must outlive the chain.  It ends with the first layer that has an error.
 * Unless ROOT is -1, all layers must be in that open directory or below.  The
 * rules are QEMU's (block.c), found by running it. */
Qcow2Chain *
qcow2_chain_open (const char *path, Qcow2Image *top, Qcow2Findings *findings,
                  int root)
{
  Qcow2Chain *chain = g_new0 (Qcow2Chain, 1);

  chain->layers = g_ptr_array_new_with_free_func (layer_free);
  chain->root = root;

  Qcow2Layer *layer = add_layer (chain, path);
  layer->format = g_strdup (FORMAT_QCOW2);
  layer->image = top;
  layer->findings = findings;
  layer->source = top->source;
  while (add_next (chain, layer))
    layer = g_ptr_array_index (chain->layers, chain->layers->len - 1);

  return chain;
}

/* Returns the number of layers, those with errors included. */
guint
qcow2_chain_get_n (const Qcow2Chain *chain)
{
  return chain->layers->len;
}

const Qcow2Layer *
qcow2_chain_get (const Qcow2Chain *chain, guint depth)
{
  return g_ptr_array_index (chain->layers, depth);
}

void
qcow2_chain_free (Qcow2Chain *chain)
{
  if (chain == NULL)
    return;

  g_ptr_array_unref (chain->layers);
  g_free (chain);
}
