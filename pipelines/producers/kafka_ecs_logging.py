"""A Python service's own log of its calls: ECS JSON, straight into Kafka. Needs confluent-kafka, ecs-logging and requests.

    session = logged(requests.Session(), KafkaHandler("localhost:9092", "api-logs"), service="billing")

The pipeline is ../egress-ecs.toml. The key itself never reaches the log: a short hash tells one credential from another.
"""

import hashlib
import logging

import confluent_kafka
import ecs_logging


class KafkaHandler(logging.Handler):
    """Writes each record to a topic, in the background; `flush` waits for what is not delivered yet."""

    def __init__(self, brokers: str, topic: str):
        super().__init__()
        self.topic = topic
        self.producer = confluent_kafka.Producer({"bootstrap.servers": brokers, "enable.idempotence": True})

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.producer.produce(self.topic, self.format(record).encode())
            self.producer.poll(0)
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        self.producer.flush(10)


def logged(session, handler: logging.Handler, service: str):
    """Has every answer that this `requests.Session` gets logged by `handler`."""
    handler.setFormatter(
        ecs_logging.StdlibFormatter(exclude_fields=["log.original", "log.origin", "process"], extra={"service.name": service})
    )
    log = logging.getLogger(f"{service}.calls")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(handler)

    def write(answer, **_):
        request = answer.request
        log.info("called %s", request.url.split("?")[0], extra=of_call(request, answer))

    session.hooks["response"].append(write)
    return session


def of_call(request, answer) -> dict:
    fields = {
        "event.category": "web",
        "event.duration": int(answer.elapsed.total_seconds() * 1e9),
        "http.request.method": request.method,
        "http.request.body.bytes": len(request.body or b""),
        "http.response.status_code": answer.status_code,
        "http.response.body.bytes": len(answer.content),
        "url.full": request.url.split("?")[0],
        "user_agent.original": request.headers.get("User-Agent"),
    }
    key = request.headers.get("Authorization")
    if key:
        fields["labels.credential_id"] = hashlib.sha256(key.encode()).hexdigest()[:16]
    return fields
