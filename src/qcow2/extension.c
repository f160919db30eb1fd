/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/extension.h"

#include <string.h>

#include "qcow2/directory-end.h"
#include "qcow2/printable.h"

#define WHAT "header extension"

/* The maximum number of bytes of payload to keep: QEMU's largest cluster. */
#define MAX_PAYLOAD (2 * 1024 * 1024)

/* The state of a walk; in all but WALKING it has ended. */
typedef enum
{
  WALKING,
  AT_TERMINATOR,
  AT_AREA_END,
  AT_FILE_END,
  NO_ROOM_FOR_HEAD,
  HEAD_CUT,
  DATA_TOO_LONG,
  DATA_CUT,
  TERMINATOR_TOO_LONG
} WalkState;

struct Qcow2ExtensionWalk
{
  ByteSource *source;
  const Qcow2Header *header;
  ByteWindow *window;
  guint64 pos;      /* host offset of the next extension */
  guint64 area_end; /* host offset; the file may end before it */
  guint64 index;    /* of the next extension */
  WalkState state;
  guint32 magic;  /* of the last extension */
  guint32 length; /* of its payload, in bytes */
};

const Qcow2Label qcow2_extension_names[] = {
  { QCOW2_EXTENSION_BACKING_FORMAT, "Backing format" },
  { QCOW2_EXTENSION_FEATURES, "Feature table" },
  { QCOW2_EXTENSION_CRYPTO, "Crypto header" },
  { QCOW2_EXTENSION_BITMAPS, "Bitmaps" },
  { QCOW2_EXTENSION_DATA_FILE, "Data file" },
  { 0, NULL },
};

const Qcow2Label qcow2_feature_types[] = {
  { 0, "incompatible" },
  { 1, "compatible" },
  { 2, "autoclear" },
  { 0, NULL },
};

/* Payloads other than QCOW2_PAYLOAD_DATA. */
static const struct
{
  guint32 magic;
  Qcow2Payload payload;
} payloads[] = {
  { QCOW2_EXTENSION_FEATURES, QCOW2_PAYLOAD_FEATURES },
  { QCOW2_EXTENSION_CRYPTO, QCOW2_PAYLOAD_CRYPTO },
  { QCOW2_EXTENSION_BITMAPS, QCOW2_PAYLOAD_BITMAPS },
};

#define F(member, ...) QCOW2_STORED (Qcow2Extension, member, __VA_ARGS__)
#define D(key, member, ...)                                                   \
  QCOW2_DERIVED (Qcow2Extension, key, member, __VA_ARGS__)
#define CRYPTO(member, format)                                                \
  QCOW2_STORED (Qcow2CryptoExtension, member, format)
#define BITMAPS(member, format)                                               \
  QCOW2_STORED (Qcow2BitmapsExtension, member, format)

/* clang-format off */
static const Qcow2Field head_fields[] = {
  D ("index", index, QCOW2_DEC, .text = ""),
  D ("name", magic, QCOW2_NAME, .labels = qcow2_extension_names, .text = "",
     .absent = "<unknown>"),
  F (magic, QCOW2_HEX_ENUM, .labels = qcow2_extension_names),
  D ("file_offset", file_offset, QCOW2_HEX),
  F (length, QCOW2_DEC),
  QCOW2_FIELD_END
};

const Qcow2Field qcow2_data_extension_fields[] = {
  D ("data", data, QCOW2_QUOTED),
  D ("data_hex", data_hex, QCOW2_STRING, .text = "data"),
  QCOW2_FIELD_END
};

static const Qcow2Field crypto_fields[] = {
  CRYPTO (crypto_header_offset, QCOW2_HEX),
  CRYPTO (crypto_header_length, QCOW2_DEC),
  QCOW2_FIELD_END
};

static const Qcow2Field bitmaps_fields[] = {
  BITMAPS (nb_bitmaps, QCOW2_DEC),
  BITMAPS (reserved32, QCOW2_DEC),
  BITMAPS (bitmap_directory_size, QCOW2_HEX),
  BITMAPS (bitmap_directory_offset, QCOW2_HEX),
  QCOW2_FIELD_END
};

