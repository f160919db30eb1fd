#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The command line: help, version and usage errors, for every command that
# --help lists.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

image two-bitmaps
escape=$(printf '\033')

# check_help NAME ARGUMENT...: prints help once on stdout, and nothing on
# stderr.
check_help ()
{
  local name=$1

  shift
  tool "$@"
  if [ "$status" = 0 ] && [ ! -s "$err" ] \
      && [[ $(< "$out") == *Usage* && $(< "$out") != *Usage*Usage* ]]; then
    pass "$name"
  else
    fail "$name" "status $status; $(cat "$out" "$err")"
  fi
}

check_help "--help" --help
cp "$out" "$tmp/help"
check_help "-h" -h
check "-h is --help" cmp -s "$tmp/help" "$out"
check_help "help" help
check "help is --help" cmp -s "$tmp/help" "$out"
check "help names --help and --version" \
  test "$(grep -cE -e '--(help|version)' "$out")" -ge 2

# Prints the lines of the commands in the list of --help.
command_lines ()
{
  awk '/^Commands .*:$/ { list = 1; next } /^$/ { list = 0 } list' "$tmp/help"
}

commands=$(command_lines | awk '{ print $1 }')
check "the commands of --help" test "$commands" = "$(command_names)"
# The summaries are aligned after the longest name.
check "the summaries are aligned" test \
  "$(command_lines | awk '{ match ($0, /^ +[^ ]+ +/); print RLENGTH }' |
     sort -u | wc -l)" = 1
check "every command has a summary" test \
  "$(command_lines | awk 'NF > 2' | wc -l)" = "$(echo "$commands" | wc -l)"

check "the commands are in their groups" test \
  "$(awk '/^Commands .*:$/ { list = 1; print; next }
          /^$/ { list = 0 } list { print $1 }' "$tmp/help")" \
  = "$(command_groups)"
cp "$tmp/help" "$tmp/list"

# expect_narrow NAME: the last help has at most 80 columns, and no line ends
# with a blank.
expect_narrow ()
{
  check "$1: at most 80 columns" \
    test "$(awk 'length ($0) > 80' "$out" | wc -l)" = 0
  check "$1: no blanks at the ends of lines" test "$(grep -c ' $' "$out")" = 0
}

expect_narrow --help
check "the list ends with the man page" \
  grep -q 'See qcow2tool(1)\.$' <(tail -n 1 "$tmp/help")

# The arguments with which COMMAND accepts OPTION, one of those in its help.
arguments_of ()
{
  local command=$1 option=$2 key

  case $command in
    header) key=--field=size ;;
    extensions) key='--index=0 --field=length' ;;
    check) key=--field=leaks ;;
    snapshots) key='--index=0 --field=id' ;;
    *) key='--index=0 --field=state' ;;
  esac
  case $option in
    --id) echo --id=1 ;;
    --name) echo --name=bm0 ;;
    --index) echo --index=0 ;;
    --magic) echo --magic=Bitmaps ;;
    --field) echo "$key" ;;
    --default) echo "$key --default=none" ;;
    --null) echo "$key --null" ;;
    --long) [ "$command" = bitmap-table ] || echo --list
            echo --long ;;
    --is) [ "$command" = check ] && echo --is=opens || echo --is=damaged ;;
    --type) echo --type=all-ones ;;
    --at) echo --at=0 --count=1 ;;
    --start | --count | --start-offset | --contains) echo "$option=0" ;;
    --max-length | --split) echo "$option=64k" ;;
    --plot-size) echo --plot-size=8x4 ;;
    --ignore) echo --ignore=REF-01 ;;
    --root) echo --backing-chain --root=/ ;;
    --output) echo --output=text ;;
    --files-from | --files0-from) echo "$option=$tmp/no-more" ;;
    --format) echo --format=qcow2 ;;
    *) echo "$option" ;;
  esac
}
: > "$tmp/no-more"

# Succeeds; with a sanitizer, only in one call of 16.
n_calls=0
is_tried ()
{
  n_calls=$((n_calls + 1))
  [ -z "$few" ] || ((n_calls % 16 == 0))
}

