/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows of the list of snapshots.  The expected lines are those that qemu-img
 * snapshot -l of QEMU 7.2 prints, with TZ=UTC0, for these entries. */

#include "config.h"

#include "render/info-snapshot.h"

#include <string.h>

#include "render/format.h"

#define NONE G_MAXUINT64

typedef struct
{
  const char *path;
  const char *id;
  const char *name;
  guint32 date_sec;
  guint64 vm_clock_nsec;
  guint64 vm_state_size;
  guint64 icount;
  const char *line;
} Row;

/* clang-format off */
static const Row rows[] = {
  { "zeroes", "0", "n0", 0, 0, 0, 0,
    "0         n0                    0 B 1970-01-01 00:00:00 00:00:00.000"
    "          0\n" },
  { "empty", "", "", 0, 0, 0, NONE,
    "                                0 B 1970-01-01 00:00:00 00:00:00.000"
    "           \n" },
  { "hours", "17", "n17", 17000, G_GUINT64_CONSTANT (34011846017024),
    G_GUINT64_CONSTANT (1) << 32, G_GUINT64_CONSTANT (1) << 32,
    "17        n17                 4 GiB 1970-01-01 04:43:20 09:26:51.846"
    " 4294967296\n" },
  { "wide", "iiiiiiiiii", "nnnnnnnnnnnnnnnnn", G_MAXUINT32, G_MAXUINT64, 0,
    G_GUINT64_CONSTANT (1) << 63,
    "iiiiiiiiii nnnnnnnnnnnnnnnnn      0 B 2106-02-07 06:28:15"
    "5124095:34:33.709-9223372036854775808\n" },
  { "largest", "24", "n24", 24000, 999999999, G_MAXUINT64 - 1, NONE - 1,
    "24        n24                16 EiB 1970-01-01 06:40:00 00:00:00.999"
    "         -2\n" },
  /* The columns are counted in bytes. */
  { "utf-8", "\xc3\xbc", "\xc3\xbcn\xc3\xaf", 0, 3599999999999, 6, NONE,
    "\xc3\xbc        \xc3\xbcn\xc3\xaf                 6 B"
    " 1970-01-01 00:00:00 00:59:59.999           \n" },
  /* This one is ours. */
  { "escaped", "\x1b", "a\nb", 0, 0, 0, NONE,
    "\\x1b      a\\nb                  0 B 1970-01-01 00:00:00"
    " 00:00:00.000           \n" },
};
/* clang-format on */

static void
assert_line (const Row *row)
{
  const gboolean has_icount = row->icount != NONE;
  g_auto (Qcow2Snapshot) snapshot
      = { .entry
          = { .date_sec = row->date_sec, .vm_clock_nsec = row->vm_clock_nsec },
          .extra = { .vm_state_size_large = row->vm_state_size,
                     .icount = row->icount },
          .n_extra = has_icount ? 3 : 2,
          .id = g_bytes_new (row->id, strlen (row->id)),
          .name = g_bytes_new (row->name, strlen (row->name)) };
  g_autoptr (GString) out = g_string_new ("> ");

  info_snapshot_row (out, &snapshot);
  g_assert_cmpstr (out->str + 2, ==, row->line);
}

static void
test_row (gconstpointer data)
{
  assert_line (data);
}

static void
test_headings (void)
{
  g_autoptr (GString) out = g_string_new ("> ");

  info_snapshot_heading (out);
  g_assert_cmpstr (out->str, ==,
                   "> Snapshot list:\n"
                   "ID        TAG               VM SIZE                DATE"
                   "     VM CLOCK     ICOUNT\n");
}

/* 127 bytes of the id and 255 of the name are printed. */
static void
test_long (void)
{
  g_autofree char *id = g_strnfill (200, 'i');
  g_autofree char *name = g_strnfill (65535, 'n');
  g_autofree char *line = g_strdup_printf (
      "%.127s %.255s      0 B 1970-01-01 00:00:00 00:00:00.000           \n",
      id, name);
  const Row row = { .id = id, .name = name, .icount = NONE, .line = line };

  assert_line (&row);
}

/* Without extra data, the fixed part has the size of the VM state. */
static void
test_no_extra (void)
{
  g_auto (Qcow2Snapshot) snapshot
      = { .entry.vm_state_size = 5,
          .extra = { .vm_state_size_large = 7, .icount = 8 },
          .id = g_bytes_new ("1", 1),
          .name = g_bytes_new ("n", 1) };
  g_autoptr (GString) out = g_string_new (NULL);

  info_snapshot_row (out, &snapshot);
  g_assert_cmpstr (out->str, ==,
                   "1         n                     5 B 1970-01-01 00:00:00 "
                   "00:00:00.000           \n");
}

/* An entry whose extra data and strings cannot be read; this line is ours. */
static void
test_unreadable (void)
{
  const Qcow2Snapshot snapshot
      = { .entry = { .vm_state_size = 5, .extra_data_size = 16 } };
  g_autoptr (GString) out = g_string_new (NULL);

  info_snapshot_row (out, &snapshot);
  g_assert_cmpstr (out->str, ==,
                   "<unreadable> <unreadable>            - 1970-01-01 "
                   "00:00:00 00:00:00.000           \n");
}

typedef struct
{
  guint64 bytes;
  const char *text;
} Size;

static void
test_sizes (void)
{
  static const Size sizes[] = {
    { 0, "0 B" },
    { 999, "999 B" },
    { 1000, "0.977 KiB" },
    { 1023, "0.999 KiB" },
    { 1025, "1 KiB" },
    { 9994, "9.76 KiB" },
    { 10229, "9.99 KiB" },
    { 102348, "99.9 KiB" },
    { 999 * 1024, "999 KiB" },
    { 1000 * 1024 - 1, "1e+03 KiB" },
    { 1000 * 1024, "0.977 MiB" },
    { 1023 * 1024, "0.999 MiB" },
    { G_GUINT64_CONSTANT (0xffffffffff), "1 TiB" },
    { (G_GUINT64_CONSTANT (1) << 60) - 1, "1 EiB" },
    { G_GUINT64_CONSTANT (1) << 63, "8 EiB" },
    { G_MAXUINT64, "16 EiB" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_autoptr (GString) out = g_string_new ("> ");

      format_rounded_size (out, sizes[i].bytes);
      g_assert_cmpstr (out->str + 2, ==, sizes[i].text);
    }
}

int
main (int argc, char **argv)
{
  g_setenv ("TZ", "UTC0", TRUE);
  g_test_init (&argc, &argv, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *path
          = g_strconcat ("/info-snapshot/row/", rows[i].path, NULL);

      g_test_add_data_func (path, &rows[i], test_row);
    }
  g_test_add_func ("/info-snapshot/headings", test_headings);
  g_test_add_func ("/info-snapshot/long", test_long);
  g_test_add_func ("/info-snapshot/no-extra", test_no_extra);
  g_test_add_func ("/info-snapshot/unreadable", test_unreadable);
  g_test_add_func ("/info-snapshot/sizes", test_sizes);
  return g_test_run ();
}
