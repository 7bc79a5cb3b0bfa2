"""From a real producer's calls to an alert: what all tests of producers share.

A test starts its producer and says how to send a call through it. `Trial.prove` does the rest: normal calls become a history (the
producer's own records, moved to past days), a bundle is trained on it, `apiwarden run` reads the topic, one call that is not normal
goes through the producer, and the alert about it has to arrive. Every record has to be read.

Not here: installing the producers (`run.sh`).
"""

import atexit
import datetime
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import confluent_kafka

from vendors import Vendors

ROOT = Path(__file__).resolve().parents[2]
PIPELINES = ROOT / "pipelines"
PRODUCERS = PIPELINES / "producers"
# What `run.sh` installed: Debian's packages, unpacked; Python's; the collector.
INSTALLED = Path(os.environ["APIWARDEN_PRODUCERS"])
DEBIAN = INSTALLED / "debian"
APIWARDEN = os.environ["APIWARDEN"]
BROKERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]

DAYS = 14
# Between two rounds of the history, seconds.
PACE = 900
ROUNDS = 5
# An alert about something new is due a minute after the call, and as much again for late records.
ALERT_SECONDS = 240
START_SECONDS = 30
# OCSF's severity from which an alert pages.
MEDIUM = 3


class Call(NamedTuple):
    """What a service asks of a vendor."""

    caller: str
    method: str
    url: str
    agent: str
    key: str

    @property
    def host(self) -> str:
        return urllib.parse.urlsplit(self.url).hostname

    @property
    def headers(self) -> dict:
        return {"User-Agent": self.agent, "Authorization": f"Bearer {self.key}"}


# Where a log knows callers by their addresses, these are they.
ADDRESSES = {"billing": "127.0.0.11", "crm": "127.0.0.12"}
BILLING = Call("billing", "POST", "https://api.stripe.com/v1/charges", "stripe-go/76.1", "sk_test_" + secrets.token_hex(16))
CRM = Call("crm", "GET", "https://api.hubapi.com/crm/v3/objects/contacts", "python-requests/2.32", "pat-" + secrets.token_hex(16))
NORMAL = [
    BILLING,
    BILLING._replace(method="GET", url="https://api.stripe.com/v1/customers"),
    # As long as proxies take requests: the record is longer than shippers expect one to be.
    BILLING._replace(method="GET", url=f"https://api.stripe.com/v1/customers?ids={'cus_9,' * 1340}"),
    CRM,
    CRM._replace(method="GET", url="https://api.stripe.com/v1/customers", key="sk_test_" + secrets.token_hex(16)),
]


class Finding(NamedTuple):
    """What an alert that pages has to say: the novelty, and about whom."""

    novelty: str
    caller: str
    vendor: str


class Failed(Exception):
    """What did not happen, in words."""