# with_image OPTION...: sets $arguments to the options before the image or
# after it, in turn, and $shown to these words for the name of a result.
turn=0
with_image ()
{
  turn=$((turn + 1))
  if ((turn % 2)); then
    arguments=("$@" "$image") shown="$* IMAGE"
  else
    arguments=("$image" "$@") shown="IMAGE $*"
  fi
}

# read_text NAME: sets $text to the last output, without NAME where it is the
# name of the image, and without the room on the disk, which file systems
# settle later.
read_text ()
{
  IFS= read -r -d '' text < "$out"
  text=$'\n'$text
  text=${text//$'\n'"image: $1"/$'\n'}
  text=${text//$'\n'"$1: "/$'\n'}
  text=${text/disk size: *B$'\n'cluster/cluster}
}

# All help is English and ASCII, in any locale.
for locale in C C.UTF-8 $(locale -a | grep -E '^(de|fr|ja)_' | head -n 3); do
  LC_ALL=$locale LANGUAGE=de tool header --help
  check "help in locale $locale is ASCII" \
    test "$(LC_ALL=C grep -c '[^ -~]' "$out").$status" = 0.0
  LC_ALL=$locale LANGUAGE=de tool header --nope
  expect_usage "a message in locale $locale" header \
    'unknown option --nope'
done

mkdir "$tmp/examples" "$tmp/examples/snapshots"
sample iotest291-merged
cp --sparse=always "$sample" "$tmp/examples/disk.qcow2"
# For the command of this name.
"$MKIMAGE" two-snapshots "$tmp/examples/snapshots/disk.qcow2"

# cli-edit.sh tests the commands that write.
for command in $(reading_names); do
  out=$tmp/help check_help "$command --help" "$command" --help
  help=$(< "$tmp/help")
  check_help "$command -h" "$command" -h
  check "$command -h is --help" cmp -s "$tmp/help" "$out"
  check_help "help $command" help "$command"
  check "help $command is $command --help" cmp -s "$tmp/help" "$out"
  operands=IMAGE...
  needs=()
  # The command with the operands before the image.
  words=("$command")
  case $command in
    dump-header*) operands=IMAGE ;;
    bitmap-map) operands=IMAGE needs=(--index=0) ;;
    # Totals do not name the file.
    map) operands=IMAGE needs=(--totals) ;;
    table) operands='KIND IMAGE...' words=(table l1) ;;
  esac
  check "the help of $command has a usage line" \
    grep -qx "  qcow2tool $command \[OPTION\.\.\.\] $operands" "$out"
  check "the help of $command has no commands" \
    test "$(grep -c '^Commands' "$out")" = 0
  expect_narrow "the help of $command"
  page=qcow2tool
  if [ -e "$srcdir/doc/qcow2tool-$command.pod" ]; then
    page=qcow2tool-$command
  fi
  check "the help of $command ends with the man page" \
    test "$(tail -n 1 "$out")" = "See $page(1)."
  check_help "$command IMAGE --help" "$command" "$image" --help
  check_help "$command --help of no image" "$command" --help "$tmp/missing"

  # The example works as it is printed.
  example=$(sed -n '/^Example:$/{n;s/^  qcow2tool //p}' "$tmp/help")
  check "the help of $command has an example" test "${example%% *}" = "$command"
  folder=$tmp/examples
  if [ -d "$folder/$command" ]; then
    folder+=/$command
  fi
  (cd "$folder" && eval "tool $example"
   test "$status.$(wc -c < "$err")" = 0.0 && test -s "$out")
  check "the example of $command works: $example" test $? = 0

  # Every option in the help is accepted.
  n_options=0
  while read -r option; do
    n_options=$((n_options + 1))
    is_tried || continue
    arguments=("$image")
    case $command$option in
      check--rules) arguments=() ;;
      bitmap-map--name | bitmap-map--index) ;;
      bitmap-map--backing-chain | bitmap-map--root)
        arguments+=(--name=bm0) ;;
      bitmap-map*) arguments+=(--index=0) ;;
      table--index) arguments=(refcount-block "$image") ;;
      table*) arguments=(l1 "$image") ;;
    esac
    # shellcheck disable=SC2046
    tool "$command" $(arguments_of "$command" "$option") "${arguments[@]}"
    check "$command accepts $option" [ "$status" != 1 ]
  done < <(sed -n 's/^  \(-., \)\?\(--[a-z0-9-]*\).*/\2/p' "$tmp/help" |
    grep -vx -e --help)
  check "the help of $command has options ($n_options)" [ "$n_options" -ge 2 ]

  # Help omits options that the command does not support.
  for option in --output --files-from --files0-from --format --force-share; do
    case $command$option in
      dump-header*--output | dump-header*--files* | bitmap-map--files* \
        | map--files*)
        check "the help of $command does not offer $option" \
          test "$(grep -cwF -e "$option" "$tmp/help")" = 0 ;;
      *)
        check "the help of $command has $option" \
          grep -qwF -e "$option" "$tmp/help" ;;
    esac
  done

  tool "${words[@]}"
  expect_usage "$command without an image" "$command" '*no image*'
  tool "${words[@]}" --
  expect_usage "$command -- without an image" "$command" '*no image*'
  for option in --nope --nope=1 -x -Ux; do
    is_tried || continue
    with_image "$option"
    tool "${words[@]}" "${arguments[@]}"
    expect_usage "$command $shown" "$command" "*$option*"
  done
  tool "${words[@]}" "--no${escape}[2Jpe" "$image"
  expect_usage "$command: an unknown option is escaped" "$command" \
    '*--no\\x1b\[2Jpe*'
  tool "${words[@]}" "--bad"$'\xff' "$image"
  expect_usage "$command: an option that is not UTF-8" "$command" '*--bad*'

  # Every option without its argument, abbreviated, and as the name of an
  # image.
  cd "$tmp" || exit 1
  tool "${words[@]}" "${needs[@]}" -- --missing
  expect_refusal "$command -- --missing is an image" 1 '--missing: *'
  tool "${words[@]}" "${needs[@]}" two-bitmaps.qcow2
  read_text two-bitmaps.qcow2
  plain=$text
  while read -r option; do
    is_tried || continue
    long=${option%%=*}
    if [ "$option" != "$long" ]; then
      tool "${words[@]}" "$image" "$long"
      expect_usage "$command $long without its argument" "$command" "*$long*"
    fi
    # --name is an option, although it is a prefix of --names.
    if [[ $help != *"${long%?}"[=\ ]* ]]; then
      tool "${words[@]}" "${long%?}" "$image"
      expect_usage "$command ${long%?} is not an abbreviation" "$command" \
        "*${long%?}*"
    fi
    [ -e "./$long" ] || ln two-bitmaps.qcow2 "./$long"
    tool "${words[@]}" "${needs[@]}" -- "$long"
    read_text "$long"
    check "$command -- $long reads that file" \
      test "$status.$text" = "0.$plain"
  done < <(sed -n 's/^  \(-., \)\?\(--[a-z0-9-]*\(=[A-Za-z0-9]*\)\?\).*/\2/p' \
    "$tmp/help")
  tool "${words[@]}" "$image" -f
  expect_usage "$command -f without its argument" "$command" "*-f*"

  # Invalid values.
  for value in json2 TEXT '' 'text ' xml; do
    is_tried || continue
    tool "${words[@]}" "--output=$value" "$image"
    expect_usage "$command --output='$value'" "$command" "*--output*'$value'*"
  done
  for value in raw qcow QCOW2 '' vmdk; do
    is_tried || continue
    turn=$((turn + 1))
    option=(-f "$value")
    ((turn % 2)) || option=("--format=$value")
    tool "${words[@]}" "${option[@]}" "$image"
    expect_usage "$command ${option[*]}" "$command" "*format*'$value'*"
  done
  # If JSON is limited to one image, the message names the format for several.
  tool "${words[@]}" "${needs[@]}" --output=json "$image" "$image"
  case $command in
    dump-header*)
      expect_usage "$command --output=json" "$command" '*text*'
      tool "${words[@]}" "$image" "$image"
      expect_usage "$command takes one image" "$command" '*one image*'
      tool "${words[@]}" --output=jsonl "$image"
      expect_usage "$command --output=jsonl" "$command" '*text*' ;;
    bitmap-map | map)
      expect_usage "$command takes one image" "$command" '*one image*' ;;
    *)
      expect_usage "$command --output=json of two images" "$command" \
        '*jsonl*one image*' ;;
  esac
  for option in '--output=text' '--output human' '-f qcow2' '--format=qcow2' \
      '--format qcow2' -U --force-share '-U -f qcow2' '-Uf qcow2'; do
    is_tried || continue
    # shellcheck disable=SC2086 # an option and its value
    with_image $option
    tool "${words[@]}" "${needs[@]}" "${arguments[@]}"
    check "$command $shown" test "$status" = 0 -a ! -s "$err"
  done
  # The next command begins with the other place.
  turn=$((turn + 1))
