#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# --backing-chain and --root: which files are opened, and what the bitmaps of
# several layers say together.  The rules for names were found by running
# qemu-img 7.2.  interop-layers.sh compares with programs of QEMU.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3 jq

cd "$tmp" || exit 1
mkdir -p sub/deep elsewhere

# layer FILE BACKING FORMAT BITMAP...: writes an image of 1 MiB with clusters of
# 64 KiB.  BACKING and FORMAT may be empty.  A bitmap is NAME:FLAGS:GRANULES:
# the bits of these granules, of 64 KiB, are set.  After + follows another
# image.
layer ()
{
  python3 - "$@" << 'END'
import struct
import sys

KIB64 = 1 << 16


def write(path, backing, form, *bitmaps):
    clusters = 4 + 2 * len(bitmaps) + 1
    data = bytearray(clusters * KIB64)
    extensions = b''
    if form:
        form = form.encode()
        extensions += struct.pack('>II', 0xe2792aca, len(form))
        extensions += form + bytes(-len(form) % 8)
    directory = b''
    for i, bitmap in enumerate(bitmaps):
        name, flags, granules = bitmap.rsplit(':', 2)
        table = (4 + 2 * i) * KIB64
        bits = sum(1 << int(n) for n in granules.split(',') if n)
        data[table:table + 8] = struct.pack('>Q', table + KIB64)
        data[table + KIB64:table + KIB64 + 2] = struct.pack('<H', bits)
        entry = struct.pack('>QIIBBHI', table, 1, int(flags), 1, 16,
                            len(name), 0)
        entry += name.encode()
        directory += entry + bytes(-len(entry) % 8)
    if bitmaps:
        start = (clusters - 1) * KIB64
        data[start:start + len(directory)] = directory
        extensions += struct.pack('>IIIIQQ', 0x23852875, 24, len(bitmaps), 0,
                                  len(directory), start)
    extensions += bytes(8)
    backing = backing.encode('utf-8', 'surrogateescape')
    offset = 104 + len(extensions) if backing else 0
    header = struct.pack('>4sIQIIQIIQQIIQQQQII', b'QFI\xfb', 3, offset,
                         len(backing), 16, 1 << 20, 0, 1, 3 * KIB64, KIB64, 1,
                         0, 0, 0, 0, 1 if bitmaps else 0, 4, 104)
    head = header + extensions + backing
    data[:len(head)] = head
    data[KIB64:KIB64 + 8] = struct.pack('>Q', 2 * KIB64)
    for i in range(clusters):
        data[2 * KIB64 + 2 * i:2 * KIB64 + 2 * i + 2] = b'\0\1'
    with open(path, 'wb') as file:
        file.write(data)


words = []
for word in sys.argv[1:] + ['+']:
    if word != '+':
        words.append(word)
    else:
        write(*words)
        words = []
END
}

# expect_layers NAME FILE...: the layers of the last run, by their file names;
# those that are not shown have a minus before them.
expect_layers ()
{
  local name=$1

  shift
  jq -r '.layers[] | (if .error then "-" else "" end) + .filename' "$out" \
    > "$tmp/found"
  printf '%s\n' "$@" | expect_same "$name" - "$tmp/found"
}

# names_lead NAME BACKING FILE...: a file with this backing file name is the
# overlay of these layers.  The results come with compare_names: one process
# reads all answers.
names_lead ()
{
  local backing=$2

  printf '%s\n' "$1" >> names
  layer sub/top.qcow2 "$backing" qcow2
  tool bitmaps --backing-chain --output=jsonl sub/top.qcow2
  cat "$out" >> answers
  shift 2
  printf ' %s' sub/top.qcow2 "$@" >> expected
  echo >> expected
}

compare_names ()
{
  local name ours theirs

  jq -r '[.layers[] | " " + (if .error then "-" else "" end) + .filename]
    | add' answers > found
  paste -d '\n' names expected found \
    | while IFS= read -r name && IFS= read -r theirs && IFS= read -r ours; do
      check "$name" test "$ours" = "$theirs"
    done
}

