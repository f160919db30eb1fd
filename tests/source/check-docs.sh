#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The program, its man pages, its completion and README agree with each other.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

pod=$srcdir/doc/qcow2tool.pod
bitmaps_pod=$srcdir/doc/qcow2tool-bitmaps.pod
info_pod=$srcdir/doc/qcow2tool-info.pod
json_pod=$srcdir/doc/qcow2tool-json.pod
rules_pod=$srcdir/doc/qcow2tool-rules.pod
edit_pod=$srcdir/doc/qcow2tool-edit.pod
pods=("$srcdir"/doc/*.pod)
samples=(extl2 iotest291-merged iotest291-orig multi-entry unknown-ext version2
  zstd-4k)

# The examples run the qcow2tool in the PATH.  Those of the man pages run in a
# folder with sample images, those of README in an empty folder where they
# create their own.
mkdir "$tmp/bin" "$tmp/cwd" "$tmp/readme"
tool_in "$tmp/bin"
PATH=$tmp/bin:$PATH
ln -s "$srcdir/tests" "$tmp/readme/tests"
cd "$tmp/cwd" || exit 1
ln -s "$srcdir/tests" tests
for name in "${samples[@]}"; do
  sample "$name"
  ln -s "$sample" .
done
ln -s "$tmp/iotest291-merged.qcow2" disk.qcow2
ln -s "$tmp/iotest291-orig.qcow2" top.qcow2
ln -s "$tmp/iotest291-merged.qcow2" t.base # the backing file of top.qcow2
# In this one, instructions are counted: no line ends with blanks.
copy two-snapshots snapshots
patch 0x60038 0000000000000000
patch 0x60080 0000000000000000
ln -s "$image" .
export TZ=UTC0

# shellcheck source=completions/qcow2tool.bash
. "$srcdir/completions/qcow2tool.bash"

# same_words NAME FILE: standard input contains exactly the words in FILE, one
# per line.
same_words ()
{
  sort -u > "$tmp/found"
  sort -u "$2" > "$tmp/expected"
  if [ -s "$tmp/expected" ]; then
    expect_file "$1" "$tmp/found"
  else
    fail "$1" 'there is nothing to compare'
  fi
}

# Prints the options in the help text on standard input, one per line.
help_options ()
{
  grep -oE '^  (-[A-Za-z0-9], )?--[a-z0-9-]+' | grep -oE -- '-[A-Za-z0-9-]+'
}

# pod_section LEVEL TITLE [POD...]: prints the text of the section of
# qcow2tool(1), or of other pages.
pod_section ()
{
  local level=$1 title=$2

  shift 2
  [ $# -gt 0 ] || set -- "$pod"
  awk -v level="$level" -v title="$title" '
    /^=head[12] / {
      here = $0 == "=head" level " " title ||
        (here && substr ($1, 6) > level)
    }
    here' "$@"
}

# is_edit COMMAND: succeeds if it writes to the image.
edits=" $(edit_names | tr '\n' ' ') "
is_edit ()
{
  [[ $edits == *" $1 "* ]]
}

# has_value VALUE: succeeds if $section, the text of a page, has the value.
# shellcheck disable=SC2317 # check calls it
has_value ()
{
  [[ $section == *"B<$1>"* ]]
}

# about COMMAND: prints the text about the command, which may have a page of
# its own.  Those that write share one.
about ()
{
  if is_edit "$1"; then
    pod_section 2 "$1" "$edit_pod"
    pod_section 1 OPTIONS "$edit_pod"
  elif [ -e "$srcdir/doc/qcow2tool-$1.pod" ]; then
    cat "$srcdir/doc/qcow2tool-$1.pod"
  else
    pod_section 2 "$1"
  fi
}

# Prints the options that the items of the pod on standard input document, one
# per line.
pod_options ()
{
  grep '^=item ' | grep -oE 'B<--?[A-Za-z0-9][A-Za-z0-9-]*>' |
    sed 's/^B<\(.*\)>$/\1/'
}

# completions LINE: prints the completions of LINE, one per line, without
# quotes.
completions ()
{
  COMP_LINE=$1 COMP_POINT=${#1} COMPREPLY=()
  _qcow2tool qcow2tool "${1##* }" ''
  printf '%s\n' "${COMPREPLY[@]}" | sed 's/\\//g'
}

# Prints the values that the message of the last run lists, one per line.
listed_values ()
{
  sed -n "1s/.* n\\(ot\\|or\\) one of:\\{0,1\\} //p" "$err" |
    sed "s/'//g; s/, /\\n/g"
}

tool --help
sed -n '/^Commands .*:$/,/^$/s/^  \([a-z-]*\) .*/\1/p' "$out" > "$tmp/commands"
mapfile -t commands < "$tmp/commands"

pod_section 1 COMMANDS | sed -n 's/^=head2 //p' | grep -vx help |
  same_words 'the man page has the commands' "$tmp/commands"
pod_section 1 SYNOPSIS | sed -n 's/^B<qcow2tool \([a-z-]*\)>.*/\1/p' |
  grep -vx help | same_words 'the synopsis has the commands' "$tmp/commands"
for page in "${pods[@]}"; do
  command=${page##*/qcow2tool-}
  command=${command%.pod}
  if grep -qxF -e "$command" "$tmp/commands"; then
    echo "$command" > "$tmp/command"
    pod_section 1 SYNOPSIS "$page" |
      sed -n 's/^B<qcow2tool \([a-z-]*\)[ >].*/\1/p' |
      same_words "the page of $command has its synopsis" "$tmp/command"
    check "qcow2tool(1) refers to the page of $command" \
      grep -qF "L<qcow2tool-$command(1)>" <(pod_section 2 "$command")
  fi
done
completions 'qcow2tool ' | grep -vx help |
  same_words 'the completion has the commands' "$tmp/commands"
sed -n 's/^    .*qcow2tool \([a-z-][a-z-]*\).*/\1/p' "$srcdir/README" \
  | sort -u > "$tmp/found"
check 'README has commands' [ "$(wc -l < "$tmp/found")" -ge 6 ]
check 'README has no other commands' \
  [ -z "$(comm -23 "$tmp/found" <(sort -u "$tmp/commands"))" ]

help_options < "$out" > "$tmp/options"
cp "$tmp/options" "$tmp/all-options"
pod_section 1 OPTIONS | sed '/^Of most commands/,$d' | pod_options |
  same_words 'the man page has the options before the command' "$tmp/options"
completions 'qcow2tool -' |
  same_words 'the completion has the options before the command' "$tmp/options"

# hidden COMMAND: prints the common options that COMMAND does not support and
# that its help omits.
hidden ()
{
  if is_edit "$1"; then
    echo '^(--files0?-from|--force-share|-U)$'
    return
  fi
  case $1 in
    dump-header*) echo '^--(output|files0?-from)$' ;;
    bitmap-map | map) echo '^--files0?-from$' ;;
    *) echo '^$' ;;
  esac
}