done

tool table
expect_usage 'table without a kind' table 'no KIND is given: l1, l2, *'
tool table --output=json
expect_usage 'table without a kind, with an option' table 'no KIND*'
tool table "$image" l1
expect_usage 'table with the image before the kind' table \
  "KIND: unknown value '$image', not one of: l1, l2, *"
tool table l1s "$image"
expect_usage 'table with a misspelt kind' table "KIND:*; did you mean 'l1'?"
for kind in l2 refcount-block; do
  tool table $kind "$image"
  expect_usage "table $kind without an index" table \
    "$kind needs --index or --at"
  tool table $kind --index=0 --at=0 --count=1 "$image"
  expect_usage "table $kind with --index and --at" table '*exclude each other'
done
for kind in l1 refcount-table snapshots; do
  tool table $kind --index=0 "$image"
  expect_usage "table $kind with an index" table \
    '--index is for l2 and refcount-block'
  tool table $kind --at=0 "$image"
  expect_usage "table $kind --at without --count" table '--at needs --count'
done
tool bitmap-map "$image"
expect_usage 'bitmap-map without a bitmap' bitmap-map '*needs --name or --index*'

# No command: a message, then the list of commands, on stderr.
{
  printf 'qcow2tool: no command is given\n\n'
  cat "$tmp/list"
} > "$tmp/expected"
for arguments in '' --; do
  # shellcheck disable=SC2086
  tool $arguments
  check "'$arguments' is no command: status 1, no output" \
    test "$status.$(wc -c < "$out")" = 1.0
  expect_file "'$arguments' is no command: the list" "$err"