static const Qcow2Field feature_fields[] = {
  QCOW2_STORED (Qcow2Feature, type, QCOW2_NAME, .labels = qcow2_feature_types),
  QCOW2_STORED (Qcow2Feature, bit, QCOW2_DEC),
  QCOW2_STORED (Qcow2Feature, padded_name, QCOW2_BYTES),
  QCOW2_DERIVED (Qcow2Feature, "name", name, QCOW2_QUOTED),
  QCOW2_FIELD_END
};
/* clang-format on */

const Qcow2Record qcow2_extension_record
    = { .name = WHAT, .fields = head_fields };
const Qcow2Record qcow2_crypto_extension_record
    = { .name = "crypto extension", .fields = crypto_fields };
const Qcow2Record qcow2_bitmaps_extension_record
    = { .name = "bitmaps extension", .fields = bitmaps_fields };
const Qcow2Record qcow2_feature_record
    = { .name = "feature name table", .fields = feature_fields };

static Qcow2Payload
payload_of (guint32 magic)
{
  for (guint i = 0; i < G_N_ELEMENTS (payloads); i++)
    {
      if (payloads[i].magic == magic)
        return payloads[i].payload;
    }

  return QCOW2_PAYLOAD_DATA;
}

static Qcow2ExtensionWalk *
walk_between (ByteSource *source, const Qcow2Header *header, guint64 start,
              guint64 end)
{
  Qcow2ExtensionWalk *walk = g_new0 (Qcow2ExtensionWalk, 1);

  walk->source = source;
  walk->header = header;
  walk->pos = start;
  walk->area_end = end;
  walk->window = byte_window_new (source, end);
  return walk;
}

/* Returns a new walk over the extensions in SOURCE, which HEADER locates:
 * qcow2_header_get_extension_area () must succeed, and the area must start
 * inside the file or at its end.  SOURCE and HEADER must outlive the walk. */
Qcow2ExtensionWalk *
qcow2_extension_walk_new (ByteSource *source, const Qcow2Header *header)
{
  guint64 start = 0;
  guint64 end = 0;
  const gboolean located
      = qcow2_header_get_extension_area (header, &start, &end);

  g_assert (located && start <= byte_source_get_size (source));

  return walk_between (source, header, start, end);
}

/* Returns WALKING if there is room for the head of another extension, or
 * otherwise the state in which WALK ends. */
static WalkState
room_for_head (const Qcow2ExtensionWalk *walk)
{
  const guint64 file_end = byte_window_get_end (walk->window);

  if (walk->pos == walk->area_end)
    return AT_AREA_END;
  if (walk->area_end - walk->pos < QCOW2_EXTENSION_HEAD_LENGTH)
    return NO_ROOM_FOR_HEAD;
  if (walk->pos == file_end)
    return AT_FILE_END;
  if (file_end - walk->pos < QCOW2_EXTENSION_HEAD_LENGTH)
    return HEAD_CUT;

  return WALKING;
}

/* Moves WALK past the current extension, which has LENGTH bytes of payload.
 * Ends WALK if the payload does not fit into the area or is truncated by the
 * file; only the padding may be truncated. */
static void
advance (Qcow2ExtensionWalk *walk, guint32 length)
{
  const guint64 data = walk->pos + QCOW2_EXTENSION_HEAD_LENGTH;
  const guint64 padded = ((guint64) length + 7) / 8 * 8;
  const guint64 file_end = byte_window_get_end (walk->window);
  const guint64 end = MIN (walk->area_end, file_end);

  walk->length = length;
  if (length > walk->area_end - data)
    walk->state = DATA_TOO_LONG;
  else if (length > end - data)
    walk->state = DATA_CUT;
  else
    walk->pos = data + MIN (padded, end - data);
}

