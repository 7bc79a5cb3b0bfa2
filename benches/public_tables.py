#!/usr/bin/env python3
"""Public sets that are no API call logs, as labelled tables for `tables.rs`.

    benches/public_tables.py /path/to/datasets /tmp/tables
    APIWARDEN_TABLES=/tmp/tables cargo bench --bench tables

They have rows without callers, or series without calls, so they exercise the multivariate models alone:

    openstack_api_failures  counts of API calls by run; an anomaly is a run that failed
    api_access_behavior     measures of a session; an anomaly is an attack or a bot, without the two columns that give the label away
    nab                     a row per value of a series: the value, its changes and its deviation from the hour of day; an anomaly lies in a labelled window

Standard library only.
"""

import csv
import gzip
import statistics
import sys
from collections import defaultdict
from datetime import datetime
from pathlib import Path

# Changes over so many values before.
LAGS = (1, 12)
# The share of a series that NAB does not score.
PROBATION = 0.15
# What separates the classes of api_access_behavior by the way it was collected.
GIVES_AWAY = ("row", "num_users", "num_sessions", "source", "behavior", "behavior_type", "classification", "ip_type")


def rows_of(path: Path, **layout) -> list[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file, **layout))


def write(out: Path, name: str, columns: list[str], rows: list[list], labels: list[bool]) -> None:
    with open(out / f"{name}.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "label"])
        writer.writerows([*row, int(label)] for row, label in zip(rows, labels))
    print(f"{name}: {len(rows)} rows, {sum(labels)} anomalies")


def openstack(folder: Path, out: Path) -> None:
    """A test run of OpenStack each; the last class is no failure."""
    for part, fine in (("DEPL", "6"), ("STO", "4")):
        runs = rows_of(folder / part / "SEQ.tsv.gz", delimiter="\t")
        with gzip.open(folder / part / "Failure_Labels.txt.gz", "rt") as file:
            labels = [line.strip() != fine for line in file if line.strip()]
        columns = list(runs[0])
        write(out, f"openstack-{part}", columns, [[run[column] for column in columns] for run in runs], labels)


def api_access(folder: Path, out: Path) -> None:
    """Sessions: those normal by hand, and those that are attacks or bots by the publisher's rules."""
    normal = [row for row in rows_of(folder / "supervised_dataset.csv.gz") if row["classification"] == "normal"]
    remaining = rows_of(folder / "remaining_behavior_ext.csv.gz")
    odd = [row for row in remaining if row["behavior"] in ("bot", "attack") or row["behavior_type"] in ("bot", "attack")]
    columns = [column for column in normal[0] if column not in GIVES_AWAY]
    rows = [[row[column] or "nan" for column in columns] for row in normal + odd]
    write(out, "api_access", columns, rows, [False] * len(normal) + [True] * len(odd))


def nab(folder: Path, out: Path) -> None:
    """A table a series; labels are NAB's windows, its probation is left out."""
    windows = defaultdict(list)
    with open(folder / "windows.csv", newline="") as file:
        for row in csv.DictReader(file):
            windows[row["file"]].append((datetime.fromisoformat(row["start"]), datetime.fromisoformat(row["end"])))
    for path in sorted((folder / "data").glob("*/*.csv.gz")):
        name = f"{path.parent.name}/{path.name.removesuffix('.gz')}"
        if name not in windows:
            continue
        series = [(datetime.fromisoformat(row["timestamp"]), float(row["value"])) for row in rows_of(path)]
        hours = defaultdict(list)
        for time, value in series:
            hours[time.hour].append(value)
        usual = {hour: statistics.median(values) for hour, values in hours.items()}
        first = max(int(PROBATION * len(series)), max(LAGS))
        rows = [
            [value, value - usual[time.hour], *(value - series[at - lag][1] for lag in LAGS)]
            for at, (time, value) in enumerate(series)
        ]
        labels = [any(start <= time <= end for start, end in windows[name]) for time, _ in series]
        columns = ["value", "of_hour", *(f"change_{lag}" for lag in LAGS)]
        write(out, f"nab-{path.name.removesuffix('.csv.gz')}", columns, rows[first:], labels[first:])


def main() -> None:
    datasets, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    openstack(datasets / "openstack_api_failures", out)
    api_access(datasets / "api_access_behavior", out)
    nab(datasets / "nab", out)


if __name__ == "__main__":
    main()
