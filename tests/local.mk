# SPDX-License-Identifier: LGPL-2.1-or-later

# QCOW2TOOL_WRAPPER is a command that runs the programs under test, so that
# valgrind is a variable and not a second suite.
TEST_EXTENSIONS = .sh
LOG_DRIVER = env AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_COMPILER = $(srcdir)/tests/run-unit
SH_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_COMPILER = bash
AM_TESTS_ENVIRONMENT = \
	export LC_ALL=C.UTF-8 G_DEBUG=fatal-warnings MALLOC_PERTURB_=147; \
	export srcdir='$(abs_top_srcdir)' builddir='$(abs_top_builddir)'; \
	export QCOW2TOOL="$$QCOW2TOOL_WRAPPER $(abs_top_builddir)/src/qcow2tool"; \
	export MAKE='$(MAKE)' CC='$(CC)' CFLAGS='$(CFLAGS)';

unit_tests = \
	%D%/test-answer \
	%D%/test-bitmap-map \
	%D%/test-builder \
	%D%/test-check \
	%D%/test-check-clusters \
	%D%/test-cluster-map \
	%D%/test-cut \
	%D%/test-directory \
	%D%/test-digits \
	%D%/test-drive \
	%D%/test-examine \
	%D%/test-extension \
	%D%/test-file-end \
	%D%/test-contents \
	%D%/test-findings \
	%D%/test-format \
	%D%/test-grid \
	%D%/test-header \
	%D%/test-huge \
	%D%/test-image \
	%D%/test-image-list \
	%D%/test-json \
	%D%/test-luks \
	%D%/test-message \
	%D%/test-namesakes \
	%D%/test-number \
	%D%/test-plot \
	%D%/test-problem \
	%D%/test-record \
	%D%/test-refcount \
	%D%/test-snapshot \
	%D%/test-source \
	%D%/test-table \
	%D%/test-text \
	%D%/test-verdict

# The shell tests of the code, which sanitizers look at as well, and those
# that are about something else or start the program in a way of their own.
code_tests = \
	%D%/cli-bad-input.sh \
	%D%/cli-bitmap-map.sh \
	%D%/cli-bitmap-table.sh \
	%D%/cli-bitmaps.sh \
	%D%/cli-bombs.sh \
	%D%/cli-check-corpus.sh \
	%D%/cli-check-rules.sh \
	%D%/cli-check.sh \
	%D%/cli-damaged.sh \
	%D%/cli-dump-header.sh \
	%D%/cli-dump.sh \
	%D%/cli-extensions.sh \
	%D%/cli-header.sh \
	%D%/cli-hostile-text.sh \
	%D%/cli-huge.sh \
	%D%/cli-images.sh \
	%D%/cli-list.sh \
	%D%/cli-output.sh \
	%D%/cli-samples.sh \
	%D%/cli-trust.sh \
	%D%/cli-usage.sh \
	%D%/cli-writer.sh \
	%D%/interop-check.sh \
	%D%/interop-luks.sh \
	%D%/interop-map.sh \
	%D%/interop-qemu.sh
other_tests = \
	%D%/check-docs.sh \
	%D%/check-layers.sh \
	%D%/check-prose.sh \
	%D%/cli-changed.sh \
	%D%/cli-completion.sh \
	%D%/cli-faults.sh \
	%D%/cli-instructions.sh \
	%D%/cli-json.sh \
	%D%/interop-verdict.sh
shell_tests = $(code_tests) $(other_tests)

check_PROGRAMS += $(unit_tests) %D%/mkimage
TESTS = $(unit_tests) $(shell_tests)
EXTRA_DIST += \
	$(shell_tests) \
	%D%/check-findings.py \
	%D%/check-util.h \
	%D%/every-image.py \
	%D%/expected \
	%D%/fault-shim.c \
	%D%/faults.py \
	%D%/findings.py \
	%D%/hostile-text.py \
	%D%/interop-check.py \
	%D%/interop-compare.py \
	%D%/bench/bench.py \
	%D%/bitmap-bits.py \
	%D%/bench/images.py \
	%D%/interop-luks.py \
	%D%/interop-map.py \
	%D%/interop-verdict.py \
	%D%/json-check.py \
	%D%/lib.sh \
	%D%/may-skip \
	%D%/mutate \
	%D%/mutate-equivalent \
	%D%/run-unit \
	%D%/samples \
	%D%/test-util.h \
	contrib/qcow2.py

