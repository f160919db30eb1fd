/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/image.h"

#include <string.h>

/* The feature name table that QEMU writes (block/qcow2.c:
 * qcow2_update_header): its rows, and the largest clusters in bytes for which
 * it is omitted. */
#define N_WRITTEN_FEATURES 8
#define MAX_CLUSTER_WITHOUT_FEATURES 4096

/* qcow2 spec: the maximum length of the backing file name in bytes. */
#define MAX_BACKING_FILE_NAME 1023

/* The host offset of the byte that QEMU locks while it may write. */
#define WRITE_PERMISSION_LOCK 101

/* Adds a finding about the header field MEMBER. */
#define ADD(subject, rule, member, ...)                                       \
  qcow2_problems_add_at (image->problems, &(subject), QCOW2_##rule,           \
                         QCOW2_PLACE (0, qcow2_header_record, Qcow2Header,    \
                                      member, &image->header),                \
                         __VA_ARGS__)

static void
replace_string (GBytes **string, GBytes *value)
{
  g_clear_pointer (string, g_bytes_unref);
  if (value != NULL)
    *string = g_bytes_ref (value);
}

/* Copies the names of feature bits in EXTENSION to HEADER.  As in QEMU, the
 * first name of a bit counts. */
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
  image->bitmaps_offset = extension->file_offset + QCOW2_EXTENSION_HEAD_LENGTH;
  qcow2_extension_judge (extension, &image->header,
                         byte_source_get_size (image->source),
                         qcow2_extension_is_repeated (extension, history),
                         QCOW2_PART_BITMAPS, image->problems);
}

/* A summary of the extensions that a walk has found. */
typedef struct
{
  gboolean crypto;               /* there is a complete crypto extension */
  gboolean crypto_placed;        /* the last crypto extension has an offset */
  gboolean bitmaps;              /* there is a complete bitmaps extension */
  gboolean bitmaps_cut;          /* the last bitmaps extension is truncated */
  guint64 unknown_size;          /* bytes of unknown extensions, as written */
  Qcow2ExtensionHistory history; /* of bitmaps extensions */
} Met;

/* Returns the size in bytes of an extension with SIZE bytes of payload. */
static guint64
get_extension_size (guint64 size)
{
  return QCOW2_EXTENSION_HEAD_LENGTH + (size + 7) / 8 * 8;
}

/* Returns the length in bytes of STRING, which may be NULL, up to its first
 * NUL. */
static gsize
get_c_length (GBytes *string)
{
  gsize len = 0;
  const char *bytes = string != NULL ? g_bytes_get_data (string, &len) : NULL;

  return len > 0 ? strnlen (bytes, len) : 0;
}

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
      met->crypto_placed = extension->crypto.crypto_header_offset != 0;
      return;
    case QCOW2_EXTENSION_BITMAPS:
      met->bitmaps = met->bitmaps || whole;
      met->bitmaps_cut = !whole;
      image->bitmaps_index = extension->index;
      if (whole)
        take_directory (image, extension, &met->history);
      return;
    default:
      met->unknown_size += get_extension_size (extension->length);
      return;
    }
}

/* Stores in *LEN the length in bytes of the backing file name in QEMU: up to
 * the first NUL, with zeroes after the end of the file. */
static gboolean
measure_backing_file_name (const Qcow2Image *image, gsize *len, GError **error)
{
  const Qcow2Header *h = &image->header;
  const guint64 end = byte_source_get_size (image->source);
  char name[MAX_BACKING_FILE_NAME];

  *len = 0;
  if (h->backing_file_offset == 0 || h->backing_file_offset >= end)
    return TRUE;

  const gsize size = (gsize) MIN (MIN (h->backing_file_size, sizeof name),
                                  end - h->backing_file_offset);
  if (!byte_source_read (image->source, h->backing_file_offset, name, size,
                         "backing file name", error))
    return FALSE;

  *len = strnlen (name, size);
  return TRUE;
}

/* Sets written_size and header_is_rewritten of IMAGE.  MET is the summary of
 * its extensions. */
static gboolean
measure_written_header (Qcow2Image *image, const Met *met, GError **error)
{
  const Qcow2Header *h = &image->header;
  const gboolean has_data_file
      = (h->incompatible_features & QCOW2_INCOMPATIBLE_DATA_FILE) != 0;
  gsize name_len = 0;
  guint64 size = h->version < 3 ? QCOW2_V2_HEADER_LENGTH
                                : qcow2_record_get_size (&qcow2_header_record);

  if (!measure_backing_file_name (image, &name_len, error))
    return FALSE;

  if (h->version >= 3 && h->header_length > size)
    size = h->header_length;
  if (h->version >= 3 && h->cluster_size > MAX_CLUSTER_WITHOUT_FEATURES)
    size += get_extension_size (
        N_WRITTEN_FEATURES * qcow2_record_get_size (&qcow2_feature_record));
  if (!image->extensions_ignored)
    {
      if (h->backing_format != NULL)
        size += get_extension_size (get_c_length (h->backing_format));
      if (h->external_data_file != NULL && has_data_file)
        size += get_extension_size (get_c_length (h->external_data_file));
      if (met->crypto_placed)
        size += get_extension_size (
            qcow2_record_get_size (&qcow2_crypto_extension_record));
      if (met->bitmaps && qcow2_header_vouches_for_bitmaps (h))
        size += get_extension_size (
            qcow2_record_get_size (&qcow2_bitmaps_extension_record));
      size += met->unknown_size;
    }

  image->written_size = size + get_extension_size (0) + name_len;
  image->header_is_rewritten
      = (h->autoclear_features & ~QCOW2_AUTOCLEAR_KNOWN) != 0
        || (image->bitmaps_index != QCOW2_NO_INDEX
            && !image->extensions_ignored
            && !qcow2_header_vouches_for_bitmaps (h));
  return TRUE;
}

