"""1,000 secrets in logs in, none out: `canaries.py HOME`.

Secrets of the shapes that vendors give their keys, tokens, passwords and values stand where logs have them: headers, URLs, bodies, cookies, user agents,
error texts; in the demo's calls, and in records of other formats. All targets are on, each behind a proxy that records. Then no part of a secret
is in any target's bytes, what the targets keep, the state directory with the alert store, or the service's own log.

A part is 12 characters in a row, in any case, also from within base64; what is compressed (Parquet, the checkpoint) is unpacked first.

Not here: every field of every format (`tests/secrets.rs`), the dead letter, which keeps records as they came.
"""

import base64
import datetime
import json
import random
import string
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import duckdb

import lines
import targets
from harness import Failed, Logs, Product, Proxy, Topic, until

CANARIES = 1_000
# Windows of this length at every second place: 12 characters in a row hold one.
PART, STEP = 11, 2
# A caller of the demo, which must be found wherever alerts are: else secrets would not be found either.
KNOWN = b"fraud-scorer"
# Every so many of the demo's calls has a secret.
STRIDE = 8
MIXED, HEX = string.ascii_letters + string.digits, "0123456789abcdef"
# What is known of a key wherever it stands: its beginning, of which characters the rest is, and how many.
SHAPES = {
    "stripe_live": ("sk_live_", MIXED, 24), "stripe_restricted": ("rk_live_", MIXED, 24), "stripe_webhook": ("whsec_", MIXED, 32),
    "openai": ("sk-proj-", MIXED, 48), "anthropic": ("sk-ant-api03-", MIXED, 48), "aws": ("AKIA", string.ascii_uppercase + "234567", 16),
    "aws_session": ("ASIA", string.ascii_uppercase + "234567", 16), "aws_secret": ("", MIXED, 40), "github": ("ghp_", MIXED, 36),
    "github_app": ("ghs_", MIXED, 36), "github_fine": ("github_pat_", MIXED, 60), "slack": ("xoxb-", MIXED, 36), "google": ("AIza", MIXED, 35),
    "google_oauth": ("ya29.", MIXED, 60), "sendgrid": ("SG.", MIXED, 44), "gitlab": ("glpat-", MIXED, 20), "shopify": ("shpat_", HEX, 32),
    "npm": ("npm_", MIXED, 36), "hugging_face": ("hf_", MIXED, 34), "docker": ("dckr_pat_", MIXED, 27), "vault": ("hvs.", MIXED, 40),
    "digital_ocean": ("dop_v1_", HEX, 64), "hubspot": ("pat-na1-", HEX, 32), "jwt": ("eyJhbGciOiJIUzI1NiJ9.", MIXED, 64), "opaque": ("", MIXED, 44),
}
# What only its place gives away.
PLAIN = {"password": ("", string.ascii_lowercase, 16), "uuid": ("", HEX, 32)}


class Canary(NamedTuple):
    secret: str
    # What of it nobody knows.
    telling: str


def canary(chance: random.Random, shape: tuple[str, str, int]) -> Canary:
    beginning, alphabet, length = shape
    while True:
        telling = "".join(chance.choices(alphabet, k=length))
        # What a random token is told by: both cases and digits.
        if alphabet != MIXED or any(c.isdigit() for c in telling[:12]) and any(c.islower() for c in telling) and any(c.isupper() for c in telling):
            return Canary(beginning + telling, telling)


def basic(secret: str) -> str:
    return "Basic " + base64.b64encode(f"svc:{secret}".encode()).decode()


def header(name: str, text: str):
    def put(record: dict, secret: str):
        record["http"]["request"].setdefault("headers", {})[name] = basic(secret) if text == "basic" else text.format(secret)

    return put


def url(text: str):
    def put(record: dict, secret: str):
        host, path = record["url"]["domain"], record["url"]["path"]
        record["url"]["full"] = text.format(secret, host=host, path=path)
        if "?" in text:
            record["url"]["query"] = record["url"]["full"].split("?", 1)[1]

    return put


