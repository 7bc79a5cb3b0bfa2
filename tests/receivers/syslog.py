"""rsyslog and syslog-ng receive alerts: TCP and TLS, OCSF, CEF and LEEF, and nothing is lost while they restart.

Packages come from Debian, into a cache (`standalone.py`); without them, or without openssl, it exits with 77.
"""

import json
import threading
import time

from standalone import Failed, Trial, certificates, eventually, free_port, main, packages, stop

RESTARTS = 20
SD = '[apiwarden@32473 incident="'

RSYSLOG = """
global(workDirectory="{directory}" maxMessageSize="8k" defaultNetstreamDriverCAFile="{directory}/ca.pem"
       defaultNetstreamDriverCertFile="{directory}/own.pem" defaultNetstreamDriverKeyFile="{directory}/own.key")
module(load="imtcp" maxSessions="200" {driver})
template(name="parts" type="string" string="%pri%\\t%msgid%\\t%structured-data%\\t%msg%\\n")
input(type="imtcp" port="{port}" address="127.0.0.1" ruleset="keep")
ruleset(name="keep") {{ action(type="omfile" file="{out}" template="parts") }}
"""
GTLS = 'streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="{mode}"'

SYSLOG_NG = """
@version: 3.38
options {{ keep-hostname(yes); stats-freq(0); }};
source in {{ syslog(ip(127.0.0.1) port({port}) max-connections(200) transport({transport}) {tls}); }};
destination out {{ file("{out}" template("$PRI\\t$MSGID\\t$SDATA\\t$MSG\\n")); }};
log {{ source(in); destination(out); }};
"""
TLS = 'tls(key-file("{directory}/own.key") cert-file("{directory}/own.pem") ca-file("{directory}/ca.pem") peer-verify({mode}))'


class Receiver:
    def __init__(self, trial: Trial, name: str, tls: bool, wants_certificate: bool = False):
        self.trial, self.name, self.port = trial, name, free_port()
        self.out = trial.directory / f"{name}-{self.port}.log"
        self.configuration = trial.directory / f"{name}-{self.port}.conf"
        self.debian = packages(name, *(["rsyslog", "rsyslog-gnutls"] if name == "rsyslog" else ["syslog-ng-core"]))
        if name == "rsyslog":
            driver = GTLS.format(mode="x509/certvalid" if wants_certificate else "anon") if tls else ""
            text = RSYSLOG.format(directory=trial.directory, driver=driver, port=self.port, out=self.out)
        else:
            own = TLS.format(directory=trial.directory, mode="required-trusted" if wants_certificate else "optional-untrusted") if tls else ""
            text = SYSLOG_NG.format(port=self.port, out=self.out, transport='"tls"' if tls else '"tcp"', tls=own)
        self.configuration.write_text(text)
        self.start()

    def start(self):
        libraries = [self.debian / "usr/lib/x86_64-linux-gnu", self.debian / "lib/x86_64-linux-gnu", self.debian / "usr/lib/syslog-ng"]
        environment = {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}
        directory = self.trial.directory
        if self.name == "rsyslog":
            modules = next(self.debian.glob("usr/lib/*/rsyslog"))
            arguments = ["usr/sbin/rsyslogd", "-n", "-i", "NONE", "-M", modules, "-f", self.configuration]
        else:
            modules = next(self.debian.glob("usr/lib/syslog-ng/*/libafsocket.so")).parent
            state = [f"--{kind}={directory}/{self.port}.{kind}" for kind in ("persist-file", "pidfile", "control")]
            arguments = ["usr/sbin/syslog-ng", "-F", "--no-caps", f"--module-path={modules}", f"--cfgfile={self.configuration}", *state]
        self.process = self.trial.start(self.debian / arguments[0], *arguments[1:], port=self.port, environment=environment)

    def lines(self) -> list[str]:
        return self.out.read_text().splitlines() if self.out.exists() else []

    def section(self, more: str = "") -> str:
        return f'type = "syslog"\nname = "it"\naddress = "127.0.0.1:{self.port}"\nfacility = "audit"\n{more}'


