/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whole images: findings when an image is opened, and the corpus, which is
 * read from start to end as the commands do. */

#include "config.h"

#include "qcow2/image.h"

#include "test-util.h"

/* A row of the corpus: all errors that its header, extensions, directory and
 * tables must have, and the warnings and notes that matter. */
typedef struct
{
  const char *name;
  const char *findings;
} CorpusRow;

/* clang-format off */
static const CorpusRow corpus[] = {
  { "magic-last-byte", "E HDR-01@0x0" },
  { "version-0", "E HDR-02@0x4" },
  { "version-4", "E HDR-02@0x4" },
  { "cluster-bits-0", "E HDR-04@0x14" },
  { "cluster-bits-22-of-16",
    "W HDR-04@0x14; E HDR-17@0x28; E HDR-18@0x30; E BEXT-05@0x210; "
    "E BDIR-05@0x2c0000; E BDIR-05@0x2c0020; E BTAB-03@0x2a0000" },
  { "cluster-bits-32", "E HDR-04@0x14" },
  { "cluster-bits-64", "E HDR-04@0x14" },
  { "cluster-bits-all-ones", "E HDR-04@0x14" },
  { "header-length-0", "E HDR-06@0x64" },
  { "header-length-103", "E HDR-06@0x64" },
  { "header-length-108", "E HDR-07@0x64" },
  { "header-length-one-cluster", "E HDR-25@0x58" },
  { "header-length-all-ones", "E HDR-08@0x64" },
  { "header-padding-first-byte", "W HDR-11@0x69" },
  { "compression-type-255", "E HDR-23@0x68" },
  { "incompatible-bit-63", "E HDR-20@0x48" },
  { "incompatible-dirty-corrupt", "W HDR-21@0x48" },
  { "autoclear-all-ones", "W HDR-27@0x58; E HDR-26@0x58" },
  { "autoclear-without-extension", "E HDR-25@0x58" },
  { "refcount-order-7", "E HDR-28@0x60" },
  { "crypt-method-1", "I HDR-16@0x20" },
  { "crypt-method-3", "E HDR-16@0x20" },
  { "size-2-63-with-bitmaps",
    "E HDR-15@0x18; E BDIR-18@0x2c0008; E BDIR-18@0x2c0028" },
  { "size-0-with-bitmaps", "E BDIR-18@0x2c0008; E BDIR-18@0x2c0028" },
  { "l1-size-all-ones", "W HDR-17@0x28" },
  { "refcount-table-offset-0", "E HDR-18@0x30" },
  { "snapshots-all-ones", "W HDR-19@0x3c" },
  { "version-2-unknown-extension", "" },
  { "version-2-directory-on-refcount-table",
    "W HDR-25@0x4; E BDIR-21@0x10000" },
  { "backing-offset-past-first-cluster", "E HDR-12@0x8" },
  { "backing-offset-in-header", "E HDR-12@0x8" },
  { "backing-offset-in-feature-table", "W HDR-30@0x200; E EXT-03@0x84" },
  { "backing-size-all-ones", "E HDR-13@0x10" },
  { "backing-size-0", "W HDR-13@0x10" },
  { "backing-name-json", "" },
  { "feature-table-length-wraps", "E EXT-03@0x74; E HDR-25@0x58" },
  { "feature-table-length-2-31-minus-1", "E EXT-03@0x74; E HDR-25@0x58" },
  { "extension-one-byte-past-cluster", "E EXT-03@0x74; E HDR-25@0x58" },
  { "last-extension-data-past-cluster", "E EXT-03@0xfffc; E HDR-25@0x58" },
  { "feature-table-length-383", "W EXT-11@0x74" },
  { "feature-type-9", "W EXT-11@0x78" },
  { "bitmaps-extension-length-23", "E EXT-12@0x1fc" },
  { "bitmaps-extension-length-0", "E EXT-12@0x1fc; W EXT-06@0x20c" },
  { "reserved32-1", "E BEXT-03@0x204" },
  { "nb-bitmaps-1-of-2", "E BDIR-03@0x200" },
  { "nb-bitmaps-65535", "E BEXT-04@0x208; E BDIR-03@0x200" },
  { "nb-bitmaps-all-ones",
    "E BEXT-02@0x200; E BEXT-04@0x208; E BDIR-03@0x200" },
  { "directory-size-all-ones",
    "E BEXT-04@0x208; E BEXT-06@0x210; E BDIR-04@0x2c0040" },
  { "directory-size-over-max",
    "E BEXT-04@0x208; E BEXT-06@0x210; E BDIR-04@0x2c0040" },
  { "directory-size-65",
    "E BEXT-04@0x208; E BEXT-06@0x210; E BDIR-04@0x2c0040" },
  { "directory-size-8", "E BEXT-04@0x208; E BDIR-01@0x2c0000" },
  { "directory-offset-unaligned",
    "E BEXT-05@0x210; E BEXT-06@0x210; E BDIR-21@0x2c0008" },
  { "directory-offset-wraps", "E BEXT-06@0x210" },
  { "directory-offset-past-eof", "E BEXT-06@0x210" },
  { "bitmaps-twice-different", "E EXT-08@0x218" },
  { "extension-terminator-length-all-ones", "E EXT-06@0x21c" },
  { "backing-format-without-file", "W EXT-10@0x218; W EXT-10@0x21c" },
  { "crypto-extension-length-8", "E EXT-13@0x74; E EXT-06@0x84" },
  { "crypto-offset-wraps", "E EXT-13@0x80" },
  { "data-file-name-nul-without-bit", "W EXT-14@0x218; W HDR-30@0x220" },
  { "data-file-name-absolute", "" },
  { "extension-8125-times", "W EXT-08@0x220" },
  { "extension-padding-not-zero", "" },
  { "extension-padding-fills-cluster", "I EXT-07@0x200" },
  { "table-offset-0", "E BDIR-05@0x2c0000" },
  { "table-offset-wraps", "E BDIR-07@0x2c0000" },
  { "table-offset-past-eof", "E BDIR-07@0x2c0000" },
  { "table-on-directory", "E BTAB-05@0x2c0000" },
  { "table-size-0", "E BDIR-06@0x2c0008; E BDIR-18@0x2c0008" },
  { "table-size-3-of-4", "E BDIR-18@0x12808" },
  { "table-size-all-ones",
    "E BDIR-06@0x2c0008; E BDIR-07@0x2c0000; E BDIR-18@0x2c0008" },
  { "table-size-over-2-27",
    "E BDIR-06@0x2c0008; E BDIR-07@0x2c0000; E BDIR-18@0x2c0008" },
  { "table-size-512-mib", "E BDIR-18@0x2c0008" },
  { "flags-extra-data-without-data", "W BDIR-08@0x2c000c" },
  { "flags-all-ones",
    "E BDIR-08@0x2c000c; W BDIR-08@0x2c000c; W BDIR-09@0x2c000c" },
  { "type-2", "E BDIR-11@0x2c0010" },
  { "granularity-0-patched", "W BDIR-12@0x2c0011; E BDIR-18@0x2c0008" },
  { "granularity-32", "W BDIR-12@0x2c0011" },
  { "granularity-64", "E BDIR-12@0x2c0011" },
  { "granularity-31-patched", "" },
  { "name-size-1023-misframed", "E BDIR-02@0x2c0012" },
  { "name-size-65535-misframed", "E BDIR-02@0x2c0012" },
  { "name-size-9-misframed",
    "W BDIR-16@0x2c0021; W BDIR-17@0x2c0018; E BDIR-02@0x2c003a" },
  { "extra-data-all-ones", "E BDIR-02@0x2c0012" },
  { "extra-data-wraps-to-0", "E BDIR-02@0x2c0012" },
  { "name-padding-not-zero", "W BDIR-16@0x2c001b" },
  { "two-bitmaps-one-name-both-in-use",
    "W BDIR-09@0x2c000c; E BDIR-15@0x2c0038; W BDIR-09@0x2c002c" },
  { "extra-data-incompatible", "E BDIR-14@0x2c0014" },
  { "name-size-0", "E BDIR-13@0x2c0012" },
  { "name-1024-bytes", "W BDIR-13@0x2c0012" },
  { "name-newline", "I BDIR-17@0x2c0018" },
  { "name-terminal-title", "I BDIR-17@0x2c0018" },
  { "name-nul", "W BDIR-17@0x2c0018" },
  { "name-utf8", "" },
  { "name-printf-directives", "" },
  { "name-backslash-u", "" },
  { "name-right-to-left", "I BDIR-17@0x2c0018" },
  { "name-equal-to-nul", "W BDIR-17@0x2c0018; W BDIR-15@0x2c0038" },
  { "entry-ones-and-offset", "E BTAB-02@0x2a0000" },
  { "entry-reserved-bit-1", "E BTAB-01@0x2a0000" },
  { "entry-low-reserved-bits", "E BTAB-01@0x2a0000" },
  { "entry-reserved-bit-63", "E BTAB-01@0x2a0000" },
  { "entry-offset-unaligned", "E BTAB-03@0x2a0000" },
  { "entry-offset-past-eof", "E BTAB-05@0x2a0000" },
  { "entry-on-own-table", "" },
  { "entries-share-data", "" },
  { "last-entry-all-ones", "" },
  { "entry-on-refcount-table", "" },
  { "data-byte-after-last-bit", "" },
  { "data-bit-past-disk", "" },
  { "data-single-bit", "" },
  { "file-0-bytes", "E FILE-02@0x0" },
  { "file-3-bytes", "E HDR-01@0x0" },
  { "file-7-bytes", "E HDR-03@0x4" },
  { "file-71-bytes", "E HDR-03@0x47" },
  { "file-103-bytes", "E HDR-03@0x67" },
  { "file-111-bytes", "E HDR-17@0x28; E HDR-18@0x30; E HDR-03@0x64" },
  { "file-113-bytes",
    "E HDR-17@0x28; E HDR-18@0x30; E EXT-15@0x70; E HDR-25@0x58" },
  { "file-120-bytes",
    "E HDR-17@0x28; E HDR-18@0x30; E EXT-15@0x78; E HDR-25@0x58" },
  { "file-504-bytes",
    "E HDR-17@0x28; E HDR-18@0x30; W EXT-07@0x1f8; E HDR-25@0x58" },
  { "file-535-bytes",
    "E HDR-17@0x28; E HDR-18@0x30; E EXT-15@0x200; E HDR-25@0x58" },
  { "file-ends-before-data", "E BEXT-06@0x210" },
  { "data-lacks-last-byte", "E BEXT-06@0x210" },
  { "entry-lacks-last-byte", "E BEXT-06@0x210" },
  { "file-ends-before-directory", "E BEXT-06@0x210" },
  { "file-ends-after-entry-head", "E BEXT-06@0x210; E BDIR-02@0x2c0012" },
  { "file-ends-after-first-name",
    "E BEXT-06@0x210; W BDIR-02@0x2c001b; E BDIR-03@0x200" },
  { "file-ends-in-last-padding", "W BEXT-06@0x210; W BDIR-02@0x2c003b" },
  { "version-2-71-bytes", "E HDR-03@0x47" },
  { "file-ends-in-backing-name",
    "E HDR-17@0x28; E HDR-18@0x30; E HDR-03@0x210" },
  { "file-15-tib", "" },
  { "many-share-table", "" },
  { "sparse-table-32-gib", "E BDIR-06@0x2c0008; E BDIR-18@0x2c0008" },
  { "sparse-extension-4-gib", "E EXT-03@0x21c" },
};
/* clang-format on */

