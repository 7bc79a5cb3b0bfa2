"""Writes the binary samples of this directory, with other implementations than ours. See README.md.

    pip install "confluent-kafka[avro,json,protobuf,schemaregistry]" fastavro grpcio-tools opentelemetry-proto cramjam backports.zstd
    python3 generate.py
"""

import decimal
import json
import pathlib
import subprocess
import sys
import uuid
from datetime import datetime, timezone

import fastavro
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

HERE = pathlib.Path(__file__).parent
AT = datetime(2026, 9, 1, 8, 0, 0, tzinfo=timezone.utc)
NANOS = int(AT.timestamp()) * 1_000_000_000

registry = SchemaRegistryClient.new_client({"url": "mock://samples"})
context = SerializationContext("calls", MessageField.VALUE)

# What the registry answers, by path: the tests' double of its HTTP API serves it.
answers = {}


def answer(name, schema_type, text, references=()):
    """Registers a schema under an id of its own."""
    body = {"schema": text}
    if schema_type != "AVRO":
        body["schemaType"] = schema_type
    if references:
        body["references"] = [{"name": r.name, "subject": r.subject, "version": r.version} for r in references]
    answers[name] = body


def frame(name, data):
    """Writes a message; its schema becomes known under the id that the serializer put into it."""
    (HERE / f"{name}.bin").write_bytes(data)
    return int.from_bytes(data[1:5], "big")


def of_subject(subject):
    registered = registry.get_latest_version(subject)
    return registered.schema


# Avro: CloudTrail's fields, with every logical type beside them. The identity is a schema of its own.
identity = json.dumps({"type": "record", "name": "Identity", "namespace": "audit", "fields": [
    {"name": "type", "type": {"type": "enum", "name": "Kind", "symbols": ["Root", "IAMUser", "AssumedRole"]}},
    {"name": "arn", "type": ["null", "string"]},
    {"name": "accountId", "type": "string"},
    {"name": "userName", "type": ["null", "string"]}]})
event = json.dumps({"type": "record", "name": "Event", "namespace": "audit", "fields": [
    {"name": "eventVersion", "type": "string"},
    {"name": "userIdentity", "type": "audit.Identity"},
    {"name": "eventTime", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "eventSource", "type": "string"},
    {"name": "eventName", "type": "string"},
    {"name": "awsRegion", "type": "string"},
    {"name": "sourceIPAddress", "type": "string"},
    {"name": "userAgent", "type": ["null", "string"], "default": None},
    {"name": "errorCode", "type": ["null", "string"], "default": None},
    {"name": "eventID", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "eventType", "type": "string"},
    {"name": "recipientAccountId", "type": "string"},
    {"name": "cost", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 4}},
    {"name": "tags", "type": {"type": "map", "values": "string"}},
    {"name": "resources", "type": {"type": "array", "items": "string"}},
    {"name": "digest", "type": "bytes"}]})


def cloudtrail(number):
    return {
        "eventVersion": "1.11",
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/alice", "accountId": "123456789012",
                         "userName": "alice"},
        "eventTime": AT, "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "awsRegion": "eu-central-1",
        "sourceIPAddress": "203.0.113.7", "userAgent": "aws-cli/2.15.0", "errorCode": None,
        "eventID": str(uuid.UUID(int=number)), "eventType": "AwsApiCall", "recipientAccountId": "123456789012",
        "cost": decimal.Decimal("-12.3400"), "tags": {"team": "billing"}, "resources": ["a", "b"], "digest": b"\xff\x00"}


registry.register_schema("identity", Schema(identity, "AVRO"))
reference = SchemaReference("audit.Identity", "identity", 1)
serializer = AvroSerializer(registry, Schema(event, "AVRO", [reference]), conf={"auto.register.schemas": True})
record = cloudtrail(1) | {"eventID": uuid.UUID(int=1)}
number = frame("avro-cloudtrail", serializer(record, context))
answer(f"/schemas/ids/{number}", "AVRO", event, [reference])
answer("/subjects/identity/versions/1", "AVRO", identity)

