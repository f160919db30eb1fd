/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Byte sources, including files, and the window on a source. */

#include "config.h"

#include "qcow2/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "qcow2/error.h"

#define RUNNING_SLOWLY (g_getenv ("QCOW2TOOL_SLOW") != NULL)

/* The value of each byte depends on its offset: see byte_at (). */
typedef struct
{
  ByteSource base;
  gsize max_read;
  guint n_interrupts;
  guint64 bad_start;
  guint64 bad_end;
  gboolean gives_rest; /* a read returns bytes before the bad ones */
  guint n_bad;         /* reads that touched bad bytes */
  guint64 end;
  guint n_reads;
  guint64 last_start;
  gsize last_len;
  guint n_freed;
} Fake;

static guint8
byte_at (guint64 offset)
{
  return (guint8) (offset * 167 + offset / 256);
}

static gssize
fake_read (ByteSource *source, guint64 offset, guint8 *buffer, gsize len)
{
  Fake *self = (Fake *) source;

  self->n_reads++;
  self->last_start = offset;
  self->last_len = len;
  if (self->n_interrupts > 0)
    {
      self->n_interrupts--;
      errno = EINTR;
      return -1;
    }
  if (offset < self->bad_end && offset + len > self->bad_start)
    {
      self->n_bad++;
      if (self->gives_rest && offset < self->bad_start)
        len = (gsize) (self->bad_start - offset);
      else
        {
          errno = EIO;
          return -1;
        }
    }

  const gsize n = (gsize) MIN (MIN (len, self->max_read),
                               self->end - MIN (offset, self->end));
  for (gsize i = 0; i < n; i++)
    buffer[i] = byte_at (offset + i);

  return (gssize) n;
}

static void
fake_free (ByteSource *source)
{
  ((Fake *) source)->n_freed++;
}

static const ByteSourceClass fake_class
    = { .read = fake_read, .free = fake_free };

#define FAKE(n)                                                               \
  {                                                                           \
    .base = { .klass = &fake_class, .size = (n) }, .max_read = G_MAXSIZE,     \
    .end = (n)                                                                \
  }

static void
assert_bytes_at (const guint8 *bytes, guint64 offset, gsize len)
{
  for (gsize i = 0; i < len; i++)
    g_assert_cmphex (bytes[i], ==, byte_at (offset + i));
}

/* Reads LEN bytes at OFFSET and asserts that they are right. */
static void
assert_reads (Fake *fake, guint64 offset, gsize len)
{
  g_autofree guint8 *buffer = g_malloc (len + 1);
  g_autoptr (GError) error = NULL;

  buffer[len] = 0xa5;
  g_assert_true (
      byte_source_read (&fake->base, offset, buffer, len, "thing", &error));
  g_assert_no_error (error);
  assert_bytes_at (buffer, offset, len);
  g_assert_cmphex (buffer[len], ==, 0xa5);
}

