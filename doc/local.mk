# SPDX-License-Identifier: LGPL-2.1-or-later
# The man pages are part of the tarball, so that only changes to them need
# pod2man.  The date of a page is that of the release in NEWS, or
# SOURCE_DATE_EPOCH: the same source always produces the same pages.

dist_doc_DATA = %D%/performance.txt %D%/qcow2tool.schema.json
dist_man1_MANS = \
	%D%/qcow2tool.1 \
	%D%/qcow2tool-bitmap-map.1 \
	%D%/qcow2tool-bitmaps.1 \
	%D%/qcow2tool-check.1 \
	%D%/qcow2tool-edit.1 \
	%D%/qcow2tool-info.1 \
	%D%/qcow2tool-map.1 \
	%D%/qcow2tool-snapshots.1
dist_man5_MANS = %D%/qcow2tool-json.5
dist_man7_MANS = %D%/qcow2tool-rules.7
man_pages = $(dist_man1_MANS) $(dist_man5_MANS) $(dist_man7_MANS)
EXTRA_DIST += \
	CONTRIBUTING \
	HACKING \
	%D%/qcow2tool.pod \
	%D%/qcow2tool-bitmap-map.pod \
	%D%/qcow2tool-bitmaps.pod \
	%D%/qcow2tool-check.pod \
	%D%/qcow2tool-edit.pod \
	%D%/qcow2tool-info.pod \
	%D%/qcow2tool-json.pod \
	%D%/qcow2tool-map.pod \
	%D%/qcow2tool-rules.pod \
	%D%/qcow2tool-snapshots.pod
MAINTAINERCLEANFILES = $(man_pages)

$(man_pages): NEWS configure.ac

# The commands of the rules below; the argument is the title of the section.
make_page = \
	test -n '$(POD2MAN)' || \
	  { echo 'pod2man is needed to make $@' >&2; exit 1; }; \
	make_page () \
	{ \
	  center=$$1; \
	  if test -n "$$SOURCE_DATE_EPOCH"; then set --; else \
	    set -- --date="`$(SED) -n '1s/.*(\(.*\)).*/\1/p' $(srcdir)/NEWS`"; \
	  fi && \
	  unset POD_MAN_DATE && \
	  $(MKDIR_P) $(@D) && \
	  page=$@ && \
	  $(POD2MAN) --errors=die --section="$${page\#\#*.}" \
	    --center="$$center" --release='qcow2tool $(VERSION)' "$$@" $< \
	    > $@.tmp && \
	  mv $@.tmp $@; \
	}; \
	make_page

SUFFIXES = .pod .1 .5 .7
.pod.1:
	$(AM_V_GEN)$(make_page) 'User Commands'
.pod.5:
	$(AM_V_GEN)$(make_page) 'File Formats'
.pod.7:
	$(AM_V_GEN)$(make_page) 'Miscellaneous Information'