def check(receiver: Receiver, format: str, more: str):
    """A test's alert and its end arrive whole and in order."""
    before = len(receiver.lines())
    receiver.trial.must_send(receiver.section(f'format = "{format}"\n{more}'))
    eventually(f"{receiver.name}: nothing came as {format}", lambda: len(receiver.lines()) >= before + 2)
    steps = [line.split("\t", 3) for line in receiver.lines()[before:]]
    if [step[1].rsplit("-", 1)[1] for step in steps] != ["1", "2"]:
        raise Failed(f"{receiver.name}: order or names: {steps}")
    for (priority, _, data, text), activity in zip(steps, ("created", "closed")):
        if priority != "108":
            raise Failed(f"{receiver.name}: priority {priority}")
        if not data.startswith(SD) or f'activity="{activity}"' not in data:
            raise Failed(f"{receiver.name}: structured data {data}")
        starts = {"cef": "CEF:0|apiwarden|apiwarden|", "leef": "LEEF:2.0|apiwarden|apiwarden|", "json": "{"}[format]
        text = text.strip()
        if not text.startswith(starts) or (format == "json" and json.loads(text)["class_uid"] != 2004):
            raise Failed(f"{receiver.name}: {format}: {text[:200]}")


def check_restarts(receiver: Receiver, more: str):
    """While the receiver restarts again and again, what it was told and what we count as delivered is there."""
    delivered = failed = 0
    is_over, problems = threading.Event(), []

    def restart():
        try:
            for _ in range(RESTARTS):
                time.sleep(0.15)
                stop(receiver.process)
                receiver.start()
        except Failed as failed:
            problems.append(failed)
        is_over.set()

    before = len(receiver.lines())
    thread = threading.Thread(target=restart)
    thread.start()
    while not is_over.is_set():
        done = receiver.trial.send(receiver.section(more))
        delivered, failed = delivered + (done.returncode == 0), failed + (done.returncode != 0)
    thread.join()
    if problems:
        raise problems[0]
    receiver.trial.must_send(receiver.section(more))
    delivered += 1
    # What failed may have arrived: at least once.
    def names():
        return [line.split("\t")[1] for line in receiver.lines()[before:]]

    # Syslog has no acknowledgement: what a receiver has read and does not write as it ends is gone. syslog-ng does so now and then.
    most_lost = delivered // 100 if receiver.name == "syslog-ng" else 0
    wanted = 2 * (delivered - most_lost)
    eventually(f"{receiver.name}: of {delivered} alerts {len(set(names())) / 2} are there", lambda: len(set(names())) >= wanted)
    time.sleep(1)
    lost, doubled = 2 * delivered - len(set(names())), len(names()) - len(set(names()))
    print(f"{receiver.name}: {RESTARTS} restarts, {delivered} alerts delivered, {failed} attempts failed, lost {max(lost, 0) / 2:g}, doubled {doubled}")


def test(trial: Trial):
    certificates(trial.directory)
    ca = 'tls = true\nca_file = "ca.pem"'
    own = f'{ca}\ncertificate = "own.pem"\nkey = "own.key"'
    for name in ("rsyslog", "syslog-ng"):
        plain, secure, strict = Receiver(trial, name, False), Receiver(trial, name, True), Receiver(trial, name, True, True)
        for format in ("json", "cef", "leef"):
            check(plain, format, "")
            check(secure, format, ca)
            check(strict, format, own)
        trial.must_not_send(secure.section("tls = true"), "TLS failed")
        trial.must_not_send(strict.section(ca), "")
        print(f"{name}: TCP, TLS and TLS with our certificate, as OCSF, CEF and LEEF")
        stop(plain.process)
        trial.must_not_send(plain.section(), "connection refused")
        plain.start()
        check(plain, "json", "")
        check_restarts(plain, "")


main(test)