for command in "${commands[@]}"; do
  tool "$command" --help
  help_options < "$out" > "$tmp/options"
  cat "$tmp/options" >> "$tmp/all-options"

  {
    about "$command" | pod_options
    pod_section 1 OPTIONS | sed '1,/^Of most commands/d' | pod_options \
      | grep -vE -e "$(hidden "$command")"
  } | same_words "the man page has the options of $command and no others" \
    "$tmp/options"
  completions "qcow2tool $command -" | sed 's/=$//' |
    same_words "the completion has the options of $command and no others" \
      "$tmp/options"

  # The message about an invalid value lists the valid values.
  [ -z "$few" ] || continue
  while read -r option; do
    case $option in
      --output|--format|--is|--type|--field|--magic) ;;
      *) continue ;;
    esac
    index=()
    case $command$option in
      bitmaps--is|bitmaps--field|extensions--field|snapshots--field) index=(--index=0) ;;
    esac
    tool "$command" "${index[@]}" "$option=nosuch" image
    listed_values > "$tmp/values"

    completions "qcow2tool $command $option " |
      same_words "the completion has the values of $command $option" \
        "$tmp/values"
    # The keys of fields are those of JSON.
    section=$(
      if [ "$option" = --field ]; then
        pod_section 2 "$command" "$json_pod"
      else
        about "$command"
        pod_section 1 OPTIONS
      fi | tr '\n' ' ' | sed 's/E<lt>/</g; s/E<gt>/>/g'
    )
    while read -r value; do
      check "the man page has $command $option=$value" \
        has_value "$value"
    done < "$tmp/values"
  done < "$tmp/options"
done

# Every option that a man page or README names exists, unless it belongs to
# another program.
echo --map >> "$tmp/all-options" # nbdinfo's
grep -hvE '^    (nbdinfo --size|make install|parallel --nonall)' \
  "${pods[@]}" "$srcdir/README" |
  grep -vE -e '^ *jq -c --arg ' -e 'qemu-img bitmap --(remove|clear)' \
    -e 'qemu-nbd --read-only' -e 'qemu-img convert --salvage' |
  grep -oE -- '--[a-z][a-z0-9-]*' | sort -u > "$tmp/found"
