"""Doubles of services that cannot be had: they keep what the documentation of each says it keeps, by the key that it says.

PagerDuty, Events API v2: `dedup_key` names an open incident; a trigger after its resolution opens another.
Opsgenie, Alert API: `alias` names an open alert; the same after its end is another alert. Notes are a list.
Slack, `chat.postMessage`: every message is one, `thread_ts` its thread. Microsoft Teams, workflows: every card is one.
Microsoft Sentinel, Logs Ingestion API: an array of rows, with the columns that the rule declares and no others, by a token of Entra ID.

Not here: real receivers (`targets.py`).
"""

import html
import json
import urllib.parse
from collections import Counter, defaultdict
from typing import NamedTuple

from harness import ROOT, Endpoint, Request


class PagerDuty:
    def __init__(self):
        self.opened, self.is_open, self.revision = Counter(), {}, {}
        self.endpoint = Endpoint(self.answer)

    def answer(self, request: Request):
        event = json.loads(request.body)
        if request.path != "/v2/enqueue" or not event.get("routing_key"):
            return 400, {"status": "invalid event"}
        key, payload = event["dedup_key"], event["payload"]
        if event["event_action"] == "trigger":
            if len(payload["summary"]) > 1024 or payload["severity"] not in ("critical", "error", "warning", "info") or not payload["source"]:
                return 400, {"status": "invalid event"}
            self.opened[key] += not self.is_open.get(key)
        self.is_open[key] = event["event_action"] == "trigger"
        self.revision[key] = payload["custom_details"]["revision"]
        return 202, {"status": "success", "dedup_key": key}


class Opsgenie:
    def __init__(self):
        self.opened, self.is_open, self.notes = Counter(), {}, defaultdict(list)
        self.endpoint = Endpoint(self.answer)

    def answer(self, request: Request):
        body, path = json.loads(request.body), urllib.parse.urlsplit(request.path)
        if not request.headers.get("authorization", "").startswith("GenieKey "):
            return 401, {}
        if path.path == "/v2/alerts":
            if len(body["message"]) > 130 or len(body["description"]) > 15_000:
                return 422, {}
            self.opened[body["alias"]] += not self.is_open.get(body["alias"])
            self.is_open[body["alias"]] = True
            return 202, {"result": "Request will be processed"}
        _, _, _, alias, what = path.path.split("/")
        if path.query != "identifierType=alias" or what not in ("notes", "close"):
            return 404, {}
        if what == "notes":
            self.notes[alias].append(body["note"])
        else:
            self.is_open[alias] = False
        return 202, {"result": "Request will be processed"}


class Message(NamedTuple):
    """Of Slack."""

    incident: str
    stamp: str
    thread: str | None
    headline: str
    sentence: str


class Slack:
    def __init__(self):
        self.messages = []
        self.endpoint = Endpoint(self.answer)

    def answer(self, request: Request):
        message = json.loads(request.body)
        if request.path != "/api/chat.postMessage" or not message.get("channel"):
            return 404, {}
        texts = [block["text"]["text"] for block in message["blocks"] if "text" in block]
        if any(len(text) > 3000 for text in texts):
            return 200, {"ok": False, "error": "invalid_blocks"}
        stamp = f"1700000000.{len(self.messages):06}"
        headline, sentence = texts[0], html.unescape(texts[1].split("\n")[0])
        incident = message["blocks"][1]["elements"][0]["text"].rsplit(" · ", 1)[1]
        self.messages.append(Message(incident, stamp, message.get("thread_ts"), headline, sentence))
        return 200, {"ok": True, "ts": stamp}


class Teams:
    def __init__(self):
        self.cards = []
        self.endpoint = Endpoint(self.answer)

    def answer(self, request: Request):
        if len(request.body) > 28 * 1024:
            return 413, {}
        content = json.loads(request.body)["attachments"][0]["content"]
        (facts,) = [{fact["title"]: fact["value"] for fact in part["facts"]} for part in content["body"] if part["type"] == "FactSet"]
        headline, sentence = (part["text"] for part in content["body"][:2])
        self.cards.append((facts["Incident"], headline, sentence))
        return 202, {}


class Sentinel:
    def __init__(self):
        stream = json.loads((ROOT / "dist/sentinel/stream.json").read_text())["streamDeclarations"]["Custom-Apiwarden_CL"]
        self.rows, self.columns = [], {column["name"] for column in stream["columns"]}
        self.endpoint = Endpoint(self.answer)

    def answer(self, request: Request):
        if request.path.endswith("/oauth2/v2.0/token"):
            return 200, {"token_type": "Bearer", "expires_in": 3600, "access_token": "a-token"}
        if request.headers.get("authorization") != "Bearer a-token":
            return 401, {}
        rows = json.loads(request.body)
        if len(request.body) > 1 << 20 or any(row.keys() != self.columns for row in rows):
            return 400, {}
        self.rows += rows
        return 204, {}
