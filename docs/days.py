"""Logs of one simulated company: two weeks of history, a usual week, one with three holidays, one in which all is an hour later from Tuesday on.

Usage: days.py SEED DIRECTORY [APIWARDEN]
"""

import pathlib
import subprocess
import sys
from datetime import datetime, timedelta

START = datetime.fromisoformat("2026-08-31T00:00:00+00:00")
HISTORY_DAYS, HOLIDAYS = 14, (15, 16, 17)
SPEC = """seed = {seed}
format = "ecs"
start = "2026-08-31"
days = 21
callers = 30
calls_a_day = 60000
[variability]
holidays = {holidays}
"""
MARK = '"@timestamp":"'


def time_of(line):
    text = line.split(MARK)[1].split('"')[0]
    return text, datetime.fromisoformat(text.replace("Z", "+00:00"))


def simulate(program, directory, seed, holidays):
    spec, log = directory / f"{holidays}.toml", directory / f"{holidays}.ndjson"
    spec.write_text(SPEC.format(seed=seed, holidays=float(holidays)))
    subprocess.run([program, "simulate", spec, "--out", log], check=True)
    with open(log) as lines:
        for line in lines:
            text, time = time_of(line)
            yield line, text, time, (time - START).days


def main(seed, directory, program="apiwarden"):
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    logs = {name: open(directory / f"{name}.ndjson", "w") for name in ("history", "usual", "later")}
    holidays = []
    for line, text, time, day in simulate(program, directory, seed, 0):
        if day < HISTORY_DAYS:
            logs["history"].write(line)
            continue
        logs["usual"].write(line)
        if day not in HOLIDAYS:
            holidays.append((time, line))
        if day >= HOLIDAYS[0]:
            later = (time + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
            line = line.replace(MARK + text, MARK + later, 1)
        logs["later"].write(line)
    holidays += [(time, line) for line, _, time, day in simulate(program, directory, seed, 1) if day in HOLIDAYS]
    holidays.sort(key=lambda record: record[0])
    (directory / "holidays.ndjson").write_text("".join(line for _, line in holidays))


if __name__ == "__main__":
    main(*sys.argv[1:])
