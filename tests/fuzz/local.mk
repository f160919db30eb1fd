# SPDX-License-Identifier: LGPL-2.1-or-later
# Fuzz targets, and programs that run them over stored inputs.

fuzz_names = image sparse faults plan
fuzz_targets = \
	%D%/fuzz-faults \
	%D%/fuzz-image \
	%D%/fuzz-plan \
	%D%/fuzz-sparse
replay_programs = \
	%D%/replay-faults \
	%D%/replay-image \
	%D%/replay-plan \
	%D%/replay-sparse

check_PROGRAMS += $(replay_programs)
TESTS += $(replay_programs)
EXTRA_DIST += \
	%D%/corpus \
	%D%/fuzz.dict

fuzz_sources = \
	%D%/buffer.c \
	%D%/buffer.h \
	%D%/command.c \
	%D%/command.h \
	%D%/drive-input.c \
	%D%/fuzz.h \
	%D%/layout.c \
	%D%/layout.h

check_LIBRARIES += %D%/libreplay.a
%C%_libreplay_a_SOURCES = %D%/replay.c %D%/seeds.c $(fuzz_sources)
replay_ldadd = %D%/libreplay.a $(LDADD)
%C%_replay_faults_SOURCES = %D%/fuzz-faults.c
%C%_replay_faults_LDADD = $(replay_ldadd)
%C%_replay_image_SOURCES = %D%/fuzz-image.c
%C%_replay_image_LDADD = $(replay_ldadd)
%C%_replay_plan_SOURCES = %D%/fuzz-plan.c
%C%_replay_plan_LDADD = $(replay_ldadd)
%C%_replay_sparse_SOURCES = %D%/fuzz-sparse.c
%C%_replay_sparse_LDADD = $(replay_ldadd)

# The time for each target of "make fuzz", the folder for new inputs, and flags
# for libFuzzer, which override the flags below.
FUZZ_SECONDS = 60
FUZZ_DIR = fuzz-corpus
FUZZ_FLAGS =
fuzz_flags = \
	-max_len=16384 -timeout=25 -rss_limit_mb=512 -malloc_limit_mb=64 \
	-print_final_stats=1 $(FUZZ_FLAGS)
fuzz_asan_options = \
	malloc_context_size=4:quarantine_size_mb=4:max_malloc_fill_size=64

.PHONY: fuzz
if FUZZING
noinst_PROGRAMS += $(fuzz_targets)

# Only the fuzzed code is instrumented, not the code that examines its output.
fuzz_cflags = -std=gnu11 $(WARN_CFLAGS) $(GLIB_CFLAGS)
fuzz_ldflags = $(AM_LDFLAGS) -fsanitize=fuzzer

noinst_LIBRARIES += %D%/libtarget.a
%C%_libtarget_a_SOURCES = \
	$(fuzz_sources) $(oracle_sources) tests/builder/image-bytes.c
%C%_libtarget_a_CFLAGS = $(fuzz_cflags)
target_ldadd = %D%/libtarget.a $(layers)
%C%_fuzz_faults_CFLAGS = $(fuzz_cflags)
%C%_fuzz_faults_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_faults_LDADD = $(target_ldadd)
%C%_fuzz_image_CFLAGS = $(fuzz_cflags)
%C%_fuzz_image_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_image_LDADD = $(target_ldadd)
%C%_fuzz_plan_CFLAGS = $(fuzz_cflags)
%C%_fuzz_plan_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_plan_LDADD = $(target_ldadd)
%C%_fuzz_sparse_CFLAGS = $(fuzz_cflags)
%C%_fuzz_sparse_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_sparse_LDADD = $(target_ldadd)

fuzz: $(fuzz_targets) $(replay_programs)
	@for name in $(fuzz_names); do \
	  echo "== fuzz-$$name, $(FUZZ_SECONDS) s"; \
	  found=$(FUZZ_DIR)/$$name; seeds=$(FUZZ_DIR)/seeds-$$name; \
	  kept=$(srcdir)/tests/fuzz/corpus/$$name; \
	  $(MKDIR_P) "$$found" "$$seeds" \
	    && tests/fuzz/replay-$$name --write "$$seeds" \
	    && ASAN_OPTIONS="$(fuzz_asan_options):$$ASAN_OPTIONS" \
	      tests/fuzz/fuzz-$$name $(fuzz_flags) \
	      -dict=$(srcdir)/tests/fuzz/fuzz.dict \
	      -max_total_time=$(FUZZ_SECONDS) \
	      -artifact_prefix="$(FUZZ_DIR)/$$name-" \
	      "$$found" "$$seeds" "$$kept" \
	    || exit 1; \
	done
else
fuzz:
	@echo 'make fuzz needs a build configured with --enable-fuzzing' >&2
	@exit 1
endif
