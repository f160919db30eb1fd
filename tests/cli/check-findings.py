#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares the findings of `qcow2tool check` with tables.

corpus TABLE            TABLE contains the violations of each image
rules TABLE SAMPLES     for each way to break a rule, TABLE names an image that
                        does so, and one that just does not; the images in the
                        folder SAMPLES break no rule
"""

import collections
import glob
import gzip
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.append(os.path.dirname(sys.path[0]))

import findings # noqa: E402


def compare(answer, verdict, wanted, has_others):
    """Returns the differences between ANSWER and a row of the corpus."""
    found = set(answer.findings())
    errors = {finding for finding in found if finding[0] == 'E'}
    warnings = {finding for finding in found if finding[0] == 'W'}
    ours = 'E' if errors else 'W' if warnings else 'OK'
    status = 1 if answer.error else 2 if verdict == 'E' else 0

    differences = []
    if wanted - found:
        differences.append('not found: ' + '; '.join(sorted(wanted - found)))
    if found - wanted and not has_others:
        differences.append('found: ' + '; '.join(sorted(found - wanted)))
    if ours != verdict:
        differences.append('verdict %s, not %s' % (ours, verdict))
    if answer.status != status:
        differences.append('status %d, not %d' % (answer.status, status))
    if bool(answer.messages) != bool(answer.error):
        differences.append('messages: ' + answer.messages)
    return differences


def corpus(table):
    tap = findings.Tap()
    for row in findings.rows(table)[::4 if findings.SLOW else 1]:
        name, verdict, *rest = row.split(None, 2)
        wanted = {word.strip() for word in ''.join(rest).split(';')} - {''}
        has_others = '+' in wanted
        answer = findings.check_image(name, '--metadata')
        tap.ok(name, compare(answer, verdict, wanted - {'+'}, has_others))
    return tap.finish()


def name_cases():
    """Returns all ways to break a rule, by their names in the table."""
    rules = findings.all_rules()
    how_many = collections.Counter(rule['rule'] for rule in rules)
    seen = collections.Counter()
    cases = {}
    for rule in rules:
        name = rule['rule']
        seen[name] += 1
        if how_many[name] > 1:
            name = '%s/%d' % (name, seen[name])
        cases[name] = rule
    return cases


def says(problem, rule):
    """Returns whether PROBLEM is a violation of RULE in just this way."""
    if any(problem[key] != rule[key] for key in ('rule', 'severity')):
        return False
    # If only one number is allowed, it may stand in place of the text.
    if problem['allowed'] != rule['allowed'] \
            and not (problem['allowed'] or '').isdecimal():
        return False
    if rule['consequence'] is None or problem['consequence'] is None:
        return problem['consequence'] == rule['consequence']

    pattern = re.sub(r'\\\{(name|value)\\\}', '.*',
                     re.escape(rule['consequence']))
    return re.fullmatch(pattern, problem['consequence']) is not None


def breaks(answer, rule):
    if answer.error is not None:
        return ' E %s@' % rule['rule'] in ' ' + answer.findings()[-1]
    return any(says(problem, rule) for problem in answer.problems)


def options_for(rule):
    """Returns the options of check with which RULE is examined alone."""
    disk = re.match('(L1|L2|SNAP|RC)-|OVL-03|RES-08', rule['rule'])
    return [] if disk else ['--metadata']


def judge_image(name, rule, others):
    """Returns the errors in the claim that the image breaks RULE and
    OTHERS."""
    answer = findings.check_image(name, *options_for(rule))
    found = answer.findings()
    broken = {finding.split()[1].split('@')[0] for finding in found}

    differences = []
    if not breaks(answer, rule):
        differences.append('%s is not found' % rule['rule'])
    if broken - {rule['rule']} != others:
        differences.append('found: ' + '; '.join(found))
    return differences


def judge_neighbour(name, rule):
    if breaks(findings.check_image(name, *options_for(rule)), rule):
        return ['%s has it, too' % name]
    return []


def judge_samples(tap, directory):
    # One image has a bitmap that its writer did not save, another one has
    # extensions that are in no specification.
    known = {'multi-entry': {'BDIR-09'}, 'unknown-ext': {'EXT-09'}}
    for packed in sorted(glob.glob(os.path.join(directory, '*.qcow2.gz'))):
        name = os.path.basename(packed).split('.')[0]
        path = os.path.join(findings.IMAGES, name + '.qcow2')
        with gzip.open(packed) as image, open(path, 'wb') as copy:
            copy.write(image.read())
        answer = findings.Answer(path)
        found = {problem['rule'] for problem in answer.problems}
        tap.ok('sample ' + name, answer.findings()
               if answer.error or found != known.get(name, set()) else ())


def rules(table, samples):
    tap = findings.Tap()
    cases = name_cases()
    named = []
    for number, row in enumerate(findings.rows(table)):
        words, _, others = row.partition(' with ')
        case, image, *rest = words.split()
        named.append(case)
        if case not in cases:
            tap.ok(case, ['the rule does not exist'])
        elif image != '-' and not (findings.SLOW and number % 5):
            tap.ok('%s: %s' % (case, image),
                   judge_image(image, cases[case], set(others.split())))
            tap.ok('%s: not %s' % (case, rest[0]),
                   judge_neighbour(rest[0], cases[case]))

    missing = [case for case in cases if case not in named]
    tap.ok('the table has every way to break a rule', missing)
    in_order = [case for case in cases if case in named]
    tap.ok('the rows of the table are in order',
           [] if list(dict.fromkeys(named)) == in_order else ['they do not'])
    judge_samples(tap, samples)
    return tap.finish()


COMMANDS = {'corpus': corpus, 'rules': rules}

if __name__ == '__main__':
    sys.exit(COMMANDS[sys.argv[1]](*sys.argv[2:]))
