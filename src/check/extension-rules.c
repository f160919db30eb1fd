/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "check/extension-rules.h"

#include <string.h>

#include "check/directory-end.h"
#include "qcow2/arithmetic.h"
#include "qcow2/bitmap.h"
#include "qcow2/luks.h"
#include "qcow2/printable.h"

/* How extensions of a known type are checked. */
typedef struct Checks Checks;

typedef struct
{
  const Qcow2Extension *e;
  const Checks *checks; /* NULL if the type is unknown */
  const Qcow2Header *header;
  guint64 file_size;                 /* bytes */
  gboolean directory_ends_in_zeroes; /* the file truncates the directory, which
                                        is sound if zeroes follow */
  Qcow2Findings *findings;
  Qcow2Subject subject;
} Context;

struct Checks
{
  guint32 magic;
  void (*check) (const Context *c);
  Qcow2RuleIndex repeated; /* the rule that a repeated extension breaks */

  /* Returns whether QEMU refuses the extension at END, which fits into the
   * area but is truncated by the file, in an image with HEADER.  NULL: QEMU
   * accepts any zeroes. */
  gboolean (*refuses_zeroes) (const Qcow2WalkPosition *end,
                              const Qcow2Header *header);
};

/* Places of the fields of the extension's head and of its data. */
#define HEAD(field)                                                           \
  QCOW2_PLACE (c->e->file_offset, qcow2_extension_record, Qcow2Extension,     \
               field, c->e)
#define CRYPTO(field)                                                         \
  QCOW2_PLACE (get_data_offset (c), qcow2_crypto_extension_record,            \
               Qcow2CryptoExtension, field, &c->e->crypto)
#define BITMAPS(field)                                                        \
  QCOW2_PLACE (get_data_offset (c), qcow2_bitmaps_extension_record,           \
               Qcow2BitmapsExtension, field, &c->e->bitmaps)

#define FEATURE(field)                                                        \
  QCOW2_PLACE (start, qcow2_feature_record, Qcow2Feature, field, feature)

/* The extension as a whole. */
#define ALL                                                                   \
  (&(const Qcow2Place){ .start = c->e->file_offset,                           \
                        .record = &qcow2_extension_record })

#define ADD(rule, place, ...)                                                 \
  qcow2_findings_add_at (c->findings, &c->subject, QCOW2_##rule, (place),     \
                         __VA_ARGS__)

/* Adds a finding about the data of the extension, a string. */
#define ADD_BYTES(rule, message)                                              \
  qcow2_findings_add (c->findings, &c->subject, QCOW2_##rule,                 \
                      get_data_offset (c), 0, message)

/* Returns the host offset of the data of the extension. */
static guint64
get_data_offset (const Context *c)
{
  return c->e->file_offset + QCOW2_EXTENSION_HEAD_LENGTH;
}

static void
check_characters (const Context *c)
{
  gsize len = 0;
  const guint8 *bytes
      = c->e->bytes != NULL ? g_bytes_get_data (c->e->bytes, &len) : NULL;

  if (len > 0 && memchr (bytes, 0, len) != NULL)
    ADD_BYTES (HDR_30_NUL, "the string has a NUL byte");
  else if (len > 0 && !qcow2_string_is_printable (c->e->bytes))
    ADD_BYTES (HDR_30, "the string has control or format characters");
}

static void
check_backing_format (const Context *c)
{
  const guint32 length = c->e->length;

  if (c->header->backing_file_offset == 0)
    ADD (EXT_10_ALONE, ALL, "there is no backing file");
  if (length == 0)
    ADD (EXT_10_EMPTY, HEAD (length), "length is 0");
  else if (length > QCOW2_QEMU_MAX_BACKING_FORMAT)
    ADD (EXT_10_LONG, HEAD (length), "length %u is greater than %u", length,
         QCOW2_QEMU_MAX_BACKING_FORMAT);
  check_characters (c);
}

static void
check_data_file (const Context *c)
{
  const guint64 features = c->header->incompatible_features;

  if ((features & QCOW2_INCOMPATIBLE_DATA_FILE) == 0)
    ADD (EXT_14_BIT, ALL, "the external data file bit is clear");
  if (c->e->length == 0)
    ADD (EXT_14_EMPTY, HEAD (length), "the file name is empty");
  check_characters (c);
}

