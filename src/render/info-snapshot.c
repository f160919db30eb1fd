/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/info-snapshot.h"

#include "render/format.h"

/* QEMU, include/block/snapshot.h: the sizes of id_str and name, which QEMU
 * cuts at the first NUL and at this length, NUL included. */
#define MAX_ID 128
#define MAX_NAME 256

#define NANOSECONDS G_GUINT64_CONSTANT (1000000000)

/* Width of the columns of the snapshot list, in bytes. */
#define ID_WIDTH 9
#define NAME_WIDTH 16
#define VM_SIZE_WIDTH 8
#define DATE_WIDTH 20
#define CLOCK_WIDTH 13
#define ICOUNT_WIDTH 11

/* Appends STRING, an id or a name, as QEMU has it, escaped and padded with
 * spaces to WIDTH bytes on the right.  MAX is the size of the string in QEMU,
 * NUL included. */
static void
append_string (GString *out, GBytes *string, gsize max, gsize width)
{
  const QemuString cut = qemu_string_cut (string, max);
  const gsize start = out->len;

  if (string == NULL)
    format_name (out, NULL);
  else
    format_escaped (out, cut.bytes, cut.len);
  while (out->len - start < width)
    g_string_append_c (out, ' ');
}

/* Appends the heading of the list of snapshots. */
void
info_snapshot_heading (GString *out)
{
  g_string_append_printf (out, "Snapshot list:\n%-*s %-*s %*s%*s%*s%*s\n",
                          ID_WIDTH, "ID", NAME_WIDTH, "TAG", VM_SIZE_WIDTH,
                          "VM SIZE", DATE_WIDTH, "DATE", CLOCK_WIDTH,
                          "VM CLOCK", ICOUNT_WIDTH, "ICOUNT");
}

/* Appends the row of SNAPSHOT in the list of snapshots. */
void
info_snapshot_row (GString *out, const Qcow2Snapshot *snapshot)
{
  GString *cell = g_string_new (NULL);

  append_string (out, snapshot->id, MAX_ID, ID_WIDTH);
  g_string_append_c (out, ' ');
  append_string (out, snapshot->name, MAX_NAME, NAME_WIDTH);
  g_string_append_c (out, ' ');
  if (qcow2_snapshot_has_vm_state_size (snapshot))
    format_rounded_size (cell, qcow2_snapshot_get_vm_state_size (snapshot));
  else
    format_count (cell, QCOW2_ABSENT);
  g_string_append_printf (out, "%*s", VM_SIZE_WIDTH, cell->str);
  g_string_truncate (cell, 0);
  format_local_time (cell, snapshot->entry.date_sec);
  g_string_append_printf (out, "%*s", DATE_WIDTH, cell->str);
  g_string_truncate (cell, 0);
  format_clock (cell, snapshot->entry.vm_clock_nsec);
  g_string_append_printf (out, "%*s", CLOCK_WIDTH, cell->str);
  g_string_truncate (cell, 0);
  if (qcow2_snapshot_has_icount (snapshot))
    g_string_append_printf (cell, "%" G_GINT64_FORMAT,
                            (gint64) snapshot->extra.icount);
  g_string_append_printf (out, "%*s\n", ICOUNT_WIDTH, cell->str);
  g_string_free (cell, TRUE);
}

/* Adds SNAPSHOT as an object. */
void
info_snapshot_add (QemuTree *tree, const Qcow2Snapshot *snapshot)
{
  const Qcow2SnapshotEntry *entry = &snapshot->entry;

  qemu_tree_begin_object (tree, NULL);
  if (qcow2_snapshot_has_icount (snapshot))
    qemu_tree_add_signed (tree, "icount", (gint64) snapshot->extra.icount);
  qemu_tree_add_number (tree, "vm-clock-nsec",
                        entry->vm_clock_nsec % NANOSECONDS);
  qemu_tree_add_cut (tree, "name", qemu_string_cut (snapshot->name, MAX_NAME));
  qemu_tree_add_number (tree, "date-sec", entry->date_sec);
  qemu_tree_add_number (tree, "date-nsec", entry->date_nsec);
  qemu_tree_add_number (tree, "vm-clock-sec",
                        entry->vm_clock_nsec / NANOSECONDS);
  qemu_tree_add_cut (tree, "id", qemu_string_cut (snapshot->id, MAX_ID));
  qemu_tree_add_signed (tree, "vm-state-size",
                        (gint64) qcow2_snapshot_get_vm_state_size (snapshot));
  qemu_tree_end (tree);
}