layer sub/deep/base.qcow2 '' ''
layer sub/mid.qcow2 deep/base.qcow2 qcow2
layer 'sub/a:b.qcow2' '' ''
rest=(sub/mid.qcow2 sub/deep/base.qcow2)

names_lead 'name: relative to the overlay' mid.qcow2 "${rest[@]}"
names_lead 'name: nothing is normalised' ../sub//mid.qcow2 \
  sub/../sub//mid.qcow2 sub/../sub//deep/base.qcow2
names_lead 'name: absolute' "$tmp/sub/mid.qcow2" "$tmp/sub/mid.qcow2" \
  "$tmp/sub/deep/base.qcow2"
names_lead 'name: file:' file:sub/mid.qcow2 "${rest[@]}"
names_lead 'name: file: with slashes' "file://$tmp/sub/mid.qcow2" \
  "//$tmp/sub/mid.qcow2" "//$tmp/sub/deep/base.qcow2"
names_lead 'name: a colon after a slash' './a:b.qcow2' 'sub/./a:b.qcow2'
names_lead 'name: a colon before any slash' 'a:b.qcow2' '-a:b.qcow2'
names_lead 'name: nbd' nbd:unix:/nosuch '-nbd:unix:/nosuch'
names_lead 'name: host_device' host_device:sub/mid.qcow2 \
  -host_device:sub/mid.qcow2
while IFS='|' read -r json shown; do
  case $shown in
    yes) names_lead "name: $json" "$json" "${rest[@]}" ;;
    base) names_lead "name: $json" "$json" sub/deep/base.qcow2 ;;
    *) names_lead "name: $json" "$json" "-$json" ;;
  esac
