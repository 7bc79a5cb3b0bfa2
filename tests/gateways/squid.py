"""Squid enforces the proposed list as a forward proxy: callers by address, and by a header."""

import http.server
import os
import shutil
import threading
from urllib.parse import urlsplit

from harness import CALLS, DEBIAN, HEADER, PLAIN, Call, Failed, Trial, answer, free_port, main, stop


class Vendor(http.server.BaseHTTPRequestHandler):
    """Every vendor: opens a tunnel, and answers a request in plaintext."""

    protocol_version = "HTTP/1.1"

    def respond(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.close_connection = True

    do_CONNECT = do_GET = do_POST = respond

    def log_message(self, *_):
        pass


def test(trial: Trial):
    vendor = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    vendor.daemon_threads = True
    threading.Thread(target=vendor.serve_forever, daemon=True).start()
    # What Squid needs of its package; as root it becomes another user, who may not be able to read ours.
    shutil.copytree(DEBIAN / "usr/share/squid", trial.directory / "share", ignore=shutil.ignore_patterns("errors"))
    shutil.copytree(DEBIAN / "usr/share/squid-langpack/en", trial.directory / "share/en")
    shutil.copy(DEBIAN / "usr/lib/squid/unlinkd", trial.directory)
    for by_address in (True, False):
        prove(trial, vendor.server_address[1], by_address)


def prove(trial: Trial, vendor: int, by_address: bool):
    arguments = [] if by_address else ["--caller-header", HEADER]
    policy = trial.propose("squid", *arguments, by_address=by_address)
    port = free_port()
    home = trial.directory / f"squid-{by_address}"
    home.mkdir()
    if os.geteuid() == 0:
        shutil.chown(home, "proxy")
    whole = trial.directory / f"squid-{by_address}.conf"
    whole.write_text(f"""
http_port 127.0.0.1:{port}
include {policy}
cache_peer 127.0.0.1 parent {vendor} 0 no-query no-digest default
never_direct allow all
cache deny all
access_log none
pid_filename none
netdb_filename none
coredump_dir {home}
cache_log {home}/cache.log
pinger_enable off
unlinkd_program {trial.directory}/unlinkd
visible_hostname squid
shutdown_lifetime 0 seconds
mime_table {trial.directory}/share/mime.conf
icon_directory {trial.directory}/share/icons
error_directory {trial.directory}/share/en
""")
    libraries = [*DEBIAN.glob("usr/lib/*-linux-gnu"), *DEBIAN.glob("lib/*-linux-gnu")]
    environment = {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}
    squid = trial.start(DEBIAN / "usr/sbin/squid", "-N", "-f", whole, port=port, environment=environment)

    def allows(call: Call) -> bool:
        url = urlsplit(call.url)
        if url.scheme == "https":
            status = answer(port, "CONNECT", f"{url.hostname}:443", f"{url.hostname}:443", call.caller, not by_address)
        else:
            status = answer(port, call.method, call.url, url.hostname, call.caller, not by_address)
        if status not in (200, 403):
            raise Failed(f"{call}: {status}")
        return status == 200

    trial.compare(policy, CALLS + PLAIN, allows, lambda call: call.by_host, by_address)
    stop(squid)
    complaints = [line for line in (home / "cache.log").read_text().splitlines() if "WARNING" in line or "ERROR" in line]
    if any("acl" in line.lower() or "http_access" in line for line in complaints):
        raise Failed("\n".join(complaints))


main(test)
