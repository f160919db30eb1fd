/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/source-locks.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif

#ifdef F_OFD_GETLK

/* File systems on which another host or another mount may hold a lock that is
 * invisible here.  The numbers are from statfs (2). */
static const guint32 shared_file_systems[] = {
  0x65735546, /* FUSE, including virtiofs */
  0x6969,     /* NFS */
  0x517b,     /* SMB */
  0xff534d42, /* CIFS */
  0xfe534d42, /* SMB2 */
  0x01021997, /* 9P */
  0x00c36400, /* Ceph */
  0x5346414f, /* AFS */
  0x6b414653, /* AFS in the kernel */
  0x73757245, /* Coda */
  0x786f4256, /* VirtualBox shared folders */
  0x01161970, /* GFS2 */
  0x7461636f, /* OCFS2 */
  0x0bd00bd0, /* Lustre */
  0x47504653, /* GPFS */
  0x19830326, /* BeeGFS */
  0x20030528  /* OrangeFS */
};

static gboolean
is_shared (int fd)
{
#ifdef __linux__
  struct statfs fs;

  if (fstatfs (fd, &fs) < 0)
    return TRUE;

  for (guint i = 0; i < G_N_ELEMENTS (shared_file_systems); i++)
    {
      if ((guint32) fs.f_type == shared_file_systems[i])
        return TRUE;
    }
#else
  (void) fd;
#endif

  return FALSE;
}

/* Returns whether NAME is a loop device that is backed by the file ST. */
static gboolean
is_loop_on (const char *name, const struct stat *st)
{
  g_autofree char *file
      = g_strdup_printf ("/sys/block/%s/loop/backing_file", name);
  g_autofree char *path = NULL;
  struct stat below;

  if (!g_str_has_prefix (name, "loop")
      || !g_file_get_contents (file, &path, NULL, NULL))
    return FALSE;

  g_strchomp (path);
  return stat (path, &below) == 0 && below.st_dev == st->st_dev
         && below.st_ino == st->st_ino;
}

/* Returns whether a loop device is backed by the file ST.  Programs that write
 * to the device lock the device, not the file.  The list of partitions has all
 * block devices but those without a size, such as unused loop devices, and is
 * read faster than a directory of devices. */
static gboolean
is_below_loop (const struct stat *st)
{
  g_autofree char *list = NULL;

  if (!g_file_get_contents ("/proc/partitions", &list, NULL, NULL))
    return FALSE;

  g_auto (GStrv) lines = g_strsplit (list, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    {
      const char *blank = strrchr (*line, ' ');

      if (blank != NULL && is_loop_on (blank + 1, st))
        return TRUE;
    }

  return FALSE;
}

/* Returns whether every lock on the open file FD is visible here.  A block
 * device may have several nodes, each with its own locks. */
gboolean
byte_source_sees_all_locks (int fd)
{
  struct stat st;

  return fstat (fd, &st) == 0 && S_ISREG (st.st_mode) && !is_shared (fd)
         && !is_below_loop (&st);
}

#else

/* The system has no locks that belong to an open file. */
gboolean
byte_source_sees_all_locks (int fd G_GNUC_UNUSED)
{
  return FALSE;
}

#endif