/* Returns whether FINDING is about a rule of the readers.  Overlaps,
 * refcounts, bitmap data and skipped parts are covered by other tests. */
static gboolean
is_readers_rule (const char *finding)
{
  static const char *const families[]
      = { "FILE-", "HDR-", "EXT-", "BEXT-", "BDIR-", "BTAB-", NULL };

  for (guint i = 0; families[i] != NULL; i++)
    {
      if (g_str_has_prefix (finding + 2, families[i]))
        return TRUE;
    }

  return FALSE;
}

/* Adds ERROR, "0xOFFSET: text [RULE]", to TEXTS as a finding. */
static void
collect_error (GPtrArray *texts, const GError *error)
{
  const char *rule = strrchr (error->message, '[');
  const guint64 offset = g_ascii_strtoull (error->message, NULL, 16);

  g_assert_nonnull (rule);
  g_assert_true (g_str_has_prefix (error->message, "0x"));
  g_autofree char *name = g_strndup (rule + 1, strcspn (rule + 1, "]"));
  g_ptr_array_add (texts, finding_text ('E', name, offset));
}

static gboolean
examine_bitmaps (const Qcow2Image *image, Qcow2Findings *findings,
                 GError **error)
{
  g_autoptr (Qcow2Directory) directory
      = qcow2_directory_open_checked (image, findings, error);
  g_autoptr (Qcow2BitmapChecker) checker = NULL;
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  Qcow2Next next;

  if (directory == NULL)
    return FALSE;

  checker = qcow2_bitmap_checker_new (directory, findings);
  while ((next = qcow2_directory_next (directory, &bitmap, error))
         == QCOW2_NEXT_ITEM)
    {
      if (!qcow2_bitmap_checker_check (checker, &bitmap, error))
        return FALSE;

      g_assert_cmpint (bitmap.result.state, !=, QCOW2_BITMAP_STATE_UNKNOWN);
    }

  return next == QCOW2_NEXT_END;
}

