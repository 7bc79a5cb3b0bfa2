"""Open Policy Agent evaluates the proposed module."""

import json
import os
import subprocess
from urllib.parse import urlsplit

from harness import CALLS, PLAIN, Call, Failed, Trial, main

OPA = os.environ["OPA"]


def test(trial: Trial):
    policy = trial.propose("opa")
    module = trial.directory / "egress.rego"
    module.write_bytes(policy.read_bytes())
    run("check", "--strict", module)

    def allows(call: Call) -> bool:
        url = urlsplit(call.url)
        path = url.path + (f"?{url.query}" if url.query else "")
        fields = {"caller": call.caller, "scheme": url.scheme, "host": url.hostname, "method": call.method, "path": path}
        request = trial.directory / "input.json"
        request.write_text(json.dumps(fields))
        found = run("eval", "--format", "raw", "--data", module, "--input", request, "data.apiwarden.egress.allow")
        return {"true": True, "false": False}[found.strip()]

    trial.compare(policy, CALLS + PLAIN, allows, lambda call: call.by_endpoint)
    if allows(Call("", "POST", "https://api.stripe.com/v1/charges", False, False)):
        raise Failed("a call without a caller passes")


def run(*arguments) -> str:
    ended = subprocess.run([OPA, *map(str, arguments)], capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise Failed(f"opa {arguments[0]}: {ended.stdout}{ended.stderr}")
    return ended.stdout


main(test)
