#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Files that are not qcow2, that cannot be opened, or that end inside the
# header cause status 1, one message and no output.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

# A device or a FIFO must not make the program wait.  The wait would never end,
# and the limit is longer than any other run takes on a busy machine.
timely ()
{
  # shellcheck disable=SC2086 # it may be several words
  timeout 120 $QCOW2TOOL "$@" > "$out" 2> "$err"
  status=$?
}

commands="header extensions bitmaps bitmap-table"

# refused NAME FILE PATTERN: every command refuses FILE with a message that
# matches PATTERN.  With a sanitizer, one command is tried, in rotation.
turn=0
refused ()
{
  local name=$1
  local file=$2
  local pattern=$3
  local command tried

  read -r -a tried <<< "$commands"
  if [ -n "$few" ]; then
    tried=("${tried[turn % ${#tried[@]}]}")
    turn=$((turn + 1))
  fi
  for command in "${tried[@]}"; do
    timely "$command" "$file"
    expect_refusal "$command of $name" 1 "$file: $pattern"
  done
}

# Other formats: the message says what was found and which format it may be.
for row in magic-last-byte:'*' magic-byte-swapped:'*byte order*' \
    raw-zeroes:'*' raw-text:'*' looks-like-luks:'*LUKS*' \
    looks-like-qed:'*QED*' looks-like-vdi:'*VDI*'; do
  name=${row%%:*}
  image "$name"
  refused "$name" "$image" "0x0: header: not a qcow2 image${row#*:}\[HDR-01]"
done
printf 'KDMV\1\0\0\0%060d' 0 > "$tmp/vmdk"
refused "a VMDK image" "$tmp/vmdk" \
  '0x0: header: not a qcow2 image*VMDK*\[HDR-01]'
printf '# Disk DescriptorFile\nversion=1\n' > "$tmp/vmdk.txt"
refused "a VMDK descriptor" "$tmp/vmdk.txt" \
  '0x0: header: not a qcow2 image*VMDK*\[HDR-01]'
refused "this script" "$srcdir/tests/cli/cli-bad-input.sh" \
  '0x0: header: not a qcow2 image*\[HDR-01]'

# Versions.
image qcow-version-1
refused "qcow version 1" "$image" '0x4: header: qcow version 1 *\[HDR-02]'
for row in version-0:0 version-4:4 version-all-ones:4294967295 \
    version-byte-swapped:50331648; do
  image "${row%:*}"
  refused "version ${row#*:}" "$image" \
    "0x4: header: *version ${row#*:} *\[HDR-02]"
done

# Files that are too short for any format.
: > "$tmp/empty"
refused "an empty file" "$tmp/empty" '0x0: *empty*\[FILE-02]'
for name in file-1-byte file-3-bytes; do
  image $name
  refused "$name" "$image" '0x0: header: *\[HDR-01]'
done
printf '\0' > "$tmp/zero-byte"
refused "a zero byte" "$tmp/zero-byte" '0x0: header: *\[HDR-01]'
for row in file-4-bytes:0x4 file-7-bytes:0x4 file-8-bytes:0x8 \
    file-71-bytes:0x47 file-72-bytes:0x48 file-103-bytes:0x67 \
    version-2-71-bytes:0x47; do
  image "${row%:*}"
  refused "${row%:*}" "$image" "${row#*:}: header: *\[HDR-03]"
done

# Paths that do not lead to a regular file.
refused "a folder" "$tmp" '*directory*'
refused "a missing file" "$tmp/missing" '*No such file or directory*'
refused "a file in a missing folder" "$tmp/missing/file" \
  '*No such file or directory*'
refused "a file in a file" "$tmp/empty/file" '*Not a directory*'
ln -s "$tmp/missing" "$tmp/dangling"
refused "a dangling link" "$tmp/dangling" '*No such file or directory*'
ln -s loop-b "$tmp/loop-a"
ln -s loop-a "$tmp/loop-b"
refused "a loop of links" "$tmp/loop-a" '*symbolic links*'
mkfifo "$tmp/fifo"
refused "a FIFO" "$tmp/fifo" '*FIFO*'
ln -s fifo "$tmp/fifo-link"
refused "a link to a FIFO" "$tmp/fifo-link" '*FIFO*'
long=$(printf '%300s' '' | tr ' ' n)
refused "a name that is too long" "$tmp/$long" '*File name too long*'
for command in $commands; do
  timely "$command" ''
  expect_refusal "$command of an empty name" 1 '*No such file or directory*'
done

if command -v python3 > /dev/null; then
  (cd "$tmp" && python3 -c 'import socket
socket.socket(socket.AF_UNIX).bind("socket")')
  refused "a socket" "$tmp/socket" '*socket*'
else
  skip "a socket" "python3 is not installed"
fi

for device in /dev/zero /dev/null /dev/full /dev/tty /dev/random; do
  if [ -c $device ]; then
    # Without a terminal, opening /dev/tty already fails.
    case $device in
      /dev/tty) pattern='*';;
      *) pattern='*character device*';;
    esac
    refused "$device" $device "$pattern"
  else
    skip "$device" "it is missing"
  fi
