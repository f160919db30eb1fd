#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every image of the builder with every command: whatever is in it, the tool
# ends in good order, in time, and what it prints is harmless.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"

images=$tmp/images
mkdir "$images"

selected=$(names)
limit=10
step=2
# Under valgrind each run takes a second: every 16th image, and of the largest
# none; every sixth text.
if [ -n "${QCOW2TOOL_SLOW-}" ]; then
  limit=120
  selected=$(names | grep -vE '^(many|sparse|R0)' | awk 'NR % 16 == 0')
  step=12
fi

if [ -z "${QCOW2TOOL_SLOW-}" ] && "$MKIMAGE" --all "$images" 2> "$tmp/log"
then
  pass "the builder writes all images"
else
  # A file system may be too small for the sparse ones.
  for name in $selected; do
    [ -e "$images/$name.qcow2" ] \
      || "$MKIMAGE" "$name" "$images/$name.qcow2" 2> /dev/null
  done
  pass "the builder writes what the file system can hold"
fi

# Runs each command on each image and prints a line for each image: its name
# and, behind a tab, what is wrong.  One process for thousands of runs.
cat > "$tmp/run.py" << 'EOF'
import os
import re
import resource
import subprocess
import sys

limit, memory, directory, commands, *tool = sys.argv[1:]

# What could do anything to a terminal: controls, C1, bidirectional and
# zero-width characters, tags.
BAD = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e"
                 "\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")
# Lines of output begin with a name of ours, or are rows.
FORGED = re.compile("^(?![a-z0-9_]+ |Bitmap name |Bitmap table "
                    "|Header extension:\n).+$", re.MULTILINE)


def shorten(command, name):
    """Some have tables of many gigabytes, or too many long ones."""
    if not re.search("^R0|^sparse|^S39|^many-s", name):
        return command
    if command == "bitmaps --tables":
        return "bitmaps --tables --index 0" if name == "R01" else "bitmaps"
    if re.match("bitmap-table --(long|count)", command):
        return "bitmap-table --long --count 100 --index 0"
    return command


def set_memory():
    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))


def complain(command, status, output, messages):
    if status not in (0, 1, 2, 3):
        yield "status %d" % status
    for text, what in (output, "output"), (messages, "messages"):
        try:
            if BAD.search(text.decode()):
                yield "unprintable " + what
        except UnicodeDecodeError:
            yield what + " that is not UTF-8"
    if (status == 0) != (messages == b""):
        yield "status %d, messages %r" % (status, messages[:200])
    lines = messages.decode(errors="replace").splitlines(True)
    if len(lines) > 400:
        yield "a flood of messages"
    for line in lines:
        if not line.startswith("qcow2tool: ") or not line.endswith("\n"):
            yield "a stray message %r" % line
    if status == 1 and output != b"":
        yield "output of what is no image"
    if "--names" not in command:
        forged = FORGED.search(output.decode(errors="replace"))
        if forged:
            yield "a forged line %r" % forged.group()


limit_memory = set_memory if memory != "0" else None
for name in sys.stdin.read().split():
    path = os.path.join(directory, name + ".qcow2")
    if not os.path.exists(path):
        continue
    wrong = []
    for command in commands.split("\n"):
        words = tool + shorten(command, name).split() + [path]
        try:
            run = subprocess.run(words, stdin=subprocess.DEVNULL,
                                 capture_output=True, timeout=int(limit),
                                 preexec_fn=limit_memory)
            found = complain(command, run.returncode, run.stdout, run.stderr)
            wrong += [command + ": " + what for what in found]
        except subprocess.TimeoutExpired:
            wrong.append(command + ": more than " + limit + " seconds")
    print(name, "; ".join(wrong), sep="\t")
EOF

run_all ()
{
  local memory=$1

  shift
  # shellcheck disable=SC2086 # it may be several words
  printf '%s\n' "$selected" \
    | python3 "$tmp/run.py" "$limit" "$memory" "$images" \
      "$(printf '%s\n' "$@")" $QCOW2TOOL
}

