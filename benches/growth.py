#!/usr/bin/env python3
"""Throughput, memory and bundle size over the number of entities, on one core, beside another binary.

    benches/growth.py target/release/apiwarden --against old/apiwarden
    benches/growth.py target/release/apiwarden --pairs 1000,10000 --runs 5
    benches/growth.py target/release/apiwarden --logs large/egress.ndjson.zst --entities 16000

An entity is a pair of caller and vendor with four calls within six hours. `train` reads the first day, `scan` the second: the
same pairs, other calls. Prints a markdown table and writes growth.svg. Standard library only.
"""

import argparse
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import runs

COMMANDS = ["train", "scan"]
CORE = "0"
SVG = Path(__file__).with_suffix(".svg")
COLOURS = {"train": "#b3541e", "scan": "#1f5f8b"}


@dataclass
class Measured:
    """What one binary took for one number of entities."""

    records: int
    entities: int
    seconds: dict
    memory: dict
    bundle: int
    alerts: int


def measure(binary, logs, records, entities, count, directory):
    """Trains on the first of `logs` and scans the second, `count` times; the least CPU time counts, and the largest memory."""
    bundle, alerts = directory / "bundle", directory / "alerts.ndjson"
    seconds, memory = {}, {}
    commands = [("train", ["--input", logs[0], "--out", bundle]),
                ("scan", ["--input", logs[1], "--model", bundle, "--output", alerts])]
    for command, arguments in commands:
        taken = [runs.run(binary, command, *arguments, cores=CORE) for _ in range(count)]
        seconds[command] = min(run.cpu for run in taken)
        memory[command] = max(run.memory for run in taken)
    lines = sum(1 for _ in open(alerts, "rb"))
    measured = Measured(records, entities, seconds, memory, runs.bundle_bytes(bundle), lines)
    shutil.rmtree(bundle)
    return measured


def speed(measured, startup, command):
    """Records per CPU second, without what one entity takes: the start of the program."""
    return measured.records / max(measured.seconds[command] - startup.seconds[command], 1e-3)


def rows_of(measured, startup, other, other_startup):
    rows = []
    smallest = measured[0]
    for place, now in enumerate(measured):
        for command in COMMANDS:
            of_now = speed(now, startup, command)
            ratio = f"{of_now / speed(other[place], other_startup, command):.2f}" if place < len(other) else "-"
            memory = now.memory[command]
            an_entity = (memory - startup.memory[command]) / now.entities
            rows.append([command, f"{now.entities:,}", f"{now.records:,}", f"{of_now:,.0f}",
                         f"{speed(smallest, startup, command) / of_now:.2f}", ratio, f"{memory / 1e6:,.0f}",
                         f"{an_entity:,.0f}", f"{now.bundle / 1e6:.1f}", f"{now.bundle / now.entities:,.0f}",
                         f"{now.alerts:,}" if command == "scan" else ""])
    return sorted(rows, key=lambda row: COMMANDS.index(row[0]))


HEADER = ["command", "entities", "records", "records/s", "time per record, relative to the fewest entities",
          "records/s, relative to --against", "peak RSS, MB", "RSS per entity, bytes", "bundle, MB",
          "bundle per entity, bytes", "alerts"]


