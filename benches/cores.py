#!/usr/bin/env python3
"""`apiwarden scan` on one and on two cores, and whether the alerts are the same for any number of threads.

    benches/cores.py target/release/apiwarden
    benches/cores.py target/release/apiwarden --logs logs.ndjson.zst --model models/egress

Without logs it writes 10,000 pairs with forty calls each. Prints a markdown table of elapsed times. Fails if the alerts differ.
Standard library only.
"""

import argparse
import hashlib
import statistics
import tempfile
from pathlib import Path

import runs

# Threads, and the cores that they may run on.
SETTINGS = [(1, "0"), (2, "0,1")]
# Compared with one thread; eight are more than there are cores.
THREADS = [1, 2, 8]
PAIRS, CALLS_A_PAIR = 10_000, 40


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("binary", type=Path)
    options.add_argument("--logs", type=Path)
    options.add_argument("--model", type=Path, help="bundle for --logs; without one it is learned from them")
    options.add_argument("--runs", type=int, default=5, help="runs of each setting, of which the median counts")
    options = options.parse_args()

    print(f"{runs.machine()}\n", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        logs, history, model = options.logs, options.logs, options.model
        if logs is None:
            history, logs = directory / "0.ndjson", directory / "1.ndjson"
            for day, path in enumerate([history, logs]):
                runs.write_logs(path, PAIRS, CALLS_A_PAIR, day)
        if model is None:
            model = directory / "bundle"
            runs.run(options.binary, "train", "--input", history, "--out", model)
        alerts = directory / "alerts.ndjson"
        scan = ["scan", "--input", logs, "--model", model, "--output", alerts]

        taken = {setting: [] for setting in SETTINGS}
        for _ in range(options.runs):  # in turn, so that a busy minute hits both
            for threads, cores in SETTINGS:
                taken[threads, cores].append(runs.run(options.binary, *scan, cores=cores, threads=threads))
        hashes = {}
        for threads in THREADS:
            runs.run(options.binary, *scan, cores="0,1", threads=threads)
            hashes[threads] = hashlib.sha256(alerts.read_bytes()).hexdigest()

    one = statistics.median(run.elapsed for run in taken[SETTINGS[0]])
    rows = []
    for threads, cores in SETTINGS:
        of_setting = taken[threads, cores]
        elapsed = statistics.median(run.elapsed for run in of_setting)
        spread = f"{min(run.elapsed for run in of_setting):.2f} to {max(run.elapsed for run in of_setting):.2f}"
        rows.append([threads, cores, f"{elapsed:.2f}", spread, f"{one / elapsed:.2f}",
                     f"{statistics.median(run.cpu for run in of_setting):.2f}"])
    print(runs.table(["threads", "cores", "elapsed, s (median)", "range, s", "speed-up", "CPU, s (median)"], rows))
    print(f"\nAfterwards: {runs.machine()}")
    if len(set(hashes.values())) > 1:
        raise SystemExit(f"the alerts differ by the number of threads: {hashes}")
    print(f"\nAlerts of {', '.join(map(str, THREADS))} threads: byte-identical (sha256 {hashes[1][:16]}).")


if __name__ == "__main__":
    main()