def at(*path: str, text: str = "{}"):
    def put(record: dict, secret: str):
        for name in path[:-1]:
            record = record.setdefault(name, {})
        record[path[-1]] = text.format(secret)

    return put


# Places in a call of the demo where anything may stand: whatever stands there is a secret, or is read for its shape alone.
SECRET_PLACES = {
    "bearer": header("authorization", "Bearer {}"), "basic": header("authorization", "basic"), "api key": header("x-api-key", "{}"),
    "cookie": header("cookie", "theme=dark; session={}"), "own header": header("x-acme-token", "{}"),
    "query key": url("https://{host}{path}?api_key={}&limit=3"), "query token": url("https://{host}{path}?access_token={}"),
    "query password": url("https://{host}{path}?user=svc&password={}"), "signature": url("https://{host}{path}?X-Amz-Signature={}&X-Amz-Expires=60"),
    "user of the URL": url("https://svc:{}@{host}{path}"),
    "body": at("http", "request", "body", "content", text='{{"user":"jo","password":"{}"}}'),
    "form": at("http", "request", "body", "content", text="grant_type=client_credentials&client_secret={}"),
    "answer": at("http", "response", "body", "content", text='{{"client_secret":"{}"}}'),
    "answer's cookie": at("http", "response", "headers", "set-cookie", text="session={}; HttpOnly"),
}
# Places for other things, where a key is known by its shape.
OTHER_PLACES = {
    "user agent": at("user_agent", "original", text="acme-client/1.2 ({})"), "error": at("error", "message", text="401: invalid key {} for svc"),
    "message": at("message", text="retrying with {}"), "referrer": at("http", "request", "referrer", text="https://console.example/?k={}"),
    "location": at("http", "response", "headers", "location", text="https://files.example/{}/a"), "path": at("url", "path", text="/v1/keys/{}/use"),
    "query": url("https://{host}{path}?x={}"), "label": at("labels", "credential_id"), "host": at("host", "name", text="pod-{}"),
    "caller": at("service", "name", text="worker-{}"),
}


def nginx(time: str, secret: str, number: int) -> str:
    uri = ("/v1/charges?api_key={}", "/v1/charges/{}", "/v1/charges")[number % 3].format(secret)
    record = {"time_iso8601": time[:19] + "+00:00", "remote_addr": "10.0.0.7", "remote_user": "ledger", "request_method": "POST", "request_uri": uri,
              "server_protocol": "HTTP/1.1", "proxy_host": "api.stripe.com", "status": "401", "body_bytes_sent": "902", "request_length": "663",
              "request_time": "0.4", "http_referer": f"https://pay.example/?t={secret}", "http_user_agent": f"pay/1 {secret}" if number % 3 == 2 else "pay/1",
              "http_authorization": f"Bearer {secret}", "http_cookie": f"sid={secret}"}
    return json.dumps(record)


def cloudtrail(time: str, secret: str, number: int) -> str:
    return json.dumps({
        "eventVersion": "1.08", "eventTime": time[:19] + "Z", "eventSource": "secretsmanager.amazonaws.com", "eventName": ("GetSecretValue", "PutSecretValue")[number % 2],
        "eventID": f"e-{number}", "eventType": "AwsApiCall", "eventCategory": "Management", "awsRegion": "us-east-1", "sourceIPAddress": "10.248.16.43",
        "userAgent": f"Boto3/1.26 ({secret})", "errorCode": "AccessDenied", "errorMessage": f"key {secret} may not do that",
        "userIdentity": {"type": "IAMUser", "principalId": "AIDAEXAMPLE", "userName": "benjamin", "arn": "arn:aws:iam::123837392027:user/benjamin", "accessKeyId": secret},
        "requestParameters": {"secretString": secret}, "responseElements": {"token": secret},
    })


