#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares `qcow2tool check` with `qemu-img check` for images as QEMU's
programs leave them when they are killed at any of their writes, and for images
that a program has open for writing.

Where qemu-img check finds leaks at most, qcow2tool must find no error, and
their numbers must be equal.  Refcounts and flags that an image with the dirty
bit leaves to a repair are no errors, either.
"""

import argparse
import collections
import importlib
import multiprocessing
import os
import random
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.append(os.path.dirname(sys.path[0]))

import findings # noqa: E402
import census_bases # noqa: E402

# The file name is not a valid identifier.
census = importlib.import_module('interop-census')

HERE = os.path.dirname(os.path.abspath(__file__))
TIMEOUT = 20

# One image in this many has a live writer.
LIVE = 6
ROUNDS = 4


class TooSlow(Exception):
    """A program took longer than TIMEOUT."""


class Image:
    """A copy of a base, on which QEMU's programs work."""

    def __init__(self, made, rng, n):
        self.rng = rng
        self.made = made
        made.rng = rng
        made.name = 'image-%d.qcow2' % n
        shutil.copyfile(made.path, os.path.join(made.folder, made.name))
        self.path = os.path.join(made.folder, made.name)
        self.log = []

    def run(self, command, kill_at):
        """Runs COMMAND, which may fail, and kills it at a write unless KILL_AT
        is None.  Returns the status."""
        environment = dict(os.environ)
        if kill_at:
            environment.update(LD_PRELOAD=os.environ['KILL_SHIM'],
                               KILL_AT=str(kill_at))
        done = subprocess.run(
            command, capture_output=True, check=False, timeout=TIMEOUT,
            cwd=self.made.folder, env=environment)
        self.log.append('%s%s: status %d' % (
            'KILL_AT=%d ' % kill_at if kill_at else '', shlex.join(command),
            done.returncode))
        return done.returncode

    # ---- What programs do ----

    def io_commands(self):
        """Returns commands for qemu-io."""
        commands = []
        may_compress = self.rng.randrange(10) < self.made.compressed
        for _ in range(self.rng.randrange(1, 20)):
            for command in self.made.random_write(may_compress):
                if command.startswith('write') and ' -c ' not in command \
                        and self.rng.randrange(3) == 0:
                    # Several of these are done at the same time.
                    command = 'aio_' + command
                commands.append(command)
            if self.rng.randrange(6) == 0:
                commands.append(self.rng.choice(('flush', 'aio_flush')))
        return commands

    def write(self):
        words = [word for command in self.io_commands()
                 for word in ('-c', command)]
        return ['qemu-io', *words, *self.made.opened()]

    def snapshot(self):
        action = self.rng.choice(('-c', '-c', '-a', '-d'))
        name = 'snapshot %d' % self.rng.randrange(3)
        return ['qemu-img', 'snapshot', action, name, self.made.name]

    def bitmap(self):
        action = self.rng.choice((('--add', '-g', '65536'), ('--remove',),
                                  ('--clear',), ('--disable',), ('--enable',)))
        return ['qemu-img', 'bitmap', *action, *self.made.opened(),
                'bitmap %d' % self.rng.randrange(3)]

    def resize(self):
        return ['qemu-img', 'resize', '-q', '--shrink', self.made.name,
                str(self.made.choose_size())]

    def amend(self):
        option = self.rng.choice(('refcount_bits=64', 'refcount_bits=16',
                                  'lazy_refcounts=on', 'compat=1.1'))
        return ['qemu-img', 'amend', '-f', 'qcow2', '-o', option,
                self.made.name]

    def commit(self):
        return ['qemu-img', 'commit', '-q', self.made.name]

    def repair(self):
        return ['qemu-img', 'check', '-q', '-r', 'all', *self.made.opened()]

    # The most writes before a program is killed.
    ACTIONS = {'write': 120, 'snapshot': 20, 'bitmap': 20, 'resize': 12,
               'amend': 12, 'commit': 12, 'repair': 12}
    WEIGHTS = (6, 4, 3, 2, 1, 1, 2)

    def action(self):
        """Returns the name of an action and its command."""
        has_secret = self.made.is_encrypted
        has_backing = isinstance(self.made, census_bases.Backing)
        while True:
            name, = self.rng.choices(list(self.ACTIONS), self.WEIGHTS)
            if has_secret and name not in ('write', 'bitmap', 'repair') \
                    or name == 'commit' and not has_backing:
                continue
            return name, getattr(self, name)()

    def crash(self):
        """Does a few things and is killed at the last.  Returns its name."""
        for _ in range(self.rng.randrange(3)):
            self.run(self.action()[1], None)
        name, command = self.action()
        # The first few writes matter as much as all others.
        most = self.rng.choice((4, 10, self.ACTIONS[name]))
        status = self.run(command, self.rng.randrange(1, most + 1))
        return name if status == -signal.SIGKILL else 'not killed'


