#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Detection of writers, with writers of QEMU and with the locks that QEMU
# takes.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require jq timeout

cd "$tmp" || exit 1

# expect_writer NAME IMAGE WRITER: writer is true, false or null in JSON.
expect_writer ()
{
  tool bitmaps --output=jsonl "$2"
  check "$1: writer is $3" \
    test "$status.$(jq -c .writer "$out")" = "0.$3"
}

# expect_state NAME IMAGE TEXT WORD: the state of bitmap b0 is TEXT in the
# blocks and WORD in --list, and in-use everywhere else.
expect_state ()
{
  tool bitmaps --name=b0 "$2"
  check "$1: the block says $3" \
    grep -qx "state                     $3" "$out"
  tool bitmaps --list --name=b0 "$2"
  check "$1: the row says $4" \
    test "$(awk 'NR == 2 { print $2 }' "$out")" = "$4"
  tool bitmaps --is=in-use --name=b0 "$2"
  check "$1: --is=in-use" test "$status.$(cat "$out" "$err")" = 0.
  tool bitmaps --field=state --name=b0 "$2"
  check "$1: --field=state is in-use" \
    test "$status.$(cat "$out" "$err")" = 0.in-use
  tool bitmaps --name=b0 --output=json "$2"
  check "$1: state is in-use in JSON" \
    test "$(jq -c '[.bitmaps[] | .state, .usable]' "$out")" \
    = '["in-use",false]'
}

# Locks as QEMU takes them.

cat > lock.py << 'END'
"""Locks bytes of a file until standard input ends."""
import fcntl
import struct
import sys

path, kind, start, length = sys.argv[1:]
kinds = {'read': fcntl.F_RDLCK, 'write': fcntl.F_WRLCK}
with open(path, 'r+b') as file:
    fcntl.fcntl(file, getattr(fcntl, 'F_OFD_SETLK', 37),
                struct.pack('hhqqi4x', kinds[kind], 0, int(start),
                            int(length), 0))
    print('locked', flush=True)
    sys.stdin.read()
END

locker=

unlock ()
{
  [ -n "$locker" ] || return
  exec 5>&-
  wait "$locker" 2> /dev/null
  locker=
}
on_exit unlock

# lock IMAGE KIND START LENGTH: holds a lock until unlock, for at most a
# minute.
lock ()
{
  local text

  rm -f lock-in lock-out
  mkfifo lock-in lock-out
  exec 5<> lock-in 6<> lock-out
  timeout 60 python3 lock.py "$@" < lock-in > lock-out 2>&1 5>&- 6<&- &
  locker=$!
  # The shell then keeps only this end for writing open.
  exec 9> lock-in 5>&- 5>&9 9>&-
  read -r -t 20 -u 6 text
  exec 6<&-
  [ "$text" = locked ]
}

# locked KIND START LENGTH WRITER: expects WRITER while such a lock is held on
# an image that is in use.
locked ()
{
  local name="a $1 lock of $3 bytes at $2"

  if ! lock image.qcow2 "$1" "$2" "$3"; then
    skip "$name" 'the file system does not support such locks'
    unlock
    return
  fi
  expect_writer "$name" image.qcow2 "$4"
  if [ "$4" = true ]; then
    expect_state "$name" image.qcow2 'in-use (writer present)' in-use+writer
  else
    expect_state "$name" image.qcow2 in-use in-use
  fi
  unlock
}

image in-use
cp "$image" image.qcow2
image two-bitmaps
expect_writer 'no lock' image.qcow2 false
expect_state 'no lock' image.qcow2 in-use in-use