/* Checks row ROW of a feature name table, FEATURE.  SEEN holds the masks of
 * the bits in earlier rows. */
static void
check_feature (const Context *c, guint row, const Qcow2Feature *feature,
               guint64 *seen)
{
  const guint64 start
      = get_data_offset (c)
        + (guint64) row * qcow2_record_get_size (&qcow2_feature_record);

  if (!qcow2_string_is_printable (feature->name))
    ADD (HDR_30, FEATURE (padded_name),
         "the feature name has control or format characters");
  if (feature->type >= QCOW2_N_FEATURE_TYPES)
    ADD (EXT_11, FEATURE (type), "type %u, bit %u is no feature bit",
         feature->type, feature->bit);
  else if (feature->bit >= QCOW2_MASK_BITS)
    ADD (EXT_11, FEATURE (bit), "type %u, bit %u is no feature bit",
         feature->type, feature->bit);
  else
    {
      const guint64 mask = G_GUINT64_CONSTANT (1) << feature->bit;

      if ((seen[feature->type] & mask) != 0)
        ADD (EXT_11, FEATURE (bit), "type %u, bit %u has a name already",
             feature->type, feature->bit);
      seen[feature->type] |= mask;
    }
}

static void
check_features (const Context *c)
{
  const guint n = qcow2_extension_get_n_features (c->e);
  const guint size = qcow2_record_get_size (&qcow2_feature_record);
  guint64 seen[QCOW2_N_FEATURE_TYPES] = { 0 };

  if (c->e->bytes != NULL && c->e->length % size != 0)
    ADD (EXT_11, HEAD (length), "length %u is not a multiple of %u",
         c->e->length, size);

  for (guint row = 0; row < n; row++)
    {
      g_auto (Qcow2Feature) feature = { 0 };

      qcow2_extension_get_feature (c->e, row, &feature);
      check_feature (c, row, &feature, seen);
    }
}

static void
check_crypto (const Context *c)
{
  const guint64 offset = c->e->crypto.crypto_header_offset;
  const guint64 length = c->e->crypto.crypto_header_length;
  const guint size = qcow2_record_get_size (&qcow2_crypto_extension_record);

  if (c->header->crypt_method != QCOW2_CRYPT_LUKS)
    ADD (EXT_13_METHOD, ALL, "crypt_method is %u, not %u (luks)",
         c->header->crypt_method, QCOW2_CRYPT_LUKS);
  if (c->e->length != size)
    {
      ADD (EXT_13_LENGTH, HEAD (length), "length %u is not %u", c->e->length,
           size);
      return;
    }
  if (!qcow2_extension_is_decoded (c->e))
    return; /* truncated by the file: EXT-15 */

  if (offset == 0 || offset % c->header->cluster_size != 0)
    ADD (EXT_13_PLACE, CRYPTO (crypto_header_offset),
         "crypto_header_offset " QCOW2_HEX_FORMAT
         " is not the start of a cluster",
         offset);
  if (length < QCOW2_LUKS_LENGTH)
    ADD (EXT_13_SHORT, CRYPTO (crypto_header_length),
         "crypto_header_length " QCOW2_U64_FORMAT
         " is less than the %u of a LUKS "
         "header",
         length, QCOW2_LUKS_LENGTH);
  else if (offset > QCOW2_QEMU_MAX_LENGTH - QCOW2_LUKS_LENGTH)
    ADD (EXT_13_FAR, CRYPTO (crypto_header_length),
         "the LUKS header, " QCOW2_U64_FORMAT " bytes at " QCOW2_HEX_FORMAT
         ", is beyond what QEMU reads of a file",
         length, offset);
  else if (offset > c->file_size || length > c->file_size - offset)
    ADD (EXT_13_END, CRYPTO (crypto_header_length),
         "the LUKS header, " QCOW2_U64_FORMAT " bytes at " QCOW2_HEX_FORMAT
         ", does not end in the file, which has " QCOW2_U64_FORMAT " bytes",
         length, offset, c->file_size);
}