class LiveIo:
    """qemu-io that has IMAGE open and waits for commands."""

    PROMPT = b'qemu-io> '

    def __init__(self, image):
        self.image = image
        self.process = subprocess.Popen(
            ['timeout', str(10 * TIMEOUT), 'qemu-io', *image.made.opened()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, cwd=image.made.folder)
        self.wait()

    def wait(self):
        """Waits for the prompt."""
        output = b''
        while not output.endswith(self.PROMPT):
            some = os.read(self.process.stdout.fileno(), 1 << 16)
            if not some:
                raise census_bases.Failure('qemu-io ends: %r' % output[-200:])
            output += some

    def write(self):
        """Returns after all writes are done."""
        # qemu-io reads the next command only after it has shown a prompt.
        for command in self.image.io_commands() + ['aio_flush']:
            self.image.log.append(command)
            self.process.stdin.write(command.encode() + b'\n')
            self.process.stdin.flush()
            self.wait()

    def stop(self):
        self.process.kill()
        self.process.communicate()


class LiveNbd:
    """qemu-nbd that exports IMAGE."""

    def __init__(self, image):
        self.image = image
        made = image.made
        self.address = ['-f', 'raw', 'nbd+unix:///?socket=socket']
        self.process = subprocess.Popen(
            ['timeout', str(10 * TIMEOUT), 'qemu-nbd', '--persistent',
             '--socket=' + os.path.join(made.folder, 'socket'),
             '--pid-file=ready', *made.opened()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT, cwd=made.folder)
        patience = time.monotonic() + TIMEOUT
        while not os.path.exists(os.path.join(made.folder, 'ready')):
            if self.process.poll() is not None:
                raise census_bases.Failure('qemu-nbd ends')
            if time.monotonic() > patience:
                raise TooSlow('qemu-nbd')
            time.sleep(0.01)

    def write(self):
        words = [word for command in self.image.io_commands()
                 if ' -c ' not in command for word in ('-c', command)]
        self.image.run(['qemu-io', *words, *self.address], None)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        for name in 'socket', 'ready':
            path = os.path.join(self.image.made.folder, name)
            if os.path.exists(path):
                os.unlink(path)


# The answers.


def is_dirty(path):
    with open(path, 'rb') as file:
        header = file.read(80)
    return header[7] == 3 and bool(header[79] & 1)


def judge(path, *flags):
    """Returns QEMU's answer and the errors in ours."""
    qemu = census.Qemu(path, *flags)
    answers, how = census.verdict.answers('check', [path])
    if path not in answers:
        return qemu, ['no answer: ' + how]
    ours = answers[path]
    wrong = census.judge(qemu, ours)
    errors = census.severe(ours, ('error',))
    if qemu.kind not in ('clean', 'leaks'):
        errors = [problem for problem in errors if is_dirty(path)
                  and census.OUR_RULES.match(problem['rule'] or '')]
    wrong += ['an error: %s at %s: %s' % (
        problem['rule'], problem['offset'], problem['message'])
              for problem in errors]
    if wrong:
        wrong += ['QEMU: %s %s' % (qemu.kind, qemu.numbers)]
        wrong += ['  ' + line for line in qemu.stderr.splitlines()[:6]]
        wrong += ['found: %s@%s' % (problem['rule'], problem['offset'])
                  for problem in ours.get('problems', ())[:6]]
    return qemu, wrong


class Result:
    def __init__(self):
        self.wrong = []
        self.kinds = collections.Counter() # of QEMU's answers, by action
        self.unjudged = collections.Counter()

    def add(self, image, n, what, found):
        qemu, wrong = found
        self.kinds[what, qemu.kind] += 1
        if wrong:
            self.wrong.append('image %d, %s, %s' % (
                n, what, type(image.made).__name__))
            self.wrong += ['  ' + line for line in image.log]
            self.wrong += ['  * ' + line for line in wrong]


def try_live(image, n, result):
    live = image.rng.choice((LiveIo, LiveIo, LiveNbd))(image)
    try:
        for _ in range(ROUNDS):
            live.write()
            result.add(image, n, type(live).__name__,
                       judge(image.path, '-U'))
    finally:
        live.stop()


def try_image(made, n, arguments, result):
    rng = random.Random('crash %s %d' % (arguments.seed, n))
    image = Image(made, rng, n)
    if n % LIVE == LIVE - 1:
        try_live(image, n, result)
    else:
        what = image.crash()
        result.add(image, n, what, judge(image.path))
    if arguments.keep:
        shutil.copyfile(image.path, arguments.keep)
    if rng.randrange(3) == 0:
        image.run(image.repair(), None)
        result.add(image, n, 'repaired', judge(image.path))
    os.unlink(image.path)


STATE = {}


def set_up(folder, arguments):
    """Runs in each process of the pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    STATE['folder'] = folder
    STATE['arguments'] = arguments


def numbers_of(batch, arguments):
    if arguments.image is not None:
        return [arguments.image]
    first = batch * arguments.batch
    return range(first, min(first + arguments.batch, arguments.images))


# QEMU alone does not let snapshots share L1 tables, which is an error.
KINDS = [kind for kind in census_bases.KINDS
         if kind is not census_bases.ManySnapshots]


def run_batch(batch):
    arguments = STATE['arguments']
    result = Result()
    with tempfile.TemporaryDirectory(dir=STATE['folder']) as folder:
        words = '%s:%d' % (arguments.seed, batch)
        try:
            made = census_bases.make_base(folder, words, KINDS)
        except census_bases.Failure as reason:
            result.wrong.append('no base: %s' % reason)
            return batch, result
        for n in numbers_of(batch, arguments):
            try:
                try_image(made, n, arguments, result)
            except (census.Unjudged, subprocess.TimeoutExpired) as reason:
                result.unjudged[str(reason)] += 1
    return batch, result


def build_shim(folder):
    """Returns whether there is a compiler that builds the shim."""
    path = os.path.join(folder, 'kill-shim.so')
    done = subprocess.run(
        [*shlex.split(os.environ.get('CC') or 'cc'), '-shared', '-fPIC', '-o',
         path, os.path.join(HERE, 'kill-shim.c'), '-ldl'],
        capture_output=True, check=False)
    os.environ['KILL_SHIM'] = path
    return done.returncode == 0


def main_run(arguments, folder):
    tap = findings.Tap()
    tap.note('seed %s, %d images' % (arguments.seed, arguments.images))
    batches = range(-(-arguments.images // arguments.batch))
    if arguments.image is not None:
        batches = [arguments.image // arguments.batch]
    kinds, unjudged = collections.Counter(), collections.Counter()
    with multiprocessing.Pool(arguments.jobs, set_up,
                              (folder, arguments)) as pool:
        for batch, result in pool.imap(run_batch, batches):
            kinds.update(result.kinds)
            unjudged.update(result.unjudged)
            numbers = numbers_of(batch, arguments)
            tap.ok('images %d to %d' % (numbers[0], numbers[-1]),
                   result.wrong)
    for reason, count in sorted(unjudged.items()):
        tap.note('%d images not judged: %s' % (count, reason[:200]))
    census.table(tap, 'killed at', kinds)
    return tap.finish()


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', type=int, metavar='N',
                        default=int(os.environ.get('CRASH_IMAGES') or 100))
    parser.add_argument('--seed', default=os.environ.get('CRASH_SEED')
                        or str(random.randrange(1 << 32)))
    parser.add_argument('--batch', type=int, metavar='N', default=12,
                        help='images with the same base')
    parser.add_argument('--jobs', type=int, metavar='N',
                        default=len(os.sched_getaffinity(0)))
    parser.add_argument('--image', type=int, metavar='N',
                        help='only image N of --seed')
    parser.add_argument('--keep', metavar='FILE',
                        help='with --image, keep the image')
    return parser.parse_args()


def main():
    arguments = parse()
    with tempfile.TemporaryDirectory(dir=census.folder_for_images()) as folder:
        if not build_shim(folder):
            print('1..0 # SKIP no compiler builds kill-shim.c')
            return 0
        return main_run(arguments, folder)


if __name__ == '__main__':
    sys.exit(main())
