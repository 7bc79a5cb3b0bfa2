"""Two Python services are instrumented with OpenTelemetry; the Collector's Kafka exporter writes their client spans."""

import os

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from harness import BILLING, BROKERS, CRM, INSTALLED, PRODUCERS, Call, Finding, Trial, free_port, main

COLLECTOR = INSTALLED / "otelcol" / "otelcol"


def test(trial: Trial):
    os.environ["REQUESTS_CA_BUNDLE"] = str(trial.vendors.certificate)
    port = free_port()
    changes = {"localhost:9092": BROKERS, "topic: otlp_spans": f"topic: {trial.topic}", ":4318": f":{port}"}
    collector = trial.adapt(PRODUCERS / "otel-collector.yaml", changes)
    trial.start(COLLECTOR, "--config", collector, port=port)

    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{port}/v1/traces")
    services = {}
    for service in (BILLING.caller, CRM.caller):
        services[service] = TracerProvider(resource=Resource.create({"service.name": service}))
        services[service].add_span_processor(SimpleSpanProcessor(exporter))
    session = requests.Session()
    session.proxies = {"https": f"http://127.0.0.1:{trial.vendors.http}"}

    def send(call: Call):
        # One process stands for both services.
        RequestsInstrumentor().instrument(tracer_provider=services[call.caller])
        body = b'{"amount":1200}' if call.method == "POST" else None
        session.request(call.method, call.url, data=body, headers=call.headers).raise_for_status()
        RequestsInstrumentor().uninstrument()

    # Customers leave for a file drop.
    odd = CRM._replace(method="POST", url="https://transfer.sh/customers.csv")
    trial.prove(send, odd, Finding("vendor_new_drop", "crm", "transfer.sh"))


main("egress-otel.toml", test)
