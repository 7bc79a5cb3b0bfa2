"""A real SMTP server (aiosmtpd) receives alerts: STARTTLS and TLS with a login, a thread for each incident, a digest.

Without openssl it exits with 77.
"""

import email
import email.policy
import subprocess
import sys

from standalone import Failed, Trial, certificates, eventually, free_port, main

PASSWORD = "canary-mail-password-4711"
SERVER = '''
import asyncio, pathlib, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult

port, security, out = int(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("own.pem", "own.key")

class Keep:
    async def handle_DATA(self, server, session, envelope):
        (out / f"{len(list(out.iterdir())):03}.eml").write_bytes(envelope.content)
        return "250 kept"

def who(server, session, envelope, mechanism, data):
    return AuthResult(success=data.login == b"soc" and data.password == b"PASSWORD", handled=False)

def smtp():
    own = {"starttls": {"tls_context": context, "require_starttls": True}, "tls": {"auth_require_tls": False}}[security]
    return SMTP(Keep(), authenticator=who, auth_required=True, enable_SMTPUTF8=False, **own)

async def serve():
    await asyncio.get_running_loop().create_server(smtp, "127.0.0.1", port, ssl=context if security == "tls" else None)
    await asyncio.sleep(3600)

asyncio.run(serve())
'''.replace("PASSWORD", PASSWORD)


def test(trial: Trial):
    certificates(trial.directory)
    (trial.directory / "server.py").write_text(SERVER)
    for security in ("starttls", "tls"):
        out, port = trial.directory / security, free_port()
        out.mkdir()
        trial.start(sys.executable, "server.py", port, security, out, port=port)
        section = (
            f'type = "smtp"\nname = "it"\naddress = "127.0.0.1:{port}"\nsecurity = "{security}"\nca_file = "ca.pem"\nfrom = "apiwarden@corp.example"\n'
            'to = ["soc@corp.example"]\nusername = "soc"\npassword = "${MAIL_PASSWORD}"\n'
        )
        secret = {"MAIL_PASSWORD": PASSWORD}

        def mails():
            return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in sorted(out.iterdir())]

        trial.must_send(section, secret)
        eventually(f"{security}: two mails", lambda: len(mails()) == 2)
        opened, closed = mails()
        if closed["In-Reply-To"] != opened["Message-ID"] or closed["Subject"] != f"Re: {opened['Subject']}":
            raise Failed(f"no thread: {opened.items()} {closed.items()}")
        if "This is a test of apiwarden" not in opened.get_content():
            raise Failed(opened.get_content())
        trial.must_send(f'{section}digest = "daily"\n', secret)
        eventually(f"{security}: a digest", lambda: len(mails()) == 3)
        if not mails()[2]["Subject"].startswith("Alerts of ") or "2 steps" not in mails()[2].get_content():
            raise Failed(str(mails()[2]))
        wrong = {"MAIL_PASSWORD": f"{PASSWORD}-wrong"}
        trial.must_not_send(section, "are username and password right?", wrong)
        told: subprocess.CompletedProcess = trial.send(section, wrong)
        if PASSWORD in told.stdout + told.stderr:
            raise Failed("a message shows the password")
        trial.must_not_send(section.replace('ca_file = "ca.pem"\n', ""), "TLS failed", secret)
        if len(mails()) != 3:
            raise Failed(f"{len(mails())} mails")
        print(f"aiosmtpd 1.4.6, {security}: login, thread, digest; refused: a wrong password, an unknown certificate")


main(test)