extra=$(sort -u "$tmp/all-options" | comm -23 "$tmp/found" -)
check "every documented option exists, except: '$extra'" [ -z "$extra" ]

sed -n 's/^ *TOOL_[A-Z_]* = \([0-9]*\).*/\1/p' "$srcdir/src/cli/status.h" \
  > "$tmp/statuses"
pod_section 1 'EXIT STATUS' | sed -n 's/^=item B<\([0-9]*\)>$/\1/p' |
  same_words 'the man page has the exit statuses' "$tmp/statuses"

# The states, as the source labels them.
sed -n 's/.*{ QCOW2_BITMAP_STATE_[A-Z_]*, "\(.*\)" },.*/\1/p' \
  "$srcdir/src/qcow2/bitmap.c" > "$tmp/shown"
# A remark in parentheses does not make a separate state.
sed 's/ (.*//' "$tmp/shown" > "$tmp/states"
for page in "$pod" "$bitmaps_pod"; do
  name=${page##*/}
  pod_section 1 'BITMAP STATES' "$page" > "$tmp/section"
  while read -r state; do
    check "$name has the state $state" grep -qF "B<$state>" "$tmp/section"
  done < "$tmp/shown"
  sed -n 's/^=item B<\(.*\)>$/\1/p' "$tmp/section" |
    same_words "$name has the bitmap states" "$tmp/states"
done

sed -n '/^status_get_error_word/,/^}/s/.*return "\(.*\)";/\1/p' \
  "$srcdir/src/cli/status.c" > "$tmp/codes"
pod_section 2 error "$json_pod" | sed -n 's/^=item B<\(.*\)>$/\1/p' |
  same_words 'the man page has the error codes' "$tmp/codes"

# All rules in the table of the source.
grep -oE '^RULE \([A-Z0-9_]+, "[A-Z0-9]+-[0-9]+"' "$srcdir/src/check/rules.def" \
  | grep -oE '[A-Z0-9]+-[0-9]+' | sort -u > "$tmp/rules"
pod_section 1 RULES "$rules_pod" | sed -n 's/^=item B<\(.*\)>$/\1/p' |
  same_words 'the man page has the rules and no others' "$tmp/rules"
grep -hoE '"[A-Z0-9]+-[0-9]{2}"' "$srcdir"/src/*/*.c | tr -d '"' | sort -u \
  > "$tmp/named"
check 'errors name rules' grep -qx HDR-01 "$tmp/named"
comm -23 "$tmp/named" "$tmp/rules" > "$tmp/unknown"
expect_same 'errors name no other rules' /dev/null "$tmp/unknown"

for file in contrib/qcow2.py doc/qcow2tool.schema.json; do
  check "$file, which a man page names, exists" \
    [ -s "$srcdir/$file" ]
done
for file in AUTHORS CONTRIBUTING COPYING HACKING NEWS doc/performance.txt; do
  check "README names $file" grep -qw "$file" "$srcdir/README"
  check "$file exists" [ -s "$srcdir/$file" ]
done

# All JSON keys, as the program prints them and as the schema lists them.
if command -v jq > /dev/null; then
  for name in luks data-file backing-file-with-format unknown-extensions \
      entry-ones-and-offset four-entries many-bad-entries; do
    "$MKIMAGE" "$name" "$tmp/$name.qcow2" 2> /dev/null || continue
    for arguments in dump 'bitmap-table --long' 'table l2 --index=0' \
        'table refcount-table' 'table refcount-block --index=0' \
        'table snapshots --at=0 --count=2' snapshots; do
      # shellcheck disable=SC2086
      tool $arguments --output=jsonl "$tmp/$name.qcow2"
      jq -r '.. | objects | keys[]' "$out"
    done
  done | sort -u > "$tmp/keys"
  tool header --output=jsonl missing
  jq -r '.error | keys[]' "$out" >> "$tmp/keys"
  check 'there are keys' [ "$(wc -l < "$tmp/keys")" -gt 60 ]

  schema=$srcdir/doc/qcow2tool.schema.json
  jq -r '.. | objects | .properties? // empty | keys[]' "$schema" |
    sort -u > "$tmp/schema-keys"

  # same_object IMAGE COMMAND FILTER DEFINITION...: the objects that the jq
  # FILTER finds in what COMMAND prints about IMAGE have the keys of the
  # definitions in the schema and no others.  JSON has every field of a
  # structure, those without a value too.  A key with _hex depends on the
  # value.
  same_object ()
  {
    local name=$1 command=$2 filter=$3

    shift 3
    "$MKIMAGE" "$name" "$tmp/$name.qcow2" 2> /dev/null
    # shellcheck disable=SC2086
    tool $command --output=jsonl "$tmp/$name.qcow2"
    for definition; do
      jq -r --arg name "$definition" \
        '."$defs"[$name] | .properties // .items.properties | keys[]' \
        "$schema"
    done | grep -v '_hex$' > "$tmp/definition"
    jq -r "$filter | keys[]" "$out" | grep -v '_hex$' |
      same_words "the schema has the keys of $*" "$tmp/definition"
  }

  same_object luks header .header header
  same_object luks extensions '.extensions[] | select(.crypto_header_offset)' \
    extension crypto-header-extension
  same_object four-entries extensions '.extensions[] | select(.nb_bitmaps)' \
    extension bitmaps-extension
  same_object four-entries bitmaps '.bitmaps[]' bitmap
  same_object four-entries bitmap-table '.bitmap_tables[]' bitmap-table
  same_object four-entries bitmap-table '.bitmap_tables[].bitmap_table[]?' row
  same_object four-entries 'bitmap-table --long' \
    '.bitmap_tables[].bitmap_table[]?' row long-rows
  same_object two-bitmaps extensions '.extensions[].features[]?' feature
  same_object two-bitmaps 'table l1' .table table
  same_object two-bitmaps 'table l1' '.table.entries[]' l1-entry
  same_object two-bitmaps 'table l2 --at=0 --count=1' '.table.entries[]' \
    l2-entry
  same_object two-bitmaps 'table refcount-table' '.table.entries[]' \
    refcount-table-entry
  same_object two-bitmaps 'table refcount-block --index=0' '.table.entries[]' \
    refcount-block-entry
  same_object two-snapshots 'table snapshots' '.table.entries[]' snapshot
  same_object two-snapshots snapshots '.snapshots[]' snapshot

  # The extensions that the source knows, whether or not an image has them.
  # refs: the definitions in the schema that an extension can have.
  # shellcheck disable=SC2016 # jq's variables, not the shell's
  refs='[."$defs"."extensions-or-null" | .. | objects | ."$ref"? // empty
    | capture("/(?<name>[a-z-]+-extension)$").name] as $refs
    | ."$defs"[$refs[]].properties'
  tool extensions --magic=nosuch image
  listed_values > "$tmp/values"
  jq -r '."$defs".extension.properties.name.enum[]' "$schema" |
    same_words 'the schema has the names of extensions' "$tmp/values"
  jq -r "$refs.name | .const // .enum[]" "$schema" |
    same_words 'the schema has an object for each extension' "$tmp/values"
  tool extensions --index=0 --field=nosuch image
  listed_values > "$tmp/values"
  jq -r "(.\"\$defs\".extension.properties, ($refs)) | keys[]" "$schema" |
    grep -vx features |
    same_words 'the schema has the keys of all extensions' "$tmp/values"
  missing=$(sort -u "$tmp/keys" | comm -23 - "$tmp/schema-keys")
  check "the schema has all keys except: '$missing'" [ -z "$missing" ]
  missing=
  documented=$(cat "$json_pod" "$info_pod")
  while read -r key; do
    [[ $documented == *"B<$key>"* || $key == *_hex ]] || missing+=" $key"
  done < <(sort -u "$tmp/keys" "$tmp/schema-keys")
  check "the man page has all keys except: '$missing'" [ -z "$missing" ]
else
  skip 'keys of the JSON' 'jq is not installed'
fi

for page in "${pods[@]}"; do
  name=${page##*/}
  if command -v podchecker > /dev/null; then
    # Commands share options, so repeated names of options are not a fault.
    podchecker -warnings "$page" 2>&1 | grep -v 'multiple occurrences' > "$out"
    check "podchecker finds no error in $name" \
      [ "$(cat "$out")" = "$page pod syntax OK." ]
  else
    skip "podchecker finds no error in $name" 'podchecker is not installed'
  fi
  # pod2man puts C<> in quotes, but the quotes would not be part of the word.
  grep -n 'C<' "$page" > "$tmp/found"
  expect_same "$name has words in bold instead of C<>" /dev/null "$tmp/found"
