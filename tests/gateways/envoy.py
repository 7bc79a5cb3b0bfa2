"""Envoy enforces the proposed list by its RBAC filter, read by extension discovery: callers by address, and by a header."""

import shutil
import subprocess
from urllib.parse import urlsplit

from harness import CALLS, HEADER, INSTALLED, Call, Failed, Trial, answer, free_port, main, stop

ENVOY = INSTALLED / "python" / "bin" / "envoy"


def test(trial: Trial):
    for by_address in (True, False):
        prove(trial, by_address)


def prove(trial: Trial, by_address: bool):
    arguments = [] if by_address else ["--caller-header", HEADER]
    policy = trial.propose("envoy", *arguments, by_address=by_address)
    # Discovery wants the name of a YAML file.
    watched = trial.directory / f"egress-{by_address}.yaml"
    shutil.copy(policy, watched)
    port = free_port()
    whole = trial.directory / f"envoy-{by_address}.yaml"
    whole.write_text(f"""
node: {{ id: egress, cluster: egress }}
static_resources:
  listeners:
    - name: egress
      address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: egress
                normalize_path: true
                merge_slashes: true
                http_filters:
                  - name: apiwarden-egress
                    config_discovery:
                      config_source: {{ path_config_source: {{ path: {watched} }} }}
                      type_urls: [type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC]
                  - name: envoy.filters.http.router
                    typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
                route_config:
                  virtual_hosts:
                    - name: vendors
                      domains: ["*"]
                      routes: [{{ match: {{ prefix: / }}, direct_response: {{ status: 200 }} }}]
""")
    validate(whole)
    validate(inlined(trial, whole, policy))
    command = [ENVOY, "-c", whole, "--use-dynamic-base-id", "--concurrency", "1"]
    envoy = trial.start(*command, port=port)

    def allows(call: Call) -> bool:
        url = urlsplit(call.url)
        target = url.path + (f"?{url.query}" if url.query else "")
        status = answer(port, call.method, target, url.hostname, call.caller, not by_address)
        if status not in (200, 403):
            raise Failed(f"{call}: {status}")
        return status == 200

    trial.compare(policy, CALLS, allows, lambda call: call.by_endpoint, by_address)
    # The authority with a port, and in capitals; dot segments.
    for path, host, is_allowed in [
        ("/v1/charges", "API.stripe.com:443", True),
        ("/v1/charges/../payouts", "api.stripe.com", False),
        ("/v1//charges", "api.stripe.com", True),
    ]:
        if (answer(port, "POST", path, host, "billing", not by_address) == 200) != is_allowed:
            raise Failed(f"{host}{path}")
    if not by_address and answer_of_nobody(port) != 403:
        raise Failed("a call without a caller passes")
    stop(envoy)


def inlined(trial: Trial, whole, policy):
    """The same with the filter in the listener: `--mode validate` looks into it there."""
    lines = policy.read_text().splitlines()
    begin = next(at for at, line in enumerate(lines) if line.strip() == "typed_config:")
    text = whole.read_text()
    discovery = text[text.index("                    config_discovery:") : text.index("                  - name: envoy.filters.http.router")]
    block = "".join(f"{' ' * 16}{line}\n" for line in lines[begin:] if not line.startswith("#"))
    file = trial.directory / "inlined.yaml"
    file.write_text(text.replace(discovery, block))
    return file


def validate(file):
    ended = subprocess.run([ENVOY, "--mode", "validate", "-c", file], capture_output=True, text=True, check=False)
    if ended.returncode != 0 or "OK" not in ended.stdout:
        raise Failed(ended.stdout + ended.stderr)


def answer_of_nobody(port: int) -> int:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/v1/charges", headers={"Host": "api.stripe.com"})
    return connection.getresponse().status


main(test)