/* Returns the LEN bytes at host offset OFFSET, at most MAX_PAYLOAD. */
static GBytes *
read_payload (Qcow2ExtensionWalk *walk, guint64 offset, gsize len,
              GError **error)
{
  if (len <= BYTE_WINDOW_SIZE)
    {
      const guint8 *bytes
          = byte_window_get (walk->window, offset, len, WHAT, error);

      return bytes != NULL ? g_bytes_new (bytes, len) : NULL;
    }

  g_autofree guint8 *bytes = g_malloc (len);
  if (!byte_source_read (walk->source, offset, bytes, len, WHAT, error))
    return NULL;

  return g_bytes_new_take (g_steal_pointer (&bytes), len);
}

static void
decode_data (Qcow2Extension *extension)
{
  gsize len;
  const guint8 *bytes = g_bytes_get_data (extension->bytes, &len);

  if (qcow2_string_is_printable (extension->bytes))
    {
      extension->data = g_bytes_ref (extension->bytes);
      return;
    }

  static const char digits[] = "0123456789abcdef";
  g_autofree char *hex = g_malloc (2 * len);
  for (gsize i = 0; i < len; i++)
    {
      hex[2 * i] = digits[bytes[i] >> 4];
      hex[2 * i + 1] = digits[bytes[i] & 0xf];
    }
  extension->data_hex = g_bytes_new_take (g_steal_pointer (&hex), 2 * len);
}

static void
decode_payload (Qcow2Extension *extension)
{
  gsize len;
  const guint8 *bytes = g_bytes_get_data (extension->bytes, &len);

  switch (extension->payload)
    {
    case QCOW2_PAYLOAD_DATA:
      decode_data (extension);
      return;
    case QCOW2_PAYLOAD_CRYPTO:
      extension->n_decoded = qcow2_record_decode (
          &qcow2_crypto_extension_record, bytes, len, &extension->crypto);
      return;
    case QCOW2_PAYLOAD_BITMAPS:
      extension->n_decoded = qcow2_record_decode (
          &qcow2_bitmaps_extension_record, bytes, len, &extension->bitmaps);
      return;
    case QCOW2_PAYLOAD_FEATURES:
      return; /* rows are decoded one by one */
    }
}

/* Sets directory_ends_in_zeroes of EXTENSION if it is a bitmaps extension and
 * has all of its fields. */
static gboolean
note_directory_end (const Qcow2ExtensionWalk *walk, Qcow2Extension *extension,
                    GError **error)
{
  if (extension->magic != QCOW2_EXTENSION_BITMAPS || extension->n_decoded < 4)
    return TRUE;

  return qcow2_directory_ends_in_zeroes (
      walk->source, walk->header, &extension->bitmaps,
      &extension->directory_ends_in_zeroes, error);
}

/* Stores the next extension in *EXTENSION, which the caller clears.  The
 * payload of the last one may be truncated or, if its length is wrong,
 * missing.  Returns FALSE without an error at the end of WALK, or FALSE with
 * QCOW2_ERROR_READ if a read fails. */
gboolean
qcow2_extension_walk_next (Qcow2ExtensionWalk *walk, Qcow2Extension *extension,
                           GError **error)
{
  if (walk->state == WALKING)
    walk->state = room_for_head (walk);
  if (walk->state != WALKING)
    return FALSE;

  const guint64 offset = walk->pos;
  const guint8 *head = byte_window_get (
      walk->window, offset, QCOW2_EXTENSION_HEAD_LENGTH, WHAT, error);
  if (head == NULL)
    return FALSE;

  Qcow2Extension e = { .index = walk->index, .file_offset = offset };
  qcow2_record_decode (&qcow2_extension_record, head,
                       QCOW2_EXTENSION_HEAD_LENGTH, &e);
  walk->magic = e.magic;
  advance (walk, e.length);
  if (e.magic == QCOW2_EXTENSION_END)
    {
      walk->state
          = walk->state == DATA_TOO_LONG ? TERMINATOR_TOO_LONG : AT_TERMINATOR;
      walk->pos = offset;
      return FALSE;
    }

  walk->index++;
  e.payload = payload_of (e.magic);
  if (walk->state != DATA_TOO_LONG)
    {
      const guint64 data = offset + QCOW2_EXTENSION_HEAD_LENGTH;
      const guint64 left = byte_window_get_end (walk->window) - data;
      const gsize len = (gsize) MIN (MIN (e.length, left), MAX_PAYLOAD);

      e.bytes = read_payload (walk, data, len, error);
      if (e.bytes == NULL)
        return FALSE;

      decode_payload (&e);
    }
  if (!note_directory_end (walk, &e, error))
    {
      qcow2_extension_clear (&e);
      return FALSE;
    }

  *extension = e;
  return TRUE;
}

