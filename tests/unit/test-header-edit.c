/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plans of edits: which bytes change, in which order.  The offsets are
 * those of the qcow2 specification. */

#include "config.h"

#include <string.h>

#include "edit/apply.h"
#include "edit/bitmap-edit.h"
#include "edit/error.h"
#include "edit/header-edit.h"
#include "edit/plan-parse.h"
#include "test-util.h"

/* A header of 112 bytes, an extension of 16 bytes at 0x70, its terminator at
 * 0x80, and perhaps the name of a backing file at 0x88. */
static const ExtensionSpec hello[] = { { 0xaabbccdd, 5, "hello" } };

static const ImageSpec plain = {
  .cluster_bits = 9, .size = 0x100000, .extensions = hello, .n_extensions = 1
};
static const ImageSpec large = {
  .cluster_bits = 12, .size = 0x100000, .extensions = hello, .n_extensions = 1
};
static const ImageSpec backing = { .cluster_bits = 9,
                                   .size = 0x100000,
                                   .extensions = hello,
                                   .n_extensions = 1,
                                   .backing_file = "base.img" };
static const ImageSpec version_2
    = { .version = 2, .cluster_bits = 9, .size = 0x100000 };
static const ImageSpec short_header
    = { .cluster_bits = 9, .size = 0x100000, .header_length = 104 };

/* Each entry of the directory has 32 bytes.  The data of the bitmaps
 * extension are at 0x78. */
static const BitmapSpec pair[] = {
  { .name = "one", .type = 1, .granularity_bits = 16 },
  { .name = "two", .type = 1, .granularity_bits = 16 },
};
static const ImageSpec two_bitmaps
    = { .cluster_bits = 9, .size = 0x100000, .bitmaps = pair, .n_bitmaps = 2 };
static const ImageSpec one_bitmap
    = { .cluster_bits = 9, .size = 0x100000, .bitmaps = pair, .n_bitmaps = 1 };

/* An edit without a file. */
typedef struct
{
  Image *image;
  FakeSource *source;
  EditWork *work;
} Edit;

/* Opens IMAGE, of which it takes ownership. */
static void
edit_open_image (Edit *edit, Image *image)
{
  g_autoptr (GError) error = NULL;
  EditWork *work = g_new0 (EditWork, 1);

  edit->image = image;
  edit->source = fake_source_new (edit->image->bytes, edit->image->size);
  edit->work = work;
  work->source = &edit->source->base;
  work->findings = qcow2_findings_new ();
  work->plan = edit_plan_new ();
  work->messages = g_ptr_array_new_with_free_func (g_free);
  edit_refusals_init (&work->refusals);
  edit_work_read (work, &error);
  g_assert_no_error (error);
}

static void
edit_open (Edit *edit, const ImageSpec *spec)
{
  edit_open_image (edit, image_build_spec (spec));
}

static void
edit_clear (Edit *edit)
{
  edit_work_free (edit->work);
  byte_source_free (&edit->source->base);
  image_free (edit->image);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Edit, edit_clear)

static void
append_hex (GString *text, const guint8 *bytes, gsize len)
{
  for (gsize i = 0; i < len; i++)
    g_string_append_printf (text, "%02x", bytes[i]);
}

/* Asserts that the plan of EDIT is EXPECTED: runs in the form
 * "0xOFFSET:OLD>NEW", parted by "; ", and steps, parted by " | ". */
static void
assert_plan (const Edit *edit, const char *expected)
{
  const EditPlan *plan = edit->work->plan;
  g_autoptr (GString) text = g_string_new (NULL);

  g_assert_cmpstr (edit->work->refusals.final, ==, NULL);
  for (guint i = 0; i < edit_plan_get_n_steps (plan); i++)
    {
      const GPtrArray *step = edit_plan_get_step (plan, i);

      for (guint k = 0; k < step->len; k++)
        {
          const EditRun *run = edit_step_get_run (step, k);
          const gsize len = edit_run_get_size (run);

          g_string_append (text, k > 0 ? "; " : i > 0 ? " | " : "");
          g_string_append_printf (text,
                                  "0x%" G_GINT64_MODIFIER "x:", run->offset);
          append_hex (text, edit_run_get_bytes (run, TRUE), len);
          g_string_append_c (text, '>');
          append_hex (text, edit_run_get_bytes (run, FALSE), len);
        }
    }

  g_assert_cmpstr (text->str, ==, expected);
}

