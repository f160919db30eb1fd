# SPDX-License-Identifier: LGPL-2.1-or-later
# Five layers: reading images, checking them, editing them, rendering text, and
# the program.

noinst_LIBRARIES += \
	%D%/libcheck.a \
	%D%/libedit.a \
	%D%/libqcow2meta.a \
	%D%/librender.a
bin_PROGRAMS += %D%/qcow2tool

# In the order in which they are linked: each needs only those after it.
layers = \
	%D%/libcli.a \
	%D%/librender.a \
	%D%/libedit.a \
	%D%/libcheck.a \
	%D%/libqcow2meta.a \
	$(GLIB_LIBS)

%C%_libqcow2meta_a_SOURCES = \
	%D%/qcow2/arithmetic.h \
	%D%/qcow2/bit-walk.c \
	%D%/qcow2/bit-walk.h \
	%D%/qcow2/bitmap-union.c \
	%D%/qcow2/bitmap-union.h \
	%D%/qcow2/bitmap.c \
	%D%/qcow2/bitmap.h \
	%D%/qcow2/c-string.c \
	%D%/qcow2/c-string.h \
	%D%/qcow2/cluster-table.c \
	%D%/qcow2/cluster-table.h \
	%D%/qcow2/compiler.h \
	%D%/qcow2/contents.c \
	%D%/qcow2/contents.h \
	%D%/qcow2/directory-index.c \
	%D%/qcow2/directory-index.h \
	%D%/qcow2/directory.c \
	%D%/qcow2/directory.h \
	%D%/qcow2/dirty-data.c \
	%D%/qcow2/dirty-data.h \
	%D%/qcow2/dumper.c \
	%D%/qcow2/dumper.h \
	%D%/qcow2/error.c \
	%D%/qcow2/error.h \
	%D%/qcow2/extension-types.c \
	%D%/qcow2/extension-walk.c \
	%D%/qcow2/extension-walk.h \
	%D%/qcow2/extension.c \
	%D%/qcow2/extension.h \
	%D%/qcow2/extent-query.h \
	%D%/qcow2/extent.h \
	%D%/qcow2/extents.c \
	%D%/qcow2/guest-cluster.c \
	%D%/qcow2/guest-cluster.h \
	%D%/qcow2/guest-map.c \
	%D%/qcow2/guest-map.h \
	%D%/qcow2/header.c \
	%D%/qcow2/header.h \
	%D%/qcow2/image.c \
	%D%/qcow2/image.h \
	%D%/qcow2/json-name.c \
	%D%/qcow2/json-name.h \
	%D%/qcow2/l1-table.c \
	%D%/qcow2/l1-table.h \
	%D%/qcow2/l2-table.c \
	%D%/qcow2/l2-table.h \
	%D%/qcow2/layer-name.c \
	%D%/qcow2/layer-name.h \
	%D%/qcow2/luks.c \
	%D%/qcow2/luks.h \
	%D%/qcow2/map-extent.h \
	%D%/qcow2/memory.c \
	%D%/qcow2/memory.h \
	%D%/qcow2/next.h \
	%D%/qcow2/printable.c \
	%D%/qcow2/printable.h \
	%D%/qcow2/record.c \
	%D%/qcow2/record.h \
	%D%/qcow2/refcount.c \
	%D%/qcow2/refcount.h \
	%D%/qcow2/snapshot-walk.c \
	%D%/qcow2/snapshot-walk.h \
	%D%/qcow2/snapshot.c \
	%D%/qcow2/snapshot.h \
	%D%/qcow2/source-cache.c \
	%D%/qcow2/source-cache.h \
	%D%/qcow2/source-file.c \
	%D%/qcow2/source-locks.c \
	%D%/qcow2/source-locks.h \
	%D%/qcow2/source-memory.c \
	%D%/qcow2/source.c \
	%D%/qcow2/source.h \
	%D%/qcow2/table.c \
	%D%/qcow2/table.h \
	%D%/qcow2/totals.c
%C%_libqcow2meta_a_CFLAGS = $(AM_CFLAGS) $(OVERFLOW_CFLAGS)

