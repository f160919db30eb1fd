/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/image.h"

/* Host offsets of header fields, for findings. */
#define AT_VERSION 0x04
#define AT_CRYPT_METHOD 0x20
#define AT_AUTOCLEAR 0x58

/* The byte on which QEMU holds a lock while it may write. */
#define WRITE_PERMISSION_LOCK 101

static void
replace_string (GBytes **string, GBytes *value)
{
  g_clear_pointer (string, g_bytes_unref);
  if (value != NULL)
    *string = g_bytes_ref (value);
}

/* Takes the names that the image has for feature bits; as in QEMU, the first
 * name of a bit counts. */
static void
take_feature_names (Qcow2Header *header, const Qcow2Extension *extension)
{
  const guint n = qcow2_extension_get_n_features (extension);

  for (guint row = 0; row < n; row++)
    {
      g_auto (Qcow2Feature) feature = { 0 };
      gsize len;

      qcow2_extension_get_feature (extension, row, &feature);
      const char *name = g_bytes_get_data (feature.name, &len);
      if (feature.type >= QCOW2_N_FEATURE_TYPES
          || feature.bit >= QCOW2_MASK_BITS || len == 0)
        continue;

      char **slot = &header->feature_names[feature.type][feature.bit];
      if (*slot == NULL)
        *slot = g_strndup (name, len);
    }
}

static void
take_directory (Qcow2Image *image, const Qcow2Extension *extension,
                Qcow2ExtensionHistory *history)
{
  image->bitmaps = extension->bitmaps;
  image->bitmaps_offset = extension->file_offset + 8;
  qcow2_extension_judge (extension, &image->header,
                         byte_source_get_size (image->source),
                         qcow2_extension_is_repeated (extension, history),
                         QCOW2_PART_BITMAPS, image->problems);
}

/* What the walk of the extensions met. */
typedef struct
{
  gboolean crypto;               /* whole */
  gboolean bitmaps;              /* likewise */
  gboolean bitmaps_cut;          /* one that is not */
  Qcow2ExtensionHistory history; /* of bitmaps extensions */
} Met;

static void
take_extension (Qcow2Image *image, const Qcow2Extension *extension, Met *met)
{
  const gboolean whole = qcow2_extension_is_whole (extension);

  switch (extension->magic)
    {
    case QCOW2_EXTENSION_BACKING_FORMAT:
      replace_string (&image->header.backing_format, extension->bytes);
      return;
    case QCOW2_EXTENSION_DATA_FILE:
      replace_string (&image->header.external_data_file, extension->bytes);
      return;
    case QCOW2_EXTENSION_FEATURES:
      take_feature_names (&image->header, extension);
      return;
    case QCOW2_EXTENSION_CRYPTO:
      met->crypto = met->crypto || whole;
      return;
    case QCOW2_EXTENSION_BITMAPS:
      met->bitmaps = met->bitmaps || whole;
      met->bitmaps_cut = !whole;
      if (whole)
        take_directory (image, extension, &met->history);
      return;
    default:
      return;
    }
}

