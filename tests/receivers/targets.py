"""The targets that speak HTTP: real receivers and doubles, what each is asked for, and whether it shows what the alert store has.

Not here: the doubles themselves (`doubles.py`), targets that speak something else (`lines.py`), kills (`receivers.py`).
"""

import base64
import json
import os
from collections import Counter, defaultdict

from cloudevents.http import from_http
from standardwebhooks import Webhook as Verifier

import doubles
from harness import CLOSE, ROOT, UPDATE, Endpoint, Failed, Request, ask, free_port, until
from target import INSTALLED, Outcome, Target, by_incident, by_name, by_text, by_uid, pages


class OpenSearch(Target):
    """OpenSearch, with the index template that is shipped."""

    name, once = "opensearch", True
    index = "logs-apiwarden.alert-default"

    def start(self) -> int:
        port, transport, home = free_port(), free_port(), INSTALLED / "opensearch"
        (self.home / "config").mkdir()
        (self.home / "config/opensearch.yml").write_text(f"""
node.name: one
network.host: 127.0.0.1
http.port: {port}
transport.port: {transport}
discovery.type: single-node
cluster.routing.allocation.disk.threshold_enabled: false
path.data: {self.home}/data
path.logs: {self.home}/logs
""")
        (self.home / "config/log4j2.properties").write_text(
            "appender.console.type = Console\nappender.console.name = console\nappender.console.layout.type = PatternLayout\n"
            "appender.console.layout.pattern = [%d][%p] %m%n\nrootLogger.level = warn\nrootLogger.appenderRef.console.ref = console\n"
        )
        java = ["java", "-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-Djava.security.manager=allow", f"-Dopensearch.path.home={home}",
                f"-Dopensearch.path.conf={self.home}/config", "-Dlog4j2.disable.jmx=true", "-Dopensearch.distribution.type=tar",
                "-cp", f"{home}/lib/*", "org.opensearch.bootstrap.OpenSearch"]
        # It refuses to run as root. In a user namespace it is somebody else, with the files of root.
        somebody = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []
        self.run(*somebody, *java, port=port)
        self.url = f"http://127.0.0.1:{port}"
        template = (ROOT / "dist/opensearch/index-template.json").read_bytes()
        ask(f"{self.url}/_index_template/apiwarden", template, "PUT")
        return port

    def compare(self, steps):
        ask(f"{self.url}/{self.index}/_refresh", b"", "POST")
        found = ask(f"{self.url}/{self.index}/_search?size=10000&sort=_doc")["hits"]["hits"]
        # Its own order is that of segments, not of arrival: who reads it sorts by revision.
        shown = sorted((hit["_source"] for hit in found), key=lambda one: int(one["labels"]["revision"]))
        outcome = by_uid(steps, [(one["event"]["id"], json.loads(one["apiwarden"]["ocsf"])) for one in shown])
        actions = {one["event"]["id"]: one["event"]["action"] for one in shown}
        words = {1: "incident-opened", UPDATE: "incident-updated", CLOSE: "incident-closed"}
        return outcome._replace(wrong=outcome.wrong + [f"{step.uid}: action {actions.get(step.uid)}" for step in steps if actions.get(step.uid) != words[step.activity]])