%C%_libcheck_a_SOURCES = \
	%D%/check/bitmap-chain.c \
	%D%/check/bitmap-chain.h \
	%D%/check/bitmap-checker.c \
	%D%/check/bitmap-checker.h \
	%D%/check/bitmap-rules.c \
	%D%/check/bitmap-rules.h \
	%D%/check/census.c \
	%D%/check/census.h \
	%D%/check/chain.c \
	%D%/check/chain.h \
	%D%/check/check-clusters.c \
	%D%/check/check-clusters.h \
	%D%/check/check-numbers.c \
	%D%/check/check-numbers.h \
	%D%/check/check.c \
	%D%/check/check.h \
	%D%/check/checked-directory.c \
	%D%/check/checked-directory.h \
	%D%/check/cluster-list.c \
	%D%/check/cluster-list.h \
	%D%/check/cluster-report.c \
	%D%/check/cluster-report.h \
	%D%/check/directory-end.c \
	%D%/check/directory-end.h \
	%D%/check/directory-refusal.c \
	%D%/check/directory-refusal.h \
	%D%/check/directory-rules.c \
	%D%/check/directory-rules.h \
	%D%/check/extension-rules.c \
	%D%/check/extension-rules.h \
	%D%/check/file-end.c \
	%D%/check/file-end.h \
	%D%/check/finding.c \
	%D%/check/finding.h \
	%D%/check/guard.c \
	%D%/check/guard.h \
	%D%/check/header-rules.c \
	%D%/check/header-rules.h \
	%D%/check/image-rules.c \
	%D%/check/image-rules.h \
	%D%/check/l2-references.c \
	%D%/check/l2-references.h \
	%D%/check/luks-refusal.c \
	%D%/check/luks-refusal.h \
	%D%/check/luks-rules.c \
	%D%/check/luks-rules.h \
	%D%/check/mapping-check.c \
	%D%/check/mapping-check.h \
	%D%/check/mapping-rules.c \
	%D%/check/mapping-rules.h \
	%D%/check/opening.c \
	%D%/check/opening.h \
	%D%/check/overlap-rules.c \
	%D%/check/overlap-rules.h \
	%D%/check/owners.c \
	%D%/check/owners.h \
	%D%/check/plain-entries.c \
	%D%/check/plain-entries.h \
	%D%/check/refcount-rules.c \
	%D%/check/refcount-rules.h \
	%D%/check/reference.c \
	%D%/check/reference.h \
	%D%/check/references.c \
	%D%/check/references.h \
	%D%/check/refusal-order.c \
	%D%/check/refusal-order.h \
	%D%/check/refusal.c \
	%D%/check/refusal.h \
	%D%/check/rule.c \
	%D%/check/rule.h \
	%D%/check/rules.def \
	%D%/check/snapshot-rules.c \
	%D%/check/snapshot-rules.h \
	%D%/check/table-rules.c \
	%D%/check/table-rules.h \
	%D%/check/tail-rules.c \
	%D%/check/tail-rules.h \
	%D%/check/unknown-features.c \
	%D%/check/unknown-features.h \
	%D%/check/verdict.c \
	%D%/check/verdict.h \
	%D%/check/whole-image.c \
	%D%/check/whole-image.h
%C%_libcheck_a_CFLAGS = $(AM_CFLAGS) $(OVERFLOW_CFLAGS)

%C%_libedit_a_SOURCES = \
	%D%/edit/apply-judge.c \
	%D%/edit/apply-judge.h \
	%D%/edit/apply.c \
	%D%/edit/apply.h \
	%D%/edit/area-plan.c \
	%D%/edit/area-plan.h \
	%D%/edit/area.c \
	%D%/edit/area.h \
	%D%/edit/bitmap-edit.c \
	%D%/edit/bitmap-edit.h \
	%D%/edit/error.c \
	%D%/edit/error.h \
	%D%/edit/header-edit.c \
	%D%/edit/header-edit.h \
	%D%/edit/judge.c \
	%D%/edit/judge.h \
	%D%/edit/lock.c \
	%D%/edit/lock.h \
	%D%/edit/order.c \
	%D%/edit/order.h \
	%D%/edit/overlay.c \
	%D%/edit/overlay.h \
	%D%/edit/plan-file.c \
	%D%/edit/plan-file.h \
	%D%/edit/plan-parse.c \
	%D%/edit/plan-parse.h \
	%D%/edit/plan.c \
	%D%/edit/plan.h \
	%D%/edit/refusal.c \
	%D%/edit/refusal.h \
	%D%/edit/sharing.c \
	%D%/edit/sharing.h \
	%D%/edit/target.c \
	%D%/edit/target.h \
	%D%/edit/work.c \
	%D%/edit/work.h \
	%D%/edit/write-plan.c \
	%D%/edit/write-plan.h
%C%_libedit_a_CFLAGS = $(AM_CFLAGS) $(OVERFLOW_CFLAGS)

