"""The targets that do not speak HTTP: a syslog server, a mail server, a directory, a topic.

Not here: TLS, logins and restarts of receivers (`syslog.py`, `smtp.py`), what a directory looks like (`lake.py`).
"""

import email
import email.policy
import json
import random
import threading
import time
from collections.abc import Callable

import confluent_kafka
import duckdb
from aiosmtpd.controller import Controller

import standalone
from harness import BROKERS, Topic, free_port, until
from target import Target, by_name, by_uid


class Syslog(Target):
    """rsyslog over TCP. Its acknowledgement is that it ends its side of the connection."""

    name = "syslog"

    def start(self) -> int:
        port, debian, self.out = free_port(), standalone.packages("rsyslog", "rsyslog", "rsyslog-gnutls"), self.home / "messages"
        (self.home / "rsyslog.conf").write_text(f"""
global(workDirectory="{self.home}" maxMessageSize="64k")
module(load="imtcp" maxSessions="200")
template(name="text" type="string" string="%msgid%\\t%msg%\\n")
input(type="imtcp" port="{port}" address="127.0.0.1" ruleset="keep")
ruleset(name="keep") {{ action(type="omfile" file="{self.out}" template="text") }}
""")
        libraries = ":".join(str(debian / part) for part in ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"))
        self.run(debian / "usr/sbin/rsyslogd", "-n", "-i", "NONE", "-M", next(debian.glob("usr/lib/*/rsyslog")), "-f", self.home / "rsyslog.conf",
                 port=port, environment={"LD_LIBRARY_PATH": libraries})
        return port

    def section(self, port):
        return f'[[sinks]]\ntype = "syslog"\naddress = "127.0.0.1:{port}"\nmax_bytes = 65536\n'

    def shown(self) -> list[dict]:
        return [json.loads(line.split("\t", 1)[1]) for line in self.out.read_text().splitlines()] if self.out.exists() else []

    def compare(self, steps):
        # It writes later than it reads.
        until("rsyslog writes what it read", 10, lambda: len({one["metadata"]["uid"] for one in self.shown()}) >= len(steps))
        return by_uid(steps, [(one["metadata"]["uid"], one) for one in self.shown()])


class Smtp(Target):
    """aiosmtpd. Mails show an incident's steps in one thread."""

    name = "smtp"

    def start(self) -> int:
        self.mails, port = [], free_port()
        self.server = Controller(self, hostname="127.0.0.1", port=port)
        self.server.start()
        return port

    async def handle_DATA(self, _server, _session, envelope):
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 kept"

    def stop(self):
        self.server.stop()

    def section(self, port):
        return (f'[[sinks]]\ntype = "smtp"\naddress = "127.0.0.1:{port}"\nsecurity = "none"\nfrom = "apiwarden@corp.example"\n'
                'to = ["soc@corp.example"]\nwhen = { severity = ">= informational" }\n')

    def asks(self, sent):
        return sent.endswith(b"\r\n.\r\n")

    def compare(self, steps):
        first, incident = {}, {step.uid: step.incident for step in steps}
        for step in steps:
            first.setdefault(step.incident, step.uid)
        wrong, shown = [], []
        for mail in self.mails:
            uid, thread = (str(mail[name] or "").strip("<>").removesuffix("@corp.example") for name in ("Message-ID", "In-Reply-To"))
            opened = first.get(incident.get(uid))
            if thread != ("" if uid == opened else opened):
                wrong.append(f"{uid}: answers {thread or 'nothing'}")
            shown.append(uid)
        outcome = by_name(steps, shown)
        return outcome._replace(wrong=outcome.wrong + wrong)


class SecurityLake(Target):
    """A directory of Parquet files, read by DuckDB. It is killed at once when a file has its name."""

    name, once = "security_lake", True

    def start(self) -> int:
        self.directory, self.is_over = self.home / "lake", threading.Event()
        return 0

    def stop(self):
        self.is_over.set()

    def section(self, _port):
        return f'[[sinks]]\ntype = "security_lake"\npath = "{self.directory}"\nregion = "eu-central-1"\naccount = "123456789012"\n'

    def watch(self, landed: Callable[[], bool]):
        def look():
            known = set()
            while not self.is_over.is_set():
                files = {(path, path.stat().st_mtime_ns) for path in self.directory.rglob("*.parquet")}
                if files - known:
                    landed()
                known |= files
                time.sleep(0.0005)

        threading.Thread(target=look, daemon=True).start()

    def compare(self, steps):
        rows = duckdb.sql(f"select metadata.uid from read_parquet('{self.directory}/**/*.parquet') order by time, finding_info.uid, metadata.uid")
        return by_name(steps, [uid for (uid,) in rows.fetchall()])


class Kafka(Target):
    """A topic. The service is killed when a record appears, whether it knows that or not, and at random moments."""

    name, once = "kafka", True

    def start(self) -> int:
        self.topic, self.is_over = Topic("alerts"), threading.Event()
        return 0

    def stop(self):
        self.is_over.set()
        self.topic.remove()

    def section(self, _port):
        return f'[[sinks]]\ntype = "kafka"\ntopic = "{self.topic.name}"\n'

    def watch(self, landed: Callable[[], bool]):
        def look():
            chance = random.Random(14)
            settings = {"bootstrap.servers": BROKERS, "group.id": "unused", "enable.auto.commit": False, "isolation.level": "read_uncommitted"}
            consumer = confluent_kafka.Consumer({**settings, "fetch.wait.max.ms": 10})
            consumer.assign([confluent_kafka.TopicPartition(self.topic.name, 0, 0)])
            while not self.is_over.is_set():
                consumer.poll(chance.uniform(0.05, 1))
                landed()
            consumer.close()

        threading.Thread(target=look, daemon=True).start()

    def compare(self, steps):
        findings = [json.loads(message.value()) for message in self.topic.read()]
        return by_uid(steps, [(one["metadata"]["uid"], one) for one in findings])


TARGETS = (Syslog, Smtp, SecurityLake, Kafka)