done

# The pages that are installed, such as qcow2tool.1.
sed -n 's,.*%D%/\(qcow2tool[a-z0-9-]*\.[0-9]\).*,\1,p' "$srcdir/doc/local.mk" \
  > "$tmp/pages"
mapfile -t pages < "$tmp/pages"
for page in "${pods[@]}"; do
  basename "$page" .pod
done > "$tmp/names"
sed 's/\.[0-9]$//' "$tmp/pages" |
  same_words 'the pages that are installed have a source' "$tmp/names"

# Prints the pages that the text on standard input refers to, as qcow2tool.1.
references ()
{
  grep -oE '\bqcow2tool[a-z0-9-]*\([0-9]\)' | sed 's/(\(.\))/.\1/'
}

cat "${pods[@]}" "$srcdir/README" "$srcdir/HACKING" | references | sort -u |
  comm -23 - <(sort "$tmp/pages") > "$tmp/found"
expect_same 'pages that others refer to exist' /dev/null "$tmp/found"
for page in "${pages[@]}"; do
  name=${page%.?}
  {
    pod_section 1 'SEE ALSO' "$srcdir/doc/$name.pod" | references
    echo "$page"
  } | same_words "$name refers to all other pages" "$tmp/pages"
done

grep -h '^=head1' "$pod" | sed '5q' | expect_same 'examples come early' - \
  <(printf '=head1 %s\n' NAME SYNOPSIS DESCRIPTION EXAMPLES COMMANDS)