%C%_librender_a_SOURCES = \
	%D%/render/advice.c \
	%D%/render/advice.h \
	%D%/render/bitmap-chain.c \
	%D%/render/bitmap-chain.h \
	%D%/render/bitmap-list.c \
	%D%/render/bitmap-list.h \
	%D%/render/bitmap-map.c \
	%D%/render/bitmap-map.h \
	%D%/render/check-text.c \
	%D%/render/check-text.h \
	%D%/render/describe.c \
	%D%/render/describe.h \
	%D%/render/digits.c \
	%D%/render/digits.h \
	%D%/render/emitter.c \
	%D%/render/emitter.h \
	%D%/render/format.c \
	%D%/render/format.h \
	%D%/render/guest-map.c \
	%D%/render/guest-map.h \
	%D%/render/info-encryption.c \
	%D%/render/info-encryption.h \
	%D%/render/info-snapshot.c \
	%D%/render/info-snapshot.h \
	%D%/render/info.c \
	%D%/render/info.h \
	%D%/render/json.c \
	%D%/render/percent.c \
	%D%/render/percent.h \
	%D%/render/plan.c \
	%D%/render/plan.h \
	%D%/render/plot.c \
	%D%/render/plot.h \
	%D%/render/qemu-dump.c \
	%D%/render/qemu-dump.h \
	%D%/render/qemu-tree.c \
	%D%/render/qemu-tree.h \
	%D%/render/text.c \
	%D%/render/unusable.c \
	%D%/render/unusable.h
%C%_librender_a_CFLAGS = $(AM_CFLAGS) $(OVERFLOW_CFLAGS)

# The program without main (), for tests in process.
noinst_LIBRARIES += %D%/libcli.a
%C%_libcli_a_SOURCES = \
	%D%/cli/arguments.c \
	%D%/cli/arguments.h \
	%D%/cli/charset.c \
	%D%/cli/charset.h \
	%D%/cli/cmd-apply.c \
	%D%/cli/cmd-bitmap-map.c \
	%D%/cli/cmd-bitmap-table.c \
	%D%/cli/cmd-bitmaps.c \
	%D%/cli/cmd-check.c \
	%D%/cli/cmd-dump-header.c \
	%D%/cli/cmd-dump.c \
	%D%/cli/cmd-extensions.c \
	%D%/cli/cmd-header-ext.c \
	%D%/cli/cmd-header.c \
	%D%/cli/cmd-info.c \
	%D%/cli/cmd-map.c \
	%D%/cli/cmd-remove-bitmap.c \
	%D%/cli/cmd-set-header.c \
	%D%/cli/cmd-snapshots.c \
	%D%/cli/cmd-table.c \
	%D%/cli/commands.c \
	%D%/cli/commands.h \
	%D%/cli/dispatch.c \
	%D%/cli/dispatch.h \
	%D%/cli/edit-run.c \
	%D%/cli/edit-run.h \
	%D%/cli/fields.c \
	%D%/cli/fields.h \
	%D%/cli/help.c \
	%D%/cli/help.h \
	%D%/cli/image-list.c \
	%D%/cli/image-list.h \
	%D%/cli/layers.c \
	%D%/cli/layers.h \
	%D%/cli/magic.c \
	%D%/cli/magic.h \
	%D%/cli/number.c \
	%D%/cli/number.h \
	%D%/cli/options.c \
	%D%/cli/options.h \
	%D%/cli/output.c \
	%D%/cli/output.h \
	%D%/cli/print-bitmap-chains.c \
	%D%/cli/print-bitmap-chains.h \
	%D%/cli/print-bitmap.c \
	%D%/cli/print-bitmap.h \
	%D%/cli/print-contents.c \
	%D%/cli/print-contents.h \
	%D%/cli/print-entries.c \
	%D%/cli/print-entries.h \
	%D%/cli/print-extensions.c \
	%D%/cli/print-extensions.h \
	%D%/cli/print-guest-map.c \
	%D%/cli/print-guest-map.h \
	%D%/cli/print-info.c \
	%D%/cli/print-info.h \
	%D%/cli/print-table.c \
	%D%/cli/print-table.h \
	%D%/cli/report.c \
	%D%/cli/report.h \
	%D%/cli/search.c \
	%D%/cli/search.h \
	%D%/cli/selection.c \
	%D%/cli/selection.h \
	%D%/cli/snapshot-selection.c \
	%D%/cli/snapshot-selection.h \
	%D%/cli/status.c \
	%D%/cli/status.h \
	%D%/cli/suggest.c \
	%D%/cli/suggest.h \
	%D%/cli/tool-images.c \
	%D%/cli/tool-private.h \
	%D%/cli/tool.c \
	%D%/cli/tool.h \
	%D%/cli/usage.c \
	%D%/cli/usage.h
%C%_libcli_a_CFLAGS = $(AM_CFLAGS) $(OVERFLOW_CFLAGS)

%C%_qcow2tool_SOURCES = %D%/cli/main.c
%C%_qcow2tool_LDADD = $(layers)