done << 'END'
json:{"driver":"qcow2","file":{"driver":"file","filename":"sub/mid.qcow2"}}|yes
json:{"driver": "qcow2", "file.driver": "file", "file.filename": "sub/mid.qcow2"}|yes
json:{"file":{"filename":"sub/mid.qcow2"}}|yes
json:{'driver':'qcow2','file.filename':'sub/mid.qcow2'}|yes
json:{"driver":"file","filename":"sub/mid.qcow2"}|yes
json:{"driver":"qcow2","read-only":true,"node-name":"x","file.filename":"sub/mid.qcow2"}|yes
json:{"file.filename":"sub\/\u006did.qcow2"}|yes
json:{"driver":"qcow2","file":{"driver":"host_device","filename":"sub/mid.qcow2"}}|yes
json:{"file.driver":"file","file.filename":"sub/deep/base.qcow2"}|base
json:{"driver":"qcow2","file":{"driver":"nbd","path":"/nosuch"}}|no
json:{"driver":"qcow2","file":{"driver":"raw","file":{"driver":"file","filename":"sub/mid.qcow2"}}}|no
json:{"file":{"filename":"sub/mid.qcow2"},"file.filename":"top.qcow2"}|yes
json:{"file.filename":"top.qcow2","file":{"filename":"sub/mid.qcow2"}}|yes
json:{"file":{"filename":"sub/mid.qcow2","filename":"sub/mid.qcow2"}}|no
json:{"driver":"qcow2","file.filename":"sub/mid.qcow2","driver":"qcow2"}|no
json:{"driver":"qcow2","backing":null,"file.filename":"sub/mid.qcow2"}|no
json:{"driver":"qcow2","backing":"","file.filename":"sub/mid.qcow2"}|no
json:{"driver":"qcow2","data-file":{"filename":"x"},"file.filename":"sub/mid.qcow2"}|no
json:{"driver":"raw","offset":512,"file.filename":"sub/mid.qcow2"}|no
json:{"driver":"qcow2","file":"node0"}|no
json:{"file.filename":"sub/mid.qcow2"|no
json:{"file.filename":"sub/mid.qcow2"}x|no
json:{"file.filename":7}|no
json:{"file.filename":"sub/mid.qcow2",}|no
json:{"file.filename":"sub/mid\u0000.qcow2"}|no
json:{"file.filename":"sub/\ud800.qcow2"}|no
json:{"a":{"a":{"a":{"a":{"a":{"a":1}}}}},"file.filename":"sub/mid.qcow2"}|no
json:[]|no
json:|no
END

# Joined with the folder of its overlay, a name may have a protocol after all.
mkdir c:d
layer c:d/top.qcow2 base.qcow2 qcow2
layer c:d/base.qcow2 '' ''
tool bitmaps --backing-chain --output=json c:d/top.qcow2
expect_layers 'name: a colon in the folder' c:d/top.qcow2 -c:d/base.qcow2
tool bitmaps --backing-chain --output=json ./c:d/top.qcow2
expect_layers 'name: a colon in a folder after a slash' ./c:d/top.qcow2 \
  ./c:d/base.qcow2

# A file name within JSON has no protocol.
names_lead 'name: a colon within json:' \
  'json:{"file.filename":"sub/../sub/a:b.qcow2"}' 'sub/../sub/a:b.qcow2'
names_lead 'name: no protocol within json:' \
  'json:{"file.filename":"file:sub/mid.qcow2"}' '-file:sub/mid.qcow2'

compare_names

# The format that the overlay states counts before the driver of a json: name:
# what a guest wrote to a raw disk names no layer.
layer sub/top.qcow2 'json:{"driver":"qcow2","file.filename":"sub/mid.qcow2"}' \
  raw
tool bitmaps --backing-chain --output=json sub/top.qcow2
expect_layers 'format: raw, and qcow2 within json:' sub/top.qcow2 \
  -sub/mid.qcow2
layer sub/top.qcow2 'json:{"driver":"raw","file.filename":"sub/mid.qcow2"}' \
  qcow2
tool bitmaps --backing-chain --output=json sub/top.qcow2
expect_layers 'format: qcow2, and raw within json:' sub/top.qcow2 "${rest[@]}"

# Without a stated format, the driver of the file itself means a raw disk.
layer sub/top.qcow2 'json:{"driver":"file","filename":"sub/mid.qcow2"}' ''
tool bitmaps --backing-chain --output=json sub/top.qcow2
expect_layers 'format: none, and file within json:' sub/top.qcow2 \
  -sub/mid.qcow2

# A backing file name that is a NUL is empty, as in QEMU.
layer sub/top.qcow2 x qcow2
python3 - << 'END'
with open('sub/top.qcow2', 'r+b') as file:
    data = file.read(512)
    file.seek(int.from_bytes(data[8:16], 'big'))
    file.write(b'\0')
END
tool bitmaps --backing-chain --output=json sub/top.qcow2
expect_layers 'name: a NUL' sub/top.qcow2

# One that cannot be read may be any.
layer sub/top.qcow2 mid.qcow2 qcow2
image=sub/top.qcow2
patch 16 00 00 04 00
tool bitmaps --backing-chain --output=json sub/top.qcow2
expect 'name: too long' 2
expect_layers 'name: too long' sub/top.qcow2 -

# Layers that cannot be shown.

layer sub/top.qcow2 nosuch.qcow2 qcow2
tool bitmaps --backing-chain --list sub/top.qcow2
expect 'missing' 2
expect_out 'missing: a row' << 'END'
LAYER INDEX STATE    GRANULARITY  DIRTY DIRTY%   DISK NAME
1         - error              -      -      -      - sub/nosuch.qcow2: cannot open: No such file or directory
END
expect_err 'missing: a message' << 'END'
PROG: sub/nosuch.qcow2: cannot open: No such file or directory
END
tool bitmaps --backing-chain nosuch.qcow2
expect_refusal 'the image itself is missing' 1 \
  'nosuch.qcow2: cannot open: No such file or directory'

# The rest of the chain must be shown although its end is not.
layer top.qcow2 sub/mid.qcow2 qcow2 b0:2:1
rm sub/deep/base.qcow2
tool bitmaps --backing-chain --output=json top.qcow2
expect 'a base is missing' 2
expect_layers 'a base is missing' top.qcow2 sub/mid.qcow2 -sub/deep/base.qcow2
layer sub/deep/base.qcow2 '' ''

# The reason is true for a file, too.
while read -r name reason; do
  layer sub/top.qcow2 "$name" qcow2
  tool info --backing-chain sub/top.qcow2
  expect_damage "not opened: $name" "$name: not opened: $reason"
done << 'END'
nbd:unix:/nosuch only files and block devices are
json:{"backing":null,"file.filename":"sub/mid.qcow2"} its json: name is invalid, or has options that are not supported
json:{"file.filename":"a","file.filename":"sub/mid.qcow2"} its json: name is invalid, or has options that are not supported
END

head -c 4096 /dev/zero > sub/raw.img
layer sub/top.qcow2 raw.img raw
tool bitmaps --backing-chain sub/top.qcow2
expect_damage 'another format' \
  'sub/raw.img: its overlay states another format than qcow2'
layer sub/top.qcow2 raw.img ''
tool bitmaps --backing-chain sub/top.qcow2
expect_damage 'no format, not qcow2' \
  'sub/raw.img: not a qcow2 image, and its overlay states no format'
layer sub/top.qcow2 mid.qcow2 raw
tool bitmaps --backing-chain --output=json sub/top.qcow2
expect_layers 'a raw disk that looks like qcow2' sub/top.qcow2 -sub/mid.qcow2
layer sub/top.qcow2 mid.qcow2 ''
tool bitmaps --backing-chain --output=json sub/top.qcow2
expect 'no format, looks like qcow2' 2
expect_layers 'no format, looks like qcow2' sub/top.qcow2 "${rest[@]}"
expect_err 'no format, looks like qcow2: a message' << 'END'
PROG: sub/mid.qcow2: looks like qcow2, but its overlay states no format: to guess it is unsafe, as a guest may have written that
END

mkfifo sub/fifo
mkdir sub/folder
for name in fifo folder; do
  layer sub/top.qcow2 "$name" qcow2
  # It must not wait for a writer.
  # shellcheck disable=SC2086 # QCOW2TOOL may be several words
  timeout 20 $QCOW2TOOL bitmaps --backing-chain sub/top.qcow2 > "$out" 2> "$err"
  status=$?
  expect "not a file: $name" 2
done

# info prints them as qemu-img prints other layers.
layer sub/top.qcow2 raw.img raw
tool info --backing-chain --output=json sub/top.qcow2
expect 'info: another format' 2
check 'info: another format' jq -e 'length == 2 and .[1]["virtual-size"] == 4096
  and .[1].format == "raw" and .[1].error != null and .[0].error == null' "$out"
tool info --backing-chain sub/top.qcow2
check 'info: another format, in text' test "$(tail -n 6 "$out" \
  | grep -v '^disk size')" = "
image: sub/raw.img
file format: raw
virtual size: 4 KiB (4096 bytes)
error: its overlay states another format than qcow2"
layer sub/top.qcow2 nosuch.qcow2 qcow2
tool info --backing-chain --output=jsonl sub/top.qcow2
check 'info: missing' jq -e '.[1] == {filename: "sub/nosuch.qcow2",
  format: "qcow2", error: "cannot open: No such file or directory"}' "$out"
