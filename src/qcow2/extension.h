/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The header extensions: qcow2 specification, section "Header extensions". */

#pragma once

#include "qcow2/header.h"

G_BEGIN_DECLS

#define QCOW2_EXTENSION_END 0x00000000
#define QCOW2_EXTENSION_BACKING_FORMAT 0xe2792aca
#define QCOW2_EXTENSION_FEATURES 0x6803f857
#define QCOW2_EXTENSION_CRYPTO 0x0537be77
#define QCOW2_EXTENSION_BITMAPS 0x23852875
#define QCOW2_EXTENSION_DATA_FILE 0x44415441

/* Magic and length, which the payload follows, in bytes. */
#define QCOW2_EXTENSION_HEAD_LENGTH 8

/* Payload of the full disk encryption extension. */
typedef struct
{
  guint64 crypto_header_offset; /* host */
  guint64 crypto_header_length; /* bytes */
} Qcow2CryptoExtension;

/* Payload of the bitmaps extension. */
typedef struct
{
  guint32 nb_bitmaps;
  guint32 reserved32;
  guint64 bitmap_directory_size;   /* bytes */
  guint64 bitmap_directory_offset; /* host */
} Qcow2BitmapsExtension;

/* A row of the feature name table. */
typedef struct
{
  guint8 type;
  guint8 bit;
  char padded_name[46]; /* padded with NULs */

  GBytes *name; /* without the padding */
} Qcow2Feature;

typedef enum
{
  QCOW2_PAYLOAD_DATA, /* a string, or bytes of an unknown format */
  QCOW2_PAYLOAD_FEATURES,
  QCOW2_PAYLOAD_CRYPTO,
  QCOW2_PAYLOAD_BITMAPS
} Qcow2Payload;

typedef struct
{
  guint32 magic;
  guint32 length; /* bytes of payload */

  guint64 index;
  guint64 file_offset; /* host offset of the magic */
  Qcow2Payload payload;
  GBytes *bytes;    /* the payload, as much of it as the file has */
  GBytes *data;     /* BYTES if they are printable */
  GBytes *data_hex; /* BYTES as hex digits if they are not */
  guint n_decoded;  /* decoded fields of the structure below */
  Qcow2CryptoExtension crypto;
  Qcow2BitmapsExtension bitmaps;
} Qcow2Extension;

extern const Qcow2Label qcow2_extension_names[];
extern const Qcow2Label qcow2_feature_types[];
extern const Qcow2Record qcow2_extension_record;
extern const Qcow2Field qcow2_data_extension_fields[];
extern const Qcow2Record qcow2_crypto_extension_record;
extern const Qcow2Record qcow2_bitmaps_extension_record;
extern const Qcow2Record qcow2_feature_record;

/* The maximum number of bitmaps and of bytes in a bitmap directory.  The rest
 * of a larger directory is not examined.  (QEMU, block/qcow2.h:
 * QCOW2_MAX_BITMAPS, QCOW2_MAX_BITMAP_DIRECTORY_SIZE.) */
#define QCOW2_MAX_BITMAPS 65535
#define QCOW2_MAX_DIRECTORY_SIZE (1024 * 65535)

/* The maximum length of a backing format in bytes (QEMU, block/qcow2.c: the
 * size of backing_format, without its NUL). */
#define QCOW2_QEMU_MAX_BACKING_FORMAT 15

/* The ways in which a walk over the extensions ends. */
typedef enum
{
  QCOW2_WALKING,            /* it has not ended */
  QCOW2_AT_TERMINATOR,      /* the extension with the magic 0 */
  QCOW2_AT_AREA_END,        /* without a terminator */
  QCOW2_AT_FILE_END,        /* between two extensions */
  QCOW2_NO_ROOM_FOR_HEAD,   /* the area ends inside magic and length */
  QCOW2_HEAD_TRUNCATED,     /* the file does */
  QCOW2_DATA_TOO_LONG,      /* the payload exceeds the area */
  QCOW2_DATA_TRUNCATED,     /* the payload exceeds the file */
  QCOW2_TERMINATOR_TOO_LONG /* the payload of the terminator exceeds the
                               area */
} Qcow2WalkState;

/* Where a walk is, or how it ended. */
typedef struct
{
  Qcow2WalkState state;
  guint64 pos;      /* host offset of the next extension or of the one at which
                       the walk ended */
  guint64 area_end; /* host offset; the file may end before it */
  guint64 file_end; /* host offset, at most AREA_END */
  guint64 index;    /* of the next extension */
  guint32 magic;    /* of the last extension; missing bytes are zeroes */
  guint32 length;   /* bytes of its payload; missing bytes are zeroes */
} Qcow2WalkPosition;

/* A walk over the extension area, from start to end. */
typedef struct Qcow2ExtensionWalk Qcow2ExtensionWalk;

Qcow2ExtensionWalk *qcow2_extension_walk_new (ByteSource *source,
                                              const Qcow2Header *header);
Qcow2ExtensionWalk *qcow2_extension_walk_new_between (ByteSource *source,
                                                      guint64 start,
                                                      guint64 end);
gboolean qcow2_extension_walk_next (Qcow2ExtensionWalk *walk,
                                    Qcow2Extension *extension, GError **error);
const Qcow2WalkPosition *
qcow2_extension_walk_get_position (const Qcow2ExtensionWalk *walk);
void qcow2_extension_walk_free (Qcow2ExtensionWalk *walk);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2ExtensionWalk, qcow2_extension_walk_free)

const Qcow2Field *
qcow2_extension_get_payload_fields (const Qcow2Extension *extension,
                                    gconstpointer *record);
gboolean qcow2_extension_is_complete (const Qcow2Extension *extension);
guint qcow2_extension_get_n_features (const Qcow2Extension *extension);
void qcow2_extension_get_feature (const Qcow2Extension *extension, guint row,
                                  Qcow2Feature *feature);
void qcow2_feature_clear (Qcow2Feature *feature);
void qcow2_extension_clear (Qcow2Extension *extension);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Qcow2Extension, qcow2_extension_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Qcow2Feature, qcow2_feature_clear)

G_END_DECLS
