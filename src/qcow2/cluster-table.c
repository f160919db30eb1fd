/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/cluster-table.h"

#include "qcow2/error.h"
#include "qcow2/l1-table.h"
#include "qcow2/l2-table.h"
#include "qcow2/refcount.h"

#define REFCOUNT_BLOCK "refcount block"

const Qcow2Label qcow2_cluster_types[] = {
  { QCOW2_CLUSTER_UNALLOCATED, "unallocated" },
  { QCOW2_CLUSTER_ZERO, "zero" },
  { QCOW2_CLUSTER_ZERO_ALLOCATED, "zero-allocated" },
  { QCOW2_CLUSTER_NORMAL, "normal" },
  { QCOW2_CLUSTER_COMPRESSED, "compressed" },
  { 0, NULL },
};

/* Bit numbers of QCOW2_ROW_... */
static const Qcow2Label flag_names[] = {
  { 0, "copied" },   { 1, "zero" }, { 2, "compressed" },
  { 3, "reserved" }, { 0, NULL },
};

#define S(key, member, ...)                                                   \
  {                                                                           \
    .name = (key), .stored = TRUE, .size = 8,                                 \
    .offset = offsetof (Qcow2ClusterRow, member), __VA_ARGS__                 \
  }
#define D(key, member, ...)                                                   \
  QCOW2_DERIVED (Qcow2ClusterRow, key, member, __VA_ARGS__)

#define INDEX D ("index", index, QCOW2_DEC, .width = 8)
#define OFFSET D ("offset", offset, QCOW2_HEX, .width = 14)
#define FLAGS                                                                 \
  D ("flags", flags, QCOW2_FLAGS, .labels = flag_names, .width = 10)
#define VALUE S ("value", value, .format = QCOW2_HEX, .width = 18)
#define RESERVED                                                              \
  D ("reserved", reserved, QCOW2_HEX, .column = QCOW2_COLUMN_LONG_TEXT)
#define L2_FIELDS                                                             \
  INDEX, OFFSET, FLAGS, VALUE,                                                \
      D ("type", type, QCOW2_NAME, .labels = qcow2_cluster_types,             \
         .width = 14),                                                        \
      D ("length", length, QCOW2_DEC, .width = 8),                            \
      D ("guest_offset", place, QCOW2_HEX, .width = 14)
#define SUBCLUSTERS(in_text)                                                  \
  D ("subclusters_allocated", subclusters_allocated, QCOW2_HEX, .width = 21,  \
     .column = (in_text)),                                                    \
      D ("subclusters_zeroes", subclusters_zeroes, QCOW2_HEX,                 \
         .column = (in_text))

/* clang-format off */
static const Qcow2Field l1_fields[] = {
  INDEX, OFFSET, FLAGS, VALUE,
  D ("guest_offset", place, QCOW2_HEX),
  RESERVED,
  QCOW2_FIELD_END
};

static const Qcow2Field l2_fields[] = {
  L2_FIELDS,
  SUBCLUSTERS (QCOW2_COLUMN_LONG_TEXT),
  RESERVED,
  QCOW2_FIELD_END
};

static const Qcow2Field extended_l2_fields[] = {
  L2_FIELDS,
  SUBCLUSTERS (QCOW2_COLUMN),
  RESERVED,
  QCOW2_FIELD_END
};

static const Qcow2Field refcount_table_fields[] = {
  INDEX, OFFSET, FLAGS, VALUE,
  D ("host_offset", place, QCOW2_HEX),
  RESERVED,
  QCOW2_FIELD_END
};

static const Qcow2Field refcount_block_fields[] = {
  INDEX,
  D ("cluster", cluster, QCOW2_DEC, .width = 12),
  D ("host_offset", place, QCOW2_HEX, .width = 14),
  S ("refcount", value, .format = QCOW2_DEC),
  QCOW2_FIELD_END
};
/* clang-format on */

/* Returns the name of a table of KIND in messages. */
const char *
qcow2_table_kind_get_name (Qcow2TableKind kind)
{
  switch (kind)
    {
    case QCOW2_TABLE_L1:
      return qcow2_l1_entry_record.name;
    case QCOW2_TABLE_L2:
      return qcow2_l2_entry_record.name;
    case QCOW2_TABLE_REFCOUNTS:
      return qcow2_refcount_entry_record.name;
    case QCOW2_TABLE_REFCOUNT_BLOCK:
      return REFCOUNT_BLOCK;
    }

  g_assert_not_reached ();
}

