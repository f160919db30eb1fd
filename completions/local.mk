# SPDX-License-Identifier: LGPL-2.1-or-later
# bash-completion loads the file with the name of the command.

EXTRA_DIST += %D%/qcow2tool.bash
CLEANFILES += %D%/qcow2tool
nodist_bashcompletion_DATA = %D%/qcow2tool
dist_zshcompletion_DATA = %D%/_qcow2tool
dist_fishcompletion_DATA = %D%/qcow2tool.fish

%D%/qcow2tool: %D%/qcow2tool.bash
	$(AM_V_GEN)$(MKDIR_P) %D% && cp $(srcdir)/%D%/qcow2tool.bash $@
