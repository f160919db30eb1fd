/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Field tables: one line per field of an on-disk structure drives its
 * decoding, its text, its JSON and --field. */

#pragma once

#include <glib.h>
#include <string.h>

G_BEGIN_DECLS

/* How people read a field. */
typedef enum
{
  QCOW2_DEC,      /* 16 */
  QCOW2_HEX,      /* 0x10 */
  QCOW2_BITS,     /* 0x8 (['compression-type']) */
  QCOW2_ENUM,     /* 0 (zlib) */
  QCOW2_HEX_ENUM, /* 0x23852875 (Bitmaps) */
  QCOW2_NAME,     /* enabled: a number that people know by its label alone */
  QCOW2_BOOL,     /* true */
  QCOW2_STRING,   /* raw: a GBytes from the image, NULL when there is none */
  QCOW2_QUOTED,   /* 'raw': the same */
  QCOW2_WORD      /* error: a const char * of ours, NULL when there is none */
} Qcow2Format;

/* The name of a value or, in a mask, of a bit.  A table ends with a NULL
 * name. */
typedef struct
{
  guint64 value;
  const char *name;
} Qcow2Label;

/* A number that is not on disk and that this image does not have. */
#define QCOW2_ABSENT G_MAXUINT64

/* How many bits a mask has at most. */
#define QCOW2_MASK_BITS 64

typedef struct
{
  const char *name; /* the specification's own; JSON and --field key */
  Qcow2Format format;
  gboolean stored;          /* FALSE: computed after decoding */
  guint size;               /* bytes, on disk and in memory */
  gsize offset;             /* bytes, in the decoded struct */
  const Qcow2Label *labels; /* names of values or bits, or NULL */
  gsize bit_names;          /* in the struct: the char *[QCOW2_MASK_BITS] by
                               which the image itself calls bits; 0: none */
  gsize presence;           /* in the struct: a gboolean, whether there is a
                               value; 0: the value itself tells */
  const char *text;         /* the name in text, "" to leave the field out,
                               NULL: as NAME */
  const char *absent;       /* in text when there is no value, or NULL */
  const char *alias;        /* another NAME that is understood, or NULL */
} Qcow2Field;

/* Lines of a table of fields, which ends with QCOW2_FIELD_END. */
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

/* Returns the 8 bytes at BYTES, the most significant first, as a number. */
static inline guint64
qcow2_load_be64 (const guint8 *bytes)
{
  guint64 word;

  memcpy (&word, bytes, sizeof word);
  return GUINT64_FROM_BE (word);
}

/* Returns the 8 bytes at BYTES, the least significant first, as the bits of
 * bitmaps are stored. */
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
