/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The input is an image and actions on it: edits as the commands make them,
 * the runs of a plan, or the text of a plan.  An edit that is not refused
 *
 * - changes only the bytes of its plan, in the first cluster or the bitmap
 *   directory, and never the size of the file,
 * - has a plan whose text is read back as the same plan,
 * - is undone by its plan, to the last byte, and
 * - is completed and undone by its plan after an interruption. */

#include "config.h"

#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buffer.h"
#include "check/directory-rules.h"
#include "edit/apply.h"
#include "edit/bitmap-edit.h"
#include "edit/error.h"
#include "edit/header-edit.h"
#include "edit/plan-parse.h"
#include "qcow2/error.h"
#include "render/plan.h"

/* The head: what the actions are, options, and their size in bytes.  The
 * actions follow, then the image. */
#define HEAD_SIZE 4
#define AT_KIND 0
#define AT_OPTIONS 1
#define AT_SIZE 2

#define OPTION_FORCE 1
#define OPTION_REVERSE 2
#define OPTION_SAVES_PLAN 4

/* The size of an action in bytes, and the number after which they are
 * ignored. */
#define ACTION_SIZE 12
#define MAX_ACTIONS 4

#define BITMAPS_MAGIC 0x23852875

typedef enum
{
  KIND_EDITS,
  KIND_RUNS,
  KIND_TEXT,
  N_KINDS
} Kind;

typedef enum
{
  ACTION_FIELD,
  ACTION_BIT,
  ACTION_ADD,
  ACTION_DELETE,
  ACTION_DELETE_INDEX,
  ACTION_BITMAP,
  N_ACTIONS
} ActionKind;

/* An edit, or a run of a plan. */
typedef struct
{
  guint8 kind;    /* modulo N_ACTIONS, or whether the run begins a step */
  guint8 choice;  /* of a field or a magic, or the length of the run */
  guint16 number; /* an index, a length, or the offset of the run */
  guint64 value;
} Action;

typedef struct
{
  const guint8 *head;
  const guint8 *actions;
  gsize size; /* of ACTIONS, in bytes */
  int fd;
  char *path; /* of FD */
} Input;

/* Plans an edit of WORK. */
typedef gboolean (*PlanFunc) (EditWork *work, gconstpointer data,
                              GError **error);

/* A plan that is carried out or undone. */
typedef struct
{
  const EditPlan *plan;
  gboolean reverse;
} Application;

const char *const fuzz_name = "plan";

/* Ends the process in a way that libFuzzer notices, unlike g_error (). */
static void G_GNUC_PRINTF (1, 2) fail (const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *message = g_strdup_vprintf (format, args);
  va_end (args);
  g_printerr ("%s\n", message);
  g_assert_not_reached ();
}

static gboolean
has_option (const Input *input, guint8 option)
{
  return (input->head[AT_OPTIONS] & option) != 0;
}

static void
write_file (const Input *input, const GByteArray *bytes)
{
  g_assert_cmpint (ftruncate (input->fd, bytes->len), ==, 0);
  g_assert_cmpint (pwrite (input->fd, bytes->data, bytes->len, 0), ==,
                   bytes->len);
}

static GByteArray *
copy_bytes (const guint8 *bytes, gsize size)
{
  GByteArray *copy = g_byte_array_sized_new ((guint) size);

  return size > 0 ? g_byte_array_append (copy, bytes, (guint) size) : copy;
}

/* Fails unless the file has the contents BYTES. */
static void
assert_file (const Input *input, const GByteArray *bytes)
{
  g_autofree guint8 *found = g_malloc (bytes->len + 1);
  const gssize size = pread (input->fd, found, bytes->len + 1, 0);

  g_assert_cmpint (size, ==, bytes->len);
  for (gsize i = 0; i < bytes->len; i++)
    {
      if (found[i] != bytes->data[i])
        fail ("the byte at 0x%" G_GSIZE_MODIFIER "x is 0x%02x, not 0x%02x", i,
              found[i], bytes->data[i]);
    }
}

/* Writes the first N_RUNS runs of PLAN to BYTES, each of which must find its
 * old bytes there. */