/* Opens SOURCE, reads everything that the commands show, and adds findings to
 * FINDINGS.  Returns the image, or NULL with ERROR set when it cannot be
 * opened.  ERROR is also set by a later read error. */
static Qcow2Image *
read_all (FakeSource *source, Qcow2Findings *findings, GError **error)
{
  Qcow2Image *image
      = qcow2_image_open_checked (&source->base, findings, error);

  if (image != NULL)
    examine_bitmaps (image, findings, error);
  return image;
}

static gboolean
contains (GPtrArray *texts, const char *text)
{
  return g_ptr_array_find_with_equal_func (texts, text, g_str_equal, NULL);
}

/* Asserts that the errors in FOUND are those in WANTED, and that FOUND has the
 * warnings and notes in WANTED, too. */
static void
assert_corpus_findings (GPtrArray *found, GPtrArray *wanted)
{
  for (guint i = 0; i < wanted->len; i++)
    {
      const char *text = g_ptr_array_index (wanted, i);

      if (!contains (found, text))
        g_error ("there is no %s", text);
    }
  for (guint i = 0; i < found->len; i++)
    {
      const char *text = g_ptr_array_index (found, i);

      if (*text == 'E' && is_readers_rule (text) && !contains (wanted, text))
        g_error ("%s was not expected", text);
    }
}

