#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Edits of images whose locks may be invisible: on block devices, below loop
# devices, on FUSE, and on file systems without locks.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3 qemu-img qemu-io
cd "$tmp" || exit 1
qemu-img create -q -f qcow2 before 1M
qemu-img bitmap --add before b0
# A device consists of whole sectors.
truncate -s %512 before
cp before after
printf '\0' | dd of=after bs=1 seek=95 conv=notrunc status=none

# edit PATH [OPTION...]: hides the bitmaps of the image PATH.
edit ()
{
  rm -f plan
  tool clear-feature-bit --save-plan=plan "${@:2}" "$1" autoclear bitmaps
}

# expect_bytes NAME PATH FILE: the image PATH has the bytes of FILE.  cmp reads
# in blocks of its first argument, which may have one byte on FUSE.
expect_bytes ()
{
  check "$1" cmp -s "$3" "$2"
}

# invisible NAME PATH: the image PATH, which is the one in "before", may have a
# writer that holds no lock here: an edit needs --force.
invisible ()
{
  edit "$2"
  expect_refusal "$1" 2 '*may be invisible here*--force*'
  check "$1: no plan is saved" test ! -e plan
  edit "$2" --dry-run
  expect_refusal "$1: a dry run" 2 '*may be invisible here*--force*'
  edit "$2" --dry-run --force
  expect "$1: a dry run with --force" 0
  expect_bytes "$1: nothing is written" "$2" before
  edit "$2" --force
  expect "$1: --force" 0
  expect_bytes "$1: --force edits it" "$2" after
}

# undo NAME PATH: undoes the edit of PATH.
undo ()
{
  tool apply --reverse plan "$2"
  expect_refusal "$1: apply --reverse" 2 '*may be invisible here*--force*'
  tool apply --reverse --force plan "$2"
  expect "$1: apply --reverse --force" 0
  expect_bytes "$1: undone" "$2" before
}

loop_devices ()
{
  local device holder

  cp before below
  device=$(losetup --find --show below 2> log)
  if [ -z "$device" ]; then
    skip 'loop device' "losetup: $(head -n 1 log)"
    return
  fi
  on_exit "losetup -d $device 2> /dev/null"

  invisible 'loop device' "$device"
  check 'loop device: the plan does not say which state is left' \
    test "$(grep -c '^# done' plan)" = 0
  undo 'loop device' "$device"

  # A lock that is seen counts even with --force.
  start_qemu_io -f qcow2 "$device"
  edit "$device" --force
  expect_refusal 'loop device: qemu-io writes to it' 1 '*another program*'
  stop_qemu_io
  dd if=before of="$device" conv=notrunc status=none
  command python3 - "$device" << 'END' > opened &
import os
import sys
import time

os.open(sys.argv[1], os.O_RDONLY | os.O_EXCL)
print('open', flush=True)
time.sleep(60)
END
  holder=$!
  wait_until "$holder" test -s opened
  edit "$device" --force
  expect_refusal 'loop device: in exclusive use' 1 '*cannot open: *busy*'
  kill "$holder"
  wait "$holder" 2> /dev/null
  expect_bytes 'loop device: nothing is written' "$device" before

  if [ -r /proc/partitions ] && [ -d /sys/block ]; then
    invisible 'file below a loop device' below
  else
    skip 'loop device: its file' '/proc or /sys is not mounted'
  fi
  losetup -d "$device"
  cp before below
  edit below
  expect 'file that was below a loop device' 0
}

# start_fuse: starts qemu-storage-daemon, which exports "exported" as the file
# "mounted" on FUSE.  It is the server, and holds no lock itself.
start_fuse ()
{
  cp before exported
  : > mounted
  timeout 60 qemu-storage-daemon \
    --blockdev driver=file,node-name=file,filename=exported,locking=off \
    --export type=fuse,id=e,node-name=file,mountpoint="$tmp/mounted",writable=on \
    > log 2>&1 &
  fuse=$!
  wait_until "$fuse" test -s mounted
}

end_fuse ()
{
  [ -n "$fuse" ] || return
  kill "$fuse" 2> /dev/null
  wait "$fuse" 2> /dev/null
  fuse=
}

fuse_file ()
{
  if ! command -v qemu-storage-daemon > /dev/null; then
    skip 'FUSE file' 'qemu-storage-daemon is not installed'
    return
  fi
  on_exit end_fuse
  if start_fuse; then
    invisible 'FUSE file' mounted
    undo 'FUSE file' mounted
  else
    skip 'FUSE file' "qemu-storage-daemon: $(tail -n 1 log)"
  fi
  end_fuse
}

# inject ERROR ARGUMENT...: runs an edit of "image" whose locks fail.
inject ()
{
  rm -f plan
  # shellcheck disable=SC2086 # it may be several words
  strace -f -o log -e trace='fcntl,?fcntl64' \
    -e inject="fcntl,?fcntl64:error=$1" $QCOW2TOOL clear-feature-bit "${@:2}" \
    --save-plan=plan image autoclear bitmaps > "$out" 2> "$err"
  status=$?
}

no_locks ()
{
  local error

  for error in EINVAL ENOSYS EOPNOTSUPP; do
    cp before image
    inject "$error"
    expect_refusal "no locks, $error" 2 '*cannot lock the image: *--force*'
    expect_bytes "no locks, $error: nothing is written" image before
    inject "$error" --force
    expect "no locks, $error: --force" 0
    expect_bytes "no locks, $error: --force edits it" image after
  done
  # These do not say that there are no locks.
  for error in ENOLCK EIO EBADF EDEADLK; do
    for force in '' --force; do
      cp before image
      # shellcheck disable=SC2086
      inject "$error" $force
      expect_refusal "locks fail, $error $force" 1 '*cannot lock the image: *'
      expect_bytes "locks fail, $error $force: nothing is written" image before
    done
  done
}

fuse=
loop_devices
fuse_file
if [ -n "$few" ]; then
  skip 'no locks' 'the program runs under a wrapper or a sanitizer'
elif [ -n "$(find "$builddir/src" -name '*.gcno' -print -quit)" ]; then
  skip 'no locks' 'the program measures coverage'
elif ! strace -o /dev/null true 2> /dev/null; then
  skip 'no locks' 'strace cannot be used'
else
  no_locks
fi

done_testing