tool info --backing-chain --root=sub/deep sub/top.qcow2
expect_refusal 'info: root' 1 \
  'sub/top.qcow2: is not in the directory of --root'

# Loops: by name, and by a link to the same file.

layer sub/top.qcow2 top.qcow2 qcow2
tool bitmaps --backing-chain sub/top.qcow2
expect_damage 'loop: itself' \
  'sub/top.qcow2: not opened: the chain is a loop, as this is the file of layer 0'
ln -s ../loop2.qcow2 sub/link.qcow2
layer loop2.qcow2 loop1.qcow2 qcow2
layer loop1.qcow2 sub/link.qcow2 qcow2
tool bitmaps --backing-chain loop2.qcow2
expect_damage 'loop: through a link' \
  'sub/link.qcow2: not opened: the chain is a loop, as this is the file of layer 0'

mkdir many
many=(many/0.qcow2 '' '')
for ((i = 1; i <= 200; i++)); do
  many+=(+ "many/$i.qcow2" "$((i - 1)).qcow2" qcow2)
done
layer "${many[@]}"
tool bitmaps --backing-chain --output=json many/199.qcow2
expect '200 layers' 0
check '200 layers: all are shown' jq -e '.layers | length == 200' "$out"
tool bitmaps --backing-chain many/200.qcow2
expect_damage '201 layers' \
  'many/0.qcow2: not opened: the chain has more than 200 layers'