static void
assert_read_fails (Fake *fake, guint64 offset, gsize len, const char *message)
{
  g_autofree guint8 *buffer = g_malloc (len + 1);
  g_autoptr (GError) error = NULL;

  g_assert_false (
      byte_source_read (&fake->base, offset, buffer, len, "thing", &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_READ);
  g_assert_cmpstr (error->message, ==, message);
}

static void
test_memory (void)
{
  g_autoptr (GBytes) bytes = g_bytes_new ("0123456789", 10);
  g_autoptr (ByteSource) source = byte_source_new_memory (bytes);
  g_autoptr (GError) error = NULL;
  char buffer[10];

  g_assert_cmpuint (byte_source_get_size (source), ==, 10);
  g_assert_true (byte_source_read (source, 3, buffer, 7, "thing", &error));
  g_assert_cmpmem (buffer, 7, "3456789", 7);
}

static void
test_memory_keeps_bytes (void)
{
  GBytes *bytes = g_bytes_new ("abc", 3);
  g_autoptr (ByteSource) source = byte_source_new_memory (bytes);
  char buffer[3];

  g_bytes_unref (bytes);
  g_assert_true (byte_source_read (source, 0, buffer, 3, "thing", NULL));
  g_assert_cmpmem (buffer, 3, "abc", 3);
}

static void
test_free (void)
{
  Fake fake = FAKE (1);

  byte_source_free (&fake.base);
  g_assert_cmpuint (fake.n_freed, ==, 1);
  byte_source_free (NULL);
}

static void
test_read_all (void)
{
  Fake fake = FAKE (1000);

  assert_reads (&fake, 0, 1000);
  g_assert_cmpuint (fake.n_reads, ==, 1);
}

static void
test_read_at_end (void)
{
  Fake fake = FAKE (1000);

  assert_reads (&fake, 999, 1);
  assert_reads (&fake, 1000, 0);
  g_assert_cmpuint (fake.n_reads, ==, 1);
}

/* A read after the end is a bug in the caller, not damage in the image. */
static void
read_outside (guint64 offset, gsize len)
{
  Fake fake = FAKE (1000);
  guint8 buffer[2];

  byte_source_read (&fake.base, offset, buffer, len, "thing", NULL);
}

static void
test_read_outside (gconstpointer data)
{
  static const struct
  {
    guint64 offset;
    gsize len;
  } ranges[] = { { 999, 2 }, { 1000, 1 }, { 1001, 0 }, { G_MAXUINT64, 2 } };
  const guint i = GPOINTER_TO_UINT (data);

  if (g_test_subprocess ())
    {
      read_outside (ranges[i].offset, ranges[i].len);
      return;
    }

  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_failed ();
}

static void
test_short_reads (void)
{
  Fake fake = FAKE (1000);

  fake.max_read = 7;
  assert_reads (&fake, 1, 999);
  g_assert_cmpuint (fake.n_reads, ==, 143); /* 142 * 7 + 5 bytes */
}

static void
test_interrupts (void)
{
  Fake fake = FAKE (1000);

  fake.n_interrupts = 5;
  assert_reads (&fake, 10, 20);
  g_assert_cmpuint (fake.n_reads, ==, 6);
}

static void
test_interrupted_short_read (void)
{
  Fake fake = FAKE (1000);

  fake.n_interrupts = 1;
  fake.max_read = 12;
  assert_reads (&fake, 0, 20);
  g_assert_cmpuint (fake.n_reads, ==, 3);
}

/* An end of file is reported as such, even after an interrupted read. */
static void
test_end_after_interrupt (void)
{
  Fake fake = FAKE (1000);
  g_autoptr (GError) error = NULL;
  guint8 bytes[10];

  fake.n_interrupts = 1;
  fake.end = 0;
  g_assert_false (
      byte_source_read (&fake.base, 0, bytes, 10, "thing", &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_READ);
  g_assert_nonnull (strstr (error->message, "[FILE-05]"));
}

static void
test_io_error (void)
{
  Fake fake = FAKE (1000);
  g_autofree char *message = g_strdup_printf (
      "0x64: thing: cannot read: %s [FILE-04]", g_strerror (EIO));

  fake.bad_start = 100;
  fake.bad_end = 101;
  assert_read_fails (&fake, 100, 50, message);
}

/* The offset is that of the read that failed, not that of the structure. */
static void
test_io_error_offset (void)
{
  Fake fake = FAKE (1000);
  g_autofree char *message = g_strdup_printf (
      "0x64: thing: cannot read: %s [FILE-04]", g_strerror (EIO));

  fake.max_read = 10;
  fake.bad_start = 150;
  fake.bad_end = 160;
  assert_read_fails (&fake, 100, 60, message);

  fake.bad_start = 120;
  fake.bad_end = 121;
  assert_reads (&fake, 121, 10);
}

static void
test_shrunk (void)
{
  Fake fake = FAKE (1000);

  fake.end = 300;
  assert_read_fails (&fake, 256, 100,
                     "0x12c: thing: the file shrank from 1000 bytes while it "
                     "was read [FILE-05]");
}

static void
test_no_error_wanted (void)
{
  Fake fake = FAKE (1000);
  guint8 buffer[10];

  fake.end = 0;
  g_assert_false (
      byte_source_read (&fake.base, 0, buffer, sizeof buffer, "thing", NULL));
}

/* A temporary folder for files of every kind. */
typedef struct
{
  char *dir;
  char *path; /* of the file that a test makes in dir */
} Folder;

static void
folder_set_up (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;

  folder->dir = g_dir_make_tmp ("source-XXXXXX", &error);
  g_assert_no_error (error);
  folder->path = g_build_filename (folder->dir, "it", NULL);
}

static void
folder_tear_down (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  if (g_unlink (folder->path) != 0)
    g_rmdir (folder->path);
  g_assert_cmpint (g_rmdir (folder->dir), ==, 0);
  g_free (folder->path);
  g_free (folder->dir);
}

static void
write_file (const Folder *folder, const char *text, gsize len)
{
  g_autoptr (GError) error = NULL;

  g_file_set_contents (folder->path, text, (gssize) len, &error);
  g_assert_no_error (error);
}

static void
assert_refused (const char *path, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (ByteSource) source = byte_source_open_file (path, &error);

  g_assert_null (source);
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_OPEN);
  g_assert_cmpstr (error->message, ==, message);
}

static void
assert_cannot_open (const char *path, int errnum)
{
  g_autofree char *message
      = g_strdup_printf ("cannot open: %s", g_strerror (errnum));

  assert_refused (path, message);
}

static void
assert_opens (const char *path, guint64 size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (ByteSource) source = byte_source_open_file (path, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (byte_source_get_size (source), ==, size);
}

static void
test_file (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  char buffer[4];

  write_file (folder, "0123456789", 10);
  g_autoptr (ByteSource) source = byte_source_open_file (folder->path, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (byte_source_get_size (source), ==, 10);
  g_assert_true (byte_source_read (source, 6, buffer, 4, "thing", &error));
  g_assert_cmpmem (buffer, 4, "6789", 4);
  g_assert_true (byte_source_read (source, 0, buffer, 4, "thing", &error));
  g_assert_cmpmem (buffer, 4, "0123", 4);
}

/* A source does not decide whether an empty file is an image. */
static void
test_file_empty (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  write_file (folder, "", 0);
  assert_opens (folder->path, 0);
}

static void
test_file_large (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  const guint64 size = G_GUINT64_CONSTANT (0x200000000);
  guint8 last = 0xff;

  write_file (folder, "", 0);
  g_assert_cmpint (truncate (folder->path, (off_t) size), ==, 0);
  g_autoptr (ByteSource) source = byte_source_open_file (folder->path, NULL);

  g_assert_nonnull (source);
  g_assert_cmpuint (byte_source_get_size (source), ==, size);
  g_assert_true (byte_source_read (source, size - 1, &last, 1, "thing", NULL));
  g_assert_cmphex (last, ==, 0);
}

static void
test_file_shrinks (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  char buffer[10];

  write_file (folder, "0123456789", 10);
  g_autoptr (ByteSource) source = byte_source_open_file (folder->path, NULL);
  g_assert_cmpint (truncate (folder->path, 4), ==, 0);

  g_assert_false (byte_source_read (source, 0, buffer, 10, "thing", &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_READ);
  g_assert_cmpstr (error->message, ==,
                   "0x4: thing: the file shrank from 10 bytes while it was "
                   "read [FILE-05]");
  g_assert_cmpuint (byte_source_get_size (source), ==, 10);
}

static void
test_file_read_only (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  write_file (folder, "abc", 3);
  g_assert_cmpint (g_chmod (folder->path, 0444), ==, 0);
  assert_opens (folder->path, 3);
}

static void
test_symlink (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *target = g_build_filename (folder->dir, "target", NULL);

  g_assert_true (g_file_set_contents (target, "abc", 3, NULL));
  g_assert_cmpint (symlink ("target", folder->path), ==, 0);
  assert_opens (folder->path, 3);
  g_unlink (target);
  assert_cannot_open (folder->path, ENOENT);
}

static void
test_symlink_loop (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  g_assert_cmpint (symlink ("it", folder->path), ==, 0);
  assert_cannot_open (folder->path, ELOOP);
}

static void
test_missing (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  assert_cannot_open (folder->path, ENOENT);
}

static void
test_empty_name (void)
{
  assert_cannot_open ("", ENOENT);
}

static void
test_forbidden (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  if (geteuid () == 0)
    {
      g_test_skip ("root may read everything");
      return;
    }

  write_file (folder, "abc", 3);
  g_assert_cmpint (g_chmod (folder->path, 0), ==, 0);
  assert_cannot_open (folder->path, EACCES);
}

static void
test_directory (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  assert_refused (folder->dir,
                  "is a directory, not a file or block device [FILE-01]");
}

/* Opening a FIFO that has no writer would block. */
static void
test_fifo (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  g_assert_cmpint (mkfifo (folder->path, 0600), ==, 0);
  assert_refused (folder->path,
                  "is a FIFO, not a file or block device [FILE-01]");
}

static void
test_socket (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  const int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (fd, >=, 0);
  if (g_strlcpy (address.sun_path, folder->path, sizeof address.sun_path)
      >= sizeof address.sun_path)
    g_test_skip ("the path is too long for a socket");
  else
    {
      g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address),
                       ==, 0);
      assert_refused (folder->path,
                      "is a socket, not a file or block device [FILE-01]");
    }
  close (fd);
}

static void
test_character_device (void)
{
  const char *message
      = "is a character device, not a file or block device [FILE-01]";

  assert_refused ("/dev/null", message);
  assert_refused ("/dev/zero", message);
}

/* The file can be examined but not opened, because no more files may be open.
 */
static void
test_too_many_open (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  struct rlimit before;

  write_file (folder, "abc", 3);
  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &before), ==, 0);
  const struct rlimit none = { 0, before.rlim_max };
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &none), ==, 0);
  g_autoptr (GError) error = NULL;
  g_autoptr (ByteSource) source = byte_source_open_file (folder->path, &error);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &before), ==, 0);

  g_autofree char *message
      = g_strdup_printf ("cannot open: %s", g_strerror (EMFILE));
  g_assert_null (source);
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_OPEN);
  g_assert_cmpstr (error->message, ==, message);
}

