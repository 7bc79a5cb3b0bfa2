"""From a catalogue to a gateway that enforces its allow list: what the tests of gateways share.

A history of calls becomes a catalogue, `protect propose` writes the policy, and the real gateway loads it. Every call of `CALLS` is then made
through the gateway and, as a log record, held against the same file by `protect check`: both have to decide as `CALLS` says.

Not here: the gateways (one file each), and installing them (`run.sh`).
"""

import atexit
import datetime
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

# What `tests/producers/run.sh` installed.
INSTALLED = Path(os.environ["APIWARDEN_PRODUCERS"])
DEBIAN = INSTALLED / "debian"
APIWARDEN = os.environ["APIWARDEN"]
START_SECONDS = 30
NEWEST = datetime.datetime(2026, 9, 10, 12, tzinfo=datetime.timezone.utc)
HEADER = "x-caller"


class Call(NamedTuple):
    """A call, and whether a gateway that sees endpoints lets it pass, and one that sees only hosts and schemes."""

    caller: str
    method: str
    url: str
    by_endpoint: bool
    by_host: bool


# Callers that a gateway knows by their addresses, and the same callers by their names.
ADDRESSES = {"billing": "127.0.0.11", "crm": "127.0.0.12", "returns": "127.0.0.13"}
# What was called for days. The last two are what somebody wrote into a log, to get more than a name into the policy.
HISTORY = [
    ("billing", "POST", "https://api.stripe.com/v1/charges"),
    ("billing", "GET", "https://api.stripe.com/v1/customers/cus_8264193"),
    ("billing", "GET", "https://files.stripe.com/v1/files/a|b"),
    ("billing", "POST", "https://api.stripe.com/v1/api_keys"),
    ("crm", "GET", "https://api.hubapi.com/crm/v3/objects/contacts"),
    ("crm", "GET", "http://feeds.hubspot.com/rates.json"),
    ("crm", "GET", "https://acme.s3.eu-west-1.amazonaws.com/reports/2026.csv"),
    ("x\nhttp_access allow all\n", "GET", "https://api.hubapi.com/crm/v3/objects/contacts"),
    ("crm", "GET", "https://api.hubapi.com/crm/\"}]//[^/]+|.*"),
]
CALLS = [
    Call("billing", "POST", "https://api.stripe.com/v1/charges", True, True),
    Call("billing", "POST", "https://api.stripe.com/v1/charges?expand=a", True, True),
    Call("billing", "GET", "https://api.stripe.com/v1/customers/cus_77120983", True, True),
    Call("billing", "GET", "https://files.stripe.com/v1/files/a%7Cb", True, True),
    Call("billing", "GET", "https://files.stripe.com/v1/files/a", False, True),
    Call("billing", "GET", "https://api.stripe.com/v1/payouts", False, True),
    Call("billing", "DELETE", "https://api.stripe.com/v1/charges", False, True),
    Call("billing", "GET", "https://api.stripe.com/v1/customers/cus_77120983/sources", False, True),
    Call("billing", "PUT", "https://transfer.sh/customers.csv", False, False),
    Call("billing", "GET", "https://api.hubapi.com/crm/v3/objects/contacts", False, False),
    Call("billing", "GET", "https://evil-api.stripe.com/v1/charges", False, False),
    Call("billing", "GET", "https://api.stripe.com.evil.example/v1/charges", False, False),
    Call("billing", "PUT", "https://203.0.113.9/x", False, False),
    Call("crm", "GET", "https://api.hubapi.com/crm/v3/objects/contacts", True, True),
    Call("crm", "POST", "https://api.stripe.com/v1/charges", False, False),
    # The catalogue keeps no names of buckets.
    Call("crm", "GET", "https://acme.s3.eu-west-1.amazonaws.com/reports/2026.csv", True, True),
    Call("billing", "GET", "https://acme.s3.eu-west-1.amazonaws.com/reports/2026.csv", False, False),
    # A newcomer may do what others do, unless it is sensitive.
    Call("returns", "POST", "https://api.stripe.com/v1/charges", True, True),
    Call("returns", "POST", "https://api.stripe.com/v1/api_keys", False, True),
    Call("returns", "PUT", "https://transfer.sh/customers.csv", False, False),
]
# By HTTP in plaintext, which only some gateways tell from TLS.
PLAIN = [
    Call("crm", "GET", "http://feeds.hubspot.com/rates.json", True, True),
    Call("billing", "POST", "http://api.stripe.com/v1/charges", False, False),
    Call("returns", "POST", "http://api.stripe.com/v1/charges", False, False),
]


