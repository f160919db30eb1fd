# SPDX-License-Identifier: LGPL-2.1-or-later

# QCOW2TOOL_WRAPPER is a command that runs the programs under test, so that
# valgrind is a variable and not a second suite.
TEST_EXTENSIONS = .sh
TAP_DRIVER = env AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_DRIVER = $(TAP_DRIVER)
LOG_COMPILER = $(srcdir)/tests/unit/run-unit
SH_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_COMPILER = bash
# A line for each file: make check LOG_DRIVER='$(BRIEF_DRIVER)'
BRIEF_DRIVER = $(SHELL) $(srcdir)/tests/brief-driver $(TAP_DRIVER)
AM_TESTS_ENVIRONMENT = \
	export LC_ALL=C.UTF-8 G_DEBUG=fatal-warnings MALLOC_PERTURB_=147; \
	export srcdir='$(abs_top_srcdir)' builddir='$(abs_top_builddir)'; \
	QCOW2TOOL="$${QCOW2TOOL_WRAPPER:+$$QCOW2TOOL_WRAPPER }"; \
	export QCOW2TOOL="$$QCOW2TOOL$(abs_top_builddir)/src/qcow2tool"; \
	export MAKE='$(MAKE)' CC='$(CC)' CFLAGS='$(CFLAGS)';

unit_tests = \
	%D%/unit/test-answer \
	%D%/unit/test-bitmap-map \
	%D%/unit/test-builder \
	%D%/unit/test-check \
	%D%/unit/test-check-clusters \
	%D%/unit/test-cluster-table \
	%D%/unit/test-cluster-list \
	%D%/unit/test-cut \
	%D%/unit/test-directory \
	%D%/unit/test-digits \
	%D%/unit/test-dirty-data \
	%D%/unit/test-drive \
	%D%/unit/test-bitmap-checker \
	%D%/unit/test-extension \
	%D%/unit/test-file-end \
	%D%/unit/test-contents \
	%D%/unit/test-findings \
	%D%/unit/test-format \
	%D%/unit/test-grid \
	%D%/unit/test-guest-map \
	%D%/unit/test-header \
	%D%/unit/test-header-edit \
	%D%/unit/test-huge \
	%D%/unit/test-image \
	%D%/unit/test-image-list \
	%D%/unit/test-info-snapshot \
	%D%/unit/test-json \
	%D%/unit/test-layer-name \
	%D%/unit/test-luks \
	%D%/unit/test-message \
	%D%/unit/test-directory-index \
	%D%/unit/test-number \
	%D%/unit/test-plan \
	%D%/unit/test-plot \
	%D%/unit/test-finding \
	%D%/unit/test-record \
	%D%/unit/test-refcount \
	%D%/unit/test-snapshot \
	%D%/unit/test-snapshot-walk \
	%D%/unit/test-source \
	%D%/unit/test-table \
	%D%/unit/test-text \
	%D%/unit/test-verdict \
	%D%/unit/test-whole-image

# Those that take longest.  They start first, and the unit tests last, of which
# each takes a few seconds, so that no processor is idle at the end.  The other
# lists have the same order.
slow_tests = \
	%D%/cli/cli-faults.sh \
	%D%/cli/cli-damaged.sh \
	%D%/cli/cli-json.sh \
	%D%/interop/interop-check.sh \
	%D%/interop/interop-qemu.sh \
	%D%/interop/interop-map.sh \
	%D%/cli/cli-bombs.sh \
	%D%/cli/cli-usage.sh \
	%D%/cli/cli-hostile-text.sh \
	%D%/cli/cli-dump-header.sh \
	%D%/interop/interop-verdict.sh