/* Returns whether QEMU refuses the extension at the position of WALK, which
 * has MAGIC and LENGTH bytes of payload and is truncated by the file: QEMU
 * reads zeroes for the missing bytes.  A LUKS header or a directory that such
 * an extension points to is not in the file. */
static gboolean
is_refused_with_zeroes (const Qcow2ExtensionWalk *walk, guint32 magic,
                        guint32 length)
{
  const guint64 left
      = walk->area_end - walk->pos - QCOW2_EXTENSION_HEAD_LENGTH;
  const guint64 padded = ((guint64) length + 7) / 8 * 8;

  if (length > left)
    return TRUE;

  switch (magic)
    {
    case QCOW2_EXTENSION_END:
      return FALSE;
    case QCOW2_EXTENSION_CRYPTO:
      return TRUE;
    case QCOW2_EXTENSION_BITMAPS:
      if (qcow2_header_vouches_for_bitmaps (walk->header)
          || length != qcow2_record_get_size (&qcow2_bitmaps_extension_record))
        return TRUE;
      break;
    case QCOW2_EXTENSION_BACKING_FORMAT:
      if (length > QCOW2_QEMU_MAX_BACKING_FORMAT)
        return TRUE;
      break;
    default:
      break;
    }

  /* Where there is room for a head, QEMU reads one of zeroes: a terminator. */
  return left > padded && left - padded < QCOW2_EXTENSION_HEAD_LENGTH;
}

/* Returns whether QEMU refuses the extension whose head the file truncates at
 * the end of WALK.  The missing bytes of the head are zeroes; if the others
 * cannot be read, they count as zeroes, too. */
static gboolean
is_refused_after_cut_head (const Qcow2ExtensionWalk *walk)
{
  guint8 head[QCOW2_EXTENSION_HEAD_LENGTH] = { 0 };
  const guint64 file_end = byte_window_get_end (walk->window);
  const gsize len = (gsize) MIN (file_end - walk->pos, sizeof head);

  if (!byte_source_read (walk->source, walk->pos, head, len, WHAT, NULL))
    memset (head, 0, sizeof head);

  return is_refused_with_zeroes (walk, (guint32) qcow2_load_be (head, 4),
                                 (guint32) qcow2_load_be (head + 4, 4));
}

/* Adds a finding to PROBLEMS if the end of WALK is wrong.  No reader sees the
 * extensions that follow the damage, so the finding bears on the header, whose
 * strings are extensions, and on the bitmaps unless HAVE_BITMAPS says that
 * their extension was found before. */