static void
test_corpus (gconstpointer data)
{
  const CorpusRow *row = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  g_autoptr (Qcow2Image) image
      = read_all (open_source (row->name, NULL), findings, &error);
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) wanted = g_ptr_array_new ();
  g_auto (GStrv) words = g_strsplit (row->findings, "; ", -1);

  if (image != NULL)
    collect_findings (found, findings);
  if (error != NULL)
    collect_error (found, error);
  for (guint i = 0; words[i] != NULL; i++)
    g_ptr_array_add (wanted, words[i]);
  assert_corpus_findings (found, wanted);
}

/* Checks the findings in any image: each lies inside the file, has a message
 * of one printable line, and occurs once. */
static void
check_findings (const char *name, const Qcow2Image *image,
                const Qcow2Findings *findings)
{
  const guint64 size = byte_source_get_size (image->source);
  g_autoptr (GHashTable) seen
      = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    {
      const Qcow2Finding *p = qcow2_findings_get (findings, i);
      char *key = g_strdup_printf (
          "%s %u %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %s", p->rule,
          p->subject.parts, p->offset, p->subject.bitmap, p->message);

      if (p->offset > size)
        g_error ("%s: %s is after the end of the file", name, key);
      for (const char *c = p->message; *c != '\0'; c++)
        {
          if (!g_ascii_isprint (*c))
            g_error ("%s: the message of %s is not ASCII", name, key);
        }
      if (!g_hash_table_add (seen, key))
        g_error ("%s: %s %s is told twice", name, p->rule, p->message);
    }
}

static void
test_every_image (void)
{
  g_autofree ImageName *names = image_list_names ();
  const guint step = RUNNING_SLOWLY ? 5 : 1;
  const guint first = (guint) g_test_rand_int_range (0, (gint32) step);

  for (guint i = 0; names[i].name != NULL; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();

      if (i % step != first)
        continue;

      g_autoptr (Qcow2Image) image
          = read_all (open_source (names[i].name, NULL), findings, &error);

      if (image == NULL)
        g_assert_nonnull (error);
      else
        check_findings (names[i].name, image, findings);
      g_assert_false (g_error_matches (error, QCOW2_ERROR, QCOW2_ERROR_READ));
    }
}

/* Small images in which every byte matters. */
static const char *const small_images[] = { "four-entries",
                                            "data-file",
                                            "luks",
                                            "version-2",
                                            "backing-file-with-format",
                                            "version-2-backing-file",
                                            "unknown-extensions" };

