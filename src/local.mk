# SPDX-License-Identifier: LGPL-2.1-or-later
# Three layers: what reads images, what puts them into words, the program.

noinst_LTLIBRARIES += %D%/libqcow2meta.la %D%/librender.la
bin_PROGRAMS += %D%/qcow2tool

%C%_libqcow2meta_la_SOURCES = \
	%D%/qcow2/arithmetic.h \
	%D%/qcow2/bitmap.c \
	%D%/qcow2/bitmap.h \
	%D%/qcow2/bitmap-rules.c \
	%D%/qcow2/check.c \
	%D%/qcow2/check.h \
	%D%/qcow2/check-clusters.c \
	%D%/qcow2/check-clusters.h \
	%D%/qcow2/cluster-map.c \
	%D%/qcow2/cluster-map.h \
	%D%/qcow2/compiler.h \
	%D%/qcow2/contents.c \
	%D%/qcow2/contents.h \
	%D%/qcow2/directory.c \
	%D%/qcow2/directory.h \
	%D%/qcow2/directory-end.c \
	%D%/qcow2/directory-end.h \
	%D%/qcow2/dumper.c \
	%D%/qcow2/dumper.h \
	%D%/qcow2/error.c \
	%D%/qcow2/error.h \
	%D%/qcow2/examine.c \
	%D%/qcow2/examine.h \
	%D%/qcow2/extension.c \
	%D%/qcow2/extension.h \
	%D%/qcow2/extent.h \
	%D%/qcow2/extension-rules.c \
	%D%/qcow2/file-end.c \
	%D%/qcow2/file-end.h \
	%D%/qcow2/guard.c \
	%D%/qcow2/guard.h \
	%D%/qcow2/header.c \
	%D%/qcow2/header.h \
	%D%/qcow2/header-rules.c \
	%D%/qcow2/image.c \
	%D%/qcow2/image.h \
	%D%/qcow2/l1-table.c \
	%D%/qcow2/l1-table.h \
	%D%/qcow2/luks.c \
	%D%/qcow2/luks.h \
	%D%/qcow2/luks-rules.c \
	%D%/qcow2/namesakes.c \
	%D%/qcow2/namesakes.h \
	%D%/qcow2/opening.c \
	%D%/qcow2/opening.h \
	%D%/qcow2/printable.c \
	%D%/qcow2/printable.h \
	%D%/qcow2/problem.c \
	%D%/qcow2/problem.h \
	%D%/qcow2/record.c \
	%D%/qcow2/record.h \
	%D%/qcow2/refcount.c \
	%D%/qcow2/refcount.h \
	%D%/qcow2/rule.c \
	%D%/qcow2/rule.h \
	%D%/qcow2/snapshot.c \
	%D%/qcow2/snapshot.h \
	%D%/qcow2/source.c \
	%D%/qcow2/source.h \
	%D%/qcow2/source-file.c \
	%D%/qcow2/source-memory.c \
	%D%/qcow2/table.c \
	%D%/qcow2/table.h \
	%D%/qcow2/verdict.c \
	%D%/qcow2/verdict.h
%C%_libqcow2meta_la_CFLAGS = $(AM_CFLAGS) $(OVERFLOW_CFLAGS)
%C%_libqcow2meta_la_LIBADD = $(GLIB_LIBS)

%C%_librender_la_SOURCES = \
	%D%/render/advice.c \
	%D%/render/advice.h \
	%D%/render/bitmap-list.c \
	%D%/render/bitmap-list.h \
	%D%/render/bitmap-map.c \
	%D%/render/bitmap-map.h \
	%D%/render/describe.c \
	%D%/render/describe.h \
	%D%/render/digits.c \
	%D%/render/digits.h \
	%D%/render/emitter.c \
	%D%/render/emitter.h \
	%D%/render/format.c \
	%D%/render/format.h \
	%D%/render/json.c \
	%D%/render/percent.c \
	%D%/render/plot.c \
	%D%/render/percent.h \
	%D%/render/plot.h \
	%D%/render/qemu-dump.c \
	%D%/render/qemu-dump.h \
	%D%/render/text.c
%C%_librender_la_CFLAGS = $(AM_CFLAGS) $(OVERFLOW_CFLAGS)
%C%_librender_la_LIBADD = %D%/libqcow2meta.la

# Everything of the program but main (), for tests in process.
noinst_LTLIBRARIES += %D%/libcli.la
%C%_libcli_la_SOURCES = \
	%D%/cli/bitmap-block.c \
	%D%/cli/bitmap-block.h \
	%D%/cli/charset.c \
	%D%/cli/charset.h \
	%D%/cli/cmd-bitmap-map.c \
	%D%/cli/cmd-bitmap-table.c \
	%D%/cli/cmd-bitmaps.c \
	%D%/cli/cmd-check.c \
	%D%/cli/cmd-dump.c \
	%D%/cli/cmd-dump-header.c \
	%D%/cli/cmd-extensions.c \
	%D%/cli/cmd-header.c \
	%D%/cli/commands.c \
	%D%/cli/commands.h \
	%D%/cli/dispatch.c \
	%D%/cli/dispatch.h \
	%D%/cli/each-extension.c \
	%D%/cli/each-extension.h \
	%D%/cli/fields.c \
	%D%/cli/fields.h \
	%D%/cli/image-list.c \
	%D%/cli/image-list.h \
	%D%/cli/number.c \
	%D%/cli/number.h \
	%D%/cli/options.c \
	%D%/cli/options.h \
	%D%/cli/output.c \
	%D%/cli/output.h \
	%D%/cli/report.c \
	%D%/cli/report.h \
	%D%/cli/rows.c \
	%D%/cli/rows.h \
	%D%/cli/selection.c \
	%D%/cli/selection.h \
	%D%/cli/tool.c \
	%D%/cli/tool.h \
	%D%/cli/usage.c \
	%D%/cli/usage.h
%C%_libcli_la_CFLAGS = $(AM_CFLAGS) $(OVERFLOW_CFLAGS)
%C%_libcli_la_LIBADD = %D%/librender.la

%C%_qcow2tool_SOURCES = %D%/cli/main.c
%C%_qcow2tool_LDADD = %D%/libcli.la
