"""Caddy forwards to two vendors and sends its access log to rsyslog, which writes into Kafka."""

from harness import BILLING, BROKERS, PRODUCERS, Finding, Trial, free_port, main, through_gateway


def test(trial: Trial):
    port, syslog = free_port(), free_port()
    shipper = {"localhost:9092": BROKERS, '"caddy-egress"': f'"{trial.topic}"', '"5141"': f'"{syslog}"'}
    trial.start_rsyslog(trial.adapt(PRODUCERS / "caddy-rsyslog.conf", shipper), port=syslog)
    changes = {":5141": f":{syslog}", ":8080": f":{port}", "{http.request.host}:443": f"127.0.0.1:{trial.vendors.tls}"}
    caddyfile = trial.adapt(PRODUCERS / "Caddyfile", changes)
    caddyfile.write_text("{\n\tadmin off\n}\n" + caddyfile.read_text())
    # Caddy trusts the vendors' certificate, and keeps its files here.
    environment = {"SSL_CERT_FILE": trial.vendors.certificate, "HOME": trial.directory}
    trial.start_debian("usr/bin/caddy", "run", "--adapter", "caddyfile", "--config", caddyfile, port=port, environment=environment)

    # A customer is deleted, which nobody ever did.
    odd = BILLING._replace(method="DELETE", url="https://api.stripe.com/v1/customers/cus_1")
    trial.prove(through_gateway(port), odd, Finding("endpoint_sensitive", "127.0.0.11", "stripe"))


main("egress-caddy.toml", test)
