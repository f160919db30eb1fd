/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/directory-rules.h"

#include "check/image-rules.h"

/* Returns the subject of a finding: entry INDEX, or the whole directory if
 * INDEX is QCOW2_NO_INDEX. */
static Qcow2Subject
make_subject (guint64 index)
{
  const Qcow2Subject subject
      = { .parts = QCOW2_PART_BITMAPS,
          .structure
          = index == QCOW2_NO_INDEX ? qcow2_bitmap_record.name : "bitmap",
          .extension = QCOW2_NO_INDEX,
          .bitmap = index };

  return subject;
}

/* Returns whether QEMU writes DIRECTORY when it opens the image for writing,
 * to mark the bitmaps as in use. */
gboolean
qcow2_directory_is_rewritten (const Qcow2Directory *directory)
{
  const Qcow2Image *image = qcow2_directory_get_image (directory);

  return qcow2_directory_get_facts (directory)->has_loaded
         && qcow2_header_bitmaps_are_consistent (&image->header)
         && !image->extensions_ignored;
}

/* Adds a finding to FINDINGS if the last entry of DIRECTORY is truncated.
 * Returns whether it is. */
static gboolean
check_truncated_entry (const Qcow2Directory *directory,
                       Qcow2Findings *findings)
{
  const Qcow2DirectoryFacts *facts = qcow2_directory_get_facts (directory);
  const guint32 nb_bitmaps
      = qcow2_directory_get_image (directory)->bitmaps.nb_bitmaps;
  const gboolean by_file = facts->truncated_by_file;
  const gboolean is_shorter
      = facts->has_shorter_name && qcow2_directory_is_rewritten (directory);
  const guint64 n = facts->n_entries;

  if (facts->end == QCOW2_DIRECTORY_ENTRY_TRUNCATED)
    {
      const Qcow2Subject subject = make_subject (n - 1);
      const Qcow2RuleIndex rule = !by_file     ? QCOW2_BDIR_02
                                  : is_shorter ? QCOW2_BDIR_02_SHORTER
                                               : QCOW2_BDIR_02_FILE;

      qcow2_findings_add_at (
          findings, &subject, rule,
          QCOW2_PLACE (facts->pos, qcow2_bitmap_record, Qcow2Bitmap, name_size,
                       NULL),
          "extra data and name do not end before " QCOW2_HEX_FORMAT
          ", the end of the %s",
          by_file ? facts->file_end : facts->declared_end,
          by_file ? "file" : "directory");
      return TRUE;
    }
  if (facts->end == QCOW2_DIRECTORY_HEAD_TRUNCATED && n < nb_bitmaps)
    {
      const Qcow2Subject subject = make_subject (n);
      const Qcow2RuleIndex rule = !by_file     ? QCOW2_BDIR_01
                                  : is_shorter ? QCOW2_BDIR_01_SHORTER
                                               : QCOW2_BDIR_01_FILE;

      qcow2_findings_add_at (
          findings, &subject, rule,
          &(const Qcow2Place){ .start = facts->pos,
                               .record = &qcow2_bitmap_record },
          "only " QCOW2_U64_FORMAT
          " of the %u bytes of an entry's fields are left",
          facts->file_end - facts->pos, QCOW2_BITMAP_HEAD_LENGTH);
      return TRUE;
    }

  return FALSE;
}

/* Checks the number of entries of DIRECTORY, and where they end. */
static void
check_entries (const Qcow2Directory *directory, Qcow2Findings *findings)
{
  const Qcow2DirectoryFacts *facts = qcow2_directory_get_facts (directory);
  const Qcow2Image *image = qcow2_directory_get_image (directory);
  const guint64 n = facts->n_entries;
  const guint32 nb_bitmaps = image->bitmaps.nb_bitmaps;
  const Qcow2Subject subject = make_subject (QCOW2_NO_INDEX);

  if (n != nb_bitmaps)
    qcow2_finding_allow (
        qcow2_findings_add_at (
            findings, &subject,
            n > nb_bitmaps ? QCOW2_BDIR_03_MORE : QCOW2_BDIR_03_LESS,
            QCOW2_PLACE (image->bitmaps_offset, qcow2_bitmaps_extension_record,
                         Qcow2BitmapsExtension, nb_bitmaps, &image->bitmaps),
            "the directory has " QCOW2_U64_FORMAT
            " entries, but nb_bitmaps is %u",
            n, nb_bitmaps),
        n);
  else if (facts->pos < facts->declared_end)
    qcow2_findings_add (findings, &subject,
                        facts->declared_end - facts->pos
                                < QCOW2_BITMAP_HEAD_LENGTH
                            ? QCOW2_BDIR_04
                            : QCOW2_BDIR_04_MORE,
                        MIN (facts->pos, facts->file_end), 0,
                        "the entries end here, but the directory ends "
                        "at " QCOW2_HEX_FORMAT,
                        facts->declared_end);
}

