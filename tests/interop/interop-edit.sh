#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Edits and QEMU exclude each other: each sees the lock of the other.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3 qemu-img qemu-io
image=$tmp/img.qcow2
qemu-img create -q -f qcow2 "$image" 64M
qemu-img bitmap --add "$image" b0
qemu-img bitmap --add --disable "$image" b1
cp "$image" "$tmp/before"

# A lock that the file system does not have is not seen.
if ! python3 - "$image" << 'END'
import fcntl
import os
import struct
import sys

lock = struct.pack('hhqqhh', fcntl.F_RDLCK, 0, 100, 1, 0, 0)
fcntl.fcntl(os.open(sys.argv[1], os.O_RDWR), 37, lock)
END
then
  skip_all 'the file system of the temporary folder has no locks'
fi

# with_lock SECONDS TYPE START LENGTH... COMMAND: runs COMMAND while another
# process holds locks.
cat > "$tmp/lock.py" << 'END'
import fcntl
import os
import struct
import subprocess
import sys

image, locks, *command = sys.argv[1:]
fd = os.open(image, os.O_RDWR)
for lock in locks.split():
    kind, start, length = lock.split(',')
    kind = fcntl.F_WRLCK if kind == 'w' else fcntl.F_RDLCK
    fcntl.fcntl(fd, 37, struct.pack('hhqqhh', kind, 0, int(start),
                                    int(length), 0, 0))
sys.exit(subprocess.run(command, pass_fds=()).returncode)
END

# locked LOCKS ARGUMENT...: runs the program while another one holds LOCKS.
locked ()
{
  # shellcheck disable=SC2086
  python3 "$tmp/lock.py" "$image" "$1" $QCOW2TOOL "${@:2}" > "$out" 2> "$err"
  status=$?
}

# Locks as QEMU takes them.  A writer holds 101 103 201 203, a reader that
# shares nothing 201 203; each alone is a conflict, too.
for locks in 'r,101,1' 'r,103,1' 'r,200,1' 'r,201,1' 'r,203,1' 'w,101,1' \
    'w,100,1' 'w,201,1' 'w,0,0' 'w,50,200' 'r,101,1 r,103,1 r,201,1 r,203,1'; do
  for force in '' --force; do
    # shellcheck disable=SC2086
    locked "$locks" clear-feature-bit $force "$image" autoclear bitmaps
    expect_refusal "a lock $locks $force" 1 '*another program*'
    check "a lock $locks $force: nothing is written" \
      cmp -s "$image" "$tmp/before"
  done
  locked "$locks" clear-feature-bit --dry-run "$image" autoclear bitmaps
  expect "a dry run with a lock $locks" 0
done
# These are no conflict: a reader that shares everything, bytes that no one
# asks for, and a program that locks the whole file to read it.
for locks in 'r,100,1' 'r,102,1' 'r,202,1' 'r,99,1' 'r,0,0' 'w,300,9'; do
  locked "$locks" clear-feature-bit "$image" autoclear bitmaps
  expect "no conflict: $locks" 0
  cp "$tmp/before" "$image"
done

# Programs of QEMU.
start_qemu_io "$image"
tool clear-feature-bit "$image" autoclear bitmaps
expect_refusal 'qemu-io writes' 1 '*another program*'
stop_qemu_io
cp "$tmp/before" "$image"
start_qemu_io -r "$image"
tool clear-feature-bit "$image" autoclear bitmaps
expect_refusal 'qemu-io reads, and lets no one write' 1 '*another program*'
stop_qemu_io
start_qemu_io -r -U "$image"
tool clear-feature-bit "$image" autoclear bitmaps
expect 'qemu-io reads with -U' 0
stop_qemu_io
cp "$tmp/before" "$image"

# qemu-nbd, which has the image open until its only client is gone.
if command -v qemu-nbd > /dev/null; then
  timeout 60 qemu-nbd -f qcow2 --pid-file="$tmp/nbd-pid" -k "$tmp/socket" \
    "$image" &
  server=$!
  # The socket is there before the image is open.
  wait_until "$server" test -s "$tmp/nbd-pid"
  tool clear-feature-bit "$image" autoclear bitmaps
  expect_refusal 'qemu-nbd serves the image' 1 '*another program*'
  kill "$server"
  wait "$server"
  cp "$tmp/before" "$image"
else
  skip 'qemu-nbd serves the image' 'qemu-nbd is not installed'
fi

