/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/tail-rules.h"

#include "check/bitmap-rules.h"

/* The maximum number of bytes to search for bits that should be 0, in all
 * bitmaps together: all of them may end in the same, possibly large, cluster.
 */
#define MAX_BYTES (512 * 1024 * 1024)

struct Qcow2TailCheck
{
  const Qcow2Image *image;
  Qcow2Findings *findings;
  ByteWindow *window;
  guint64 bytes_left; /* of MAX_BYTES */
};

/* Returns a new check of IMAGE that adds findings to FINDINGS.  Both must
 * outlive it. */
Qcow2TailCheck *
qcow2_tail_check_new (const Qcow2Image *image, Qcow2Findings *findings)
{
  Qcow2TailCheck *check = g_new0 (Qcow2TailCheck, 1);

  check->image = image;
  check->findings = findings;
  check->window = byte_window_new_streaming (image->source, 0);
  check->bytes_left = MAX_BYTES;
  return check;
}

/* Searches the bytes from host offset START to before END for the first one
 * that is not 0; in the byte at START, only the bits of MASK count.  Stores
 * its host offset in *OFFSET and its value in *BYTE.  If all are 0, stores END
 * in *OFFSET.  WHAT names the bytes in messages.  Fails with QCOW2_ERROR_READ.
 */
static gboolean
find_nonzero (Qcow2TailCheck *check, guint64 start, guint64 end, guint8 mask,
              const char *what, guint64 *offset, guint8 *byte, GError **error)
{
  byte_window_set_end (check->window, end);

  for (guint64 at = start; at < end;)
    {
      const gsize most = (gsize) MIN (end - at, BYTE_WINDOW_SIZE);
      const gsize sector
          = (gsize) (BYTE_SOURCE_SECTOR_SIZE - at % BYTE_SOURCE_SECTOR_SIZE);
      gsize len;
      const guint8 *bytes = byte_window_get_available (
          check->window, at, MIN (sector, most), most, &len, what, error);

      if (bytes == NULL)
        return FALSE;

      const gboolean ignored = at == start && (bytes[0] & mask) == 0;
      const gsize skipped = ignored ? 1 : 0;
      const gsize zeroes
          = skipped + qcow2_count_zeroes (bytes + skipped, len - skipped);

      if (zeroes < len)
        {
          *offset = at + zeroes;
          *byte = bytes[zeroes];
          return TRUE;
        }
      at += len;
    }

  *offset = end;
  return TRUE;
}

/* Stores in *FOUND whether an image of version 2 has the rest of a version 3
 * header after START, where its extensions end: a valid refcount_order and
 * header_length.  Fails with QCOW2_ERROR_READ. */
static gboolean
find_version_3 (const Qcow2TailCheck *check, guint64 start, gboolean *found,
                GError **error)
{
  const Qcow2Image *image = check->image;
  const guint at = QCOW2_AT (qcow2_header_record, Qcow2Header, refcount_order);
  guint8 bytes[QCOW2_V3_HEADER_LENGTH];
  Qcow2Header rest = { .refcount_order = 0 };

  *found = FALSE;
  if (image->header.version != 2 || start > at
      || byte_source_get_size (image->source) < sizeof bytes)
    return TRUE;
  if (!byte_source_read (image->source, 0, bytes, sizeof bytes,
                         qcow2_header_record.name, error))
    return FALSE;

  qcow2_record_decode (&qcow2_header_record, bytes, sizeof bytes, &rest);
  *found = rest.refcount_order <= QCOW2_MAX_REFCOUNT_ORDER
           && rest.header_length >= QCOW2_V3_HEADER_LENGTH
           && rest.header_length <= QCOW2_KNOWN_HEADER_LENGTH
           && rest.header_length % 8 == 0;
  return TRUE;
}

/* Checks that the bytes from host offset START, after the terminator of the
 * extensions, to before END are 0.  Fails with QCOW2_ERROR_READ. */