/* A field that is set, and the plan or the error that is expected. */
typedef struct
{
  const ImageSpec *spec;
  const char *name; /* of the field, or of the group if BIT is not NULL */
  guint64 value;    /* of the field, or whether the bit is set */
  const char *bit;
  const char *plan; /* NULL: QCOW2_ERROR_NOT_FOUND */
} Row;

static const Row rows[] = {
  { &plain, "size", 0x100000, NULL, "" },
  { &plain, "size", 0x200000, NULL, "0x18:0000000000100000>0000000000200000" },
  { &plain, "magic", 0, NULL, "0x0:514649fb>00000000" },
  { &plain, "version", 2, NULL, "0x4:00000003>00000002" },
  { &plain, "backing_file_offset", 1, NULL,
    "0x8:0000000000000000>0000000000000001" },
  { &plain, "backing_file_size", 0xffffffff, NULL, "0x10:00000000>ffffffff" },
  { &plain, "cluster_bits", 16, NULL, "0x14:00000009>00000010" },
  { &plain, "crypt_method", 1, NULL, "0x20:00000000>00000001" },
  { &plain, "nb_snapshots", 1, NULL, "0x3c:00000000>00000001" },
  { &plain, "snapshot_offset", 512, NULL,
    "0x40:0000000000000000>0000000000000200" },
  { &plain, "incompatible_features", 1, NULL, "0x4f:00>01" },
  { &plain, "compatible_features", G_MAXUINT64, NULL,
    "0x50:0000000000000000>ffffffffffffffff" },
  { &plain, "autoclear_features", 0x10000, NULL, "0x5d:00>01" },
  { &plain, "refcount_order", 3, NULL, "0x60:00000004>00000003" },
  { &plain, "header_length", 104, NULL, "0x64:00000070>00000068" },
  { &plain, "compression_type", 1, NULL, "0x68:00>01" },
  { &plain, "nosuch", 1, NULL, NULL },
  { &plain, "cluster_size", 1, NULL, NULL },
  { &version_2, "snapshot_offset", 1, NULL,
    "0x40:0000000000000000>0000000000000001" },
  { &version_2, "incompatible_features", 1, NULL, NULL },
  { &version_2, "header_length", 72, NULL, NULL },
  { &short_header, "header_length", 112, NULL, "0x64:00000068>00000070" },
  { &short_header, "compression_type", 1, NULL, NULL },

  { &plain, "incompatible", TRUE, "63", "0x48:00>80" },
  { &plain, "incompatible", TRUE, "dirty", "0x4f:00>01" },
  { &plain, "compatible", TRUE, "8", "0x56:00>01" },
  { &plain, "compatible", FALSE, "8", "" },
  { &plain, "autoclear", TRUE, "raw-external-data", "0x5f:00>02" },
  { &plain, "autoclear", TRUE, "dirty", NULL },
  { &plain, "autoclear", TRUE, "64", NULL },
  { &two_bitmaps, "autoclear", FALSE, "bitmaps", "0x5f:01>00" },
  { &two_bitmaps, "autoclear", TRUE, "0", "" },
  { &version_2, "compatible", TRUE, "0", NULL },
};

static void
test_fields (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      const Row *row = &rows[i];
      g_auto (Edit) edit = { 0 };
      g_autoptr (GError) error = NULL;

      g_test_message ("%s %s", row->name, row->bit != NULL ? row->bit : "");
      edit_open (&edit, row->spec);
      if (row->bit == NULL)
        edit_set_field (edit.work, row->name, row->value, &error);
      else
        edit_set_bit (
            edit.work, row->name, row->bit, g_ascii_isdigit (*row->bit),
            g_ascii_strtoull (row->bit, NULL, 10), row->value != 0, &error);
      if (row->plan == NULL)
        {
          g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND);
          assert_plan (&edit, "");
          continue;
        }

      g_assert_no_error (error);
      assert_plan (&edit, row->plan);
    }
}

