#!/usr/bin/env python3
"""Turns public logs that no format of apiwarden reads into ECS records, to measure it on real traffic.

    convert.py zeek  HTTP.jsonl[.gz] [SSL.jsonl[.gz] …]  > calls.ndjson   # Zeek's http.log and ssl.log as JSON lines
    convert.py azure CALLER=FILE.csv[.gz] …              > calls.ndjson   # Azure's LLM inference trace (tokens, no sizes)

Records come out in the order of their time. What a log does not contain is left out, never made up; two things are said by
convention: Zeek's caller is the client's address, and tokens of the trace are also given as bytes, four a token.
Standard library only.
"""
import csv
import gzip
import json
import sys
from datetime import datetime, timezone


def opened(path):
    return gzip.open(path, "rt") if path.endswith(".gz") else open(path)


def when(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def record(seconds, uid, caller, host, **fields):
    made = {"@timestamp": when(seconds), "event.id": uid, "service.name": caller, "url.domain": host}
    made.update({name: value for name, value in fields.items() if value is not None})
    return seconds, made


def of_http(row):
    method, uri = row.get("method"), row.get("uri") or "/"
    host = row.get("host") or row["id.resp_h"]
    if method == "CONNECT":
        host = uri
    return record(row["ts"], f'{row["uid"]}-{row.get("trans_depth", 1)}', row["id.orig_h"], host.rsplit(":", 1)[0], **{
        "url.scheme": "https" if method == "CONNECT" else "http",
        "url.path": None if method == "CONNECT" else uri,
        "http.request.method": method,
        "http.request.body.bytes": row.get("request_body_len"),
        "http.response.body.bytes": row.get("response_body_len"),
        "http.response.status_code": row.get("status_code"),
        "user_agent.original": row.get("user_agent"),
        "source.ip": row["id.orig_h"],
    })


def of_ssl(row):
    return record(row["ts"], row["uid"], row["id.orig_h"], row.get("server_name") or row["id.resp_h"], **{
        "url.scheme": "https",
        "http.request.method": "CONNECT",
        "http.response.status_code": 200 if row.get("established", True) else None,
        "tls.version": row.get("version"),
        "source.ip": row["id.orig_h"],
    })


def zeek(paths):
    for path in paths:
        with opened(path) as lines:
            for line in lines:
                row = json.loads(line)
                for end in ("orig_h", "resp_h"):  # some exporters write an underscore for the dot
                    row.setdefault(f"id.{end}", row.get(f"id_{end}"))
                yield of_ssl(row) if "cipher" in row or "server_name" in row else of_http(row)


def azure(arguments):
    for argument in arguments:
        caller, path = argument.split("=", 1)
        with opened(path) as lines:
            for place, row in enumerate(csv.DictReader(lines)):
                seconds = datetime.fromisoformat(row["TIMESTAMP"][:26] + "+00:00").timestamp()
                tokens = int(row["ContextTokens"]), int(row["GeneratedTokens"])
                yield record(seconds, f"{caller}-{place}", caller, "llm.openai.azure.com", **{
                    "url.scheme": "https",
                    "url.path": f"/openai/deployments/{caller}/chat/completions",
                    "http.request.method": "POST",
                    "http.request.body.bytes": 4 * tokens[0],
                    "http.response.body.bytes": 4 * tokens[1],
                    "http.response.status_code": 200,
                    "gen_ai.usage.input_tokens": tokens[0],
                    "gen_ai.usage.output_tokens": tokens[1],
                })


def main():
    kinds = {"zeek": zeek, "azure": azure}
    if len(sys.argv) < 3 or sys.argv[1] not in kinds:
        sys.exit(__doc__)
    for _, made in sorted(kinds[sys.argv[1]](sys.argv[2:]), key=lambda pair: pair[0]):
        print(json.dumps(made, separators=(",", ":")))


main()