if command -v python3 > /dev/null; then
  # Byte 100 plus the number of the permission; the one for writing is 1.
  locked read 101 1 true
  locked write 101 1 true
  locked read 100 1 false
  locked read 102 1 false
  # From 200 on: permissions that the owner does not share.
  locked read 201 1 false
  locked read 0 101 false
  locked read 102 400 false
  locked read 100 104 true
  locked write 0 0 true
  locked write 50 0 true
  # A reader's lock of the whole file or the rest of it, which may hide a
  # writer's lock.
  locked read 0 0 null
  locked read 0 400 null
  locked read 50 0 null

  # The writer is a property of the image, whatever command is run.
  cp two-bitmaps.qcow2 sound.qcow2
  if lock sound.qcow2 read 101 1; then
    for command in header extensions bitmaps bitmap-table dump; do
      for output in json jsonl; do
        tool $command --output=$output sound.qcow2
        check "$command --output=$output shows the writer" \
          test "$status.$(jq -c .writer "$out")" = 0.true
      done
    done
    tool bitmaps --index 0 sound.qcow2
    check 'a bitmap that is not in use: its state' \
      grep -qx 'state                     enabled' "$out"
    tool bitmaps --list sound.qcow2
    check 'a bitmap that is not in use: its row' \
      grep -q '^ *0 enabled  *64K ' "$out"
    tool bitmaps --output=jsonl two-bitmaps.qcow2 sound.qcow2 two-bitmaps.qcow2
    check 'one of several images' \
      test "$(jq -c .writer "$out" | tr '\n' ' ')" = 'false true false '
  fi
  unlock

  # A stale or damaged bitmap keeps its state.
  for name in autoclear-clear-in-use entry-ones-and-offset; do
    image $name
    tool bitmaps "$image"
    cp "$out" before
    if lock "$image" read 101 1; then
      tool bitmaps "$image"
      check "$name: a writer changes no other state" cmp -s before "$out"
    fi
    unlock
  done
else
  skip 'locks' 'python3 is not installed'
fi
tool bitmaps --output=jsonl missing
check 'a missing image: writer is null' \
  test "$status.$(jq -c .writer "$out")" = 1.null

# The numbers that statfs (2) returns for file systems on which a writer may go
# undetected (FUSE, NFS, SMB, CIFS, 9P, Ceph, AFS, GFS2, OCFS2, Lustre and
# GPFS), and for two local ones (ext4 and XFS).
cat > statfs.c << 'END'
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

int
fstatfs (int fd, struct statfs *fs)
{
  (void) fd;
  memset (fs, 0, sizeof *fs);
  fs->f_type = strtoul (getenv ("FS_TYPE"), NULL, 16);
  return 0;
}

int
fstatfs64 (int fd, struct statfs64 *fs)
{
  return fstatfs (fd, (struct statfs *) fs);
}
END
# shellcheck disable=SC2086 # CC may be several words
if [ -z "${QCOW2TOOL_SANITIZED-}" ] \
    && ${CC:-cc} -shared -fPIC -o statfs.so statfs.c 2> log; then
  for type in 65735546 6969 517b ff534d42 fe534d42 1021997 c36400 5346414f \
      1161970 7461636f bd00bd0 47504653; do
    LD_PRELOAD=$PWD/statfs.so FS_TYPE=$type \
      expect_writer "file system 0x$type" two-bitmaps.qcow2 null
  done
  for type in ef53 58465342; do
    LD_PRELOAD=$PWD/statfs.so FS_TYPE=$type \
      expect_writer "file system 0x$type" two-bitmaps.qcow2 false
  done
  if command -v python3 > /dev/null && lock image.qcow2 read 101 1; then
    LD_PRELOAD=$PWD/statfs.so FS_TYPE=6969 \
      expect_writer 'a lock that is visible on NFS' image.qcow2 true
  fi
  unlock
else
  skip 'file systems' 'no library can be loaded before the program'
fi

# A loop device, the file that it uses, and another node of the same device.
cp two-bitmaps.qcow2 below.qcow2
truncate -s 64M below.qcow2
device=$(losetup --find --show below.qcow2 2> log)
if [ -n "$device" ]; then
  on_exit "losetup -d $device"
  expect_writer 'a loop device' "$device" null
  if [ -r /proc/partitions ] && [ -d /sys/block ]; then
    expect_writer 'the file of a loop device' below.qcow2 null
  else
    skip 'the file of a loop device' '/proc or /sys is not mounted'
  fi
  expect_writer 'another file' two-bitmaps.qcow2 false