require python3
n_images=0
while IFS=$'\t' read -r name what; do
  n_images=$((n_images + 1))
  if [ -z "$what" ]; then
    pass "$name"
  else
    fail "$name" "$what"
  fi
done < <(run_all 0 header extensions bitmaps 'bitmaps --tables' \
  'bitmaps --names' 'bitmap-table --long' 'bitmap-table --at 0x200 --count 99')
check "that were the images" \
  test "$n_images" = "$(find "$images" -name '*.qcow2' | wc -l)"

# Memory does not grow with what an image says.  Not for programs that run
# others or reserve addresses by the terabyte.
read -r -a words <<< "$QCOW2TOOL"
if [ "${#words[@]}" != 1 ] || [ -n "${QCOW2TOOL_SANITIZED-}" ]; then
  skip "in 64 MiB of memory" "the program is run by another or sanitized"
else
  run_all $((64 << 20)) header extensions bitmaps 'bitmap-table --count 9' \
    > "$tmp/log"
  if [ "$(grep -c "$(printf '\t$')" "$tmp/log")" = "$n_images" ]; then
    pass "in 64 MiB of memory"
  else
    fail "in 64 MiB of memory" "$(grep -v "$(printf '\t$')" "$tmp/log")"
  fi
fi

# The rest is about single images.

# One bitmap's damage does not hide the other.
for name in first-entry-bad second-entry-bad T01 T05 D01 D05 D09 D13 D21 D23 \
    D29 D47 D49 two-bitmaps-one-name X17 H31 nb-bitmaps-3 table-offset-l1; do
  image $name
  tool bitmaps "$image"
  check "$name: both bitmaps are shown" \
    test "$status.$(grep -c '^Bitmap name' "$out")" = 2.2
  tool bitmap-table --count 1 "$image"
  check "$name: both names are above their tables" \
    test "$(grep -c '^Bitmap name' "$out")" = 2
done

# At most ten messages of a rule, then how many more.
image every-entry-bad
tool bitmap-table --name long "$image"
check "256 bad entries: all are shown" test "$(grep -c '^[0-9]' "$out")" = 256
expect "256 bad entries: status" 2
for rule in BTAB-01 BTAB-02 BTAB-05; do
  check "256 bad entries: ten messages of $rule" \
    test "$(grep -c "^qcow2tool: $image: 0x.* \[$rule\]\$" "$err")" = 10
  check "256 bad entries: 246 more of $rule" grep -qxF \
    "qcow2tool: $image: 246 more [$rule]: see qcow2tool check" "$err"
done
check "256 bad entries: the first ones are told" \
  grep -q ' 0x20c00: .*BTAB-01' "$err"
check "256 bad entries: in order" test \
  "$(grep -o '0x20c[0-9a-f]*: .*BTAB-01' "$err" | cut -d : -f 1 \
    | tr '\n' ' ')" \
  = "$(printf '0x%x ' 0x20c{00,08,10,18,20,28,30,38,40,48})"
if [ -z "${QCOW2TOOL_SLOW-}" ]; then
  image many-same-name
  tool bitmaps "$image"
  check "65535 bitmaps of one name: all are shown" \
    test "$status.$(grep -c '^Bitmap name' "$out")" = 2.65535
  check "65535 bitmaps of one name: ten messages" \
    test "$(grep -c ' \[BDIR-15\]$' "$err")" = 10
  # The first one is not wrong.
  check "65535 bitmaps of one name: 65524 more" grep -qxF \
    "qcow2tool: $image: 65524 more [BDIR-15]: see qcow2tool check" "$err"
fi
image one-bad-entry-of-three
tool bitmap-table "$image"
check "no count of what is not left out" \
  test "$(grep -c ' more ' "$err").$(wc -l < "$err")" = 0.1
