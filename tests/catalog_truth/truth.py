#!/usr/bin/env python3
"""Compares a catalogue with what an independent reading of the raw records says: exactly, to the call and the millisecond.

Reads ECS records of egress logs (JSON lines, .zst through the program `zstd`), counts hosts, callers, credentials and endpoints with
rules of its own, and asks the program for its lists. Prints one line a list, and the first differences; fails where there is one.

    python3 tests/catalog_truth/truth.py --apiwarden target/release/apiwarden FILE…

Not here: vendors' names, which come from the vendor pack; a vendor is taken for its hosts.
"""

import argparse
import collections
import json
import re
import subprocess
import sys
import tempfile

# Words at one place of a path, behind the same words, from which on they are ids.
MOST_WORDS = 12
# Ids of paths that their vendors document: https://docs.github.com/en/rest, https://www.twilio.com/docs/usage/api.
DOCUMENTED = {
    "api.github.com": (re.compile(r"^/repos/[^/]+/[^/]+(/contents/)?(?(1).+)"), lambda found: "/repos/{id}/{id}" + ("/contents/{rest}" if found[1] else "")),
    "api.twilio.com": (re.compile(r"^(/2010-04-01/Accounts/)[^/.]+"), r"\1{id}"),
}
BUCKET = re.compile(r"^[^.]+(\.s3[.-][^.]+\.amazonaws\.com)$")


def records(path):
    """The records of a file."""
    if path.endswith(".zst"):
        with subprocess.Popen(["zstd", "-dcq", path], stdout=subprocess.PIPE) as lines:
            yield from map(json.loads, lines.stdout)
    else:
        with open(path, encoding="utf-8") as lines:
            yield from map(json.loads, lines)


class Fact:
    """How often, from when and until when."""

    def __init__(self):
        self.calls, self.first, self.last = 0, "9", ""

    def add(self, calls, first, last):
        self.calls += calls
        self.first, self.last = min(self.first, first), max(self.last, last)

    def key(self):
        return self.calls, self.first, self.last


def count(paths):
    """Facts by host, by caller, by credential, by (host, method, segments); and the callers of each credential."""
    facts = [collections.defaultdict(Fact) for _ in range(4)]
    callers = collections.defaultdict(set)
    for file in paths:
        for record in records(file):
            time = record["@timestamp"]
            host = BUCKET.sub(r"{bucket}\1", record["url"]["domain"])
            caller = record["service"]["name"]
            credential = record.get("labels", {}).get("credential_id")
            path = record["url"].get("path", "/")
            if host in DOCUMENTED:
                pattern, named = DOCUMENTED[host]
                path = pattern.sub(named, path)
            segments = tuple(part for part in path.split("/") if part)
            keys = host, caller, credential, (host, record["http"]["request"]["method"], segments)
            for of, key in zip(facts, keys):
                if key:
                    of[key].add(1, time, time)
            callers[credential].add(caller)
    return *facts, callers


def is_id(segment):
    """Numbers, and longer words with digits in them that are no version, date or numbered word."""
    if segment.isdigit() or "@" in segment or "=" in segment or len(segment) > 32:
        return True
    digits = sum(map(str.isdigit, segment))
    is_name = re.fullmatch(r"v?\d+(\.\d+)*|20\d\d-\d\d(-\d\d)?|[A-Za-z_.-]+\d|v\d+[a-z]+\d*", segment)
    return digits > 0 and len(segment) >= 6 and not is_name


def templates(endpoints):
    """Endpoints by (host, method, template): place by place, ids and what is one of many become {id}."""
    for at in range(max(len(segments) for _, _, segments in endpoints)):
        words = collections.defaultdict(set)
        for host, method, segments in endpoints:
            if len(segments) > at:
                words[host, method, segments[:at]].add("{id}" if is_id(segments[at]) else segments[at])
        named = collections.defaultdict(Fact)
        for (host, method, segments), fact in endpoints.items():
            if len(segments) > at and (is_id(segments[at]) or len(words[host, method, segments[:at]]) > MOST_WORDS):
                segments = segments[:at] + ("{id}",) + segments[at + 1 :]
            named[host, method, segments].add(*fact.key())
        endpoints = named
    return {(host, method, "/" + "/".join(segments)): fact for (host, method, segments), fact in endpoints.items()}


def compare(name, said, truth):
    """One line, and what differs; whether all is equal."""
    missing, wrong = truth - said, said - truth
    print(f"{name}: {sum(truth.values())} of the records, {sum(said.values())} of the catalogue, {sum(wrong.values())} differ")
    for word, rows in (("not in the catalogue", missing), ("only there", wrong)):
        for row in sorted(rows, key=str)[:5]:
            print(f"  {word}: {row}")
    return not missing and not wrong


def in_milliseconds(time):
    """A time as the records write it: 2026-09-18T23:59:27.24Z has two zeros too few."""
    seconds, _, fraction = time.removesuffix("Z").partition(".")
    return f"{seconds}.{fraction.ljust(3, '0')}Z"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--apiwarden", required=True)
    arguments.add_argument("files", nargs="+")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as store:
        build = [given.apiwarden, "catalog", "build", "--store", store]
        for file in given.files:
            build += ["--input", file]
        subprocess.run(build, check=True)

        def said(what):
            command = [given.apiwarden, "catalog", what, "--store", store, "--format", "json"]
            return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

        lists = {what: said(what) for what in ("vendors", "hosts", "callers", "credentials", "endpoints")}

    def fact(row):
        return row["calls"], in_milliseconds(row["first_seen"]), in_milliseconds(row["last_seen"])

    hosts, callers, credentials, endpoints, callers_of = count(given.files)
    vendor_of = {host: row["vendor"] for row in lists["vendors"] for host in row["hosts"]}
    vendors = collections.defaultdict(Fact)
    by_vendor = collections.defaultdict(Fact)
    for host, of in hosts.items():
        vendors[vendor_of.get(host)].add(*of.key())
    for (host, method, template), of in templates(endpoints).items():
        by_vendor[vendor_of.get(host), method, template].add(*of.key())
    counter = collections.Counter
    equal = [
        compare("vendors", counter((row["vendor"], *fact(row)) for row in lists["vendors"]), counter((key, *of.key()) for key, of in vendors.items())),
        compare("hosts", counter((row["host"], *fact(row)) for row in lists["hosts"]), counter((key, *of.key()) for key, of in hosts.items())),
        compare("callers", counter((row["caller"], *fact(row)) for row in lists["callers"]), counter((key, *of.key()) for key, of in callers.items())),
        # The catalogue has fingerprints, with a key of its own: credentials are told apart by all that is said of them.
        compare(
            "credentials",
            counter((" ".join(sorted(row["callers"])), *fact(row)) for row in lists["credentials"]),
            counter((" ".join(sorted(callers_of[key])), *of.key()) for key, of in credentials.items()),
        ),
        compare(
            "endpoints",
            counter((row["vendor"], row["method"], row["template"], *fact(row)) for row in lists["endpoints"]),
            counter((*key, *of.key()) for key, of in by_vendor.items()),
        ),
    ]
    sys.exit(0 if all(equal) else 1)


if __name__ == "__main__":
    main()
