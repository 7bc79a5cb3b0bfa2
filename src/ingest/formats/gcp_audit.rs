//! Google Cloud audit logs: `AuditLog` in the `protoPayload` of a log entry.
//!
//! Traps: a long operation is logged when it starts and when it ends, and is counted once; method names have the API's package and
//! version in some services and not in others; a caller who is not known, or may not be shown, has no e-mail; copies rename `@type`.
//! Requests and responses hold secrets and are never read.
//!
//! Not here: load balancers (`httpRequest`), which log what came in.
//!
//! Source: cloud.google.com, "LogEntry" and "AuditLog" references.

use std::borrow::Cow;

use super::outcome::of_grpc;
use super::url::part;
use super::{FormatKind, Probe, Reading, audit};
use crate::calls::{Call, Channel, Outcome, PrincipalKind, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "gcp_audit",
    summary: "Google Cloud: audit logs (admin activity, data access, system events, policy denials)",
    view: View::Audit,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"insertId":"15cp9rve72xt1","logName":"projects/acme-prod/logs/cloudaudit.googleapis.com%2Fdata_access","severity":"INFO",
"timestamp":"2026-09-01T00:00:00.905027213Z","receiveTimestamp":"2026-09-01T00:00:01.1Z",
"resource":{"type":"gcs_bucket","labels":{"project_id":"acme-prod","bucket_name":"exports","location":"europe-west1"}},
"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","status":{},
"authenticationInfo":{"principalEmail":"etl@acme-prod.iam.gserviceaccount.com","serviceAccountKeyName":
"//iam.googleapis.com/projects/acme-prod/serviceAccounts/etl@acme-prod.iam.gserviceaccount.com/keys/9f3c2b7a"},
"requestMetadata":{"callerIp":"198.51.100.40","callerSuppliedUserAgent":"gcloud-python/1.44.0"},
"serviceName":"storage.googleapis.com","methodName":"storage.objects.get","resourceName":"projects/_/buckets/exports/objects/a.csv",
"authorizationInfo":[{"granted":true,"permission":"storage.objects.get"}]}}"#;

const VENDOR: &str = "google";
const DOMAIN: &str = "googleapis.com";
/// Who calls where the log names nobody: Google leaves out callers who are not known or may not be shown.
const ANONYMOUS: &str = "anonymous";
/// Ends of the e-mails of Google's own service accounts.
const SERVICE_AGENTS: [&str; 2] = ["@cloudservices.gserviceaccount.com", "@system.gserviceaccount.com"];

paths! { Path:
    Time = "timestamp",
    PayloadTime = "protoPayload.timestamp",
    Received = "receiveTimestamp",
    LogName = "logName",
    Id = "insertId",
    First = "operation.first",
    Last = "operation.last",
    Project = "resource.labels.project_id",
    Location = "resource.labels.location",
    Zone = "resource.labels.zone",
    Region = "resource.labels.region",
    Service = "protoPayload.serviceName",
    Method = "protoPayload.methodName",
    Status = "protoPayload.status.code",
    Granted = "protoPayload.authorizationInfo.granted",
    Email = "protoPayload.authenticationInfo.principalEmail",
    Subject = "protoPayload.authenticationInfo.principalSubject",
    Key = "protoPayload.authenticationInfo.serviceAccountKeyName",
    Address = "protoPayload.requestMetadata.callerIp",
    UserAgent = "protoPayload.requestMetadata.callerSuppliedUserAgent",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    probe.inside("protoPayload").is_some_and(|payload| {
        let kind = payload.text("@type").or_else(|| payload.text("at_sign_type"));
        kind.is_some_and(|kind| kind.ends_with("AuditLog")) || payload.has("serviceName") || payload.has("methodName")
    })
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    if fields.is(Path::Last, "true") && !fields.is(Path::First, "true") {
        return Ok(Reading::NotACall("operation_end"));
    }
    let method = fields.text(Path::Method).ok_or_else(|| fields.missing(Path::Method))?;
    let service = fields.text(Path::Service).unwrap_or(Cow::Borrowed(DOMAIN));
    let address = fields.text(Path::Address);
    let agent = fields.text(Path::UserAgent);
    let named = fields.first([Path::Email, Path::Subject]);
    let is_event = fields.text(Path::LogName).is_some_and(|name| name.ends_with("system_event"));
    let principal = match is_event {
        true => PrincipalKind::VendorService,
        false => principal_kind(named.as_deref(), fields.text(Path::Subject).as_deref()),
    };
    let caller = audit::caller(named.or_else(|| is_event.then(|| service.clone())), address.as_ref());
    Ok(Reading::Call(Call {
        time: audit::time(fields, &[Path::Time, Path::PayloadTime, Path::Received]),
        view: View::Audit,
        operation: Some(operation(&service, &method).into()),
        vendor: Some(VENDOR),
        outcome: Some(outcome(fields)),
        credential: fields.text(Path::Key).and_then(|key| part(&key, |key| key.rsplit('/').next())),
        account: fields.text(Path::Project).or_else(|| account_of_log(fields)),
        principal,
        channel: match principal {
            PrincipalKind::VendorService => Channel::Vendor,
            _ => audit::channel(agent.as_deref()),
        },
        caller: if caller.is_empty() { ANONYMOUS.into() } else { caller },
        host: service,
        src_ip: address,
        user_agent: agent,
        region: fields.first([Path::Location, Path::Region, Path::Zone]),
        record_id: fields.text(Path::Id),
        ..Call::default()
    }))
}

