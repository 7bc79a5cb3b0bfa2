#!/usr/bin/env python3
"""Which detector paged for which injected scenario: the tables in evaluation.md.

    by_detector.py [--measure] LABELS.csv=ALERTS.ndjson …    # labels of `apiwarden inject`, alerts of `apiwarden scan` on its log

With `--measure` by the strongest reason of each page (`bytes_in`, `odd_answers`, `silence`), which tells the model that found it.

A page belongs to a scenario if it names its caller, host or credential, from the start to an hour after the end. Standard library only.
"""
import csv
import json
import sys
from collections import Counter
from datetime import datetime

HOUR = 3_600_000


def milliseconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000


def names(alert, row):
    whole = json.dumps(alert)
    by_host = not row["caller"] and row["vendor_host"] and row["vendor_host"] in whole
    by_caller = row["caller"] and row["caller"] in alert["message"]
    return by_caller or by_host or (row["credential"] and row["credential"] in whole)


def by(page, is_by_measure):
    reasons = page["unmapped"]["apiwarden"]["contributions"]
    return reasons[0]["name"] if is_by_measure and reasons else page["finding_info"]["analytic"]["name"]


def main():
    is_by_measure = "--measure" in sys.argv
    pairs = [argument for argument in sys.argv[1:] if argument != "--measure"]
    if not pairs:
        sys.exit(__doc__)
    first, alone, false = Counter(), Counter(), Counter()
    for pair in pairs:
        labels, alerts = pair.split("=", 1)
        pages = [alert for alert in map(json.loads, open(alerts)) if alert["severity_id"] >= 3]
        found = set()
        for row in csv.DictReader(open(labels)):
            if row["malicious"] != "1":
                continue
            span = milliseconds(row["start"]), milliseconds(row["end"]) + HOUR
            own = [page for page in pages if span[0] <= page["time"] <= span[1] and names(page, row)]
            found.update(page["finding_info"]["uid"] for page in own)
            detectors = [(page["time"], by(page, is_by_measure)) for page in own]
            if detectors:
                first[min(detectors)[1]] += 1
            if len({name for _, name in detectors}) == 1:
                alone[detectors[0][1]] += 1
        for page in pages:
            if page["activity_id"] == 1 and page["finding_info"]["uid"] not in found:
                false[by(page, is_by_measure)] += 1
    print(f"| {'measure' if is_by_measure else 'detector'} | first | alone | false |\n|---|---|---|---|")
    for name in sorted(first | alone | false, key=lambda name: -first[name]):
        print(f"| `{name}` | {first[name]} | {alone[name]} | {false[name]} |")


main()
