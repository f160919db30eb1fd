#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The oracle of cli-damaged.sh and cli-bombs.sh.  Whatever an image contains,
the program ends properly, in time and in little memory, and its output is
harmless and complete.

  every-image.py SECONDS BYTES TURNS TEXT JSON IMAGE...

Each image is read by every TURNS-th of the command lines TEXT, one per line,
with a different first one for each image; by one of the command lines JSON
with --output=json, in rotation; and, together with others, by each of JSON
with --output=jsonl.  If TURNS is not 1, images are read together by each of
TEXT as well, if it takes several images.
No run may take more than SECONDS of processor time, which is the same on a
busy machine, unless it prints more than 64 MiB.  No run may take more than
BYTES of memory, unless BYTES is 0.  The program is $QCOW2TOOL.
Prints a line for each image: its name and, after a tab, the errors.  A last
line that begins with # names the longest run.
"""

import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import tempfile

TOOL = shlex.split(os.environ.get('QCOW2TOOL', 'qcow2tool'))

# A run ends after this much output, and only its start is examined.
MUCH = 64 << 20
LONG = 1 << 20

NOT_ASCII = bytes(range(0x80, 0x100))

# The number of images for one run, and the command lines that take one image.
BATCH = 64
ONE_IMAGE = re.compile('bitmap-map|map|dump-header'
                       '|(bitmaps|snapshots) --names|info --output=json$')

# Characters that may affect a terminal: controls, C1, bidirectional and
# zero-width characters, tags.
BAD = re.compile('[\0-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e'
                 '\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]')
# Characters that QEMU's own dumper prints in extension data.
DUMPED = '\t\r\x0b\x0c'
# Lines of text begin with a known name, or are rows.  With several images, the
# path is a heading or the first column.
FORGED = re.compile('^(?![a-z0-9_]+ | +[0-9]+ [a-z]|Bitmap name '
                    '|Bitmap table |INDEX STATE |Header:\n'
                    '|Header extension:\n'
                    '|image: /\\S+\n|IMAGE +INDEX STATE '
                    '|/\\S+ +[0-9]+ [a-z]).+$', re.MULTILINE)
# Lines of check are findings, explanations, and a summary at the end.
FORGED_CHECK = re.compile(r'^(?!(error|warning|note) [A-Z0-9]+-[0-9]+ |    '
                          r'|\S+: [0-9]+ errors?, [0-9]+ warnings?; '
                          r'|image: \S+\n).+$',
                          re.MULTILINE)

# Lines of bitmap-map are text, totals, JSON, a map file or a plot.
FORGED_MAP = re.compile(
    r'^(?! *[0-9]+ +[0-9]+ +([013]  (clean|dirty|unknown)'
    r'|[0-9]+  dirty(,zero)?(,unallocated)?)$'
    r'| *[0-9]+ +[0-9]+\.[0-9]% +([013] (clean|dirty|unknown)'
    r'|[0-9]+ dirty(,zero)?(,unallocated)?)$'
    r'|\[|\]|( {4})?{"|# |0x[0-9A-F]{8,} +\?   |0x[0-9A-F]+  0x[0-9A-F]+  [?+]$'
    r'| *[0-9.]+[KMGTPE]? \||A character is ).+$', re.MULTILINE)

# Lines of map are a table, totals or JSON.
FORGED_DISK_MAP = re.compile(
    r'^(?!Offset +Length +Mapped to +File$'
    r'|(0|0x[0-9a-f]+) +0x[0-9a-f]+ +(0|0x[0-9a-f]+|-|damaged) '
    r'|(data|zero|unallocated|compressed|damaged) +[0-9]+$'
    r'|\[|\]|( {4})?\{").+$', re.MULTILINE)

# Lines of info are those of qemu-img info.  Those of snapshots begin with text
# from the image, but end in a form of their own.
FORGED_INFO = re.compile(
    r'^(?!(image|file format|virtual size|disk size|encrypted|cluster_size'
    r'|cleanly shut down|backing file|backing file format|qemu refuses): '
    r'|Snapshot list:$|ID +TAG +VM SIZE +DATE +VM CLOCK +ICOUNT$'
    r'|.{9,} .{16,} +[0-9.e+]+ ([KMGTPE]i)?B'
    r' *[0-9-]{10} [0-9:]{8} *[0-9]+:[0-9]{2}:[0-9]{2}\.[0-9]{3} *-?[0-9]*$'
    r"|Format specific information:$|Child node '/file':$"
    r'|( {4})+(\[[0-9]+\]|[a-z0-9 ]+):( .*)?$|{$|}$|( {4})+[]["{}]).+$',
    re.MULTILINE)

# Lines of snapshots --list are headings or end with a size, a date and clocks.
FORGED_LIST = re.compile(
    r'^(?!image: /\S+$|Snapshot list:$'
    r'|ID +TAG +VM SIZE +DATE +VM CLOCK +ICOUNT$'
    r'|.*([0-9] ([KMGTPE]i)?B|-) +[0-9]{4}-[0-9]{2}-[0-9]{2}'
    r' [0-9]{2}:[0-9]{2}:[0-9]{2}'
    r' *[0-9]{2,}:[0-9]{2}:[0-9]{2}\.[0-9]{3} *(-?[0-9]+)?$).+$',
    re.MULTILINE)

# dump prints what these commands print.
PARTS = ('header', 'extensions', 'bitmaps')

STATUS_OF_ERROR = {'open': 1, 'not-qcow2': 1, 'unsupported': 1,
                   'truncated': 1, 'read': 1, 'corrupt': 2, 'ambiguous': 2,
                   'not-found': 3, 'changed': 1}

# A run that waits for something would never end.
FOREVER = 1200

seconds, n_bytes = int(sys.argv[1]), int(sys.argv[2])
slowest = (0, 'nothing')

# The messages of the current run.
messages_file = tempfile.TemporaryFile()


def set_limits(pid):
    """Limits process PID.  A shell that does this first would take half of the
    time of a run."""
    try:
        resource.prlimit(pid, resource.RLIMIT_CPU, (seconds, seconds + 1))
        if n_bytes:
            resource.prlimit(pid, resource.RLIMIT_AS, (n_bytes, n_bytes))
    except ProcessLookupError:
        pass


class Run:
    """One run of the program; WRONG contains its errors."""

    def __init__(self, way, *paths):
        self.way = way
        self.n_images = len(paths)
        self.wrong = []
        messages_file.seek(0)
        messages_file.truncate()
        process = subprocess.Popen(
            TOOL + way.split() + list(paths), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=messages_file)
        set_limits(process.pid)
        signal.signal(signal.SIGALRM, lambda *_: process.kill())
        signal.alarm(FOREVER)
        self.output = self.read(process.stdout)
        self.is_cut = len(self.output) > MUCH
        if self.is_cut:
            process.kill()
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        signal.alarm(0)
        self.status = os.waitstatus_to_exitcode(status)
        process.returncode = self.status
        messages_file.seek(0)
        self.messages = messages_file.read()
        self.note_time(usage.ru_utime + usage.ru_stime, paths)
        if not self.is_cut:
            self.check_end()
        self.check_messages()
        self.check_output()

    @staticmethod
    def read(file):
        """Returns the contents of FILE, or the start of them."""
        blocks = []
        size = 0
        while size <= MUCH:
            blocks.append(file.read(1 << 20))
            if not blocks[-1]:
                break
            size += len(blocks[-1])
        return b''.join(blocks)

    def note_time(self, taken, paths):
        global slowest
        if taken >= seconds:
            self.complain('more than %d seconds' % seconds)
        if not self.is_cut:
            what = '%s of %s' % (self.way, os.path.basename(paths[0]))
            slowest = max(slowest, (taken, what))

    def complain(self, what, value=None):
        if value is not None:
            what += ' ' + repr(value)[:300]
        self.wrong.append(self.way + ': ' + what)

    def check_end(self):
        if self.status not in (0, 1, 2, 3):
            self.complain('status %d,' % self.status, self.messages)
        # The findings of check are its output, so there are no messages.
        is_told = self.messages != b'' or (
            self.status == 2 and self.way.split()[0] == 'check')
        if (self.status == 0) == is_told:
            self.complain('status %d, messages' % self.status, self.messages)

    def check_messages(self):
        text = self.decode(self.messages)
        lines = text.splitlines(True)
        if len(lines) > 400 * self.n_images:
            self.complain('too many messages')
        if BAD.search(text):
            self.complain('messages not escaped', text)
        for line in lines:
            if not line.startswith('qcow2tool: ') or not line.endswith('\n'):
                self.complain('a stray message', line)

    def check_output(self):
        start = self.output[:LONG]
        if len(start) < len(self.output):
            # Complete lines, or at least complete characters.
            start = start[:start.rfind(b'\n') + 1] or start.rstrip(NOT_ASCII)
        text = self.decode(start)
        if self.way in ('dump-header', 'dump-header-exts'):
            text = text.translate(dict.fromkeys(map(ord, DUMPED)))
        elif '--names' not in self.way and ' -j' not in self.way \
                and '--output=' not in self.way:
            self.check_lines(text)
        if BAD.search(text):
            self.complain('output not escaped', BAD.search(text).group())
        if self.status == 1 and self.n_images == 1 \
                and '--output=' not in self.way and text:
            self.complain('output although it is not an image', text)

    def check_lines(self, text):
        command = self.way.split()[0]
        forged = {'check': FORGED_CHECK, 'bitmap-map': FORGED_MAP,
                  'map': FORGED_DISK_MAP,
                  'info': FORGED_INFO}.get(command, FORGED)
        if self.way == 'snapshots --list':
            forged = FORGED_LIST
        forged = forged.search(text)
        if forged:
            self.complain('a forged line', forged.group())
        if self.is_cut:
            return
        if command == 'bitmap-map':
            self.check_map(text)
        if command == 'map':
            self.check_disk_map(self.parse_extents(text))

    def parse_extents(self, text):
        """Returns the extents in TEXT if they are JSON."""
        if '--output json' not in self.way or not text:
            return []
        try:
            if '--output jsonl' in self.way:
                return [json.loads(line) for line in text.splitlines()]
            return json.loads(text)
        except ValueError as error:
            self.complain('not JSON: %r:' % error, text)
            return []

    def check_disk_map(self, extents):
        """Extents cover the disk without a gap, and adjacent ones differ."""
        end, last = 0, None
        for extent in extents:
            place = {'start': extent['start'], 'length': extent['length']}
            if 'offset' in extent:
                place['offset'] = extent['offset']
            kind = {**extent, **dict.fromkeys(place)}
            host = place.get('offset')
            # Damage of another kind may follow.
            if extent['start'] != end or extent['length'] == 0 or (
                    (kind, host) == last and 'damaged' not in kind):
                self.complain('after %d:' % end, extent)
            end += extent['length']
            if host is not None:
                host += extent['length']
            last = kind, host

    def check_map(self, text):
        """Extents cover the disk without a gap, and adjacent ones differ."""
        self.parse_extents(text)
        if set(self.way.split()) & {'--output', '--totals', '--plot'}:
            return
        end, last = 0, None
        for line in text.splitlines():
            offset, length, kind, _ = line.split()
            if int(offset) != end or int(length) == 0 or kind == last:
                self.complain('after %d:' % end, line)
            end, last = end + int(length), kind

    def decode(self, data):
        try:
            return data.decode()
        except UnicodeDecodeError:
            self.complain('not UTF-8')
            return data.decode(errors='replace')

    def check_answer(self, text, path, check_status=True):
        """Returns whether TEXT is the object of PATH and agrees with the
        status."""
        try:
            answer = json.loads(text)
            if answer['filename'] != path:
                self.complain('the answer is about another file:',
                              answer['filename'])
            error = answer['error']
            if error is not None:
                status = STATUS_OF_ERROR[error['code']]
                # The item may be missing because of the damage.
                if error['code'] == 'not-found' and self.status == 2 \
                        and any(problem['severity'] == 'error'
                                for problem in answer['problems']):
                    status = 2
            else:
                status = 2 if any(problem['severity'] == 'error'
                                  for problem in answer['problems']) else 0
            if check_status and status != self.status:
                self.complain('status %d is not that of' % self.status,
                              (error, answer['problems']))
            return status
        except (ValueError, KeyError, TypeError) as error:
            self.complain('not an answer: %r:' % error, text)
        return 1

    def check_documents(self, n):
        """QEMU's dumper prints several documents."""
        text = self.decode(self.output)
        try:
            for _ in range(n if text else 0):
                _, end = json.JSONDecoder().raw_decode(text)
                text = text[end:].lstrip('\n')
            if text:
                self.complain('after the JSON:', text)
        except ValueError as error:
            self.complain('not JSON: %r:' % error, text)


