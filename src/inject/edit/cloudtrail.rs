//! Changing CloudTrail records.

use serde_json::Value;

use super::{Change, Editor, find, instant, remove, replace, set, uuid};

pub(super) struct CloudTrail;

const DENIED: [u16; 2] = [401, 403];

impl Editor for CloudTrail {
    fn apply(&self, record: &mut Value, change: Change<'_>) {
        match change {
            Change::Time(time) => set(record, "eventTime", instant(time, 0)),
            Change::Ids(id) => {
                set(record, "eventID", uuid(id));
                replace(record, "requestID", uuid(id.rotate_left(7)));
            }
            Change::Caller(name) => set_caller(record, name),
            Change::Host(host) => set(record, "eventSource", host),
            Change::Status(status, error) => {
                let error = error.unwrap_or(match status {
                    429 => "ThrottlingException",
                    500.. => "InternalError",
                    status if DENIED.contains(&status) => "AccessDenied",
                    _ => "ValidationException",
                });
                if status < 400 {
                    remove(record, "errorCode");
                    remove(record, "errorMessage");
                } else {
                    set(record, "errorCode", error);
                    set(record, "responseElements", Value::Null);
                }
            }
            // S3 counts from its own side.
            Change::BytesOut(bytes) => set(record, "additionalEventData.bytesTransferredIn", bytes),
            Change::BytesIn(bytes) => set(record, "additionalEventData.bytesTransferredOut", bytes),
            Change::Address(address) => set(record, "sourceIPAddress", address),
            Change::Client(client) => set(record, "userAgent", client),
            Change::Credential(Some(key)) => set(record, "userIdentity.accessKeyId", key),
            Change::Credential(None) => remove(record, "userIdentity.accessKeyId"),
            Change::Tls(version) => set(record, "tlsDetails.tlsVersion", version),
            Change::Operation(operation, only_reads) => set_operation(record, operation, only_reads),
            Change::Region(region) => set(record, "awsRegion", region),
            Change::Parameters(parameters) => set(record, "requestParameters", parameters.clone()),
            Change::Scheme(_) | Change::Method(_) | Change::Path(_) | Change::Latency(_) | Change::Tokens(_) => {}
        }
    }
}

/// Another operation has neither the parameters nor the resources nor the answer of the one that the record was made from.
fn set_operation(record: &mut Value, operation: &str, only_reads: bool) {
    let Some((service, name)) = operation.split_once(':') else { return };
    set(record, "eventSource", format!("{service}.amazonaws.com"));
    set(record, "eventName", name);
    set(record, "readOnly", only_reads);
    set(record, "requestParameters", Value::Null);
    set(record, "responseElements", Value::Null);
    for path in ["resources", "errorCode", "errorMessage", "additionalEventData", "apiVersion"] {
        remove(record, path);
    }
    replace(record, "tlsDetails.clientProvidedHostHeader", format!("{service}.us-east-1.amazonaws.com"));
}

fn set_caller(record: &mut Value, name: &str) {
    let account = find(record, "userIdentity.accountId").and_then(|value| value.as_str().map(str::to_owned));
    let account = account.unwrap_or_else(|| "111122223333".to_owned());
    set(
        record,
        "userIdentity",
        serde_json::json!({
            "type": "IAMUser", "principalId": format!("AIDA{}", name.to_ascii_uppercase()), "accountId": account,
            "arn": format!("arn:aws:iam::{account}:user/{name}"), "userName": name,
        }),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_operation_leaves_nothing_of_the_one_before() {
        let mut record: Value = serde_json::from_str(
            r#"{"eventSource":"s3.amazonaws.com","eventName":"GetObject","errorCode":"AccessDenied","resources":[1],
            "requestParameters":{"key":"k"},"readOnly":true}"#,
        )
        .unwrap();
        CloudTrail.apply(&mut record, Change::Operation("iam:CreateUser", false));
        CloudTrail.apply(&mut record, Change::Status(429, None));
        let expected = r#"{"eventSource":"iam.amazonaws.com","eventName":"CreateUser","errorCode":"ThrottlingException",
            "requestParameters":null,"responseElements":null,"readOnly":false}"#;
        assert_eq!(record, serde_json::from_str::<Value>(expected).unwrap());
    }
}