/* A regular file by its type, but one without an end. */
static void
test_no_end (void)
{
  const char *path = "/proc/self/status";
  const int fd = open (path, O_RDONLY | O_CLOEXEC);

  if (fd < 0 || lseek (fd, 0, SEEK_END) >= 0)
    g_test_skip ("there is no file without an end");
  else
    assert_cannot_open (path, EINVAL);
  if (fd >= 0)
    close (fd);
}

/* A thread makes a link point to a file and to a folder in turn. */
typedef struct
{
  const Folder *folder;
  gint stop;
} Changing;

static gpointer
change_link (gpointer data)
{
  Changing *changing = data;
  const Folder *folder = changing->folder;
  g_autofree char *next = g_build_filename (folder->dir, "next", NULL);

  for (guint i = 0; g_atomic_int_get (&changing->stop) == 0; i++)
    {
      g_assert_cmpint (symlink (i % 2 == 0 ? "file" : ".", next), ==, 0);
      g_assert_cmpint (g_rename (next, folder->path), ==, 0);
    }
  return NULL;
}

/* A folder is never opened as a source, even if the name refers to a file one
 * moment and to a folder the next. */
static void
test_changing (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *file = g_build_filename (folder->dir, "file", NULL);
  Changing changing = { .folder = folder };
  const guint n = RUNNING_SLOWLY ? 1000 : 100000;
  guint n_opened = 0;

  g_assert_true (g_file_set_contents (file, "abc", 3, NULL));
  g_assert_cmpint (symlink ("file", folder->path), ==, 0);
  GThread *thread = g_thread_new ("change", change_link, &changing);
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (ByteSource) source
          = byte_source_open_file (folder->path, &error);

      n_opened += source != NULL;
      if (source != NULL)
        g_assert_cmpuint (byte_source_get_size (source), ==, 3);
      else
        g_assert_cmpstr (
            error->message, ==,
            "is a directory, not a file or block device [FILE-01]");
    }
  g_atomic_int_set (&changing.stop, 1);
  g_thread_join (thread);
  g_unlink (file);
  g_test_message ("%u of %u were opened", n_opened, n);
}

