/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The LUKS header: reading it, and findings about it. */

#include "config.h"

#include "qcow2/luks.h"

#include "check-util.h"

/* The header of luks is at 0x40000 and has 0x1f9000 bytes.  Its key slots, of
 * 48 bytes each, begin at 0x400d0; the first one is active.  Each key has 64
 * bytes, and its key material takes 504 sectors.  The key material starts at
 * sector 8 for the first slot and at 3536 for the last; the payload starts at
 * 4040. */
#define KEY_7 "0x40220:00ac71f300000001"

/* clang-format off */
static const FindingRow rows[] = {
  { "sound", "luks", NULL, "" },
  { "CRYPT-01/first-byte", "luks", "0x40000:4d", "E CRYPT-01@0x40000" },
  { "CRYPT-01/last-byte", "luks", "0x40005:bf", "E CRYPT-01@0x40000" },
  /* Without the magic, there are no further findings about the header. */
  { "CRYPT-01/zeroes", "luks", "0x40000:00*592", "E CRYPT-01@0x40000" },
  { "CRYPT-02/0", "luks", "0x40006:0000", "E CRYPT-02@0x40006" },
  { "CRYPT-02/2", "luks", "0x40006:0002 0x40068:00000000",
    "E CRYPT-02@0x40006" },
  { "CRYPT-02/257", "luks", "0x40006:0101", "E CRYPT-02@0x40006" },
  { "CRYPT-03/all", "luks", "0x40008:61*96",
    "E CRYPT-03@0x40008; E CRYPT-03@0x40028; E CRYPT-03@0x40048" },
  { "CRYPT-04/empty", "luks", "0x40008:00", "W CRYPT-04@0x40008" },
  { "CRYPT-04/capital", "luks", "0x40008:41", "W CRYPT-04@0x40008" },
  { "CRYPT-04/longer", "luks", "0x4000b:61", "W CRYPT-04@0x40008" },
  { "CRYPT-04/serpent", "luks", "0x40008:73657270656e74", "" },
  { "CRYPT-05/empty", "luks", "0x40028:00", "W CRYPT-05@0x40028" },
  { "CRYPT-05/no-ivgen", "luks", "0x4002c:00", "W CRYPT-05@0x40028" },
  { "CRYPT-05/two-faults", "luks", "0x40028:78 0x40029:74 0x40030:00",
    "W CRYPT-05@0x40028" },
  { "CRYPT-05/ctr", "luks", "0x40028:637472 0x4006c:00000020", "" },
  { "CRYPT-05/essiv-md5", "luks", "0x4002c:65737369763a6d643500", "" },
  { "CRYPT-05/essiv-sha512", "luks", "0x4002c:65737369763a736861353132",
    "W CRYPT-05@0x40028" },
  /* SM3 as the hash for initial vectors. */
  { "CRYPT-06/ivgen", "luks", "0x40033:3a736d3300", "W CRYPT-06@0x40028" },
  { "CRYPT-06/empty", "luks", "0x40048:00", "W CRYPT-06@0x40048" },
  { "CRYPT-07/4040", "luks", "0x40068:00000fc8", "" },
  { "CRYPT-07/all-ones", "luks", "0x40068:ffffffff", "W CRYPT-07@0x40068" },
  { "CRYPT-08/0", "luks", "0x4006c:00000000", "E CRYPT-08@0x4006c" },
  { "CRYPT-08/31", "luks", "0x4006c:0000001f", "E CRYPT-08@0x4006c" },
  { "CRYPT-08/32", "luks", "0x4006c:00000020", "" },
  { "CRYPT-08/48", "luks", "0x4006c:00000030", "" },
  { "CRYPT-08/49", "luks", "0x4006c:00000031", "E CRYPT-08@0x4006c" },
  { "CRYPT-08/64-cbc", "luks", "0x40028:636263", "E CRYPT-08@0x4006c" },
  { "CRYPT-08/all-ones", "luks", "0x4006c:ffffffff", "E CRYPT-08@0x4006c" },
  { "CRYPT-09/0", "luks", "0x400a4:00000000", "E CRYPT-09@0x400a4" },
  { "CRYPT-10/slot-0", "luks", "0x400fc:00000fa1", "E CRYPT-10@0x400fc" },
  { "CRYPT-10/slot-7", "luks", "0x4024c:00000000", "E CRYPT-10@0x4024c" },
  { "CRYPT-11/slot-7", "luks", "0x40220:00000000", "E CRYPT-11@0x40220" },
  /* A slot that is neither active nor inactive counts as inactive. */
  { "CRYPT-11/slot-0", "luks", "0x400d0:00ac71f2",
    "E CRYPT-11@0x400d0; W CRYPT-15@0x400d0" },
  { "CRYPT-12/slot-0", "luks", "0x400d4:00000000", "E CRYPT-12@0x400d4" },
  { "CRYPT-12/slot-7", "luks", "0x40220:00ac71f3", "E CRYPT-12@0x40224" },
  { "CRYPT-13/sector-0", "luks", "0x400f8:00000000", "E CRYPT-13@0x400f8" },
  { "CRYPT-13/sector-7", "luks", "0x400f8:00000007", "E CRYPT-13@0x400f8" },
  /* QEMU looks for overlaps with a slot before it looks at the next one. */
  { "CRYPT-13/overlaps", "luks", "0x40128:00000001",
    "E CRYPT-13@0x40128; E CRYPT-14@0x40128" },
  { "CRYPT-13/payload", "luks", "0x40248:00000dd1", "E CRYPT-13@0x40248" },
  { "CRYPT-13/wraps-active", "luks", KEY_7 " 0x40248:fffffff8",
    "E CRYPT-13@0x40248" },
  { "CRYPT-13/wraps-unused", "luks", "0x40248:fffffff8",
    "W CRYPT-13@0x40248" },
  /* 0xfffffe08 + 504 is 2^32, which overflows; one sector less does not. */
  { "CRYPT-13/just-wraps", "luks", "0x40248:fffffe08", "W CRYPT-13@0x40248" },
  { "CRYPT-13/just-not", "luks", "0x40248:fffffe07", "E CRYPT-13@0x40248" },
  { "CRYPT-14/511", "luks", "0x40128:000001ff", "E CRYPT-14@0x40128" },
  { "CRYPT-14/equal", "luks", "0x40248:00000bd8", "E CRYPT-14@0x40248" },
  { "CRYPT-14/swapped", "luks", "0x400f8:00000200 0x40128:00000008", "" },
  { "CRYPT-15/none", "luks", "0x400d0:0000dead", "W CRYPT-15@0x400d0" },
  { "CRYPT-16/one-of-two", "luks", KEY_7 " size=0x2387ff",
    "E EXT-13@0x80; E CRYPT-16@0x40248" },
  { "CRYPT-16/both", "luks", KEY_7 " size=0x7f7ff",
    "E EXT-13@0x80; E CRYPT-16@0x400f8; E CRYPT-16@0x40248" },
  /* The file ends in the header, the last bytes of which are read as zeroes.
   */
  { "cut-header", "luks", "size=0x4024e",
    "E EXT-13@0x80; E CRYPT-10@0x4024c; E CRYPT-16@0x400f8" },
  { "at-file-end", "luks", "size=0x40000",
    "E EXT-13@0x80; E CRYPT-01@0x40000" },

  /* A header without a valid position is not judged. */
  { "no-luks", "luks", "0x20:00000000 0x40000:00", "E EXT-13@0x70" },
  { "unaligned", "luks", "0x78:0000000000040200 size=0x300000",
    "E EXT-13@0x78" },
  { "offset-0", "luks", "0x78:0000000000000000", "E EXT-13@0x78" },
  { "length-591", "luks", "0x80:000000000000024f 0x40000:00",
    "E EXT-13@0x80" },
  /* Both headers are judged, with findings at different offsets. */
  { "twice", "crypto-twice", "0x218:0000000000050000",
    "E EXT-08@0x210; E EXT-13@0x220; E CRYPT-01@0x50000" },
};
/* clang-format on */