# The bitmaps of a layer may be unknown although its header can be read.
layer top.qcow2 mid.qcow2 qcow2 b0:2:1 + mid.qcow2 '' '' b0:2:1
truncate -s 200000 mid.qcow2
for selection in '' '--name b0'; do
  # shellcheck disable=SC2086 # it may be several words
  tool bitmaps --backing-chain --list $selection top.qcow2
  expect "unknown bitmaps: --list $selection" 2
  expect_out "unknown bitmaps: --list $selection: a row" << 'END'
LAYER INDEX STATE    GRANULARITY  DIRTY DIRTY%   DISK NAME
0         0 enabled          64K    64K   6.2%   128K b0
1         - error              -      -      -      - mid.qcow2: its bitmaps cannot be known: see qcow2tool check
END
done

# --root.

mkdir -p jail/sub
layer outside.qcow2 '' ''
layer jail/base.qcow2 '' ''
ln -s ../outside.qcow2 jail/out.qcow2
ln -s ../jail jail/around
# root NAME STATUS BACKING
root ()
{
  layer jail/sub/top.qcow2 "$3" qcow2
  tool bitmaps --backing-chain --root=jail jail/sub/top.qcow2
  expect "root: $1" "$2"
}
root 'inside' 0 ../base.qcow2
root 'inside, by an absolute name' 0 "$tmp/jail/base.qcow2"
root 'inside, through links' 0 ../around/base.qcow2
root 'inside, by a way outside' 0 ../../jail/base.qcow2
root 'outside' 1 ../../outside.qcow2
expect_err 'root: outside: the message' << 'END'
PROG: jail/sub/../../outside.qcow2: is not in the directory of --root
END
root 'outside, by an absolute name' 1 "$tmp/outside.qcow2"
root 'outside, by a link' 1 ../out.qcow2
root 'a protocol' 1 nbd:unix:/nosuch
root 'file:' 1 "file:jail/base.qcow2"
expect_err 'root: file: the message' << 'END'
PROG: jail/base.qcow2: not opened: its name has a protocol
END
root 'json: inside' 1 'json:{"file.filename":"jail/base.qcow2"}'
root 'json: outside' 1 'json:{"file.filename":"outside.qcow2"}'
root 'missing' 2 nosuch.qcow2
mkdir jail2
layer jail2/base.qcow2 '' ''
root 'a name with the same beginning' 1 "$tmp/jail2/base.qcow2"
layer top.qcow2 jail/base.qcow2 qcow2
tool bitmaps --backing-chain --root=jail top.qcow2
expect_refusal 'root: the image itself is outside' 1 \
  'top.qcow2: is not in the directory of --root'
tool bitmaps --backing-chain --root=/ top.qcow2
expect 'root: all of the file system' 0
tool bitmaps --backing-chain --root=nosuch top.qcow2
expect_usage 'root: no such directory' bitmaps \
  "--root: 'nosuch': cannot open: No such file or directory"
tool bitmaps --root=jail top.qcow2
expect_usage 'root: alone' bitmaps '--root goes with --backing-chain'

# The rule for chains of bitmaps.  ON is enabled, OFF disabled, and USE is in
# use and enabled.
on=2 off=0 use=3

# chain NAME STATUS BITMAP...: the layers from the top have these bitmaps, or
# none where BITMAP is a minus.
chain ()
{
  local name=$1 expected=$2 i below='' form='' words=()

  shift 2
  for ((i = $#; i > 0; i--)); do
    words+=(${below:++} "l$((i - 1)).qcow2" "$below" "$form")
    [ "${!i}" = - ] || words+=("${!i}")
    below=l$((i - 1)).qcow2 form=qcow2
  done
  layer "${words[@]}"
  tool bitmaps --backing-chain --name b0 --is valid l0.qcow2
  expect "chain: $name" "$expected"
}

chain 'alone in the top' 0 "b0:$on:1"
chain 'disabled' 2 "b0:$off:1"
chain 'in use' 2 "b0:$use:1"
chain 'only in a deeper layer' 2 - "b0:$on:1"
chain 'layers 0, 1 and 3' 2 "b0:$on:1" "b0:$on:2" - "b0:$on:3"
tool bitmaps --backing-chain --name b0 --output=json l0.qcow2
check 'chain: JSON says which layer and why' jq -e '.chains == [{
  name: "b0", valid: false, layers: 2, layer: 3,
  reason: "layer 2 has no such bitmap, but layer 3, below it, does"}]' "$out"