shell_tests = \
	%D%/cli/cli-bad-input.sh \
	%D%/cli/cli-bitmap-map.sh \
	%D%/cli/cli-bitmap-table.sh \
	%D%/cli/cli-bitmaps.sh \
	%D%/cli/cli-changed.sh \
	%D%/cli/cli-check-corpus.sh \
	%D%/cli/cli-check-rules.sh \
	%D%/cli/cli-check.sh \
	%D%/cli/cli-completion-fish.sh \
	%D%/cli/cli-completion-zsh.sh \
	%D%/cli/cli-completion.sh \
	%D%/cli/cli-dump.sh \
	%D%/cli/cli-edit-random.sh \
	%D%/cli/cli-edit.sh \
	%D%/cli/cli-extensions.sh \
	%D%/cli/cli-header.sh \
	%D%/cli/cli-huge.sh \
	%D%/cli/cli-images.sh \
	%D%/cli/cli-info.sh \
	%D%/cli/cli-instructions.sh \
	%D%/cli/cli-list.sh \
	%D%/cli/cli-layers.sh \
	%D%/cli/cli-map.sh \
	%D%/cli/cli-output.sh \
	%D%/cli/cli-qcow2-py.sh \
	%D%/cli/cli-reads.sh \
	%D%/cli/cli-samples.sh \
	%D%/cli/cli-snapshots.sh \
	%D%/cli/cli-table.sh \
	%D%/cli/cli-trust.sh \
	%D%/cli/cli-writer.sh \
	%D%/interop/interop-census.sh \
	%D%/interop/interop-crash.sh \
	%D%/interop/interop-disk-map.sh \
	%D%/interop/interop-edit-devices.sh \
	%D%/interop/interop-edit-faults.sh \
	%D%/interop/interop-edit-race.sh \
	%D%/interop/interop-edit.sh \
	%D%/interop/interop-info.sh \
	%D%/interop/interop-layers.sh \
	%D%/interop/interop-luks.sh \
	%D%/interop/interop-snapshots.sh \
	%D%/interop/interop-table.sh \
	%D%/source/check-docs.sh \
	%D%/source/check-format.sh \
	%D%/source/check-layers.sh \
	%D%/source/check-lists.sh \
	%D%/source/check-packaging.sh \
	%D%/source/check-prose.sh \
	%D%/source/check-quickstart.sh

check_PROGRAMS += $(unit_tests) %D%/builder/mkimage
TESTS = $(slow_tests) $(shell_tests) $(unit_tests)
EXTRA_DIST += \
	$(shell_tests) \
	$(slow_tests) \
	%D%/bench/bench.py \
	%D%/bench/images.py \
	%D%/brief-driver \
	%D%/cli/bit-by-bit.py \
	%D%/cli/check-findings.py \
	%D%/cli/complete.zsh \
	%D%/cli/completion.sh \
	%D%/cli/edit-cases.py \
	%D%/cli/edit-random.py \
	%D%/cli/edit_model.py \
	%D%/cli/every-image.py \
	%D%/cli/fault-shim.c \
	%D%/cli/faults.py \
	%D%/cli/hostile-text.py \
	%D%/cli/json-check.py \
	%D%/expected \
	%D%/findings.py \
	%D%/interop/census_bases.py \
	%D%/interop/census_changes.py \
	%D%/interop/edit-faults.py \
	%D%/interop/edit-race.py \
	%D%/interop/interop-census.py \
	%D%/interop/interop-check.py \
	%D%/interop/interop-compare.py \
	%D%/interop/interop-crash.py \
	%D%/interop/interop-disk-map.py \
	%D%/interop/interop-info.py \
	%D%/interop/interop-layers.py \
	%D%/interop/interop-luks.py \
	%D%/interop/interop-map.py \
	%D%/interop/interop-snapshots.py \
	%D%/interop/interop-table.py \
	%D%/interop/interop-verdict.py \
	%D%/interop/kill-shim.c \
	%D%/interop/qemu_version.py \
	%D%/commands.def \
	%D%/lib.sh \
	%D%/may-skip \
	%D%/oracle/bitmap-bits.py \
	%D%/samples \
	%D%/source/mutate \
	%D%/source/mutate-equivalent \
	%D%/unit/check-util.h \
	%D%/unit/run-unit \
	%D%/unit/test-util.h \
	contrib/qcow2.py

