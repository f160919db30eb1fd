/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records: the declaration of an on-disk structure.  One line per field says
 * where the field is on disk, how it is decoded and encoded, how it is printed
 * as text and JSON, and how --field and findings name it. */

#pragma once

#include <glib.h>
#include <string.h>

G_BEGIN_DECLS

/* The text form of a field.  Comments show an example. */
typedef enum
{
  QCOW2_DEC,      /* 16 */
  QCOW2_HEX,      /* 0x10 */
  QCOW2_BITS,     /* 0x8 (['compression-type']) */
  QCOW2_ENUM,     /* 0 (zlib) */
  QCOW2_HEX_ENUM, /* 0x23852875 (Bitmaps) */
  QCOW2_NAME,     /* enabled: a number that is shown as its label only */
  QCOW2_FLAGS,    /* copied,zero: a mask that is shown as the names of its bits
                     only; a column */
  QCOW2_BOOL,     /* true */
  QCOW2_STRING,   /* raw: a GBytes from the image, or NULL if absent */
  QCOW2_QUOTED,   /* 'raw': a GBytes from the image, or NULL if absent */
  QCOW2_WORD,     /* error: a const char * of this program, or NULL */
  QCOW2_HIDDEN,   /* not shown: a number */
  QCOW2_BYTES     /* not shown: an array of bytes, the same as on disk */
} Qcow2Format;

/* The name of a value or, for a mask, of a bit number.  A table of labels ends
 * with a NULL name. */
typedef struct
{
  guint64 value;
  const char *name;
} Qcow2Label;

/* In which rows of a table a field has a column. */
typedef enum
{
  QCOW2_COLUMN,           /* in all */
  QCOW2_COLUMN_LONG_TEXT, /* in JSON, and in text with --long */
  QCOW2_COLUMN_LONG       /* with --long */
} Qcow2Column;

/* The value of a derived number that the image does not have. */
#define QCOW2_ABSENT G_MAXUINT64

/* The index of no bitmap, extension or entry. */
#define QCOW2_NO_INDEX G_MAXUINT64

/* Maximum number of bits in a mask. */
#define QCOW2_MASK_BITS 64

typedef struct
{
  const char *name; /* the specification's name; key in JSON and --field */
  Qcow2Format format;
  gboolean stored;          /* FALSE: computed after decoding */
  guint size;               /* bytes, on disk and in memory */
  gsize offset;             /* bytes, in the decoded struct */
  guint n_bits;             /* of a packed record: bits of the field, ... */
  guint first_bit;          /* ... of which this is the lowest; size is only
                               that of the member */
  gboolean in_place;        /* the value keeps the position of its bits, like
                               an offset in an entry, and is not shifted */
  const Qcow2Label *labels; /* names of values or bits, or NULL */
  gsize bit_names;          /* in the struct: the char *[QCOW2_MASK_BITS] of
                               bit names that the image defines; 0: none */
  gsize presence;           /* in the struct: a gboolean that says whether
                               there is a value; 0: the value itself tells */
  const char *text;         /* label in text output; "" to omit the field, NULL
                               to use NAME */
  const char *absent;       /* text to print if there is no value, or NULL */
  const char *alias;        /* another NAME that --field accepts, or NULL */
  Qcow2Column column;       /* if the structure is a row of a table */
  guint width;              /* of the column in text, in characters */
} Qcow2Field;

/* An on-disk structure: either its stored fields follow each other without
 * gaps, or it is packed: a big-endian number with a range of bits for each
 * stored field. */
typedef struct
{
  const char *name; /* as in messages */
  const Qcow2Field *fields;
  guint packed_size; /* bytes of the number; 0: not packed */
} Qcow2Record;

/* The size in bytes of an entry of a bitmap table, an L1 table and a refcount
 * table. */
#define QCOW2_ENTRY_LENGTH 8

/* Initializers for a table of fields.  Each table ends with
 * QCOW2_FIELD_END. */
#define QCOW2_STORED(type, member, fmt, ...)                                  \
  {                                                                           \
    .name = #member, .format = (fmt), .stored = TRUE,                         \
    .size = sizeof (((type *) 0)->member), .offset = offsetof (type, member), \
    __VA_ARGS__                                                               \
  }
#define QCOW2_PACKED(type, member, fmt, first, n, ...)                        \
  {                                                                           \
    .name = #member, .format = (fmt), .stored = TRUE,                         \
    .size = sizeof (((type *) 0)->member), .offset = offsetof (type, member), \
    .first_bit = (first), .n_bits = (n), __VA_ARGS__                          \
  }