chain 'layers 0 to 4' 0 "b0:$on:1" "b0:$on:2" "b0:$on:3" "b0:$on:" "b0:$on:5" -
tool bitmaps --backing-chain --name b0 --output=json l0.qcow2
check 'chain: JSON of a valid one' jq -e '.chains == [{
  name: "b0", valid: true, layers: 5, layer: null, reason: null}]' "$out"
tool bitmaps --backing-chain --name b0 l0.qcow2
tail -n 5 "$out" | expect_same 'chain: a block of its own after the layers' - \
  <(printf '%s\n' 'image: l5.qcow2' '' "chain of bitmap           'b0'" \
    'valid                     true' 'layers                    5')
tool bitmap-map --backing-chain --name b0 l0.qcow2
expect_answer 'union' << 'END'
         0       65536    0  clean
     65536      196608    1  dirty
    262144       65536    0  clean
    327680       65536    1  dirty
    393216      655360    0  clean
END
tool bitmap-map --backing-chain --name b0 --totals --output=json l0.qcow2
check 'union: totals' jq -e 'map(.size) == [786432, 262144]' "$out"
tool bitmap-map --backing-chain --name b0 --contains=64K l0.qcow2
expect 'union: contains' 0
tool bitmap-map --backing-chain --name b0 --contains=0+64K l0.qcow2
expect 'union: contains not' 2
chain 'a lower one is disabled' 2 "b0:$on:1" "b0:$off:2"
tool bitmap-map --backing-chain --name b0 l0.qcow2
expect_damage 'union: no chain' \
  "l0.qcow2: bitmap 'b0': no chain: layer 1: the bitmap is disabled, not enabled"
chain 'a lower one is in use' 2 "b0:$on:1" "b0:$use:2"
chain 'none has it' 3 - -
tool bitmap-map --backing-chain --name b0 l0.qcow2
expect 'union: none has it' 3
# A layer has a verdict, whether it has the bitmap or not.
chain 'the top does not have it' 2 - "b0:$on:1" -
tool bitmaps --backing-chain --name b0 --output=json l0.qcow2
check 'layers without the bitmap have a verdict' jq -e '[.layers[]
  | [.qemu, (.bitmaps | length)]] == [["opens", 0], ["opens", 1],
  ["opens", 0]]' "$out"
tool bitmaps --name b1 --output=jsonl l0.qcow2 l1.qcow2
check 'images without the bitmap have a verdict' jq -es 'map ([.qemu, .bitmaps,
  .error.code]) == [["opens", null, "not-found"], ["opens", null,
  "not-found"]]' "$out"
image=l0.qcow2
patch 72 80
tool bitmaps --name b1 --output=jsonl l0.qcow2
check 'a refused image without the bitmap' jq -e '.qemu == "refuses"' "$out"

chain 'the other name' 2 "b1:$on:1" "b0:$on:1"

# A directory that breaks off may have any bitmap in its rest.
chain 'before the directory breaks off' 0 "b0:$on:1" "b1:$on:1"
image=l1.qcow2
tool bitmaps --index=0 --field=file_offset "$image"
patch $(($(cat "$out") + 20)) 00001000
tool bitmaps --backing-chain --name b0 --output=json l0.qcow2
check 'a directory that breaks off: JSON' jq -e '[.layers[]
  | [(.bitmaps | length), .error.code]] == [[1, null], [0, "corrupt"]]
  and .layers[1].bitmaps == null' "$out"
tool bitmaps --backing-chain --list --name b0 l0.qcow2
check 'a directory that breaks off: the list' grep -q \
  '^1 .* error .*cannot be read to its end: see qcow2tool check$' "$out"
tool bitmaps --name b0 --is enabled l1.qcow2
expect 'a directory that breaks off: no answer' 1
tool bitmaps --backing-chain --name b0 --is valid l1.qcow2
expect 'a directory that breaks off: no answer about the chain' 1