void
qcow2_extension_walk_report_end (const Qcow2ExtensionWalk *walk,
                                 gboolean have_bitmaps,
                                 Qcow2Problems *problems)
{
  const guint bitmaps = have_bitmaps ? 0 : QCOW2_PART_BITMAPS;
  Qcow2Subject subject
      = { .parts = QCOW2_PART_HEADER | QCOW2_PART_EXTENSIONS | bitmaps,
          .structure = WHAT,
          .extension = walk->index,
          .bitmap = QCOW2_NO_INDEX };
  const guint64 at = walk->pos;
  const guint64 file_end = byte_window_get_end (walk->window);
  const Qcow2Extension last = { .magic = walk->magic, .length = walk->length };
  const Qcow2Place *length = QCOW2_PLACE (at, qcow2_extension_record,
                                          Qcow2Extension, length, &last);

  switch (walk->state)
    {
    case WALKING:
      return;
    case AT_AREA_END:
      qcow2_problems_add (problems, &subject, QCOW2_EXT_07_AREA, at, 0,
                          "the extensions end without a terminator");
      return;
    case AT_FILE_END:
      qcow2_problems_add (problems, &subject, QCOW2_EXT_07_FILE, at, 0,
                          "the file ends without a terminator of the "
                          "extensions");
      return;
    case NO_ROOM_FOR_HEAD:
      qcow2_problems_add (problems, &subject, QCOW2_EXT_02, at, 0,
                          "only " QCOW2_U " bytes are left, but magic and "
                          "length need %u",
                          walk->area_end - at, QCOW2_EXTENSION_HEAD_LENGTH);
      return;
    case HEAD_CUT:
      qcow2_problems_add (problems, &subject,
                          is_refused_after_cut_head (walk)
                              ? QCOW2_EXT_15_REFUSED
                              : QCOW2_EXT_15,
                          at, 0,
                          "the file ends at " QCOW2_X ", inside magic and "
                          "length",
                          file_end);
      return;
    case AT_TERMINATOR:
      subject.parts = QCOW2_PART_EXTENSIONS;
      if (walk->length != 0)
        qcow2_problems_add_at (problems, &subject, QCOW2_EXT_06, length,
                               "the terminator has the length %u, not 0",
                               walk->length);
      return;
    case TERMINATOR_TOO_LONG:
      subject.parts = QCOW2_PART_EXTENSIONS;
      qcow2_problems_add_at (
          problems, &subject, QCOW2_EXT_06_LONG, length,
          "the terminator has the length %u, but only " QCOW2_U
          " bytes are left",
          walk->length, walk->area_end - at - QCOW2_EXTENSION_HEAD_LENGTH);
      return;
    case DATA_TOO_LONG:
      subject.extension--;
      qcow2_problems_add_at (
          problems, &subject, QCOW2_EXT_03, length,
          "length %u is greater than the " QCOW2_U
          " bytes that are left for it",
          walk->length, walk->area_end - at - QCOW2_EXTENSION_HEAD_LENGTH);
      return;
    case DATA_CUT:
      subject.extension--;
      qcow2_problems_add (
          problems, &subject,
          is_refused_with_zeroes (walk, walk->magic, walk->length)
              ? QCOW2_EXT_15_REFUSED
              : QCOW2_EXT_15,
          at + QCOW2_EXTENSION_HEAD_LENGTH, 0,
          "the file ends at " QCOW2_X ", inside the %u bytes of data",
          file_end, walk->length);
      return;
    }
}

/* Returns whether WALK ended early, so that extensions may be missing.  WALK
 * must have ended. */
gboolean
qcow2_extension_walk_is_cut (const Qcow2ExtensionWalk *walk)
{
  return walk->state != AT_TERMINATOR && walk->state != TERMINATOR_TOO_LONG
         && walk->state != AT_AREA_END;
}

/* Judges the extensions and the end of WALK and adds findings to PROBLEMS. */
static gboolean
judge_all (Qcow2ExtensionWalk *walk, Qcow2Problems *problems, GError **error)
{
  const guint64 file_size = byte_source_get_size (walk->source);
  g_autoptr (GError) local_error = NULL;

  while (TRUE)
    {
      g_auto (Qcow2Extension) extension = { 0 };

      if (!qcow2_extension_walk_next (walk, &extension, &local_error))
        break;

      qcow2_extension_judge (&extension, walk->header, file_size, FALSE,
                             QCOW2_PART_ALL, problems);
    }

  if (local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }

  qcow2_extension_walk_report_end (walk, FALSE, problems);
  return TRUE;
}