/* Truncates an image at each byte of the used part of the header's cluster,
 * and a small one also at each byte of its last part. */
static void
test_cut_anywhere (gconstpointer data)
{
  const char *name = data;
  g_autoptr (Image) built = image_build (name);
  const guint64 size = built->size;
  const gboolean small = g_str_equal (name, "four-entries");

  for (guint64 len = 0; len < 0x300; len++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
      g_autoptr (Qcow2Image) image
          = read_all (fake_source_new (built->bytes, len), findings, &error);

      if (image != NULL)
        check_findings (name, image, findings);
      else
        g_assert_nonnull (error);
    }
  for (guint64 len = small ? 0x12600 : size; len < size; len++)
    {
      g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
      g_autoptr (Qcow2Image) image
          = read_all (fake_source_new (built->bytes, len), findings, NULL);

      g_assert (image != NULL);
      check_findings (name, image, findings);
      g_assert_cmpuint (qcow2_findings_get_n (findings), >, 0);
    }
}

/* The file shrinks to various sizes after it was opened.  The error says so,
 * and bytes that are no longer in the file are not used. */
static void
test_shrinks_anywhere (void)
{
  g_autoptr (Image) built = image_build ("four-entries");
  guint n_errors = 0;

  for (guint64 end = 0; end < built->size; end += end < 0x200 ? 1 : 0x1f3)
    {
      g_autoptr (GError) error = NULL;
      FakeSource *source = fake_source_new (built->bytes, built->size);

      source->end = end;
      g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
      g_autoptr (Qcow2Image) image = read_all (source, findings, &error);
      g_assert_true (image != NULL || error != NULL);
      if (error == NULL)
        continue;

      g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_READ);
      g_assert_true (g_str_has_suffix (error->message, " [FILE-05]"));
      n_errors++;
    }
  g_assert_cmpuint (n_errors, >, 0x90);
}

/* A bad sector anywhere either is not needed, or is reported at its offset. */
static void
test_bad_anywhere (void)
{
  g_autoptr (Image) built = image_build ("four-entries");
  guint n_errors = 0;

  for (guint64 at = 0; at < built->size; at += 512)
    {
      g_autoptr (GError) error = NULL;
      FakeSource *source = fake_source_new (built->bytes, built->size);

      source->bad_start = at;
      source->bad_end = at + 512;
      g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
      g_autoptr (Qcow2Image) image = read_all (source, findings, &error);
      g_assert_true (image != NULL || error != NULL);
      if (error == NULL)
        continue;

      g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_READ);
      g_assert_true (g_str_has_suffix (error->message, " [FILE-04]"));
      g_assert_cmpuint (g_ascii_strtoull (error->message, NULL, 16) / 512, ==,
                        at / 512);
      n_errors++;
    }
  g_assert_cmpuint (n_errors, ==, 3); /* header, table, directory */
}

/* A read error in an extension is reported even after extensions that can be
 * read. */
static void
test_bad_extension (void)
{
  FakeSource *source = open_source ("two-bitmaps", NULL);
  g_autoptr (GError) error = NULL;

  source->bad_start = 0x1f8;
  source->bad_end = 0x1f9;
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  g_assert_null (qcow2_image_open_checked (&source->base, findings, &error));
  assert_fatal (error, QCOW2_ERROR_READ, "0x1f8", "FILE-04");
}

/* Short and interrupted reads change nothing. */
static void
test_slow_source (void)
{
  FakeSource *source = open_source ("flags-all-ones", NULL);
  g_autoptr (GError) error = NULL;

  source->max_read = 3;
  source->n_interrupts = 20;
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  qcow2_image_free (read_all (source, findings, &error));
  g_assert_no_error (error);
  assert_findings (findings, "E BDIR-08@0x2c000c; W BDIR-08@0x2c000c; "
                             "W BDIR-09@0x2c000c");
}

static void
test_directory (void)
{
  g_autoptr (Qcow2Image) image = open_image ("two-bitmaps", NULL);

  g_assert_true (image->has_extensions);
  g_assert_cmpuint (image->bitmaps.nb_bitmaps, ==, 2);
  g_assert_cmphex (image->bitmaps.bitmap_directory_offset, ==, 0x2c0000);
  g_assert_cmphex (image->bitmaps.bitmap_directory_size, ==, 0x40);
  g_assert_cmphex (image->bitmaps_offset, ==, 0x200);
}