# Makes images byte by byte.  Not linked with the code under test.
check_LIBRARIES += %D%/builder/libbuilder.a
%C%_builder_libbuilder_a_SOURCES = \
	%D%/builder/image-bases.c \
	%D%/builder/image-builder.c \
	%D%/builder/image-builder.h \
	%D%/builder/image-bytes.c \
	%D%/builder/image-corpus.c \
	%D%/builder/image-large.c \
	%D%/builder/image-rows.h

# drive.c runs the program in process, and answer.c examines its output.
# naive-extents.c reads bitmaps bit by bit.
oracle_sources = \
	%D%/oracle/answer.c \
	%D%/oracle/answer.h \
	%D%/oracle/drive.c \
	%D%/oracle/drive.h \
	%D%/oracle/drive-disk.c \
	%D%/oracle/drive-disk.h \
	%D%/oracle/naive-disk.c \
	%D%/oracle/naive-disk.h \
	%D%/oracle/naive-extents.c \
	%D%/oracle/naive-extents.h
check_LIBRARIES += %D%/oracle/liboracle.a
%C%_oracle_liboracle_a_SOURCES = $(oracle_sources)

# A program has one source file, and is linked with these, unless it says
# otherwise.
LDADD = \
	%D%/oracle/liboracle.a \
	%D%/builder/libbuilder.a \
	$(layers)

# These must not be linked with the code under test.
%C%_builder_mkimage_LDADD = %D%/builder/libbuilder.a $(GLIB_LIBS)
%C%_unit_test_answer_LDADD = %D%/oracle/liboracle.a $(GLIB_LIBS)
%C%_unit_test_builder_LDADD = %D%/builder/libbuilder.a $(GLIB_LIBS)

# Peers of the benchmark: see tests/bench/bench.py --help.
check_PROGRAMS += %D%/bench/null
EXTRA_PROGRAMS = %D%/bench/peak %D%/bench/tables
%C%_bench_null_LDADD = $(GLIB_LIBS)
%C%_bench_peak_LDADD =
%C%_bench_tables_LDADD =
CLEANFILES += $(EXTRA_PROGRAMS)

.PHONY: bench
bench: src/qcow2tool %D%/bench/null %D%/bench/peak %D%/bench/tables \
		%D%/builder/mkimage
	$(srcdir)/%D%/bench/bench.py src/qcow2tool %D%/bench/null \
		%D%/bench/peak %D%/builder/mkimage %D%/bench/tables \
		$(BENCH_TASKS)

# All of it takes hours; MUTATE_FLAGS='--file header.c' selects a part.
.PHONY: mutate
mutate:
	CC='$(CC)' $(srcdir)/%D%/source/mutate $(MUTATE_FLAGS)

# Tries more images than tests/interop/interop-verdict.sh, with the same program.
# QEMU_IO selects another qemu-io, and VERDICT_SEED is a number.
VERDICT_IMAGES = 40000
VERDICT_FLAGS =

.PHONY: fuzz-verdict
fuzz-verdict: src/qcow2tool
	LC_ALL=C.UTF-8 QCOW2TOOL='$(abs_top_builddir)/src/qcow2tool' \
		$(srcdir)/%D%/interop/interop-verdict.py \
		--images '$(VERDICT_IMAGES)' $(VERDICT_FLAGS)

# Tries more images than tests/interop/interop-census.sh, with the same program.
CENSUS_IMAGES = 20000
CENSUS_FLAGS =

.PHONY: fuzz-census
fuzz-census: src/qcow2tool
	LC_ALL=C.UTF-8 QCOW2TOOL='$(abs_top_builddir)/src/qcow2tool' \
		$(srcdir)/%D%/interop/interop-census.py \
		--images '$(CENSUS_IMAGES)' $(CENSUS_FLAGS)

# Tries more images than tests/interop/interop-crash.sh, with the same program.
CRASH_IMAGES = 2000
CRASH_FLAGS =

.PHONY: fuzz-crash
fuzz-crash: src/qcow2tool
	CC='$(CC)' LC_ALL=C.UTF-8 \
		QCOW2TOOL='$(abs_top_builddir)/src/qcow2tool' \
		$(srcdir)/%D%/interop/interop-crash.py \
		--images '$(CRASH_IMAGES)' $(CRASH_FLAGS)

