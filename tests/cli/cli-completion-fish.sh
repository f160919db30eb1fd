#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The fish completion, in fish.
# shellcheck disable=SC2016 # single quotes keep things from this shell
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/cli/completion.sh
. "$(dirname "$0")/completion.sh"

require fish
fish --no-config -c true 2> /dev/null \
  || skip_all 'this fish has no --no-config'
export HOME=$tmp srcdir tmp

# Each line of standard input is a folder to be in.  "complete -C" completes at
# the end of the text in the file left, and escapes candidates as they are
# inserted.
cat > "$tmp/complete.fish" << 'END'
source $srcdir/completions/qcow2tool.fish
while read -l folder
    cd $folder
    set -l line (cat $tmp/left | string collect -N)
    for candidate in (complete --escape -C $line)
        set -l word (string split -m 1 \t -- $candidate)
        printf '%s\t%s\n' $word[1] "$word[2]" >>$tmp/described
        eval "printf '%s\0' $word[1]" >>$tmp/whole
    end
    echo
end
END
coproc shell {
  exec fish --no-config "$tmp/complete.fish" 2> "$tmp/messages"
}

complete_at ()
{
  local word=${1##* } head=

  [[ $word != --*=* ]] || head=${word%%=*}=
  printf %s "$1" > "$tmp/left"
  : > "$tmp/whole"
  : > "$tmp/described"
  printf '%s\n' "$PWD" >&"${shell[1]}"
  read -r -t 60 -u "${shell[0]}" || fail "completing $1" 'no answer'
  sed -z "s/^$head//; s/=\$//" "$tmp/whole" > "$tmp/candidates"
}

# fish takes the text after a tab for a description, so that a name with one is
# not offered.  bm1 is the other bitmap of the image.
expect_inserted ()
{
  { cat "$2" && printf '\0'; } > "$tmp/expected"
  if grep -q $'\t' "$2"; then
    : > "$tmp/expected"
  fi
  sed -z '/^bm1$/d' "$tmp/candidates" > "$tmp/found"
  if cmp -s "$tmp/found" "$tmp/expected"; then
    pass "$1"
  else
    fail "$1" "got $(od -An -c "$tmp/found")"
  fi
}

test_completion

complete_at 'qcow2tool dump-header-'
summary=$($QCOW2TOOL --help | sed -n 's/^  dump-header-exts  *//p')
check 'commands are described by their summaries' \
  [ "$(cat "$tmp/described")" = "dump-header-exts"$'\t'"$summary" ]
complete_at 'qcow2tool header --files0'
check 'options are described by their help' grep -q $'\t'. "$tmp/described"
check 'fish has no complaints' [ ! -s "$tmp/messages" ]

done_testing
