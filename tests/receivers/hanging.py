"""A sink that accepts and never answers, beside one that works: `hanging.py HOME MINUTES`.

Calls of the demo come in over Kafka as fast as they are read, with the times of ever later days, so that alerts go on. One sink is a webhook that
takes requests and stays silent, the other a topic. What is measured: calls a second, the time from the alert store to the topic,
memory over time; and, when the hanging one answers at last, that it has every alert.

Not here: other faults of receivers (`src/stream/delivery/tests.rs`).
"""

import json
import os
import sqlite3
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import confluent_kafka

from harness import BROKERS, Endpoint, Failed, Logs, Product, Request, Topic, moved, until

MAX_LATENCY = 1.0
SAMPLE_SECONDS = 0.05


class Hanging:
    """A webhook that stays silent until it is let go."""

    def __init__(self):
        self.released, self.taken, self.waiting = threading.Event(), Counter(), 0
        self.endpoint = Endpoint(self.answer)

    def answer(self, request: Request):
        if not self.released.is_set():
            self.waiting += 1
            self.released.wait()
            return 503, {}  # Nobody waits for this answer any more.
        self.taken[request.headers["webhook-id"]] += 1
        return 200, {}


class Latency(threading.Thread):
    """When each alert is in the store, and when it is on the topic."""

    def __init__(self, product: Product, topic: Topic):
        super().__init__(daemon=True)
        self.store = product.home / "state/alerts.sqlite"
        self.topic, self.stored, self.arrived, self.is_over = topic, {}, {}, False

    def run(self):
        reader = threading.Thread(target=self.read_topic, daemon=True)
        reader.start()
        last, connection = 0, None
        while not self.is_over:
            if connection is None and self.store.exists():
                connection = sqlite3.connect(f"file:{self.store}?mode=ro", uri=True, timeout=5)
            try:
                rows = connection.execute("SELECT seq, uid FROM alerts WHERE seq > ? ORDER BY seq", [last]).fetchall() if connection else []
            except sqlite3.OperationalError:
                rows = []
            for last, uid in rows:
                self.stored[uid] = time.time()
            time.sleep(SAMPLE_SECONDS)

    def read_topic(self):
        consumer = confluent_kafka.Consumer({"bootstrap.servers": BROKERS, "group.id": "unused", "enable.auto.commit": False})
        consumer.assign([confluent_kafka.TopicPartition(self.topic.name, 0, 0)])
        while not self.is_over:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                uid = json.loads(message.value())["metadata"]["uid"]
                # The time that Kafka has of it: when the sink sent it.
                self.arrived.setdefault(uid, message.timestamp()[1] / 1000)
        consumer.close()

    def seconds(self) -> list[float]:
        """Sorted; the store is looked at every `SAMPLE_SECONDS`, so what was sent in between took no longer than that."""
        return sorted(max(0.0, self.arrived[uid] - seen) for uid, seen in self.stored.items() if uid in self.arrived)


def feed(topic: Topic, today: list[bytes], product: Product, is_over: threading.Event):
    """The days again and again, each time later, never more than is soon read."""
    span = 5
    for cycle in range(10_000):
        for start in range(0, len(today), 5_000):
            while product.metric("apiwarden_lag") > 20_000 and not is_over.is_set():
                time.sleep(0.1)
            if is_over.is_set():
                return
            topic.write(moved(line, span * cycle) for line in today[start : start + 5_000])


def resident(product: Product) -> int:
    pages = int(Path(f"/proc/{product.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def main():
    home, minutes = Path(sys.argv[1]), float(sys.argv[2])
    # All cycles lie in the past: what is ahead of the clock is no call.
    logs, topic, alerts, hanging = Logs(home, age=3650), Topic("logs"), Topic("alerts"), Hanging()
    sinks = f"""
[[sinks]]
type = "kafka"
topic = "{alerts.name}"
[[sinks]]
type = "webhook"
url = "http://127.0.0.1:{hanging.endpoint.port}/"
"""
    product, is_over = Product(home / "hanging", topic, logs.bundle, sinks), threading.Event()
    latency = Latency(product, alerts)
    try:
        product.start()
        until("it is ready", 60, lambda: product.metric("apiwarden_lag") == 0)
        latency.start()
        threading.Thread(target=feed, args=(topic, logs.today, product, is_over), daemon=True).start()
        began, memory, calls = time.monotonic(), [], 0.0
        while (passed := time.monotonic() - began) < minutes * 60:
            time.sleep(min(10, minutes * 60 - passed))
            product.revive()
            calls = product.metric("apiwarden_calls_total")
            memory.append(resident(product))
        is_over.set()
        until("the rest is read", 120, lambda: product.metric("apiwarden_lag") == 0)
        steps, waiting = len(product.steps()), product.metric("apiwarden_sink_backlog")
        hanging.released.set()
        until("the hanging one has all", 420, lambda: product.metric("apiwarden_sink_backlog") == 0)
        product.stop()
        latency.is_over = True
        stored = {step.uid: step.ocsf["finding_info"]["analytic"]["name"] for step in product.steps()}
        # A sink is not told by itself that it fails.
        own = {uid for uid, detector in stored.items() if detector == "service.sink_failing"}
        once = Counter(json.loads(one.value())["metadata"]["uid"] for one in alerts.read())
        lost = {"webhook": len(stored.keys() - own - set(hanging.taken)), "topic": len(stored.keys() - set(once))}
        seconds = latency.seconds()
        at = lambda part: seconds[min(len(seconds) - 1, int(part * len(seconds)))]
        if minutes > 6 and len(own) != 2:
            raise Failed(f"{len(own)} steps say that the hanging one fails, and that it works again")
        print(f"hanging for {minutes:g} minutes ({hanging.waiting} requests without an answer): {calls / (minutes * 60):,.0f} calls a second")
        print(f"alerts: {steps} in the store, {waiting:.0f} waiting for the hanging one; then {len(hanging.taken)} taken, lost {lost}, "
              f"twice on the topic {sum(once.values()) - len(once)}, twice at the webhook {sum(hanging.taken.values()) - len(hanging.taken)}")
        print(f"store to topic: median {at(0.5):.2f} s, 99 % {at(0.99):.2f} s, most {seconds[-1]:.2f} s of {len(seconds)}")
        print(f"memory: {memory[0]} MB after 10 s, {memory[len(memory) // 2]} half way, {memory[-1]} at the end, {max(memory)} at most")
        if any(lost.values()) or sum(once.values()) != len(once) or at(0.99) > MAX_LATENCY:
            raise Failed("see above")
    finally:
        is_over.set()
        product.end()
        topic.remove()
        alerts.remove()


if __name__ == "__main__":
    main()
