/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "check/bitmap-rules.h"

#include <string.h>

#include "qcow2/arithmetic.h"
#include "qcow2/printable.h"
#include "qcow2/table.h"

/* QEMU, block/qcow2-bitmap.c: BME_MAX_NAME_SIZE. */
#define QEMU_MAX_NAME_SIZE 1023

typedef struct
{
  const Qcow2Bitmap *b;
  const Qcow2Header *header;
  guint64 file_size;     /* bytes */
  gboolean is_rewritten; /* QEMU writes the directory when it can */
  Qcow2Findings *findings;
  Qcow2Subject subject;
} Context;

/* The place of the field MEMBER of the entry. */
#define PLACE(member)                                                         \
  QCOW2_PLACE (c->b->file_offset, qcow2_bitmap_record, Qcow2Bitmap, member,   \
               c->b)

/* Adds a finding about the field MEMBER. */
#define ADD(rule, member, ...)                                                \
  qcow2_findings_add_at (c->findings, &c->subject, QCOW2_##rule,              \
                         PLACE (member), __VA_ARGS__)

/* Adds a finding about the bytes at host offset OFFSET. */
#define ADD_BYTES(rule, offset, ...)                                          \
  qcow2_findings_add (c->findings, &c->subject, QCOW2_##rule, (offset), 0,    \
                      __VA_ARGS__)

static void
check_table_place (const Context *c)
{
  const guint64 offset = c->b->bitmap_table_offset;
  const guint64 bytes = (guint64) c->b->bitmap_table_size * QCOW2_ENTRY_LENGTH;

  if (offset == 0)
    ADD (BDIR_05, bitmap_table_offset, "bitmap_table_offset is 0");
  else if (offset % c->header->cluster_size != 0)
    ADD (BDIR_05, bitmap_table_offset,
         "bitmap_table_offset " QCOW2_HEX_FORMAT
         " is not a multiple of the cluster size " QCOW2_U64_FORMAT,
         offset, c->header->cluster_size);

  if (offset > c->file_size || bytes > c->file_size - offset)
    qcow2_findings_add_at (
        c->findings, &c->subject,
        offset > QCOW2_QEMU_MAX_LENGTH
                || bytes > QCOW2_QEMU_MAX_LENGTH - offset
            ? QCOW2_BDIR_07_WRAP
            : QCOW2_BDIR_07,
        PLACE (bitmap_table_offset),
        "the bitmap table, " QCOW2_U64_FORMAT " bytes at " QCOW2_HEX_FORMAT
        ", does not end in the file, which has " QCOW2_U64_FORMAT " bytes",
        bytes, offset, c->file_size);
}

/* Returns the number of table entries that QEMU expects.  QEMU rounds the size
 * of the disk down to whole sectors. */
static guint64
get_n_needed_by_qemu (const Context *c)
{
  const Qcow2Header rounded = { .size = qcow2_header_get_qemu_size (c->header),
                                .cluster_size = c->header->cluster_size };
  guint64 data_size = 0;

  qcow2_bitmap_get_data_size (c->b, &rounded, &data_size);
  return qcow2_header_size_to_clusters (&rounded, data_size);
}

static void
check_table_size (const Context *c)
{
  const guint32 size = c->b->bitmap_table_size;
  const gboolean in_use = (c->b->flags & QCOW2_BITMAP_IN_USE) != 0;
  guint64 data_size;

  if (size == 0)
    ADD (BDIR_06_EMPTY, bitmap_table_size, "bitmap_table_size is 0");
  else if (size > QCOW2_MAX_TABLE_ENTRIES)
    ADD (BDIR_06_HUGE, bitmap_table_size,
         "bitmap_table_size %u is greater than " QCOW2_U64_FORMAT, size,
         QCOW2_MAX_TABLE_ENTRIES);
  else if (size > QCOW2_QEMU_MAX_BITMAP_SIZE / c->header->cluster_size)
    ADD (BDIR_06_LARGE, bitmap_table_size,
         "bitmap_table_size %u stands for more than 512 MiB of bitmap", size);

  if (!qcow2_bitmap_get_data_size (c->b, c->header, &data_size))
    return;

  const guint64 needed = qcow2_header_size_to_clusters (c->header, data_size);
  const guint64 qemu_needed = get_n_needed_by_qemu (c);
  if (size == needed && (in_use || size == qemu_needed))
    return;

  /* A writer that is still running, or that was killed, may have resized the
   * disk. */
  const Qcow2RuleIndex rule = in_use               ? QCOW2_BDIR_18_IN_USE
                              : size == needed     ? QCOW2_BDIR_18_QEMU
                              : size < qemu_needed ? QCOW2_BDIR_18_SMALL
                              : size > needed      ? QCOW2_BDIR_18_LARGE
                                                   : QCOW2_BDIR_18_ROUNDED;
  Qcow2Finding *finding = qcow2_findings_add_at (
      c->findings, &c->subject, rule, PLACE (bitmap_table_size),
      "bitmap_table_size is %u, but the virtual size needs " QCOW2_U64_FORMAT
      " entries, and rounded down to 512 bytes " QCOW2_U64_FORMAT,
      size, needed, qemu_needed);
  if (needed == qemu_needed)
    {
      qcow2_finding_allow (finding, needed);
      qcow2_finding_set_message (finding,
                                 "bitmap_table_size is %u, but the virtual "
                                 "size needs " QCOW2_U64_FORMAT " entries",
                                 size, needed);
    }
}

