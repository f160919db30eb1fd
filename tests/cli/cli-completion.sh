#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The bash completion, above all with names of bitmaps that a shell would
# execute.
# shellcheck disable=SC2016 # single quotes keep things from this shell
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/cli/completion.sh
. "$(dirname "$0")/completion.sh"
# shellcheck source=completions/qcow2tool.bash
. "$srcdir/completions/qcow2tool.bash"
# The test's own folder is empty: a name that is executed leaves a file.
cd "$tmp/cwd" || exit 1

# complete_at LINE TEXT [AFTER]: completes LINE, with the cursor before AFTER.
# TEXT is the end of LINE that readline would replace.
complete_at ()
{
  line=${1%"$2"}
  COMP_LINE=$1${3-}
  COMP_POINT=${#1}
  _qcow2tool qcow2tool "$2" ''
}

expect_replies ()
{
  local name=$1

  shift
  printf '<%s>\n' "$@" > "$tmp/expected"
  printf '<%s>\n' "${COMPREPLY[@]}" > "$tmp/replies"
  expect_file "$name" "$tmp/replies"
}

expect_no_replies ()
{
  check "$1" [ "${#COMPREPLY[@]}" = 0 ]
}

# expect_last NAME REPLY FILE [CLOSING]: the line with REPLY inserted, followed
# by CLOSING, ends in a word with exactly the bytes of FILE.
expect_last ()
{
  local name=$1 last

  last=$(eval "set -- $line$2${4-}"' && printf "%sX" "${!#}"')
  last=${last%X}
  printf %s "${last#--name=}" > "$tmp/last"
  if cmp -s "$3" "$tmp/last"; then
    pass "$name"
  else
    fail "$name" "$line$2 results in $(od -An -c "$tmp/last")"
  fi
}

mapfile -t all_commands < <(command_names)
complete_at 'qcow2tool ' ''
expect_replies 'commands' "${all_commands[@]}" help
complete_at 'qcow2tool bi' bi
expect_replies 'commands with this prefix' bitmaps bitmap-table bitmap-map
complete_at 'qcow2tool help ext' ext
expect_replies 'commands after help' extensions
complete_at 'qcow2tool dump-h' dump-h
expect_replies 'commands with a common prefix' dump-header dump-header-exts
complete_at 'qcow2tool --v' --v
expect_replies 'options before the command' --version
complete_at 'qcow2tool bitmap-table --n' --n
expect_replies 'options of a command' --name=
complete_at 'qcow2tool bitmaps --l' --l
expect_replies 'options of bitmaps' --list --long
complete_at 'qcow2tool dump-header -' -
expect_replies 'options of dump-header' --json -j --format= -f --force-share \
  -U --help -h
complete_at 'qcow2tool dump-header-exts --j' --j
expect_replies 'options of dump-header-exts' --json
complete_at 'qcow2tool dump --' --
expect_replies 'dump has only the common options' --output= --files-from= \
  --files0-from= --format= --force-share --help
complete_at 'qcow2tool check --s' --s
expect_replies 'an option of check' --strict
complete_at 'qcow2tool check --q' --q
expect_replies 'check without output' --quiet
complete_at 'qcow2tool check --is ' ''
expect_replies 'verdicts' opens opens-rw
complete_at 'qcow2tool check --is=opens-' --is=opens-
expect_replies 'verdicts where = does not split words' --is=opens-rw
complete_at 'qcow2tool header --d' --d
expect_replies 'the default of a field' --default=
complete_at 'qcow2tool check --ignore BDIR-06' BDIR-06
expect_replies 'a rule to ignore' BDIR-06
complete_at 'qcow2tool check --ignore=BTAB-' --ignore=BTAB-
expect_replies 'rules to ignore, after the equals sign' --ignore=BTAB-01 \
  --ignore=BTAB-02 --ignore=BTAB-03 --ignore=BTAB-05
complete_at 'qcow2tool header -- --f' --f
expect_no_replies 'no options after --'
complete_at 'qcow2tool nosuch -' -
expect_no_replies 'no options of an unknown command'

complete_at 'qcow2tool bitmaps --is d' d
expect_replies 'states' disabled damaged
complete_at 'qcow2tool bitmaps --is=us' us
expect_replies 'states after =' usable
complete_at 'qcow2tool bitmaps --is=us' --is=us
expect_replies 'states where = does not split words' --is=usable
complete_at 'qcow2tool bitmap-table --type all' all
expect_replies 'types' all-zeroes all-ones
complete_at 'qcow2tool header --output=' ''
expect_replies 'outputs' text json jsonl human
complete_at 'qcow2tool dump --output=js' js
expect_replies 'outputs with this prefix' json jsonl
complete_at 'qcow2tool header -f ' ''
expect_replies 'formats' qcow2
complete_at 'qcow2tool header --field crypt' crypt
expect_replies 'keys of the header' crypt_method crypt_method_name
complete_at 'qcow2tool extensions --field nb' nb
expect_replies 'keys of extensions' nb_bitmaps
complete_at 'qcow2tool bitmaps --field gran' gran
expect_replies 'keys of bitmaps' granularity_bits granularity
complete_at 'qcow2tool extensions --magic ' ''
expect_replies 'magics, quoted' 'Backing\ format' 'Feature\ table' \
  'Crypto\ header' Bitmaps 'Data\ file' '\<unknown\>'
complete_at 'qcow2tool bitmaps --index ' ''
expect_no_replies 'nothing for a number'

image two-bitmaps
complete_at "qcow2tool set-header --force $image re" re
expect_replies 'fields' refcount_table_offset refcount_table_clusters \
  refcount_order
complete_at "qcow2tool set-feature-bit $image " ''
expect_replies 'groups' incompatible compatible autoclear
complete_at "qcow2tool clear-feature-bit -n -- $image in" in
expect_replies 'groups after --' incompatible
complete_at "qcow2tool set-feature-bit '$image' autoclear " ''
expect_replies 'bits' bitmaps raw-external-data
complete_at 'qcow2tool set-feature-bit ' '' " $image"
check 'no groups where the image belongs' [ "${COMPREPLY[0]-}" != incompatible ]
complete_at "qcow2tool set-feature-bit $image nosuch " ''
expect_no_replies 'no bits of an unknown group'
complete_at "qcow2tool set-header $image size " ''
expect_no_replies 'no values of a field'
complete_at "qcow2tool set-header $tmp/nosuch " ''
expect_no_replies 'no fields without an image'

complete_at "qcow2tool header $tmp/files/disk.q" "$tmp/files/disk.q"
expect_replies 'files' "$tmp/files/disk.qcow2"
complete_at "qcow2tool header '$tmp/files/disk t" "$tmp/files/disk t"
expect_replies 'files with spaces, which readline quotes' \
  "$tmp/files/disk two.qcow2"
complete_at "qcow2tool header --files-from=$tmp/files/disk.q" \
  "$tmp/files/disk.q"
expect_replies 'files after =' "$tmp/files/disk.qcow2"
complete_at "qcow2tool header --files-from=$tmp/files/disk.q" \
  "--files-from=$tmp/files/disk.q"
expect_replies 'files where = does not split words' \
  "--files-from=$tmp/files/disk.qcow2"
complete_at "qcow2tool header -- $tmp/files/disk.q" "$tmp/files/disk.q"
expect_replies 'files after --' "$tmp/files/disk.qcow2"

sample iotest291-merged
complete_at "qcow2tool bitmaps $sample --name " ''
expect_replies 'names' b1 b2 b0
complete_at "qcow2tool bitmap-table $sample --name=b" b
expect_replies 'names after =' b1 b2 b0
complete_at 'qcow2tool bitmaps --name b' b " $sample"
expect_replies 'names of an image after the cursor' b1 b2 b0
complete_at 'qcow2tool bitmaps --name ' '' " --tables -f qcow2 -- $sample"
expect_replies 'names of an image after --' b1 b2 b0
complete_at "qcow2tool bitmaps --field state '$sample' --name " ''
expect_replies 'names of an image in quotes' b1 b2 b0
cp "$sample" "$tmp/files/-disk"
cd "$tmp/files" || exit 1
complete_at 'qcow2tool bitmaps --name ' '' ' -- -disk'
expect_replies 'names of an image whose name begins with a dash' b1 b2 b0
cd "$tmp/cwd" || exit 1
complete_at 'qcow2tool bitmaps --name ' ''
expect_no_replies 'no names without an image'
complete_at "qcow2tool bitmaps $tmp/nosuch --name " ''
expect_no_replies 'no names in no image'
HOME=$tmp
complete_at "qcow2tool bitmaps ~/${sample##*/} --name " ''
expect_replies 'names of an image in the home directory' b1 b2 b0

image two-snapshots
complete_at "qcow2tool snapshots $image --name " ''
expect_replies 'names of snapshots' snap1 snap2

image name-command
complete_at "qcow2tool bitmaps $image --name " ''
expect_replies 'a command substitution' '\$\(touch\ oops\)' bm1
image name-spaces
complete_at "qcow2tool bitmaps $image --name " ''
expect_replies 'spaces' '\ a\ b\ ' bm1
image name-option
complete_at "qcow2tool bitmaps $image --name " ''
expect_replies 'an option' --help bm1
image name-newline
complete_at "qcow2tool bitmaps $image --name " ''
expect_replies 'a newline' "\$'a\\nb'" bm1
image name-non-utf8
complete_at "qcow2tool bitmaps $image --name " ''
expect_replies 'Latin-1' "\$'\\374ber'" bm1

for hostile in "${hostile_images[@]}"; do
  image "$hostile"
  name_of_bitmap_0 "$image" > "$tmp/name"
  printf -v quoted %q "$(cat "$tmp/name" && echo X)"

  complete_at "qcow2tool bitmaps $image --name " ''
  expect_last "$hostile: as a word" "${COMPREPLY[0]-}" "$tmp/name"
  complete_at "qcow2tool bitmaps $image --name=" ''
  expect_last "$hostile: after =" "${COMPREPLY[0]-}" "$tmp/name"
  complete_at "qcow2tool bitmaps $image --name=" --name=
  expect_last "$hostile: where = does not split words" "${COMPREPLY[0]-}" \
    "$tmp/name"
  complete_at "qcow2tool bitmaps $image --name \$'" ''
  expect_last "$hostile: after \$'" "${COMPREPLY[0]%\'}" "$tmp/name" "'"

  # Names that can be written between plain quotes.
  if [[ $quoted != "\$'"* ]]; then
    complete_at "qcow2tool bitmaps $image --name '" ''
    expect_last "$hostile: after '" "${COMPREPLY[0]-}" "$tmp/name" "'"
    complete_at "qcow2tool bitmaps $image --name \"" ''
    expect_last "$hostile: after \"" "${COMPREPLY[0]-}" "$tmp/name" '"'
  else
    complete_at "qcow2tool bitmaps $image --name '" ''
    check "$hostile: only bitmap 1 after '" [ "${#COMPREPLY[@]}" = 1 ]
    complete_at "qcow2tool bitmaps $image --name \"" ''
    check "$hostile: only bitmap 1 after \"" [ "${#COMPREPLY[@]}" = 1 ]
  fi
done

# Continuing a name that was begun, for each way to write it.
image name-command
for begun in '\$' '\$\(touch\ ' '$'; do
  complete_at "qcow2tool bitmaps $image --name $begun" "$begun"
  expect_replies "begun as $begun" '\$\(touch\ oops\)'
done
complete_at "qcow2tool bitmaps $image --name '\$(t" '$(t'
expect_replies "begun after '" '$(touch oops)'
complete_at "qcow2tool bitmaps $image --name \"\\\$(t" '\$(t'
expect_replies 'begun after "' '\$(touch oops)'
complete_at "qcow2tool bitmaps $image \"--name=\\\$(t" '--name=\$(t'
expect_replies 'begun after a quote before the option' \
  '--name=\$(touch oops)'
complete_at "qcow2tool bitmaps $image --name \\*" '\*'
expect_no_replies 'an asterisk is no pattern'
image name-spaces
complete_at "qcow2tool bitmaps $image --name \\ \"a" a
expect_replies 'begun without a quote, then after one' 'a b '
image name-quotes
complete_at "qcow2tool bitmaps $image --name \\'" "\\'"
expect_replies 'begun with a quote' "\\'\\\"\\\\\\\`"
image name-newline
complete_at "qcow2tool bitmaps $image --name \$'a\\n" 'a\n'
expect_replies 'begun with an escape' "a\\nb'"
complete_at "qcow2tool bitmaps $image --name \$'a\\012" 'a\012'
expect_replies 'begun with an octal escape' "a\\nb'"

# If readline splits a word inside a name, only the last part is replaced.
rm "$tmp/bin/qcow2tool" # it may be a link
cat > "$tmp/bin/qcow2tool" << END
#!/bin/sh
case \$2 in
  --names) printf 'a:b=c@d\\0a:x\\0' ;;
  *) exec $QCOW2TOOL "\$@" ;;