/* A lock through another open file covers only the byte that it is on. */
static void
test_lock (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
#ifdef F_OFD_SETLK
  struct flock lock = {
    .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 101, .l_len = 1
  };

  write_file (folder, "abc", 3);
  g_autoptr (ByteSource) source = byte_source_open_file (folder->path, NULL);
  g_assert_cmpuint (byte_source_probe_lock (source, 101), ==,
                    BYTE_SOURCE_UNLOCKED);

  const int fd = open (folder->path, O_RDONLY | O_CLOEXEC);
  g_assert_cmpint (fd, >=, 0);
  if (fcntl (fd, F_OFD_SETLK, &lock) != 0)
    g_test_skip ("nothing can be locked here");
  else
    {
      g_assert_cmpuint (byte_source_probe_lock (source, 100), ==,
                        BYTE_SOURCE_UNLOCKED);
      g_assert_cmpuint (byte_source_probe_lock (source, 101), ==,
                        BYTE_SOURCE_LOCKED);
      g_assert_cmpuint (byte_source_probe_lock (source, 102), ==,
                        BYTE_SOURCE_UNLOCKED);
    }
  close (fd);

  /* No file has such an offset, so that the state of the lock is unknown. */
  g_assert_cmpuint (byte_source_probe_lock (source, G_MAXUINT64), ==,
                    BYTE_SOURCE_LOCK_UNKNOWN);
#else
  g_test_skip ("there are no such locks");
#endif
}

/* A source has changed after a write to it or a change of its attributes, but
 * not by itself. */
static void
test_has_changed (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  const struct timespec times[] = { { 1, 0 }, { 1, 0 } };
  const struct timespec later[] = { { 1, 0 }, { 1, 1 } };

  write_file (folder, "abc", 3);
  g_assert_cmpint (utimensat (AT_FDCWD, folder->path, times, 0), ==, 0);

  g_autoptr (ByteSource) longer = byte_source_open_file (folder->path, NULL);
  g_assert_false (byte_source_has_changed (longer));
  const int fd = open (folder->path, O_WRONLY | O_APPEND | O_CLOEXEC);
  g_assert_cmpint (write (fd, "d", 1), ==, 1);
  g_assert_true (byte_source_has_changed (longer));

  g_autoptr (ByteSource) touched = byte_source_open_file (folder->path, NULL);
  g_assert_false (byte_source_has_changed (touched));
  g_assert_cmpint (futimens (fd, later), ==, 0);
  g_assert_true (byte_source_has_changed (touched));
  close (fd);

  g_autoptr (GBytes) bytes = g_bytes_new ("abc", 3);
  g_autoptr (ByteSource) memory = byte_source_new_memory (bytes);
  g_assert_false (byte_source_has_changed (memory));
}

/* Asserts that WINDOW returns the right LEN bytes at OFFSET, and returns them.
 */
static const guint8 *
assert_window_gives (ByteWindow *window, guint64 offset, gsize len)
{
  g_autoptr (GError) error = NULL;
  const guint8 *bytes = byte_window_get (window, offset, len, "thing", &error);

  g_assert_no_error (error);
  g_assert_nonnull (bytes);
  assert_bytes_at (bytes, offset, len);
  return bytes;
}

static void
test_window_end (void)
{
  Fake fake = FAKE (1000);
  g_autoptr (ByteWindow) window = byte_window_new (&fake.base, 900);

  g_assert_cmpuint (byte_window_get_end (window), ==, 900);
  byte_window_set_end (window, 1001);
  g_assert_cmpuint (byte_window_get_end (window), ==, 1000);
  byte_window_set_end (window, G_MAXUINT64);
  g_assert_cmpuint (byte_window_get_end (window), ==, 1000);
}

static void
assert_last_read (const Fake *fake, guint64 start, guint64 len)
{
  g_assert_cmpuint (fake->last_start, ==, start);
  g_assert_cmpuint (fake->last_len, ==, len);
}

/* The first read ends with the sector, or with what is asked for.  A block is
 * read where a reader continues or wants more, and nowhere else. */