class Alertmanager(Target):
    """Prometheus Alertmanager, which tells a webhook what it tells people."""

    name, once = "alertmanager", True
    # As far as another data centre: it tells of an alert when it comes, and one that ends at once would never be told of.
    delay = 0.1

    def start(self) -> int:
        port, self.told = free_port(), defaultdict(list)
        hook = Endpoint(self.hear)
        (self.home / "alertmanager.yml").write_text(
            "route: { receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 24h }\n"
            f"receivers: [{{ name: hook, webhook_configs: [{{ url: 'http://127.0.0.1:{hook.port}/', send_resolved: true }}] }}]\n"
        )
        self.run(INSTALLED / "alertmanager/alertmanager", "--config.file=alertmanager.yml", f"--web.listen-address=127.0.0.1:{port}",
                 f"--storage.path={self.home}/data", "--cluster.listen-address=", port=port)
        self.url = f"http://127.0.0.1:{port}"
        return port

    def hear(self, request: Request):
        for alert in json.loads(request.body)["alerts"]:
            self.told[alert["labels"]["incident"]].append(alert["status"])
        return 200, {}

    def compare(self, steps):
        newest = {step.incident: step for step in steps}
        still = {incident for incident, step in newest.items() if step.activity != CLOSE}
        is_told = lambda one: self.told.get(one, [])[-1:] == ["resolved"]
        try:
            until("Alertmanager tells what ended", 30, lambda: all(map(is_told, newest.keys() - still)))
        except Failed:
            pass  # What is still active is wrong below.
        active = Counter(), {}
        for alert in ask(f"{self.url}/api/v2/alerts"):
            active[0][alert["labels"]["incident"]] += 1
            active[1][alert["labels"]["incident"]] = alert["annotations"]["summary"]
        wrong = [f"{incident}: active though ended, or ended though active" for incident in set(active[0]) ^ still]
        wrong += [f"{incident}: its end is not told" for incident in newest.keys() - still if not is_told(incident)]
        wrong += [f"{one}: shows an older step" for one in still if active[1].get(one, "")[:60] != newest[one].message[:60]]
        twice = sum(active[0].values()) - len(active[0])
        pages = sum(max(0, told.count("firing") - 1) for told in self.told.values())
        return Outcome(len(newest.keys() - self.told.keys()), twice + pages, wrong)


class Collector(Target):
    """The OpenTelemetry Collector, which passes on to an endpoint what it received."""

    receiver = ""

    def start(self) -> int:
        port, self.records = free_port(), []
        out = Endpoint(self.take)
        (self.home / "collector.yaml").write_text(f"""
receivers:
{self.receiver.format(port=port)}
extensions:
  ack: {{}}
exporters:
  otlphttp:
    logs_endpoint: http://127.0.0.1:{out.port}/v1/logs
    encoding: json
    compression: none
    sending_queue: {{ enabled: false }}
service:
  extensions: [ack]
  telemetry: {{ metrics: {{ level: none }} }}
  pipelines:
    logs: {{ receivers: [{self.receiver.strip().split(":")[0]}], exporters: [otlphttp] }}
""")
        self.run(INSTALLED / "collector/collector", "--config", "collector.yaml", port=port)
        return port

    def take(self, request: Request):
        for resource in json.loads(request.body)["resourceLogs"]:
            for scope in resource["scopeLogs"]:
                self.records += scope["logRecords"]
        return 200, {}


def plain(value: dict):
    """A value of OTLP."""
    ((kind, content),) = value.items() or [("none", None)]
    match kind:
        case "kvlistValue":
            return {one["key"]: plain(one["value"]) for one in content.get("values", [])}
        case "arrayValue":
            return [plain(one) for one in content.get("values", [])]
        case "intValue":
            return int(content)
    return content


def attributes(record: dict) -> dict:
    return {one["key"]: plain(one["value"]) for one in record["attributes"]}


class Otlp(Collector):
    name = "otlp"
    receiver = '  otlp: {{ protocols: {{ http: {{ endpoint: "127.0.0.1:{port}" }} }} }}'

    def compare(self, steps):
        found = [attributes(record) for record in self.records]
        return by_uid(steps, [(one["apiwarden.uid"], json.loads(one["apiwarden.ocsf"])) for one in found])


