#!/usr/bin/env python3
"""Which harmless changes page, and which attacks are found, by kind: the tables in evaluation.md, "Harmless changes by kind".

    harmless.py DIRECTORY PROGRAM [LOG]    # LOG: egress-scenarios' training log, as a fifth company

Makes companies of several sizes with `PROGRAM simulate` (twenty days), plants harmless changes and attacks into their last six days with
`PROGRAM inject`, learns the first fourteen, and scans. What was made is kept in DIRECTORY, so that a second program (of another name) judges the same logs.
A page belongs to what it names (a caller, host or credential), from the start to an hour after the end. Standard library only.
"""
import csv
import json
import os
import subprocess
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

HOUR = 3_600_000
# Name, seed, callers, vendors, calls a day.
COMPANIES = [("small", 51, 8, 12, 8_000), ("middle", 52, 20, 25, 40_000), ("wide", 53, 40, 40, 20_000), ("thin", 54, 20, 15, 12_000)]
START, FROM = "2026-08-15", "2026-08-29T00:00:00Z"
SPEC = """seed = {}
format = "ecs"
start = "{}"
days = 20
callers = {}
vendors = {}
calls_a_day = {}
weekend_level = 0.55
"""
# The strength and the seed of each set of attacks, and of harmless changes.
ATTACKS = [("medium", 1), ("hard", 2)]
HARMLESS = [("easy", 3), ("medium", 4), ("hard", 5)]


def milliseconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000


def run(*command):
    with open(os.devnull, "w") as null:
        subprocess.run([str(part) for part in command], check=True, stdout=null, stderr=null)


def scenarios(program):
    """The names of egress scenarios that are malicious, and of those that are not."""
    listed = subprocess.run([program, "inject", "--list"], check=True, capture_output=True, text=True).stdout
    shipped = Path(__file__).parent.parent / "datasets" / "scenarios"
    both = [], []
    for file in sorted(shipped.glob("*.toml")):
        text = file.read_text()
        if 'view = "egress"' in text and (file.stem in listed or "SCENARIOS" in os.environ):
            both["malicious = false" in text].append(file.stem)
    return both


def prepare(directory, program, log):
    """Logs and labels of every company, where they are not there yet; yields (company, set, log, labels, history)."""
    attacks, harmless = scenarios(program)
    companies = [(name, SPEC.format(seed, START, *sizes), FROM) for name, seed, *sizes in COMPANIES]
    if log:
        companies.append(("scenarios", None, "2026-09-11T00:00:00Z"))
    for name, spec, since in companies:
        home = directory / name
        home.mkdir(parents=True, exist_ok=True)
        benign = Path(log) if spec is None else home / "egress.ndjson.zst"
        if not benign.exists():
            (home / "spec.toml").write_text(spec)
            run(program, "simulate", home / "spec.toml", "--out", home)
        history = home / "history.ndjson.zst"
        sets = [("attacks", attacks, of) for of in ATTACKS] + [("harmless", harmless, of) for of in HARMLESS]
        if spec is None:
            sets += [("attacks", attacks, ("medium", 2)), ("attacks", attacks, ("medium", 3))]
        extra = ["--scenarios", os.environ["SCENARIOS"]] if "SCENARIOS" in os.environ else []
        for what, names, (strength, seed) in sets:
            planted, labels = home / f"{what}-{strength}-{seed}.ndjson.zst", home / f"{what}-{strength}-{seed}.csv"
            if not planted.exists():
                own = history if not history.exists() else home / "other.ndjson.zst"
                run(program, "inject", "--input", benign, "--from", since, "--history-out", own, "--out", planted, "--labels", labels,
                    "--strength", strength, "--seed", seed, *extra, "--scenario", *names)
                if own != history:
                    own.unlink()
            yield name, f"{what}-{strength}-{seed}", planted, labels, history


def names(alert, whole, row):
    by_host = not row["caller"] and row["vendor_host"] and f'"{row["vendor_host"]}"' in whole
    by_caller = row["caller"] and f'"{row["caller"]}"' in whole
    return by_caller or by_host or (row["credential"] and row["credential"] in whole)