static void
do_runs (const EditPlan *plan, guint n_runs, GByteArray *bytes)
{
  EditPosition at = { 0, 0 };
  const EditRun *run;

  while (n_runs-- > 0 && (run = edit_plan_next_run (plan, &at)) != NULL)
    {
      const gsize size = edit_run_get_size (run);

      g_assert_cmpuint (run->offset, <=, bytes->len);
      g_assert_cmpuint (size, <=, bytes->len - run->offset);
      g_assert_cmpmem (bytes->data + run->offset, size,
                       edit_run_get_bytes (run, TRUE), size);
      memcpy (bytes->data + run->offset, edit_run_get_bytes (run, FALSE),
              size);
    }
}

/* Returns a plan that was read from the text of PLAN, which must be the same
 * plan. */
static EditPlan *
read_back (const EditPlan *plan)
{
  const PlanTitle title = { "fuzz", "image", 1 };
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  plan_append_text (text, &title, plan);
  EditPlan *copy = edit_plan_parse (text->str, text->len, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (edit_plan_get_n_steps (copy), ==,
                    edit_plan_get_n_steps (plan));
  g_assert_cmpuint (edit_plan_get_n_runs (copy), ==,
                    edit_plan_get_n_runs (plan));

  EditPosition at_a = { 0, 0 };
  EditPosition at_b = { 0, 0 };
  const EditRun *a;
  while ((a = edit_plan_next_run (plan, &at_a)) != NULL)
    {
      const EditRun *b = edit_plan_next_run (copy, &at_b);

      g_assert_cmpuint (at_a.step, ==, at_b.step);
      g_assert_cmphex (a->offset, ==, b->offset);
      g_assert_true (g_bytes_equal (a->old_bytes, b->old_bytes));
      g_assert_true (g_bytes_equal (a->new_bytes, b->new_bytes));
    }

  return copy;
}

/* Returns whether the SIZE bytes at OFFSET lie in the bitmap directory that
 * one of the extensions in IMAGE names.  CLUSTER is where they end at the
 * latest. */
static gboolean
is_in_directory (const GByteArray *image, guint64 cluster, guint64 offset,
                 gsize size)
{
  const guint64 end = MIN (cluster, image->len);
  guint64 at = buffer_load_be (image->data + 4, 4) == 2
                   ? 72
                   : buffer_load_be (image->data + 100, 4);

  while (at <= end && end - at >= 8)
    {
      const guint64 magic = buffer_load_be (image->data + at, 4);
      const guint64 length = buffer_load_be (image->data + at + 4, 4);

      if (magic == BITMAPS_MAGIC && end - at >= 32)
        {
          const guint64 directory_size
              = buffer_load_be (image->data + at + 16, 8);
          const guint64 start = buffer_load_be (image->data + at + 24, 8);

          if (offset >= start && offset - start <= directory_size
              && size <= directory_size - (offset - start))
            return TRUE;
        }
      at += 8 + (length + 7) / 8 * 8;
    }

  return FALSE;
}

/* Fails unless PLAN writes only to the first cluster of IMAGE, of which 2 MiB
 * count at most, and to its bitmap directory. */
static void
assert_regions (const EditPlan *plan, const GByteArray *image)
{
  const guint64 bits = buffer_load_be (image->data + 20, 4);
  const guint64 cluster = bits < 9 ? 112 : (guint64) 1 << MIN (bits, 21);
  EditPosition at = { 0, 0 };
  const EditRun *run;

  while ((run = edit_plan_next_run (plan, &at)) != NULL)
    {
      const gsize size = edit_run_get_size (run);

      if (run->offset + size > cluster
          && !is_in_directory (image, cluster, run->offset, size))
        fail ("a run of %" G_GSIZE_FORMAT " bytes at 0x%" G_GINT64_MODIFIER
              "x is outside",
              size, run->offset);
    }
}

static void
assert_refused (const GError *error)
{
  g_assert_nonnull (error);
  if (error->domain != EDIT_ERROR && error->domain != QCOW2_ERROR)
    fail ("an error of another domain: %s", error->message);
  g_assert_false (g_error_matches (error, EDIT_ERROR, EDIT_ERROR_WRITE));
}

/* Plans an edit with FUNC and carries it out.  Returns the plan or, if the
 * edit is refused, NULL.  BEFORE are the contents of the file. */
static EditPlan *
edit (const Input *input, const EditMode *mode, const GByteArray *before,
      PlanFunc func, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EditWork) work = edit_work_open (input->path, mode, &error);

  g_assert_no_error (error);
  if (!func (work, data, &error) || !edit_work_judge (work, &error))
    {
      assert_refused (error);
      assert_file (input, before);
      return NULL;
    }

  EditPlan *plan = edit_plan_copy (work->plan, FALSE);
  edit_work_commit (work, &error);
  g_assert_no_error (error);
  return plan;
}

