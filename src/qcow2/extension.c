/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/extension.h"

#include <string.h>

#include "qcow2/printable.h"

#define WHAT "header extension"

/* The maximum number of bytes of payload to keep: QEMU's largest cluster. */
#define MAX_PAYLOAD (2 * 1024 * 1024)

struct Qcow2ExtensionWalk
{
  ByteSource *source;
  ByteWindow *window;
  Qcow2WalkPosition at;
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

/* Returns a new walk over the extensions in SOURCE from host offset START, at
 * most the end of the file, to before END.  SOURCE must outlive the walk. */
Qcow2ExtensionWalk *
qcow2_extension_walk_new_between (ByteSource *source, guint64 start,
                                  guint64 end)
{
  Qcow2ExtensionWalk *walk = g_new0 (Qcow2ExtensionWalk, 1);

  g_assert (start <= byte_source_get_size (source));

  walk->source = source;
  walk->window = byte_window_new (source, end);
  walk->at
      = (Qcow2WalkPosition){ .pos = start,
                             .area_end = end,
                             .file_end = byte_window_get_end (walk->window) };
  return walk;
}

/* Returns a new walk over the extensions in SOURCE, which HEADER locates:
 * qcow2_header_get_extension_area () must succeed, and the area must start
 * inside the file or at its end.  SOURCE must outlive the walk. */
Qcow2ExtensionWalk *
qcow2_extension_walk_new (ByteSource *source, const Qcow2Header *header)
{
  guint64 start = 0;
  guint64 end = 0;
  const gboolean located
      = qcow2_header_get_extension_area (header, &start, &end);

  g_assert (located);

  return qcow2_extension_walk_new_between (source, start, end);
}

/* Returns QCOW2_WALKING if there is room for the head of another extension at
 * AT, or otherwise the state in which the walk ends. */
static Qcow2WalkState
room_for_head (const Qcow2WalkPosition *at)
{
  if (at->pos == at->area_end)
    return QCOW2_AT_AREA_END;
  if (at->area_end - at->pos < QCOW2_EXTENSION_HEAD_LENGTH)
    return QCOW2_NO_ROOM_FOR_HEAD;
  if (at->pos == at->file_end)
    return QCOW2_AT_FILE_END;
  if (at->file_end - at->pos < QCOW2_EXTENSION_HEAD_LENGTH)
    return QCOW2_HEAD_TRUNCATED;

  return QCOW2_WALKING;
}

/* Stores magic and length of the extension whose head the file truncates.  The
 * missing bytes are zeroes, and all of them are if the others cannot be
 * read. */
static void
read_truncated_head (Qcow2ExtensionWalk *walk)
{
  Qcow2WalkPosition *at = &walk->at;
  guint8 head[QCOW2_EXTENSION_HEAD_LENGTH] = { 0 };
  const gsize len = (gsize) (at->file_end - at->pos);
  const guint8 *bytes
      = byte_window_get (walk->window, at->pos, len, WHAT, NULL);
  Qcow2Extension e;

  if (bytes != NULL)
    memcpy (head, bytes, len);
  qcow2_record_decode (&qcow2_extension_record, head, sizeof head, &e);
  at->magic = e.magic;
  at->length = e.length;
}

/* Moves WALK past the current extension, which has LENGTH bytes of payload.
 * Ends WALK if the payload does not fit into the area or is truncated by the
 * file; only the padding may be truncated. */
static void
advance (Qcow2WalkPosition *at, guint32 length)
{
  const guint64 data = at->pos + QCOW2_EXTENSION_HEAD_LENGTH;
  const guint64 padded = ((guint64) length + 7) / 8 * 8;

  at->length = length;
  if (length > at->area_end - data)
    at->state = QCOW2_DATA_TOO_LONG;
  else if (length > at->file_end - data)
    at->state = QCOW2_DATA_TRUNCATED;
  else
    at->pos = data + MIN (padded, at->file_end - data);
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

/* Stores the next extension in *EXTENSION, which the caller clears.  The
 * payload of the last one may be truncated or, if its length is wrong,
 * missing.  Returns FALSE without an error at the end of WALK, or FALSE with
 * QCOW2_ERROR_READ if a read fails. */
gboolean
qcow2_extension_walk_next (Qcow2ExtensionWalk *walk, Qcow2Extension *extension,
                           GError **error)
{
  Qcow2WalkPosition *at = &walk->at;

  if (at->state == QCOW2_WALKING)
    at->state = room_for_head (at);
  if (at->state == QCOW2_HEAD_TRUNCATED)
    read_truncated_head (walk);
  if (at->state != QCOW2_WALKING)
    return FALSE;

  const guint64 offset = at->pos;
  const guint8 *head = byte_window_get (
      walk->window, offset, QCOW2_EXTENSION_HEAD_LENGTH, WHAT, error);
  if (head == NULL)
    return FALSE;

  Qcow2Extension e = { .index = at->index, .file_offset = offset };
  qcow2_record_decode (&qcow2_extension_record, head,
                       QCOW2_EXTENSION_HEAD_LENGTH, &e);
  at->magic = e.magic;
  advance (at, e.length);
  if (e.magic == QCOW2_EXTENSION_END)
    {
      at->state = at->state == QCOW2_DATA_TOO_LONG ? QCOW2_TERMINATOR_TOO_LONG
                                                   : QCOW2_AT_TERMINATOR;
      at->pos = offset;
      return FALSE;
    }

  at->index++;
  e.payload = payload_of (e.magic);
  if (at->state != QCOW2_DATA_TOO_LONG)
    {
      const guint64 data = offset + QCOW2_EXTENSION_HEAD_LENGTH;
      const guint64 left = at->file_end - data;
      const gsize len = (gsize) MIN (MIN (e.length, left), MAX_PAYLOAD);

      e.bytes = read_payload (walk, data, len, error);
      if (e.bytes == NULL)
        return FALSE;

      decode_payload (&e);
    }

  *extension = e;
  return TRUE;
}

/* Returns where WALK is or, after its end, how it ended.  WALK owns the
 * result. */
const Qcow2WalkPosition *
qcow2_extension_walk_get_position (const Qcow2ExtensionWalk *walk)
{
  return &walk->at;
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
qcow2_extension_is_complete (const Qcow2Extension *extension)
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