static void
check_directory_size (const Context *c)
{
  const Qcow2BitmapsExtension *b = &c->e->bitmaps;
  const guint64 size = b->bitmap_directory_size;
  const guint64 least = (guint64) b->nb_bitmaps * QCOW2_BITMAP_HEAD_LENGTH;

  if (size == 0)
    ADD (BEXT_04_EMPTY, BITMAPS (bitmap_directory_size),
         "bitmap_directory_size is 0");
  /* QEMU checks this even in an extension that a later one overrides. */
  else if (size > QCOW2_MAX_DIRECTORY_SIZE)
    ADD (BEXT_04_LARGE, BITMAPS (bitmap_directory_size),
         "bitmap_directory_size " QCOW2_HEX_FORMAT " is greater than 0x%x",
         size, QCOW2_MAX_DIRECTORY_SIZE);
  else if (size % 8 != 0)
    ADD (BEXT_04_ALIGN, BITMAPS (bitmap_directory_size),
         "bitmap_directory_size " QCOW2_HEX_FORMAT " is not a multiple of 8",
         size);
  else if (size < least)
    ADD (BEXT_04_SMALL, BITMAPS (bitmap_directory_size),
         "bitmap_directory_size " QCOW2_HEX_FORMAT
         " is less than the " QCOW2_HEX_FORMAT " that %u bitmaps need",
         size, least, b->nb_bitmaps);
}

/* If up to 7 bytes are missing, they may be the padding of the last entry,
 * which is not needed. */
static void
check_directory_place (const Context *c)
{
  const Qcow2BitmapsExtension *b = &c->e->bitmaps;
  const guint64 offset = b->bitmap_directory_offset;
  const guint64 size = b->bitmap_directory_size;
  const guint64 left = c->file_size - MIN (offset, c->file_size);

  if (offset <= c->file_size && size <= left)
    return;

  if (offset > QCOW2_QEMU_MAX_LENGTH || size > QCOW2_QEMU_MAX_LENGTH - offset)
    ADD (BEXT_06_FAR, BITMAPS (bitmap_directory_offset),
         "the bitmap directory, " QCOW2_HEX_FORMAT
         " bytes at " QCOW2_HEX_FORMAT ", is beyond what QEMU reads of a file",
         size, offset);
  else if (size % 8 == 0 && offset < c->file_size && size - left < 8
           && c->directory_ends_in_zeroes)
    ADD (BEXT_06_PADDING, BITMAPS (bitmap_directory_offset),
         "the bitmap directory, " QCOW2_HEX_FORMAT
         " bytes at " QCOW2_HEX_FORMAT ", ends " QCOW2_HEX_FORMAT
         " bytes after the end of the file: that may be padding",
         size, offset, size - left);
  else
    qcow2_findings_add_at (
        c->findings, &c->subject,
        c->directory_ends_in_zeroes ? QCOW2_BEXT_06 : QCOW2_BEXT_06_REFUSED,
        BITMAPS (bitmap_directory_offset),
        "the bitmap directory, " QCOW2_HEX_FORMAT " bytes at " QCOW2_HEX_FORMAT
        ", does not end in the file, which has " QCOW2_U64_FORMAT " bytes",
        size, offset, c->file_size);
}

static void
check_bitmaps (const Context *c)
{
  const Qcow2BitmapsExtension *b = &c->e->bitmaps;
  const guint size = qcow2_record_get_size (&qcow2_bitmaps_extension_record);

  if (c->e->length != size)
    ADD (EXT_12, HEAD (length), "length %u is not %u", c->e->length, size);
  if (!qcow2_extension_is_decoded (c->e))
    return; /* too short, or truncated by the file: EXT-15 */

  if (b->nb_bitmaps == 0)
    ADD (BEXT_01, BITMAPS (nb_bitmaps), "nb_bitmaps is 0");
  if (b->nb_bitmaps > QCOW2_MAX_BITMAPS)
    ADD (BEXT_02, BITMAPS (nb_bitmaps), "nb_bitmaps %u is greater than %u",
         b->nb_bitmaps, QCOW2_MAX_BITMAPS);
  if (b->reserved32 != 0)
    ADD (BEXT_03, BITMAPS (reserved32), "reserved32 is 0x%x, not 0",
         b->reserved32);
  check_directory_size (c);
  if (b->bitmap_directory_offset == 0)
    ADD (BEXT_05_ZERO, BITMAPS (bitmap_directory_offset),
         "bitmap_directory_offset is 0");
  else if (b->bitmap_directory_offset % c->header->cluster_size != 0)
    ADD (BEXT_05_ALIGN, BITMAPS (bitmap_directory_offset),
         "bitmap_directory_offset " QCOW2_HEX_FORMAT
         " is not the start of a cluster",
         b->bitmap_directory_offset);
  check_directory_place (c);
}

