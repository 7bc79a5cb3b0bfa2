"""What the tests without a broker share: Debian's programs in a cache, a pipeline with one sink, and `apiwarden sinks test`.

Nothing is installed on the system, and no service is started: packages are unpacked.

Not here: what a receiver must have received.
"""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CACHE = Path(os.environ.get("APIWARDEN_RECEIVERS", Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "apiwarden/receivers"))
START_SECONDS = 60


class Failed(Exception):
    """What did not happen, in words."""


def cannot(reason: str):
    """Ends a test that cannot run here: it has not failed, and proves nothing."""
    print(f"{Path(sys.argv[0]).name}: not run: {reason}", file=sys.stderr)
    sys.exit(77)


def binary() -> Path:
    path = os.environ.get("APIWARDEN")
    if not path or not Path(path).exists():
        cannot("APIWARDEN names no binary")
    return Path(path).resolve()


def packages(name: str, *together: str) -> Path:
    """Debian's packages with what they need and this system lacks, unpacked below the cache."""
    place = CACHE / name
    if (place / "whole").exists():
        return place
    if not shutil.which("apt-get"):
        cannot(f"without apt-get {' and '.join(together)} cannot be had")
    shutil.rmtree(place, ignore_errors=True)
    archives = place / "archives"
    (archives / "partial").mkdir(parents=True)
    subprocess.run(["apt-get", "update"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    options = ["-o", f"Dir::Cache::archives={archives}", "-o", "Debug::NoLocking=true"]
    command = ["apt-get", "install", "-y", "--download-only", "--reinstall", "--no-install-recommends", *options, *together]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        cannot(f"{' and '.join(together)} cannot be had from Debian: {done.stderr.strip()[-300:]}")
    for archive in archives.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", archive, place], check=True)
    shutil.rmtree(archives)
    (place / "whole").touch()
    return place


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def certificates(directory: Path):
    """An authority, and a certificate of it for 127.0.0.1 that serves and is shown."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    if not shutil.which("openssl"):
        cannot("without openssl there are no certificates")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test-ca")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=127.0.0.1")
    (directory / "own.ext").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "own.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "own.pem", "-days", "2", "-extfile", "own.ext")


class Trial:
    """A directory of one test, and what it started."""

    def __init__(self):
        self.apiwarden = binary()
        self.directory = Path(tempfile.mkdtemp(prefix="apiwarden-receiver-"))
        self.processes: list[subprocess.Popen] = []
        atexit.register(self.clean)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def clean(self):
        for process in self.processes:
            stop(process)
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, *command, port: int, environment: dict | None = None) -> subprocess.Popen:
        log = (self.directory / "receiver.log").open("ab")
        process = subprocess.Popen([str(part) for part in command], cwd=self.directory, env={**os.environ, **(environment or {})}, stdout=log, stderr=log)
        self.processes.append(process)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return process
            time.sleep(0.1)
        raise Failed(f"{command[0]} does not listen: {(self.directory / 'receiver.log').read_text()[-1000:]}")

    def send(self, section: str, environment: dict | None = None) -> subprocess.CompletedProcess:
        """Sends the test's alert and its end through a sink."""
        pipeline = self.directory / "pipeline.toml"
        pipeline.write_text(
            '[source.kafka]\nbrokers = "127.0.0.1:9"\ntopics = ["unread"]\n[model]\nbundle = "bundle"\n'
            f'[state]\ndirectory = "state"\n[[sinks]]\n{section}\n'
        )
        command = [self.apiwarden, "sinks", "test", self.name_of(section), "--pipeline", pipeline]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **(environment or {})})

    def name_of(self, section: str) -> str:
        """What the sink is called: by its name, or by the place that it writes."""
        fields = dict(line.split(" = ", 1) for line in section.splitlines() if " = " in line)
        kind, name, path = (fields.get(field, "").strip('"') for field in ("type", "name", "path"))
        return f"{kind}:{name or self.directory / path}"

    def must_send(self, section: str, environment: dict | None = None):
        done = self.send(section, environment)
        if done.returncode:
            raise Failed(f"{section.splitlines()[0]} …: {done.stderr.strip()}")

    def must_not_send(self, section: str, reason: str, environment: dict | None = None):
        done = self.send(section, environment)
        if done.returncode == 0 or reason not in done.stderr:
            raise Failed(f"should have failed ({reason}): {done.stdout.strip()} {done.stderr.strip()}")


def stop(process: subprocess.Popen, how: int = signal.SIGTERM):
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def eventually(what: str, holds, seconds: float = 15):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise Failed(what)
        time.sleep(0.1)


def main(test):
    trial = Trial()
    try:
        test(trial)
    except Failed as failed:
        print(f"{Path(sys.argv[0]).name}: FAILED: {failed}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    packages("rsyslog", "rsyslog", "rsyslog-gnutls")
    packages("syslog-ng", "syslog-ng-core")
