# SPDX-License-Identifier: LGPL-2.1-or-later
# The man page is part of the tarball, so that only changes to it need pod2man.
# The date of the page is that of the release in NEWS, or SOURCE_DATE_EPOCH:
# the same source always produces the same page.

EXTRA_DIST += %D%/qcow2tool.pod HACKING
dist_doc_DATA = %D%/qcow2tool.schema.json
MAINTAINERCLEANFILES = %D%/qcow2tool.1
dist_man1_MANS = %D%/qcow2tool.1

%D%/qcow2tool.1: %D%/qcow2tool.pod NEWS configure.ac
	$(AM_V_at)test -n '$(POD2MAN)' || \
	  { echo 'pod2man is needed to make $@' >&2; exit 1; }
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	if test -n "$$SOURCE_DATE_EPOCH"; then set --; else \
	  set -- --date="`$(SED) -n '1s/.*(\(.*\)).*/\1/p' $(srcdir)/NEWS`"; \
	fi && \
	unset POD_MAN_DATE && \
	$(POD2MAN) --errors=die --section=1 --name=QCOW2TOOL \
	  --center='User Commands' --release='qcow2tool $(VERSION)' "$$@" \
	  $(srcdir)/%D%/qcow2tool.pod > $@.tmp && \
	mv $@.tmp $@