static gboolean
refuses_backing_format (const Qcow2WalkPosition *end,
                        const Qcow2Header *header G_GNUC_UNUSED)
{
  return end->length > QCOW2_QEMU_MAX_BACKING_FORMAT;
}

/* A LUKS header that a truncated extension points to is not in the file. */
static gboolean
refuses_crypto (const Qcow2WalkPosition *end G_GNUC_UNUSED,
                const Qcow2Header *header G_GNUC_UNUSED)
{
  return TRUE;
}

/* A directory that a truncated extension points to is not in the file. */
static gboolean
refuses_bitmaps (const Qcow2WalkPosition *end, const Qcow2Header *header)
{
  return qcow2_header_bitmaps_are_consistent (header)
         || end->length
                != qcow2_record_get_size (&qcow2_bitmaps_extension_record);
}

/* clang-format off */
static const Checks all_checks[] = {
  { QCOW2_EXTENSION_BACKING_FORMAT, check_backing_format, QCOW2_EXT_08,
    refuses_backing_format },
  { QCOW2_EXTENSION_FEATURES, check_features, QCOW2_EXT_08, NULL },
  { QCOW2_EXTENSION_CRYPTO, check_crypto, QCOW2_EXT_08_CRYPTO,
    refuses_crypto },
  { QCOW2_EXTENSION_BITMAPS, check_bitmaps, QCOW2_EXT_08_BITMAPS,
    refuses_bitmaps },
  { QCOW2_EXTENSION_DATA_FILE, check_data_file, QCOW2_EXT_08, NULL },
};
/* clang-format on */

/* Returns the checks of extensions with MAGIC, or NULL if it is unknown. */
static const Checks *
find_checks (guint32 magic)
{
  for (guint i = 0; i < G_N_ELEMENTS (all_checks); i++)
    {
      if (all_checks[i].magic == magic)
        return &all_checks[i];
    }

  return NULL;
}

/* QEMU only uses the last one of several bitmaps or crypto extensions. */
static void
check_repeated (const Context *c)
{
  if (c->checks == NULL || c->checks->repeated == QCOW2_EXT_08)
    ADD (EXT_08, ALL, "there is an extension of this type before this one");
  else
    qcow2_findings_add_at (
        c->findings, &c->subject, c->checks->repeated, ALL,
        "there is an extension of this type before this one, and only the "
        "last one counts");
}

/* Returns whether HISTORY has an extension of the same type as EXTENSION, and
 * adds EXTENSION to HISTORY, which the caller zeroes at the start of a walk.
 * Of the unknown types only the first QCOW2_EXTENSION_HISTORY are recognized
 * as repeated. */
gboolean
qcow2_extension_is_repeated (const Qcow2Extension *extension,
                             Qcow2ExtensionHistory *history)
{
  const Qcow2ExtensionType *type
      = qcow2_extension_find_type (extension->magic);

  if (type != NULL)
    {
      const guint64 bit = G_GUINT64_CONSTANT (1)
                          << (type - qcow2_extension_types);
      const gboolean repeated = (history->known & bit) != 0;

      history->known |= bit;
      return repeated;
    }

  for (guint i = 0; i < history->n; i++)
    {
      if (history->magics[i] == extension->magic)
        return TRUE;
    }

  if (history->n < QCOW2_EXTENSION_HISTORY)
    history->magics[history->n++] = extension->magic;
  return FALSE;
}

/* Returns the parts of an image that findings about EXTENSION bear on: no
 * bitmap can be used if the bitmaps extension is wrong. */
static guint
get_parts (const Qcow2Extension *extension)
{
  return extension->magic == QCOW2_EXTENSION_BITMAPS
                 && qcow2_extension_is_complete (extension)
             ? QCOW2_PART_EXTENSIONS | QCOW2_PART_BITMAPS
             : QCOW2_PART_EXTENSIONS;
}