def har(time: str, secret: str, number: int) -> str:
    return json.dumps({
        "startedDateTime": time, "time": 41.8,
        "request": {"method": "POST", "url": ("https://svc:{}@api.stripe.com/v1/charges", "https://api.stripe.com/v1/charges?token={}")[number % 2].format(secret),
                    "headersSize": 412, "bodySize": 93, "cookies": [{"name": "sid", "value": secret}], "queryString": [{"name": "token", "value": secret}],
                    "headers": [{"name": "Origin", "value": "https://shop.acme.io"}, {"name": "Authorization", "value": basic(secret)}, {"name": "Cookie", "value": f"sid={secret}"}],
                    "postData": {"mimeType": "application/json", "text": json.dumps({"password": secret})}},
        "response": {"status": 401, "headersSize": 310, "bodySize": 811, "redirectURL": f"https://files.stripe.com/?sig={secret}",
                     "content": {"mimeType": "application/json", "text": json.dumps({"secret": secret})}},
    })


def otel(time: str, secret: str, number: int) -> str:
    seconds = int(datetime.datetime.fromisoformat(time).timestamp())
    return json.dumps({
        "service.name": "exporter", "otlp.kind": 3, "otlp.startTimeUnixNano": f"{seconds}000000000", "otlp.endTimeUnixNano": f"{seconds}418000000",
        "otlp.traceId": f"{number:032x}", "otlp.spanId": f"{number:016x}", "url.full": f"https://api.stripe.com/v1/charges?key={secret}", "url.query": f"key={secret}",
        "http.request.method": "POST", "http.response.status_code": 401, "http.request.header.authorization": [f"Bearer {secret}"],
        "user_agent.original": f"otel/1 {secret}", "error.type": f"invalid {secret}", "exception.message": f"key {secret} is not valid", "otlp.status": {},
    })


OTHER_FORMATS = (nginx, cloudtrail, har, otel)