class Trial:
    """One producer's test: its directory, its vendors, its topics, and what it started."""

    def __init__(self, pipeline: str):
        self.directory = Path(tempfile.mkdtemp(prefix="apiwarden-producer-"))
        self.directory.chmod(0o755)  # Squid reads as another user.
        self.pipelines = self.directory / "pipelines"
        self.pipelines.mkdir()
        self.mark = secrets.token_hex(4)
        self.alerts = f"apiwarden-alerts-{self.mark}"
        self.processes: list[subprocess.Popen] = []
        self.sent = 0
        atexit.register(self.clean)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.vendors = Vendors(self.directory)
        shipped = (PIPELINES / pipeline).read_text()
        topics = re.search(r'^topics = \["(.*)"\]', shipped, re.MULTILINE)[1]
        self.topic = f"{topics}-{self.mark}"
        self.bundle = self.pipelines / re.search(r'^bundle = "(.*)"', shipped, re.MULTILINE)[1]
        self.admin = f"127.0.0.1:{free_port()}"
        # Bundle and state lie relative to the pipeline file, and so in this test's directory.
        self.pipeline = self.adapt(
            PIPELINES / pipeline,
            {
                "localhost:9092": BROKERS,
                f'"{topics}"': f'"{self.topic}"',
                '"apiwarden-alerts"': f'"{self.alerts}"',
                re.search(r'^listen = "(.*)"', shipped, re.MULTILINE)[1]: self.admin,
            },
            self.pipelines,
        )

    def clean(self):
        for process in reversed(self.processes):
            stop(process)
        shutil.rmtree(self.directory, ignore_errors=True)

    def adapt(self, path: Path, changes: dict, directory: Path | None = None) -> Path:
        """A shipped file with this test's addresses. What changes has to stand there, so that what users copy is what is tested."""
        text = path.read_text()
        for old, new in changes.items():
            if old not in text:
                raise Failed(f"{path.name} does not have {old!r}")
            text = text.replace(old, str(new))
        adapted = (directory or self.directory) / path.name
        adapted.write_text(text)
        return adapted

    def start(self, *command, port: int = 0, environment: dict | None = None) -> subprocess.Popen:
        """Starts a program, and waits until it listens on `port`."""
        with open(self.directory / f"{Path(command[0]).name}.log", "ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self.processes.append(process)
        if port:
            until(f"{command[0]} listens", START_SECONDS, lambda: alive(process) and listens(port))
        return process

    def start_debian(self, program: str, *arguments, port: int = 0, environment: dict | None = None) -> subprocess.Popen:
        """A program of the unpacked packages, with their libraries."""
        libraries = [*DEBIAN.glob("usr/lib/*-linux-gnu"), *DEBIAN.glob("lib/*-linux-gnu"), DEBIAN / "usr/lib/syslog-ng"]
        path = {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}
        return self.start(DEBIAN / program, *arguments, port=port, environment={**path, **(environment or {})})

    def start_rsyslog(self, configuration: Path, port: int = 0, udp: int = 0):
        """The shipped file, included as distributions include it. Waits for the ports, of TCP and UDP."""
        whole = self.directory / "rsyslog.conf"
        whole.write_text(f'global(workDirectory="{self.directory}")\ninclude(file="{configuration}")\n')
        (modules,) = DEBIAN.glob("usr/lib/*-linux-gnu/rsyslog")
        own = ["-i", self.directory / "rsyslog.pid", "-M", modules]
        process = self.start_debian("usr/sbin/rsyslogd", "-n", *own, "-f", whole, port=port)
        # What is sent by UDP before is lost.
        until("rsyslog receives", START_SECONDS, lambda: alive(process) and not (udp and is_free_udp(udp)))

    def start_syslog_ng(self, configuration: Path):
        (version,) = (DEBIAN / "usr/lib/syslog-ng").glob("[0-9]*")
        own = [f"--{name}={self.directory}/syslog-ng.{name}" for name in ("persist-file", "pidfile", "control")]
        self.start_debian("usr/sbin/syslog-ng", "-F", "-f", configuration, f"--module-path={version}", *own)

    def show_logs(self):
        for log in sorted(self.directory.rglob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-20:]
            print(f"-- {log.name}", *(line[:300] for line in lines), sep="\n")

    # What apiwarden makes of it.

    def prove(self, send: Callable[[Call], None], odd: Call, finding: Finding):
        """Normal calls, a bundle, the stream, the odd call, the alert."""
        for _ in range(ROUNDS):
            self.send(send, NORMAL)
        self.train(history(self.arrived()))
        stream = self.start(APIWARDEN, "run", "--pipeline", self.pipeline)
        self.send(send, [odd])
        deadline = time.monotonic() + ALERT_SECONDS
        # Event time moves with the records, so the house goes on calling.
        while not (found := [alert for alert in map(json.loads, read(self.alerts)) if shows(alert, finding)]):
            if not alive(stream) or time.monotonic() > deadline:
                raise Failed(f"no alert of {finding} among {[summary(json.loads(alert)) for alert in read(self.alerts)]}")
            self.send(send, NORMAL)
            time.sleep(2)
        print("alert:", found[0]["message"])
        self.arrived()
        self.judged()
        stop(stream)
        if stream.returncode != 0:
            raise Failed(f"apiwarden ended with {stream.returncode}")
        others = {summary(alert) for alert in map(json.loads, read(self.alerts)) if not shows(alert, finding)}
        print("other alerts:", others or "none")
        self.no_secrets(read(self.alerts))

    def scan(self, records: list[bytes], finding: Finding):
        """The same of files: what `scan` finds in them."""
        found = apiwarden("scan", "--pipeline", self.pipeline, "--model", self.bundle, "--input", self.file("scanned", records))
        alerts = [json.loads(line) for line in found.stdout.splitlines()]
        print("scan:", found.stderr.strip().splitlines()[-1])
        if not any(shows(alert, finding) for alert in alerts):
            raise Failed(f"no alert of {finding} among {[summary(alert) for alert in alerts]}")
        print("alert:", alerts[0]["message"])
        self.no_secrets([found.stdout.encode()])

    def send(self, send: Callable[[Call], None], calls: list[Call]):
        for call in calls:
            send(call)
            self.sent += 1

    def arrived(self) -> list[bytes]:
        """The records, once every call is among them."""
        deadline = time.monotonic() + START_SECONDS
        while self.account(records := read(self.topic))["calls"] < self.sent and time.monotonic() < deadline:
            time.sleep(0.2)
        self.check_account(records)
        return records

    def check_account(self, records: list[bytes]):
        """Every call is read once, and no record is rejected: none is lost, doubled or misread."""
        account = self.account(records)
        print("decode:", account)
        if account["calls"] != self.sent or account["rejected"] or account["repeated"]:
            raise Failed(f"{self.sent} calls were sent, decoded are {account}")

    def account(self, records: list[bytes]) -> dict:
        decoded = apiwarden("decode", "--pipeline", self.pipeline, "--format", "json", self.file("records", records))
        return json.loads(decoded.stderr.strip().splitlines()[-1])

    def file(self, name: str, records: list[bytes]) -> Path:
        file = self.directory / name
        file.write_bytes(b"".join(record.rstrip(b"\n") + b"\n" for record in records))
        return file

    def judged(self):
        """The stream's own account: it has judged every call, and nothing else became of any."""
        until("every call is judged", START_SECONDS, lambda: self.metrics()["apiwarden_calls_total"] >= self.sent)
        metrics = self.metrics()
        print("run:", {name: count for name, count in metrics.items() if name.endswith("_total") and count})
        for lost in ("rejected_records", "too_late_calls", "repeated_calls"):
            if metrics[f"apiwarden_{lost}_total"]:
                raise Failed(f"{lost}: {metrics[f'apiwarden_{lost}_total']}")

    def metrics(self) -> Counter:
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=10) as answer:
            lines = [line for line in answer.read().decode().splitlines() if line and not line.startswith("#")]
        metrics = Counter()
        for line in lines:
            metrics[re.match(r"\w+", line)[0]] += float(line.rsplit(" ", 1)[1])
        return metrics

    def train(self, records: list[bytes]):
        report = apiwarden("train", "--pipeline", self.pipeline, "--input", self.file("history", records), "--out", self.bundle)
        print("train:", report.stdout.strip().splitlines()[0])

    def no_secrets(self, alerts: list[bytes]):
        """No key of the calls is in bundle, state, logs and alerts."""
        kept = [path for part in ("models", "pipelines/state") for path in (self.directory / part).rglob("*") if path.is_file()]
        written = [path.read_bytes() for path in [*kept, *self.directory.glob("apiwarden.log")]] + alerts
        if any(call.key.encode() in text for call in NORMAL for text in written):
            raise Failed("a key of the calls is in what apiwarden wrote")