static void
check_flags (const Context *c)
{
  const guint32 flags = c->b->flags;
  const guint32 extra = QCOW2_BITMAP_EXTRA_DATA_COMPATIBLE;
  const guint32 allowed
      = QCOW2_BITMAP_KNOWN_FLAGS & (c->b->extra_data_size == 0 ? ~extra : ~0U);

  if ((flags & ~QCOW2_BITMAP_KNOWN_FLAGS) != 0)
    qcow2_finding_allow (ADD (BDIR_08, flags, "flags has reserved bits 0x%x",
                              flags & ~QCOW2_BITMAP_KNOWN_FLAGS),
                         flags & allowed);
  if ((flags & extra) != 0 && c->b->extra_data_size == 0)
    qcow2_finding_allow (
        ADD (BDIR_08_EXTRA, flags,
             "the extra-data-compatible flag is set without extra data"),
        flags & allowed);
  if ((flags & QCOW2_BITMAP_IN_USE) != 0)
    ADD (BDIR_09, flags,
         "the in-use flag is set: the contents on disk are out of date");
}

static void
check_kind (const Context *c)
{
  const guint8 bits = c->b->granularity_bits;

  if (c->b->type != QCOW2_BITMAP_DIRTY_TRACKING)
    ADD (BDIR_11, type, "type %u is not %u (dirty tracking)", c->b->type,
         QCOW2_BITMAP_DIRTY_TRACKING);
  if (bits > 63)
    ADD (BDIR_12, granularity_bits, "granularity_bits %u is greater than 63",
         bits);
  else if (bits < QCOW2_QEMU_MIN_GRANULARITY_BITS
           || bits > QCOW2_QEMU_MAX_GRANULARITY_BITS)
    ADD (BDIR_12_QEMU, granularity_bits,
         "granularity_bits %u is not in %u..%u, as QEMU wants", bits,
         QCOW2_QEMU_MIN_GRANULARITY_BITS, QCOW2_QEMU_MAX_GRANULARITY_BITS);
}

static void
check_extra_data (const Context *c)
{
  const Qcow2Bitmap *b = c->b;
  const gsize n = MIN (b->extra_data_size, sizeof b->extra_data);
  const char *dots = n < b->extra_data_size ? "..." : "";
  g_autoptr (GString) hex = g_string_new (NULL);

  if (b->extra_data_size == 0)
    return;

  for (gsize i = 0; i < n; i++)
    g_string_append_printf (hex, "%02x", b->extra_data[i]);

  if ((b->flags & QCOW2_BITMAP_EXTRA_DATA_COMPATIBLE) == 0)
    ADD (BDIR_14, extra_data_size,
         "%u bytes of extra data of an unknown kind forbid to use the bitmap: "
         "%s%s",
         b->extra_data_size, hex->str, dots);
  else
    ADD (BDIR_14_COMPATIBLE, extra_data_size,
         "%u bytes of extra data of an unknown kind: %s%s", b->extra_data_size,
         hex->str, dots);
}

/* Returns whether an entry takes fewer bytes when its name of LEN bytes is
 * shortened to CUT_LEN bytes. */
static gboolean
makes_shorter_entry (gsize len, gsize cut_len)
{
  return qcow2_divide_up (cut_len, 8) < qcow2_divide_up (len, 8);
}