grep '^=head1' "$pod" | tail -n 5 | expect_same 'the last sections' - \
  <(printf '=head1 %s\n' BUGS 'REPORTING BUGS' AUTHORS COPYRIGHT 'SEE ALSO')
n=$(pod_section 1 EXAMPLES |
  awk '/^    / { n += !here; here = 1; next } { here = 0 } END { print n }')
check 'qcow2tool(1) begins with five examples' [ "$n" = 5 ]

# format_page FILE: prints the page as a terminal of 80 columns shows it.
format_page ()
{
  if command -v groff > /dev/null; then
    groff -man -Tutf8 -rLL=80n "$1" 2>&1
  else
    MANWIDTH=80 man -l "$1" 2>&1 | cat
  fi
}

# A longer page is not read to its end: a command that needs more room gets a
# page of its own.
max_lines=700
if command -v groff > /dev/null || command -v man > /dev/null; then
  for page in "${pages[@]}"; do
    file=$builddir/doc/$page
    [ -e "$file" ] || file=$srcdir/doc/$page
    n=$(format_page "$file" | wc -l)
    check "$page is formatted" [ "$n" -gt 50 ]
    check "$page has at most $max_lines lines" [ "$n" -le "$max_lines" ]
  done
else
  skip 'the pages are short' 'neither groff nor man is installed'
fi

# lack_of FILE: prints what the script FILE needs and this machine lacks.
lack_of ()
{
  local program script

  script=$(< "$1")
  for program in jq sqlite3 parallel ddrescue qemu-img qemu-io nbdinfo; do
    if [[ $script =~ (^|[^[:alnum:]])$program([^[:alnum:]]|$) ]] \
        && ! command -v "$program" > /dev/null; then
      echo "$program is not installed"
      return
    fi
  done
  if [[ $script == *'->>'* ]] \
      && ! sqlite3 :memory: "SELECT '{}' ->> 'a'" > /dev/null 2>&1; then
    echo 'this sqlite3 has no operator ->>'
  fi
}

# run_examples FILE: runs the lines "    $ COMMAND" in it, each with the lines
# "    > " that continue it.  The output must equal the indented lines that
# follow.  Sets $n_examples to their number.
run_examples ()
{
  local n example lack

  rm -rf "$tmp/examples"
  mkdir "$tmp/examples"
  awk -v dir="$tmp/examples" '
    function flush ()
    {
      if (n > 0)
        printf "%s", output > (dir "/" n ".out")
      output = blank = ""
    }
    /^    \$ / {
      flush ()
      print substr ($0, 7) > (dir "/" ++n ".sh")
      here = 1
      next
    }
    here && !output && /^    > / {
      print substr ($0, 7) > (dir "/" n ".sh")
      next
    }
    here && /^$/ { blank = blank "\n"; next }
    here && /^    / {
      output = output blank substr ($0, 5) "\n"
      blank = ""
      next
    }
    { here = 0 }
    END { flush () }' "$1"

  # Some examples use files that earlier ones created.
  for ((n = 0; ; n++)); do
    example=$tmp/examples/$((n + 1)).sh
    [ -e "$example" ] || break
    lack=$(lack_of "$example")
    if [ -n "$lack" ]; then
      skip "${1##*/}: $(head -n 1 "$example")" "$lack"
      continue
    fi
    # GNU parallel keeps files in HOME, and its messages depend on its version.
    if grep -qw parallel "$example"; then
      HOME=$tmp bash "$example" > "$out" 2> "$err"
      diagnose < "$err"
    else
      bash "$example" > "$out" 2>&1
    fi
    cp "${example%.sh}.out" "$tmp/expected"
    expect_file "${1##*/}: $(head -n 1 "$example")" "$out"
  done
  n_examples=$n
}