static gboolean
plan_application (EditWork *work, gconstpointer data, GError **error)
{
  const Application *application = data;
  gboolean interrupted;

  return edit_apply (work, application->plan, application->reverse,
                     &interrupted, error);
}

/* Applies PLAN, or with REVERSE undoes it, to a file with the contents FROM,
 * which must become TO. */
static void
assert_applies (const Input *input, const EditPlan *plan, gboolean reverse,
                const GByteArray *from, const GByteArray *to)
{
  const EditMode mode = { .force = TRUE };
  const Application application = { plan, reverse };

  write_file (input, from);
  g_autoptr (EditPlan) done
      = edit (input, &mode, from, plan_application, &application);
  g_assert_nonnull (done);
  assert_file (input, to);
}

/* Fails unless PLAN, which was carried out on the file that was BEFORE, and
 * left it as AFTER, is undone and completed from any state. */
static void
assert_undone (const Input *input, const EditPlan *plan,
               const GByteArray *before, const GByteArray *after)
{
  const guint n_runs = edit_plan_get_n_runs (plan);

  assert_applies (input, plan, TRUE, after, before);
  assert_applies (input, plan, FALSE, before, after);
  if (n_runs < 2)
    return;

  g_autoptr (GByteArray) torn = copy_bytes (before->data, before->len);
  do_runs (plan, 1 + input->head[AT_OPTIONS] / 8 % (n_runs - 1), torn);
  assert_applies (input, plan, FALSE, torn, after);
  assert_applies (input, plan, TRUE, torn, before);
}

/* Does an edit of the file, which is as BEFORE, and changes BEFORE to what it
 * is afterwards. */
static void
try_edit (const Input *input, GByteArray *before, PlanFunc func,
          gconstpointer data)
{
  const EditMode mode
      = { .force = has_option (input, OPTION_FORCE),
          .saves_plan = has_option (input, OPTION_SAVES_PLAN) };

  write_file (input, before);
  g_autoptr (EditPlan) plan = edit (input, &mode, before, func, data);
  if (plan == NULL)
    return;

  g_autoptr (EditPlan) saved = read_back (plan);
  g_autoptr (GByteArray) after = copy_bytes (before->data, before->len);
  do_runs (plan, G_MAXUINT, after);
  assert_file (input, after);
  if (edit_plan_is_empty (plan))
    return;

  /* A plan that undoes another one is about the image that it leaves. */
  if (func != plan_application || !has_option (input, OPTION_REVERSE))
    {
      assert_regions (plan, before);
      assert_undone (input, saved, before, after);
    }
  else
    assert_regions (plan, after);
  memcpy (before->data, after->data, before->len);
}

static Action
decode_action (const guint8 *bytes)
{
  return (Action){ .kind = bytes[0],
                   .choice = bytes[1],
                   .number = (guint16) buffer_load_be (bytes + 2, 2),
                   .value = buffer_load_be (bytes + 4, 8) };
}

static guint
get_n_actions (const Input *input)
{
  return (guint) MIN (input->size / ACTION_SIZE, MAX_ACTIONS);
}

static gboolean
plan_field (EditWork *work, const Action *action, GError **error)
{
  guint n = 0;

  for (const Qcow2Field *field = qcow2_header_record.fields;
       field->name != NULL; field++)
    {
      if (field->stored && n++ == action->choice % 32)
        return edit_set_field (work, field->name, action->value, error);
    }

  return edit_set_field (work, "size", action->value, error);
}

static gboolean
plan_bit (EditWork *work, const Action *action, GError **error)
{
  static const char *const groups[]
      = { "incompatible", "compatible", "autoclear" };

  return edit_set_bit (work, groups[action->choice % G_N_ELEMENTS (groups)],
                       "bitmaps", TRUE, action->number % 65,
                       action->value % 2 == 0, error);
}

static guint32
get_magic (const Action *action)
{
  static const guint32 magics[]
      = { 0x12345678, 0x6803f857, 0xe2792aca, BITMAPS_MAGIC, 0x0537be77 };

  return magics[action->choice % G_N_ELEMENTS (magics)];
}