static void
test_too_large (void)
{
  static const char *const names[]
      = { "version", "compression_type", "cluster_bits" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_auto (Edit) edit = { 0 };
      g_autoptr (GError) error = NULL;

      edit_open (&edit, &plain);
      g_assert_false (edit_set_field (edit.work, names[i],
                                      G_GUINT64_CONSTANT (1) << 32, &error));
      g_assert_error (error, EDIT_ERROR, EDIT_ERROR_VALUE);
      assert_plan (&edit, "");
    }
}

/* Adds an extension with the magic 0x12345678 and LEN bytes "x". */
static void
add (Edit *edit, gsize len)
{
  g_autofree char *data = g_strnfill (len, 'x');
  g_autoptr (GBytes) bytes = g_bytes_new (data, len);
  g_autoptr (GError) error = NULL;

  edit_add_extension (edit->work, 0x12345678, bytes, &error);
  g_assert_no_error (error);
}

/* The terminator becomes the head of the new extension, in one write. */
static void
test_add (void)
{
  g_auto (Edit) edit = { 0 };

  edit_open (&edit, &plain);
  add (&edit, 3);
  assert_plan (&edit, "0x80:0000000000000000000000>1234567800000003787878");
}

/* A file that ends before the place of the bitmaps bit, which version 2 does
 * not have.  The extensions begin at 72. */
static void
test_add_short (void)
{
  g_auto (Edit) edit = { 0 };
  Image *image = image_build_spec (&version_2);

  image_truncate (image, 88);
  edit_open_image (&edit, image);
  add (&edit, 0);
  assert_plan (&edit, "0x48:00000000>12345678");
}

/* Bytes in other sectors than the terminator are written first. */
static void
test_add_sectors (void)
{
  g_auto (Edit) edit = { 0 };
  g_autoptr (GString) expected = g_string_new ("0x200:");

  edit_open (&edit, &large);
  add (&edit, 1000);

  /* The data begin at 0x88 and end at 0x470. */
  for (guint i = 0x200; i < 0x470; i++)
    g_string_append (expected, "00");
  g_string_append_c (expected, '>');
  for (guint i = 0x200; i < 0x470; i++)
    g_string_append (expected, "78");
  g_string_append (expected, " | 0x80:");
  for (guint i = 0x80; i < 0x200; i++)
    g_string_append (expected, "00");
  g_string_append (expected, ">12345678000003e8");
  for (guint i = 0x88; i < 0x200; i++)
    g_string_append (expected, "78");
  assert_plan (&edit, expected->str);
}

/* The name is copied to its new place before the old one is overwritten. */
static void
test_add_before_name (void)
{
  g_auto (Edit) edit = { 0 };

  edit_open (&edit, &backing);
  add (&edit, 3);
  assert_plan (&edit, "0x98:0000000000000000>626173652e696d67"
                      " | 0xf:88>98"
                      " | 0x80:0000000000000000626173652e696d67"
                      ">12345678000000037878780000000000");
}

/* The extensions, the terminator and the name may fill the cluster. */
static void
test_full (void)
{
  /* From 0x70: 16 bytes, a head of 8, 352 bytes, 8, and the name of 8. */
  const gsize most = 512 - 0x70 - 16 - 8 - 8 - 8;
  g_auto (Edit) full = { 0 };
  g_auto (Edit) too_full = { 0 };

  edit_open (&full, &plain);
  add (&full, most + 8);
  g_assert_cmpstr (full.work->refusals.final, ==, NULL);
  edit_open (&too_full, &plain);
  add (&too_full, most + 9);
  g_assert_nonnull (
      strstr (too_full.work->refusals.final, "has room for 400"));
  g_assert_true (edit_plan_is_empty (too_full.work->plan));

  g_auto (Edit) named = { 0 };
  edit_open (&named, &backing);
  add (&named, most + 1);
  g_assert_nonnull (strstr (named.work->refusals.final, "has room for 400"));
}

