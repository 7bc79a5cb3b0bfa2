"""Envoy is the egress proxy of two services; rsyslog writes its access log into Kafka."""

from harness import BILLING, BROKERS, CRM, INSTALLED, PRODUCERS, Finding, Trial, free_port, main, through_gateway

ENVOY = INSTALLED / "python" / "bin" / "envoy"


def test(trial: Trial):
    port, log = free_port(), trial.directory / "egress-access.log"
    shipper = {"localhost:9092": BROKERS, '"envoy-egress"': f'"{trial.topic}"', "/var/log/envoy/egress.log": log}
    trial.start_rsyslog(trial.adapt(PRODUCERS / "envoy-rsyslog.conf", shipper))
    changes = {
        "port_value: 10000": f"port_value: {port}",
        "/var/log/envoy/egress.log": log,
        "address: api.stripe.com, port_value: 443": f"address: 127.0.0.1, port_value: {trial.vendors.tls}",
        "address: api.hubapi.com, port_value: 443": f"address: 127.0.0.1, port_value: {trial.vendors.tls}",
        "/etc/ssl/certs/ca-certificates.crt": trial.vendors.certificate,
    }
    envoy = trial.adapt(PRODUCERS / "envoy.yaml", changes)
    trial.start(ENVOY, "-c", envoy, "--use-dynamic-base-id", "--concurrency", "1", port=port)

    # Billing's key, in the hands of another service.
    odd = CRM._replace(url="https://api.stripe.com/v1/customers", key=BILLING.key)
    trial.prove(through_gateway(port), odd, Finding("credential_of_another", "127.0.0.12", "stripe"))


main("egress-envoy.toml", test)
