"""NGINX forwards to two vendors and logs by syslog; rsyslog writes into Kafka."""

from harness import BILLING, BROKERS, PRODUCERS, Call, Finding, Trial, free_port, main, through_gateway


def test(trial: Trial):
    syslog, stripe, hubspot = free_port(), free_port(), free_port()
    shipper = {"localhost:9092": BROKERS, '"nginx-egress"': f'"{trial.topic}"', '"5140"': f'"{syslog}"'}
    trial.start_rsyslog(trial.adapt(PRODUCERS / "nginx-rsyslog.conf", shipper), udp=syslog)
    servers = {":5140": f":{syslog}", ":8081": f":{stripe}", ":8082": f":{hubspot}"}
    egress = trial.adapt(PRODUCERS / "nginx.conf", servers)
    # Instead of DNS: `proxy_pass` takes a group of servers where one has the vendor's name.
    vendors = [f"upstream {host} {{ server 127.0.0.1:{trial.vendors.tls}; }}" for host in ("api.stripe.com", "api.hubapi.com")]
    whole = trial.directory / "whole-nginx.conf"
    buffers = [f"{part}_temp_path {part};" for part in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
    http = "\n".join([*vendors, *buffers, f"include {egress};"])
    whole.write_text(f"pid nginx.pid;\nevents {{}}\nhttp {{\n{http}\n}}\n")
    trial.start_debian("usr/sbin/nginx", "-p", trial.directory, "-c", whole, "-e", "stderr", "-g", "daemon off;", port=hubspot)

    ports = {"api.stripe.com": through_gateway(stripe), "api.hubapi.com": through_gateway(hubspot)}

    def send(call: Call):
        ports[call.host](call)

    # Somebody tries the key of the billing service by hand.
    odd = BILLING._replace(method="GET", url="https://api.stripe.com/v1/customers", agent="curl/8.5.0")
    trial.prove(send, odd, Finding("client_tool", "127.0.0.11", "stripe"))


main("egress-nginx.toml", test)
