"""Logs of many entities, and runs of a binary on them: what growth.py and cores.py share."""

import os
import random
import subprocess
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

VENDORS = [
    "api.stripe.com", "api.openai.com", "slack.com", "api.github.com", "api.twilio.com", "api.sendgrid.com",
    "api.hubapi.com", "production.plaid.com", "api.intercom.io", "api.anthropic.com",
]
VENDORS += [f"api.vendor-{number:02}.example" for number in range(30)]
PATHS = ["/v1/items", "/v1/items/search", "/v1/status", "/v1/events"]
START = datetime(2026, 9, 1, 8, tzinfo=timezone.utc)
HOURS = 6


# One ECS record; 700 bytes.
RECORD = (
    '{"@timestamp":"%(time)s","ecs":{"version":"8.17.0"},"event":{"category":["network","web"],"type":["access"],'
    '"action":"http-client-request","duration":%(duration)d,"outcome":"success"},'
    '"service":{"name":"caller-%(caller)s","environment":"prod"},"host":{"name":"caller-%(caller)s-%(pod)d"},'
    '"source":{"ip":"%(ip)s"},"destination":{"domain":"%(host)s","port":443},'
    '"url":{"scheme":"https","domain":"%(host)s","path":"%(path)s"},'
    '"http":{"version":"2","request":{"method":"%(method)s","bytes":%(sent)d},'
    '"response":{"status_code":%(status)d,"bytes":%(received)d,"mime_type":"application/json"}},'
    '"user_agent":{"original":"python-requests/2.31.0"},"trace":{"id":"%(trace)032x"},'
    '"labels":{"credential_id":"key_%(caller)s"}}\n'
)


@dataclass
class Run:
    """One run: CPU and elapsed seconds, largest resident size in bytes."""

    cpu: float
    elapsed: float
    memory: int


def run(binary, *arguments, cores="0", threads=1):
    """Runs the binary pinned to `cores` (as in taskset), with `threads` threads of rayon."""
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads), "NO_COLOR": "1"}
    environment.setdefault("APIWARDEN_FINGERPRINT_KEY", "only ever used in benches")
    command = ["taskset", "-c", cores, str(binary), *map(str, arguments)]
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            raise SystemExit(f"{' '.join(command)}: {errors.read().decode(errors='replace')}")
    return Run(usage.ru_utime + usage.ru_stime, elapsed, usage.ru_maxrss * 1024)


def hosts_of(caller, vendors_a_caller):
    return [VENDORS[(caller * 7 + number) % len(VENDORS)] for number in range(vendors_a_caller)]


def write_logs(path, pairs, calls_a_pair=4, day=0, vendors_a_caller=1, steady=False):
    """Writes ECS records in the order of their times, and returns their number.

    The same arguments give the same bytes. Days differ in times, sizes and latencies, not in who calls whom; `steady` calls
    come within five minutes of the first day's, so that no hour is new.
    """
    draw, times = random.Random(pairs * 1_000 + day), random.Random(pairs)
    start = START + timedelta(days=day)
    calls = []
    for pair in range(pairs):
        caller = pair // vendors_a_caller
        host = hosts_of(caller, vendors_a_caller)[pair % vendors_a_caller]
        for _ in range(calls_a_pair):
            millis = int(HOURS * 3_600_000 * (times if steady else draw).random())
            calls.append((millis + int(300_000 * draw.random()) if steady else millis, caller, host))
    calls.sort()
    with open(path, "w", encoding="utf-8") as file:
        for millis, caller, host in calls:
            time_of_call = (start + timedelta(milliseconds=millis)).isoformat(timespec="milliseconds")
            values = {
                "time": time_of_call.replace("+00:00", "Z"), "caller": f"{caller:06}", "pod": caller % 3, "host": host,
                "ip": f"10.{caller >> 16 & 255}.{caller >> 8 & 255}.{caller & 255}",
                "method": "GET" if caller % 3 else "POST", "path": PATHS[caller % len(PATHS)],
                "duration": 40_000_000 + int(360_000_000 * draw.random()),
                "sent": 200 + int(600 * draw.random()), "received": 500 + int(29_500 * draw.random()),
                "status": 500 if draw.random() < 0.002 else 200, "trace": draw.getrandbits(128),
            }
            file.write(RECORD % values)
    return len(calls)


def bundle_bytes(bundle):
    return sum(file.stat().st_size for file in Path(bundle).rglob("*") if file.is_file())


def machine():
    """What the figures were measured on, in a line."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} cores of {model}; load average {load}"


def table(header, rows):
    """A markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