done

# Unknown commands.
unknown ()
{
  tool "$1" "$image"
  expect_usage "unknown command '$1'" '' "unknown command '$2'$3"
  tool help "$1"
  expect_usage "help of unknown command '$1'" '' "unknown command '$2'$3"
}

unknown heder heder "*did you mean 'header'*"
unknown hedaer hedaer "*did you mean 'header'*"
unknown headers headers "*did you mean 'header'*"
unknown bitmap bitmap "*did you mean 'bitmaps'*"
unknown snapshot snapshot "*did you mean 'snapshots'?"
for name in amend bench commit compare convert create dd measure rebase \
    resize; do
  unknown $name $name "*qemu-img does that"
done
unknown bitmap-tables bitmap-tables "*did you mean 'bitmap-table'*"
unknown extension extension "*did you mean 'extensions'*"
unknown dupm dupm "*did you mean 'dump'*"
unknown dump-heade dump-heade "*did you mean 'dump-header'*"
unknown dump-header-ext dump-header-ext "*did you mean 'dump-header-exts'*"
# An image in place of a command: an existing file with any name, or a name
# that looks like an image.
: > "$tmp/disk"
unknown "$tmp/disk" "$tmp/disk" \
  ", did you mean 'qcow2tool info $tmp/disk' or 'qcow2tool check $tmp/disk'?"
unknown no.qcow2 no.qcow2 \
  "*'qcow2tool info no.qcow2' or 'qcow2tool check no.qcow2'?"