# JSON Schema.
schema = json.dumps({"type": "object", "title": "Call"})
call = {"@timestamp": "2026-09-01T08:00:00Z", "service": {"name": "crm"}, "url": {"domain": "api.stripe.com"}, "http": {}}
registry.register_schema("json-value", Schema(schema, "JSON"))
serializer = JSONSerializer(schema, SchemaRegistryClient.new_client({"url": "mock://json"}), conf={"auto.register.schemas": True})
frame("json-ecs", serializer(call, SerializationContext("json", MessageField.VALUE)))

# Protobuf: ECS by the JSON names of its fields; the second message of its file, so that the list of indexes is no single zero.
(HERE / "http.proto").write_text("""syntax = "proto3";
package samples;

message Http {
  message Request { string method = 1; }
  message Response { int32 status_code = 1 [json_name = "status_code"]; }
  Request request = 1;
  Response response = 2;
}
""")
(HERE / "call.proto").write_text("""syntax = "proto3";
package samples;

import "google/protobuf/timestamp.proto";
import "http.proto";

message Service { string name = 1; }
message Call {
  message Url {
    string domain = 1;
    string path = 2;
  }
  google.protobuf.Timestamp at = 1 [json_name = "@timestamp"];
  Service service = 2;
  Url url = 3;
  Http http = 4;
  map<string, string> labels = 5;
}
""")
subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{HERE}", "--python_out=/tmp", "http.proto", "call.proto"], check=True)
sys.path.insert(0, "/tmp")
import call_pb2  # noqa: E402

message = call_pb2.Call()
message.at.FromDatetime(AT.replace(tzinfo=None))
message.service.name = "crm"
message.url.domain, message.url.path = "api.stripe.com", "/v1/charges"
message.http.request.method, message.http.response.status_code = "POST", 200
message.labels["team"] = "billing"
protobuf = SchemaRegistryClient.new_client({"url": "mock://protobuf"})
serializer = ProtobufSerializer(call_pb2.Call, protobuf, {"use.deprecated.format": False})
data = bytearray(serializer(message, SerializationContext("protobuf", MessageField.VALUE)))
data[1:5] = (1001).to_bytes(4, "big")
frame("protobuf-ecs", bytes(data))
answer("/schemas/ids/1001", "PROTOBUF", (HERE / "call.proto").read_text(), [SchemaReference("http.proto", "http", 1)])
answer("/subjects/http/versions/1", "PROTOBUF", (HERE / "http.proto").read_text())

# Containers.
whole = fastavro.parse_schema([json.loads(identity), json.loads(event)])
for codec in ["null", "deflate", "snappy", "zstandard"]:
    with open(HERE / f"cloudtrail-{codec}.avro", "wb") as out:
        records = [cloudtrail(number) for number in range(1, 41)]
        fastavro.writer(out, json.loads(event.replace('"audit.Identity"', identity)), records, codec=codec, sync_interval=2_000,
                        sync_marker=bytes(range(16)))

# OTLP.
traces = ExportTraceServiceRequest()
resource = traces.resource_spans.add()
resource.resource.attributes.add(key="service.name").value.string_value = "billing"
for number in (1, 2):
    span = resource.scope_spans.add().spans.add(
        trace_id=bytes(range(16)), span_id=bytes([number] * 8), name="POST", kind=3, start_time_unix_nano=NANOS,
        end_time_unix_nano=NANOS + 12_000_000)
    span.attributes.add(key="server.address").value.string_value = "api.stripe.com"
    span.attributes.add(key="http.request.method").value.string_value = "POST"
    span.attributes.add(key="url.full").value.string_value = "https://api.stripe.com/v1/charges"
    span.attributes.add(key="http.response.status_code").value.int_value = 200
    span.events.add(name="sent", time_unix_nano=NANOS)
(HERE / "otlp-traces.bin").write_bytes(traces.SerializeToString())

logs = ExportLogsServiceRequest()
resource = logs.resource_logs.add()
resource.resource.attributes.add(key="service.name").value.string_value = "billing"
record = resource.scope_logs.add().log_records.add(time_unix_nano=NANOS, observed_time_unix_nano=NANOS, severity_number=9,
                                                   trace_id=bytes(range(16)), span_id=bytes([7] * 8))
record.body.string_value = json.dumps(call)
(HERE / "otlp-logs.bin").write_bytes(logs.SerializeToString())

(HERE / "registry.json").write_text(json.dumps(answers, indent=1) + "\n")