image reserved-bits-in-entries
tool bitmap-table "$image"
check "four messages are not too many" test "$(wc -l < "$err")" = 4
# Nine and eleven: the edges.
for n in 10 11; do
  copy every-entry-bad "bad-$n"
  for ((i = n; i < 256; i++)); do
    printf '\0\0\0\0\0\0\0\0'
  done | dd of="$image" bs=8 seek=$((0x20c00 / 8 + n)) conv=notrunc status=none
  tool bitmap-table --name long "$image"
  check "$n bad entries: ten messages" \
    test "$(grep -c " \[BTAB-01\]\$" "$err")" = 10
  check "$n bad entries: $((n - 10)) more" \
    test "$(grep -c ' 1 more \[BTAB-01\]: see' "$err")" = $((n - 10))
done

# Hostile text: where it is shown, it is escaped; no line is forged.  TEXT is
# in hexadecimal, then how it is shown.
# shellcheck disable=SC1003 # backslashes before a quote
texts=(
  1b5b324a '\x1b[2J'
  9b324a '\x9b2J'
  c29b324a '\xc2\x9b2J'
  1b5d303b7807 '\x1b]0;x\x07'
  0a7374617465 '\nstate'
  0d7374617465 '\x0dstate'
  610062 'a\x00b'
  09 '\t'
  7f '\x7f'
  d89c '\xd8\x9c'
  e280ae6576 '\xe2\x80\xaeev'
  e2808b '\xe2\x80\x8b'
  e2808f '\xe2\x80\x8f'
  e280a8 '\xe2\x80\xa8'
  e281a6 '\xe2\x81\xa6'
  efbbbf '\xef\xbb\xbf'
  efbfb9 '\xef\xbf\xb9'
  f3a08181 '\xf3\xa0\x81\x81'
  c0af '\xc0\xaf'
  c08a '\xc0\x8a'
  e08080 '\xe0\x80\x80'
  eda080 '\xed\xa0\x80'
  f4908080 '\xf4\x90\x80\x80'
  f8888080 '\xf8\x88\x80\x80'
  e282 '\xe2\x82'
  ff '\xff'
  5c6e '\\n'
  27225c '\x27"\\'
  e28090 $'\xe2\x80\x90'
  c3a4e4b8ad $'\xc3\xa4\xe4\xb8\xad'
)

# The same as BAD above, for one file.
bad_text ()
{
  LC_ALL=C grep -qaP '[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xd8\x9c'\
'|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xa9]|\xef\xbb\xbf'\
'|\xef\xbf[\xb9-\xbb]|\xf3\xa0[\x80\x81]' "$1" \
    || ! iconv -f UTF-8 -t UTF-8 "$1" > /dev/null 2>&1
}

zeroes ()
{
  printf '%0*d' $(($1 * 2)) 0
}

# LINE of COMMAND is VALUE.
shows ()
{
  local value=$3
  local line

  line=$(printf '%-25s %s' "$2" "$value")
  # shellcheck disable=SC2086 # a command and its option
  tool $1 "$image"
  if grep -qaxF -e "$line" "$out" && ! bad_text "$out" && ! bad_text "$err"
  then
    pass "$4 shows $2 as $value"
  else
    fail "$4 shows $2 as $value" "$(cat -v "$out" "$err")"
  fi
}