static void
test_window_block (void)
{
  Fake fake = FAKE (1000000);
  g_autoptr (ByteWindow) window = byte_window_new (&fake.base, 1000000);
  gsize n = 0;

  assert_window_gives (window, 5000, 8);
  assert_last_read (&fake, 5000, 8192 - 5000);
  assert_window_gives (window, 8190, 4);
  assert_last_read (&fake, 8190, BYTE_WINDOW_SIZE);
  assert_window_gives (window, 8190 + BYTE_WINDOW_SIZE, 8);
  assert_last_read (&fake, 8190 + BYTE_WINDOW_SIZE, BYTE_WINDOW_SIZE);
  assert_window_gives (window, 500000, 5000);
  assert_last_read (&fake, 500000, 5000);
  assert_window_gives (window, 600001, 8);
  assert_last_read (&fake, 600001, 602112 - 600001);
  byte_window_get_available (window, 700001, 8, 8, &n, "thing", NULL);
  assert_last_read (&fake, 700001, 700416 - 700001);
  byte_window_get_available (window, 800001, 8, 8192, &n, "thing", NULL);
  assert_last_read (&fake, 800001, BYTE_WINDOW_SIZE);
}

/* Bytes that were read with their neighbours are not read again. */
static void
test_window_neighbours (void)
{
  Fake fake = FAKE (1000000);
  g_autoptr (ByteWindow) window = byte_window_new (&fake.base, 1000000);

  assert_window_gives (window, 5000, 8);
  assert_window_gives (window, 5008, 24);
  g_assert_cmpuint (fake.n_reads, ==, 1);
  assert_window_gives (window, 5000, BYTE_WINDOW_SIZE);
  assert_window_gives (window, 5000 + BYTE_WINDOW_SIZE - 1, 1);
  assert_window_gives (window, 5000 + BYTE_WINDOW_SIZE, 0);
  g_assert_cmpuint (fake.n_reads, ==, 2);
}

/* Bytes in the window are returned without another read, in whole units. */
static void
test_window_some (void)
{
  Fake fake = FAKE (1000000);
  g_autoptr (ByteWindow) window = byte_window_new (&fake.base, 1000000);
  const gsize most = BYTE_WINDOW_SIZE - 8;
  gsize n = 0;

  assert_window_gives (window, 5000, BYTE_WINDOW_SIZE);
  const guint8 *bytes
      = byte_window_get_available (window, 5001, 8, 200000, &n, "thing", NULL);
  g_assert_cmpuint (n, ==, most);
  assert_bytes_at (bytes, 5001, n);
  byte_window_get_available (window, 5001, 8, 16, &n, "thing", NULL);
  g_assert_cmpuint (n, ==, 16);
  g_assert_cmpuint (fake.n_reads, ==, 1);

  /* The window has only part of the next unit. */
  bytes = byte_window_get_available (window, 5001 + most, 8, 24, &n, "thing",
                                     NULL);
  g_assert_cmpuint (n, ==, 24);
  assert_bytes_at (bytes, 5001 + most, n);
  g_assert_cmpuint (fake.n_reads, ==, 2);

  fake.bad_end = 1000000;
  g_assert_null (
      byte_window_get_available (window, 900000, 8, 8, &n, "thing", NULL));
}

static void
test_window_moves (void)
{
  Fake fake = FAKE (1000000);
  g_autoptr (ByteWindow) window = byte_window_new (&fake.base, 1000000);

  assert_window_gives (window, 5000, 8);
  assert_window_gives (window, 4999, 1);
  g_assert_cmpuint (fake.n_reads, ==, 2);
  assert_window_gives (window, 4999 + BYTE_WINDOW_SIZE - 1, 2);
  g_assert_cmpuint (fake.n_reads, ==, 3);
  assert_window_gives (window, 5000, 8);
  g_assert_cmpuint (fake.n_reads, ==, 4);
}

/* A copy continues with zeroes after the end of the window, which may be
 * before the end of the source. */
static void
test_window_copy (void)
{
  static const struct
  {
    guint64 offset;
    gsize n; /* bytes of 16 that are not zeroes */
  } rows[] = { { 800, 16 }, { 884, 16 }, { 885, 15 }, { 899, 1 },
               { 900, 0 },  { 901, 0 },  { 2000, 0 }, { G_MAXUINT64, 0 } };
  Fake fake = FAKE (1000);
  g_autoptr (ByteWindow) window = byte_window_new (&fake.base, 900);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      static const guint8 zeroes[16];
      guint8 buffer[sizeof zeroes];

      memset (buffer, 0xff, sizeof buffer);
      g_assert_true (byte_window_copy (window, rows[i].offset, buffer,
                                       sizeof buffer, "thing", NULL));
      assert_bytes_at (buffer, rows[i].offset, rows[i].n);
      g_assert_cmpmem (buffer + rows[i].n, sizeof buffer - rows[i].n, zeroes,
                       sizeof buffer - rows[i].n);
    }
}

static void
test_window_stops_at_end (void)
{
  Fake fake = FAKE (1000);
  g_autoptr (ByteWindow) window = byte_window_new (&fake.base, 900);

  assert_window_gives (window, 800, 100);
  g_assert_cmpuint (fake.last_start + fake.last_len, ==, 900);
  assert_window_gives (window, 900, 0);
}

static void
test_window_end_grows (void)
{
  Fake fake = FAKE (1000);
  g_autoptr (ByteWindow) window = byte_window_new (&fake.base, 900);

  assert_window_gives (window, 800, 100);
  byte_window_set_end (window, 1000);
  assert_window_gives (window, 800, 200);
}

static void
test_window_last_bytes (void)
{
  Fake fake = FAKE (1000);
  g_autoptr (ByteWindow) window = byte_window_new (&fake.base, G_MAXUINT64);

  assert_window_gives (window, 999, 1);
  assert_window_gives (window, 1000, 0);
}