else
  skip 'a loop device' "$(head -n 1 log)"
fi

# The kernel or the file system cannot report locks; everything else is
# unchanged.  A program that measures coverage locks its counters with the same
# call, which has two names where a long has 32 bits.
calls='fcntl,?fcntl64'
if [ -n "$few" ]; then
  skip 'cannot tell' 'the program runs under a wrapper or a sanitizer'
elif [ -n "$(find "$builddir/src" -name '*.gcno' -print -quit)" ]; then
  skip 'cannot tell' 'the program measures coverage'
elif ! strace -f -o log -e trace="$calls" true > /dev/null 2>&1; then
  skip 'cannot tell' 'strace cannot be used'
else
  tool bitmaps image.qcow2
  cp "$out" before
  for error in EINVAL ENOLCK ENOSYS; do
    # shellcheck disable=SC2086 # it may be several words
    strace -f -o log -e trace="$calls" -e inject="$calls:error=$error" \
      $QCOW2TOOL bitmaps --output=jsonl image.qcow2 > "$out" 2> "$err"
    status=$?
    check "$error: the query fails" grep -q 'F_OFD_GETLK.*INJECTED' log
    check "$error: writer is null" \
      test "$status.$(jq -c .writer "$out").$(wc -c < "$err")" = 0.null.0
    # shellcheck disable=SC2086
    strace -f -o log -e trace="$calls" -e inject="$calls:error=$error" \
      $QCOW2TOOL bitmaps image.qcow2 > "$out" 2> "$err"
    status=$?
    expect_answer "$error: the state is in-use" < before
  done

  # shellcheck disable=SC2086
  strace -f -o log -e trace="$calls,flock" \
    $QCOW2TOOL dump --output=jsonl image.qcow2 > "$out" 2> "$err"
  check 'the query is for a write lock on byte 101' \
    grep -q 'F_OFD_GETLK, {l_type=F_[A-Z]*LCK, .*l_start=101, l_len=1' log
  check 'the program takes no lock' test "$(grep -cE 'SETLK|flock' log)" = 0
fi

# QEMU itself.

for program in qemu-img qemu-io; do
  if ! command -v $program > /dev/null; then
    skip 'writers of QEMU' "$program is not installed"
    done_testing
  fi
done

quietly ()
{
  timeout 60 "$@" > qemu.log 2>&1
}

# create IMAGE: creates an image with a bitmap b0.
create ()
{
  if ! quietly qemu-img create -f qcow2 "$1" 4M \
    || ! quietly qemu-img bitmap --add "$1" b0; then
    fail "qemu-img makes $1" "$(cat qemu.log)"
  fi
}

holder=
holder_job=

# ask COMMAND ANSWER: sends COMMAND to the qemu-io of hold () and waits for
# ANSWER. qemu-io reads one command at a time, so each answer must be awaited.
ask ()
{
  local text

  echo "$1" >&7
  while read -r -t 20 -u 8 text; do
    case $text in
      *"$2"*) return 0 ;;
      *rror* | *annot* | *ould*not*) return 1 ;;
    esac
  done
  return 1
}

# hold IMAGE OPTION...: starts a qemu-io that keeps IMAGE open until it is let
# go or killed, for at most a minute.  It probes the format unless an option
# names it.
hold ()
{
  local image=$1

  shift
  rm -f commands answers
  mkfifo commands answers
  # For reading as well, because then opening does not block.
  exec 7<> commands 8<> answers
  # shellcheck disable=SC2016
  timeout 60 bash -c 'echo "$$"; exec qemu-io "$@"' bash "$@" \
    "$image" < commands > answers 2>&1 7>&- 8>&- &
  holder_job=$!
  read -r -t 20 -u 8 holder || return
  ask 'read 0 512' 'read 512/512 bytes'
}