/* Returns whether an image may have several tables of KIND, which the entries
 * of another table point to. */
gboolean
qcow2_table_kind_is_listed (Qcow2TableKind kind)
{
  return kind == QCOW2_TABLE_L2 || kind == QCOW2_TABLE_REFCOUNT_BLOCK;
}

static gboolean
has_subclusters (const Qcow2Header *header)
{
  return (header->incompatible_features & QCOW2_INCOMPATIBLE_EXTENDED_L2) != 0;
}

/* Returns the fields of the rows of TABLE. */
const Qcow2Field *
qcow2_cluster_table_get_fields (const Qcow2ClusterTable *table)
{
  switch (table->kind)
    {
    case QCOW2_TABLE_L1:
      return l1_fields;
    case QCOW2_TABLE_L2:
      return has_subclusters (&table->image->header) ? extended_l2_fields
                                                     : l2_fields;
    case QCOW2_TABLE_REFCOUNTS:
      return refcount_table_fields;
    case QCOW2_TABLE_REFCOUNT_BLOCK:
      return refcount_block_fields;
    }

  g_assert_not_reached ();
}

/* Returns the number of bytes, of the disk or of the file, that an entry of a
 * table of KIND describes. */
static guint64
get_step (const Qcow2Header *h, Qcow2TableKind kind)
{
  switch (kind)
    {
    case QCOW2_TABLE_L1:
      return qcow2_l2_get_n_entries (h) * h->cluster_size;
    case QCOW2_TABLE_REFCOUNTS:
      return h->cluster_size * 8 / h->refcount_bits * h->cluster_size;
    case QCOW2_TABLE_L2:
    case QCOW2_TABLE_REFCOUNT_BLOCK:
      return h->cluster_size;
    }

  g_assert_not_reached ();
}

/* Returns the place of entry INDEX of a table whose entries describe STEP
 * bytes each and begin at START, or QCOW2_ABSENT if it has none. */
static guint64
get_place (guint64 start, guint64 index, guint64 step)
{
  guint64 distance;
  guint64 place;

  if (start == QCOW2_ABSENT || !g_uint64_checked_mul (&distance, index, step)
      || !g_uint64_checked_add (&place, start, distance))
    return QCOW2_ABSENT;

  return place;
}

/* Returns a table of KIND with N_ENTRIES entries at host offset OFFSET of
 * IMAGE, to which nothing is known to point.  IMAGE must outlive it.  The
 * cluster size must be known and, for a refcount block, the refcount width. */
Qcow2ClusterTable
qcow2_cluster_table_at (const Qcow2Image *image, Qcow2TableKind kind,
                        guint64 offset, guint64 n_entries)
{
  const Qcow2ClusterTable table = { .image = image,
                                    .kind = kind,
                                    .offset = offset,
                                    .n_entries = n_entries,
                                    .index = QCOW2_NO_INDEX,
                                    .pointer = offset,
                                    .place = QCOW2_ABSENT };

  return table;
}

/* Returns the table of KIND to which the header points. */
static Qcow2ClusterTable
get_top_table (const Qcow2Image *image, Qcow2TableKind kind)
{
  const Qcow2Header *h = &image->header;
  const gboolean is_l1 = kind == QCOW2_TABLE_L1;
  Qcow2ClusterTable table = qcow2_cluster_table_at (
      image, kind, is_l1 ? h->l1_table_offset : h->refcount_table_offset,
      is_l1 ? h->l1_size
            : h->refcount_table_clusters
                  * (h->cluster_size / QCOW2_ENTRY_LENGTH));

  table.pointer
      = is_l1 ? QCOW2_AT (qcow2_header_record, Qcow2Header, l1_table_offset)
              : QCOW2_AT (qcow2_header_record, Qcow2Header,
                          refcount_table_offset);
  table.place = is_l1 || h->refcount_bits != QCOW2_ABSENT ? 0 : QCOW2_ABSENT;
  return table;
}