class Failed(Exception):
    """What did not happen, in words."""


class Trial:
    """A directory, and the processes that were started."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="apiwarden-gateway-"))
        self.directory.chmod(0o755)  # Squid reads as another user.
        self.processes: list[subprocess.Popen] = []
        atexit.register(self.clean)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def clean(self):
        for process in reversed(self.processes):
            stop(process)
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, *command, port: int, environment: dict | None = None) -> subprocess.Popen:
        """Starts a program, and waits until it listens on `port`."""
        log = self.directory / f"{Path(command[0]).name}.log"
        with open(log, "ab") as output:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.directory,
                env={**os.environ, **(environment or {})},
            )
        self.processes.append(process)
        deadline = time.monotonic() + START_SECONDS
        while not listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{command[0]} does not listen:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.1)
        return process

    def propose(self, form: str, *arguments, by_address: bool = False) -> Path:
        """The policy that the history implies."""
        history = self.directory / "history.ndjson"
        days = [NEWEST - datetime.timedelta(days=days) for days in range(5)]
        history.write_text("".join(record(*call, day, by_address) for day in days for call in HISTORY))
        store = self.directory / f"catalog-{by_address}"
        apiwarden("catalog", "build", "--input", history, "--store", store)
        policy = self.directory / f"egress-{form}-{by_address}"
        told = apiwarden("protect", "propose", "--store", store, "--format", form, "--output", policy, *arguments)
        print(f"{form}:", told.stderr.strip())
        if "a name that cannot stand in a policy" not in told.stderr:
            raise Failed("the hostile name is not told of")
        return policy

    def compare(self, policy: Path, calls: list[Call], allows: Callable[[Call], bool], expected: Callable[[Call], bool], by_address: bool = False):
        """The gateway, and the replay of the same calls, decide as they should."""
        for call in calls:
            record_file = self.directory / "call.ndjson"
            record_file.write_text(record(*call[:3], NEWEST, by_address))
            checked = json.loads(apiwarden("protect", "check", policy, "--against", record_file, "--format", "json").stdout)
            if checked["judged"] != 1:
                raise Failed(f"{call} was not judged: {checked}")
            decided = {"gateway": allows(call), "protect check": checked["blocked"] == 0}
            for who, is_allowed in decided.items():
                if is_allowed != expected(call):
                    raise Failed(f"{policy.name}: {who} {'allows' if is_allowed else 'denies'} {call}\n{policy.read_text()}")
        print(f"{policy.name}: {len(calls)} calls, {sum(map(expected, calls))} of them allowed, decided alike")


def record(caller: str, method: str, url: str, at: datetime.datetime, by_address: bool = False) -> str:
    """A call as ECS has it."""
    parts = urlsplit(url)
    fields = {
        "@timestamp": at.isoformat().replace("+00:00", "Z"),
        "event": {"outcome": "success"},
        "service": {"name": ADDRESSES.get(caller, caller) if by_address else caller},
        "destination": {"domain": parts.hostname, "port": 80 if parts.scheme == "http" else 443},
        "url": {"scheme": parts.scheme, "domain": parts.hostname, "path": parts.path, "query": parts.query},
        "http": {"request": {"method": method}, "response": {"status_code": 200}},
    }
    return json.dumps(fields) + "\n"


def apiwarden(*arguments) -> subprocess.CompletedProcess:
    ended = subprocess.run([APIWARDEN, *map(str, arguments)], capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise Failed(f"apiwarden {arguments[0]}: {ended.stderr.strip()[-2000:]}")
    return ended


def answer(port: int, method: str, target: str, host: str, caller: str, header: bool) -> int:
    """The status of a request, with the caller's address or name."""
    source = None if header else (ADDRESSES[caller], 0)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=source)
    try:
        connection.putrequest(method, target, skip_host=True)
        connection.putheader("Host", host)
        if header:
            connection.putheader(HEADER, caller)
        connection.endheaders()
        status = connection.sock.makefile("rb").readline().split()[1]
        return int(status)
    finally:
        connection.close()


def stop(process: subprocess.Popen):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def main(test: Callable[[Trial], None]):
    try:
        test(Trial())
    except Failed as failed:
        sys.exit(f"failed: {failed}")