def check_json(way, path, status):
    run = Run(way + ' --output=json', path)
    if not run.is_cut:
        run.check_answer(run.output, path)
        if status not in (None, run.status):
            run.complain('status %d, but text has' % run.status, status)
    return run.wrong


def check_image(path, text_ways, json_way):
    wrong = []
    statuses = {}
    for way in text_ways:
        run = Run(way, path)
        statuses[way] = None if run.is_cut else run.status
        if ' -j' in way and not run.is_cut:
            run.check_documents(1 if 'exts' in way else 2)
        wrong += run.wrong
    return wrong + check_json(json_way, path, statuses.get(json_way))


def worst_of(statuses):
    return next((status for status in (1, 2, 3) if status in statuses), 0)


def check_batch(paths, text_ways, json_ways):
    """Returns the errors of runs with several images; one of them is the
    cause."""
    wrong = []
    by_way = {}
    for way in json_ways:
        run = Run(way + ' --output=jsonl', *paths)
        lines = run.output.split(b'\n')
        rest = lines.pop()
        if not run.is_cut and (rest != b'' or len(lines) != len(paths)):
            run.complain('%d lines for %d images' % (len(lines), len(paths)))
        statuses = [run.check_answer(line, path, False)
                    for line, path in zip(lines, paths)]
        worst = worst_of(statuses)
        if not run.is_cut and run.status != worst:
            run.complain('status %d, the worst is' % run.status, worst)
        by_way[way] = statuses
        wrong += run.wrong

    for way in text_ways:
        if ONE_IMAGE.match(way):
            continue
        run = Run(way, *paths)
        if way in by_way and run.status != worst_of(by_way[way]):
            run.complain('status %d, JSON has' % run.status, by_way[way])
        wrong += run.wrong

    # The whole run is damaged if a part of it is.
    if by_way.keys() >= {'dump', *PARTS}:
        for path, whole, *parts in zip(paths, by_way['dump'],
                                       *(by_way[part] for part in PARTS)):
            if whole != worst_of(parts):
                wrong.append('dump of %s: status %d, but its parts have %r'
                             % (os.path.basename(path), whole, parts))
    return wrong


def main():
    turns = int(sys.argv[3])
    text_ways, json_ways, *paths = sys.argv[4:]
    text_ways = text_ways.splitlines()
    json_ways = json_ways.splitlines()
    batch = []
    for index, path in enumerate(paths):
        wrong = check_image(path, text_ways[index % turns::turns],
                            json_ways[index % len(json_ways)])
        batch.append(path)
        if len(batch) == BATCH or index == len(paths) - 1:
            wrong += check_batch(batch, text_ways if turns > 1 else [],
                                 json_ways)
            batch = []
        print(os.path.basename(path)[:-6], '; '.join(wrong[:5]), sep='\t')
    print('# slowest: %.2f s, %s' % slowest)


if __name__ == '__main__':
    main()