unknown "$tmp/disks" "$tmp/disks" ''
mkdir "$tmp/folder"
unknown "$tmp/folder" "$tmp/folder" ''
unknown frobnicate frobnicate ''
unknown Header Header "*did you mean 'header'?"
unknown d d ''
unknown '' '' ''
unknown "x${escape}[2Jyyyyyyyyyy" 'x\\x1b\[2Jyyyyyyyyyy' ''
unknown $'\xff\xfe\xfd\xfc' '\\xff\\xfe\\xfd\\xfc' ''
unknown "$image" "$image" \
  ", did you mean 'qcow2tool info $image' or 'qcow2tool check $image'?"
unknown "$(printf '%100000s' '' | tr ' ' h)" '*' ''
# The image before the command.
tool "$image" bitmaps
expect_usage 'a command after the image' '' \
  "unknown command '$image', did you mean 'qcow2tool bitmaps $image'[?]"
tool no.qcow2 bitmap-map --name=b0
expect_usage 'a command after a missing image' '' \
  "*did you mean 'qcow2tool bitmap-map no.qcow2'[?]"
tool "$image" --help
expect_usage 'an option after the image' '' \
  "*did you mean 'qcow2tool info *' or 'qcow2tool check *'[?]"

# The name of a bitmap as an operand: a hint, with the status of a missing file.
cd "$tmp" || exit 1
cp --sparse=always "$image" disk.qcow2
for command in bitmaps bitmap-table check; do
  for operands in 'bm0 disk.qcow2' 'disk.qcow2 bm0'; do
    # shellcheck disable=SC2086
    tool $command $operands
    expect "$command $operands: status" 1
    check "$command $operands: a hint" grep -qx \
      'qcow2tool: bm0: cannot open: .* (to select a bitmap, use --name=bm0)' \
      "$err"
    check "$command $operands: the image is shown" test -s "$out"
  done
  for operands in '--name=bm0 bm1 disk.qcow2' 'bm0' 'bm0 missing.qcow2' \
      'no.qcow2 disk.qcow2' './bm0 disk.qcow2' 'folder disk.qcow2' \
      'bm0 bm1 disk.qcow2' 'bm0 folder'; do
    # shellcheck disable=SC2086
    tool $command $operands
    expect "$command $operands: status" 1
    check "$command $operands: no hint" test "$(grep -c 'to select' "$err")" = 0
  done
done
tool bitmaps $'b\033' disk.qcow2
check 'the name in a hint is escaped' \
  grep -qF 'use --name=b\x1b)' "$err"
for command in header extensions dump; do
  tool $command bm0 disk.qcow2
  check "$command selects no bitmap: no hint" \
    test "$status.$(grep -c 'to select' "$err")" = 1.0
done
# In JSON, the message of the error is as before.
tool bitmaps --output=jsonl bm0 disk.qcow2
check 'JSON has no hint' test "$(grep -c 'to select' "$out")" = 0
check 'the message beside JSON has one' test "$(grep -c 'to select' "$err")" = 1
tool help header bitmaps
expect_usage "help of two commands" '' '*'

