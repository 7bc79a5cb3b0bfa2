"""Feeds exports of a catalogue to Schemathesis and to CycloneDX's validator. Called by `run.sh` with the directory of the catalogue."""

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

APIWARDEN = os.environ["APIWARDEN"]
# What Schemathesis asks first, to know what it talks to.
PROBE = re.compile(r"/|/schemathesis-probe.*")
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"]


def export(home, *what):
    """What the catalogue exports."""
    command = [APIWARDEN, "catalog", *what, "--store", str(home / "catalog")]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Double(BaseHTTPRequestHandler):
    """Answers whatever is asked, and remembers it."""

    called = set()

    def answer(self):
        self.called.add((self.command, self.path.split("?")[0]))
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b"" if self.command == "HEAD" else b"{}"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


for method in METHODS:
    setattr(Double, f"do_{method}", Double.answer)


def check_openapi(home, vendor, base):
    """What Schemathesis called is what the document has."""
    document = home / f"{vendor}.json"
    document.write_text(export(home, "export", "openapi", vendor))
    paths = json.loads(document.read_text())["paths"]
    expected = {(method.upper(), path) for path, operations in paths.items() for method in operations if method.upper() in METHODS}
    Double.called = set()
    command = ["schemathesis", "run", str(document), "--url", base, "--max-examples", "2", "--phases", "fuzzing"]
    command += ["--mode", "positive", "--checks", "not_a_server_error", "--workers", "1", "--no-color"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=home)
    if ran.returncode:
        print(ran.stdout[-3000:], ran.stderr[-1000:])
        return [f"{vendor}: schemathesis ended with {ran.returncode}"]

    def template_of(method, called):
        for path in paths:
            pattern = "/".join("[^/]*" if part.startswith("{") else re.escape(part) for part in path.split("/"))
            if method.lower() in paths[path] and re.fullmatch(pattern, called):
                return method, path
        return method, called

    called = {template_of(*one) for one in Double.called}
    called = {one for one in called if one in expected or not PROBE.fullmatch(one[1])}
    faults = [f"{vendor}: {method} {path} was not called" for method, path in expected - called]
    return faults + [f"{vendor}: {method} {path} was called and is not in the catalogue" for method, path in called - expected]


def main():
    home = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Double)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    faults, endpoints = [], 0
    vendors = json.loads(export(home, "vendors", "--format", "json"))
    for row in vendors:
        faults += check_openapi(home, row["vendor"], base)
        endpoints += len(Double.called)
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(export(home, "export", "cyclonedx"))
    if problem is not None:
        faults.append(f"CycloneDX: {problem}")
    print(f"{len(vendors)} vendors as OpenAPI, {endpoints} different requests by Schemathesis; CycloneDX 1.6 {'valid' if problem is None else 'invalid'}; {len(faults)} faults")
    for fault in faults:
        print(f"  {fault}")
    sys.exit(1 if faults or not vendors else 0)


if __name__ == "__main__":
    main()
