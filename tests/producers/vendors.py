"""A stand-in for every vendor: answers whatever host is asked for, on loopback.

One port speaks HTTP and is a forward proxy too (absolute URLs, CONNECT), the other speaks TLS with a certificate for all hosts of
the tests. Behind CONNECT it is the vendor itself.
"""

import http.server
import ssl
import subprocess
import threading
from pathlib import Path

HOSTS = ["api.stripe.com", "api.hubapi.com", "transfer.sh"]


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    tls: ssl.SSLContext

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b'{"object":"list","data":[]}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def do_CONNECT(self):
        self.send_response(200)
        self.end_headers()
        self.connection = self.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        self.close_connection = False

    def log_message(self, *_):
        pass


class Vendors:
    """Ports `http` and `tls`, and the path of the certificate that `tls` and CONNECT show."""

    def __init__(self, directory: Path):
        self.certificate = directory / "vendors.pem"
        key = directory / "vendors.key"
        names = ",".join([f"DNS:{host}" for host in HOSTS] + ["IP:127.0.0.1"])
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
            + ["-subj", "/CN=vendors", "-addext", f"subjectAltName={names}", "-keyout", key, "-out", self.certificate],
            check=True,
            capture_output=True,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        handler = type("Answer", (Answer,), {"tls": context})
        self.http, self.tls = (self.serve(handler, over) for over in (None, context))

    @staticmethod
    def serve(handler, context) -> int:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server.server_address[1]