static void
test_no_directory (void)
{
  g_autoptr (Qcow2Image) none = open_image ("no-bitmaps", NULL);
  g_autoptr (Qcow2Image) short_one
      = open_image ("bitmaps-extension-length-23", NULL);

  g_assert_true (none->has_extensions);
  g_assert_cmphex (none->bitmaps.bitmap_directory_offset, ==, 0);
  g_assert_cmphex (short_one->bitmaps.bitmap_directory_offset, ==, 0);
}

static void
test_no_extensions (void)
{
  g_autoptr (Qcow2Image) image = open_image ("two-bitmaps", "0x64:0000006c");

  g_assert_false (image->has_extensions);
  g_assert_cmphex (image->bitmaps.bitmap_directory_offset, ==, 0);
}

/* QEMU uses the last of two bitmaps extensions. */
static void
test_last_bitmaps_extension (void)
{
  g_autoptr (Qcow2Image) image = open_image ("bitmaps-twice-different", NULL);

  g_assert_cmpuint (image->bitmaps.nb_bitmaps, ==, 1);
  g_assert_cmphex (image->bitmaps_offset, ==, 0x220);
}

/* Returns whether FINDINGS has an error of the extensions that makes all
 * bitmaps damaged. */
static gboolean
has_damaging_extension (const Qcow2Findings *findings)
{
  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (findings, i);

      if (finding->severity == QCOW2_SEVERITY_ERROR
          && g_str_has_prefix (finding->rule, "EXT-")
          && (finding->subject.parts & QCOW2_PART_BITMAPS) != 0)
        return TRUE;
    }

  return FALSE;
}

/* When the last bitmaps extension is truncated, QEMU might have used either.
 * The bitmaps of the first one count as damaged.  A truncated extension of
 * another type does not have that effect. */
static void
test_last_bitmaps_extension_is_cut (void)
{
  static const struct
  {
    const char *patch; /* of the 40 bytes after the extension */
    gboolean damaged;
  } rows[] = { { "0x218:23852875ffff0000", TRUE },
               { "0x218:12345678ffff0000", FALSE },
               { "0x218:2385287500000018 size=0x230", TRUE },
               { "0x218:1234567800000018 size=0x230", FALSE } };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
      g_autoptr (Qcow2Image) image
          = open_checked ("two-bitmaps", rows[i].patch, findings);

      g_assert_cmpuint (image->bitmaps.nb_bitmaps, ==, 2);
      g_assert_cmphex (image->bitmaps_offset, ==, 0x200);
      g_assert_cmpint (has_damaging_extension (findings), ==, rows[i].damaged);
      /* The first bitmaps extension can be read. */
      for (guint k = 0; k < qcow2_findings_get_n (findings); k++)
        g_assert_cmpstr (qcow2_findings_get (findings, k)->rule, !=, "HDR-25");
    }
}

static void
test_last_string (void)
{
  g_autoptr (Qcow2Image) image = open_image (
      "data-file",
      "0x74:00000001 0x78:4100000000000000"
      " 0x80:44415441000000014200000000000000 0x90:0000000000000000");

  assert_string (image->header.external_data_file, "B");
}

static void
assert_stale (const char *name, const char *patch, gboolean expected)
{
  g_autoptr (Qcow2Image) image = open_image (name, patch);

  g_assert_cmpint (!qcow2_header_bitmaps_are_consistent (&image->header), ==,
                   expected);
}

static void
test_stale (void)
{
  assert_stale ("two-bitmaps", NULL, FALSE);
  assert_stale ("two-bitmaps", "0x58:0000000000000000", TRUE);
  assert_stale ("two-bitmaps", "0x58:0000000000000002", TRUE);
  assert_stale ("two-bitmaps", "0x58:ffffffffffffffff", FALSE);
  assert_stale ("version-2-bitmaps", NULL, TRUE);
}

static void
assert_damaged (const char *patch, gboolean expected)
{
  g_autoptr (Qcow2Findings) findings = find_findings ("two-bitmaps", patch);

  g_assert_cmpint (qcow2_directory_is_hidden (findings), ==, expected);
}

static void
test_bitmaps_damaged (void)
{
  assert_damaged (NULL, FALSE);
  assert_damaged ("0x48:8000000000000000", TRUE);
  assert_damaged ("0x204:00000001", TRUE);
  assert_damaged ("0x64:0000006c", TRUE);
  assert_damaged ("0x60:00000007", FALSE);
  assert_damaged ("0x58:0000000000000000", FALSE);
}