/* A bad sector next to the requested bytes is not an error. */
static void
test_window_bad_neighbour (void)
{
  Fake fake = FAKE (1000000);
  g_autoptr (ByteWindow) window = byte_window_new (&fake.base, 1000000);

  fake.bad_start = 5008;
  fake.bad_end = 5512;
  assert_window_gives (window, 5000, 8);
  g_assert_cmpuint (fake.last_len, ==, 8);
}

/* On a disk, each read of a bad sector takes a second.  Reading up to the
 * sector unit by unit touches it only a few times, whether or not a failing
 * read returns the bytes before it. */
static void
test_window_spares_bad_sector (void)
{
  const guint64 bad = G_GUINT64_CONSTANT (65536 + 12 * 4096);

  for (guint rest = 0; rest <= 1; rest++)
    {
      Fake fake = FAKE (1000000);
      g_autoptr (ByteWindow) window = byte_window_new (&fake.base, 1000000);
      g_autoptr (GError) error = NULL;

      fake.bad_start = bad;
      fake.bad_end = bad + 4096;
      fake.gives_rest = rest;
      for (guint64 at = 65536; at < bad; at += 8)
        assert_window_gives (window, at, 8);
      /* Once for a block, or once for each of twelve pages. */
      g_assert_cmpuint (fake.n_bad, <=, rest ? 2 : 12);
      g_assert_null (byte_window_get (window, bad, 8, "thing", &error));
      g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_READ);
      g_assert_cmpuint (fake.n_bad, <=, (rest ? 2 : 12) + 3);
    }
}

/* A read that failed is not repeated, and bytes in the window are not read. */
static void
test_window_tries_once (void)
{
  Fake fake = FAKE (1000);
  g_autoptr (ByteWindow) window = byte_window_new (&fake.base, 1000);

  fake.bad_start = 950;
  fake.bad_end = 951;
  g_assert_null (byte_window_get (window, 900, 100, "thing", NULL));
  g_assert_cmpuint (fake.n_reads, ==, 1);

  /* One read returns the bytes, a second one fails. */
  fake.gives_rest = TRUE;
  fake.n_reads = 0;
  assert_window_gives (window, 900, 50);
  g_assert_cmpuint (fake.n_reads, ==, 2);
}

/* Bytes that a block read returned before it failed must not be taken for the
 * requested ones. */
