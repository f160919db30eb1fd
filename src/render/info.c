/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/info.h"

#include <string.h>

#include "render/format.h"
#include "render/info-encryption.h"
#include "render/info-snapshot.h"

#define CHILD_NAME "file"

struct Info
{
  const InfoFacts *facts;
  QemuTree *tree; /* of the image in JSON; in text, of the data alone */
  GString *out;   /* of TREE */
  gboolean is_text;
  gboolean has_list; /* the list of snapshots or bitmaps has begun */
};

static QemuString
get_backing_file (const InfoFacts *facts)
{
  return qemu_string_cut (facts->header->backing_file, G_MAXSIZE);
}

static QemuString
get_backing_format (const InfoFacts *facts)
{
  return qemu_string_cut (
      facts->extensions_ignored ? NULL : facts->header->backing_format,
      G_MAXSIZE);
}

static guint64
get_virtual_size (const InfoFacts *facts)
{
  return qcow2_header_get_qemu_size (facts->header);
}

static gboolean
is_encrypted (const InfoFacts *facts)
{
  return facts->header->crypt_method != 0;
}

static gboolean
is_dirty (const InfoFacts *facts)
{
  return qcow2_header_is_dirty (facts->header);
}

/* Appends a line: NAME, SIZE as people read it and, if WITH_BYTES, in bytes.
 */
static void
append_size (GString *out, const char *name, guint64 size, gboolean with_bytes)
{
  g_string_append (out, name);
  if (size == QCOW2_ABSENT)
    g_string_append (out, "unavailable");
  else
    format_rounded_size (out, size);
  if (with_bytes)
    g_string_append_printf (out, " (" QCOW2_U64_FORMAT " bytes)", size);
  g_string_append_c (out, '\n');
}

static void
append_backing_file (const InfoFacts *facts, GString *out)
{
  const QemuString name = get_backing_file (facts);
  const QemuString format = get_backing_format (facts);

  if (name.len == 0)
    return;

  const gsize full_len = strlen (facts->full_name);
  g_string_append (out, "backing file: ");
  format_escaped (out, name.bytes, name.len);
  if (full_len != name.len)
    {
      g_string_append (out, " (actual path: ");
      format_escaped (out, facts->full_name, full_len);
      g_string_append_c (out, ')');
    }
  g_string_append_c (out, '\n');

  if (format.len == 0)
    return;

  g_string_append (out, "backing file format: ");
  format_escaped (out, format.bytes, format.len);
  g_string_append_c (out, '\n');
}

/* Appends the lines of text before the snapshots. */
static void
append_head (const InfoFacts *facts, GString *out)
{
  const Qcow2Header *h = facts->header;

  g_string_append (out, "image: ");
  format_escaped (out, facts->filename, strlen (facts->filename));
  g_string_append (out, "\nfile format: qcow2\n");
  append_size (out, "virtual size: ", get_virtual_size (facts), TRUE);
  append_size (out, "disk size: ", facts->disk_size, FALSE);
  if (is_encrypted (facts))
    g_string_append (out, "encrypted: yes\n");
  if (h->cluster_size != QCOW2_ABSENT)
    g_string_append_printf (out, "cluster_size: " QCOW2_U64_FORMAT "\n",
                            h->cluster_size);
  if (is_dirty (facts))
    g_string_append (out, "cleanly shut down: no\n");
  append_backing_file (facts, out);
}

static const char *
get_protocol (const InfoFacts *facts)
{
  return facts->is_device ? "host_device" : "file";
}

/* Adds the file as a child, as QEMU 8.0 and later do. */
static void
add_children (const InfoFacts *facts, QemuTree *tree)
{
  qemu_tree_begin_list (tree, "children");
  qemu_tree_begin_object (tree, NULL);
  qemu_tree_add_word (tree, "name", CHILD_NAME);
  qemu_tree_begin_object (tree, "info");
  qemu_tree_begin_list (tree, "children");
  qemu_tree_end (tree);
  qemu_tree_add_number (tree, "virtual-size", facts->file_size);
  qemu_tree_add_word (tree, "filename", facts->filename);
  qemu_tree_add_word (tree, "format", get_protocol (facts));
  if (facts->disk_size != QCOW2_ABSENT)
    qemu_tree_add_number (tree, "actual-size", facts->disk_size);
  qemu_tree_begin_object (tree, "format-specific");
  qemu_tree_add_word (tree, "type", "file");
  qemu_tree_begin_object (tree, "data");
  qemu_tree_end (tree);
  qemu_tree_end (tree);
  qemu_tree_add_boolean (tree, "dirty-flag", FALSE);
  qemu_tree_end (tree);
  qemu_tree_end (tree);
  qemu_tree_end (tree);
}