static void
check_name (const Context *c, guint64 first_with_name,
            guint64 first_with_c_name)
{
  const Qcow2Bitmap *b = c->b;

  if (b->name_size == 0)
    ADD (BDIR_13_EMPTY, name_size, "name_size is 0");
  else if (b->name_size > QEMU_MAX_NAME_SIZE)
    ADD (BDIR_13_LONG, name_size, "name_size %u is greater than %u",
         b->name_size, QEMU_MAX_NAME_SIZE);
  if (first_with_name != b->index)
    ADD_BYTES (BDIR_15, b->name_offset,
               "bitmap " QCOW2_U64_FORMAT " has the same name",
               first_with_name);
  else if (first_with_c_name != b->index)
    ADD_BYTES (BDIR_15_NUL, b->name_offset,
               "bitmap " QCOW2_U64_FORMAT
               " has the same name up to a NUL byte",
               first_with_c_name);

  gsize len;
  const guint8 *bytes = g_bytes_get_data (b->name, &len);
  const guint8 *nul = len > 0 ? memchr (bytes, 0, len) : NULL;
  if (nul != NULL)
    qcow2_findings_add (
        c->findings, &c->subject,
        c->is_rewritten && makes_shorter_entry (len, (gsize) (nul - bytes))
            ? QCOW2_BDIR_17_SHORTER
            : QCOW2_BDIR_17_NUL,
        b->name_offset, 0, "the name has a NUL byte, at which QEMU cuts it");
  else if (!qcow2_string_is_printable (b->name))
    ADD_BYTES (BDIR_17, b->name_offset,
               "the name has control or format characters or is not UTF-8");
  if (b->bad_padding != 0)
    ADD_BYTES (BDIR_16, b->name_offset + b->name_size,
               "the padding is not zero at " QCOW2_HEX_FORMAT, b->bad_padding);
  if (b->padding_truncated)
    ADD_BYTES (BDIR_02_PADDING, b->name_offset + b->name_size,
               "the padding does not end in the directory or the file");
}

/* Returns the subject of findings about BITMAP.  The name still belongs to
 * BITMAP. */
Qcow2Subject
qcow2_bitmap_get_subject (const Qcow2Bitmap *bitmap)
{
  const Qcow2Subject subject
      = { .parts = QCOW2_PART_BITMAPS,
          .structure = "bitmap",
          .extension = QCOW2_NO_INDEX,
          .bitmap = bitmap->index,
          .name = bitmap->name,
          .in_use = (bitmap->flags & QCOW2_BITMAP_IN_USE) != 0 };

  return subject;
}

/* Adds findings about the directory entry of BITMAP to FINDINGS.  The entry is
 * not truncated, and the cluster size in HEADER is known.  FILE_SIZE is the
 * size of the image file in bytes.  FIRST_WITH_NAME is the index of the first
 * bitmap with the same name; FIRST_WITH_C_NAME is the index of the first one
 * with the same name up to a NUL byte.  IS_REWRITTEN says whether QEMU writes
 * the directory when it opens the image for writing.  The entries of the
 * bitmap table are checked by qcow2_table_check_entry (). */
void
qcow2_bitmap_check (const Qcow2Bitmap *bitmap, const Qcow2Header *header,
                    guint64 file_size, guint64 first_with_name,
                    guint64 first_with_c_name, gboolean is_rewritten,
                    Qcow2Findings *findings)
{
  const Context context = { .b = bitmap,
                            .header = header,
                            .file_size = file_size,
                            .is_rewritten = is_rewritten,
                            .findings = findings,
                            .subject = qcow2_bitmap_get_subject (bitmap) };
  const Context *c = &context;

  check_table_place (c);
  check_table_size (c);
  check_flags (c);
  check_kind (c);
  check_extra_data (c);
  check_name (c, first_with_name, first_with_c_name);
}

/* Returns whether QEMU refuses an image for the fields of BITMAP, whose name
 * was not read: when it reads the directory or, if AT_LOAD, when it loads the
 * bitmap.  HEADER is the header of the image. */
gboolean
qcow2_bitmap_head_is_refused (const Qcow2Bitmap *bitmap,
                              const Qcow2Header *header, gboolean at_load)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  g_autoptr (GBytes) no_name = g_bytes_new_static ("", 0);
  Qcow2Bitmap nameless = *bitmap;

  nameless.name = no_name;
  qcow2_bitmap_check (&nameless, header, G_MAXUINT64, bitmap->index,
                      bitmap->index, FALSE, findings);

  for (guint i = 0; i < QCOW2_N_RULES; i++)
    {
      const Qcow2RuleUse *use = qcow2_findings_get_use (findings, i);
      const Qcow2Effect effect = qcow2_rules[i].effect;

      if (use->n > 0
          && (effect == QCOW2_EFFECT_REFUSED
              || (at_load && effect == QCOW2_EFFECT_AT_LOAD && use->loaded)))
        return TRUE;
    }

  return FALSE;
}
