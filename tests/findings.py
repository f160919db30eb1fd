# SPDX-License-Identifier: LGPL-2.1-or-later
"""The findings of `qcow2tool check` in images of the builder, and TAP output.

The programs are $QCOW2TOOL and $MKIMAGE.  Images are made in the folder
$IMAGES, which the caller removes.
"""

import errno
import functools
import json
import os
import re
import shlex
import subprocess

TOOL = shlex.split(os.environ.get('QCOW2TOOL', 'qcow2tool'))
MKIMAGE = os.environ.get('MKIMAGE', 'mkimage')
IMAGES = os.environ.get('IMAGES', '.')
# Whether a wrapper makes every run slow: then a part of the images is enough.
SLOW = bool(os.environ.get('QCOW2TOOL_SLOW'))


class Tap:
    """Prints results as soon as they are known."""

    def __init__(self):
        self.n = 0
        self.n_failed = 0

    def ok(self, name, reasons=()):
        """Prints one result.  REASONS is a list of lines that describe a
        failure."""
        self.n += 1
        self.n_failed += bool(reasons)
        print('%sok %d - %s' % ('not ' if reasons else '', self.n, name))
        for reason in reasons:
            self.note(reason)

    def note(self, text):
        print('# ' + text.replace('\n', '\n# '), flush=True)

    def finish(self):
        """Prints the plan and returns the exit status."""
        print('1..%d' % self.n)
        return 1 if self.n_failed else 0


class Answer:
    """The answer about one image.  Problems are those of the program's output,
    except for entries that only count the problems left out."""

    def __init__(self, path, *options):
        done = subprocess.run(TOOL + ['check', '--output=json', *options,
                                      '--', path],
                              capture_output=True, check=False)
        document = json.loads(done.stdout)
        self.status = done.returncode
        self.messages = done.stderr.decode('utf-8', 'replace')
        self.error = document['error']
        self.problems = [problem for problem in document['problems']
                         if problem.get('suppressed') is None]

    def findings(self):
        """Returns the problems as "E HDR-04@0x14", and the error, if there is
        one."""
        found = ['%s %s@%#x' % (problem['severity'][0].upper(),
                                problem['rule'], problem['offset'])
                 for problem in self.problems]
        if self.error is not None:
            message = self.error['message']
            offset = re.match('0x[0-9a-f]+', message)
            rule = re.search(r'\[([A-Z0-9]+-[0-9]+)\]$', message)
            found.append('E %s@%s' % (rule and rule.group(1),
                                      offset and offset.group()))
        return found


def all_rules():
    """Returns all ways to break a rule, in the order of the program."""
    done = subprocess.run(TOOL + ['check', '--rules', '--output=json'],
                          capture_output=True, check=True)
    return json.loads(done.stdout)


def names():
    """Returns the names of the builder's images."""
    done = subprocess.run([MKIMAGE, '--list'], capture_output=True, check=True)
    return [line.split('\t')[0] for line in done.stdout.decode().splitlines()]


def make_image(name):
    """Returns the path of an image of the builder.  There are others in its
    folder."""
    path = os.path.join(folder_of_all(), name + '.qcow2')
    if not os.path.exists(path):
        subprocess.run([MKIMAGE, name, path], check=True)
    return path


def copy_data(source, path):
    """Copies a file, but not its holes."""
    with open(source, 'rb') as old, open(path, 'wb') as new:
        size = new.truncate(os.fstat(old.fileno()).st_size)
        at = 0
        while at < size:
            try:
                at = os.lseek(old.fileno(), at, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                break # only a hole follows
            end = os.lseek(old.fileno(), at, os.SEEK_HOLE)
            os.lseek(new.fileno(), at, os.SEEK_SET)
            while at < end:
                at += os.sendfile(new.fileno(), old.fileno(), at, end - at)


@functools.lru_cache(maxsize=None)
def folder_of_all():
    """Makes all images of the builder in one process, except for those that
    are too large for the file system, and returns their folder."""
    folder = os.path.join(IMAGES, 'all')
    os.mkdir(folder)
    subprocess.run([MKIMAGE, '--all', folder], check=False,
                   stderr=subprocess.DEVNULL)
    return folder


def check_image(name, *options):
    """Returns the answer of check with OPTIONS about an image of the
    builder."""
    return Answer(make_image(name), *options)


def make_encrypted(path, size, secret, options=''):
    """Makes an image with LUKS encryption, with qemu-img.  SECRET describes
    the object with the key, such as "data=KEY".  OPTIONS begin with a comma.
    Occasionally qemu-img fails to measure the time that it takes to derive a
    key; it is then run again."""
    for _ in range(50):
        done = subprocess.run(
            ['qemu-img', 'create', '-q', '-f', 'qcow2',
             '--object', 'secret,id=s0,' + secret,
             '-o', 'encrypt.format=luks,encrypt.key-secret=s0,'
             'encrypt.iter-time=10' + options, path, size],
            capture_output=True, check=False, timeout=300)
        if b'accurate CPU usage' not in done.stderr:
            break
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode('utf-8', 'replace'))


def rows(path):
    """Yields the rows of a table without comments.  A line that begins with a
    blank continues the previous row."""
    found = []
    with open(path, encoding='utf-8') as file:
        for line in file:
            text = line.split('#')[0].rstrip()
            if text and text[0].isspace():
                found[-1] += text
            elif text:
                found.append(text)
    return found