/* The text of add_children (). */
static void
append_children (const InfoFacts *facts, GString *out)
{
  g_string_append (out, "Child node '/" CHILD_NAME "':\n    filename: ");
  format_escaped (out, facts->filename, strlen (facts->filename));
  g_string_append_printf (out, "\n    protocol type: %s\n",
                          get_protocol (facts));
  append_size (out, "    file length: ", facts->file_size, TRUE);
  append_size (out, "    disk size: ", facts->disk_size, FALSE);
}

static void
add_backing_format (const InfoFacts *facts, QemuTree *tree)
{
  const QemuString format = get_backing_format (facts);

  if (get_backing_file (facts).len > 0 && format.len > 0)
    qemu_tree_add_cut (tree, "backing-filename-format", format);
}

/* Begins the output for the image with FACTS.  It is appended to TREE, which
 * appends to OUT.  FACTS, TREE and OUT must outlive the returned Info, which
 * info_end () frees. */
Info *
info_begin (const InfoFacts *facts, QemuTree *tree, GString *out)
{
  Info *info = g_new0 (Info, 1);

  info->facts = facts;
  info->tree = tree;
  info->out = out;
  info->is_text = qemu_tree_is_text (tree);
  if (info->is_text)
    {
      append_head (facts, out);
      return info;
    }

  qemu_tree_begin_object (tree, NULL);
  if (facts->with_children)
    add_children (facts, tree);
  add_backing_format (facts, tree);
  return info;
}

/* Adds SNAPSHOT. */
void
info_add_snapshot (Info *info, const Qcow2Snapshot *snapshot)
{
  if (!info->has_list && info->is_text)
    info_snapshot_heading (info->out);
  else if (!info->has_list)
    qemu_tree_begin_list (info->tree, "snapshots");
  info->has_list = TRUE;

  if (info->is_text)
    info_snapshot_row (info->out, snapshot);
  else
    info_snapshot_add (info->tree, snapshot);
}

static void
add_sizes (const InfoFacts *facts, QemuTree *tree)
{
  qemu_tree_add_number (tree, "virtual-size", get_virtual_size (facts));
  qemu_tree_add_word (tree, "filename", facts->filename);
  if (facts->header->cluster_size != QCOW2_ABSENT)
    qemu_tree_add_number (tree, "cluster-size", facts->header->cluster_size);
  qemu_tree_add_word (tree, "format", "qcow2");
  if (facts->disk_size != QCOW2_ABSENT)
    qemu_tree_add_number (tree, "actual-size", facts->disk_size);
}

static gboolean
is_version_3 (const Info *info)
{
  return info->facts->header->version >= 3;
}

/* Ends the snapshots and begins the data that are specific to qcow2. */
void
info_begin_data (Info *info)
{
  const Qcow2Header *h = info->facts->header;
  const Qcow2Field *field
      = QCOW2_FIELD (qcow2_header_record, Qcow2Header, compression_type);
  const char *compression
      = qcow2_label_find (field->labels, h->compression_type);
  QemuTree *tree = info->tree;

  if (info->has_list && !info->is_text)
    qemu_tree_end (tree);
  info->has_list = FALSE;

  if (info->is_text)
    {
      g_string_append (info->out, "Format specific information:\n");
      qemu_tree_begin_object (tree, NULL);
    }
  else
    {
      add_sizes (info->facts, tree);
      qemu_tree_begin_object (tree, "format-specific");
      qemu_tree_add_word (tree, "type", "qcow2");
      qemu_tree_begin_object (tree, "data");
    }

  qemu_tree_add_word (tree, "compat", is_version_3 (info) ? "1.1" : "0.10");
  if (compression != NULL)
    qemu_tree_add_word (tree, "compression-type", compression);
  if (is_version_3 (info))
    qemu_tree_add_boolean (
        tree, "lazy-refcounts",
        (h->compatible_features & QCOW2_COMPATIBLE_LAZY_REFCOUNTS) != 0);
}

/* Adds BITMAP to the data. */
void
info_add_bitmap (Info *info, const Qcow2Bitmap *bitmap)
{
  QemuTree *tree = info->tree;

  if (!info->has_list)
    qemu_tree_begin_list (tree, "bitmaps");
  info->has_list = TRUE;

  qemu_tree_begin_object (tree, NULL);
  qemu_tree_begin_list (tree, "flags");
  if ((bitmap->flags & QCOW2_BITMAP_IN_USE) != 0)
    qemu_tree_add_word (tree, NULL, "in-use");
  if ((bitmap->flags & QCOW2_BITMAP_AUTO) != 0)
    qemu_tree_add_word (tree, NULL, "auto");
  qemu_tree_end (tree);
  qemu_tree_add_cut (tree, "name", qemu_string_cut (bitmap->name, G_MAXSIZE));
  if (bitmap->granularity != QCOW2_ABSENT)
    qemu_tree_add_number (tree, "granularity", bitmap->granularity);
  qemu_tree_end (tree);
}