def plot(series):
    """SVG of records per second over entities, both logarithmic; `series` are (name, colour, dashes, points)."""
    from math import ceil, floor, log10

    width, height, left, bottom, top, right = 560, 320, 70, 45, 15, 150
    points = [point for *_, of_series in series for point in of_series]
    low_x, high_x = (bound(log10(x) for x, _ in points) for bound in (min, max))
    low_y, high_y = floor(min(log10(y) for _, y in points)), ceil(max(log10(y) for _, y in points))

    def x_of(value):
        return left + (log10(value) - low_x) / max(high_x - low_x, 1e-9) * (width - left - right)

    def y_of(value):
        return height - bottom - (log10(value) - low_y) / max(high_y - low_y, 1) * (height - bottom - top)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
             'font-size="12">', f'<rect width="{width}" height="{height}" fill="white"/>']
    for power in range(low_y, high_y + 1):
        y = y_of(10**power)
        parts.append(f'<path d="M{left} {y:.1f}H{width - right}" stroke="#ddd"/>'
                     f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{10**power:,}</text>')
    for x in sorted({x for x, _ in points}):
        parts.append(f'<text x="{x_of(x):.1f}" y="{height - bottom + 18}" text-anchor="middle">{x:,}</text>')
    parts.append(f'<text x="{(left + width - right) / 2}" y="{height - 8}" text-anchor="middle">entities</text>'
                 f'<text transform="translate(14 {height / 2}) rotate(-90)" text-anchor="middle">records/s</text>')
    labels = []
    for name, colour, dashes, of_series in series:
        line = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in of_series)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2" '
                     f'stroke-dasharray="{dashes}"/>')
        labels.append((y_of(of_series[-1][1]), name, colour))
    last = float("-inf")
    for y, name, colour in sorted(labels):
        last = max(y, last + 14)
        parts.append(f'<text x="{width - right + 6}" y="{last + 4:.1f}" fill="{colour}">{name}</text>')
    return "\n".join(parts + ["</svg>", ""])


def series_of(name, measured, startup, dashes):
    def points(command):
        return [(one.entities, speed(one, startup, command)) for one in measured]
    return [(f"{command}{name}", COLOURS[command], dashes, points(command)) for command in COMMANDS]


def count_records(path):
    if path.suffix != ".zst":
        return sum(1 for _ in open(path, "rb"))
    with subprocess.Popen(["zstd", "-dc", str(path)], stdout=subprocess.PIPE) as lines:
        return sum(1 for _ in lines.stdout)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("binary", type=Path)
    options.add_argument("--against", type=Path, help="another binary, measured on the same logs")
    options.add_argument("--pairs", default="1000,10000,100000", help="numbers of entities")
    options.add_argument("--most-against", type=int, default=10**9, help="most entities that --against is measured with")
    options.add_argument("--steady", action="store_true", help="call at the same times on both days: hardly any alert")
    options.add_argument("--runs", type=int, default=3, help="runs of each command, of which the fastest counts")
    options.add_argument("--logs", type=Path, help="records of `apiwarden simulate`: trained on and scanned, beside the pairs")
    options.add_argument("--entities", type=int, help="number of pairs in --logs")
    options.add_argument("--svg", type=Path, default=SVG)
    options = options.parse_args()

    print(f"{runs.machine()}\n", flush=True)
    binaries = [binary for binary in (options.binary, options.against) if binary]
    startup = {binary: None for binary in binaries}
    measured = {binary: [] for binary in binaries}
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        for pairs in [1, *map(int, options.pairs.split(","))]:
            logs = [directory / f"{day}.ndjson" for day in range(2)]
            records = [runs.write_logs(log, pairs, day=day, steady=options.steady) for day, log in enumerate(logs)]
            for binary in binaries[: 2 if pairs <= options.most_against else 1]:
                one = measure(binary, logs, records[0], pairs, options.runs, directory)
                if pairs == 1:
                    startup[binary] = one
                else:
                    measured[binary].append(one)
        options.svg.write_text(plot(
            series_of("", measured[options.binary], startup[options.binary], "none")
            + (series_of(", against", measured[options.against], startup[options.against], "5 4")
               if options.against else [])), encoding="utf-8")
        if options.logs:
            records = count_records(options.logs)
            for binary in binaries:
                measured[binary].append(
                    measure(binary, [options.logs] * 2, records, options.entities, 1, directory))
    other = measured.get(options.against, [])
    print(runs.table(HEADER, rows_of(measured[options.binary], startup[options.binary], other,
                                     startup.get(options.against))))
    for binary in binaries:
        start = startup[binary].seconds
        print(f"\nTaken off as the start of {binary}: train {start['train']:.3f} s, scan {start['scan']:.3f} s.")
    print(f"\nAfterwards: {runs.machine()}")


if __name__ == "__main__":
    main()
