/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/image-rules.h"

#include <string.h>

#include "check/extension-rules.h"
#include "check/header-rules.h"

/* Host offsets of header fields, for findings. */
#define AT_VERSION 0x04
#define AT_BACKING_FILE_OFFSET 0x08
#define AT_CRYPT_METHOD 0x20
#define AT_INCOMPATIBLE 0x48
#define AT_AUTOCLEAR 0x58

/* Sizes in bytes of the parts that QEMU writes (block/qcow2.c:
 * qcow2_update_header): headers of version 3 and 2, the head of an extension,
 * and the feature name table, which is omitted if clusters are small. */
#define WRITTEN_V3_HEADER 112
#define WRITTEN_V2_HEADER 72
#define EXTENSION_HEAD QCOW2_EXTENSION_HEAD_LENGTH
#define WRITTEN_FEATURES 384
#define MAX_CLUSTER_WITHOUT_FEATURES 4096

/* qcow2 spec: the maximum length of the backing file name in bytes. */
#define MAX_BACKING_FILE_NAME 1023

static const Qcow2Subject header_alone = { .parts = QCOW2_PART_HEADER,
                                           .structure = "header",
                                           .extension = QCOW2_NO_INDEX,
                                           .bitmap = QCOW2_NO_INDEX };

/* Returns the size in bytes of an extension with SIZE bytes of payload. */
static guint64
get_extension_size (guint64 size)
{
  return EXTENSION_HEAD + (size + 7) / 8 * 8;
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

/* Stores in *SIZE the number of bytes of the header and extensions of IMAGE as
 * QEMU writes them. */
static gboolean
measure_written_header (const Qcow2Image *image, guint64 *size, GError **error)
{
  const Qcow2Header *h = &image->header;
  const gboolean has_data_file
      = (h->incompatible_features & QCOW2_INCOMPATIBLE_DATA_FILE) != 0;
  gsize name_len = 0;
  guint64 sum = h->version < 3 ? WRITTEN_V2_HEADER : WRITTEN_V3_HEADER;

  if (!measure_backing_file_name (image, &name_len, error))
    return FALSE;

  if (h->version >= 3 && h->header_length > WRITTEN_V3_HEADER)
    sum = h->header_length;
  if (h->version >= 3 && h->cluster_size > MAX_CLUSTER_WITHOUT_FEATURES)
    sum += get_extension_size (WRITTEN_FEATURES);
  if (!image->extensions_ignored)
    {
      if (h->backing_format != NULL)
        sum += get_extension_size (get_c_length (h->backing_format));
      if (h->external_data_file != NULL && has_data_file)
        sum += get_extension_size (get_c_length (h->external_data_file));
      if (image->crypto_located)
        sum += get_extension_size (QCOW2_CRYPTO_EXTENSION_LENGTH);
      if (image->has_bitmaps && qcow2_header_vouches_for_bitmaps (h))
        sum += get_extension_size (QCOW2_BITMAPS_EXTENSION_LENGTH);
      sum += image->unknown_size;
    }

  *size = sum + get_extension_size (0) + name_len;
  return TRUE;
}

/* Returns whether QEMU rewrites the header of IMAGE when it opens the image
 * for writing, even if there are no bitmaps.  It also does if it rewrites the
 * bitmap directory. */
gboolean
qcow2_image_header_is_rewritten (const Qcow2Image *image)
{
  const Qcow2Header *h = &image->header;

  return (h->autoclear_features & ~QCOW2_AUTOCLEAR_KNOWN) != 0
         || (image->bitmaps_index != QCOW2_NO_INDEX
             && !image->extensions_ignored
             && !qcow2_header_vouches_for_bitmaps (h));
}

/* HDR-31: adds a finding to PROBLEMS if the header of IMAGE, when QEMU
 * rewrites it, is too large for the first cluster.  The caller checks that
 * QEMU rewrites the header.  Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_image_judge_room (const Qcow2Image *image, Qcow2Problems *problems,
                        GError **error)
{
  guint64 size;

  if (!measure_written_header (image, &size, error))
    return FALSE;

  if (size > image->header.cluster_size)
    qcow2_problems_add (problems, &header_alone, QCOW2_HDR_31, 0, 0,
                        "with its extensions and names, as QEMU writes them, "
                        "it takes " QCOW2_U
                        " bytes, more than the first cluster has",
                        size);
  return TRUE;
}

/* HDR-22, HDR-32: adds notes about missing names that other programs need. */
static void
note_missing_names (const Qcow2Image *image, Qcow2Problems *problems)
{
  const Qcow2Header *h = &image->header;

  if (h->backing_file_offset != 0 && h->backing_file_size != 0
      && h->backing_format == NULL)
    qcow2_problems_add (problems, &header_alone, QCOW2_HDR_32,
                        AT_BACKING_FILE_OFFSET, 0,
                        "the backing file has no backing format");
  if ((h->incompatible_features & QCOW2_INCOMPATIBLE_DATA_FILE) != 0
      && h->external_data_file == NULL)
    qcow2_problems_add (problems, &header_alone, QCOW2_HDR_22_NAME,
                        AT_INCOMPATIBLE, 0,
                        "the external data file has no name");
}

/* HDR-16: adds a finding if IMAGE is encrypted with LUKS but does not have a
 * complete crypto extension that QEMU reads. */
static void
judge_encryption (const Qcow2Image *image, Qcow2Problems *problems)
{
  const Qcow2Header *h = &image->header;

  if (h->crypt_method == QCOW2_CRYPT_LUKS
      && (!image->has_crypto || image->extensions_ignored))
    qcow2_problems_add (problems, &header_alone, QCOW2_HDR_16_MISSING,
                        AT_CRYPT_METHOD, h->crypt_method,
                        "crypt_method is %u (luks), but no crypto header "
                        "extension is read",
                        h->crypt_method);
}

/* HDR-25: adds a finding if the header and the extensions of IMAGE disagree
 * about bitmaps. */
static void
judge_bitmaps_bit (const Qcow2Image *image, Qcow2Problems *problems)
{
  const Qcow2Header *h = &image->header;
  const gboolean vouched = qcow2_header_vouches_for_bitmaps (h);
  Qcow2Subject subject = header_alone;

  if (image->has_bitmaps && h->version < 3)
    qcow2_problems_add (problems, &subject, QCOW2_HDR_25_VERSION, AT_VERSION,
                        h->version,
                        "version %u cannot vouch for bitmaps, but there is a "
                        "bitmaps extension",
                        h->version);
  else if (image->has_bitmaps && !vouched)
    qcow2_problems_add (problems, &subject, QCOW2_HDR_25_CLEAR, AT_AUTOCLEAR,
                        h->autoclear_features,
                        "the bitmaps bit is clear, but there is a bitmaps "
                        "extension: it is out of date");
  else if (!image->has_bitmaps && vouched)
    {
      subject.parts = QCOW2_PART_HEADER | QCOW2_PART_BITMAPS
                      | QCOW2_PART_BITMAPS_EXTENSION;
      qcow2_problems_add (problems, &subject, QCOW2_HDR_25_MISSING,
                          AT_AUTOCLEAR, h->autoclear_features,
                          "the bitmaps bit is set, but no bitmaps extension "
                          "can be read");
    }
}

typedef struct
{
  Qcow2Problems *problems;
  Qcow2ExtensionHistory history;
} Extensions;

/* A Qcow2ExtensionFunc. */
static gboolean
judge_extension (const Qcow2Image *image, const Qcow2Extension *extension,
                 gpointer data, GError **error)
{
  Extensions *extensions = data;

  return qcow2_extension_judge (
      extension, &image->header, image->source,
      qcow2_extension_is_repeated (extension, &extensions->history),
      extensions->problems, error);
}

/* Reads the extensions of IMAGE, judges them, and judges whether the header
 * agrees with them. */
static gboolean
judge_extensions (Qcow2Image *image, Qcow2Problems *problems, GError **error)
{
  Extensions extensions = { .problems = problems };

  if (!qcow2_image_read_extensions (image, judge_extension, &extensions,
                                    error))
    return FALSE;

  judge_encryption (image, problems);
  if (!image->has_extensions)
    return TRUE;

  qcow2_extensions_judge_end (&image->end, &image->header,
                              image->has_bitmaps && !image->bitmaps_truncated,
                              problems);
  note_missing_names (image, problems);
  judge_bitmaps_bit (image, problems);
  return !qcow2_image_header_is_rewritten (image)
         || qcow2_image_judge_room (image, problems, error);
}

/* Opens the image in SOURCE, reads its header and header extensions, judges
 * them and adds findings to PROBLEMS.  Takes ownership of SOURCE, even on
 * failure.  Fails as qcow2_image_open () does; any other damage becomes
 * findings. */
Qcow2Image *
qcow2_image_open_judged (ByteSource *source, Qcow2Problems *problems,
                         GError **error)
{
  g_autoptr (Qcow2Image) image = qcow2_image_open (source, error);

  if (image == NULL
      || !qcow2_header_judge (&image->header, source, problems, error)
      || !judge_extensions (image, problems, error))
    return NULL;

  return g_steal_pointer (&image);
}