/* Stores in *TABLE the table of KIND to which entry INDEX of TOP points. */
static gboolean
find_listed (const Qcow2ClusterTable *top, Qcow2TableKind kind, guint64 index,
             Qcow2ClusterTable *table, GError **error)
{
  const Qcow2Header *h = &top->image->header;
  g_autoptr (ByteWindow) window = byte_window_new (top->image->source, 0);
  const char *name = qcow2_table_kind_get_name (top->kind);
  Qcow2ClusterRow row;

  if (index >= top->n_entries)
    {
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
                   QCOW2_HEX_FORMAT ": %s: there is no entry " QCOW2_U64_FORMAT
                                    ", only " QCOW2_U64_FORMAT " entries",
                   top->offset, name, index, top->n_entries);
      return FALSE;
    }
  if (top->offset == 0 || index >= qcow2_cluster_table_get_n_readable (top))
    {
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_CORRUPT,
                   QCOW2_HEX_FORMAT
                   ": %s: entry " QCOW2_U64_FORMAT
                   " is not in the file, which has " QCOW2_U64_FORMAT " bytes",
                   top->offset, name, index,
                   byte_source_get_size (top->image->source));
      return FALSE;
    }
  if (qcow2_cluster_table_read (top, window, index, &row, 1, error) == 0)
    return FALSE;

  const guint64 pointer = top->offset + index * QCOW2_ENTRY_LENGTH;
  if (row.offset == 0)
    {
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
                   QCOW2_HEX_FORMAT ": %s: entry " QCOW2_U64_FORMAT
                                    " points to no %s",
                   pointer, name, index, qcow2_table_kind_get_name (kind));
      return FALSE;
    }

  *table = qcow2_cluster_table_at (
      top->image, kind, row.offset,
      kind == QCOW2_TABLE_L2 ? qcow2_l2_get_n_entries (h)
                             : h->cluster_size * 8 / h->refcount_bits);
  table->index = index;
  table->pointer = pointer;
  table->place = get_place (0, index, get_step (h, top->kind));
  return TRUE;
}

/* Stores in *TABLE the table of KIND of IMAGE, which must outlive it: for
 * QCOW2_TABLE_L2 and QCOW2_TABLE_REFCOUNT_BLOCK, the one to which entry INDEX
 * of the L1 table or the refcount table points.  The cluster size must be
 * known and, for a refcount block, the refcount width.  The place of the table
 * is not checked.  Fails with QCOW2_ERROR_NOT_FOUND if there is no such table,
 * QCOW2_ERROR_CORRUPT if the entry is not in the file, or QCOW2_ERROR_READ. */
gboolean
qcow2_cluster_table_find (const Qcow2Image *image, Qcow2TableKind kind,
                          guint64 index, Qcow2ClusterTable *table,
                          GError **error)
{
  const Qcow2TableKind top_kind
      = kind == QCOW2_TABLE_L1 || kind == QCOW2_TABLE_L2
            ? QCOW2_TABLE_L1
            : QCOW2_TABLE_REFCOUNTS;
  const Qcow2ClusterTable top = get_top_table (image, top_kind);

  if (qcow2_table_kind_is_listed (kind))
    return find_listed (&top, kind, index, table, error);

  *table = top;
  return TRUE;
}

/* Returns the number of bits of an entry of TABLE. */
static guint
get_entry_bits (const Qcow2ClusterTable *table)
{
  const Qcow2Header *h = &table->image->header;

  switch (table->kind)
    {
    case QCOW2_TABLE_L1:
    case QCOW2_TABLE_REFCOUNTS:
      return QCOW2_ENTRY_LENGTH * 8;
    case QCOW2_TABLE_L2:
      return (guint) qcow2_l2_get_entry_size (h) * 8;
    case QCOW2_TABLE_REFCOUNT_BLOCK:
      return (guint) h->refcount_bits;
    }

  g_assert_not_reached ();
}

/* Returns the number of entries of TABLE that lie entirely in the file. */
guint64
qcow2_cluster_table_get_n_readable (const Qcow2ClusterTable *table)
{
  const guint64 end = byte_source_get_size (table->image->source);
  const guint64 left = end - MIN (table->offset, end);
  const guint bits = get_entry_bits (table);
  guint64 n = left / MAX (bits / 8, 1);

  if (bits < 8 && !g_uint64_checked_mul (&n, left, 8 / bits))
    n = G_MAXUINT64;
  return MIN (table->n_entries, n);
}