/* Checks EXTENSION, which belongs to an image with HEADER in SOURCE, and adds
 * findings to FINDINGS.  REPEATED is the result of
 * qcow2_extension_is_repeated ().  Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_extension_check (const Qcow2Extension *extension,
                       const Qcow2Header *header, ByteSource *source,
                       gboolean repeated, Qcow2Findings *findings,
                       GError **error)
{
  Context context = { .e = extension,
                      .checks = find_checks (extension->magic),
                      .header = header,
                      .file_size = byte_source_get_size (source),
                      .findings = findings,
                      .subject = { .parts = get_parts (extension),
                                   .structure = qcow2_extension_record.name,
                                   .extension = extension->index,
                                   .bitmap = QCOW2_NO_INDEX } };
  const Context *c = &context;

  if (extension->magic == QCOW2_EXTENSION_BITMAPS
      && qcow2_extension_is_decoded (extension)
      && !qcow2_directory_ends_in_zeroes (source, header, &extension->bitmaps,
                                          &context.directory_ends_in_zeroes,
                                          error))
    return FALSE;

  if (repeated)
    check_repeated (c);
  if (c->checks != NULL)
    c->checks->check (c);
  else
    ADD (EXT_09, ALL, "an extension of an unknown type");
  return TRUE;
}

/* Returns whether QEMU refuses the extension at END, which the file truncates:
 * QEMU reads zeroes for the missing bytes. */
static gboolean
is_refused_with_zeroes (const Qcow2WalkPosition *end,
                        const Qcow2Header *header)
{
  const guint64 left = end->area_end - end->pos - QCOW2_EXTENSION_HEAD_LENGTH;
  const guint64 padded = qcow2_round_up (end->length, 8);
  const Checks *checks = find_checks (end->magic);

  if (end->length > left)
    return TRUE;
  if (end->magic == QCOW2_EXTENSION_END)
    return FALSE;
  if (checks != NULL && checks->refuses_zeroes != NULL
      && checks->refuses_zeroes (end, header))
    return TRUE;

  /* Where there is room for a head, QEMU reads one of zeroes: a terminator. */
  return left > padded && left - padded < QCOW2_EXTENSION_HEAD_LENGTH;
}

/* Adds a finding to FINDINGS if END, the end of the extensions of an image
 * with HEADER, is wrong.  No reader sees the extensions that follow the
 * damage, so the finding bears on the header, whose strings are extensions,
 * and on the bitmaps unless HAVE_BITMAPS says that their extension was found
 * before. */
