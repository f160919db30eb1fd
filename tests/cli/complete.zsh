# SPDX-License-Identifier: LGPL-2.1-or-later
# Completes command lines in an interactive zsh.  Usage:
#
#   zsh -f complete.zsh FOLDER-OF-COMPLETION FOLDER
#
# Prints a line when the shell is ready.  For each line of standard input,
# which is the folder to be in, the text in FOLDER/left is completed, with the
# cursor before the text in FOLDER/right.  Then a line is printed, and FOLDER
# contains: candidates, what was offered, each ended by a NUL byte;
# descriptions, one per line; and line, the text before the cursor.

zmodload zsh/zpty zsh/zselect || exit 1
folder=$2

# The shell under test.  Each call of compadd that adds candidates is done
# twice: the first time, the candidates go into an array.
cat > $folder/rc << 'END'
PS1= PROMPT_EOL_MARK=
fpath=($completions $fpath)
autoload -Uz compinit
compinit -u -D
zstyle ':completion:*' completer _complete
zstyle ':completion:*' ignored-patterns bm1
setopt no_auto_menu

compadd ()
{
  local -a found flags

  flags=("${(@)argv[1,(i)(-|--)]}")
  if (( flags[(I)-[ADO]] )); then
    builtin compadd "$@"
    return
  fi
  builtin compadd -O found "$@"
  # With -Q, they are quoted as in the line.
  if (( flags[(I)-Q*] )); then
    found=("${(@Q)found}")
  fi
  candidates+=("${found[@]}")
  found=(${flags[(i)-*d]})
  if (( found[1] < $#argv )); then
    descriptions+=("${(@P)argv[found[1] + 1]}")
  fi
  builtin compadd "$@"
}

collect ()
{
  candidates=() descriptions=()
  _main_complete
}
zle -C collect complete-word collect

complete_line ()
{
  LBUFFER=$(cat $folder/left; echo X)
  LBUFFER=${LBUFFER%X}
  RBUFFER=$(cat $folder/right; echo X)
  RBUFFER=${RBUFFER%X}
  cd "$(<$folder/place)"
  zle collect
  {
    (( $#candidates )) && printf '%s\0' $candidates
  } > $folder/candidates
  print -rl -- $descriptions > $folder/descriptions
  printf %s $LBUFFER > $folder/line
  BUFFER=
  : > $folder/done
}
zle -N complete_line
bindkey '^G' complete_line
END

completions=$1
export folder completions
zpty shell "TERM=dumb zsh -f -i"
zpty -w shell 'setopt no_beep; . $folder/rc; : > $folder/done'

wait_for_shell ()
{
  local output n

  for ((n = 0; n < 6000; n++)); do
    while zpty -rt shell output; do :; done
    if [[ -e $folder/done ]]; then
      rm $folder/done
      return
    fi
    zselect -t 1
  done
  return 1
}

wait_for_shell || exit 1
echo
while read -r; do
  print -r -- $REPLY > $folder/place
  zpty -wn shell $'\x07'
  wait_for_shell || exit 1
  echo
done
