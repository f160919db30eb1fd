#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares the claims of `qcow2tool check` about QEMU with the behaviour of
qemu-img, for each image of the builder, and tries the remedies on copies.

Each claim must hold for the installed version of QEMU.
"""

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.append(os.path.dirname(sys.path[0]))

import findings # noqa: E402

REFUSES = 'QEMU refuses to open this image'
RAW_ALONE = 'data-file-raw requires a data file'

# A limit far above the time that qemu-img needs on any machine.  If it takes
# even longer, there is no result.
TIMEOUT = 300

# Images whose disk is repaired.  Of all others, only the metadata are checked:
# clusters that QEMU cannot reach because of damage elsewhere are leaks, too.
DISKS = ('l1-entry-not-copied', 'l2-entry-not-copied', 'refcount-guest-0',
         'refcount-guest-2', 'refcount-nothing-1', 'snapshot-extra-data-8',
         'in-use-damaged', 'l1-on-directory', 'l2-entry-compressed-long',
         'l2-entry-compressed-subclusters', 'l2-entry-subclusters-both',
         'l2-entry-zero-version-2')

# Images that keep qemu-img busy for too long.
TOO_LARGE = re.compile('sparse-|many-|file-15-tib|extension-8125-times')

# Sentences that leave open whether QEMU opens the image: versions differ, only
# a key decides, or not everything was examined.
EITHER_WAY = (
    'QEMU 7.2 to 8.2 refuse to open this image; 9.0 knows the cipher',
    'QEMU 7.2 to 9.1 refuse to open this image; 9.2 knows the hash',
    'the rest of the table was not examined',
    'an overlap or a wrong refcount may have been missed',
)

# Images that QEMU refuses with other messages than check expects, or whose
# consequences cannot be observed here.
KNOWN = dict.fromkeys(
    ('extra-data-all-ones', 'extra-data-wraps-to-0', 'extra-data-2-31',
     'extra-data-wraps-to-8'),
    'QEMU adds up 32 bits, and refuses the extra data instead')
# Damage that QEMU encounters only with a secret: see interop-luks.sh.
KNOWN.update(dict.fromkeys((
    'crypto-length-592', 'luks-cast5-xts', 'luks-first-key-cut',
    'luks-key-bytes-24', 'luks-key-bytes-33', 'luks-key-past-eof',
    'luks-no-key'), 'qemu-img info needs no key'))

# Images in which a remedy does not help.
BEYOND_HELP = {
    'table-past-eof':
        "the tables' clusters count as free, and QEMU takes them",
    'refcount-block-unaligned': 'QEMU trips over the offset of the block',
    'refcount-block-all-ones': 'QEMU trips over the offset of the block',
}


class TooSlow(Exception):
    """A program took longer than TIMEOUT."""


def run(*command):
    try:
        return subprocess.run(command, capture_output=True, check=False,
                              timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise TooSlow(command[0]) from None


def text_of(done):
    return (done.stdout + done.stderr).decode('utf-8', 'replace')


class Image:
    """An image of the builder, with the results of check and qemu-img."""

    def __init__(self, name):
        self.name = name
        self.path = findings.make_image(name)
        self.options = () if name in DISKS else ('--metadata',)
        self.answer = findings.Answer(self.path, *self.options)
        self.refusing = [problem for problem in self.answer.problems
                         if (problem['consequence'] or '').startswith(REFUSES)]
        self.either_way = [problem for problem in self.answer.problems
                           if (problem['consequence'] or '').startswith(
                               EITHER_WAY)]
        done = qemu_info(self.path)
        self.info = json.loads(done.stdout) if done.returncode == 0 else None
        self.stderr = done.stderr.decode('utf-8', 'replace')
        if self.info is not None and self.data_file_is_raw():
            # qemu-img info needs no data.
            stderr = self.stderr_of_io()
            if RAW_ALONE in stderr:
                self.stderr = stderr
                self.info = None
        self.opens = self.info is not None
        self.crashed = done.returncode < 0

    def data_file_is_raw(self):
        """Returns whether the autoclear bit data-file-raw is set."""
        with open(self.path, 'rb') as file:
            header = file.read(96)
        return len(header) == 96 and header[95] & 2 != 0

    def stderr_of_io(self):
        return text_of(run('qemu-io', '-r', '-f', 'qcow2', '-c', 'quit',
                           self.path))

    def with_remedy(self, words):
        """Returns the problems with a line of a remedy that has WORDS, and
        says of nothing that it has to be done before."""
        return [problem for problem in self.answer.problems
                if any(words in line and ', once ' not in line
                       for line in (problem['remedy'] or '').split('\n'))]

    def copy(self):
        """Makes a copy in the same folder, because the image may contain
        relative names."""
        path = os.path.join(os.path.dirname(self.path), 'copy.qcow2')
        findings.copy_data(self.path, path)
        return path

    def fields(self, *keys):
        done = run(*findings.TOOL, 'header',
                   *('--field=' + key for key in keys), self.path)
        return done.stdout.decode().splitlines()

    @functools.lru_cache(maxsize=1)
    def bitmap_names(self):
        """Returns the names as QEMU reads them: up to a NUL."""
        done = run(*findings.TOOL, 'bitmaps', '--output=json',
                   self.path)
        names = []
        for bitmap in json.loads(done.stdout)['bitmaps']:
            name = (bytes.fromhex(bitmap['name_hex']) if 'name_hex' in bitmap
                    else bitmap['name'].encode())
            names.append(name.split(b'\0')[0])
        return names

    @staticmethod
    def states_in(path):
        """Returns the name and the state of each bitmap of the image PATH."""
        done = run(*findings.TOOL, 'bitmaps', '--output=json', path)
        return [(bitmap['name'], bitmap['state'])
                for bitmap in json.loads(done.stdout)['bitmaps'] or []]

    def bitmap_states(self):
        return self.states_in(self.path)

    def listed_bitmaps(self):
        data = self.info['format-specific']['data']
        return data.get('bitmaps', [])


def qemu_info(path):
    return run('qemu-img', 'info', '-U', '-f', 'qcow2', '--output=json', path)


def qemu_opens(path):
    return qemu_info(path).returncode == 0


def write_a_sector(path):
    return run('qemu-io', '-f', 'qcow2', '-c', 'write 0 512', path)


def quoted_messages(image):
    """Returns the messages that check expects, or an empty list if it may
    expect others, too.  An escaped name differs from the one that QEMU
    prints."""
    messages = []
    if image.either_way:
        return messages
    for problem in image.refusing:
        quoted = re.fullmatch(REFUSES + ': "(.*)"', problem['consequence'],
                              re.DOTALL)
        if quoted is None or '\\' in quoted.group(1):
            return []
        messages.append(quoted.group(1))
    return messages


def judge_opening(image):
    messages = quoted_messages(image)
    if image.refusing and image.opens:
        return ['QEMU opens it, but check says: '
                + problem['consequence'] for problem in image.refusing]
    if messages and not image.crashed and not any(
            message in image.stderr for message in messages):
        return ['QEMU says: ' + image.stderr,
                'not: ' + ' / '.join(messages)]
    if not (image.opens or image.refusing or image.either_way):
        return ['QEMU does not open it, and check does not say so: '
                + image.stderr]
    return []


# Observable consequences.  Each function takes an image that QEMU opens and
# one of its problems, and returns whether the sentence is true.


def has_no_bitmaps(image, _):
    return not image.listed_bitmaps()


def has_silently_no_bitmaps(image, _):
    return not image.listed_bitmaps() and not image.stderr


def has_no_backing_file(image, _):
    return 'backing-filename' not in image.info


def has_rounded_size(image, _):
    size, = image.fields('size')
    return image.info['virtual-size'] == int(size) // 512 * 512


def loses_bitmaps(image, _):
    copy = image.copy()
    write_a_sector(copy)
    done = run(*findings.TOOL, 'extensions', '--magic=Bitmaps', copy)
    return not image.listed_bitmaps() and done.returncode == 3


def is_cured_by_writing(image, problem):
    copy = image.copy()
    if write_a_sector(copy).returncode != 0:
        return True # QEMU does not open it for writing
    return not left(copy, [problem])


def is_corrupt_when_written(image, problem):
    # The first block is the one that QEMU needs.
    table, cluster_size = map(int, image.fields('refcount_table_offset',
                                                'cluster_size'))
    if problem['offset'] != table:
        return True
    # The reserved bits, 0 to 8, do not matter.
    block = problem['value'] >> 9 << 9
    if block % cluster_size == 0 and 0 < block < os.path.getsize(image.path):
        return True
    copy = image.copy()
    write_a_sector(copy)
    info = json.loads(qemu_info(copy).stdout)
    return info['format-specific']['data']['corrupt']


def cannot_be_written(image, _):
    return write_a_sector(image.copy()).returncode != 0


def is_corrupt_then(image, _):
    copy = image.copy()
    if write_a_sector(copy).returncode == 0:
        return False
    info = json.loads(qemu_info(copy).stdout)
    return info['format-specific']['data']['corrupt']


def has_that_bitmap(image, problem):
    name = image.bitmap_names()[problem['bitmap']].decode()
    return name in [bitmap['name'] for bitmap in image.listed_bitmaps()]


def needs_a_data_file(image, _):
    return "'data-file' is" in image.stderr_of_io()


def keeps_extensions(image, _):
    def unknown(path):
        done = run(*findings.TOOL, 'extensions', '--output=json', path)
        return [(extension['magic'], extension['length'])
                for extension in json.loads(done.stdout)['extensions']
                if extension['name'] == '<unknown>']

    copy = image.copy()
    if write_a_sector(copy).returncode != 0:
        return True # QEMU does not open it for writing
    # QEMU writes them in a different order.
    return sorted(unknown(copy)) == sorted(unknown(image.path))


def is_cut_in_header(image, problem):
    """Applies only to the name of the backing file, which begins at the offset
    of PROBLEM."""
    where, = image.fields('backing_file_offset')
    if int(where) != problem['offset']:
        return True
    done = run(*findings.TOOL, 'header', '--output=json', image.path)
    name = json.loads(done.stdout)['header']['backing_file']
    return image.info['backing-filename'] == name.split('\0', 1)[0]


def has_no_backing_format(image, _):
    return 'backing-filename-format' not in image.info


def is_cut_name(image, problem):
    name = image.bitmap_names()[problem['bitmap']]
    return name.decode('utf-8', 'replace') in [
        bitmap['name'] for bitmap in image.listed_bitmaps()]


def is_printed_raw(image, problem):
    # QEMU's JSON is UTF-8, but its text is not.
    if problem['bitmap'] is None:
        return True
    done = run('qemu-img', 'info', '-U', '-f', 'qcow2', image.path)
    return image.bitmap_names()[problem['bitmap']] in done.stdout


def is_inconsistent(image, problem):
    names = image.bitmap_names()
    name = names[problem['bitmap']]
    if names.count(name) > 1:
        return True # QEMU uses the first
    done = run('qemu-img', 'bitmap', '--clear', '-f', 'qcow2', image.copy(),
               name)
    return done.returncode != 0 and 'inconsistent' in text_of(done)


def ends_clean(image, problem):
    """Observes only bitmaps with one table entry, where the end is missing."""
    done = run(*findings.TOOL, 'bitmaps', '--index=%d' % problem['bitmap'],
               '--field=bitmap_table_size', '--field=flags', image.path)
    n_entries, flags = (int(line) for line in done.stdout.split())
    if n_entries != 1 or flags & 1 != 0 or shutil.which('nbdinfo') is None \
            or shutil.which('qemu-nbd') is None:
        return True # it cannot be observed

    name = image.bitmap_names()[problem['bitmap']].decode()
    done = run('nbdinfo', '--json', '--map=qemu:dirty-bitmap:' + name, '--',
               '[', 'qemu-nbd', '-r', '-f', 'qcow2', '-B', name, image.path,
               ']')
    return json.loads(done.stdout)[-1]['type'] == 0


def can_be_copied(path):
    """Returns whether QEMU reads all of the disk."""
    new = os.path.join(findings.IMAGES, 'new.qcow2')
    return run('qemu-img', 'convert', '-f', 'qcow2', '-O', 'qcow2', path,
               new).returncode == 0


def is_readable(image, _):
    return can_be_copied(image.path)


def is_lost_by_repair(image, _):
    copy = image.copy()
    run('qemu-img', 'check', '-r', 'all', '-f', 'qcow2', copy)
    return can_be_copied(image.path) and not can_be_copied(copy)


def is_corrupt_when_read(image, problem):
    guest = re.search('at guest offset (0x[0-9a-f]+)$', problem['message'])
    if guest is None:
        return True # a snapshot has it
    copy = image.copy()
    done = run('qemu-io', '-f', 'qcow2', '-c', 'read %s 512' % guest.group(1),
               copy)
    data = json.loads(qemu_info(copy).stdout)['format-specific']['data']
    return b'read failed' in done.stdout + done.stderr \
        and data.get('corrupt', data['compat'] == '0.10')


VISIBLE = {
    'QEMU opens the image without bitmaps, and says nothing; the first write '
    'may fail and mark the image corrupt': has_silently_no_bitmaps,
    'QEMU opens the image without any header extension, and so without '
    'bitmaps': has_no_bitmaps,
    'QEMU does not look: it hides the bitmaps of this image': has_no_bitmaps,
    'QEMU takes all bitmaps for inconsistent, hides them, and drops them when '
    'it opens the image for writing': loses_bitmaps,
    'QEMU opens the image without a backing file': has_no_backing_file,
    'QEMU rounds the size down': has_rounded_size,
    'refcounts may be wrong: QEMU repairs them when it opens the image for '
    'writing': is_cured_by_writing,
    'QEMU clears them when it opens the image for writing':
        is_cured_by_writing,
    'QEMU has found damage, and opens the image only for reading':
        cannot_be_written,
    'QEMU opens the image only for reading: "No space left on device"':
        cannot_be_written,
    'QEMU opens the image only for reading: it cannot update the bitmap '
    'directory': cannot_be_written,
    'QEMU opens the image only for reading: it cannot update the bitmap '
    'directory, and marks the image corrupt when it tries': is_corrupt_then,
    'QEMU looks for the header extensions in the wrong place, and opens the '
    'image without bitmaps': has_no_bitmaps,
    'QEMU rounds the size of the disk down, and needs no such entry':
        has_that_bitmap,
    'QEMU must be told which file holds the data': needs_a_data_file,
    'QEMU keeps what it does not know': keeps_extensions,
    'QEMU cuts the name at the NUL byte: it opens another file, or takes '
    'another format, than the whole name says': is_cut_in_header,
    'QEMU guesses the format, and libvirt refuses such an image':
        has_no_backing_format,
    'QEMU does not look before it needs the refcounts, and may take the image '
    'for corrupt then': is_corrupt_when_written,
    'QEMU cuts the name there': is_cut_name,
    'QEMU prints it as it is': is_printed_raw,
    'normal while a writer runs; without one QEMU calls the bitmap '
    'inconsistent and does not use its contents': is_inconsistent,
    'QEMU reads zeroes there and takes that part of the disk for clean':
        ends_clean,
    'QEMU does not read this part of the disk: if it tries while the image is '
    'open for writing, it marks the image corrupt (version 2 has no such '
    'mark)': is_corrupt_when_read,
    'QEMU reads this part of the disk if the data end before the last of '
    'their sectors, and their end is in the file': is_readable,
    'QEMU reads this part of the disk, but does not count the reference to '
    'its data': is_readable,
    'QEMU counts the cluster as leaked, but it is in use: qemu-img check -r '
    'would free it, and the data would be lost': is_lost_by_repair,
}


def judge_sentences(image, seen):
    differences = []
    for problem in image.answer.problems:
        sentence = problem['consequence']
        if sentence not in VISIBLE:
            continue
        seen.add(sentence)
        if not VISIBLE[sentence](image, problem):
            differences.append('%s: not true: %s'
                               % (problem['rule'], sentence))
    return differences


# Remedies.


PLAN = os.path.join(findings.IMAGES, 'plan')


def run_printed(command, copy, *more):
    """Runs a command as it was printed, on COPY."""
    words = [{'IMAGE': copy}.get(word, word).replace('PLAN', PLAN)
             for word in shlex.split(command)]
    return run(*findings.TOOL, *words[1:], *more)


def forget_plan():
    if os.path.exists(PLAN):
        os.remove(PLAN)


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def commands_of(problems, name):
    """Returns the commands called NAME in the remedies of PROBLEMS."""
    return {command for problem in problems for command
            in re.findall('qcow2tool %s .*' % name, problem['remedy'])}


def try_hiding(image):
    """Runs the command that hides all bitmaps, and the one that undoes it,
    exactly as they are printed."""
    problems = image.with_remedy('qcow2tool clear-feature-bit')
    there, = commands_of(problems, 'clear-feature-bit')
    back, = commands_of(problems, 'apply')
    copy = image.copy()
    forget_plan()
    done = run_printed(there, copy)
    if done.returncode != 0:
        return [text_of(done)]
    differences = []
    if not image.either_way and not qemu_opens(copy):
        differences.append('QEMU does not open it after ' + there)
    if read(copy) == read(image.path):
        differences.append('the image is unchanged after ' + there)
    done = run_printed(back, copy)
    if done.returncode != 0:
        return differences + [text_of(done)]
    if read(copy) != read(image.path):
        differences.append('the image is not as before after ' + back)
    return differences


def try_taking_out(image):
    """Runs each command that removes one bitmap, and undoes it."""
    problems = image.with_remedy('qcow2tool remove-bitmap')
    before = image.bitmap_states()
    differences = []
    for there in sorted(commands_of(problems, 'remove-bitmap')):
        index = int(re.search('--index=([0-9]+)', there)[1])
        copy = image.copy()
        forget_plan()
        done = run_printed(there, copy)
        if done.returncode == 2 and 'shares a cluster' in text_of(done):
            continue
        # An error after the bitmap may become another one.
        if done.returncode == 2 and 'would be damaged' in text_of(done) \
                and len(image.refusing) > 1:
            continue
        if done.returncode != 0:
            differences.append(text_of(done))
            continue
        after = Image.states_in(copy)
        if [name for name, _ in after] \
                != [name for name, _ in before[:index] + before[index + 1:]]:
            differences.append('other bitmaps are left after ' + there)
        own = [problem for problem in image.answer.problems
               if problem['bitmap'] == index]
        if all(problem in own for problem
               in image.refusing + image.either_way) and not qemu_opens(copy):
            differences.append('QEMU does not open it after ' + there)
        back, = commands_of(problems, 'apply')
        done = run_printed(back, copy, '--force')
        if done.returncode != 0 or read(copy) != read(image.path):
            differences.append('the image is not as before: ' + text_of(done))
    return differences


def try_in_vain(image):
    """QEMU refuses the image even without its bitmaps."""
    copy = image.copy()
    with open(copy, 'r+b') as file:
        file.seek(95)
        last = file.read(1)[0]
        file.seek(95)
        file.write(bytes([last & 0xfe]))
    return ['QEMU opens it then'] if qemu_opens(copy) else []


def left(path, problems, *options):
    """Returns those of the rules that are still broken."""
    rules = {problem['rule'] for problem in problems}
    after = findings.Answer(path, *options)
    return ['%s is found again' % problem['rule']
            for problem in after.problems if problem['rule'] in rules]


def try_removing(image):
    problems = image.with_remedy('qemu-img bitmap --remove')
    names = image.bitmap_names()
    bad_names = {names[problem['bitmap']] for problem in problems}
    copy = image.copy()
    # Of several bitmaps with one name, QEMU uses the first.
    for name in filter(bad_names.__contains__, names):
        done = run('qemu-img', 'bitmap', '--remove', '-f', 'qcow2', copy, name)
        if done.returncode != 0:
            return ['%r: %s' % (name, text_of(done))]
    return left(copy, problems)


def try_repairing(image):
    problems = image.with_remedy('qemu-img check -r all')
    copy = image.copy()
    done = run('qemu-img', 'check', '-r', 'all', '-f', 'qcow2', copy)
    if done.returncode != 0:
        return [text_of(done)]
    if not qemu_opens(copy):
        return ['QEMU does not open it afterwards']
    return left(copy, problems, *image.options)


def try_copying(image):
    new = os.path.join(findings.IMAGES, 'new.qcow2')
    done = run('qemu-img', 'convert', '-f', 'qcow2', '-O', 'qcow2',
               image.copy(), new)
    if done.returncode != 0:
        return [text_of(done)]
    done = run('qemu-img', 'compare', '-f', 'qcow2', '-F', 'qcow2',
               image.path, new)
    if done.returncode != 0:
        return [text_of(done)]
    return findings.Answer(new).findings()


def repairs(path):
    return run('qemu-img', 'check', '-r', 'all', '-f', 'qcow2',
               path).returncode == 0


# The steps that a remedy needs before it works, and the failures until then.
PRECONDITIONS = {
    'once QEMU opens the image:': qemu_opens,
    'once QEMU opens the image for writing:': repairs,
    'once the damaged bitmaps in use are removed:': repairs,
    'once no other damage prevents it:': qemu_opens,
}


def judge_preconditions(tap, image, seen):
    early = []
    for words, works in PRECONDITIONS.items():
        if not any(words in (problem['remedy'] or '')
                   for problem in image.answer.problems):
            continue
        seen.add(words)
        if works == repairs and image.with_remedy('qemu-img check -r all'):
            continue # this one removes what is in the way
        copy = image.copy()
        if 'no other damage' in words:
            run(*findings.TOOL, 'clear-feature-bit', copy, 'autoclear',
                'bitmaps')
        if works(copy):
            early.append(words)
    if early:
        tap.ok('%s: preconditions' % image.name, early)


def judge_remedies(tap, image, seen):
    """Tries the remedies that are said to work at once."""
    wanted = [('hide', try_hiding,
               image.with_remedy('qcow2tool clear-feature-bit')),
              ('take out', try_taking_out,
               image.with_remedy('qcow2tool remove-bitmap')),
              ('remove', try_removing,
               image.with_remedy('qemu-img bitmap --remove')),
              ('in vain', try_in_vain,
               [problem for problem in image.refusing
                if problem['rule'].startswith('EXT-')
                # The missing part of an extension may concern bitmaps.
                and problem['rule'] != 'EXT-15'])]
    # Without the key of an encrypted image, or a backing file, nothing can be
    # tried.
    repaired = image.with_remedy('qemu-img check -r all')
    copied = image.with_remedy('qemu-img convert')
    if (repaired or copied) and image.fields('crypt_method') != ['2']:
        wanted.append(('repair', try_repairing, repaired))
        if 'backing-filename' not in (image.info or {}):
            wanted.append(('convert', try_copying, copied))

    for what, attempt, problems in wanted:
        if not problems:
            continue
        seen.update((what, problem['rule']) for problem in problems)
        excuse(tap, image, BEYOND_HELP, 'remedy: ' + what, attempt(image))


def excuse(tap, image, excuses, what, differences):
    """Reports a result; with an excuse, DIFFERENCES do not make it fail."""
    if differences and image.name in excuses:
        tap.ok('%s: %s' % (image.name, what))
        tap.note('known: ' + excuses[image.name])
        return
    tap.ok('%s: %s' % (image.name, what), differences)


def judge(tap, image, seen):
    if image.crashed:
        tap.note('%s: qemu-img crashes' % image.name)
    if image.answer.error is not None:
        return # this says nothing about QEMU

    what = 'opens' if image.opens else 'is refused'
    excuse(tap, image, KNOWN, what, judge_opening(image))
    if image.opens:
        differences = judge_sentences(image, seen)
        if differences or any(problem['consequence'] in VISIBLE
                              for problem in image.answer.problems):
            tap.ok('%s: consequences' % image.name, differences)
    judge_remedies(tap, image, seen)
    judge_preconditions(tap, image, seen)


def judge_encrypted(tap):
    """Runs the commands that are printed for an encrypted image, with its
    key."""
    path = os.path.join(findings.IMAGES, 'luks.img')
    key = os.path.join(findings.IMAGES, 'KEYFILE')
    with open(key, 'w', encoding='ascii') as file:
        file.write('secret')
    findings.make_encrypted(path, '4M', 'file=' + key)

    # The refcount of the header's cluster is 0.
    with open(path, 'r+b') as file:
        file.seek(0x20000)
        file.write(b'\0\0')
    problems = findings.Answer(path).problems
    remedy, = {problem['remedy'] for problem in problems
               if problem['rule'] == 'REF-01'}
    command = remedy[remedy.index('qemu-img check'):]
    tap.note(command)
    done = run('sh', '-c', command.replace('KEYFILE', shlex.quote(key))
               .replace('COPY', shlex.quote(path)))
    tap.ok('encrypted: the remedy succeeds',
           [] if done.returncode == 0 else [command, text_of(done)])
    tap.ok('encrypted: the remedy helps', left(path, problems))
    os.unlink(path)


# Everything here must occur, or some of the tests above test nothing.
NEEDED = list(VISIBLE) + list(PRECONDITIONS) + [
    ('hide', 'BEXT-03'), ('hide', 'BDIR-05'), ('take out', 'BTAB-01'),
    ('in vain', 'EXT-12'), ('remove', 'BDIR-07'), ('remove', 'BDIR-09'),
    ('remove', 'BTAB-05'), ('convert', 'OVL-01'), ('convert', 'OVL-02'),
    ('convert', 'HDR-18'), ('convert', 'L2-07'),
    ('repair', 'HDR-18'), ('repair', 'HDR-19'),
    ('repair', 'HDR-21'), ('repair', 'REF-01'), ('repair', 'L1-04'),
    ('repair', 'L2-04'), ('repair', 'RC-01'), ('repair', 'RC-02'),
    ('repair', 'SNAP-01')]


def main():
    tap = findings.Tap()
    seen = set()
    is_partial = findings.SLOW
    for name in findings.names()[::20 if findings.SLOW else 1]:
        if TOO_LARGE.match(name):
            continue
        try:
            judge(tap, Image(name), seen)
        except TooSlow as program:
            tap.note('%s: %s takes too long' % (name, program))
            is_partial = True

    judge_encrypted(tap)
    tap.ok('every consequence and remedy occurred',
           ['not: %s' % (what,) for what in NEEDED
            if what not in seen and not is_partial])
    return tap.finish()


if __name__ == '__main__':
    sys.exit(main())
