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

/* Magic and length, which the data follow, in bytes. */
#define QCOW2_EXTENSION_HEAD_LENGTH 8

/* Data of the full disk encryption extension. */
typedef struct
{
  guint64 crypto_header_offset; /* host */
  guint64 crypto_header_length; /* bytes */
} Qcow2CryptoExtension;

/* Data of the bitmaps extension. */
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

typedef struct
{
  guint32 magic;
  guint32 length; /* bytes of data */

  guint64 index;
  guint64 file_offset; /* host offset of the magic */
  GBytes *bytes;       /* the data, as much of them as the file has */
  GBytes *data;        /* BYTES if they are printable */
  GBytes *data_hex;    /* BYTES as hex digits if they are not */
  guint n_decoded;     /* decoded fields of the structure below */
  Qcow2CryptoExtension crypto;
  Qcow2BitmapsExtension bitmaps;
} Qcow2Extension;

typedef struct Qcow2Image Qcow2Image;

/* A known type of header extension. */
typedef struct
{
  guint32 magic;
  const char *name;              /* as QEMU's qcow2.py prints it; NULL ends the
                                    array of types */
  const Qcow2Record *record;     /* of the data, or NULL */
  gsize member;                  /* offset in Qcow2Extension of the struct that
                                    RECORD is decoded into */
  const Qcow2Record *row_record; /* of each row if the data are a table, or
                                    NULL */

  /* Stores in IMAGE what EXTENSION says about it.  NULL: an image stores only
   * the size of EXTENSION. */
  void (*apply) (Qcow2Image *image, const Qcow2Extension *extension);
} Qcow2ExtensionType;

extern const Qcow2ExtensionType qcow2_extension_types[];
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

guint64 qcow2_extension_get_stored_size (guint64 size);
const Qcow2ExtensionType *qcow2_extension_find_type (guint32 magic);
void qcow2_extension_decode_data (Qcow2Extension *extension);
const Qcow2Field *
qcow2_extension_get_data_fields (const Qcow2Extension *extension,
                                 gconstpointer *structure);
gboolean qcow2_extension_is_decoded (const Qcow2Extension *extension);
gboolean qcow2_extension_is_complete (const Qcow2Extension *extension);
guint qcow2_extension_get_n_features (const Qcow2Extension *extension);
void qcow2_extension_get_feature (const Qcow2Extension *extension, guint row,
                                  Qcow2Feature *feature);
void qcow2_feature_clear (Qcow2Feature *feature);
void qcow2_extension_clear (Qcow2Extension *extension);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Qcow2Extension, qcow2_extension_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Qcow2Feature, qcow2_feature_clear)

G_END_DECLS