static void
test_findings (gconstpointer data)
{
  const FindingRow *row = data;
  g_auto (Checked) c = { 0 };

  checked_open (&c, row->base, row->patch);
  checked_run (&c);
  checked_assert_failed (&c, "");

  /* Other findings about the end of the file are not compared. */
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) kept = g_ptr_array_new ();
  g_autoptr (GPtrArray) wanted = g_ptr_array_new ();
  g_auto (GStrv) words = g_strsplit (row->findings, "; ", -1);

  collect_findings (found, c.findings);
  for (guint i = 0; i < found->len; i++)
    {
      char *text = g_ptr_array_index (found, i);

      if (strstr (text, "CRYPT-") != NULL || strstr (text, "EXT-") != NULL)
        g_ptr_array_add (kept, text);
    }
  for (guint i = 0; words[i] != NULL; i++)
    g_ptr_array_add (wanted, words[i]);

  g_autofree char *kept_text = join_findings (kept);
  g_autofree char *wanted_text = join_findings (wanted);
  g_assert_cmpstr (kept_text, ==, wanted_text);
}

static void
test_read (void)
{
  FakeSource *source = open_source ("luks", KEY_7);
  Qcow2Luks luks;
  g_autoptr (GError) error = NULL;

  g_assert_true (qcow2_luks_read (&source->base, 0x40000, &luks, &error));
  g_assert_no_error (error);
  g_assert_cmpmem (luks.magic, 6, "LUKS\xba\xbe", 6);
  g_assert_cmpuint (luks.version, ==, 1);
  g_assert_cmpstr (luks.cipher_name, ==, "aes");
  g_assert_cmpstr (luks.cipher_mode, ==, "xts-plain64");
  g_assert_cmpstr (luks.hash_spec, ==, "sha256");
  g_assert_cmpuint (luks.payload_offset, ==, 4040);
  g_assert_cmpuint (luks.key_bytes, ==, 64);
  g_assert_cmpuint (luks.mk_digest_iter, ==, 1000);
  g_assert_cmpuint (luks.slots[0].iterations, ==, 1000);
  g_assert_cmpuint (luks.slots[1].active, ==, 0xdead);
  g_assert_cmpuint (luks.slots[7].active, ==, 0xac71f3);
  g_assert_cmpuint (luks.slots[7].iterations, ==, 1);
  g_assert_cmpuint (luks.slots[7].key_material_offset, ==, 3536);
  g_assert_cmpuint (luks.slots[7].stripes, ==, 4000);
  g_assert_cmpuint (source->last_end, ==, 0x40250);
  byte_source_free (&source->base);
}

static void
test_bad_sector (void)
{
  g_auto (Checked) c = { 0 };

  checked_open (&c, "luks", NULL);
  checked_set_bad (&c, 0x40000, 0x40001);
  checked_run (&c);
  checked_assert_failed (&c, "0x40000");
  assert_findings (c.findings, "");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/luks/read", test_read);
  g_test_add_func ("/luks/bad-sector", test_bad_sector);
  add_rows ("/luks", rows, G_N_ELEMENTS (rows), test_findings);

  return g_test_run ();
}