/* Adds an extension whose data is the value of ACTION, over and over. */
static gboolean
plan_extension (EditWork *work, const Action *action, GError **error)
{
  const gsize size = action->number % 4096;
  g_autofree guint8 *data = g_malloc (size + 1);

  for (gsize i = 0; i < size; i++)
    data[i] = (guint8) (action->value >> 8 * (7 - i % 8));

  g_autoptr (GBytes) bytes = g_bytes_new (data, size);
  return edit_add_extension (work, get_magic (action), bytes, error);
}

static gboolean
plan_bitmap (EditWork *work, const Action *action, GError **error)
{
  g_auto (EditRemoval) removal = { 0 };
  g_autoptr (Qcow2Directory) directory
      = qcow2_directory_open_checked (work->image, work->findings, error);

  return directory != NULL
         && edit_remove_bitmap (work, directory, action->number % 8, &removal,
                                error);
}

static gboolean
plan_action (EditWork *work, gconstpointer data, GError **error)
{
  const Action *action = data;

  if (!edit_work_read (work, error))
    return FALSE;

  switch ((ActionKind) (action->kind % N_ACTIONS))
    {
    case ACTION_FIELD:
      return plan_field (work, action, error);
    case ACTION_BIT:
      return plan_bit (work, action, error);
    case ACTION_ADD:
      return plan_extension (work, action, error);
    case ACTION_DELETE:
      return edit_delete_extensions (work, FALSE, get_magic (action), error);
    case ACTION_DELETE_INDEX:
      return edit_delete_extensions (work, TRUE, action->number % 8, error);
    case ACTION_BITMAP:
      return plan_bitmap (work, action, error);
    case N_ACTIONS:
      break;
    }

  g_assert_not_reached ();
}

static void
try_edits (const Input *input, GByteArray *image)
{
  for (guint i = 0; i < get_n_actions (input); i++)
    {
      const Action action = decode_action (input->actions + i * ACTION_SIZE);

      try_edit (input, image, plan_action, &action);
    }
}

/* Adds the run of ACTION to PLAN, which has left the image as in BYTES: it
 * flips the bits of the value. */
static void
add_run (EditPlan *plan, const Action *action, GByteArray *bytes)
{
  const gsize size = 1 + action->choice;
  g_autofree guint8 *new = g_malloc (size);

  if (size > bytes->len || action->number > bytes->len - size)
    return;

  guint8 *old = bytes->data + action->number;
  for (gsize i = 0; i < size; i++)
    new[i] = old[i] ^ (guint8) (action->value >> 8 * (7 - i % 8));
  if (action->kind % 2 == 0 || edit_plan_get_n_steps (plan) == 0)
    edit_plan_begin_step (plan);
  edit_plan_add (plan, action->number, old, new, size, NULL, NULL);
  memcpy (old, new, size);
}

static void
try_plan (const Input *input, const EditPlan *plan, GByteArray *image)
{
  const Application application = { plan, has_option (input, OPTION_REVERSE) };

  try_edit (input, image, plan_application, &application);
}

static void
try_runs (const Input *input, GByteArray *image)
{
  g_autoptr (EditPlan) plan = edit_plan_new ();
  g_autoptr (GByteArray) bytes = copy_bytes (image->data, image->len);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < get_n_actions (input); i++)
    {
      const Action action = decode_action (input->actions + i * ACTION_SIZE);

      add_run (plan, &action, bytes);
    }
  if (!edit_plan_check (plan, &error))
    return;

  if (has_option (input, OPTION_REVERSE))
    memcpy (image->data, bytes->data, image->len);
  try_plan (input, plan, image);
}

static void
try_text (const Input *input, GByteArray *image)
{
  g_autoptr (GString) text = g_string_new (EDIT_PLAN_MAGIC);
  g_autoptr (GError) error = NULL;

  g_string_append_len (text, (const char *) input->actions,
                       (gssize) input->size);
  g_autoptr (EditPlan) plan = edit_plan_parse (text->str, text->len, &error);
  if (plan == NULL)
    {
      g_assert_error (error, EDIT_ERROR, EDIT_ERROR_PLAN);
      return;
    }

  g_autoptr (EditPlan) copy = read_back (plan);
  try_plan (input, copy, image);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  Input input = { .head = data };

  if (size < HEAD_SIZE + 1)
    return 0;

  input.actions = data + HEAD_SIZE;
  input.size = MIN (buffer_load_be (data + AT_SIZE, 2), size - HEAD_SIZE - 1);
  input.fd = memfd_create ("image", MFD_CLOEXEC);
  g_assert_cmpint (input.fd, >=, 0);
  input.path = g_strdup_printf ("/proc/self/fd/%d", input.fd);

  g_autoptr (GByteArray) image
      = copy_bytes (input.actions + input.size, size - HEAD_SIZE - input.size);
  switch ((Kind) (data[AT_KIND] % N_KINDS))
    {
    case KIND_EDITS:
      try_edits (&input, image);
      break;
    case KIND_RUNS:
      try_runs (&input, image);
      break;
    case KIND_TEXT:
      try_text (&input, image);
      break;
    case N_KINDS:
      g_assert_not_reached ();
    }

  close (input.fd);
  g_free (input.path);
  return 0;
}

