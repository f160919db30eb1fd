/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints a tree of values in the two forms in which qemu-img prints it: JSON,
 * and the indented text below "Format specific information". */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  QEMU_TREE_TEXT,
  QEMU_TREE_JSON, /* indented as by qemu-img */
  QEMU_TREE_JSONL /* on one line */
} QemuTreeForm;

typedef struct QemuTree QemuTree;

/* A string from an image as QEMU has it. */
typedef struct
{
  const char *bytes;
  gsize len;
} QemuString;

QemuString qemu_string_cut (GBytes *string, gsize max);

QemuTree *qemu_tree_new (GString *out, QemuTreeForm form);
gboolean qemu_tree_is_text (const QemuTree *tree);
void qemu_tree_begin_object (QemuTree *tree, const char *key);
void qemu_tree_begin_list (QemuTree *tree, const char *key);
void qemu_tree_end (QemuTree *tree);
void qemu_tree_add_string (QemuTree *tree, const char *key, const char *bytes,
                           gsize len);
void qemu_tree_add_cut (QemuTree *tree, const char *key, QemuString string);
void qemu_tree_add_word (QemuTree *tree, const char *key, const char *word);
void qemu_tree_add_number (QemuTree *tree, const char *key, guint64 number);
void qemu_tree_add_signed (QemuTree *tree, const char *key, gint64 number);
void qemu_tree_add_boolean (QemuTree *tree, const char *key, gboolean value);
void qemu_tree_free (QemuTree *tree);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (QemuTree, qemu_tree_free)

G_END_DECLS