cd "$tmp/readme" || exit 1
# In the tarball the files are looked at; the suite of the tree runs what they
# show.
if [ -n "$few" ]; then
  done_testing
fi

run_examples "$srcdir/README"
check 'README has examples' [ "$n_examples" -ge 5 ]

# The commands in the tables of README, which have no output there.
sed -n '/^    [$>]/d; s/^    .*\(qcow2tool .* IMG\)$/\1/p' "$srcdir/README" \
  > "$tmp/table"
while read -r command; do
  arguments=${command#qcow2tool }
  arguments=${arguments/%IMG/merged.qcow2}
  # shellcheck disable=SC2086
  tool ${arguments/NAME/b2}
  expect "README: $command" 0
done < "$tmp/table"
check 'README has tables of commands' [ "$(wc -l < "$tmp/table")" -ge 20 ]
if command -v parallel > /dev/null && command -v jq > /dev/null; then
  check 'README: parallel found the images, too' \
    test "$(jq -r .filename fleet.jsonl | sort | tr '\n' ' ')" \
    = './damaged.qcow2 ./merged.qcow2 ./multi.qcow2 '
fi
cd "$tmp/cwd" || exit 1
# The image of the section RESCUE in qcow2tool-edit(1): the table offset and
# the name of bitmap 0 are lost.
cp --sparse=always "$tmp/iotest291-merged.qcow2" vm.qcow2
image=vm.qcow2
patch 0x520000 0000000000000000
patch 0x520018 0000
for page in "${pods[@]}"; do
  run_examples "$page"
  case ${page##*/} in
    qcow2tool.pod) minimum=5 ;;
    qcow2tool-rules.pod) minimum=0 ;;
    *) minimum=1 ;;
  esac
  check "${page##*/} has examples" [ "$n_examples" -ge "$minimum" ]
done

rm -f vm.* copy.qcow2

# Runs the scripts in the man pages, one per paragraph, on an image with bitmap
# big.  A paragraph that begins with "$ " is an example, which was run above.
rm -rf "$tmp/scripts"
mkdir "$tmp/scripts"
for title in EXAMPLES SCRIPTING; do
  pod_section 1 "$title" "${pods[@]}"
done | awk -v dir="$tmp/scripts" '
  /^    / {
    if (!here)
      {
        example = /^    \$ /
        n += !example
      }
    here = 1
    if (!example)
      print > (dir "/" n ".sh")
    next
  }
  { here = 0 }'
sample multi-entry
cat > "$tmp/setting" <<'END'
set -u
incremental_backup () { echo incremental; }
full_backup () { echo full; }
find () { command find . "${@:2}"; }
END
n_scripts=0
for script in "$tmp/scripts"/*.sh; do
  n_scripts=$((n_scripts + 1))
  lack=$(lack_of "$script")
  if [ -n "$lack" ]; then
    skip "the script at '$(sed -n '1s/^ *//p' "$script")'" "$lack"
    continue
  fi
  # A script that copies data needs a usable bitmap.
  img=$sample b=big
  if grep -q bitmap-map "$script"; then
    img=$tmp/cwd/iotest291-merged.qcow2 b=b2
    rm -f "$tmp/new.qcow2"
    truncate -s 10M "$tmp/disk" "$tmp/backup"
  fi
  cat > "$tmp/variables" << END
img='$img' full='$img' b='$b' list='$tmp/list' map='$tmp/map'
disk='$tmp/disk' backup='$tmp/backup' new='$tmp/new.qcow2'
END
  cat "$tmp/variables" "$tmp/setting" "$script" > "$tmp/script"
  bash "$tmp/script" > "$out" 2> "$err"
  status=$?
  expect "the script at '$(sed -n '1s/^ *//p' "$script")' runs" 0
  check 'the script prints no messages' [ ! -s "$err" ]
done
check 'there are scripts' [ "$n_scripts" -ge 10 ]

done_testing