static void delete (Edit *edit, gboolean by_index, guint64 value)
{
  g_autoptr (GError) error = NULL;

  edit_delete_extensions (edit->work, by_index, value, &error);
  g_assert_no_error (error);
}

/* The terminator is written first, and what is free is zeroed last. */
static void
test_delete (void)
{
  static const char expected[] = "0x70:aabbccdd00000005>0000000000000000"
                                 " | 0x78:68656c6c6f>0000000000";
  g_auto (Edit) by_magic = { 0 };
  g_auto (Edit) by_index = { 0 };

  edit_open (&by_magic, &plain);
  delete (&by_magic, FALSE, 0xaabbccdd);
  assert_plan (&by_magic, expected);
  edit_open (&by_index, &plain);
  delete (&by_index, TRUE, 0);
  assert_plan (&by_index, expected);
}

/* The name moves over the extension, by a copy at the end of the cluster. */
static void
test_delete_before_name (void)
{
  g_auto (Edit) edit = { 0 };

  edit_open (&edit, &backing);
  delete (&edit, FALSE, 0xaabbccdd);
  assert_plan (&edit, "0x1f8:0000000000000000>626173652e696d67"
                      " | 0xe:0088>01f8"
                      " | 0x70:aabbccdd00000005>0000000000000000"
                      " | 0x78:68656c6c6f000000>626173652e696d67"
                      " | 0xe:01f8>0078"
                      " | 0x88:626173652e696d67>0000000000000000"
                      "; 0x1f8:626173652e696d67>0000000000000000");
}

