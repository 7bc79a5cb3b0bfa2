"""Alerts of a real run at every target, which is then asked what it has: `receivers.py HOME KILLS [TARGET…]`.

Between product and receiver stands a proxy. Before an answer goes back, it kills the product now and then, which is then started again: the
receiver has taken the step, and the product does not know. In the end the receiver must show what the alert store has.
"""

import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lines
import targets
from harness import Failed, Logs, Product, Proxy, Topic, until
from target import Target

TARGETS = {target.name: target for target in targets.TARGETS + lines.TARGETS}

# The calls come in portions, each delivered before the next: as many as kills, within these, so that kills are spread over the run.
MIN_PORTIONS, MAX_PORTIONS = 4, 12
KILL_PROBABILITY = 2 / 3
PORTION_SECONDS = 240
# Targets that are tried at the same time.
AT_ONCE = 4


class Killer:
    """Decides, when an answer is about to go back, whether the product dies of it: no more often than it may by now."""

    def __init__(self, delay: float):
        self.may, self.delay, self.product, self.chance, self.lock = 0, delay, None, random.Random(14), threading.Lock()

    def before_answer(self) -> bool:
        time.sleep(self.delay)
        with self.lock:
            is_dead = self.product.process.poll() is not None
            if self.product.kills >= self.may or is_dead or self.chance.random() > KILL_PROBABILITY:
                return True
            self.product.kill()
            return False


def prove(home: Path, logs: Logs, kind: type[Target], kills: int) -> bool:
    began = time.monotonic()
    target, topic = kind(home / kind.name), Topic(kind.name)
    killer = Killer(target.delay)
    proxy = Proxy(target.port, killer.before_answer, target.asks)
    product = Product(home / kind.name / "product", topic, logs.bundle, target.section(proxy.at))
    killer.product = product
    try:
        product.start()
        # A new sink begins behind what is in the store, so it must be there first.
        until("it is ready", 120, lambda: product.metric("apiwarden_lag") == 0)
        target.watch(killer.before_answer)
        portions = max(MIN_PORTIONS, min(MAX_PORTIONS, kills))
        size = len(logs.today) // portions + 1
        for portion in range(portions):
            killer.may = -(-kills * (portion + 1) // portions)
            topic.write(logs.today[portion * size : (portion + 1) * size])
            until("a portion is delivered", PORTION_SECONDS, product.is_idle)
        killer.may = 0
        until("the last kill is over", PORTION_SECONDS, product.is_idle)
        product.stop()
        steps = product.steps()
        outcome = target.compare(steps)
    finally:
        product.end()
        proxy.close()
        target.stop()
        topic.remove()
    activities = [sum(step.activity == activity for step in steps) for activity in (1, 2, 3)]
    is_right = not outcome.lost and not outcome.wrong and bool(activities[2]) and not (kind.once and outcome.doubled)
    print(f"{kind.name}: {'passed' if is_right else 'FAILED'} in {time.monotonic() - began:.0f} s: {len(steps)} steps "
          f"(created {activities[0]}, updated {activities[1]}, closed {activities[2]}), {product.kills} kills, lost {outcome.lost}, "
          f"doubled {outcome.doubled}, wrong {len(outcome.wrong)}", flush=True)
    for problem in outcome.wrong[:5]:
        print(f"    {problem}")
    return is_right


def main():
    home, kills, names = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] or list(TARGETS)
    logs = Logs(home)

    def try_to_prove(name: str) -> bool:
        try:
            return prove(home, logs, TARGETS[name], kills)
        except (Failed, RuntimeError) as problem:
            print(f"{name}: FAILED: {problem}", flush=True)
            return False

    # Most of the time goes into waiting.
    with ThreadPoolExecutor(AT_ONCE) as pool:
        proven = list(pool.map(try_to_prove, names))
    print(f"{sum(proven)} passed, {len(proven) - sum(proven)} failed")
    sys.exit(0 if all(proven) else 1)


if __name__ == "__main__":
    main()
