#!/usr/bin/env python3
"""How many public Sigma rules apiwarden evaluates, why not the others, and what fires on labelled CloudTrail: the tables in rules.md.

    public_rules.py APIWARDEN RULES.tar.gz [CLOUDTRAIL_SET …]    # a set is a directory with events_masked.jsonl.gz and labels.csv

Rules and records are read where they lie. Standard library only.
"""
import collections
import csv
import gzip
import json
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def source_of(path):
    text = path.read_text()
    found = re.search(r"^logsource:\n((?:[ \t]+.*\n)+)", text, re.M)
    lines = [line.strip() for line in found.group(1).splitlines()] if found else []
    return " ".join(line.split(": ", 1)[1] for line in lines if line.startswith(("product", "service", "category")))


def reason_of(text):
    text = text.split("not evaluable: ", 1)[1]
    if "rows tell apart" in text:
        return "a value that rows do not tell apart"
    return re.sub(r"^(field \S+|logsource [^:]*: [^:]*(, [^:]*: [^:]*)*): ", "", text)


def coverage(apiwarden, rules):
    lines = run(apiwarden, "rules", "check", rules).splitlines()
    lost = {line.split(":")[0]: reason_of(line) for line in lines if ": not evaluable: " in line}
    by_source = collections.defaultdict(lambda: [0, 0])
    for path in rules.rglob("*.yml"):
        of = by_source[source_of(path)]
        of[0] += 1
        of[1] += str(path) not in lost
    print(lines[-1] + "\n")
    table(["log source", "rules", "evaluated"], [(name, *of) for name, of in sorted(by_source.items(), key=lambda x: -x[1][0])])
    table(["why not", "rules"], collections.Counter(lost.values()).most_common())


def firing(apiwarden, rules, directory):
    labels = {row["event_id"]: row["score_use"] for row in csv.DictReader((directory / "labels.csv").open())}
    parts = collections.defaultdict(list)
    for line in gzip.open(directory / "events_masked.jsonl.gz", "rt"):
        parts[labels[json.loads(line)["eventID"]]].append(line)
    print(directory.name)
    rows = []
    for use, lines in sorted(parts.items()):
        with tempfile.NamedTemporaryFile("w", suffix=".ndjson") as file:
            file.writelines(lines)
            file.flush()
            found = run(apiwarden, "rules", "rehearse", rules, "--input", file.name).splitlines()
        fired = collections.Counter(line.split()[0] for line in found[1:-1] if line.strip())
        rows.append((use, len(lines), len(fired), sum(fired.values()), ", ".join(sorted(fired))))
    table(["rows", "records", "rules that fire", "rule and subject", "which"], rows)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as unpacked:
        rules = pathlib.Path(unpacked)
        tarfile.open(sys.argv[2]).extractall(rules)
        coverage(sys.argv[1], rules)
        for directory in map(pathlib.Path, sys.argv[3:]):
            firing(sys.argv[1], rules, directory)


main()