def main(pipeline: str, test: Callable[[Trial], None]):
    """Runs a test: what it printed and the logs of its programs say what went wrong."""
    trial = Trial(pipeline)
    try:
        test(trial)
    except Exception as error:
        trial.show_logs()
        if not isinstance(error, Failed):
            raise
        sys.exit(f"failed: {error}")


# Calls.


def through_gateway(port: int) -> Callable[[Call], None]:
    """The vendor's host name in `Host`, as callers of a reverse proxy write it; callers are told apart by their addresses."""

    def send(call: Call):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=(ADDRESSES[call.caller], 0))
        request(connection, call)

    return send


def through_proxy(port: int, certificate: Path) -> Callable[[Call], None]:
    """A tunnel through a forward proxy, or an absolute URL where the call is plaintext."""
    context = ssl.create_default_context(cafile=certificate)

    def send(call: Call):
        source = (ADDRESSES[call.caller], 0)
        if call.url.startswith("http:"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=source)
            return request(connection, call, call.url)
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, source_address=source, context=context)
        connection.set_tunnel(call.host, 443)
        request(connection, call)

    return send


def request(connection: http.client.HTTPConnection, call: Call, target: str = ""):
    body = b'{"amount":1200}' if call.method == "POST" else None
    target = target or call.url.removeprefix(f"https://{call.host}")
    connection.request(call.method, target, body, {"Host": call.host, **call.headers})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != 200:
        raise Failed(f"{call.method} {call.url[:80]} was answered with {answer.status}")