esac
END
chmod +x "$tmp/bin/qcow2tool"
complete_at 'qcow2tool bitmaps image --name a:b' b
expect_replies 'after a colon' b=c@d
complete_at 'qcow2tool bitmaps image --name a:' ''
expect_replies 'right after a colon' b=c@d x
complete_at 'qcow2tool bitmaps image --name=a:b=c' c
expect_replies 'after = in a name' c@d
tool_in "$tmp/bin"

check 'no name was executed' [ -z "$(ls -A)" ]

# A real shell, which loads the file and does its own splitting and quoting.
wait_for_prompt ()
{
  local char seen=

  while [[ $seen != *'ready> ' ]]; do
    IFS= read -r -d '' -n 1 -t 60 -u "${shell[0]}" char || return
    seen+=$char
  done
}

# expect_typed NAME KEYS FILE: after KEYS are typed, the last word of the line
# has the bytes of FILE.
expect_typed ()
{
  rm -f "$tmp/argument"
  printf '%s\n' "$2" >&"${shell[1]}"
  if wait_for_prompt && cmp -s "$3" "$tmp/argument"; then
    pass "$1"
  else
    fail "$1" "got $(od -An -c "$tmp/argument" 2>&1)"
  fi
}

if ! command -v script > /dev/null; then
  skip 'in an interactive shell' 'script is not installed'
  done_testing