void
qcow2_extensions_check_end (const Qcow2WalkPosition *end,
                            const Qcow2Header *header, gboolean have_bitmaps,
                            Qcow2Findings *findings)
{
  const guint bitmaps = have_bitmaps ? 0 : QCOW2_PART_BITMAPS;
  Qcow2Subject subject
      = { .parts = QCOW2_PART_HEADER | QCOW2_PART_EXTENSIONS | bitmaps,
          .structure = qcow2_extension_record.name,
          .extension = end->index,
          .bitmap = QCOW2_NO_INDEX };
  const guint64 at = end->pos;
  const Qcow2Extension last = { .magic = end->magic, .length = end->length };
  const Qcow2Place *length = QCOW2_PLACE (at, qcow2_extension_record,
                                          Qcow2Extension, length, &last);

  switch (end->state)
    {
    case QCOW2_WALKING:
      return;
    case QCOW2_AT_AREA_END:
      qcow2_findings_add (findings, &subject, QCOW2_EXT_07_AREA, at, 0,
                          "the extensions end without a terminator");
      return;
    case QCOW2_AT_FILE_END:
      qcow2_findings_add (findings, &subject, QCOW2_EXT_07_FILE, at, 0,
                          "the file ends without a terminator of the "
                          "extensions");
      return;
    case QCOW2_NO_ROOM_FOR_HEAD:
      qcow2_findings_add (findings, &subject, QCOW2_EXT_02, at, 0,
                          "only " QCOW2_U64_FORMAT
                          " bytes are left, but magic and "
                          "length need %u",
                          end->area_end - at, QCOW2_EXTENSION_HEAD_LENGTH);
      return;
    case QCOW2_HEAD_TRUNCATED:
      qcow2_findings_add (
          findings, &subject,
          is_refused_with_zeroes (end, header) ? QCOW2_EXT_15_REFUSED
                                               : QCOW2_EXT_15,
          at, 0,
          "the file ends at " QCOW2_HEX_FORMAT ", inside magic and "
          "length",
          end->file_end);
      return;
    case QCOW2_AT_TERMINATOR:
      subject.parts = QCOW2_PART_EXTENSIONS;
      if (end->length != 0)
        qcow2_findings_add_at (findings, &subject, QCOW2_EXT_06, length,
                               "the terminator has the length %u, not 0",
                               end->length);
      return;
    case QCOW2_TERMINATOR_TOO_LONG:
      subject.parts = QCOW2_PART_EXTENSIONS;
      qcow2_findings_add_at (
          findings, &subject, QCOW2_EXT_06_LONG, length,
          "the terminator has the length %u, but only " QCOW2_U64_FORMAT
          " bytes are left",
          end->length, end->area_end - at - QCOW2_EXTENSION_HEAD_LENGTH);
      return;
    case QCOW2_DATA_TOO_LONG:
      subject.extension--;
      qcow2_findings_add_at (findings, &subject, QCOW2_EXT_03, length,
                             "length %u is greater than the " QCOW2_U64_FORMAT
                             " bytes that are left for it",
                             end->length,
                             end->area_end - at - QCOW2_EXTENSION_HEAD_LENGTH);
      return;
    case QCOW2_DATA_TRUNCATED:
      subject.extension--;
      qcow2_findings_add (
          findings, &subject,
          is_refused_with_zeroes (end, header) ? QCOW2_EXT_15_REFUSED
                                               : QCOW2_EXT_15,
          at + QCOW2_EXTENSION_HEAD_LENGTH, 0,
          "the file ends at " QCOW2_HEX_FORMAT ", inside the %u bytes of data",
          end->file_end, end->length);
      return;
    }
}

/* The extensions that QEMU takes bytes for. */
typedef struct
{
  const Qcow2Header *header;
  ByteSource *source;
  Qcow2Findings *findings;
} Misread;

/* A Qcow2ExtensionFunc. */
static gboolean
check_misread (const Qcow2Extension *extension, gpointer data, GError **error)
{
  const Misread *misread = data;

  return qcow2_extension_check (extension, misread->header, misread->source,
                                FALSE, misread->findings, error);
}

/* For a HEADER whose header_length is not a multiple of 8, stores in *ACCEPTED
 * whether QEMU, which takes the bytes at host offset header_length of SOURCE
 * for extensions, accepts them.  Stores FALSE for any other header, and if the
 * extensions cannot be located.  Adds findings about them to FINDINGS, which
 * must be empty, in QEMU's order.  Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_extensions_can_be_misread (ByteSource *source, const Qcow2Header *header,
                                 Qcow2Findings *findings, gboolean *accepted,
                                 GError **error)
{
  const guint64 length = header->header_length;
  const guint64 name = header->backing_file_offset;
  const guint64 end = name != 0 ? name : header->cluster_size;

  *accepted = FALSE;
  if (length % 8 == 0 || length < QCOW2_V3_HEADER_LENGTH
      || header->cluster_size == QCOW2_ABSENT || length > header->cluster_size
      || name > header->cluster_size)
    return TRUE;

  /* After the end of the file QEMU reads zeroes, which are a terminator if
   * there is room for one. */
  *accepted = length >= end || end - length >= QCOW2_EXTENSION_HEAD_LENGTH;
  if (length >= end || length >= byte_source_get_size (source))
    return TRUE;

  g_autoptr (Qcow2ExtensionWalk) walk
      = qcow2_extension_walk_new_between (source, length, end);
  Misread misread
      = { .header = header, .source = source, .findings = findings };
  if (!qcow2_extension_walk_each (walk, check_misread, &misread, error))
    return FALSE;

  qcow2_extensions_check_end (qcow2_extension_walk_get_position (walk), header,
                              FALSE, findings);
  for (guint i = 0; i < QCOW2_N_RULES && *accepted; i++)
    *accepted = qcow2_findings_get_use (findings, i)->n == 0
                || qcow2_rules[i].effect < QCOW2_EFFECT_REFUSED;
  return TRUE;
}