kill_holder ()
{
  [ -n "$holder" ] || return
  kill -KILL "$holder" 2> /dev/null
  wait "$holder_job" 2> /dev/null
  holder=
  exec 7>&- 8<&-
}
on_exit kill_holder

let_go ()
{
  echo quit >&7
  wait "$holder_job"
  holder=
  exec 7>&- 8<&-
}

create live.qcow2
if hold live.qcow2; then
  expect_writer 'qemu-io' live.qcow2 true
  expect_state 'qemu-io' live.qcow2 'in-use (writer present)' in-use+writer
  tool bitmaps --list live.qcow2
  # 4 MiB in granules of 64 KiB: one entry, without data.
  expect_answer 'qemu-io: the list' << 'END'
INDEX STATE         GRANULARITY DIRTY DIRTY% DISK NAME
    0 in-use+writer         64K     -      -  64K b0
END
  tool bitmap-map --name=b0 live.qcow2
  expect_refusal 'qemu-io: bitmap-map' 2 "*bitmap 0 'b0': in use by a writer*"
  check 'qemu-io: it still runs' kill -0 "$holder"
  check 'qemu-io: it can write' ask 'write 0 64k' 'wrote 65536/65536'
  let_go
  expect_writer 'qemu-io that has ended' live.qcow2 false
  tool bitmaps --field=state --name=b0 live.qcow2
  expect_answer 'qemu-io that has ended: the state' <<< enabled
else
  fail 'qemu-io holds an image' "$holder"
  kill_holder
fi

create killed.qcow2
if hold killed.qcow2; then
  kill_holder
  expect_writer 'qemu-io that was killed' killed.qcow2 false
  expect_state 'qemu-io that was killed' killed.qcow2 in-use in-use
  tool bitmap-map --name=b0 killed.qcow2
  expect_refusal 'qemu-io that was killed: bitmap-map' 2 \
    "*bitmap 0 'b0': in use: *"
else
  fail 'qemu-io holds an image to be killed'
  kill_holder
fi

if hold live.qcow2 -r; then
  expect_writer 'qemu-io that reads' live.qcow2 false
  tool bitmaps --list live.qcow2
  check 'qemu-io that reads: the row' \
    test "$(awk 'NR == 2 { print $2 }' "$out")" = enabled
  let_go
else
  fail 'qemu-io holds an image for reading'
  kill_holder
fi

# After the writer was killed, a reader does not count as a writer.
if hold killed.qcow2 -r; then
  expect_writer 'a reader after a killed writer' killed.qcow2 false
  expect_state 'a reader after a killed writer' killed.qcow2 in-use in-use
  let_go
else
  fail 'qemu-io holds the image of a killed writer for reading'
  kill_holder
fi

# A writer that takes no locks cannot be detected; the man page says so.
create unlocked.qcow2
if hold "driver=qcow2,file.filename=unlocked.qcow2,file.locking=off" \
  --image-opts; then
  expect_writer 'a writer without locks' unlocked.qcow2 false
  expect_state 'a writer without locks' unlocked.qcow2 in-use in-use
  let_go
else
  fail 'qemu-io holds an image without locks'
  kill_holder
fi

# qemu-storage-daemon, which exports images.
daemon=

end_daemon ()
{
  [ -n "$daemon" ] || return
  kill -TERM "$daemon" 2> /dev/null
  wait "$daemon" 2> /dev/null
  daemon=
}
on_exit end_daemon

# start_daemon IMAGE READ-ONLY WRITABLE: starts the daemon and waits until it
# has opened the image.  READ-ONLY and WRITABLE are on or off, and opposites.
start_daemon ()
{
  rm -f pid
  timeout 60 qemu-storage-daemon --pidfile pid \
    --blockdev "driver=file,node-name=file,filename=$1,read-only=$2" \
    --blockdev "driver=qcow2,node-name=disk,file=file,read-only=$2" \
    --nbd-server addr.type=unix,addr.path=socket \
    --export "type=nbd,id=export,node-name=disk,writable=$3" \
    > qemu.log 2>&1 &
  daemon=$!
  wait_until "$daemon" test -s pid
}