# Records.


def read(topic: str) -> list[bytes]:
    """All records of a topic, as their producer wrote them."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": BROKERS, "group.id": "unused", "enable.auto.commit": False, "isolation.level": "read_committed"}
    )
    try:
        records = []
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        for partition in partitions:
            at = confluent_kafka.TopicPartition(topic, partition, 0)
            end = consumer.get_watermark_offsets(at, timeout=10)[1]
            consumer.assign([at])
            while end > 0 and consumer.position([at])[0].offset < end:
                message = consumer.poll(5)
                if message is None:
                    break
                if message.error() is None and message.value() is not None:
                    records.append(message.value())
        return records
    finally:
        consumer.close()


# Times as the producers write them: RFC 3339, and numbers since the epoch in seconds, milli-, micro- or nanoseconds.
TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?=\.|Z|[+-]\d)|(?<![\w.-])(?P<epoch>1\d{9})(?P<fraction>\d{3}|\d{6}|\d{9})?(?![\w-])")


def moved(record: bytes, seconds: int) -> bytes:
    """The same record at another time."""

    def move(match: re.Match) -> bytes:
        if match["epoch"]:
            return str(int(match["epoch"]) + seconds).encode() + (match["fraction"] or b"")
        at = datetime.datetime.fromisoformat(match[0].decode()) + datetime.timedelta(seconds=seconds)
        return at.isoformat(timespec="seconds").encode()

    return TIME.sub(move, record)


def history(records: list[bytes]) -> list[bytes]:
    """Days of the producer's own records, until an hour ago."""
    return [moved(record, -3600 - PACE * step) for step in range(DAYS * 86_400 // PACE, 0, -1) for record in records]


# Alerts.


def shows(alert: dict, finding: Finding) -> bool:
    own = alert["unmapped"]["apiwarden"]
    reasons = [reason["name"] for reason in own["contributions"]]
    about = finding.caller in own["callers"] and finding.vendor in own["vendors"]
    return alert["severity_id"] >= MEDIUM and finding.novelty in reasons and about


def summary(alert: dict) -> str:
    return f"{alert['severity']}: {alert['message']}"


# Processes.


def apiwarden(*arguments) -> subprocess.CompletedProcess:
    ended = subprocess.run([APIWARDEN, *map(str, arguments)], capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise Failed(f"apiwarden {arguments[0]}: {ended.stderr.strip()[-2000:]}")
    return ended


def alive(process: subprocess.Popen) -> bool:
    if process.poll() is not None:
        raise Failed(f"{process.args[0]} ended with {process.returncode}")
    return True


def stop(process: subprocess.Popen):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def until(what: str, seconds: float, holds: Callable[[], bool]):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds} seconds: {what}")
        time.sleep(0.2)


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def is_free_udp(port: int) -> bool:
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        try:
            server.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """Of TCP; the same number is free of UDP as a rule."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]