static void
test_delete_none (void)
{
  g_auto (Edit) edit = { 0 };
  g_autoptr (GError) error = NULL;

  edit_open (&edit, &plain);
  g_assert_false (
      edit_delete_extensions (edit.work, FALSE, 0xaabbccde, &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_false (edit_delete_extensions (edit.work, TRUE, 1, &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND);
  assert_plan (&edit, "");
}

/* Plans to remove bitmap INDEX of EDIT.  Returns the host offset of the
 * directory. */
static guint64
remove_bitmap (Edit *edit, guint64 index)
{
  g_auto (EditRemoval) removal = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (Qcow2Directory) directory = qcow2_directory_open_checked (
      edit->work->image, edit->work->findings, &error);

  g_assert_no_error (error);
  edit_remove_bitmap (edit->work, directory, index, &removal, &error);
  g_assert_no_error (error);
  return image_get_be (edit->image, 0x90 - 8, 8);
}

/* The entry after the one that is removed takes its place.  The bit is clear
 * meanwhile. */
static void
test_remove_first (void)
{
  g_auto (Edit) edit = { 0 };
  g_autoptr (GString) expected = g_string_new ("0x5f:01>00 | ");

  edit_open (&edit, &two_bitmaps);
  const guint64 start = remove_bitmap (&edit, 0);
  const guint8 *entries = edit.image->bytes->data + start;
  const guint8 zeroes[32] = { 0 };

  /* The entries differ from the last byte but one of the offset of the table
   * on, and up to the last byte of the name. */
  g_assert_cmpmem (entries, 6, entries + 32, 6);
  g_assert_cmphex (entries[6], !=, entries[38]);
  g_assert_cmpmem (entries + 56, 3, "two", 3);
  g_string_append_printf (expected, "0x%" G_GINT64_MODIFIER "x:", start + 6);
  append_hex (expected, entries + 6, 53);
  g_string_append_c (expected, '>');
  append_hex (expected, entries + 38, 21);
  append_hex (expected, zeroes, 5 + 27);

  g_autofree char *plan = g_strconcat (
      expected->str,
      "; 0x78:00000002>00000001; 0x80:0000000000000040>0000000000000020",
      " | 0x5f:00>01", NULL);
  assert_plan (&edit, plan);
}

/* Without a bitmap there is no extension, and the bit stays clear. */
static void
test_remove_last (void)
{
  g_auto (Edit) edit = { 0 };
  g_autoptr (GString) expected = g_string_new (NULL);
  const guint8 zeroes[27] = { 0 };

  edit_open (&edit, &one_bitmap);
  const guint64 start = remove_bitmap (&edit, 0);
  const guint8 *entry = edit.image->bytes->data + start;

  /* The offset of the table, in 8 bytes, begins with 6 zeroes; a name of 3
   * bytes ends after 27. */
  g_assert_cmpmem (entry, 6, zeroes, 6);
  g_assert_cmpmem (entry + 24, 3, "one", 3);
  g_string_append_printf (
      expected,
      "0x5f:01>00 | 0x70:2385287500000018>0000000000000000"
      " | 0x7b:01>00; 0x87:20000000000000%02x>0000000000000000"
      " | 0x%" G_GINT64_MODIFIER "x:",
      (guint) (start >> 8), start + 6);
  append_hex (expected, entry + 6, 21);
  g_string_append_c (expected, '>');
  append_hex (expected, zeroes, 21);
  assert_plan (&edit, expected->str);
}

/* The bitmaps bit is clear while the bitmaps extension moves. */
static void
test_move_bitmaps (void)
{
  static const ExtensionSpec before[] = { { 0x6803f857, 0, NULL } };
  const ImageSpec spec = { .cluster_bits = 9,
                           .size = 0x100000,
                           .bitmaps = pair,
                           .n_bitmaps = 1,
                           .backing_file = "b",
                           .backing_format = "raw",
                           .extensions = before,
                           .n_extensions = 1 };
  g_auto (Edit) edit = { 0 };

  edit_open (&edit, &spec);
  delete (&edit, FALSE, 0xe2792aca);

  const EditPlan *plan = edit.work->plan;
  const guint n = edit_plan_get_n_steps (plan);
  const EditRun *first = edit_step_get_run (edit_plan_get_step (plan, 0), 0);
  const EditRun *last
      = edit_step_get_run (edit_plan_get_step (plan, n - 1), 0);
  g_assert_cmphex (first->offset, ==, 0x5f);
  g_assert_cmphex (*edit_run_get_bytes (first, FALSE), ==, 0);
  g_assert_cmphex (last->offset, ==, 0x5f);
  g_assert_cmphex (*edit_run_get_bytes (last, FALSE), ==, 1);
}

/* A source of which the read with number N fails. */
typedef struct
{
  ByteSource base;
  ByteSource *below;
  guint n;
} FlakySource;

static gssize
flaky_read (ByteSource *source, guint64 offset, guint8 *buffer, gsize len)
{
  FlakySource *self = (FlakySource *) source;

  if (self->n-- == 0)
    {
      errno = EIO;
      return -1;
    }

  return self->below->klass->read (self->below, offset, buffer, len);
}

/* An edit that is refused without --force, and also if any read fails. */
typedef gboolean (*RefusedFunc) (EditWork *work, GError **error);

static void
assert_always_refused (Edit *edit, RefusedFunc func)
{
  static const ByteSourceClass flaky_class = { .read = flaky_read };
  ByteSource *sound = edit->work->source;

  for (guint n = 0;; n++)
    {
      FlakySource flaky
          = { .base = { .klass = &flaky_class, .size = sound->size },
              .below = sound,
              .n = n };
      g_autoptr (GError) error = NULL;

      edit_refusals_clear (&edit->work->refusals);
      edit_refusals_init (&edit->work->refusals);
      edit_plan_free (edit->work->plan);
      edit->work->plan = edit_plan_new ();
      edit_judgement_free (g_steal_pointer (&edit->work->after));
      edit_plan_free (g_steal_pointer (&edit->work->whole_plan));
      edit->work->source = &flaky.base;
      g_test_message ("read %u", n);
      g_assert_false (func (edit->work, &error)
                      && edit_work_judge (edit->work, &error));
      edit->work->source = sound;
      if (flaky.n < n)
        return;
    }
}

static gboolean
apply_version (EditWork *work, GError **error)
{
  static const char text[] = EDIT_PLAN_MAGIC "test\n0x7: 03 -> 02\nsync\n";
  g_autoptr (EditPlan) plan = edit_plan_parse (text, strlen (text), error);
  gboolean interrupted;

  return edit_apply (work, plan, FALSE, &interrupted, error);
}

/* A plan that changes the version is refused whatever cannot be read. */
static void
test_apply_unreadable (void)
{
  g_auto (Edit) edit = { 0 };

  edit_open (&edit, &plain);
  assert_always_refused (&edit, apply_version);
}

/* Without an offset of the directory, or with 0, only the first cluster may be
 * written to. */
static void
test_apply_regions (void)
{
  static const guint8 data[24] = { [3] = 1, [13] = 0x20 };
  static const guint32 lengths[] = { 16, 24 };
  static const char text[] = EDIT_PLAN_MAGIC "test\n0x600: 00 -> 01\nsync\n";
  g_autoptr (EditPlan) plan = edit_plan_parse (text, strlen (text), NULL);

  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++)
    {
      const ExtensionSpec extension = { 0x23852875, lengths[i], data };
      const ImageSpec spec = { .cluster_bits = 9,
                               .size = 0x100000,
                               .extensions = &extension,
                               .n_extensions = 1 };
      Image *image = image_build_spec (&spec);
      g_auto (Edit) edit = { 0 };
      g_autoptr (GError) error = NULL;
      gboolean interrupted;

      image_put_be (image, 0x600, 8, 0);
      edit_open_image (&edit, image);
      edit_apply (edit.work, plan, FALSE, &interrupted, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (edit.work->refusals.final, ==,
                       "0x600: the plan writes outside of the first cluster "
                       "and the bitmap directory");
    }
}

static gboolean
remove_shared (EditWork *work, GError **error)
{
  g_auto (EditRemoval) removal = { 0 };
  g_autoptr (Qcow2Directory) directory
      = qcow2_directory_open_checked (work->image, work->findings, error);

  return directory != NULL
         && edit_remove_bitmap (work, directory, 0, &removal, error);
}

/* A directory in a cluster that is the guest's, too. */
static void
test_remove_unreadable (void)
{
  static const GuestRange guest[] = { { 0, 1 } };
  const ImageSpec spec = { .cluster_bits = 9,
                           .size = 0x100000,
                           .bitmaps = pair,
                           .n_bitmaps = 2,
                           .guest = guest,
                           .n_guest = 1 };
  g_auto (Edit) edit = { 0 };

  edit_open (&edit, &spec);
  const guint64 directory = image_get_be (edit.image, 0x88, 8);
  const guint64 l1 = image_get_be (edit.image, 0x28, 8);
  const guint64 l2 = image_get_be (edit.image, l1, 8)
                     & G_GUINT64_CONSTANT (0x00fffffffffffe00);
  image_put_be (edit.image, l2, 8,
                directory | G_GUINT64_CONSTANT (0x8000000000000000));
  edit.work->mode.force = TRUE;
  assert_always_refused (&edit, remove_shared);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/header-edit/fields", test_fields);
  g_test_add_func ("/header-edit/too-large", test_too_large);
  g_test_add_func ("/header-edit/add", test_add);
  g_test_add_func ("/header-edit/add-short", test_add_short);
  g_test_add_func ("/header-edit/add-sectors", test_add_sectors);
  g_test_add_func ("/header-edit/add-before-name", test_add_before_name);
  g_test_add_func ("/header-edit/full", test_full);
  g_test_add_func ("/header-edit/delete", test_delete);
  g_test_add_func ("/header-edit/delete-before-name", test_delete_before_name);
  g_test_add_func ("/header-edit/delete-none", test_delete_none);
  g_test_add_func ("/header-edit/move-bitmaps", test_move_bitmaps);
  g_test_add_func ("/bitmap-edit/first", test_remove_first);
  g_test_add_func ("/bitmap-edit/last", test_remove_last);
  g_test_add_func ("/bitmap-edit/unreadable", test_remove_unreadable);
  g_test_add_func ("/apply/regions", test_apply_regions);
  g_test_add_func ("/apply/unreadable", test_apply_unreadable);

  return g_test_run ();
}
