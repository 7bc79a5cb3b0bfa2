"""What all tests of receivers share: the product, its logs, and what stands between it and a receiver.

`Logs` moves the demo's days to the last ones, trains on the first of them, and writes the others to a topic. `Product` is a running service with
sinks, which can be killed and started again. `Proxy` passes bytes on, keeps them, and calls back at the moment when an answer is about to
go back to the product: what happens then happens between send and acknowledgement. `Endpoint` answers HTTP as a function says.

Not here: receivers (`target.py`), installing them (`run.sh`).
"""

import datetime
import http.server
import json
import os
import re
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import confluent_kafka
from confluent_kafka.admin import AdminClient, NewTopic

ROOT = Path(__file__).resolve().parents[2]
APIWARDEN = os.environ["APIWARDEN"]
BROKERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
# What is judged begins here, in the demo.
FIRST_DAY = "2026-09-15"
START_SECONDS = 60
UPDATE, CLOSE = 2, 3


class Failed(Exception):
    """What did not happen, in words."""


def until(what: str, seconds: float, holds: Callable[[], bool]):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds} seconds: {what}")
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def ask(url: str, body: bytes | None = None, method: str | None = None) -> dict | list:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or b"{}")


def run(*arguments) -> str:
    ended = subprocess.run([APIWARDEN, *map(str, arguments)], capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise Failed(f"apiwarden {arguments[0]}: {ended.stderr.strip()[-2000:]}")
    return ended.stdout


class Logs:
    """The demo's calls, moved by whole days so that the last are so many days old at most."""

    def __init__(self, home: Path, age: int = 1):
        compressed = ROOT / "datasets/demo/egress.ndjson.zst"
        lines = subprocess.run(["zstd", "-dc", compressed], check=True, capture_output=True).stdout.splitlines()
        newest = datetime.datetime.fromisoformat(max(map(when, lines)).decode())
        days = (datetime.datetime.now(datetime.UTC) - newest).days + 1 - age
        self.today = [moved(line, days) for line in lines if when(line) >= FIRST_DAY.encode()]
        self.bundle = home / "bundle"
        if not self.bundle.exists():
            history = home / "history.ndjson"
            history.write_bytes(b"\n".join(moved(line, days) for line in lines if when(line) < FIRST_DAY.encode()))
            run("train", "--input", history, "--out", self.bundle)
            history.unlink()


def when(line: bytes) -> bytes:
    """The time of a record, which its first field is."""
    return line[15:39]


def moved(line: bytes, days: int) -> bytes:
    day = datetime.date.fromisoformat(line[15:25].decode()) + datetime.timedelta(days)
    return line[:15] + day.isoformat().encode() + line[25:]


class Topic:
    """A topic of its own."""

    def __init__(self, name: str):
        self.name = f"{name}-{os.urandom(4).hex()}"
        self.admin = AdminClient({"bootstrap.servers": BROKERS})
        for made in self.admin.create_topics([NewTopic(self.name, 1)]).values():
            made.result()
        self.producer = confluent_kafka.Producer({"bootstrap.servers": BROKERS, "linger.ms": 20})

    def write(self, lines: Iterable[bytes]):
        for line in lines:
            while True:
                try:
                    self.producer.produce(self.name, line)
                    break
                except BufferError:
                    self.producer.poll(0.1)
        self.producer.flush()

    def read(self) -> list[confluent_kafka.Message]:
        consumer = confluent_kafka.Consumer({"bootstrap.servers": BROKERS, "group.id": "unused", "enable.auto.commit": False})
        start = confluent_kafka.TopicPartition(self.name, 0, 0)
        end = consumer.get_watermark_offsets(start, timeout=10)[1]
        consumer.assign([start])
        messages = []
        while not messages or messages[-1].offset() + 1 < end:
            message = consumer.poll(5) if end else None
            if message is None:
                break
            messages.append(message)
        consumer.close()
        return [message for message in messages if message.value() is not None]

    def remove(self):
        for removed in self.admin.delete_topics([self.name]).values():
            removed.result()


class Step(NamedTuple):
    """A step of an incident, as the alert store has it."""

    uid: str
    incident: str
    activity: int
    severity: int
    message: str
    ocsf: dict

    @classmethod
    def of(cls, ocsf: dict) -> "Step":
        return cls(
            ocsf["metadata"]["uid"], ocsf["finding_info"]["uid"], ocsf["activity_id"], ocsf["severity_id"], ocsf["message"], ocsf
        )


class Product:
    """A service over a topic, or several, with these sinks."""

    def __init__(self, home: Path, topic: Topic, bundle: Path, sinks: str, decode: str = 'format = "ecs"', more: Iterable[Topic] = ()):
        home.mkdir(parents=True, exist_ok=True)
        self.home, self.topic, self.process, self.kills = home, topic, None, 0
        self.admin = f"127.0.0.1:{free_port()}"
        self.pipeline = home / "pipeline.toml"
        # A member of its own name takes its partitions back at once when it comes again.
        self.pipeline.write_text(f"""
[source.kafka]
brokers = "{BROKERS}"
topics = {json.dumps([one.name for one in (topic, *more)])}
group = "{topic.name}"
properties = {{ "group.instance.id" = "one" }}
[decode]
{decode}
[model]
bundle = "{bundle}"
[state]
directory = "state"
checkpoint_seconds = 1
[dead_letter]
file = "dead.ndjson"
[admin]
listen = "{self.admin}"
{sinks}
""")

    def start(self):
        with open(self.home / "log", "ab") as log:
            self.process = subprocess.Popen(
                [APIWARDEN, "run", "--pipeline", self.pipeline], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.kills += 1

    def stop(self):
        self.process.terminate()
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failed("the service did not end within a minute") from None
        if code != 0:
            raise Failed(f"the service ended with {code}: {(self.home / 'log').read_text()[-1500:]}")

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def revive(self):
        """Starts it again after a kill; an end of another kind is a failure."""
        code = self.process.poll()
        if code == -9:
            self.start()
        elif code is not None:
            raise Failed(f"the service ended with {code}: {(self.home / 'log').read_text()[-1500:]}")

    def metric(self, name: str) -> float:
        """The sum of a metric; what cannot be asked is not known."""
        try:
            with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=5) as answer:
                found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", answer.read().decode(), re.MULTILINE)
        except OSError:
            return float("nan")
        return sum(map(float, found)) if found else float("nan")

    def is_idle(self) -> bool:
        """All is read, and all is delivered, for longer than metrics are old."""
        for _ in range(8):
            self.revive()
            if self.metric("apiwarden_lag") != 0 or self.metric("apiwarden_sink_backlog") != 0:
                return False
            time.sleep(0.2)
        return True

    def steps(self) -> list[Step]:
        """What the alert store has, in its order."""
        return [Step.of(json.loads(line)) for line in run("alerts", "list", "--state", self.home / "state", "--all", "--json").splitlines()]


class Proxy:
    """Passes bytes on to a port and back, keeps what is sent, and calls back before an acknowledgement goes on; `False` withholds it.

    An acknowledgement is what comes back, be it the end, after something was sent that `asks` for one.
    """

    def __init__(self, port: int, before_answer: Callable[[], bool] = lambda: True, asks: Callable[[bytes], bool] = bool):
        self.port, self.before_answer, self.asks, self.seen = port, before_answer, asks, bytearray()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.at = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket):
        try:
            target = socket.create_connection(("127.0.0.1", self.port))
        except OSError:
            return client.close()
        sent = bytearray()
        threading.Thread(target=self.forward, args=(client, target, sent), daemon=True).start()
        try:
            while True:
                answer = target.recv(1 << 16)
                # The first bytes after a request; more of the same answer may follow.
                request = bytes(sent)
                del sent[: len(request)]
                if self.asks(request) and not self.before_answer() or not answer:
                    break
                client.sendall(answer)
        except OSError:
            pass
        for side in (client, target):
            shut(side)

    def forward(self, client: socket.socket, target: socket.socket, sent: bytearray):
        try:
            while some := client.recv(1 << 16):
                self.seen += some
                sent += some
                target.sendall(some)
            # The receiver still answers what it has.
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.server.close()


def shut(side: socket.socket):
    try:
        side.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    side.close()


class Request(NamedTuple):
    """What an endpoint was asked."""

    path: str
    headers: dict
    body: bytes


class Endpoint:
    """Answers what is posted as `answer` says: a status and JSON."""

    def __init__(self, answer: Callable[[Request], tuple[int, dict]]):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, value = answer(Request(self.path, {name.lower(): text for name, text in self.headers.items()}, body))
                text = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

            def handle(self):
                try:
                    super().handle()
                except OSError:
                    pass  # The product was killed.

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
