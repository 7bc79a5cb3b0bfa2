"""mitmproxy intercepts the calls of a service and writes them as HAR, which is read as a file."""

from harness import BILLING, INSTALLED, ROUNDS, Call, Finding, Trial, free_port, history, main, stop, through_proxy

MITMDUMP = INSTALLED / "python" / "bin" / "mitmdump"
NORMAL = [BILLING, BILLING._replace(method="GET", url="https://api.stripe.com/v1/customers")]


def intercept(trial: Trial, calls: list[Call], archive: str) -> bytes:
    """The archive of these calls. mitmproxy writes it when it ends."""
    port, har = free_port(), trial.directory / archive
    certificates = trial.directory / "certificates"
    own = ["--set", f"confdir={certificates}", "--set", f"ssl_verify_upstream_trusted_ca={trial.vendors.certificate}"]
    mode = ["--mode", f"upstream:http://127.0.0.1:{trial.vendors.http}", "--listen-host", "127.0.0.1", "--listen-port", port]
    proxy = trial.start(MITMDUMP, *mode, *own, "--set", f"hardump={har}", port=port)
    send = through_proxy(port, certificates / "mitmproxy-ca-cert.pem")
    for call in calls:
        send(call)
    stop(proxy)
    return har.read_bytes()


def test(trial: Trial):
    trial.sent = len(NORMAL) * ROUNDS
    archive = intercept(trial, NORMAL * ROUNDS, "normal.har")
    trial.check_account([archive])
    trial.train(history([archive]))
    # A charge goes out in the clear.
    odd = BILLING._replace(url="http://api.stripe.com/v1/charges")
    trial.scan([intercept(trial, [*NORMAL, odd, *NORMAL], "odd.har")], Finding("plaintext", BILLING.caller, "stripe"))


main("egress-har.toml", test)