def planted(today: list[bytes]) -> tuple[list[Canary], list[list[bytes]], Counter]:
    """The secrets, and the records of each topic with them: the demo's, and one list for each other format."""
    chance, places, canaries = random.Random(14), Counter(), []
    records, others = list(today), [[] for _ in OTHER_FORMATS]
    anywhere, here = list(SHAPES.values()), list(SHAPES.values()) + list(PLAIN.values())
    ways = [(name, put, here) for name, put in SECRET_PLACES.items()] + [(name, put, anywhere) for name, put in OTHER_PLACES.items()]
    for number in range(CANARIES):
        turn = number % (len(ways) + 2 * len(OTHER_FORMATS))
        if turn < len(ways):
            name, put, shapes = ways[turn]
            one = canary(chance, shapes[number // len(ways) % len(shapes)])
            # Each several times, over all days and callers.
            for index in range(number * STRIDE, len(today), CANARIES * STRIDE):
                record = json.loads(records[index])
                put(record, one.secret)
                records[index] = json.dumps(record).encode()
        else:
            make = OTHER_FORMATS[(turn - len(ways)) % len(OTHER_FORMATS)]
            name, one = make.__name__, canary(chance, anywhere[number // 4 % len(anywhere)])
            for index in range(number, len(today), CANARIES * 4):
                time = json.loads(today[index])["@timestamp"]
                others[OTHER_FORMATS.index(make)].append((time, make(time, one.secret, number).encode()))
        canaries.append(one)
        places[name] += 1
    return canaries, [records, *([record for _, record in sorted(other)] for other in others)], places


class Parts:
    """Finds parts of secrets in bytes."""

    def __init__(self, canaries: list[Canary]):
        self.parts = {}
        for one in canaries:
            encoded = [base64.b64encode(before + one.telling.encode())[4:-4].decode() for before in (b"svc:", b"xyz", b"xy")]
            for text in (one.telling, *encoded):
                for start in range(len(text) - PART + 1):
                    self.parts[text[start : start + PART].lower().encode()] = one.secret

    def within(self, content: bytes) -> set[str]:
        low, parts = bytes(content).lower(), self.parts
        return {parts[low[start : start + PART]] for start in range(0, len(low) - PART + 1, STEP) if low[start : start + PART] in parts}


def unpacked(path: Path) -> bytes:
    """What a file holds, with what is compressed in it beside that."""
    content = path.read_bytes()
    if path.suffix == ".parquet":
        return content + repr(duckdb.sql(f"select * from read_parquet('{path}')").fetchall()).encode()
    whole, start = [content], -1
    while (start := content.find(b"\x28\xb5\x2f\xfd", start + 1)) >= 0:
        # It ends with a complaint about what follows the frame.
        whole.append(subprocess.run(["zstd", "-dc"], input=content[start : start + (1 << 20)], capture_output=True, check=False).stdout)
    return b"\0".join(whole)


def main():
    home = Path(sys.argv[1])
    logs = Logs(home)
    canaries, records, places = planted(logs.today)
    parts, topics = Parts(canaries), [Topic(f"logs-{number}") for number in range(len(records))]
    if len(parts.within(b"\n".join(b"\n".join(one) for one in records))) != CANARIES:
        raise Failed("not every secret is in the logs, or is found there")
    with ThreadPoolExecutor() as pool:
        all_targets = list(pool.map(lambda kind: kind(home / "canaries" / kind.name), targets.TARGETS + lines.TARGETS))
    proxies = [Proxy(target.port) for target in all_targets]
    sections = "".join(target.section(proxy.at) for target, proxy in zip(all_targets, proxies))
    product = Product(home / "canaries" / "product", topics[0], logs.bundle, sections, decode="", more=topics[1:])
    try:
        product.start()
        until("it is ready", 120, lambda: product.metric("apiwarden_lag") == 0)
        for topic, lines_of in zip(topics, records):
            topic.write(lines_of)
        count = sum(map(len, records))
        until("every record is a call", 400, lambda: product.metric("apiwarden_calls_total") == count)
        until("all is delivered", 400, product.is_idle)
        steps = product.steps()
        product.stop()
        kept = {target.name: target.topic.read() for target in all_targets if hasattr(target, "topic")}
        found, sizes, known = {}, {}, set()

        def look(name: str, content: bytes):
            sizes[name] = sizes.get(name, 0) + len(content)
            found.setdefault(name, set()).update(parts.within(content))
            known.update({name} if KNOWN in content else ())

        for target, proxy in zip(all_targets, proxies):
            if target.port:
                look(target.name, proxy.seen)
            for message in kept.get(target.name, []):
                look(target.name, repr((message.key(), message.headers())).encode() + message.value())
            for path in getattr(target, "directory", home / "none").rglob("*.parquet"):
                look(target.name, unpacked(path))
        for path in sorted((product.home / "state").rglob("*")):
            if path.is_file():
                look("alert store" if path.name.startswith("alerts.sqlite") else "state", unpacked(path))
        look("log", (product.home / "log").read_bytes())
    finally:
        product.end()
        for proxy in proxies:
            proxy.close()
        for target in all_targets:
            target.stop()
        for topic in topics:
            topic.remove()
    print(f"{CANARIES} secrets in {count:,} records of {1 + len(OTHER_FORMATS)} formats, at {len(places)} places; "
          f"{len(steps)} steps of {len({step.incident for step in steps})} incidents")
    for name, size in sizes.items():
        print(f"    {name}: {size / 1e6:.1f} MB, {len(found[name])} secrets" + "".join(f"\n        {secret}" for secret in sorted(found[name])[:5]))
    blind = [name for name in [*(target.name for target in all_targets), "alert store", "state"] if name not in known]
    if blind:
        raise Failed(f"{KNOWN.decode()} is not found in {', '.join(blind)}: nothing came, or it cannot be searched")
    if any(found.values()):
        raise Failed("secrets got out")
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