# A stale bitmap does not know what was written since.
chain 'before it is stale' 0 "b0:$on:1" "b0:$on:2"
image=l1.qcow2
patch 95 00
tool bitmaps --backing-chain --name b0 --is valid l0.qcow2
expect 'chain: a stale bitmap' 2

# A layer that QEMU refuses: incompatible bit 63.
chain 'before it is refused' 0 "b0:$on:1" "b0:$on:2" -
image=l2.qcow2
patch 72 80
tool bitmaps --backing-chain --name b0 --is valid l0.qcow2
expect 'chain: QEMU refuses a layer' 2

# It may have the only bitmap, and damage may hide which ones it has.
chain 'only a deeper one has it' 2 - - "b0:$on:1"
patch 72 80
tool bitmaps --backing-chain --name b0 --is valid l0.qcow2
expect 'chain: QEMU refuses the layer with the bitmap' 2
patch 20 00000008
for arguments in 'bitmaps --is valid' bitmap-map; do
  # shellcheck disable=SC2086 # it may be several words
  tool $arguments --backing-chain --name b0 l0.qcow2
  expect_refusal "$arguments: a layer may have the bitmap" 1 \
    'l0.qcow2: *layer 2: its bitmaps cannot be known: see qcow2tool check'
done

# Without a layer there is no answer, even far below.
chain 'before the base is missing' 0 "b0:$on:1" - - -
rm l3.qcow2
tool bitmaps --backing-chain --name b0 --is valid l0.qcow2
expect_refusal 'chain: the base is missing' 1 \
  'l0.qcow2: layer 3: cannot open: No such file or directory'
tool bitmap-map --backing-chain --name b0 l0.qcow2
expect 'union: the base is missing' 1
check 'union: the base is missing: no output' test ! -s "$out"
tool bitmaps --backing-chain --name b0 --output=json l0.qcow2
check 'chain: JSON without an answer' jq -e '.chains[0].valid == null' "$out"

# Damage on the way to the directory damages all bitmaps: the answer must be
# that of the state.
image file-ends-in-last-head
tool bitmaps --backing-chain --name bm0 --is valid "$image"
expect 'chain: damage before the directory' 2
tool bitmaps --backing-chain --name bm0 --output=json "$image"
check 'chain: damage before the directory: JSON' jq -e \
  '.layers[0].bitmaps[0].state == "damaged" and (.chains[0].valid | not)' \
  "$out"

# A raw base has no bitmaps.
layer l0.qcow2 sub/raw.img raw "b0:$on:1"
tool bitmaps --backing-chain --name b0 --is valid l0.qcow2
expect 'chain: a raw base' 0

# After a failed read, a layer is in its place in the list, with the error.
# reads_fail LAYER: all reads of LAYER fail after the first N, for each N.
reads_fail ()
{
  local n wrong='' errors=0 output

  for ((n = 1; n < 100; n++)); do
    for output in json text; do
      rm -f met
      LD_PRELOAD=$tmp/fault-shim.so FAULT_FILE=$1 FAULT_KIND=eio \
        FAULT_FIRST=$n FAULT_LAST=1000 FAULT_LOG=met \
        tool info --backing-chain --output=$output l0.qcow2
      [ -e met ] || break 2
      # Without the header of the image itself, there are no layers.
      [ -s "$out" ] || continue
      if [ $output = json ]; then
        jq -r '.[] | .filename, .error // empty' "$out" > found
      else
        sed -n 's/^error: //p; s/^image: //p' "$out" > found
      fi
      [ "$(grep -x 'l[0-9]\.qcow2' found | tr '\n' ' ')" \
        = 'l0.qcow2 l1.qcow2 ' ] || wrong="$wrong $n $output: $(< found);"
      [ "$status" = 0 ] && wrong="$wrong $n $output: status 0"
      grep -A 1 -x "$1" found | grep -q 'Input/output error' \
        && errors=$((errors + 1))
    done
  done
  check "info: reads of $1 that fail$wrong" \
    test -z "$wrong" -a "$errors" -gt 1 -a "$n" -lt 100
}