builder_sources = \
	%D%/image-bases.c \
	%D%/image-builder.c \
	%D%/image-builder.h \
	%D%/image-bytes.c \
	%D%/image-corpus.c \
	%D%/image-large.c \
	%D%/image-rows.h

# Not linked with the code under test: it is the oracle.
%C%_mkimage_SOURCES = %D%/mkimage.c $(builder_sources)
%C%_mkimage_LDADD = $(GLIB_LIBS)
%C%_test_builder_SOURCES = %D%/test-builder.c $(builder_sources)
%C%_test_builder_LDADD = $(GLIB_LIBS)

# Runs the program in process; what it prints is looked at by other code.
drive_sources = \
	%D%/answer.c \
	%D%/answer.h \
	%D%/drive.c \
	%D%/drive.h

# Reads bitmaps bit by bit: what the walk over extents is tested against.
naive_sources = \
	%D%/naive-extents.c \
	%D%/naive-extents.h

unit_ldadd = src/libcli.la
%C%_test_check_SOURCES = %D%/test-check.c $(builder_sources)
%C%_test_check_LDADD = $(unit_ldadd)
%C%_test_file_end_SOURCES = %D%/test-file-end.c $(builder_sources)
%C%_test_file_end_LDADD = $(unit_ldadd)
%C%_test_verdict_SOURCES = %D%/test-verdict.c $(builder_sources)
%C%_test_verdict_LDADD = $(unit_ldadd)
%C%_test_check_clusters_SOURCES = %D%/test-check-clusters.c \
	$(builder_sources)
%C%_test_check_clusters_LDADD = $(unit_ldadd)
%C%_test_answer_SOURCES = %D%/test-answer.c %D%/answer.c %D%/answer.h
%C%_test_answer_LDADD = $(GLIB_LIBS)
%C%_test_bitmap_map_SOURCES = %D%/test-bitmap-map.c
%C%_test_bitmap_map_LDADD = $(unit_ldadd)
%C%_test_cut_SOURCES = \
	%D%/test-cut.c $(drive_sources) $(builder_sources)
%C%_test_cut_LDADD = $(unit_ldadd)
%C%_test_cluster_map_SOURCES = %D%/test-cluster-map.c $(builder_sources)
%C%_test_cluster_map_LDADD = $(unit_ldadd)
%C%_test_digits_SOURCES = %D%/test-digits.c
%C%_test_digits_LDADD = $(unit_ldadd)
%C%_test_directory_SOURCES = %D%/test-directory.c $(builder_sources)
%C%_test_directory_LDADD = $(unit_ldadd)
%C%_test_drive_SOURCES = \
	%D%/test-drive.c $(drive_sources) $(builder_sources)
%C%_test_drive_LDADD = $(unit_ldadd)
%C%_test_examine_SOURCES = %D%/test-examine.c $(builder_sources)
%C%_test_examine_LDADD = $(unit_ldadd)
%C%_test_extension_SOURCES = %D%/test-extension.c $(builder_sources)
%C%_test_extension_LDADD = $(unit_ldadd)
%C%_test_contents_SOURCES = \
	%D%/test-contents.c $(naive_sources) $(builder_sources)
%C%_test_contents_LDADD = $(unit_ldadd)
%C%_test_findings_SOURCES = %D%/test-findings.c $(builder_sources)
%C%_test_findings_LDADD = $(unit_ldadd)
%C%_test_format_SOURCES = %D%/test-format.c
%C%_test_format_LDADD = $(unit_ldadd)
%C%_test_grid_SOURCES = \
	%D%/test-grid.c $(drive_sources) $(builder_sources)
%C%_test_grid_LDADD = $(unit_ldadd)
%C%_test_header_SOURCES = %D%/test-header.c $(builder_sources)
%C%_test_header_LDADD = $(unit_ldadd)
%C%_test_huge_SOURCES = \
	%D%/test-huge.c $(drive_sources) $(builder_sources)
