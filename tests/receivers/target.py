"""What all targets have in common: how a receiver is started, and how what it has is compared with the alert store.

`Outcome` counts what is lost, what is there twice, and what is wrong: an incident that shows another end or another revision than the newest.

Not here: the targets themselves (`targets.py`, `lines.py`), kills (`receivers.py`).
"""

import atexit
import os
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from harness import CLOSE, START_SECONDS, UPDATE, Step, listens, until

INSTALLED = Path(os.environ.get("APIWARDEN_RECEIVERS", "/nonexistent"))
MEDIUM = 3
# How headlines for people end, by activity.
ENDINGS = {1: "", UPDATE: " (continues)", CLOSE: " (over)"}


class Outcome(NamedTuple):
    lost: int
    doubled: int
    wrong: list[str]


class Target:
    """What all have in common. `once`: nothing may be there twice."""

    name, once, settings = "", False, ""
    # What a proxy waits before each answer, seconds.
    delay = 0.0

    def __init__(self, home: Path):
        self.home, self.processes = home, []
        home.mkdir(parents=True, exist_ok=True)
        # Whatever ends the test ends its receivers.
        atexit.register(Target.stop, self)
        self.port = self.start()

    def start(self) -> int:
        """Starts the receiver; the port that sinks are to speak to, 0 if they speak to none."""
        raise NotImplementedError

    def asks(self, sent: bytes) -> bool:
        """Whether the answer to what was sent acknowledges a step."""
        return bool(sent)

    def watch(self, landed: Callable[[], bool]):
        """Where there is no port, and so no proxy: calls back when something has landed."""

    def section(self, port: int) -> str:
        return f'[[sinks]]\ntype = "{self.name}"\nurl = "http://127.0.0.1:{port}"\n{self.settings}'

    def run(self, *command, port: int, environment: dict | None = None) -> subprocess.Popen:
        with open(self.home / f"{self.name}.log", "ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.home,
                env={**os.environ, **(environment or {})},
            )
        self.processes.append(process)
        until(f"{self.name} listens", START_SECONDS, lambda: listens(port) or process.poll() is not None)
        if process.poll() is not None:
            raise RuntimeError(f"{self.name} ended: {(self.home / f'{self.name}.log').read_text()[-2000:]}")
        return process

    def stop(self):
        for process in self.processes:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def compare(self, steps: list[Step]) -> Outcome:
        raise NotImplementedError


def by_uid(steps: list[Step], shown: list[tuple[str, dict]]) -> Outcome:
    """Of targets that keep each step with its name and content, in the order in which they came."""
    expected, counts, wrong = {step.uid: step for step in steps}, Counter(uid for uid, _ in shown), []
    for uid, ocsf in shown:
        if uid not in expected or ocsf != expected[uid].ocsf:
            wrong.append(f"{uid}: is not what the store has")
    newest, last = {step.incident: step.uid for step in steps}, {}
    for uid, ocsf in shown:
        last[ocsf["finding_info"]["uid"]] = uid
    wrong += [f"{incident}: shows {last.get(incident)}, newest is {uid}" for incident, uid in newest.items() if last.get(incident) != uid]
    return Outcome(len(expected.keys() - counts.keys()), sum(counts.values()) - len(counts), wrong)


def by_incident(steps: list[Step], opened: Counter, is_open: dict) -> Outcome:
    """Of targets that keep incidents by a key."""
    closed = {step.incident: step.activity == CLOSE for step in steps}
    wrong = [f"{incident}: open is {is_open.get(incident)}" for incident in closed if is_open.get(incident) == closed[incident]]
    return Outcome(len(closed.keys() - opened.keys()), sum(opened.values()) - len(opened), wrong)


def by_name(steps: list[Step], uids: list[str]) -> Outcome:
    """Of targets that keep each step's name, and of its content what people read."""
    expected = {step.uid: step.ocsf for step in steps}
    return by_uid(steps, [(uid, expected.get(uid, {"finding_info": {"uid": ""}})) for uid in uids])


def by_text(steps: list[Step], shown: list[tuple[str, str, str]]) -> Outcome:
    """Of targets that keep a message a step, without its name: incident, headline and sentence, in the order in which they came.

    Steps of one incident that read the same are as many as there must be.
    """
    expected = Counter((step.incident, ENDINGS[step.activity], step.message) for step in steps)
    counts = Counter((incident, next((one for one in ENDINGS.values() if one and headline.endswith(one)), ""), sentence)
                     for incident, headline, sentence in shown)
    last, wrong = {incident: sentence for incident, _, sentence in shown}, []
    newest = {step.incident: step.message for step in steps}
    wrong += [f"{incident}: the last message is an older one" for incident, message in newest.items() if last.get(incident) != message]
    return Outcome((expected - counts).total(), (counts - expected).total(), wrong)


def pages(steps: list[Step]) -> list[Step]:
    return [step for step in steps if step.severity >= MEDIUM]