/* HDR-31: adds a finding to IMAGE if its header, when QEMU rewrites it, is too
 * large for the first cluster.  The caller checks that QEMU rewrites the
 * header. */
void
qcow2_image_judge_room (Qcow2Image *image)
{
  const Qcow2Header *h = &image->header;
  const Qcow2Subject subject = { .parts = QCOW2_PART_HEADER,
                                 .structure = qcow2_header_record.name,
                                 .extension = QCOW2_NO_INDEX,
                                 .bitmap = QCOW2_NO_INDEX };

  if (image->written_size > h->cluster_size)
    qcow2_problems_add (image->problems, &subject, QCOW2_HDR_31, 0, 0,
                        "with its extensions and names, as QEMU writes them, "
                        "it takes " QCOW2_U
                        " bytes, more than the first cluster has",
                        image->written_size);
}

/* HDR-22, HDR-32: adds notes about missing names that other programs need. */
static void
note_missing_names (Qcow2Image *image)
{
  const Qcow2Header *h = &image->header;
  const Qcow2Subject subject = { .parts = QCOW2_PART_HEADER,
                                 .structure = qcow2_header_record.name,
                                 .extension = QCOW2_NO_INDEX,
                                 .bitmap = QCOW2_NO_INDEX };

  if (h->backing_file_offset != 0 && h->backing_file_size != 0
      && h->backing_format == NULL)
    ADD (subject, HDR_32, backing_file_offset,
         "the backing file has no backing format");
  if ((h->incompatible_features & QCOW2_INCOMPATIBLE_DATA_FILE) != 0
      && h->external_data_file == NULL)
    ADD (subject, HDR_22_NAME, incompatible_features,
         "the external data file has no name");
}

/* HDR-16: adds a finding if IMAGE is encrypted with LUKS but does not have a
 * complete crypto extension that QEMU reads (HAS_CRYPTO). */
static void
judge_encryption (Qcow2Image *image, gboolean has_crypto)
{
  const Qcow2Header *h = &image->header;
  const Qcow2Subject subject = { .parts = QCOW2_PART_HEADER,
                                 .structure = qcow2_header_record.name,
                                 .extension = QCOW2_NO_INDEX,
                                 .bitmap = QCOW2_NO_INDEX };

  if (h->crypt_method == QCOW2_CRYPT_LUKS && !has_crypto)
    ADD (subject, HDR_16_MISSING, crypt_method,
         "crypt_method is %u (luks), but no crypto header "
         "extension is read",
         h->crypt_method);
}

/* Judges whether the header agrees with the extensions, of which MET is the
 * summary. */
static void
judge_promises (Qcow2Image *image, const Met *met)
{
  const Qcow2Header *h = &image->header;
  Qcow2Subject subject = { .parts = QCOW2_PART_HEADER,
                           .structure = qcow2_header_record.name,
                           .extension = QCOW2_NO_INDEX,
                           .bitmap = QCOW2_NO_INDEX };

  judge_encryption (image, met->crypto && !image->extensions_ignored);
  note_missing_names (image);
  if (met->bitmaps && h->version < 3)
    ADD (subject, HDR_25_VERSION, version,
         "version %u cannot vouch for bitmaps, but there is a "
         "bitmaps extension",
         h->version);
  else if (met->bitmaps && !qcow2_header_vouches_for_bitmaps (h))
    ADD (subject, HDR_25_CLEAR, autoclear_features,
         "the bitmaps bit is clear, but there is a bitmaps "
         "extension: it is out of date");
  else if (!met->bitmaps && qcow2_header_vouches_for_bitmaps (h))
    {
      subject.parts = QCOW2_PART_HEADER | QCOW2_PART_BITMAPS
                      | QCOW2_PART_BITMAPS_EXTENSION;
      ADD (subject, HDR_25_MISSING, autoclear_features,
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
  if (!measure_written_header (image, &met, error))
    return FALSE;

  if (image->header_is_rewritten)
    qcow2_image_judge_room (image);
  return TRUE;
}

/* Opens the image in SOURCE: reads the header, walks the extensions and judges
 * both.  Takes ownership of SOURCE, even on failure.  Fails with the errors of
 * qcow2_header_read (); any other damage becomes findings in the problems of
 * the image. */
Qcow2Image *
qcow2_image_open (ByteSource *source, GError **error)
{
  g_autoptr (Qcow2Image) image = g_new0 (Qcow2Image, 1);
  guint64 start;
  guint64 end;

  image->source = source;
  image->problems = qcow2_problems_new ();
  image->bitmaps_index = QCOW2_NO_INDEX;

  if (!qcow2_header_read (source, &image->header, error))
    return NULL;
  if (!qcow2_header_read_backing_file (source, &image->header, error))
    return NULL;
  if (!qcow2_header_judge (&image->header, source, image->problems, error))
    return NULL;

  image->has_extensions
      = qcow2_header_get_extension_area (&image->header, &start, &end)
        && start <= byte_source_get_size (source);
  image->extensions_ignored
      = image->header.backing_file_offset != 0
        && image->header.backing_file_offset <= image->header.header_length;
  if (!image->has_extensions)
    judge_encryption (image, FALSE);
  else if (!read_extensions (image, error))
    return NULL;

  return g_steal_pointer (&image);
}

/* Returns whether all bitmaps of IMAGE are damaged because of an error in the
 * structures that lead to the bitmap directory. */
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

/* Returns whether a running QEMU on this host has IMAGE open for writing, as a
 * value of byte_source_probe_lock ().  (QEMU, block/file-posix.c: a permission
 * is a shared lock on byte 100 plus its number.) */
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