/* For a HEADER whose header_length is not a multiple of 8, stores in *ACCEPTED
 * whether QEMU, which takes the bytes at host offset header_length of SOURCE
 * for extensions, accepts them.  Stores FALSE for any other header, and if the
 * extensions cannot be located.  Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_extensions_can_be_misread (ByteSource *source, const Qcow2Header *header,
                                 gboolean *accepted, GError **error)
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
      = walk_between (source, header, length, end);
  g_autoptr (Qcow2Problems) problems = qcow2_problems_new ();
  if (!judge_all (walk, problems, error))
    return FALSE;

  for (guint i = 0; i < QCOW2_N_RULES && *accepted; i++)
    *accepted = qcow2_problems_get_use (problems, i)->n == 0
                || qcow2_rules[i].effect < QCOW2_EFFECT_REFUSED;
  return TRUE;
}

/* Returns the host offset after the terminator of WALK, which must have ended,
 * or 0 if there is no terminator or its length is not 0. */
guint64
qcow2_extension_walk_get_rest (const Qcow2ExtensionWalk *walk)
{
  if (walk->state != AT_TERMINATOR || walk->length != 0)
    return 0;

  return walk->pos + QCOW2_EXTENSION_HEAD_LENGTH;
}

void
qcow2_extension_walk_free (Qcow2ExtensionWalk *walk)
{
  if (walk == NULL)
    return;

  byte_window_free (walk->window);
  g_free (walk);
}

/* Returns the fields of the payload of EXTENSION, and stores the structure
 * that holds them in *RECORD.  Both belong to EXTENSION or are static.  Only
 * the first n_decoded fields of a crypto or bitmaps extension are set.
 * Returns NULL for a feature name table, which has rows instead. */
const Qcow2Field *
qcow2_extension_get_payload_fields (const Qcow2Extension *extension,
                                    gconstpointer *record)
{
  switch (extension->payload)
    {
    case QCOW2_PAYLOAD_CRYPTO:
      *record = &extension->crypto;
      return qcow2_crypto_extension_record.fields;
    case QCOW2_PAYLOAD_BITMAPS:
      *record = &extension->bitmaps;
      return qcow2_bitmaps_extension_record.fields;
    case QCOW2_PAYLOAD_DATA:
      *record = extension;
      return qcow2_data_extension_fields;
    case QCOW2_PAYLOAD_FEATURES:
      return NULL;
    }

  g_assert_not_reached ();
}

/* Returns whether the payload of EXTENSION is complete. */
gboolean
qcow2_extension_is_whole (const Qcow2Extension *extension)
{
  return extension->bytes != NULL
         && g_bytes_get_size (extension->bytes) == extension->length;
}

/* Returns the number of complete rows of the feature name table in EXTENSION,
 * or 0 if EXTENSION is not such a table. */
guint
qcow2_extension_get_n_features (const Qcow2Extension *extension)
{
  if (extension->payload != QCOW2_PAYLOAD_FEATURES || extension->bytes == NULL)
    return 0;

  return (guint) (g_bytes_get_size (extension->bytes)
                  / qcow2_record_get_size (&qcow2_feature_record));
}

/* Decodes row ROW of the feature name table in EXTENSION into FEATURE, which
 * the caller clears. */
void
qcow2_extension_get_feature (const Qcow2Extension *extension, guint row,
                             Qcow2Feature *feature)
{
  const guint8 *bytes = g_bytes_get_data (extension->bytes, NULL);
  const guint size = qcow2_record_get_size (&qcow2_feature_record);

  g_assert (row < qcow2_extension_get_n_features (extension));

  qcow2_record_decode (&qcow2_feature_record, bytes + row * size, size,
                       feature);
  feature->name = g_bytes_new (
      feature->padded_name,
      strnlen (feature->padded_name, sizeof feature->padded_name));
}

void
qcow2_feature_clear (Qcow2Feature *feature)
{
  g_clear_pointer (&feature->name, g_bytes_unref);
}

void
qcow2_extension_clear (Qcow2Extension *extension)
{
  g_clear_pointer (&extension->bytes, g_bytes_unref);
  g_clear_pointer (&extension->data, g_bytes_unref);
  g_clear_pointer (&extension->data_hex, g_bytes_unref);
}
