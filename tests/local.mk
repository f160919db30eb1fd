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
	export MAKE='$(MAKE)' CC='$(CC)';

unit_tests = \
	%D%/test-builder

check_PROGRAMS += $(unit_tests) %D%/mkimage
TESTS = $(unit_tests)
EXTRA_DIST += %D%/lib.sh %D%/run-unit %D%/samples

builder_sources = \
	%D%/image-bases.c \
	%D%/image-builder.c \
	%D%/image-builder.h \
	%D%/image-bytes.c \
	%D%/image-corpus.c \
	%D%/image-rows.h

# Not linked with the code under test: it is the oracle.
%C%_mkimage_SOURCES = %D%/mkimage.c $(builder_sources)
%C%_mkimage_LDADD = $(GLIB_LIBS)
%C%_test_builder_SOURCES = %D%/test-builder.c $(builder_sources)
%C%_test_builder_LDADD = $(GLIB_LIBS)

VALGRIND_FLAGS = -q --error-exitcode=99 --leak-check=full \
	--show-leak-kinds=definite --errors-for-leak-kinds=definite \
	--num-callers=30

.PHONY: check-valgrind
check-valgrind:
	$(MAKE) check QCOW2TOOL_SLOW=1 MALLOC_PERTURB_= \
		QCOW2TOOL_WRAPPER='$(VALGRIND) $(VALGRIND_FLAGS)'