/* Fills in ROW from the L1 entry at BYTES. */
static void
decode_l1 (const guint8 *bytes, Qcow2ClusterRow *row)
{
  Qcow2L1Entry entry;

  qcow2_record_decode (&qcow2_l1_entry_record, bytes, QCOW2_ENTRY_LENGTH,
                       &entry);
  row->offset = entry.offset;
  row->reserved = entry.reserved_low | entry.reserved_high;
  row->flags = entry.copied != 0 ? QCOW2_ROW_COPIED : 0;
}

/* Returns the reserved bits of ENTRY, of an image with HEADER, that are set.
 * Bit 0 is one unless it means that the cluster reads as zeroes. */
static guint64
get_reserved (const Qcow2Header *header, const Qcow2L2Entry *entry,
              const Qcow2Mapping *mapping)
{
  const gboolean has_zero_bit
      = header->version >= 3 && !has_subclusters (header);

  if (entry->compressed != 0)
    return qcow2_mapping_get_far_bits (mapping);

  return entry->reserved_low | entry->reserved_high
         | (has_zero_bit ? 0 : entry->all_zeroes);
}

/* Fills in ROW from the L2 entry at BYTES, of an image with HEADER. */
static void
decode_l2 (const Qcow2Header *header, const guint8 *bytes,
           Qcow2ClusterRow *row)
{
  Qcow2Mapping mapping;
  Qcow2L2Entry entry;

  qcow2_l2_decode (header, bytes, &mapping);
  qcow2_record_decode (&qcow2_l2_entry_record, bytes, QCOW2_ENTRY_LENGTH,
                       &entry);
  row->type = mapping.type;
  row->offset = mapping.offset;
  row->length = mapping.length;
  row->reserved = get_reserved (header, &entry, &mapping);
  row->flags = (entry.copied != 0 ? QCOW2_ROW_COPIED : 0)
               | (entry.compressed != 0 ? QCOW2_ROW_COMPRESSED : 0);
  if (entry.compressed == 0 && entry.all_zeroes != 0
      && (row->reserved & 1) == 0)
    row->flags |= QCOW2_ROW_ZERO;

  row->subclusters_allocated = QCOW2_ABSENT;
  row->subclusters_zeroes = QCOW2_ABSENT;
  if (has_subclusters (header))
    {
      row->subclusters_allocated = qcow2_mapping_get_allocated (&mapping);
      row->subclusters_zeroes = qcow2_mapping_get_zeroes (&mapping);
    }
}

/* Fills in ROW from the refcount table entry at BYTES. */
static void
decode_refcount_entry (const guint8 *bytes, Qcow2ClusterRow *row)
{
  Qcow2RefcountEntry entry;

  qcow2_record_decode (&qcow2_refcount_entry_record, bytes, QCOW2_ENTRY_LENGTH,
                       &entry);
  row->offset = entry.offset;
  row->reserved = entry.reserved;
}

/* Decodes entry NUMBER of those of TABLE that begin at BYTES into ROW, whose
 * index is set. */
static void
decode (const Qcow2ClusterTable *table, const guint8 *bytes, gsize number,
        Qcow2ClusterRow *row)
{
  const Qcow2Header *h = &table->image->header;
  const guint bits = get_entry_bits (table);
  const guint8 *at = bytes + number * (bits / 8);

  switch (table->kind)
    {
    case QCOW2_TABLE_L1:
      decode_l1 (at, row);
      break;
    case QCOW2_TABLE_L2:
      decode_l2 (h, at, row);
      break;
    case QCOW2_TABLE_REFCOUNTS:
      decode_refcount_entry (at, row);
      break;
    case QCOW2_TABLE_REFCOUNT_BLOCK:
      row->value = qcow2_refcount_load (bytes, number, bits);
      return;
    }

  row->value = qcow2_load_be64 (at);
  row->flags |= row->reserved != 0 ? QCOW2_ROW_RESERVED : 0;
}