/* Asserts that the finding of RULE, with PATCH, is about PARTS of the image
 * and about no bitmap. */
static void
assert_parts (const char *patch, const char *rule, guint parts)
{
  g_autoptr (Qcow2Findings) findings = find_findings ("two-bitmaps", patch);
  const Qcow2Finding *finding = qcow2_findings_get (findings, 0);

  g_assert_cmpstr (finding->rule, ==, rule);
  g_assert_cmpuint (finding->subject.parts, ==, parts);
  g_assert_cmpuint (finding->subject.bitmap, ==, QCOW2_NO_INDEX);
}

static void
test_parts (void)
{
  assert_parts ("0x14:00000008", "HDR-04", QCOW2_PART_ALL);
  assert_parts ("0x64:0000006c", "HDR-07", QCOW2_PART_ALL);
  assert_parts ("0x60:00000007", "HDR-28", QCOW2_PART_HEADER);
  assert_parts ("0x48:0000000000000020", "HDR-20",
                QCOW2_PART_HEADER | QCOW2_PART_BITMAPS);
  assert_parts ("0x204:00000001", "BEXT-03",
                QCOW2_PART_EXTENSIONS | QCOW2_PART_BITMAPS);
}

static void
test_free (void)
{
  FakeSource *source = open_source ("two-bitmaps", NULL);
  gboolean freed = FALSE;

  source->freed = &freed;
  qcow2_image_free (qcow2_image_open (&source->base, NULL));
  g_assert_true (freed);
  qcow2_image_free (NULL);
}

static void
add_damage (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (small_images); i++)
    {
      g_autofree char *path
          = g_strdup_printf ("/image/cut/%s", small_images[i]);

      g_test_add_data_func (path, small_images[i], test_cut_anywhere);
    }
  g_test_add_func ("/image/shrinks", test_shrinks_anywhere);
  g_test_add_func ("/image/bad-sector", test_bad_anywhere);
  g_test_add_func ("/image/bad-extension", test_bad_extension);
  g_test_add_func ("/image/slow-source", test_slow_source);
}

/* Names for bits or types that do not exist are ignored: bit 64, which must
 * not become bit 0 of the next type, and type 3. */
static void
test_feature_names (void)
{
  g_autoptr (Qcow2Image) sound = open_image ("two-bitmaps", NULL);
  g_autoptr (Qcow2Image) bit_64 = open_image ("two-bitmaps", "0x78:0040");
  g_autoptr (Qcow2Image) empty = open_image ("two-bitmaps", "0x7a:00");
  g_autoptr (Qcow2Image) type_3 = open_image ("two-bitmaps", "0x78:0300");

  g_assert_cmpstr (sound->header.feature_names[0][0], ==, "dirty bit");
  g_assert_cmpstr (sound->header.feature_names[1][0], ==, "lazy refcounts");
  g_assert_null (bit_64->header.feature_names[0][0]);
  g_assert_cmpstr (bit_64->header.feature_names[1][0], ==, "lazy refcounts");
  g_assert_null (empty->header.feature_names[0][0]);
  g_assert_null (type_3->header.feature_names[0][0]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/image/directory/located", test_directory);
  g_test_add_func ("/image/directory/none", test_no_directory);
  g_test_add_func ("/image/directory/last-extension",
                   test_last_bitmaps_extension);
  g_test_add_func ("/image/directory/last-extension/cut",
                   test_last_bitmaps_extension_is_cut);
  g_test_add_func ("/image/feature-names", test_feature_names);
  g_test_add_func ("/image/no-extensions", test_no_extensions);
  g_test_add_func ("/image/last-string", test_last_string);
  g_test_add_func ("/image/stale", test_stale);
  g_test_add_func ("/image/bitmaps-damaged", test_bitmaps_damaged);
  g_test_add_func ("/image/parts", test_parts);
  g_test_add_func ("/image/free", test_free);
  add_damage ();
  g_test_add_func ("/corpus/every-image", test_every_image);
  for (guint i = 0; i < G_N_ELEMENTS (corpus); i++)
    {
      g_autofree char *path = g_strdup_printf ("/corpus/%s", corpus[i].name);

      g_test_add_data_func (path, &corpus[i], test_corpus);
    }
  return g_test_run ();
}