for ((i = 0; i < ${#texts[@]}; i += step)); do
  text=${texts[i]}
  size=$((${#text} / 2))
  # A single quote is itself.
  value=${texts[i + 1]/\\x27/\'}

  copy A "name-$i"
  patch 0x2c0012 "$(printf %04x $size)"
  patch 0x2c0018 "$text" "$(zeroes $((8 - size)))"
  shows bitmaps 'Bitmap name' "$value" "bitmaps: $text:"
  shows 'bitmap-table' 'Bitmap name' "$value" "bitmap-table: $text:"
  tool bitmaps --names "$image"
  check "bitmaps: $text: --names" \
    test "$(head -n 1 "$out").$(wc -l < "$out")" = "$value.2"
  # In messages as well: a reserved bit in its table.
  patch 0x2a0000 8000000000290000
  tool bitmaps "$image"
  expect_damage "bitmaps: $text: message" \
    "$(printf %s "$image: 0x2a0000: bitmap 0 '$value': " \
      | sed 's/[][*?\\]/\\&/g')*\[BTAB-01]"

  copy BK "backing-$i"
  patch 0x10 "$(printf %08x $size)"
  patch 0x210 "$text"
  shows header backing_file "$value" "header: $text:"

  copy BK "format-$i"
  patch 0x74 "$(printf %08x $size)"
  patch 0x78 "$text" "$(zeroes $((8 - size)))"
  shows header backing_format "$value" "header: $text:"

  copy DF "data-file-$i"
  patch 0x74 "$(printf %08x $size)"
  patch 0x78 "$text" "$(zeroes $((8 - size)))"
  shows header external_data_file "$value" "header: $text:"
  tool extensions "$image"
  check "extensions: $text: data is one harmless line" \
    test "$status.$(grep -c '^data ' "$out")" = 0.1
  if bad_text "$out"; then
    fail "extensions: $text: printable"
  else
    pass "extensions: $text: printable"
  fi

  # A feature's name ends at its NUL.
  copy H31 "feature-$i"
  patch 0x78 003f "$text" "$(zeroes $((46 - size)))"
  case $text in
    610062) value=a;;
  esac
  shows header incompatible_features \
    "0x8000000000000000 ([\"$value\"])" "header: $text:"
  shows extensions feature "incompatible 63 '$value'" "extensions: $text:"
done

# The image's own name.
for ((i = 0; i < ${#texts[@]}; i += step)); do
  text=${texts[i]}
  value=${texts[i + 1]/\\x27/\'}
  case $text in
    610062) continue;; # no file has such a name
  esac
  bytes=$(printf %s "$text" | sed 's/../\\x&/g')
  # shellcheck disable=SC2059 # the bytes are escapes in the format
  printf -v path "$bytes"
  image T01
  if ! ln -s "$image" "$tmp/$path" 2> /dev/null; then
    skip "path: $text" "the file system does not take it"
    continue
  fi
  (cd "$tmp" && tool bitmap-table "./$path" "./$path")
  if [ "$(grep -caxF "image: ./$value" "$out")" = 2 ] \
      && [ "$(grep -caF "qcow2tool: ./$value: 0x2a0000: " "$err")" = 2 ] \
      && [ "$(wc -l < "$err")" = 2 ] && ! bad_text "$out" && ! bad_text "$err"
  then
    pass "path: $text: shown as $value"
  else
    fail "path: $text: shown as $value" "$(cat -v "$out" "$err")"
  fi
done

# Nothing that an image names is opened.
if command -v strace > /dev/null && [ -z "${QCOW2TOOL_SANITIZED-}" ] \
    && strace -o /dev/null true 2> /dev/null; then
  for name in backing-name-absolute X51 DF BK H69; do
    image $name
    : > "$tmp/trace"
    for command in header extensions bitmaps bitmap-table; do
      # shellcheck disable=SC2086 # it may be several words
      (cd "$tmp" && strace -f -o "$tmp/trace-$command" \
        -e trace=openat,open,connect,execve $QCOW2TOOL $command "$image") \
        > /dev/null 2>&1
      cat "$tmp/trace-$command" >> "$tmp/trace"
    done
    check "$name: what it names is not opened" test \
      "$(grep -cE 'passwd|/etc/pw|DF\.data|base\.raw|json:' "$tmp/trace")" = 0
  done
else
  skip "what an image names is not opened" "there is no strace"
fi

done_testing
