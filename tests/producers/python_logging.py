"""Two Python services log their calls in ECS, by a logging handler that writes into Kafka itself."""

import os
import sys

import requests

from harness import BILLING, BROKERS, CRM, PRODUCERS, Call, Finding, Trial, main

sys.path.append(str(PRODUCERS))
from kafka_ecs_logging import KafkaHandler, logged


def test(trial: Trial):
    os.environ["REQUESTS_CA_BUNDLE"] = str(trial.vendors.certificate)
    sessions = {}
    for service in (BILLING.caller, CRM.caller):
        sessions[service] = logged(requests.Session(), KafkaHandler(BROKERS, trial.topic), service)
        sessions[service].proxies = {"https": f"http://127.0.0.1:{trial.vendors.http}"}

    def send(call: Call):
        body = b'{"amount":1200}' if call.method == "POST" else None
        sessions[call.caller].request(call.method, call.url, data=body, headers=call.headers).raise_for_status()

    # Billing's key, in the hands of another service.
    odd = CRM._replace(url="https://api.stripe.com/v1/customers", key=BILLING.key)
    trial.prove(send, odd, Finding("credential_of_another", "crm", "stripe"))


main("egress-ecs.toml", test)