def read_labels(*files):
    rows = [row for file in files if file.exists() for row in csv.DictReader(open(file))]
    for row in rows:
        row["span"] = milliseconds(row["start"]), milliseconds(row["end"]) + HOUR
    return rows


def score(alerts, labels, own_labels, tally):
    """Adds a set to the tally: planted, found or paged by kind; pages that belong to nothing."""
    since = min(row["span"][0] for row in labels) - 24 * HOUR
    rows = labels + [row for row in own_labels if row["span"][1] > since]
    pages = {}
    for line in open(alerts):
        alert = json.loads(line)
        if alert["severity_id"] >= 3:
            pages.setdefault(alert["finding_info"]["uid"], []).append((alert, line))
    # A set of attacks is judged by its attacks, a set of harmless changes by those: the company's own changes are in both.
    is_attack_set = any(row["malicious"] == "1" for row in labels)
    for row in labels:
        kind = row["scenario"].split(".")[0] if row["malicious"] == "1" else row["kind"]
        tally["planted"][row["malicious"], kind] += 1
    hit = set()
    for steps in pages.values():
        of = [row for row in rows if any(row["span"][0] <= a["time"] <= row["span"][1] and names(a, line, row) for a, line in steps)]
        malicious = [row for row in of if row["malicious"] == "1"]
        if malicious:
            hit.update(id(row) for row in malicious)
            continue
        detector, message = steps[0][0]["finding_info"]["analytic"]["name"], steps[0][0]["message"]
        first = next(iter(of), None)
        where = "nothing" if first is None else ("planted: " if first in labels else "own: ") + first["kind"]
        tally["attack set" if is_attack_set else "harmless set"][where] += 1
        tally["detector"][detector] += 1
        hit.update(id(row) for row in of if row in labels)
        tally["messages"].append((where, detector, message))
    for row in labels:
        if id(row) in hit:
            kind = row["scenario"].split(".")[0] if row["malicious"] == "1" else row["kind"]
            tally["hit"][row["malicious"], kind] += 1
        elif row["malicious"] == "1":
            tally["missed"].append(row["scenario"])


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    directory, program = Path(sys.argv[1]), sys.argv[2]
    log = sys.argv[3] if len(sys.argv) > 3 else None
    tallies = {}
    for company, what, planted, labels, history in prepare(directory, program, log):
        out = directory / company / Path(program).name
        out.mkdir(exist_ok=True)
        if not (out / "model").exists():
            run(program, "train", "--input", history, "--out", out / "model")
        alerts = out / f"{what}.alerts"
        if not alerts.exists():
            run(program, "scan", "--model", out / "model", "--input", planted, "--output", alerts)
        key = what.rsplit("-", 1)[0]
        new = lambda: {"messages": [], "missed": [], **{name: Counter() for name in ("planted", "hit", "attack set", "harmless set", "detector")}}
        own = read_labels(directory / company / "labels.csv") if company != "scenarios" else []
        for tally in (tallies.setdefault((company, key), new()), tallies.setdefault(("all", key.split("-")[0]), new())):
            score(alerts, read_labels(labels), own, tally)
    print("| company, set | planted | found or paged | pages on nothing planted |\n|---|---|---|---|")
    for (company, key), tally in tallies.items():
        pages = tally["attack set"] + tally["harmless set"]
        others = sum(count for where, count in pages.items() if not where.startswith("planted"))
        print(f"| {company} {key} | {tally['planted'].total()} | {tally['hit'].total()} | {others} |")
    for key, title in [("harmless", "harmless kind"), ("attacks", "attack")]:
        tally = tallies["all", key]
        print(f"\n| {title} | planted | {'found' if key == 'attacks' else 'paged'} |\n|---|---|---|")
        for (_, kind), planted in sorted(tally["planted"].items()):
            print(f"| {kind} | {planted} | {tally['hit'][_, kind]} |")
        print(f"\npages on nothing planted: {dict(tally['attack set'] + tally['harmless set'])}\nby detector: {dict(tally['detector'])}")
    if os.environ.get("VERBOSE"):
        for (company, key), tally in tallies.items():
            if company != "all":
                print(company, key, "missed:", *tally["missed"])
                for message in tally["messages"]:
                    print("   ", *message, sep="\t")


main()