static void
test_window_after_bad_neighbour (void)
{
  Fake fake = FAKE (1000000);
  g_autoptr (ByteWindow) window = byte_window_new (&fake.base, 1000000);
  g_autoptr (GError) error = NULL;

  fake.max_read = 100;
  fake.bad_start = 5208;
  fake.bad_end = 5512;
  assert_window_gives (window, 5000, 8);
  assert_window_gives (window, 5008, 16);
  g_assert_null (byte_window_get (window, 5200, 16, "thing", &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_READ);
}

static void
test_window_bad_bytes (void)
{
  Fake fake = FAKE (1000000);
  g_autoptr (ByteWindow) window = byte_window_new (&fake.base, 1000000);
  g_autoptr (GError) error = NULL;

  fake.bad_start = 5007;
  fake.bad_end = 5008;
  g_assert_null (byte_window_get (window, 5000, 8, "thing", &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_READ);
  assert_window_gives (window, 5008, 8);
}

/* After a failed read, the window is empty: it keeps neither bytes from that
 * read nor older ones. */
static void
test_window_forgets (void)
{
  Fake fake = FAKE (1000000);
  g_autoptr (ByteWindow) window = byte_window_new (&fake.base, 1000000);

  assert_window_gives (window, 0, 8);
  fake.bad_end = 1000000;
  g_assert_null (byte_window_get (window, 500000, 8, "thing", NULL));
  g_assert_null (byte_window_get (window, 500000, 8, "thing", NULL));
  g_assert_null (byte_window_get (window, 0, 8, "thing", NULL));
  fake.bad_end = 0;
  assert_window_gives (window, 500000, 8);
}

static void
test_window_shrunk_ahead (void)
{
  Fake fake = FAKE (1000000);
  g_autoptr (ByteWindow) window = byte_window_new (&fake.base, 1000000);
  g_autoptr (GError) error = NULL;

  fake.end = 5008;
  assert_window_gives (window, 5000, 8);
  g_assert_null (byte_window_get (window, 5008, 1, "thing", &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_READ);
}

static void
test_window_free_null (void)
{
  byte_window_free (NULL);
}

/* Reads the LEN bytes at OFFSET of FAKE, with a window of their own that ends
 * with them, and asserts that they are right. */
static void
assert_is_there (Fake *fake, guint64 offset, gsize len)
{
  g_autoptr (ByteWindow) window = byte_window_new (&fake->base, offset + len);

  assert_window_gives (window, offset, len);
}

/* Bytes that one window has read are not read again, neither by others nor by
 * byte_source_read (). */
static void
test_cache_shared (void)
{
  Fake fake = FAKE (1000000);
  g_autoptr (ByteSource) source = &fake.base;

  byte_source_use_cache (source);
  assert_is_there (&fake, 5000, 100);
  assert_reads (&fake, 5000, 100);
  assert_is_there (&fake, 5099, 1);
  assert_is_there (&fake, 5100, 0);
  assert_is_there (&fake, 6000, 0);
  g_assert_cmpuint (fake.n_reads, ==, 1);
  assert_is_there (&fake, 5099, 2);
  g_assert_cmpuint (fake.n_reads, ==, 2);
  assert_is_there (&fake, 4999, 2);
  g_assert_cmpuint (fake.n_reads, ==, 3);
  assert_reads (&fake, 8000, 8);
  assert_last_read (&fake, 8000, 192);
  assert_is_there (&fake, 8100, 92);
  g_assert_cmpuint (fake.n_reads, ==, 4);
}

static void
test_cache_unused (void)
{
  Fake fake = FAKE (1000000);

  assert_is_there (&fake, 5000, 100);
  assert_is_there (&fake, 5000, 100);
  g_assert_cmpuint (fake.n_reads, ==, 2);
}

static void
assert_streams (Fake *fake, guint64 offset, gsize len)
{
  g_autoptr (ByteWindow) window
      = byte_window_new_streaming (&fake->base, offset + len);

  assert_window_gives (window, offset, len);
}

/* A streaming window uses what is there, and leaves nothing. */
static void
test_cache_streaming (void)
{
  Fake fake = FAKE (1000000);
  g_autoptr (ByteSource) source = &fake.base;

  byte_source_use_cache (source);
  assert_streams (&fake, 5000, 100);
  assert_streams (&fake, 5000, 100);
  assert_is_there (&fake, 5000, 100);
  g_assert_cmpuint (fake.n_reads, ==, 3);
  assert_streams (&fake, 5000, 100);
  g_assert_cmpuint (fake.n_reads, ==, 3);
}

/* The oldest pieces make room: there are at most 256 KiB, and 32 pieces. */
static void
test_cache_limits (void)
{
  Fake fake = FAKE (10000000);
  g_autoptr (ByteSource) source = &fake.base;
  const gsize large = 64 * 1024;

  byte_source_use_cache (source);
  for (guint i = 0; i < 5; i++)
    assert_is_there (&fake, i * large, large);
  g_assert_cmpuint (fake.n_reads, ==, 5);
  for (guint i = 1; i < 5; i++)
    assert_is_there (&fake, i * large, large);
  g_assert_cmpuint (fake.n_reads, ==, 5);
  assert_is_there (&fake, 0, large);
  g_assert_cmpuint (fake.n_reads, ==, 6);

  for (guint i = 0; i < 33; i++)
    assert_is_there (&fake, 1000000 + i * 8, 8);
  g_assert_cmpuint (fake.n_reads, ==, 39);
  for (guint i = 1; i < 33; i++)
    assert_is_there (&fake, 1000000 + i * 8, 8);
  g_assert_cmpuint (fake.n_reads, ==, 39);
  assert_is_there (&fake, 1000000, 8);
  g_assert_cmpuint (fake.n_reads, ==, 40);
}

/* Reads the first LEN bytes of a structure of SIZE bytes. */
static void
assert_begins (Fake *fake, guint64 size, gsize len)
{
  g_autoptr (ByteWindow) window = byte_window_new (&fake->base, size);

  assert_window_gives (window, 0, len);
}

/* Large pieces are kept only of a structure of at most 192 KiB. */
static void
test_cache_structures (void)
{
  Fake fake = FAKE (10000000);
  g_autoptr (ByteSource) source = &fake.base;
  const gsize small = 32 * 1024;

  byte_source_use_cache (source);
  assert_begins (&fake, 10000000, small + 1);
  assert_begins (&fake, 192 * 1024 + 1, small + 1);
  assert_begins (&fake, 192 * 1024, small + 1);
  g_assert_cmpuint (fake.n_reads, ==, 3);
  assert_begins (&fake, 192 * 1024 + 1, small + 1);
  g_assert_cmpuint (fake.n_reads, ==, 3);
  assert_begins (&fake, 10000000, small + 2);
  assert_begins (&fake, 10000000, small + 2);
  g_assert_cmpuint (fake.n_reads, ==, 5);
}

static void
test_cache_small (void)
{
  Fake fake = FAKE (10000000);
  g_autoptr (ByteSource) source = &fake.base;

  byte_source_use_cache (source);
  assert_begins (&fake, 10000000, 32 * 1024);
  assert_begins (&fake, 10000000, 32 * 1024);
  g_assert_cmpuint (fake.n_reads, ==, 1);
}

/* A window that ends before a piece does not give what follows. */
static void
test_cache_after_end (void)
{
  Fake fake = FAKE (1000000);
  g_autoptr (ByteSource) source = &fake.base;
  gsize n = 0;

  byte_source_use_cache (source);
  assert_is_there (&fake, 5000, 100);
  g_autoptr (ByteWindow) window = byte_window_new (&fake.base, 5050);
  const guint8 *bytes
      = byte_window_get_available (window, 5001, 8, 99, &n, "thing", NULL);
  g_assert_cmpuint (n, ==, 48);
  assert_bytes_at (bytes, 5001, n);
  g_assert_cmpuint (fake.n_reads, ==, 1);
}

/* Nothing is kept of a read that failed; of one that gave the bytes before a
 * bad sector, these are. */
static void
test_cache_bad (void)
{
  Fake fake = FAKE (1000000);
  g_autoptr (ByteSource) source = &fake.base;

  byte_source_use_cache (source);
  g_autoptr (ByteWindow) cached = byte_window_new (&fake.base, 1000000);
  fake.bad_start = 8192;
  fake.bad_end = 12288;
  g_assert_null (byte_window_get (cached, 8200, 8, "thing", NULL));
  fake.gives_rest = TRUE;
  assert_window_gives (cached, 8100, 8);
  g_assert_null (byte_window_get (cached, 8190, 8, "thing", NULL));

  fake.bad_end = 0;
  assert_window_gives (cached, 8200, 8);
  fake.bad_end = 12288;
  const guint n_reads = fake.n_reads;
  assert_is_there (&fake, 8200, 8);
  assert_is_there (&fake, 8184, 8);
  g_assert_cmpuint (fake.n_reads, ==, n_reads);
}

static void
add_reads (void)
{
  g_test_add_func ("/source/memory", test_memory);
  g_test_add_func ("/source/memory-keeps-bytes", test_memory_keeps_bytes);
  g_test_add_func ("/source/free", test_free);
  g_test_add_func ("/source/read/all", test_read_all);
  g_test_add_func ("/source/read/at-end", test_read_at_end);
  for (guint i = 0; i < 4; i++)
    {
      g_autofree char *path = g_strdup_printf ("/source/read/outside/%u", i);

      g_test_add_data_func (path, GUINT_TO_POINTER (i), test_read_outside);
    }
  g_test_add_func ("/source/read/short", test_short_reads);
  g_test_add_func ("/source/read/interrupted", test_interrupts);
  g_test_add_func ("/source/read/end-after-interrupt",
                   test_end_after_interrupt);
  g_test_add_func ("/source/read/interrupted-short",
                   test_interrupted_short_read);
  g_test_add_func ("/source/read/io-error", test_io_error);
  g_test_add_func ("/source/read/io-error-offset", test_io_error_offset);
  g_test_add_func ("/source/read/shrunk", test_shrunk);
  g_test_add_func ("/source/read/no-error-wanted", test_no_error_wanted);
}

#define ADD(path, test)                                                       \
  g_test_add ((path), Folder, NULL, folder_set_up, (test), folder_tear_down)

static void
add_files (void)
{
  ADD ("/source/file/read", test_file);
  ADD ("/source/file/empty", test_file_empty);
  ADD ("/source/file/large", test_file_large);
  ADD ("/source/file/shrinks", test_file_shrinks);
  ADD ("/source/file/read-only", test_file_read_only);
  ADD ("/source/file/symlink", test_symlink);
  ADD ("/source/file/symlink-loop", test_symlink_loop);
  ADD ("/source/file/missing", test_missing);
  g_test_add_func ("/source/file/empty-name", test_empty_name);
  ADD ("/source/file/forbidden", test_forbidden);
  ADD ("/source/file/directory", test_directory);
  ADD ("/source/file/fifo", test_fifo);
  ADD ("/source/file/socket", test_socket);
  g_test_add_func ("/source/file/character-device", test_character_device);
  ADD ("/source/file/too-many-open", test_too_many_open);
  g_test_add_func ("/source/file/no-end", test_no_end);
  ADD ("/source/file/changing", test_changing);
  ADD ("/source/file/lock", test_lock);
  ADD ("/source/file/has-changed", test_has_changed);
}

static void
add_windows (void)
{
  g_test_add_func ("/window/end", test_window_end);
  g_test_add_func ("/window/block", test_window_block);
  g_test_add_func ("/window/neighbours", test_window_neighbours);
  g_test_add_func ("/window/some", test_window_some);
  g_test_add_func ("/window/moves", test_window_moves);
  g_test_add_func ("/window/copy", test_window_copy);
  g_test_add_func ("/window/stops-at-end", test_window_stops_at_end);
  g_test_add_func ("/window/end-grows", test_window_end_grows);
  g_test_add_func ("/window/last-bytes", test_window_last_bytes);
  g_test_add_func ("/window/bad-neighbour", test_window_bad_neighbour);
  g_test_add_func ("/window/tries-once", test_window_tries_once);
  g_test_add_func ("/window/spares-bad-sector", test_window_spares_bad_sector);
  g_test_add_func ("/window/after-bad-neighbour",
                   test_window_after_bad_neighbour);
  g_test_add_func ("/window/bad-bytes", test_window_bad_bytes);
  g_test_add_func ("/window/forgets", test_window_forgets);
  g_test_add_func ("/window/shrunk-ahead", test_window_shrunk_ahead);
  g_test_add_func ("/window/free-null", test_window_free_null);
}

static void
add_caches (void)
{
  g_test_add_func ("/cache/shared", test_cache_shared);
  g_test_add_func ("/cache/unused", test_cache_unused);
  g_test_add_func ("/cache/streaming", test_cache_streaming);
  g_test_add_func ("/cache/limits", test_cache_limits);
  g_test_add_func ("/cache/structures", test_cache_structures);
  g_test_add_func ("/cache/small", test_cache_small);
  g_test_add_func ("/cache/after-end", test_cache_after_end);
  g_test_add_func ("/cache/bad", test_cache_bad);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_reads ();
  add_files ();
  add_windows ();
  add_caches ();
  return g_test_run ();
}