static gboolean
check_rest_of_area (Qcow2TailCheck *check, guint64 start, guint64 end,
                    GError **error)
{
  const guint64 stop = MIN (end, byte_source_get_size (check->image->source));
  const Qcow2Subject subject
      = QCOW2_SUBJECT (QCOW2_PART_EXTENSIONS, "header extension");
  guint64 offset = stop;
  guint8 byte;
  gboolean is_version_3 = FALSE;

  if (!find_nonzero (check, start, stop, 0xff, "header extensions", &offset,
                     &byte, error)
      || !find_version_3 (check, start, &is_version_3, error))
    return FALSE;

  if (is_version_3)
    qcow2_findings_add (check->findings, &subject, QCOW2_HDR_14_VERSION_3,
                        offset, 0,
                        "the rest of a version 3 header follows the version 2 "
                        "header");
  else if (offset < stop)
    qcow2_findings_add (check->findings, &subject, QCOW2_HDR_14, offset, 0,
                        "there is something after the last extension");
  return TRUE;
}

/* Returns whether there is an error in the fields that locate the extensions.
 */
static gboolean
has_framing_error (const Qcow2Findings *findings)
{
  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (findings, i);

      if (finding->severity == QCOW2_SEVERITY_ERROR
          && finding->subject.parts == QCOW2_PART_ALL)
        return TRUE;
    }

  return FALSE;
}

/* HDR-14: checks that nothing follows the terminator of the extensions, if
 * there is one.  If the header is wrong, the end of the area may be, too:
 * then the bytes are not examined.  Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_tail_check_extensions (Qcow2TailCheck *check, GError **error)
{
  const Qcow2WalkPosition *end = &check->image->end;

  return end->state != QCOW2_AT_TERMINATOR || end->length != 0
         || has_framing_error (check->findings)
         || check_rest_of_area (check, end->pos + QCOW2_EXTENSION_HEAD_LENGTH,
                                end->area_end, error);
}

/* BDATA-03: checks that the bits after the last one of BITMAP, whose data has
 * DATA_SIZE bytes, are 0 up to the end of the cluster.  ENTRY is the table
 * entry with that bit, and points to data.  Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_tail_check_bitmap (Qcow2TailCheck *check, const Qcow2Bitmap *bitmap,
                         const Qcow2TableEntry *entry, guint64 data_size,
                         GError **error)
{
  const Qcow2Header *h = &check->image->header;
  const guint64 file_size = byte_source_get_size (check->image->source);
  const Qcow2Subject subject = qcow2_bitmap_get_subject (bitmap);
  const guint64 n_bits = qcow2_bitmap_get_n_bits (bitmap, h);
  const guint64 last_byte = (data_size - 1) % h->cluster_size;
  const guint64 start = entry->offset + last_byte + (n_bits % 8 == 0 ? 1 : 0);
  const guint8 mask = (guint8) (0xff << (n_bits % 8));
  const guint64 end = MIN (entry->offset + h->cluster_size, file_size);
  guint64 offset;
  guint8 byte;

  if (end - start > check->bytes_left)
    {
      qcow2_findings_add (check->findings, &subject, QCOW2_RES_06_TAIL, start,
                          0,
                          "the bits after the last one that counts were not "
                          "examined: there are too many in this image");
      return TRUE;
    }

  check->bytes_left -= end - start;
  if (!find_nonzero (check, start, end, mask, "bitmap data", &offset, &byte,
                     error))
    return FALSE;

  if (offset < end)
    {
      const guint8 wrong = byte & (offset == start ? mask : 0xff);

      qcow2_finding_allow (
          qcow2_findings_add (
              check->findings, &subject, QCOW2_BDATA_03, offset, byte,
              "bit " QCOW2_U64_FORMAT
              " is set, after the last of " QCOW2_U64_FORMAT,
              (entry->index * h->cluster_size + offset - entry->offset) * 8
                  + (guint64) g_bit_nth_lsf (wrong, -1),
              n_bits),
          byte & ~(guint) wrong);
    }
  return TRUE;
}

void
qcow2_tail_check_free (Qcow2TailCheck *check)
{
  byte_window_free (check->window);
  g_free (check);
}