/// `storage:objects.get`: the service, and the method without the package, version and service that some APIs put before it.
fn operation(service: &str, method: &str) -> String {
    let service = service.strip_suffix(DOMAIN).unwrap_or(service).split('.').next().unwrap_or_default();
    let is_version = |part: &str| {
        let is_number = part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        is_number || matches!(part, "alpha" | "beta")
    };
    let starts = method.split('.').map(|part| (part, part.as_ptr() as usize - method.as_ptr() as usize + part.len()));
    let mut prefixes = starts.filter(|(part, end)| *end < method.len() && (is_version(part) || *part == service));
    let name = prefixes.next_back().map_or(method, |(_, end)| &method[end + 1..]);
    match service {
        "" => name.to_owned(),
        service => format!("{service}:{name}"),
    }
}

fn outcome(fields: &Fields<'_>) -> Outcome {
    match fields.text(Path::Status) {
        Some(status) => of_grpc(&status).unwrap_or(Outcome::Unknown),
        None if fields.is(Path::Granted, "false") => Outcome::Denied,
        None => Outcome::Ok,
    }
}

/// The project, folder or organisation that the log belongs to.
fn account_of_log<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    part(&fields.text(Path::LogName)?, |name| name.split('/').nth(1))
}

fn principal_kind(name: Option<&str>, subject: Option<&str>) -> PrincipalKind {
    let subject = subject.unwrap_or_default();
    let Some(name) = name else { return PrincipalKind::Unknown };
    // `service-4711@gcp-sa-logging.iam.gserviceaccount.com`: named by the project's number.
    let number = name.strip_prefix("service-").and_then(|rest| rest.split_once('@')).map(|(number, _)| number);
    let is_own_robot = number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    if is_own_robot || SERVICE_AGENTS.iter().any(|end| name.ends_with(end)) {
        PrincipalKind::VendorService
    } else if name.ends_with("gserviceaccount.com")
        || name.starts_with("system:serviceaccount:")
        || subject.starts_with("serviceAccount:")
    {
        PrincipalKind::Role
    } else if name.starts_with("system:") {
        PrincipalKind::VendorService
    } else if subject.contains("/workforcePools/") {
        PrincipalKind::SingleSignOn
    } else if subject.starts_with("principal") {
        PrincipalKind::Role
    } else {
        PrincipalKind::User
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
    }

    #[test]
    fn the_sample_is_a_download_by_a_service_account_with_its_key() {
        let call = call(SAMPLE);
        assert_eq!((call.operation.as_deref(), &*call.host), (Some("storage:objects.get"), "storage.googleapis.com"));
        assert_eq!((call.credential.as_deref(), call.account.as_deref()), (Some("9f3c2b7a"), Some("acme-prod")));
        assert_eq!((call.principal, call.channel), (PrincipalKind::Role, Channel::Program));
        assert_eq!((call.outcome, call.region.as_deref()), (Some(Outcome::Ok), Some("europe-west1")));
    }

    #[test]
    fn a_method_is_short_whatever_package_it_is_in() {
        for (service, method, expected) in [
            ("compute.googleapis.com", "v1.compute.instances.insert", "compute:instances.insert"),
            ("compute.googleapis.com", "beta.compute.instances.insert", "compute:instances.insert"),
            ("iam.googleapis.com", "google.iam.admin.v1.CreateRole", "iam:CreateRole"),
            (
                "bigquery.googleapis.com",
                "google.cloud.bigquery.v2.JobService.InsertJob",
                "bigquery:JobService.InsertJob",
            ),
            ("k8s.io", "io.k8s.core.v1.pods.exec.create", "k8s:pods.exec.create"),
            ("storage.googleapis.com", "storage.setIamPermissions", "storage:setIamPermissions"),
            ("cloudresourcemanager.googleapis.com", "SetIamPolicy", "cloudresourcemanager:SetIamPolicy"),
            ("googleapis.com", "compute.instances.list", "compute.instances.list"),
            ("x.googleapis.com", "v1", "x:v1"),
        ] {
            assert_eq!(operation(service, method), expected);
        }
    }

    #[test]
    fn a_denied_call_of_somebody_who_may_not_be_shown() {
        let record = r#"{"insertid":"a","logname":"organizations/77/logs/cloudaudit.googleapis.com%2Fpolicy","timestamp":"2026-09-01 00:00:01.5",
            "protopayload":{"at_sign_type":"type.googleapis.com/google.cloud.audit.AuditLog","serviceName":"iam.googleapis.com",
            "methodName":"google.iam.admin.v1.GetRole","status":{"code":7,"message":"PERMISSION_DENIED"}}}"#;
        let call = call(record);
        assert_eq!(
            (call.time, &*call.caller, call.outcome),
            (1_788_220_801_500_000, "anonymous", Some(Outcome::Denied))
        );
        assert_eq!((call.account.as_deref(), call.principal), (Some("77"), PrincipalKind::Unknown));
    }

    #[test]
    fn a_system_event_is_googles_own_and_the_end_of_an_operation_no_call() {
        let event = SAMPLE.replace("data_access", "system_event").replace("authenticationInfo", "none");
        let call = call(&event);
        assert_eq!(
            (&*call.caller, call.principal, call.channel),
            ("storage.googleapis.com", PrincipalKind::VendorService, Channel::Vendor)
        );
        let end = SAMPLE.replacen('{', r#"{"operation":{"id":"o","last":true},"#, 1);
        assert!(matches!(FORMAT_KIND.decode(&end), Ok(Reading::NotACall("operation_end"))));
    }

    #[test]
    fn principals_are_told_apart() {
        for (name, subject, kind) in [
            ("a@acme.example", "user:a@acme.example", PrincipalKind::User),
            ("etl@p.iam.gserviceaccount.com", "", PrincipalKind::Role),
            ("service-12@gcp-sa-logging.iam.gserviceaccount.com", "", PrincipalKind::VendorService),
            ("system:serviceaccount:default:web", "", PrincipalKind::Role),
            ("system:node:n1", "", PrincipalKind::VendorService),
            (
                "principal://x/workforcePools/p/subject/a",
                "principal://x/workforcePools/p/subject/a",
                PrincipalKind::SingleSignOn,
            ),
            (
                "principal://x/workloadIdentityPools/p/subject/a",
                "principal://x/workloadIdentityPools/p/subject/a",
                PrincipalKind::Role,
            ),
        ] {
            assert_eq!(principal_kind(Some(name), Some(subject)), kind, "{name}");
        }
    }
}
