#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The zsh completion, in an interactive zsh.
# shellcheck disable=SC2016 # single quotes keep things from this shell
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/cli/completion.sh
. "$(dirname "$0")/completion.sh"

require zsh
export HOME=$tmp TERM=dumb

coproc shell {
  exec zsh -f "$srcdir/tests/cli/complete.zsh" "$srcdir/completions" "$tmp" \
    2> "$tmp/shell-log"
}
if ! read -r -t 60 -u "${shell[0]}"; then
  skip_all "zsh has no terminal: $(head -n 1 "$tmp/shell-log")"
fi

complete_at ()
{
  printf %s "$1" > "$tmp/left"
  printf %s "${2-}" > "$tmp/right"
  printf '%s\n' "$PWD" >&"${shell[1]}"
  read -r -t 60 -u "${shell[0]}" || fail "completing $1" 'no answer'
}

# complete.zsh leaves out bm1, the other bitmap of the image.
expect_inserted ()
{
  # shellcheck disable=SC2016 # for zsh
  zsh -fc 'eval "set -- $(cat $1)"; printf %s "${@[-1]#--name=}"' - \
    "$tmp/line" > "$tmp/last"
  if cmp -s "$tmp/last" "$2"; then
    pass "$1"
  else
    fail "$1" "$(cat "$tmp/line") results in $(od -An -c "$tmp/last")"
  fi
}

test_completion

sample iotest291-merged
right=" $sample"
expect_candidates 'names of an image after the cursor' \
  'qcow2tool bitmaps --name b' b0 b1 b2
right=" --tables -f qcow2 -- $sample"
expect_candidates 'names of an image after --' 'qcow2tool check --name ' \
  b0 b1 b2
right=

# Continuing a name that was begun, for each way to write it.
image name-command
name_of_bitmap_0 "$image" > "$tmp/name"
for begun in '\$' '\$\(touch\ ' "'\$(t" '"\$(t' "\$'\$(t"; do
  complete_at "qcow2tool bitmaps $image --name $begun"
  expect_inserted "begun as $begun" "$tmp/name"
done
check 'no name was executed there, either' [ -z "$(ls -A)" ]

complete_at 'qcow2tool dump-header-'
summary=$($QCOW2TOOL --help | sed -n 's/^  dump-header-exts  *//p')
check 'commands are described by their summaries' \
  grep -qF -e "$summary" "$tmp/descriptions"
complete_at 'qcow2tool header --files0'
summary=$($QCOW2TOOL header --help | sed -n 's/^  --files0-from=FILE  *//p')
check 'options are described by their help' \
  grep -qF -e "$summary" "$tmp/descriptions"

done_testing