fi
if ! script -qfec true /dev/null > /dev/null 2> "$tmp/log"; then
  skip 'in an interactive shell' "$(head -n 1 "$tmp/log")"
  done_testing
fi

cat > "$tmp/rc" <<'END'
PS1='ready> '
set -u
. "$srcdir/completions/qcow2tool.bash"
qcow2tool ()
{
  local last=${!#}

  printf %s "${last#--name=}" > "$tmp/argument"
}
END
export srcdir tmp TERM=dumb HISTFILE=/dev/null
coproc shell {
  script -qfec 'bash --noprofile --rcfile "$tmp/rc" -i' /dev/null 2> /dev/null
}
wait_for_prompt || fail 'interactive: a prompt'

tab=$'\t'
image name-command
name_of_bitmap_0 "$image" > "$tmp/name"
expect_typed 'interactive: a command substitution' \
  "qcow2tool bitmaps $image --name \\\$$tab" "$tmp/name"
expect_typed 'interactive: after =' \
  "qcow2tool bitmaps $image --name=\\\$$tab" "$tmp/name"
expect_typed 'interactive: after a double quote' \
  "qcow2tool bitmaps $image --name=\"\\\$$tab" "$tmp/name"
image name-newline
name_of_bitmap_0 "$image" > "$tmp/name"
expect_typed 'interactive: a newline' \
  "qcow2tool bitmaps $image --name=a$tab" "$tmp/name"
expect_typed "interactive: after \$'" \
  "qcow2tool bitmaps $image --name \$'a$tab" "$tmp/name"
image name-option
name_of_bitmap_0 "$image" > "$tmp/name"
expect_typed 'interactive: an option' \
  "qcow2tool bitmaps $image --name=-$tab" "$tmp/name"
printf %s bitmap-table > "$tmp/name"
expect_typed 'interactive: a command' "qcow2tool bitmap-t$tab" "$tmp/name"
printf %s "$tmp/files/disk two.qcow2" > "$tmp/name"
expect_typed 'interactive: a file' \
  "qcow2tool header $tmp/f${tab}disk\\ t$tab" "$tmp/name"

printf '%s\n' 'COMP_WORDBREAKS=${COMP_WORDBREAKS//=/}' \
  >&"${shell[1]}"
wait_for_prompt
image name-command
name_of_bitmap_0 "$image" > "$tmp/name"
expect_typed 'interactive: where = does not split words' \
  "qcow2tool bitmaps $image --name=\\\$$tab" "$tmp/name"
printf 'exit\n' >&"${shell[1]}"
check 'no name was executed there, either' [ -z "$(ls -A)" ]

done_testing
