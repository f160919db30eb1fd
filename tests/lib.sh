# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Sourced by the shell tests.  Its functions run the program, compare what it
# prints with the expected output, and report the results in TAP.
#
#   sample NAME             sets $sample: a sample image, unpacked
#   image NAME              sets $image: an image of the builder
#   all_images [!] PATTERN  sets $images: the paths of the builder's images
#                           whose names match PATTERN, or do not match it
#   tool ARGUMENT...        runs the program: $status, $out and $err (files)
#   expect NAME STATUS      the last run ended with STATUS; its output and
#                           messages are not checked
#   expect_out NAME         its output equals standard input
#   expect_err NAME         its messages equal standard input, in which PROG
#                           stands for qcow2tool
#   expect_silence NAME     it printed neither output nor messages
#   expect_golden NAME FILE its output equals FILE in expected/, in the folder
#                           with the name of the test
#   expect_answer NAME      it ended with 0 and without messages, and its
#                           output equals standard input
#   expect_refusal NAME STATUS PATTERN
#                           it ended with STATUS and printed only one message,
#                           which matches PATTERN after 'qcow2tool: '
#   expect_damage NAME PATTERN
#                           it ended with 2 and one message, as above; the
#                           output is not checked
#   expect_usage NAME COMMAND PATTERN
#                           it refused the command line with one such message,
#                           and a line that says where help is
#   copy NAME COPY          sets $image: a copy of the image, to be patched
#   patch OFFSET HEX...     writes bytes into $image
#   names                   prints the names of the builder's images, one per
#                           line
#   command_names           prints the names of all commands, one per line, in
#                           the order of --help; command_groups the headings
#                           there as well
#   edit_names, reading_names
#                           print those of the commands that write, and of the
#                           others
#   text_ways, json_ways    print command lines that read an image, one per
#                           line: those with text output, and those that take
#                           --output=json
#   check NAME COMMAND...   COMMAND succeeds
#   results COMMAND...      COMMAND prints a line for each result: its name
#                           and, after a tab, the reason if it failed; lines
#                           that begin with # are diagnostics.  $n_results is
#                           the number of results
#   limit_memory            sets $memory to the memory limit of programs in
#                           bytes, or to 0 where none is possible; reports a
#                           result
#   pass, fail NAME [WHY]   report a result
#   skip NAME REASON        reports a result that is impossible to get here
#   skip_all REASON         skips the whole file
#   require PROGRAM...      skip_all unless all of them are installed
#   done_testing            ends every file
#
# $few is set if a sanitizer or valgrind makes each run slow, QCOW2TOOL_SLOW
# only for valgrind.  Tests of many images then take only some of them.

set -u
# The last command of a pipeline must count its results in this shell.
shopt -s lastpipe
export LC_ALL=${QCOW2TOOL_LC_ALL:-C.UTF-8}

srcdir=${srcdir:-$(dirname "$0")/../..}
builddir=${builddir:-.}
srcdir=$(cd "$srcdir" && pwd)
builddir=$(cd "$builddir" && pwd)
QCOW2TOOL=${QCOW2TOOL:-$builddir/src/qcow2tool}
MKIMAGE=${MKIMAGE:-$builddir/tests/builder/mkimage}

# shellcheck disable=SC2034 # it is for the tests
few=${QCOW2TOOL_SLOW-}${QCOW2TOOL_SANITIZED-}

tests_run=0
tests_failed=0
status=
tmp=$(mktemp -d "${TMPDIR:-/tmp}/qcow2tool-test.XXXXXX")
out=$tmp/out
err=$tmp/err
cleanup_commands=()

# The unit tests and valgrind detect leaks.  Detection at the end of each run
# would take longer than the run itself.
if [ -n "${QCOW2TOOL_SANITIZED-}" ]; then
  export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
fi