/* One call of three changes the actions, one the image, and one anything.
 * Returns the new size of the input in bytes. */
gsize
LLVMFuzzerCustomMutator (guint8 *data, gsize size, gsize max_size,
                         unsigned int seed)
{
  if (size < HEAD_SIZE + 1 || seed % 3 == 0)
    return LLVMFuzzerMutate (data, size, max_size);

  const gsize n
      = MIN (buffer_load_be (data + AT_SIZE, 2), size - HEAD_SIZE - 1);
  const gsize at = HEAD_SIZE + n;
  if (seed % 3 == 1 && n > 0)
    {
      LLVMFuzzerMutate (data + HEAD_SIZE, n, n);
      return size;
    }

  return at
         + buffer_mutate (data + at, size - at, max_size - at,
                          seed | 1ull << 40);
}

/* Appends the text of a plan that flips the lowest bits of two bytes of the
 * header and the next byte. */
static void
append_plan (GByteArray *seed, const guint8 *image)
{
  g_autofree char *text = g_strdup_printf (
      "fuzz\n0x5f: %02x -> %02x\nsync\n0x50: %02x -> %02x    # bits\n"
      "0x57: %02x -> %02x\nsync\n# done 1 2 3\n",
      image[0x5f], image[0x5f] ^ 1, image[0x50], image[0x50] ^ 1, image[0x57],
      image[0x57] ^ 1);

  g_byte_array_append (seed, (const guint8 *) text, (guint) strlen (text));
}

static void
append_action (GByteArray *seed, guint8 kind, guint8 choice, guint16 number,
               guint8 value)
{
  const guint8 bytes[ACTION_SIZE] = {
    kind, choice, (guint8) (number >> 8), (guint8) number, 0, 0, 0, 0, 0, 0,
    0,    value
  };

  g_byte_array_append (seed, bytes, sizeof bytes);
}

/* Returns a seed with IMAGE and actions of kind VARIANT.  Returns NULL for
 * other variants, or if IMAGE is too small or too large. */
GBytes *
fuzz_get_seed (const Image *image, guint variant)
{
  guint8 head[HEAD_SIZE]
      = { (guint8) variant, OPTION_FORCE | OPTION_SAVES_PLAN };

  if (variant >= N_KINDS || image->size > FUZZ_MAX_SIZE - 1024
      || image->size < 112)
    return NULL;

  g_autoptr (GBytes) bytes = image_get_bytes (image);
  const guint8 *data = g_bytes_get_data (bytes, NULL);
  GByteArray *seed = g_byte_array_new ();

  g_byte_array_append (seed, head, sizeof head);
  switch ((Kind) variant)
    {
    case KIND_EDITS:
      append_action (seed, ACTION_ADD, 0, 9, 'x');
      append_action (seed, ACTION_BITMAP, 0, 0, 0);
      append_action (seed, ACTION_BIT, 1, 42, 0);
      append_action (seed, ACTION_FIELD, 13, 0, 3);
      break;
    case KIND_RUNS:
      append_action (seed, 0, 3, 0x54, 1);
      append_action (seed, 1, 0, 0x5f, 1);
      append_action (seed, 0, 7, 0x68, 1);
      break;
    case KIND_TEXT:
      append_plan (seed, data);
      break;
    case N_KINDS:
      break;
    }
  seed->data[AT_SIZE] = (guint8) ((seed->len - HEAD_SIZE) >> 8);
  seed->data[AT_SIZE + 1] = (guint8) (seed->len - HEAD_SIZE);
  g_byte_array_append (seed, data, (guint) image->size);
  return g_byte_array_free_to_bytes (seed);
}
