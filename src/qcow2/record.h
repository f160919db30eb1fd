/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Field tables: one line per field of an on-disk structure determines how the
 * field is decoded, printed as text and JSON, and selected by --field. */

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
  QCOW2_BOOL,     /* true */
  QCOW2_STRING,   /* raw: a GBytes from the image, or NULL if absent */
  QCOW2_QUOTED,   /* 'raw': a GBytes from the image, or NULL if absent */
  QCOW2_WORD      /* error: a const char * of this program, or NULL */
} Qcow2Format;

/* The name of a value or, for a mask, of a bit number.  A table of labels ends
 * with a NULL name. */
typedef struct
{
  guint64 value;
  const char *name;
} Qcow2Label;

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
  const Qcow2Label *labels; /* names of values or bits, or NULL */
  gsize bit_names;          /* in the struct: the char *[QCOW2_MASK_BITS] of
                               bit names that the image defines; 0: none */
  gsize presence;           /* in the struct: a gboolean that says whether
                               there is a value; 0: the value itself tells */
  const char *text;         /* label in text output; "" to omit the field, NULL
                               to use NAME */
  const char *absent;       /* text to print if there is no value, or NULL */
  const char *alias;        /* another NAME that --field accepts, or NULL */
} Qcow2Field;

/* Initializers for a table of fields.  Each table ends with
 * QCOW2_FIELD_END. */
#define QCOW2_STORED(type, member, fmt, ...)                                  \
  {                                                                           \
    .name = #member, .format = (fmt), .stored = TRUE,                         \
    .size = sizeof (((type *) 0)->member), .offset = offsetof (type, member), \
    __VA_ARGS__                                                               \
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

guint64 qcow2_load_be (const guint8 *bytes, gsize size);

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

guint qcow2_record_decode (const Qcow2Field *fields, const guint8 *bytes,
                           gsize len, gpointer record);
gsize qcow2_record_get_size (const Qcow2Field *fields);
const Qcow2Field *qcow2_record_find (const Qcow2Field *fields,
                                     const char *name);
gboolean qcow2_field_is_string (const Qcow2Field *field);
gboolean qcow2_field_has_value (const Qcow2Field *field, gconstpointer record);
guint64 qcow2_field_get_number (const Qcow2Field *field, gconstpointer record);
const char *qcow2_field_get_string (const Qcow2Field *field,
                                    gconstpointer record, gsize *len);
const char *const *qcow2_field_get_bit_names (const Qcow2Field *field,
                                              gconstpointer record);
const char *qcow2_label_find (const Qcow2Label *labels, guint64 value);

G_END_DECLS
