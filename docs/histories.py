"""One simulated company, learned from histories with faults and from short ones: what each costs against the clean history.

Usage: histories.py SEED DIRECTORY [APIWARDEN [VARIANT ...]]

Two weeks of history, then a week with injected attacks of medium strength that every bundle judges. Prints a row for each history: attacks found,
pages a day that are false (harmless changes are part of the log, so some are), the same of the first day, and the share of entity-days
without an attack whose p-value is .01 or less (1 % where p-values are what they say).
"""

import json
import pathlib
import subprocess
import sys
from datetime import datetime, timedelta

START = datetime.fromisoformat("2026-09-01T00:00:00+00:00")
DAYS, HISTORY_DAYS = 21, 14
SPEC = """seed = {seed}
format = "ecs"
start = "2026-09-01"
days = 21
callers = 20
vendors = 25
calls_a_day = 20000
weekend_level = 0.55
[variability]
holidays = {holidays}
"""
MARK = '"@timestamp":"'
JUDGED_FROM = START + timedelta(days=HISTORY_DAYS)
CONTAMINATION = "bulk-upload bulk-export enumeration stolen-credential metered-spend vendor-latency credential-spray".split()


def time_of(line):
    text = line.split(MARK)[1].split('"')[0]
    return text, datetime.fromisoformat(text.replace("Z", "+00:00"))


def caller_of(line):
    return json.loads(line)["service"]["name"]


def stamp(time):
    return time.isoformat().replace("+00:00", "Z")


class Company:
    def __init__(self, program, directory, seed):
        self.program, self.directory, self.seed = program, directory, seed
        self.simulate("log", 0)
        self.run("inject", "--input", directory / "log.ndjson", "--from", stamp(JUDGED_FROM), "--seed", seed, "--strength", "medium",
                 "--history-out", directory / "clean.ndjson", "--out", directory / "judged.ndjson", "--labels", directory / "labels.csv")
        with open(directory / "clean.ndjson") as lines:
            self.history = [(*time_of(line), line) for line in lines]
        calls = {}
        for _, _, line in self.history:
            caller = caller_of(line)
            calls[caller] = calls.get(caller, 0) + 1
        # Of middling size: neither most of the log nor next to nothing.
        self.caller = sorted(calls, key=calls.get)[len(calls) // 2]

    def run(self, *arguments):
        return subprocess.run([str(argument) for argument in (self.program, *arguments)], check=True, capture_output=True, text=True).stdout

    def simulate(self, name, holidays):
        spec = self.directory / f"{name}.toml"
        spec.write_text(SPEC.format(seed=self.seed, holidays=float(holidays)))
        self.run("simulate", spec, "--out", self.directory / f"{name}.ndjson")

    def day(self, time):
        return (time - START).days

    # The variants: each yields (time, line).

    def clean(self):
        return [(time, line) for _, time, line in self.history]

    def attacks(self):
        """Seven attacks of medium strength that nobody removed."""
        name = self.directory / "contaminated.ndjson"
        self.run("inject", "--input", self.directory / "clean.ndjson", "--seed", self.seed + 9, "--strength", "medium", "--scenario", *CONTAMINATION,
                 "--out", name, "--labels", self.directory / "contaminated.csv")
        with open(name) as lines:
            return [(time_of(line)[1], line) for line in lines]

    def duplicates(self):
        """Two days delivered twice."""
        return [record for record in self.clean() for _ in range(2 if self.day(record[0]) in (4, 5) else 1)]

    def gap(self):
        """No records of anybody for half a day."""
        return [(time, line) for time, line in self.clean() if not (self.day(time) == 8 and 6 <= time.hour < 18)]

    def clock(self):
        """One caller's clock is five hours fast for four days."""
        def moved(text, time, line):
            if 4 <= self.day(time) < 8 and caller_of(line) == self.caller:
                later = time + timedelta(hours=5)
                return later, line.replace(MARK + text, MARK + stamp(later), 1)
            return time, line
        return [moved(*record) for record in self.history]

    def live(self):
        """One caller goes live on the tenth day."""
        return [(time, line) for time, line in self.clean() if self.day(time) >= 9 or caller_of(line) != self.caller]

    def holiday(self):
        """The second Wednesday is a holiday."""
        # In a directory of its own: its labels are not those of the attacks.
        other = self.directory / "with-holidays"
        other.mkdir(exist_ok=True)
        self.simulate("with-holidays/log", 1)
        with open(other / "log.ndjson") as lines:
            records = [(time_of(line)[1], line) for line in lines]
        return [record for record in self.clean() if self.day(record[0]) != 8] + [record for record in records if self.day(record[0]) == 8]

    def last(self, days):
        """Only the last days."""
        return [(time, line) for time, line in self.clean() if self.day(time) >= HISTORY_DAYS - days]

    def row(self, name, records):
        log, model = self.directory / f"{name}.history.ndjson", self.directory / f"{name}.model"
        log.write_text("".join(line for _, line in sorted(records, key=lambda record: record[0])))
        trained = json.loads(self.run("train", "--input", log, "--out", model, "--json"))
        log.unlink()
        judge = ("evaluate", "--model", model, "--input", self.directory / "judged.ndjson", "--labels", self.directory / "labels.csv", "--json")
        week = json.loads(self.run(*judge, "--calibration"))
        first = json.loads(self.run(*judge, "--to", stamp(JUDGED_FROM + timedelta(days=1))))
        ages = {age["age"]: age["shares"][1] for age in week["calibration"] if age["shares"]}
        found, of = week["total"]["found"], week["total"]["of"]
        print(f"| {name} | {found} of {of} | {week['false_alarms_per_day']:.2f} | {first['false_alarms_per_day']:.0f} "
              f"| {', '.join(f'{age}: {share:.3f}' for age, share in ages.items())} | {len(trained.get('odd_days', []))} |", flush=True)


def main(seed, directory, program="apiwarden", *chosen):
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    company = Company(program, directory, int(seed))
    variants = {name: getattr(company, name) for name in ("clean", "attacks", "duplicates", "gap", "clock", "live", "holiday")}
    variants |= {f"{days} days": lambda days=days: company.last(days) for days in (7, 3, 1)}
    print("| history | found | false a day | on the first day | p <= .01, by age of the entity in days | odd days |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in chosen or variants:
        company.row(name, variants[name]())


if __name__ == "__main__":
    main(*sys.argv[1:])
