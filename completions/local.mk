# SPDX-License-Identifier: LGPL-2.1-or-later
# bash-completion loads a file by the name of the command that it completes.

EXTRA_DIST += %D%/qcow2tool.bash
CLEANFILES += %D%/qcow2tool
nodist_bashcompletion_DATA = %D%/qcow2tool

%D%/qcow2tool: %D%/qcow2tool.bash
	$(AM_V_GEN)$(MKDIR_P) %D% && cp $(srcdir)/%D%/qcow2tool.bash $@