/* Sets the place of ROW, an entry of TABLE. */
static void
locate (const Qcow2ClusterTable *table, Qcow2ClusterRow *row)
{
  const Qcow2Header *h = &table->image->header;
  const gboolean is_guest
      = table->kind == QCOW2_TABLE_L1 || table->kind == QCOW2_TABLE_L2;
  const guint64 place
      = get_place (table->place, row->index, get_step (h, table->kind));

  row->place = is_guest && place >= h->size ? QCOW2_ABSENT : place;
  row->cluster = place != QCOW2_ABSENT ? place / h->cluster_size : place;
}

/* Returns the bytes of up to N entries of TABLE from entry START on, which is
 * in the file, reading through WINDOW.  They begin with the byte that contains
 * entry START.  Stores the number of complete entries in *N_GOT, and in
 * *SKIPPED that of the entries before START in its byte.  Fails with
 * QCOW2_ERROR_READ. */
static const guint8 *
get_bytes (const Qcow2ClusterTable *table, ByteWindow *window, guint64 start,
           gsize n, gsize *n_got, gsize *skipped, GError **error)
{
  const guint bits = get_entry_bits (table);
  const guint unit = MAX (bits / 8, 1);
  const guint per_unit = MAX (8 / bits, 1);
  gsize len;

  *skipped = (gsize) (start % per_unit);
  byte_window_set_end (window, G_MAXUINT64);
  const guint8 *bytes = byte_window_get_available (
      window, table->offset + start / per_unit * unit, unit,
      ((*skipped + n - 1) / per_unit + 1) * unit, &len,
      qcow2_table_kind_get_name (table->kind), error);
  if (bytes == NULL)
    return NULL;

  *n_got = MIN (n, len / unit * per_unit - *skipped);
  return bytes;
}

/* Advances *START to the first entry of TABLE, from *START on and before END,
 * that is not 0, or to END.  All of them are in the file.  It may stop up to
 * seven entries earlier if an entry has less than 8 bits.  A table in a sparse
 * file may have very many entries, so they are not decoded.  Fails with
 * QCOW2_ERROR_READ; *START is then the index of an unreadable entry. */
gboolean
qcow2_cluster_table_skip_zeroes (const Qcow2ClusterTable *table,
                                 ByteWindow *window, guint64 *start,
                                 guint64 end, GError **error)
{
  const guint bits = get_entry_bits (table);
  const guint unit = MAX (bits / 8, 1);
  const guint per_unit = MAX (8 / bits, 1);

  while (*start < end)
    {
      gsize n;
      gsize skipped;
      const guint8 *bytes = get_bytes (
          table, window, *start,
          (gsize) MIN (end - *start, (guint64) (BYTE_WINDOW_SIZE / unit)), &n,
          &skipped, error);

      if (bytes == NULL)
        return FALSE;

      const gsize len = ((skipped + n - 1) / per_unit + 1) * unit;
      const gsize n_zeroes = qcow2_count_zeroes (bytes, len) / unit * per_unit;
      if (n_zeroes < skipped + n)
        {
          *start += n_zeroes - MIN (n_zeroes, skipped);
          return TRUE;
        }
      *start += n;
    }

  return TRUE;
}

/* Decodes up to N_ROWS entries of TABLE into ROWS, from entry START on,
 * reading through WINDOW.  Any bytes are decoded: nothing is checked.  Returns
 * the number of entries decoded: 0 after the last readable entry, and 0 with
 * QCOW2_ERROR_READ when a read fails. */
gsize
qcow2_cluster_table_read (const Qcow2ClusterTable *table, ByteWindow *window,
                          guint64 start, Qcow2ClusterRow *rows, gsize n_rows,
                          GError **error)
{
  const guint64 n_readable = qcow2_cluster_table_get_n_readable (table);
  const gsize wanted
      = (gsize) MIN (n_readable - MIN (start, n_readable), n_rows);
  gsize n;
  gsize skipped;

  if (wanted == 0)
    return 0;

  const guint8 *bytes
      = get_bytes (table, window, start, wanted, &n, &skipped, error);
  if (bytes == NULL)
    return 0;

  for (gsize i = 0; i < n; i++)
    {
      rows[i] = (Qcow2ClusterRow){ .index = start + i };
      decode (table, bytes, skipped + i, &rows[i]);
      locate (table, &rows[i]);
    }

  return n;
}
