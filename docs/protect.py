"""What proposed policies would have blocked, of harmless calls and of each labelled scenario.

The policy is proposed from HISTORY, and LOGS (ECS, one record a line) are parted by LABELS: records that fit a malicious scenario's time, caller,
host and credential are that scenario's, among them usual calls of the same caller; all others are harmless.

Usage: protect.py APIWARDEN HISTORY LOGS LABELS [OPTIONS OF `protect propose` …]
"""

import csv
import json
import pathlib
import subprocess
import sys
import tempfile

FORMATS = ["envoy", "kong", "opa", "squid", "networkpolicy"]


def lines_of(path):
    """Lines of a file, unpacked where it is packed."""
    if not path.endswith(".zst"):
        yield from open(path)
        return
    with subprocess.Popen(["zstd", "-dc", path], stdout=subprocess.PIPE, text=True) as unpacked:
        yield from unpacked.stdout


def fits(label, record):
    found = {
        "caller": record["service"]["name"],
        "vendor_host": record["url"]["domain"],
        "credential": record.get("labels", {}).get("credential_id", ""),
    }
    if not label["start"] <= record["@timestamp"] <= label["end"]:
        return False
    # A fingerprint is of the program's key: no record has it.
    return all(label.get(field, "") in ("", value) or label[field].startswith("fp_") for field, value in found.items())


def part(logs, labels, directory):
    """Files of the harmless records and of each scenario's."""
    files = {}
    for line in lines_of(logs):
        record = json.loads(line)
        scenario = next((label["scenario"] for label in labels if fits(label, record)), "harmless")
        if scenario not in files:
            files[scenario] = open(directory / f"{scenario}.ndjson", "w")
        files[scenario].write(line)
    for file in files.values():
        file.close()
    return {scenario: file.name for scenario, file in files.items()}


def main(program, history, logs, labels, *options):
    def run(*arguments):
        return subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True)

    with open(labels) as rows:
        rows = list(csv.DictReader(rows))
    malicious = [label for label in rows if label.get("malicious", "1") == "1"]
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        run("catalog", "build", "--input", history, "--store", directory / "catalog")
        files = part(logs, malicious, directory)
        names = {label["scenario"]: label["kind"] for label in malicious}
        table = {scenario: [] for scenario in ["harmless", *names]}
        for form in FORMATS:
            policy = directory / form
            told = run("protect", "propose", "--store", directory / "catalog", "--format", form, "--output", policy, *options)
            print(f"{form}: {told.stderr.strip().removeprefix('apiwarden: ')}")
            for scenario, cells in table.items():
                if scenario not in files:
                    cells.append("no record")
                    continue
                checked = json.loads(run("protect", "check", policy, "--against", files[scenario], "--format", "json").stdout)
                cells.append(f"{checked['blocked']} of {checked['judged']}")
                for row in checked["calls"] if scenario == "harmless" else []:
                    print("   harmless:", *(row[field] for field in ("caller", "host", "endpoint", "not_allowed", "calls")))
        print("", "scenario", *FORMATS, "", sep=" | ")
        for scenario, cells in table.items():
            print("", f"{scenario} {names.get(scenario, '')}", *cells, "", sep=" | ")


if __name__ == "__main__":
    main(*sys.argv[1:])