if [ -n "${QCOW2TOOL_SANITIZED-}" ] || [ -n "${QCOW2TOOL_SLOW-}" ]; then
  skip 'info: reads that fail' 'nothing can be loaded before the program'
else
  require_fault_shim
  layer l0.qcow2 l1.qcow2 qcow2 "b0:$on:1" + l1.qcow2 '' '' "b0:$on:1"
  reads_fail l0.qcow2
  reads_fail l1.qcow2

  # Some of these reads are of the header, others of the directory.
  for ((n = 4; n < 8; n++)); do
    LD_PRELOAD=$tmp/fault-shim.so FAULT_FILE=l1.qcow2 FAULT_KIND=eio \
      FAULT_FIRST=$n FAULT_LAST=1000 FAULT_LOG=met \
      tool bitmaps --backing-chain --list l0.qcow2
    check "bitmaps --list: reads of l1.qcow2 that fail: $n" \
      test "$(sed 1d "$out" | cut -c 1 | sort -u | tr -d '\n')" = 01
  done
fi

# Only --backing-chain opens what an image names.
if command -v strace > /dev/null && [ -z "$few" ] \
    && strace -o "$tmp/trace" true 2> /dev/null; then
  layer l1.qcow2 '' '' "b0:$on:2"
  layer l0.qcow2 l1.qcow2 qcow2 "b0:$on:1"
  text_ways | while read -r -a words; do
    # shellcheck disable=SC2086 # QCOW2TOOL may be several words
    strace -f -e trace=file,network -o "$tmp/trace" \
      $QCOW2TOOL "${words[@]}" l0.qcow2 > /dev/null 2>&1
    check "opens no other file: ${words[*]}" \
      test "$(grep -c 'l0\.qcow2' "$tmp/trace"),$(grep -c 'l1\.qcow2' \
        "$tmp/trace")" != "0,0" -a "$(grep -c 'l1\.qcow2' "$tmp/trace")" = 0
  done
  # shellcheck disable=SC2086 # QCOW2TOOL may be several words
  strace -f -e trace=network -o "$tmp/trace" $QCOW2TOOL bitmaps \
    --backing-chain l0.qcow2 > /dev/null
  check 'a chain causes no connection' test -z "$(grep '(' "$tmp/trace")"

  # reads LAYER WORDS: prints how often LAYER is read.
  reads ()
  {
    local layer=$1

    shift
    # shellcheck disable=SC2086 # QCOW2TOOL may be several words
    strace -f -P "$layer" -e trace=pread64 -o "$tmp/trace" $QCOW2TOOL "$@" \
      > /dev/null 2>&1
    grep -c pread64 "$tmp/trace"
  }
  for name in l0.qcow2 l1.qcow2; do
    alone=$(reads "$name" bitmaps --output=json "$name")
    check "$name is read alone" [ "$alone" -gt 0 ]
    for output in json text; do
      check "$name is read once: $output" [ "$(reads "$name" bitmaps \
        --backing-chain --output=$output l0.qcow2)" -le "$alone" ]
    done
  done
else
  skip 'opens no other file' 'strace is not installed, or cannot trace'
fi

# Usage.
while IFS='|' read -r words message; do
  # shellcheck disable=SC2086
  tool $words l0.qcow2
  expect_usage "usage: $words" "${words%% *}" "$message"
done << 'END'
bitmaps --is valid --name b0|--is valid needs --backing-chain and --name
bitmaps --is valid --backing-chain|--is valid needs --backing-chain and --name
bitmaps --backing-chain --names|--names does not go with --backing-chain
bitmaps --backing-chain --tables|--tables does not go with --backing-chain
bitmaps --backing-chain --index 0|--index does not go with --backing-chain
bitmaps --backing-chain --name b0 --field state|--field does not go with --backing-chain
bitmaps --backing-chain --name b0 --is enabled|a state of --is does not go with --backing-chain
bitmap-map --backing-chain --index 0|--backing-chain needs --name
bitmap-map --backing-chain --name b0 --force|--backing-chain and --force exclude each other
bitmap-map --backing-chain --name b0 --data|--backing-chain and --data exclude each other
END

done_testing