# The python3 in the PATH may be a script that searches for the program at
# every start.  Some sites take longer to set up than a test, and the tests
# need no module of the site but that of find_jsonschema.
export PYTHONDONTWRITEBYTECODE=1
if python3_path=$(type -P python3); then
  IFS= read -r -n 2 magic < "$python3_path"
  if [ "$magic" = '#!' ] \
      && python3_path=$(python3 -c 'import sys; print(sys.executable)' \
        2> /dev/null); then
    PATH=${python3_path%/*}:$PATH
  fi
  python3 ()
  {
    command python3 -S "$@"
  }
fi

cleanup ()
{
  local command

  for command in "${cleanup_commands[@]+"${cleanup_commands[@]}"}"; do
    eval "$command"
  done
  rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# on_exit COMMAND: runs COMMAND, which is quoted for eval, when the test ends
# for any reason.
on_exit ()
{
  cleanup_commands+=("$1")
}

diagnose ()
{
  sed 's/^/# /'
}

pass ()
{
  tests_run=$((tests_run + 1))
  echo "ok $tests_run - $1"
}

fail ()
{
  tests_run=$((tests_run + 1))
  tests_failed=$((tests_failed + 1))
  echo "not ok $tests_run - $1"
  if [ $# -gt 1 ]; then
    printf '%s\n' "$2" | diagnose
  fi
}

skip ()
{
  tests_run=$((tests_run + 1))
  echo "ok $tests_run - $1 # SKIP $2"
}

skip_all ()
{
  echo "1..0 # SKIP $1"
  exit 0
}

done_testing ()
{
  echo "1..$tests_run"
  [ "$tests_failed" = 0 ]
  exit
}

require ()
{
  local program

  for program; do
    command -v "$program" > /dev/null || skip_all "$program is not installed"
  done
}

# Succeeds if this QEMU has the limits and messages that the rules name.
qemu_is_known ()
{
  qemu_version=$(qemu-img --version \
    | sed -n '1s/.* version \([0-9.]*\).*/\1/p')
  printf '%s\n' 7.2 "$qemu_version" | sort -VC
}

require_known_qemu ()
{
  require qemu-img qemu-io
  qemu_is_known || skip_all "QEMU $qemu_version is older than 7.2"
}

# start_qemu_io ARGUMENT...: starts qemu-io, which has its image open when this
# returns; stop_qemu_io ends it.
start_qemu_io ()
{
  local _

  coproc QEMU { exec timeout 60 qemu-io "$@" 2>&1; }
  # shellcheck disable=SC2153 # coproc sets it
  qemu=$QEMU_PID
  printf 'length\n' >&"${QEMU[1]}"
  IFS= read -r -t 20 _ <&"${QEMU[0]}"
}

stop_qemu_io ()
{
  printf 'quit\n' >&"${QEMU[1]}"
  wait "$qemu"
}

# wait_until PROCESS COMMAND...: waits until COMMAND succeeds.  Returns 1 if
# PROCESS, which must end by itself in bounded time, has ended before that.
wait_until ()
{
  local process=$1

  shift
  until "$@"; do
    kill -0 "$process" 2> /dev/null || return 1
    sleep 0.02
  done
}

# Sets $python to an interpreter with jsonschema.  The module may be installed
# only for the system's own.
find_jsonschema ()
{
  for python in "$(type -P python3)" /usr/bin/python3; do
    "$python" -c 'from jsonschema import Draft202012Validator' \
      2> /dev/null && return
  done
  return 1
}

# Builds $tmp/fault-shim.so, which makes reads of an image fail, or skips the
# whole file.
require_fault_shim ()
{
  if [ -n "${QCOW2TOOL_SANITIZED-}" ]; then
    skip_all "a sanitizer wants to be loaded before anything else"
  fi

  # CC may consist of several words.
  # shellcheck disable=SC2086
  if ! ${CC:-cc} -shared -fPIC -o "$tmp/fault-shim.so" \
      "$srcdir/tests/cli/fault-shim.c" -ldl > "$tmp/log" 2>&1; then
    skip_all "${CC:-cc} makes no shared object of fault-shim.c"
  fi
}

check ()
{
  local name=$1

  shift
  if "$@"; then
    pass "$name"
  else
    fail "$name" "false: $*"
  fi
}