done
if [ -r /proc/self/mem ]; then
  refused "/proc/self/mem" /proc/self/mem '*'
  refused "/proc/self/maps" /proc/self/maps '*'
else
  skip "/proc/self/mem" "it is missing"
fi
refused "standard input by name" /dev/stdin '*' < /dev/null

# An unreadable file.  Root can read every file, so as root the program runs as
# another user, in a folder that is open to all.
as_nobody ()
{
  # A build that measures coverage must be able to write its counters as that
  # user, too.
  GCOV_PREFIX=$tmp/counters \
    setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

image two-bitmaps
mkdir -m 0777 "$tmp/counters"
cp --sparse=always "$image" "$tmp/secret"
chmod 0000 "$tmp/secret"
mkdir "$tmp/closed"
cp "$image" "$tmp/closed/image"
chmod 0000 "$tmp/closed"
if [ "$(id -u)" != 0 ]; then
  refused "a file without permission" "$tmp/secret" '*Permission denied*'
  refused "a file in a closed folder" "$tmp/closed/image" \
    '*Permission denied*'
elif chmod 0755 "$tmp" && cp "$builddir/src/qcow2tool" "$tmp/program" \
    && as_nobody "$tmp/program" --version > /dev/null 2>&1; then
  for command in $commands; do
    as_nobody "$tmp/program" "$command" "$tmp/secret" > "$out" 2> "$err"
    status=$?
    expect_refusal "$command of a file without permission" 1 \
      "$tmp/secret: *Permission denied*"
  done
  as_nobody "$tmp/program" header "$tmp/closed/image" > "$out" 2> "$err"
  status=$?
  expect_refusal "a file in a closed folder" 1 '*Permission denied*'
  chmod 0444 "$tmp/secret"
  as_nobody "$tmp/program" header --field size "$tmp/secret" > "$out" 2> "$err"
  status=$?
  expect_answer "a readable file of another user" <<< 67108864
else
  skip "a file without permission" "the program cannot run as another user"
fi
chmod 0700 "$tmp/closed"

# The header is truncated after each of its bytes: in the magic, in the
# version, and then before the end of the fields that every image must have.
# No byte after the end is read, and the message names the missing field.
cut_of ()
{
  local length=$1

  if [ "$length" = 0 ]; then
    echo '0x0: header: *\[FILE-02]'
  elif [ "$length" -lt 4 ]; then
    echo '0x0: header: *\[HDR-01]'
  elif [ "$length" -lt 8 ]; then
    echo '0x4: header: *\[HDR-03]'
  else
    printf '0x%x: header: *\[HDR-03]\n' "$length"
  fi
}

# Each length with one of two commands; test-cut tries all, in process.  With a
# sanitizer, only every seventh length.
step=${few:+7}
step=${step:-1}
for row in 3:two-bitmaps:104 2:version-2:72; do
  IFS=: read -r version name mandatory <<< "$row"
  image "$name"
  whole=$image
  for ((length = 0; length < mandatory; length += step)); do
    head -c "$length" "$whole" > "$tmp/cut"
    command=header
    ((length % 2)) || command=bitmaps
    tool "$command" "$tmp/cut"
    expect_refusal "$command of version $version cut to $length bytes" 1 \
      "$tmp/cut: $(cut_of "$length")"
  done
done

# After the mandatory fields, the header can be shown, and it is damaged: byte
# 104 and the rest of header_length are missing.
image two-bitmaps
for ((length = 104; length < 112; length++)); do
  head -c "$length" "$image" > "$tmp/cut"
  tool header "$tmp/cut"
  check "header truncated to $length bytes: shown, status 2" \
    test "$status.$(wc -l < "$out")" = 2.19
  check "header truncated to $length bytes: the missing fields" \
    grep -q "^qcow2tool: $tmp/cut: 0x[0-9a-f]*: header: .*\[HDR-03\]\$" "$err"
done

# The reason follows the file name, also for an explicit offset.
tool bitmap-table --at 0 --count 1 "$tmp/empty"
expect_refusal "--at of an empty file" 1 "$tmp/empty: 0x0: *"
tool header --field size "$tmp/missing"
expect_refusal "--field of a missing file" 1 "$tmp/missing: *"
tool bitmaps --names -0 "$tmp/vmdk"
expect_refusal "--names of a VMDK image" 1 "$tmp/vmdk: *"

# A path is used as it is, unlike by QEMU's programs: file: may be part of it.
image two-bitmaps
cd "$tmp" || exit 1
cp "$image" real:name.qcow2
refused 'a path with file:' file:real:name.qcow2 "cannot open: *; an image is \
named by its path alone, without 'file:'"
refused 'a missing file with file:' file:missing \
  'cannot open: No such file or directory'
cp "$image" file:real:name.qcow2
for name in real:name.qcow2 file:real:name.qcow2; do
  tool info --output=json "$name"
  expect "a path with a colon: $name" 0
  check "info of $name" grep -qF "\"filename\": \"$name\"" "$out"
done

done_testing
