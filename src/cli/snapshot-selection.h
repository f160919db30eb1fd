/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options --id, --name and --index: select snapshots of an image. */

#pragma once

#include "cli/tool.h"
#include "qcow2/snapshot-walk.h"

G_BEGIN_DECLS

typedef struct
{
  char *id;            /* --id: raw bytes, or NULL */
  char *name;          /* --name: raw bytes, or NULL */
  OptionsNumber index; /* --index */
} SnapshotSelection;

/* Shows SNAPSHOT, whose findings are among those of the image.  Its id and
 * name are NULL if they cannot be read. */
typedef gboolean (*SnapshotFunc) (Tool *tool, const Qcow2Snapshot *snapshot,
                                  gpointer data, GError **error);

/* Describes how the selected snapshots are visited. */
typedef struct
{
  gboolean only_one; /* several with the same id or name are refused */
  SnapshotFunc show; /* called for each snapshot */
  gpointer data;     /* for SHOW */
} SnapshotVisit;

gboolean snapshot_selection_check (const SnapshotSelection *selection,
                                   GError **error);
gboolean snapshot_selection_is_given (const SnapshotSelection *selection);
gboolean snapshot_selection_visit (const SnapshotSelection *selection,
                                   const SnapshotVisit *visit, Tool *tool,
                                   const Qcow2Image *image, GError **error);
gboolean snapshot_selection_is_intact (const Qcow2Findings *findings);
void snapshot_selection_clear (SnapshotSelection *selection);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SnapshotSelection, snapshot_selection_clear)

G_END_DECLS