results ()
{
  local name what

  n_results=0
  "$@" 2> "$tmp/log" | while IFS=$'\t' read -r name what; do
    if [ "${name:0:1}" = '#' ]; then
      echo "$name"
      continue
    fi
    n_results=$((n_results + 1))
    if [ -z "$what" ]; then
      pass "$name"
    else
      fail "$name" "$what"
    fi
  done
  if [ "${PIPESTATUS[0]}" != 0 ]; then
    fail "all results were reported" "$(cat "$tmp/log")"
  fi
}

# Not for programs that start others or reserve terabytes of address space.
# shellcheck disable=SC2034 # it is for who calls this
limit_memory ()
{
  local words

  memory=0
  read -r -a words <<< "$QCOW2TOOL"
  if [ "${#words[@]}" != 1 ] || [ -n "${QCOW2TOOL_SANITIZED-}" ]; then
    skip "in 64 MiB of memory" \
      "the program runs under a wrapper or a sanitizer"
  elif (ulimit -v 65536 && ! python3 -c 'bytearray(1 << 27)') 2> /dev/null
  then
    memory=$((64 << 20))
    pass "in 64 MiB of memory"
  else
    fail "in 64 MiB of memory" "the limit on memory cannot be set"
  fi
}

sample ()
{
  sample=$tmp/$1.qcow2
  [ -e "$sample" ] || gunzip -c "$srcdir/tests/samples/$1.qcow2.gz" > "$sample"
}

image ()
{
  image=$tmp/$1.qcow2
  [ -e "$image" ] || "$MKIMAGE" "$1" "$image" || exit 1
}

# One process makes all of them, in the time of a few.
all_images ()
{
  local wanted=0 name rest

  if [ "$1" = ! ]; then
    wanted=1
    shift
  fi
  if [ ! -e "$tmp/images" ]; then
    mkdir "$tmp/images"
    # Sparse images may be too large for a file system.
    "$MKIMAGE" --all "$tmp/images" 2> /dev/null
  fi
  images=()
  "$MKIMAGE" --list | while read -r name rest; do
    [[ $name =~ $1 ]]
    if [ $? = $wanted ] && [ -e "$tmp/images/$name.qcow2" ]; then
      images+=("$tmp/images/$name.qcow2")
    fi
  done
  [ "${#images[@]}" -gt 0 ] || exit 1
}

copy ()
{
  image "$1"
  cp --sparse=always "$image" "$tmp/$2.qcow2"
  image=$tmp/$2.qcow2
}