# A mistyped key, state, type, format, magic or rule: the message ends with the
# one that was meant.
# mistyped MEANT COMMAND OPTION...: MEANT is - if there is no guess.
mistyped ()
{
  local option=${3%%=*} value=${3#*=} end='' guesses=0

  if [ "$1" != - ]; then
    end="; did you mean '$1'[?]" guesses=1
  fi
  tool "${@:2}" "$image"
  expect_usage "${*:2}: did you mean $1" "$2" "$option: *'$value'*$end"
  check "${*:2}: no other guess" \
    test "$(grep -c 'did you mean' "$err")" = $guesses
}

while read -r -a words; do
  mistyped "${words[@]}"
done << 'END'
size header --field=siez
cluster_size header --field=cluster-size
l1_size header --field=L1_SIZES
- header --field=colour
- header --field=x
- header --field=
nb_bitmaps extensions --field=nb_bitmap --index=0
granularity bitmaps --field=granularty --index=0
enabled bitmaps --is=enabeld
in-use bitmaps --is=in_use
in-use bitmaps --is=IN-USE
- bitmaps --is=good
all-zeroes bitmap-table --type=all-zeros
json header --output=JSON
jsonl check --output=josnl
ddrescue bitmap-map --output=ddresque
- header --output=xml
- header --format=qcow
Bitmaps extensions --magic=bitmap
<unknown> extensions --magic=unknown
- extensions --magic=0x
opens-rw check --is=open-rw
BDIR-09 check --ignore=bdir-09
BDIR-09 check --ignore=BDIR-9
BDIR-09 check --ignore=BDIR09
- check --ignore=directory
END

# Options that support only text.
for option in --list --names --is=enabled --field=state; do
  for output in json jsonl; do
    tool bitmaps --index 0 $option --output=$output "$image"
    expect_usage "bitmaps $option --output=$output" bitmaps \
      "*${option%%=*}*text*"
  done
done
tool header --field=size --output=json "$image"
expect_usage "header --field --output=json" header '*--field*text*'
tool extensions --index=0 --field=length --output=json "$image"
expect_usage "extensions --field --output=json" extensions '*--field*text*'

# A mistyped option: the message ends with the one that was meant.
while read -r command option meant; do
  tool "$command" "$option" "$image"
  expect_usage "$command $option: did you mean $meant" "$command" \
    "unknown option $option; did you mean '$meant'[?]"
done << 'END'
header --hlep --help
header --feild=size --field
header --Null --null
bitmaps --lists --list
bitmaps --nmaes --names
bitmap-map --start_offset=0 --start-offset
check --ignores=REF-01 --ignore
dump --ouptut=json --output
END
tool --verison
expect_usage '--verison: did you mean --version' '' \
  "unknown option --verison; did you mean '--version'[?]"
# Neither a different word, nor one that the help omits, nor an image.
for arguments in 'header --colour' 'header --x' 'dump-header --outptu=json' \
    'header -hlep' 'header -- --hlep'; do
  # shellcheck disable=SC2086
  tool $arguments "$image"
  check "$arguments: no guess" \
    test "$status.$(grep -c 'did you mean' "$err")" = 1.0
done

# A value may be attached to -f after any of the options without a value.  The
# message about the last option shows that the others were accepted.
for command in $commands; do
  tool "$command" --help
  letters=$(sed -n 's/^  -\([^fh]\), .*/\1/p' "$out" | tr -d '\n')
  tool "$command" "-${letters}fqcow2" --output=x "$image"
  expect_usage "$command -${letters}fqcow2" "$command" "--output*'x'*"
done

# Options before the command belong to the program.
for option in --nope -x --name=a --version=1x2; do
  tool "$option" header "$image"
  if [ "$option" = --version=1x2 ]; then
    check "$option is not the help" test "$(grep -c Usage "$out")" = 0
  else
    expect_usage "$option before the command" '' "*$option*"
  fi
done
tool --vers
expect_usage "--vers is not an abbreviation" '' '*--vers*'
tool -- header --field size "$image"
expect_answer "-- before the command" <<< 67108864

# Version.
for option in --version -V; do
  tool $option
  check "$option" grep -qE '^qcow2tool [0-9]+\.[0-9]+' "$out"
  check "$option: status 0, no message" test "$status.$(wc -c < "$err")" = 0.0
  # Scripts read the first line only.
  sed 1d "$out" > "$tmp/notice"
  check "$option: the copyright" \
    grep -qE '^Copyright \(C\) [0-9-]+ The qcow2tool authors$' "$tmp/notice"
  check "$option: the licence" \
    grep -qE '^License LGPLv2\.1\+: .* 2\.1 or later' "$tmp/notice"
  check "$option: no warranty" grep -q 'NO WARRANTY' "$tmp/notice"
done
check "the version is that of configure" test \
  "$(head -n 1 "$out" | cut -d ' ' -f 2)" \
  = "$(sed -n 's/^#define PACKAGE_VERSION "\(.*\)"/\1/p' "$builddir/config.h")"

# No command writes to the image.
before=$(stat -c %Y.%Z.%s "$image"; sha256sum < "$image")
for command in $commands; do
  tool "$command" "$image"
done
check "the image is unchanged" \
  test "$before" = "$(stat -c %Y.%Z.%s "$image"; sha256sum < "$image")"

done_testing