if ! command -v qemu-storage-daemon > /dev/null; then
  skip 'qemu-storage-daemon' 'it is not installed'
else
  create exported.qcow2
  if start_daemon exported.qcow2 off on; then
    expect_writer 'qemu-storage-daemon' exported.qcow2 true
    expect_state 'qemu-storage-daemon' exported.qcow2 \
      'in-use (writer present)' in-use+writer
  else
    fail 'qemu-storage-daemon' "$(cat qemu.log)"
  fi
  end_daemon
  expect_writer 'qemu-storage-daemon that has ended' exported.qcow2 false
  if start_daemon exported.qcow2 on off; then
    expect_writer 'qemu-storage-daemon that reads' exported.qcow2 false
  else
    fail 'qemu-storage-daemon that reads' "$(cat qemu.log)"
  fi
  end_daemon
fi

# Reading an image disturbs no other program.

# Output that is not read keeps the image open: the table has 16384 rows, and a
# pipe holds 1 MiB.
if quietly qemu-img create -f qcow2 -o cluster_size=512 large.qcow2 32G &&
    quietly qemu-img bitmap --add -g 512 large.qcow2 b0; then
  mkfifo rows
  exec 7<> rows
  # shellcheck disable=SC2086 # it may be several words
  timeout 60 $QCOW2TOOL bitmap-table --output=jsonl large.qcow2 > rows 7>&- &
  reader=$!
  # After one byte, the image is open and most of the rows are not written.
  read -r -t 20 -n 1 -u 7
  for ((i = 0; i < 5; i++)); do
    quietly qemu-io -f qcow2 -c 'write 0 64k' large.qcow2
    check 'the image can be opened for writing while qcow2tool has it open' \
      test $? = 0
  done
  check 'qcow2tool had the image open meanwhile' kill -0 "$reader"
  kill "$reader" 2> /dev/null
  wait "$reader" 2> /dev/null
  exec 7<&-
else
  fail 'qemu-img makes a large table' "$(cat qemu.log)"
fi

# The program runs in a loop while others open the image, and none of them is
# refused.  Its output may be inconsistent, because the image changes
# meanwhile.
looker=

end_looker ()
{
  [ -n "$looker" ] || return
  kill "$looker" 2> /dev/null
  wait "$looker" 2> /dev/null
  looker=
}
on_exit end_looker

create busy.qcow2
(
  trap - EXIT
  for ((i = 0; i < 100000; i++)); do
    tool dump --output=jsonl busy.qcow2
    # Status 1 with FILE-08 is correct for an image that changed meanwhile.
    if [ "$status" = 1 ] && grep -q 'FILE-08\]$' "$err"; then
      status=0
    fi
    echo "$status" >> rounds
  done
) &
looker=$!
wait_until "$looker" test -s rounds
refused=
for ((i = 0; i < 20; i++)); do
  quietly qemu-io -f qcow2 -c "write $((i * 64))k 64k" busy.qcow2 \
    || refused+="$(cat qemu.log) "
done
end_looker
check "no writer was refused: '$refused'" [ -z "$refused" ]
check 'qcow2tool was reading meanwhile' [ -s rounds ]
check 'qcow2tool was never refused' test "$(grep -cv '^[02]$' rounds)" = 0

# The program does not wait while another process holds the byte that it
# queries.
if hold live.qcow2; then
  # shellcheck disable=SC2086 # it may be several words
  timeout 120 $QCOW2TOOL dump live.qcow2 > "$out" 2> "$err"
  status=$?
  expect 'the program does not wait for a lock' 0
  let_go
fi

done_testing