# qemu-storage-daemon, which holds its lock as long as it has the image open,
# even if it exports nothing.  start_daemon READ-ONLY: starts it; it has the
# image open when this returns.
start_daemon ()
{
  rm -f "$tmp/pid"
  timeout 60 qemu-storage-daemon --pidfile "$tmp/pid" \
    --blockdev "driver=file,node-name=file,filename=$image,read-only=$1" \
    --blockdev "driver=qcow2,node-name=disk,file=file,read-only=$1" \
    > "$tmp/log" 2>&1 &
  server=$!
  wait_until "$server" test -s "$tmp/pid"
}

if command -v qemu-storage-daemon > /dev/null; then
  for read_only in off on; do
    check "qemu-storage-daemon, read-only=$read_only" start_daemon "$read_only"
    for force in '' --force; do
      # shellcheck disable=SC2086
      tool clear-feature-bit $force "$image" autoclear bitmaps
      expect_refusal "qemu-storage-daemon, read-only=$read_only $force" 1 \
        '*another program*'
    done
    kill "$server"
    wait "$server"
    tool set-feature-bit "$image" compatible 5
    expect "qemu-storage-daemon, read-only=$read_only, has ended" 0
    cp "$tmp/before" "$image"
  done
else
  skip 'qemu-storage-daemon' 'it is not installed'
fi

# An edit that is stopped while it holds its lock.  A program that waits for it
# must not look at the image: an edit refuses an image that another program has
# open.
continue_edit ()
{
  kill -CONT "$(sed -n '/stopped by SIGSTOP/{s/ .*//p;q}' "$tmp/trace")" \
    2> /dev/null
}

if command -v strace > /dev/null \
    && strace -o /dev/null true 2> /dev/null \
    && [ -z "${QCOW2TOOL_SANITIZED-}${QCOW2TOOL_SLOW-}" ]; then
  # shellcheck disable=SC2086
  timeout 60 strace -f -o "$tmp/trace" -e trace=pwrite64 \
    -e inject=pwrite64:signal=STOP:when=1 \
    $QCOW2TOOL clear-feature-bit "$image" autoclear bitmaps &
  editor=$!
  on_exit continue_edit
  check 'an edit is stopped' \
    wait_until "$editor" grep -qs 'stopped by SIGSTOP' "$tmp/trace"
  qemu-img info "$image" > "$out" 2>&1
  check 'qemu-img info sees the lock of an edit' \
    grep -q 'Failed to get shared "write" lock' "$out"
  qemu-img info -U "$image" > "$out" 2>&1
  check 'qemu-img info -U reads' test $? = 0
  check 'qemu-io does not write meanwhile' \
    test "$(qemu-io -c quit "$image" 2>&1 | grep -c 'Failed to get')" = 1
  if command -v qemu-storage-daemon > /dev/null; then
    check 'qemu-storage-daemon does not open it' test \
      "$(start_daemon off || grep -c 'Failed to get "write" lock' "$tmp/log")" \
      = 1
  else
    skip 'qemu-storage-daemon does not open it' 'it is not installed'
  fi
  tool set-feature-bit "$image" compatible 5
  expect_refusal 'a second edit' 1 '*another program*'
  continue_edit
  check 'the stopped edit ends once it is continued' wait "$editor"
  cp "$tmp/before" "$image"
else
  skip 'an edit that is stopped' 'strace cannot be used'
fi

# The format of the backing file of an overlay with bitmaps, as QEMU lays it
# out: the extensions after it move into the sector before, and over each
# other.
cd "$tmp" || exit 1
qemu-img create -q -f raw base.raw 64M
qemu-img create -q -f qcow2 -b base.raw -F raw overlay.qcow2
for name in a b; do
  qemu-img bitmap --add overlay.qcow2 "$name"
done
cp overlay.qcow2 before.qcow2
tool del-header-ext --save-plan=overlay.plan overlay.qcow2 'Backing format'
expect 'delete the backing format before bitmaps' 0
qemu-img info -U --output=json overlay.qcow2 > info.json 2> "$err"
check 'QEMU finds the bitmaps' \
  test "$(grep -cE '"name": "[ab]"' info.json)" = 2
check 'QEMU finds the name of the backing file' \
  grep -q '"backing-filename": "base.raw"' info.json
check 'QEMU finds no format' \
  test "$(grep -c backing-filename-format info.json)" = 0
tool apply --reverse overlay.plan overlay.qcow2
expect 'put the backing format back' 0
check 'it is as before' cmp -s overlay.qcow2 before.qcow2

done_testing
