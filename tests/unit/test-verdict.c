/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verdict on an image: the worst effect that its findings have on QEMU.
 * Examining only the structures that QEMU reads to open the image must result
 * in the same verdict. */

#include "config.h"

#include "check/opening.h"

#include "check-util.h"

typedef struct
{
  const char *path;
  const char *base;
  const char *patch;
  Qcow2Effect effect;
  Qcow2RuleIndex rule;
} VerdictRow;

/* clang-format off */
static const VerdictRow rows[] = {
  { "sound", "two-bitmaps", NULL, QCOW2_EFFECT_ACCEPTED, QCOW2_NO_RULE },
  { "dirty", "two-bitmaps", "0x4f:01", QCOW2_EFFECT_REPAIRED,
    QCOW2_HDR_21_DIRTY },
  { "corrupt", "two-bitmaps", "0x4f:02", QCOW2_EFFECT_READ_ONLY,
    QCOW2_HDR_21_CORRUPT },
  { "worst/dirty-and-corrupt", "two-bitmaps", "0x4f:03",
    QCOW2_EFFECT_READ_ONLY, QCOW2_HDR_21_CORRUPT },
  { "worst/refused", "two-bitmaps", "0x4f:03 0x48:80", QCOW2_EFFECT_REFUSED,
    QCOW2_HDR_20 },
  { "at-load", "two-bitmaps", "0x2a0000:8000000000000000",
    QCOW2_EFFECT_REFUSED, QCOW2_BTAB_01 },
  /* QEMU does not load a bitmap that is in use. */
  { "excuse/in-use", "two-bitmaps", "0x2a0000:8000000000000000 0x2c000f:01",
    QCOW2_EFFECT_ACCEPTED, QCOW2_NO_RULE },
  /* QEMU ignores bitmaps for which the autoclear bit does not vouch. */
  { "excuse/hidden", "two-bitmaps", "0x2c0010:02 0x58:0000000000000000",
    QCOW2_EFFECT_ACCEPTED, QCOW2_NO_RULE },
  { "no-excuse/hidden", "two-bitmaps", "0x2c0010:02", QCOW2_EFFECT_REFUSED,
    QCOW2_BDIR_11 },
  /* The backing file name is in the header: QEMU reads no extension, so that
   * it does not see the bitmaps. */
  { "excuse/no-extensions", "two-bitmaps",
    "0x2c0010:02 0x8:0000000000000004 0x10:00000001", QCOW2_EFFECT_ACCEPTED,
    QCOW2_NO_RULE },
  /* QEMU looks for extensions after the end of the file: with room for magic
   * and length, and without. */
  { "misread/after-file", "two-bitmaps", "0x64:0000fff7 size=0x200",
    QCOW2_EFFECT_ACCEPTED, QCOW2_NO_RULE },
  { "misread/no-room-after-file", "two-bitmaps", "0x64:0000fff9 size=0x200",
    QCOW2_EFFECT_REFUSED, QCOW2_HDR_07_REFUSED },
  /* The name of the last bitmap is made to end after the directory.  The file
   * ends in what was the entry's padding. */
  { "directory/name-and-file", "two-bitmaps", "0x2c0032:0009 size=0x2c003c",
    QCOW2_EFFECT_REFUSED, QCOW2_BEXT_06_REFUSED },
  /* The bitmap with the truncated head is not in use, and QEMU cannot rewrite
   * it without a name. */
  { "directory/head", "four-entries", "size=0x12814", QCOW2_EFFECT_READ_ONLY,
    QCOW2_BDIR_01_SHORTER },
  { "directory/head-half-name-size", "four-entries",
    "0x80:0000000000000118 0x12812:01 size=0x12813",
    QCOW2_EFFECT_READ_ONLY, QCOW2_BDIR_01_SHORTER },
  { "directory/head-no-name-size", "four-entries", "size=0x12812",
    QCOW2_EFFECT_REFUSED, QCOW2_BEXT_06_REFUSED },
  /* QEMU reads the table of an entry even without a name. */
  { "directory/table-of-head", "four-entries",
    "size=0x12817 0x12600:8000000000000000",
    QCOW2_EFFECT_REFUSED, QCOW2_BTAB_01 },
  { "directory/table", "two-bitmaps",
    "size=0x2c0038 0x2b0000:8000000000000000",
    QCOW2_EFFECT_REFUSED, QCOW2_BTAB_01 },
  { "directory/padding", "two-bitmaps", "size=0x2c003c", QCOW2_EFFECT_ACCEPTED,
    QCOW2_NO_RULE },
};
/* clang-format on */

static void
test_verdict (gconstpointer data)
{
  const VerdictRow *row = data;
  g_auto (Checked) c = { 0 };

  checked_open (&c, row->base, row->patch);
  checked_run (&c);
  g_assert_cmpint (c.verdict.effect, ==, row->effect);
  g_assert_cmpint (c.verdict.rule, ==, row->rule);
}

static void
test_opening (void)
{
  g_autofree ImageName *names = image_list_names ();
  const guint step = RUNNING_SLOWLY ? 5 : RUNNING_SANITIZED ? 3 : 1;
  guint n = 0;

  for (guint i = 0; names[i].name != NULL; i++)
    {
      if (i % step != 0)
        continue;

      FakeSource *source = open_source (names[i].name, NULL);
      g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
      g_autoptr (Qcow2Image) image
          = qcow2_image_open_checked (&source->base, findings, NULL);
      g_autoptr (GError) error = NULL;
      Qcow2Verdict verdict;

      if (image == NULL)
        continue;

      g_auto (Checked) c = { 0 };
      g_autoptr (Qcow2Directory) directory
          = qcow2_directory_open_checked (image, findings, &error);
      g_assert_no_error (error);
      g_assert_true (qcow2_directory_check_opening (directory, findings,
                                                    &verdict, &error));
      checked_open (&c, names[i].name, NULL);
      checked_run (&c);
      if (verdict.effect != c.verdict.effect)
        g_error ("%s: opening %d, check %d", names[i].name, verdict.effect,
                 c.verdict.effect);
      n++;
    }

  g_assert_cmpuint (n, >, 100 / step);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *path = g_strdup_printf ("/verdict/%s", rows[i].path);

      g_test_add_data_func (path, &rows[i], test_verdict);
    }
  g_test_add_func ("/verdict/opening", test_opening);
  return g_test_run ();
}