class Splunk(Collector):
    """Its receiver of Splunk's HTTP Event Collector, with acknowledgement."""

    name, settings = "splunk", 'token = "00000000-0000-0000-0000-000000000001"\nacknowledge = true\n'
    receiver = '  splunk_hec: {{ endpoint: "127.0.0.1:{port}", ack: {{ extension: ack }} }}'

    def compare(self, steps):
        expected = {step.uid: step.ocsf for step in steps}
        shown, wrong = [], []
        for record in self.records:
            uid, body = attributes(record)["uid"], plain(record["body"])
            if body["message"] != expected.get(uid, {}).get("message") or body["metadata"]["uid"] != uid:
                wrong.append(f"{uid}: is not what the store has")
            # Numbers come back as floating-point ones, so what was compared stands for the rest.
            shown.append(uid)
        outcome = by_name(steps, shown)
        return outcome._replace(wrong=outcome.wrong + wrong)


class Webhook(Target):
    """A receiver that checks signatures with the reference library of Standard Webhooks, and CloudEvents with their SDK."""

    name = "webhook"
    secret = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes ...").decode()
    settings = f'body = "cloudevents"\nsecret = "{secret}"\n'

    def start(self) -> int:
        self.events, self.verifier = [], Verifier(self.secret)
        return Endpoint(self.take).port

    def take(self, request: Request):
        self.verifier.verify(request.body, request.headers)
        event = from_http(request.headers, request.body)
        if event["id"] != request.headers["webhook-id"]:
            return 400, {}
        self.events.append((event["id"], event.data))
        return 200, {}

    def compare(self, steps):
        return by_uid(steps, self.events)


class Double(Target):
    """A double; an incident's steps that its route lets through count."""

    make, paging = None, False

    def start(self) -> int:
        self.double = type(self).make()
        return self.double.endpoint.port


class PagerDuty(Double):
    name, once, make, settings = "pagerduty", True, doubles.PagerDuty, 'routing_key = "0123456789abcdef0123456789abcdef"\n'

    def compare(self, steps):
        return by_incident(pages(steps), self.double.opened, self.double.is_open)


class Opsgenie(Double):
    """A note may be there twice."""

    name, once, make, settings = "opsgenie", True, doubles.Opsgenie, 'api_key = "0123456789abcdef"\n'

    def compare(self, steps):
        return by_incident(pages(steps), self.double.opened, self.double.is_open)


class Slack(Double):
    """Every message of an incident is in a thread of that incident; one whose first answer got lost has two of them."""

    name, make, settings = "slack", doubles.Slack, 'token = "xoxb-0"\nchannel = "#soc"\n'

    def compare(self, steps):
        messages, threads = self.double.messages, {message.stamp: message.incident for message in self.double.messages}
        outcome = by_text(steps, [(message.incident, message.headline, message.sentence) for message in messages])
        wrong = [f"{one.incident}: answers another thread" for one in messages if one.thread and threads.get(one.thread) != one.incident]
        roots = Counter(message.incident for message in messages if message.thread is None)
        wrong += [f"{step.incident}: an update or end outside of a thread" for step in steps if not roots[step.incident]]
        twice = (roots - Counter(set(roots))).total()
        if twice > outcome.doubled:
            wrong.append(f"{twice} threads more than incidents, but {outcome.doubled} messages more than steps")
        return outcome._replace(wrong=outcome.wrong + wrong)


class Teams(Double):
    name, make = "teams", doubles.Teams

    def compare(self, steps):
        return by_text(steps, self.double.cards)


class Sentinel(Double):
    name, make = "sentinel", doubles.Sentinel
    settings = 'rule = "dcr-1"\nstream = "Custom-Apiwarden_CL"\ntenant = "t"\nclient_id = "c"\nclient_secret = "s"\n'

    def section(self, port):
        return f'{super().section(port)}authority = "http://127.0.0.1:{port}"\n'

    def asks(self, sent):
        return b"/dataCollectionRules/" in sent

    def compare(self, steps):
        return by_uid(steps, [(row["Uid"], row["Ocsf"]) for row in self.double.rows])


TARGETS = (OpenSearch, Alertmanager, Otlp, Splunk, Webhook, PagerDuty, Opsgenie, Slack, Teams, Sentinel)