/* Checks DIRECTORY as a whole and adds findings to FINDINGS.  Its entries are
 * checked by qcow2_bitmap_check (). */
static gboolean
check_directory (const Qcow2Directory *directory, Qcow2Findings *findings,
                 GError **error)
{
  const Qcow2DirectoryFacts *facts = qcow2_directory_get_facts (directory);
  const Qcow2Image *image = qcow2_directory_get_image (directory);
  const Qcow2Subject subject = make_subject (QCOW2_NO_INDEX);

  if (facts->is_none)
    qcow2_findings_add_at (
        findings, &subject, QCOW2_BDIR_21,
        &(const Qcow2Place){ .start = facts->start,
                             .record = &qcow2_bitmap_record },
        "what bitmap_directory_offset points to is no bitmap directory: none "
        "of its " QCOW2_U64_FORMAT " entries can be one",
        facts->n_entries);
  /* Another finding reports a directory that the file does not hold at all. */
  else if (!check_truncated_entry (directory, findings)
           && facts->file_end > facts->start)
    check_entries (directory, findings);

  /* HDR-31: QEMU rewrites the header when it rewrites the directory. */
  return !qcow2_directory_is_rewritten (directory)
         || qcow2_image_header_is_rewritten (image)
         || qcow2_image_check_room (image, QCOW2_HDR_31, findings, error);
}

/* Opens the bitmap directory of IMAGE as qcow2_directory_open () does, checks
 * it as a whole and adds findings to FINDINGS.  Returns NULL with
 * QCOW2_ERROR_READ if a read fails: its findings would then be incomplete. */
Qcow2Directory *
qcow2_directory_open_checked (const Qcow2Image *image, Qcow2Findings *findings,
                              GError **error)
{
  g_autoptr (Qcow2Directory) directory = qcow2_directory_open (image, error);

  if (directory == NULL || !check_directory (directory, findings, error))
    return NULL;

  return g_steal_pointer (&directory);
}

/* Returns whether FINDINGS says that entries of the bitmap directory, or their
 * names, cannot be read. */
gboolean
qcow2_directory_breaks_off (const Qcow2Findings *findings)
{
  static const Qcow2RuleIndex rules[]
      = { QCOW2_BDIR_01,      QCOW2_BDIR_01_FILE, QCOW2_BDIR_01_SHORTER,
          QCOW2_BDIR_02,      QCOW2_BDIR_02_FILE, QCOW2_BDIR_02_SHORTER,
          QCOW2_BDIR_04_MORE, QCOW2_BDIR_21 };

  return qcow2_findings_have_any (findings, rules, G_N_ELEMENTS (rules));
}

/* Returns whether FINDINGS has an error in the structures that lead to the
 * bitmap directory, so that all bitmaps are damaged. */
gboolean
qcow2_directory_is_hidden (const Qcow2Findings *findings)
{
  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (findings, i);

      if (finding->severity == QCOW2_SEVERITY_ERROR
          && finding->subject.bitmap == QCOW2_NO_INDEX
          && (finding->subject.parts & QCOW2_PART_BITMAPS) != 0)
        return TRUE;
    }

  return FALSE;
}

/* Returns whether damage to the header or the extensions, of which FINDINGS
 * has findings, hides all entries of DIRECTORY, so that the bitmaps of the
 * image are unknown. */
gboolean
qcow2_directory_is_unknown (const Qcow2Directory *directory,
                            const Qcow2Findings *findings)
{
  return qcow2_directory_get_n (directory) == 0
         && qcow2_directory_is_hidden (findings);
}