/* Adds the rest of the data, after the bitmaps. */
static void
add_data_end (const Info *info)
{
  const InfoFacts *facts = info->facts;
  const Qcow2Header *h = facts->header;
  const guint64 features = h->incompatible_features;
  QemuTree *tree = info->tree;

  if (h->refcount_bits != QCOW2_ABSENT)
    qemu_tree_add_number (tree, "refcount-bits", h->refcount_bits);
  if (is_version_3 (info) && h->external_data_file != NULL
      && !facts->extensions_ignored)
    qemu_tree_add_cut (tree, "data-file",
                       qemu_string_cut (h->external_data_file, G_MAXSIZE));
  info_encryption_add (tree, h, facts->luks);
  if (!is_version_3 (info))
    return;

  if ((features & QCOW2_INCOMPATIBLE_DATA_FILE) != 0)
    qemu_tree_add_boolean (tree, "data-file-raw",
                           (h->autoclear_features & QCOW2_AUTOCLEAR_RAW_DATA)
                               != 0);
  qemu_tree_add_boolean (tree, "corrupt",
                         (features & QCOW2_INCOMPATIBLE_CORRUPT) != 0);
  qemu_tree_add_boolean (tree, "extended-l2",
                         (features & QCOW2_INCOMPATIBLE_EXTENDED_L2) != 0);
}

static void
add_backing_file (const InfoFacts *facts, QemuTree *tree)
{
  const QemuString name = get_backing_file (facts);

  if (name.len > 0)
    qemu_tree_add_word (tree, "full-backing-filename", facts->full_name);
  if (is_encrypted (facts))
    qemu_tree_add_boolean (tree, "encrypted", TRUE);
  if (name.len > 0)
    qemu_tree_add_cut (tree, "backing-filename", name);
}

/* Ends INFO and frees it. */
void
info_end (Info *info)
{
  const InfoFacts *facts = info->facts;
  QemuTree *tree = info->tree;
  const QemuString refusal = qemu_string_cut (facts->refusal, G_MAXSIZE);

  if (info->has_list)
    qemu_tree_end (tree);
  add_data_end (info);
  qemu_tree_end (tree);
  if (info->is_text)
    {
      if (facts->with_children)
        append_children (facts, info->out);
      if (facts->refusal != NULL)
        {
          g_string_append (info->out, "qemu refuses: ");
          format_escaped (info->out, refusal.bytes, refusal.len);
          g_string_append_c (info->out, '\n');
        }
      g_free (info);
      return;
    }

  qemu_tree_end (tree);
  add_backing_file (facts, tree);
  qemu_tree_add_boolean (tree, "dirty-flag", is_dirty (facts));
  if (facts->refusal != NULL)
    qemu_tree_add_cut (tree, "qemu-refuses", refusal);
  qemu_tree_end (tree);
  g_free (info);
}

static void
append_unshown (const InfoUnshown *layer, GString *out)
{
  g_string_append (out, "image: ");
  format_escaped (out, layer->filename, strlen (layer->filename));
  g_string_append_c (out, '\n');
  if (layer->format != NULL)
    {
      g_string_append (out, "file format: ");
      format_escaped (out, layer->format, strlen (layer->format));
      g_string_append_c (out, '\n');
    }
  if (layer->is_raw)
    {
      append_size (out, "virtual size: ", layer->file_size, TRUE);
      append_size (out, "disk size: ", layer->disk_size, FALSE);
    }
  g_string_append_printf (out, "error: %s\n", layer->error);
}

/* Prints LAYER to TREE, which appends to OUT. */
void
info_print_unshown (const InfoUnshown *layer, QemuTree *tree, GString *out)
{
  if (qemu_tree_is_text (tree))
    {
      append_unshown (layer, out);
      return;
    }

  qemu_tree_begin_object (tree, NULL);
  if (layer->is_raw)
    qemu_tree_add_number (tree, "virtual-size", layer->file_size);
  qemu_tree_add_word (tree, "filename", layer->filename);
  if (layer->format != NULL)
    qemu_tree_add_word (tree, "format", layer->format);
  if (layer->is_raw && layer->disk_size != QCOW2_ABSENT)
    qemu_tree_add_number (tree, "actual-size", layer->disk_size);
  if (layer->is_raw)
    qemu_tree_add_boolean (tree, "dirty-flag", FALSE);
  qemu_tree_add_word (tree, "error", layer->error);
  qemu_tree_end (tree);
}