/* Judges the header by the extensions that it promises. */
static void
judge_promises (Qcow2Image *image, const Met *met)
{
  const Qcow2Header *h = &image->header;
  Qcow2Subject subject = { .parts = QCOW2_PART_HEADER,
                           .structure = "header",
                           .extension = QCOW2_NO_INDEX,
                           .bitmap = QCOW2_NO_INDEX };

  if (h->crypt_method == QCOW2_CRYPT_LUKS && !met->crypto)
    qcow2_problems_add (image->problems, &subject, QCOW2_HDR_16_MISSING,
                        AT_CRYPT_METHOD, h->crypt_method,
                        "crypt_method is %u (luks), but there is no crypto "
                        "header extension",
                        h->crypt_method);

  if (met->bitmaps && h->version < 3)
    qcow2_problems_add (image->problems, &subject, QCOW2_HDR_25_VERSION,
                        AT_VERSION, h->version,
                        "version %u cannot vouch for bitmaps, but there is a "
                        "bitmaps extension",
                        h->version);
  else if (met->bitmaps && !qcow2_header_vouches_for_bitmaps (h))
    qcow2_problems_add (image->problems, &subject, QCOW2_HDR_25_CLEAR,
                        AT_AUTOCLEAR, h->autoclear_features,
                        "the bitmaps bit is clear, but there is a bitmaps "
                        "extension: it is out of date");
  else if (!met->bitmaps && qcow2_header_vouches_for_bitmaps (h))
    {
      subject.parts = QCOW2_PART_HEADER | QCOW2_PART_BITMAPS
                      | QCOW2_PART_BITMAPS_EXTENSION;
      qcow2_problems_add (image->problems, &subject, QCOW2_HDR_25_MISSING,
                          AT_AUTOCLEAR, h->autoclear_features,
                          "the bitmaps bit is set, but no bitmaps extension "
                          "can be read");
    }
}

static gboolean
read_extensions (Qcow2Image *image, GError **error)
{
  g_autoptr (Qcow2ExtensionWalk) walk
      = qcow2_extension_walk_new (image->source, &image->header);
  g_autoptr (GError) local_error = NULL;
  Met met = { 0 };

  while (TRUE)
    {
      g_auto (Qcow2Extension) extension = { 0 };

      if (!qcow2_extension_walk_next (walk, &extension, &local_error))
        break;

      take_extension (image, &extension, &met);
    }

  if (local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }

  qcow2_extension_walk_report_end (walk, met.bitmaps && !met.bitmaps_cut,
                                   image->problems);
  judge_promises (image, &met);
  return TRUE;
}

/* Opens the image in SOURCE, which it takes: reads the header, walks the
 * extensions and judges both.  Fails as qcow2_header_read () does; damage that
 * leaves something to show is in the image's problems instead. */
Qcow2Image *
qcow2_image_open (ByteSource *source, GError **error)
{
  g_autoptr (Qcow2Image) image = g_new0 (Qcow2Image, 1);
  guint64 start;
  guint64 end;

  image->source = source;
  image->problems = qcow2_problems_new ();

  if (!qcow2_header_read (source, &image->header, error))
    return NULL;
  if (!qcow2_header_read_backing_file (source, &image->header, error))
    return NULL;
  if (!qcow2_header_judge (&image->header, source, image->problems, error))
    return NULL;

  image->has_extensions
      = qcow2_header_get_extension_area (&image->header, &start, &end)
        && start <= byte_source_get_size (source);
  if (image->has_extensions && !read_extensions (image, error))
    return NULL;

  return g_steal_pointer (&image);
}

/* Whether something is wrong that makes every bitmap of IMAGE damaged: an
 * error in what is read on the way to the bitmap directory. */
gboolean
qcow2_image_bitmaps_are_damaged (const Qcow2Image *image)
{
  for (guint i = 0; i < qcow2_problems_get_n (image->problems); i++)
    {
      const Qcow2Problem *problem = qcow2_problems_get (image->problems, i);

      if (problem->severity == QCOW2_SEVERITY_ERROR
          && problem->subject.bitmap == QCOW2_NO_INDEX
          && (problem->subject.parts & QCOW2_PART_BITMAPS) != 0)
        return TRUE;
    }

  return FALSE;
}

/* Tells whether a running QEMU on this host has IMAGE open for writing: the
 * values are those of byte_source_probe_lock ().  (QEMU, block/file-posix.c:
 * a permission is a shared lock on byte 100 and its number.) */
guint64
qcow2_image_probe_writer (const Qcow2Image *image)
{
  return byte_source_probe_lock (image->source, WRITE_PERMISSION_LOCK);
}

void
qcow2_image_free (Qcow2Image *image)
{
  if (image == NULL)
    return;

  qcow2_header_clear (&image->header);
  qcow2_problems_free (image->problems);
  byte_source_free (image->source);
  g_free (image);
}