%C%_test_huge_LDADD = $(unit_ldadd)
%C%_test_image_SOURCES = %D%/test-image.c $(builder_sources)
%C%_test_image_LDADD = $(unit_ldadd)
%C%_test_image_list_SOURCES = %D%/test-image-list.c
%C%_test_image_list_LDADD = $(unit_ldadd)
%C%_test_json_SOURCES = %D%/test-json.c
%C%_test_json_LDADD = $(unit_ldadd)
%C%_test_luks_SOURCES = %D%/test-luks.c $(builder_sources)
%C%_test_luks_LDADD = $(unit_ldadd)
%C%_test_message_SOURCES = %D%/test-message.c $(builder_sources)
%C%_test_message_LDADD = $(unit_ldadd)
%C%_test_namesakes_SOURCES = %D%/test-namesakes.c
%C%_test_namesakes_LDADD = $(unit_ldadd)
%C%_test_number_SOURCES = %D%/test-number.c
%C%_test_number_LDADD = $(unit_ldadd)
%C%_test_plot_SOURCES = %D%/test-plot.c
%C%_test_plot_LDADD = $(unit_ldadd)
%C%_test_problem_SOURCES = %D%/test-problem.c
%C%_test_problem_LDADD = $(unit_ldadd)
%C%_test_record_SOURCES = %D%/test-record.c
%C%_test_record_LDADD = $(unit_ldadd)
%C%_test_refcount_SOURCES = %D%/test-refcount.c $(builder_sources)
%C%_test_refcount_LDADD = $(unit_ldadd)
%C%_test_snapshot_SOURCES = %D%/test-snapshot.c $(builder_sources)
%C%_test_snapshot_LDADD = $(unit_ldadd)
%C%_test_source_SOURCES = %D%/test-source.c
%C%_test_source_LDADD = $(unit_ldadd)
%C%_test_table_SOURCES = %D%/test-table.c $(builder_sources)
%C%_test_table_LDADD = $(unit_ldadd)
%C%_test_text_SOURCES = %D%/test-text.c
%C%_test_text_LDADD = $(unit_ldadd)

# What it is compared with: tests/bench/bench.py --help.
check_PROGRAMS += %D%/bench/null
EXTRA_PROGRAMS = %D%/bench/peak
%C%_bench_null_SOURCES = %D%/bench/null.c
%C%_bench_null_LDADD = $(GLIB_LIBS)
%C%_bench_peak_SOURCES = %D%/bench/peak.c
CLEANFILES += $(EXTRA_PROGRAMS)

.PHONY: bench
bench: src/qcow2tool %D%/bench/null %D%/bench/peak %D%/mkimage
	$(srcdir)/%D%/bench/bench.py src/qcow2tool %D%/bench/null \
		%D%/bench/peak %D%/mkimage $(BENCH_TASKS)

# Takes hours: MUTATE_FLAGS='--file header.c' for a part.
.PHONY: mutate
mutate:
	CC='$(CC)' $(srcdir)/tests/mutate $(MUTATE_FLAGS)

# More images than tests/interop-verdict.sh tries, by the same program.
# QEMU_IO is another qemu-io, VERDICT_SEED a number.
VERDICT_IMAGES = 40000
VERDICT_FLAGS =

.PHONY: fuzz-verdict
fuzz-verdict: src/qcow2tool
	LC_ALL=C.UTF-8 QCOW2TOOL='$(abs_top_builddir)/src/qcow2tool' \
		$(srcdir)/%D%/interop-verdict.py --images '$(VERDICT_IMAGES)' \
		$(VERDICT_FLAGS)

VALGRIND_FLAGS = -q --error-exitcode=99 --leak-check=full \
	--show-leak-kinds=definite --errors-for-leak-kinds=definite \
	--num-callers=30

# The tests that run the code in process; the replay programs run whole command
# lines.
process_tests = $(unit_tests) $(replay_programs)

# A start under valgrind takes half a second.
valgrind_tests = $(process_tests) %D%/cli-faults.sh

sanitizer_tests = $(process_tests) $(code_tests)

# The tests that need other files of the tarball than those of the build.
dist_tests = \
	%D%/check-docs.sh \
	%D%/check-layers.sh \
	%D%/cli-samples.sh \
	%D%/fuzz/replay-image \
	%D%/test-findings

.PHONY: check-dist check-unit check-sanitizers check-valgrind
check-unit:
	$(MAKE) check TESTS='$(process_tests)'
check-sanitizers:
	$(MAKE) check QCOW2TOOL_SANITIZED=1 TESTS='$(sanitizer_tests)'
check-dist:
	$(MAKE) distcheck TESTS='$(dist_tests)'
check-valgrind:
	$(MAKE) check QCOW2TOOL_SLOW=1 MALLOC_PERTURB_= \
		TESTS='$(valgrind_tests)' \
		QCOW2TOOL_WRAPPER='$(VALGRIND) $(VALGRIND_FLAGS)'