# Makes every system call of every edit fail, and tries more sequences of edits
# and more rounds of two programs than tests/cli/cli-edit-random.sh and
# tests/interop/interop-edit-race.sh, with the same programs.  EDIT_FLAGS are
# for all three, such as '--seed 7'.
EDIT_SEQUENCES = 2000
EDIT_ROUNDS = 200
EDIT_FLAGS =
edit_environment = LC_ALL=C.UTF-8 QCOW2TOOL='$(abs_top_builddir)/src/qcow2tool'

.PHONY: fuzz-edit
fuzz-edit: src/qcow2tool
	$(edit_environment) $(srcdir)/%D%/interop/edit-faults.py $(EDIT_FLAGS)
	$(edit_environment) $(srcdir)/%D%/interop/edit-race.py \
		--rounds '$(EDIT_ROUNDS)' $(EDIT_FLAGS)
	$(edit_environment) $(srcdir)/%D%/cli/edit-random.py --all-cuts \
		--sequences '$(EDIT_SEQUENCES)' $(EDIT_FLAGS)

VALGRIND_FLAGS = -q --error-exitcode=99 --leak-check=full \
	--show-leak-kinds=definite --errors-for-leak-kinds=definite \
	--num-callers=30

# The tests that run the code in process.  The replay programs run whole
# command lines.
process_tests = $(unit_tests) $(replay_programs)

# test-builder examines only the images, for which one suite is enough.
program_tests = $(filter-out %D%/unit/test-builder, $(process_tests))

# These run what the tests in process do not reach: main (), signals, locks,
# lists of images and the parser of options.  The fuzz targets run the inputs
# of the replay programs, with the same sanitizers.
sanitizer_tests = \
	%D%/cli/cli-usage.sh \
	%D%/cli/cli-writer.sh \
	%D%/cli/cli-images.sh \
	%D%/cli/cli-bad-input.sh \
	%D%/cli/cli-output.sh \
	%D%/cli/cli-samples.sh \
	%D%/cli/cli-huge.sh \
	%D%/cli/cli-qcow2-py.sh \
	$(filter-out $(replay_programs), $(program_tests))

# The tests that need files of the tarball other than those of the build, and
# the programs that these need.
dist_tests = \
	%D%/source/check-docs.sh \
	%D%/source/check-layers.sh \
	%D%/source/check-packaging.sh \
	%D%/cli/cli-qcow2-py.sh \
	%D%/cli/cli-samples.sh \
	%D%/fuzz/replay-image \
	%D%/unit/test-findings
dist_flags = CFLAGS=-O0 --disable-dependency-tracking
dist_programs = \
	%D%/builder/mkimage \
	%D%/fuzz/replay-image \
	%D%/unit/test-findings

# Those that run most of the lines, few of which need a program of their own.
coverage_tests = \
	%D%/cli/cli-edit.sh \
	%D%/cli/cli-layers.sh \
	$(program_tests)

.PHONY: check-coverage check-dist check-unit check-sanitizers check-valgrind
# Fewer values in the unit tests run through the same lines.
check-coverage:
	$(MAKE) check TESTS='$(coverage_tests)' \
		LOG_COMPILER='env QCOW2TOOL_SLOW=1 $(LOG_COMPILER)'
check-unit:
	$(MAKE) check TESTS='$(process_tests)'
check-sanitizers:
	$(MAKE) check QCOW2TOOL_SANITIZED=1 TESTS='$(sanitizer_tests)'
# The other test programs are built by any other suite.
check-dist:
	$(MAKE) distcheck QCOW2TOOL_SLOW=1 \
		DISTCHECK_CONFIGURE_FLAGS='$(dist_flags)' \
		TESTS='$(dist_tests)' check_PROGRAMS='$(dist_programs)'
# A start of the program under valgrind takes half a second, and the replay
# programs run its command lines in process.
check-valgrind:
	$(MAKE) check QCOW2TOOL_SLOW=1 MALLOC_PERTURB_= \
		TESTS='$(program_tests)' \
		QCOW2TOOL_WRAPPER='$(VALGRIND) $(VALGRIND_FLAGS)'
