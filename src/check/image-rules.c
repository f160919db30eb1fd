/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/image-rules.h"

#include <string.h>

#include "check/extension-rules.h"
#include "check/header-rules.h"
#include "qcow2/c-string.h"

/* The feature name table that QEMU writes (block/qcow2.c:
 * qcow2_update_header): its rows, and the largest clusters in bytes for which
 * it is omitted. */
#define N_WRITTEN_FEATURES 8
#define MAX_CLUSTER_WITHOUT_FEATURES 4096

/* Adds a finding about the header field MEMBER. */
#define ADD(subject, rule, member, ...)                                       \
  qcow2_findings_add_at (findings, &(subject), QCOW2_##rule,                  \
                         QCOW2_PLACE (0, qcow2_header_record, Qcow2Header,    \
                                      member, &image->header),                \
                         __VA_ARGS__)

static const Qcow2Subject header_alone
    = QCOW2_SUBJECT (QCOW2_PART_HEADER, "header");

/* Stores in *LEN the length in bytes of the backing file name in QEMU: up to
 * the first NUL, with zeroes after the end of the file. */
static gboolean
measure_backing_file_name (const Qcow2Image *image, gsize *len, GError **error)
{
  const Qcow2Header *h = &image->header;
  const guint64 end = byte_source_get_size (image->source);
  char name[QCOW2_MAX_BACKING_FILE_NAME];

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

/* Stores in *SIZE the number of bytes of the header and extensions of IMAGE as
 * QEMU writes them. */
static gboolean
measure_written_header (const Qcow2Image *image, guint64 *size, GError **error)
{
  const Qcow2Header *h = &image->header;
  const gboolean has_data_file
      = (h->incompatible_features & QCOW2_INCOMPATIBLE_DATA_FILE) != 0;
  gsize name_len = 0;
  guint64 sum = h->version < 3 ? QCOW2_V2_HEADER_LENGTH
                               : qcow2_record_get_size (&qcow2_header_record);

  if (!measure_backing_file_name (image, &name_len, error))
    return FALSE;

  if (h->version >= 3 && h->header_length > sum)
    sum = h->header_length;
  if (h->version >= 3 && h->cluster_size > MAX_CLUSTER_WITHOUT_FEATURES)
    sum += qcow2_extension_get_stored_size (
        N_WRITTEN_FEATURES * qcow2_record_get_size (&qcow2_feature_record));
  if (!image->extensions_ignored)
    {
      if (h->backing_format != NULL)
        sum += qcow2_extension_get_stored_size (
            qcow2_c_string_get_length (h->backing_format));
      if (h->external_data_file != NULL && has_data_file)
        sum += qcow2_extension_get_stored_size (
            qcow2_c_string_get_length (h->external_data_file));
      if (image->crypto_located)
        sum += qcow2_extension_get_stored_size (
            qcow2_record_get_size (&qcow2_crypto_extension_record));
      if (image->has_bitmaps && qcow2_header_bitmaps_are_consistent (h))
        sum += qcow2_extension_get_stored_size (
            qcow2_record_get_size (&qcow2_bitmaps_extension_record));
      sum += image->other_size;
    }

  *size = sum + qcow2_extension_get_stored_size (0) + name_len;
  return TRUE;
}

/* Returns whether QEMU rewrites the header of IMAGE whenever it opens the
 * image for writing. */
static gboolean
is_always_rewritten (const Qcow2Image *image)
{
  const Qcow2Header *h = &image->header;

  return (h->autoclear_features & ~QCOW2_AUTOCLEAR_KNOWN) != 0
         || (image->bitmaps_index != QCOW2_NO_INDEX
             && !image->extensions_ignored
             && !qcow2_header_bitmaps_are_consistent (h));
}

/* Returns whether QEMU rewrites the header of IMAGE when it opens the image
 * for writing, even if there are no bitmaps: the last thing that it does when
 * it has repaired a dirty image is to clear the bit.  It also does if it
 * rewrites the bitmap directory. */
gboolean
qcow2_image_header_is_rewritten (const Qcow2Image *image)
{
  return is_always_rewritten (image) || qcow2_header_is_dirty (&image->header);
}

/* HDR-31: adds a finding by RULE, one of its rows, to FINDINGS if the header
 * of IMAGE, when QEMU rewrites it, is too large for the first cluster.  The
 * caller checks that QEMU rewrites the header.  Fails with
 * QCOW2_ERROR_READ. */
gboolean
qcow2_image_check_room (const Qcow2Image *image, Qcow2RuleIndex rule,
                        Qcow2Findings *findings, GError **error)
{
  guint64 size;

  if (!measure_written_header (image, &size, error))
    return FALSE;

  if (size > image->header.cluster_size)
    qcow2_findings_add (findings, &header_alone, rule, 0, 0,
                        "with its extensions and names, as QEMU writes them, "
                        "it takes " QCOW2_U64_FORMAT
                        " bytes, more than the first cluster has",
                        size);
  return TRUE;
}

/* HDR-22, HDR-32: adds notes about missing names that other programs need. */
static void
note_missing_names (const Qcow2Image *image, Qcow2Findings *findings)
{
  const Qcow2Header *h = &image->header;

  if (h->backing_file_offset != 0 && h->backing_file_size != 0
      && h->backing_format == NULL)
    ADD (header_alone, HDR_32, backing_file_offset,
         "the backing file has no backing format");
  if ((h->incompatible_features & QCOW2_INCOMPATIBLE_DATA_FILE) != 0
      && h->external_data_file == NULL)
    ADD (header_alone, HDR_22_NAME, incompatible_features,
         "the external data file has no name");
}

/* HDR-16: adds a finding if IMAGE is encrypted with LUKS but does not have a
 * complete crypto extension that QEMU reads. */
static void
check_encryption (const Qcow2Image *image, Qcow2Findings *findings)
{
  const Qcow2Header *h = &image->header;

  if (h->crypt_method == QCOW2_CRYPT_LUKS
      && (!image->has_crypto || image->extensions_ignored))
    ADD (header_alone, HDR_16_MISSING, crypt_method,
         "crypt_method is %u (luks), but no crypto header "
         "extension is read",
         h->crypt_method);
}

/* HDR-25: adds a finding if the header and the extensions of IMAGE disagree
 * about bitmaps. */
static void
check_bitmaps_bit (const Qcow2Image *image, Qcow2Findings *findings)
{
  const Qcow2Header *h = &image->header;
  const gboolean vouched = qcow2_header_bitmaps_are_consistent (h);
  Qcow2Subject subject = header_alone;

  if (image->has_bitmaps && h->version < 3)
    ADD (subject, HDR_25_VERSION, version,
         "version %u cannot vouch for bitmaps, but there is a "
         "bitmaps extension",
         h->version);
  else if (image->has_bitmaps && !vouched)
    ADD (subject, HDR_25_CLEAR, autoclear_features,
         "the bitmaps bit is clear, but there is a bitmaps "
         "extension: it is out of date");
  else if (!image->has_bitmaps && vouched)
    {
      subject.parts = QCOW2_PART_HEADER | QCOW2_PART_BITMAPS
                      | QCOW2_PART_BITMAPS_EXTENSION;
      ADD (subject, HDR_25_MISSING, autoclear_features,
           "the bitmaps bit is set, but no bitmaps extension "
           "can be read");
    }
}

typedef struct
{
  const Qcow2Image *image;
  Qcow2Findings *findings;
  Qcow2ExtensionHistory history;
} Extensions;

/* A Qcow2ExtensionFunc. */
static gboolean
check_extension (const Qcow2Extension *extension, gpointer data,
                 GError **error)
{
  Extensions *extensions = data;
  const Qcow2Image *image = extensions->image;

  return qcow2_extension_check (
      extension, &image->header, image->source,
      qcow2_extension_is_repeated (extension, &extensions->history),
      extensions->findings, error);
}

/* Reads the extensions of IMAGE, checks them, and checks whether the header
 * agrees with them. */
static gboolean
check_extensions (Qcow2Image *image, Qcow2Findings *findings, GError **error)
{
  Extensions extensions = { .image = image, .findings = findings };

  if (!qcow2_image_read_extensions (image, check_extension, &extensions,
                                    error))
    return FALSE;

  check_encryption (image, findings);
  if (!image->has_extensions)
    return TRUE;

  qcow2_extensions_check_end (&image->end, &image->header,
                              image->has_bitmaps && !image->bitmaps_truncated,
                              findings);
  note_missing_names (image, findings);
  check_bitmaps_bit (image, findings);
  return !qcow2_image_header_is_rewritten (image)
         || qcow2_image_check_room (
             image,
             is_always_rewritten (image) ? QCOW2_HDR_31 : QCOW2_HDR_31_DIRTY,
             findings, error);
}

/* Opens the image in SOURCE, reads its header and header extensions, checks
 * them and adds findings to FINDINGS.  Takes ownership of SOURCE, even on
 * failure.  Fails as qcow2_image_open () does; any other damage becomes
 * findings. */
Qcow2Image *
qcow2_image_open_checked (ByteSource *source, Qcow2Findings *findings,
                          GError **error)
{
  g_autoptr (Qcow2Image) image = qcow2_image_open (source, error);

  if (image == NULL
      || !qcow2_header_check (&image->header, source, findings, error)
      || !check_extensions (image, findings, error))
    return NULL;

  return g_steal_pointer (&image);
}
