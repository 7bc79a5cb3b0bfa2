#!/usr/bin/env python3
"""The catalogue at scale: what its commands take on many vendors, endpoints, credentials and callers, and what one caller that makes names
up can do to it.

    benches/catalog.py target/release/apiwarden                      # 5,000 vendors, 100,000 endpoints, 50,000 credentials, 2,000 callers
    benches/catalog.py target/release/apiwarden --made-up 10000000   # ten million paths, hosts and keys of one caller

Prints a markdown table of seconds and peak memory. Standard library only.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

DAY = datetime(2026, 9, 1, tzinfo=timezone.utc)
DAYS = 30
LISTS = ["vendors", "endpoints", "credentials", "callers", "classes", "rotations", "findings", "changes"]


def record(number, caller, host, path, key, days=DAYS):
    """A call, somewhere in the days."""
    at = DAY + timedelta(seconds=number * 86_400 * days // max(1, record.calls))
    return json.dumps(
        {
            "@timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "ecs": {"version": "8.17.0"},
            "service": {"name": caller},
            "url": {"scheme": "https", "domain": host, "path": path},
            "http": {"request": {"method": "GET"}, "response": {"status_code": 200, "bytes": 900}},
            "labels": {"credential_id": key},
        },
        separators=(",", ":"),
    )


def large_company(vendors, endpoints, credentials, callers):
    """Calls in which each vendor, endpoint, credential and caller is there, four of each endpoint."""
    record.calls = endpoints * 4
    for number in range(record.calls):
        vendor = number % vendors
        endpoint = number // vendors % (endpoints // vendors)
        credential = number % credentials
        yield record(number, f"svc{credential % callers}", f"api.vendor{vendor}.com", f"/v1/kind-{letters(endpoint // 5)}/part-{letters(endpoint % 5)}", f"key_{credential}")


def made_up(calls):
    """Calls of one caller, no two alike, beside an honest one."""
    record.calls = calls
    for number in range(calls):
        word = letters(number)
        yield record(number, "buggy", f"{word}.example{number}.com", f"/{word}/{word}", f"key_{number}")
        if number % 1_000 == 0:
            yield record(number, "billing", "api.stripe.com", "/v1/charges", "key_of_billing")


def letters(number):
    """A word for a number: digits would be an id."""
    word = ""
    while True:
        word += chr(ord("a") + number % 26)
        number //= 26
        if not number:
            return word


def timed(command, lines=None):
    """Seconds, peak memory in MB and standard output of a command, which reads lines."""
    began = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.PIPE if lines else None, stdout=subprocess.PIPE, text=True) as process:
        if lines:
            for line in lines:
                process.stdin.write(line + "\n")
            process.stdin.close()
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit code {process.returncode}")
    return time.monotonic() - began, usage.ru_maxrss / 1024, output


def show(name, seconds, megabytes, note=""):
    print(f"| {name} | {seconds:.1f} | {megabytes:.0f} | {note} |", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("apiwarden")
    arguments.add_argument("--vendors", type=int, default=5_000)
    arguments.add_argument("--endpoints", type=int, default=100_000)
    arguments.add_argument("--credentials", type=int, default=50_000)
    arguments.add_argument("--callers", type=int, default=2_000)
    arguments.add_argument("--made-up", type=int)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as home:
        store = str(Path(home) / "store")
        catalog = [given.apiwarden, "catalog"]
        lines = made_up(given.made_up) if given.made_up else large_company(given.vendors, given.endpoints, given.credentials, given.callers)
        print("| command | s | peak MB | |\n|---|---|---|---|")
        # The time holds that of this script, which makes the records meanwhile.
        seconds, megabytes, output = timed([*catalog, "build", "--input", "-", "--store", store], lines)
        size = (Path(store) / "catalog.sqlite").stat().st_size / 2**20
        show("catalog build", seconds, megabytes, f"{record.calls:,} calls, file {size:.0f} MB")
        for name in LISTS:
            what = [*catalog, name] if name != "changes" else [*catalog, "changes", "--since", "7d"]
            seconds, megabytes, output = timed([*what, "--store", store, "--format", "json"])
            rows = json.loads(output)
            note = f"{len(rows):,} rows"
            if name == "findings":
                note += "".join(f"; {row['finding']} ({row['caller']}, {row['kind']})" for row in rows[:4])
            show(f"catalog {name}", seconds, megabytes, note)
        target = "stripe" if given.made_up else "vendor7.com"
        seconds, megabytes, _ = timed([given.apiwarden, "impact", target, "--store", store, "--json"])
        show(f"impact {target}", seconds, megabytes)


if __name__ == "__main__":
    main()