patch ()
{
  local offset=$1 bytes='' word i

  shift
  for word; do
    for ((i = 0; i < ${#word}; i += 2)); do
      bytes+=\\x${word:i:2}
    done
  done
  # A file takes less time than a pipe, for which the shell starts a process.
  # shellcheck disable=SC2059 # the bytes are escapes in the format
  printf "$bytes" > "$tmp/bytes"
  dd if="$tmp/bytes" of="$image" bs=1 seek=$((offset)) conv=notrunc status=none
}

names ()
{
  "$MKIMAGE" --list | cut -f 1
}

# rows MACRO: prints the last argument of each row of tests/commands.def that
# is in MACRO, a pattern.
rows ()
{
  sed -nE "s/^($1) \(.*\"(.*)\"\)\$/\2/p" "$srcdir/tests/commands.def"
}

command_groups ()
{
  rows 'GROUP|COMMAND'
}

command_names ()
{
  rows COMMAND
}

# Prints the names of the commands that write, and of all others.
edit_names ()
{
  command_names | sed -n '/^set-header$/,/^apply$/p'
}

reading_names ()
{
  command_names | sed '/^set-header$/,/^apply$/d'
}

json_ways ()
{
  rows JSON_WAY
}

text_ways ()
{
  json_ways
  rows TEXT_WAY
  if [ -z "${QCOW2TOOL_SLOW-}" ]; then
    rows MORE_WAY
  fi
}

# QCOW2TOOL may consist of several words: a wrapper and its arguments.
tool ()
{
  # shellcheck disable=SC2086
  $QCOW2TOOL "$@" > "$out" 2> "$err"
  status=$?
}

expect ()
{
  if [ "$status" = "$2" ]; then
    pass "$1"
  else
    fail "$1" "status $status, not $2; messages: $(cat "$err")"
  fi
}

# tool_in FOLDER: puts the program into FOLDER as qcow2tool.  A link starts
# faster than a script, but cannot contain a wrapper.
tool_in ()
{
  rm -f "$1/qcow2tool"
  if [ -x "$QCOW2TOOL" ]; then
    ln -s "$QCOW2TOOL" "$1/qcow2tool"
  else
    printf '#!/bin/sh\nexec %s "$@"\n' "$QCOW2TOOL" > "$1/qcow2tool"
    chmod +x "$1/qcow2tool"
  fi
}

# expect_same NAME EXPECTED FOUND: compares two files; EXPECTED may be - for
# standard input, and FOUND a pipe.  The shell takes a tenth of the time of
# diff, but only as long as there is no NUL, up to which it reads.
expect_same ()
{
  local file=$2 expected found

  # A pipe can be read only once.
  if [ -p "$3" ]; then
    cat "$3" > "$tmp/same-found"
    set -- "$1" "$2" "$tmp/same-found"
  fi
  if [ "$file" = - ]; then
    file=$tmp/same
    if IFS= read -r -d '' expected; then
      { printf '%s\0' "$expected"; cat; } > "$file"
    else
      printf '%s' "$expected" > "$file"
    fi
  fi
  if [ -r "$file" ] && [ -r "$3" ] && ! IFS= read -r -d '' expected < "$file" \
      && ! IFS= read -r -d '' found < "$3" && [ "$expected" = "$found" ]; then
    pass "$1"
  elif diff -u "$file" "$3" > "$tmp/difference" 2>&1; then
    pass "$1"
  else
    fail "$1" "$(cat "$tmp/difference")"
  fi
}

expect_file ()
{
  expect_same "$1" "$tmp/expected" "$2"
}

expect_out ()
{
  expect_same "$1" - "$out"
}

expect_err ()
{
  local lines

  mapfile lines
  printf '%s' "${lines[@]/#PROG: /qcow2tool: }" > "$tmp/expected"
  expect_file "$1" "$err"
}

expect_silence ()
{
  if [ -s "$out" ] || [ -s "$err" ]; then
    fail "$1" "$(cat "$out" "$err")"
  else
    pass "$1"
  fi
}

expect_golden ()
{
  local file

  file=${0##*/}
  expect_same "$1" "$srcdir/tests/expected/${file%.sh}/$2" "$out"
}

expect_answer ()
{
  if [ "$status" = 0 ] && [ ! -s "$err" ]; then
    expect_same "$1" - "$out"
  else
    fail "$1" "status $status; messages: $(cat "$err")"
  fi
}

# is_one_message PATTERN: succeeds if there is exactly one message and it
# matches PATTERN.
is_one_message ()
{
  local lines

  mapfile lines < "$err"
  # shellcheck disable=SC2053 # the right side is a pattern
  [[ ${#lines[@]} = 1 && ${lines[0]} == "qcow2tool: "$1$'\n' ]]
}

expect_refusal ()
{
  if [ "$status" = "$2" ] && [ ! -s "$out" ] && is_one_message "$3"; then
    pass "$1"
  else
    fail "$1" "status $status, not $2; $(wc -c < "$out") bytes of output; \
messages: $(cat "$err")"
  fi
}

expect_damage ()
{
  if [ "$status" = 2 ] && is_one_message "$2"; then
    pass "$1"
  else
    fail "$1" "status $status, not 2; messages: $(cat "$err")"
  fi
}

expect_usage ()
{
  local hint="Try 'qcow2tool${2:+ }$2 --help'."
  local lines

  mapfile lines < "$err"
  # shellcheck disable=SC2053 # the right side is a pattern
  if [ "$status" = 1 ] && [ ! -s "$out" ] && [ "${#lines[@]}" = 2 ] \
      && [[ ${lines[0]} == "qcow2tool: "$3$'\n' ]] \
      && [ "${lines[1]}" = "$hint"$'\n' ]; then
    pass "$1"
  else
    fail "$1" "status $status; output: $(cat "$out"); messages: $(cat "$err")"
  fi
}
