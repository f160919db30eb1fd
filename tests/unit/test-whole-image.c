/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The check of the disk: the numbers of qemu-img check 7.2 about the same
 * images, and the limits of the census. */

#include "config.h"

#include "check/whole-image.h"

#include "check-util.h"

/* In cluster-512, the refcounts of the clusters begin at 0x400, with two bytes
 * each, and the L1 table of 32 entries at 0x600.  The L2 table of all of them
 * is made to be at 0x1000, which is cluster 8. */
#define L1_ENTRY "0000000000001000"
#define L2_REFCOUNT "0x410:"
#define WITH_L2_TABLE " size=0x2000"

typedef struct
{
  const char *path;
  const char *image;
  const char *patch;
  guint n_entries; /* of the L1 table that point to the L2 table */
  Qcow2CheckNumbers numbers;
} NumbersRow;

/* clang-format off */
static const NumbersRow rows[] = {
  { "sound", "two-bitmaps", "", 0, { 2949120, 1024, 36, 0, 0, 0, 0, 0, FALSE } },
  { "compressed", "l2-entry-compressed", "", 0,
    { 2949120, 1024, 36, 1, 1, 0, 0, 0, FALSE } },
  { "overlap", "l2-entry-on-l1", "", 0,
    { 2949120, 1024, 36, 1, 0, 1, 1, 0, FALSE } },
  { "leak", "refcount-guest-2", "", 0,
    { 2949120, 1024, 36, 0, 0, 0, 1, 0, FALSE } },
  { "unreadable-block", "refcount-block-unaligned", "", 0,
    { 65536, 1024, 36, 0, 0, 1, 0, 45, FALSE } },

  /* Counts of 31 and more do not fit into the byte of a cluster. */
  { "references/30", "cluster-512", L2_REFCOUNT "001e" WITH_L2_TABLE, 30,
    { 4608, 2048, 0, 0, 0, 0, 0, 0, FALSE } },
  { "references/31", "cluster-512", L2_REFCOUNT "001f" WITH_L2_TABLE, 31,
    { 4608, 2048, 0, 0, 0, 0, 0, 0, FALSE } },
  { "references/32", "cluster-512", L2_REFCOUNT "0020" WITH_L2_TABLE, 32,
    { 4608, 2048, 0, 0, 0, 0, 0, 0, FALSE } },
  { "references/32-of-0", "cluster-512", L2_REFCOUNT "0000" WITH_L2_TABLE, 32,
    { 4608, 2048, 0, 0, 0, 1, 0, 0, FALSE } },
  { "references/32-of-31", "cluster-512", L2_REFCOUNT "001f" WITH_L2_TABLE, 32,
    { 4608, 2048, 0, 0, 0, 1, 0, 0, FALSE } },
  { "references/32-of-33", "cluster-512", L2_REFCOUNT "0021" WITH_L2_TABLE, 32,
    { 4608, 2048, 0, 0, 0, 0, 1, 0, FALSE } },

  /* Zeroes after the last cluster in use change nothing.  16 rounds of 2^25
   * clusters cover 2^29: those of the file, and the one after it. */
  { "clusters/several-rounds", "cluster-512", "size=0xc00000000", 0,
    { 3584, 2048, 0, 0, 0, 0, 0, 0, FALSE } },
  { "clusters/all-rounds", "cluster-512", "size=0x3ffffffe00", 0,
    { 3584, 2048, 0, 0, 0, 0, 0, 0, FALSE } },
};
/* clang-format on */

/* Returns a check of IMAGE with PATCH, and with N_ENTRIES references to an L2
 * table. */
static void
check_patched (Checked *c, const char *image, const char *patch,
               guint n_entries)
{
  g_autoptr (GString) patches = g_string_new (patch);

  for (guint i = 0; i < n_entries; i++)
    g_string_append_printf (patches, " 0x%x:" L1_ENTRY, 0x600 + 8 * i);
  checked_open_source (
      c, open_source (image, patches->len > 0 ? patches->str : NULL));
  c->with_disk = TRUE;
  checked_run (c);
}

static void
test_numbers (gconstpointer data)
{
  const NumbersRow *row = data;
  g_auto (Checked) c = { 0 };

  check_patched (&c, row->image, row->patch, row->n_entries);
  for (const Qcow2Field *it = qcow2_check_number_fields; it->name != NULL;
       it++)
    {
      g_test_message ("%s", it->name);
      g_assert_cmpuint (qcow2_field_get_number (it, &c.numbers), ==,
                        qcow2_field_get_number (it, &row->numbers));
    }
  g_assert_false (c.numbers.is_incomplete);
}

/* RES-08: one cluster more than 16 rounds cover. */
static void
test_too_many_clusters (void)
{
  g_auto (Checked) c = { 0 };

  check_patched (&c, "cluster-512", "size=0x4000000000", 0);
  g_assert_true (c.numbers.is_incomplete);
  g_assert_cmpuint (c.numbers.leaks, ==, QCOW2_ABSENT);
  g_assert_cmpuint (qcow2_findings_get_use (c.findings, QCOW2_RES_08)->n, ==,
                    1);
}

/* A table that cannot be read is reported, and leaves no numbers. */
static void
test_unreadable (void)
{
  FakeSource *source = open_source ("two-bitmaps", NULL);
  g_auto (Checked) c = { 0 };

  source->bad_start = 0x40000;
  source->bad_end = 0x50000;
  checked_open_source (&c, source);
  c.with_disk = TRUE;
  checked_run (&c);
  g_assert_cmpuint (c.failed->len, ==, 1);
  g_assert_nonnull (strstr (g_ptr_array_index (c.failed, 0), "0x40000"));
  g_assert_cmpuint (c.numbers.corruptions, ==, QCOW2_ABSENT);
  g_assert_false (c.numbers.is_incomplete);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *path
          = g_strdup_printf ("/whole-image/%s", rows[i].path);

      if (!RUNNING_SLOWLY || !g_str_has_prefix (rows[i].path, "clusters/"))
        g_test_add_data_func (path, &rows[i], test_numbers);
    }
  if (!RUNNING_SLOWLY)
    g_test_add_func ("/whole-image/too-many-clusters", test_too_many_clusters);
  g_test_add_func ("/whole-image/unreadable", test_unreadable);
  return g_test_run ();
}
