#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the system calls of edits fail, one after the other.

  edit-faults.py [--seed N] [--faults N] [--jobs N]

strace makes each call of an editing command, from the opening of the image on,
fail once (ENOSPC, EIO, EINTR), makes this call and all later ones of its kind
fail, or kills the command there.  Calls for memory fail with ENOMEM, which
ends the command.  Without --faults, all of these are tried, and otherwise N
for each command, chosen at random.  Prints a line for each command: its words
and, after a tab, the reason if a fault is wrong.

* Unless the command is killed, the image is as before if the status is not 0, unless a
  message says that the old bytes could not be put back.
* Status 0 means that the edit is done.
* A reader finds the old or the new image, and bitmaps only where they are
  valid.
* Where the image is neither as before nor as after, apply completes the saved
  plan, and apply --reverse undoes it.
* The file keeps its size."""

import argparse
import collections
import hashlib
import multiprocessing
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.append(os.path.join(os.path.dirname(sys.path[0]), 'cli'))

import edit_model as model # noqa: E402

TOOL = shlex.split(os.environ['QCOW2TOOL'])
TIMEOUT = 60

# With their names on processors of 32 bits.
CALLS = ('openat', 'pread64', 'pwrite64', 'fdatasync', 'fsync', 'fallocate',
         'fcntl', 'flock', 'fstat', 'newfstatat', 'stat', 'fstatfs',
         'lseek', 'fadvise64', 'write', 'read', 'close', 'unlink',
         'rt_sigprocmask', 'statx', 'fstat64', 'stat64', 'fstatfs64',
         'fcntl64', '_llseek', 'fadvise64_64')

# Calls for memory, and how they fail: brk by returning another address than
# the one that it was asked for.  GLib ends the process without memory.
MEMORY = {'brk': 'retval=0', 'mmap': 'error=ENOMEM', 'mmap2': 'error=ENOMEM',
          'munmap': 'error=ENOMEM'}

# Calls that cannot fail, or whose failure changes nothing.
OTHERS = ('exit_group', 'clock_nanosleep')

# The signals by which a command ends when it is killed or has no memory.
KILLED = (signal.SIGKILL, signal.SIGTRAP, signal.SIGABRT)

# The faults, from one call on.
FAULTS = ('error=ENOSPC:when=%d', 'error=EIO:when=%d', 'error=EINTR:when=%d',
          'error=ENOSPC:when=%d+', 'error=EIO:when=%d+', 'signal=KILL:when=%d')

# The commands, and what the model does for them.
EDITS = [
    ['set-header', 'compatible_features', '0x10000000001'],
    ['set-feature-bit', 'compatible', '42'],
    ['clear-feature-bit', 'autoclear', 'bitmaps'],
    ['add-header-ext', '0x12345678', 'x' * 1000],
    ['add-header-ext-stdio', '0x12345678', 'y' * 5000],
    ['del-header-ext', '0x6803f857'],
    ['del-header-ext', '--index=2'],
    ['remove-bitmap', '--index=1'],
    ['remove-bitmap', '--index=0'],
    ['apply'],
    ['apply', '--reverse'],
]


class Wrong(Exception):
    pass


def faults_of(call):
    """Returns what happens when CALL is made, and from which call on."""
    if call not in MEMORY:
        return FAULTS
    return (MEMORY[call] + ':when=%d', MEMORY[call] + ':when=%d+', FAULTS[-1])


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def write(path, data):
    """Writes DATA with holes, so that an edit has to reserve space."""
    with open(path, 'wb') as file:
        for at in range(0, len(data), 4096):
            block = data[at:at + 4096]
            if block.strip(b'\0'):
                file.seek(at)
                file.write(block)
        file.truncate(len(data))


def make_image(folder):
    """Returns an image with a backing file and bitmaps, a large one, and the
    image with a single bitmap."""
    path = os.path.join(folder, 'base')

    def qemu_img(*words):
        subprocess.run(['qemu-img', *words], check=True, cwd=folder)

    qemu_img('create', '-q', '-f', 'raw', 'base.raw', '1M')
    qemu_img('create', '-q', '-f', 'qcow2', '-b', 'base.raw', '-F', 'raw',
             path)
    qemu_img('bitmap', '--add', path, 'bitmap-0')
    single = read(path)
    qemu_img('bitmap', '--add', path, 'bitmap-1')
    qemu_img('bitmap', '--add', '--disable', path, 'bitmap-2')
    return read(path), single


class Case:
    """An edit of an image in a folder."""

    def __init__(self, words, folder, images):
        self.words = words
        self.image = os.path.join(folder, 'image')
        self.plan = os.path.join(folder, 'plan')
        self.given = os.path.join(folder, 'given')
        self.trace = os.path.join(folder, 'trace')
        self.old = images[1] if words[-1] == '--index=0' else images[0]
        self.stdin = b''
        self.known = set()
        command, *rest = words
        if command == 'apply':
            edit = ['remove-bitmap', '--index=1']
            self.new = model.run(self.old, edit)
            write(self.image, self.old)
            self.tool(edit[0], '--save-plan=' + self.given, self.image,
                      edit[1])
            if rest:
                self.old, self.new = self.new, self.old
            self.line = [command, '--force', '--save-plan=' + self.plan, *rest,
                         self.given, self.image]
            return
        self.new = model.run(self.old, ['add-header-ext', *rest]
                             if command == 'add-header-ext-stdio' else words)
        if command == 'add-header-ext-stdio':
            self.stdin = rest.pop().encode()
        self.line = [command, '--force', '--save-plan=' + self.plan,
                     self.image, *rest]

    def name(self):
        return ' '.join(word[:20] for word in self.words)

    def tool(self, *words):
        return subprocess.run(TOOL + list(words), capture_output=True,
                              check=False, timeout=TIMEOUT)

    def strace(self, *options):
        """Runs the command from the old image on."""
        write(self.image, self.old)
        if os.path.exists(self.plan):
            os.remove(self.plan)
        return subprocess.run(['strace', '-f', '-qq', '-o', self.trace,
                               *options, *TOOL, *self.line], check=False,
                              input=self.stdin, capture_output=True,
                              timeout=TIMEOUT)

    def positions(self):
        """Returns the calls from the opening of the image on: the name of
        each, and its number among those with this name."""
        result = self.strace()
        if result.returncode != 0 or read(self.image) != self.new:
            raise Wrong('without a fault: status %d, %r'
                        % (result.returncode, result.stderr))
        numbers, found, begun = collections.Counter(), [], False
        for line in read(self.trace).decode().splitlines():
            match = re.match(r'(?:\d+ +)?(\w+)\(', line)
            if not match:
                continue
            numbers[match[1]] += 1
            begun = begun or (match[1] == 'openat' and self.image in line)
            if begun and (match[1] in CALLS or match[1] in MEMORY):
                found.append((match[1], numbers[match[1]]))
            elif begun and match[1] not in OTHERS:
                raise Wrong('an unknown call: ' + line)
        return found

    def complete(self, state):
        """Completes and undoes the plan from STATE of the image.  The plan
        that apply makes of the rest does not say how to undo all of it."""
        plan = self.given if self.words[0] == 'apply' else self.plan
        reverse = self.words[1:] == ['--reverse']
        if state not in (self.old, self.new) and not os.path.exists(plan):
            raise Wrong('the image is changed, and there is no plan')
        if not os.path.exists(plan):
            return
        text = read(plan)
        key = hashlib.sha256(state + text).digest()
        if key in self.known:
            return
        self.known.add(key)
        for options, target in (([], self.new), (['--reverse'], self.old)):
            if reverse:
                options = [] if options else ['--reverse']
            write(self.image, state)
            result = self.tool('apply', '--force', *options, plan, self.image)
            after = read(self.image)
            if result.returncode == 0 and after == target:
                continue
            # A plan of which only a part was written.
            if (state == self.old and after == state
                    and result.returncode == 1):
                continue
            raise Wrong('apply %s: status %d, %r'
                        % (options, result.returncode, result.stderr[:300]))

    def judge(self, status, messages):
        """Fails unless the image is as it may be after a run."""
        state = read(self.image)
        killed = -status in KILLED or status - 128 in KILLED
        put_back = b'could not be put back' not in messages
        if len(state) != len(self.old):
            raise Wrong('the file has another size')
        if status not in (0, 1, 2, 3) and not killed:
            raise Wrong('status %d: %r' % (status, messages[:300]))
        if status == 0 and state != self.new:
            raise Wrong('status 0, but the edit is not done')
        if not model.is_either(state, self.old, self.new):
            raise Wrong('it is neither the old nor the new image')
        if (not killed and put_back and status != 0
                and state not in (self.old, self.new)):
            raise Wrong('status %d, and the image is changed: %r'
                        % (status, messages[:300]))
        if (status != 0 and not killed and state == self.new
                and put_back and b'cannot write' not in messages
                and messages):
            raise Wrong('status %d, but the edit is done: %r'
                        % (status, messages[:300]))
        self.complete(state)

    def try_fault(self, call, number, fault):
        inject = fault % number
        result = self.strace('-e', 'trace=' + call, '-e',
                             'inject=%s:%s' % (call, inject))
        try:
            self.judge(result.returncode, result.stderr)
        except Wrong as error:
            raise Wrong('%s:%s: %s' % (call, inject, error)) from error


def run_case(job):
    """Tries faults in one command.  Returns its name, the number of faults and
    the reason if one of them is wrong."""
    index, arguments, folder, images = job
    folder = os.path.join(folder, str(index))
    os.mkdir(folder)
    rng = random.Random('%s-%d' % (arguments.seed, index))
    try:
        case = Case(EDITS[index], folder, images)
        faults = [(call, number, fault) for call, number in case.positions()
                  for fault in faults_of(call)]
        if arguments.faults is not None:
            faults = rng.sample(faults, min(arguments.faults, len(faults)))
        wrong = ''
        for fault in faults:
            case.try_fault(*fault)
    except Wrong as error:
        wrong, faults = str(error), []
    shutil.rmtree(folder)
    return ' '.join(EDITS[index])[:40], len(faults), wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--seed', default=str(random.randrange(1 << 32)))
    parser.add_argument('--faults', type=int)
    parser.add_argument('--jobs', type=int,
                        default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    print('# seed ' + arguments.seed)
    memory = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        images = make_image(folder)
        jobs = [(i, arguments, folder, images) for i in range(len(EDITS))]
        with multiprocessing.Pool(arguments.jobs) as pool:
            for name, count, wrong in pool.imap(run_case, jobs):
                print('%s: %d faults%s' % (name, count, '\t' + re.sub(
                    r'\s+', ' ', wrong) if wrong else ''))
                sys.stdout.flush()


# The processes of a pool may read this file again.
if __name__ == '__main__':
    main()