#define QCOW2_DERIVED(type, key, member, fmt, ...)                            \
  {                                                                           \
    .name = (key), .format = (fmt), .stored = FALSE,                          \
    .size = sizeof (((type *) 0)->member), .offset = offsetof (type, member), \
    __VA_ARGS__                                                               \
  }
#define QCOW2_FIELD_END                                                       \
  {                                                                           \
    .name = NULL                                                              \
  }

/* The stored field of RECORD that is decoded into MEMBER of TYPE, and its
 * offset in bytes from the start of the structure on disk. */
#define QCOW2_FIELD(record, type, member)                                     \
  qcow2_record_get_field (&(record), offsetof (type, member),                 \
                          sizeof (((type *) 0)->member))
#define QCOW2_AT(record, type, member)                                        \
  qcow2_record_get_offset (&(record), QCOW2_FIELD (record, type, member))

/* Returns the bits of FIELD in an entry of a packed record. */
static inline guint64
qcow2_field_get_mask (const Qcow2Field *field)
{
  return (G_MAXUINT64 >> (64 - field->n_bits)) << field->first_bit;
}

/* Returns the value of FIELD in ENTRY, which is of a packed record. */
static inline guint64
qcow2_field_unpack (const Qcow2Field *field, guint64 entry)
{
  const guint64 bits = entry & qcow2_field_get_mask (field);

  return field->in_place ? bits : bits >> field->first_bit;
}

/* Returns the number in the member of FIELD, a number, in STRUCTURE. */
static inline guint64
qcow2_field_load (const Qcow2Field *field, gconstpointer structure)
{
  const guint8 *from = (const guint8 *) structure + field->offset;
  guint16 value16;
  guint32 value32;
  guint64 value64;

  switch (field->size)
    {
    case 1:
      return *from;
    case 2:
      memcpy (&value16, from, sizeof value16);
      return value16;
    case 4:
      memcpy (&value32, from, sizeof value32);
      return value32;
    case 8:
      memcpy (&value64, from, sizeof value64);
      return value64;
    default:
      g_assert_not_reached ();
    }
}

void qcow2_field_store (const Qcow2Field *field, gpointer structure,
                        guint64 value);
guint64 qcow2_load_be (const guint8 *bytes, gsize size);

/* Returns the 2 bytes at BYTES as a big-endian number. */
static inline guint16
qcow2_load_be16 (const guint8 *bytes)
{
  guint16 word;

  memcpy (&word, bytes, sizeof word);
  return GUINT16_FROM_BE (word);
}

/* Returns the 8 bytes at BYTES as a big-endian number. */
static inline guint64
qcow2_load_be64 (const guint8 *bytes)
{
  guint64 word;

  memcpy (&word, bytes, sizeof word);
  return GUINT64_FROM_BE (word);
}

/* Returns the 8 bytes at BYTES as a little-endian number, which is the order
 * of the bits of bitmaps. */
static inline guint64
qcow2_load_word (const guint8 *bytes)
{
  guint64 word;

  memcpy (&word, bytes, sizeof word);
  return GUINT64_FROM_LE (word);
}

gsize qcow2_count_zeroes (const guint8 *bytes, gsize len);

guint qcow2_record_decode (const Qcow2Record *record, const guint8 *bytes,
                           gsize len, gpointer structure);
guint qcow2_record_encode (const Qcow2Record *record, gconstpointer structure,
                           guint8 *bytes, gsize len);
guint qcow2_record_get_size (const Qcow2Record *record);
const Qcow2Field *qcow2_record_get_field (const Qcow2Record *record,
                                          gsize offset, gsize size);
guint qcow2_record_get_offset (const Qcow2Record *record,
                               const Qcow2Field *field);
const Qcow2Field *qcow2_record_find (const Qcow2Field *fields,
                                     const char *name);
gboolean qcow2_field_is_shown (const Qcow2Field *field);
gboolean qcow2_field_is_string (const Qcow2Field *field);
gboolean qcow2_field_has_value (const Qcow2Field *field,
                                gconstpointer structure);
guint64 qcow2_field_get_number (const Qcow2Field *field,
                                gconstpointer structure);
const char *qcow2_field_get_string (const Qcow2Field *field,
                                    gconstpointer structure, gsize *len);
const char *const *qcow2_field_get_bit_names (const Qcow2Field *field,
                                              gconstpointer structure);
const char *qcow2_label_find (const Qcow2Label *labels, guint64 value);

G_END_DECLS
