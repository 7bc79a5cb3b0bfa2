//! Azure Activity, resource logs, Entra sign-ins and directory audits: as diagnostic settings send them, as a table of Log Analytics has
//! them, and as the interfaces of Azure and Graph (`auditLogs`) answer.
//!
//! Traps: `properties` is an object or JSON text; operation names differ in case from place to place; an operation is logged when it is
//! started, accepted and done, and is counted once; recommendations and health are no calls; `resultType` of a sign-in is an error
//! number as text. Claims, request bodies and targets hold what is nobody's business.
//!
//! Not here: the calls of Microsoft Graph (`graph`), and the audit log of a cluster, which Azure wraps.
//!
//! Source: learn.microsoft.com, "Azure Activity Log event schema", "signIn" and "directoryAudit" resource types.

use std::borrow::Cow;

use super::url::{Url, part};
use super::{FormatKind, Probe, Reading, audit};
use crate::calls::{Call, Channel, Outcome, PrincipalKind, StepClass, View, looks_secret};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "azure",
    summary: "Azure Activity and resource logs, Entra sign-ins and directory audits",
    view: View::Audit,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"time":"2026-09-01T00:00:00.905Z","resourceId":"/tenants/7a1b/providers/Microsoft.aadiam","operationName":"Sign-in activity",
"operationVersion":"1.0","category":"SignInLogs","tenantId":"7a1b2c3d-0000-4000-8000-0123456789ab","resultType":"50126","resultSignature":"None",
"resultDescription":"Invalid username or password","durationMs":0,"callerIpAddress":"198.51.100.77","correlationId":"c1","identity":"Ana Silva",
"Level":4,"location":"PT","properties":{"id":"5f0e7b1c-8f0a","createdDateTime":"2026-09-01T00:00:00.905Z","userDisplayName":"Ana Silva",
"userPrincipalName":"ana@acme.example","userId":"u1","appId":"29d9ed98-a469","appDisplayName":"Azure Portal","ipAddress":"198.51.100.77",
"clientAppUsed":"Browser","userAgent":"Mozilla/5.0 (Windows NT 10.0)","status":{"errorCode":50126},"isInteractive":true,
"resourceDisplayName":"Windows Azure Service Management API","conditionalAccessStatus":"notApplied"}}"#;

const MANAGEMENT: &str = "management.azure.com";
const SIGN_IN_HOST: &str = "login.microsoftonline.com";
const DIRECTORY: &str = "graph.microsoft.com";
const SIGN_IN: &str = "Sign-in activity";
/// Categories that tell of no call, and how they are counted.
const OTHER_EVENTS: [(&str, &str); 8] = [
    ("Recommendation", "recommendation"),
    ("ResourceHealth", "health"),
    ("ServiceHealth", "health"),
    ("Alert", "vendor_alert"),
    ("Autoscale", "autoscale"),
    ("AdvancedHunting", "vendor_alert"),
    // Of another format, on the same hub.
    ("MicrosoftGraphActivityLogs", "graph_activity"),
    ("kube", "cluster_audit"),
];
/// What operations do whose last word is only `action` or `write`: a part of the lower-case name, and the class.
const STEPS: [(&str, StepClass); 14] = [
    ("/listkeys/", StepClass::Secret),
    ("/listaccountsas/", StepClass::Secret),
    ("/listservicesas/", StepClass::Secret),
    ("connectionstrings/", StepClass::Secret),
    ("credential", StepClass::Secret),
    ("/regeneratekey", StepClass::Grant),
    ("roleassignments/write", StepClass::Grant),
    ("roledefinitions/write", StepClass::Grant),
    ("elevateaccess/action", StepClass::Grant),
    ("runcommand", StepClass::Grant),
    ("begingetaccess/action", StepClass::Share),
    ("locks/delete", StepClass::Defence),
    ("diagnosticsettings/delete", StepClass::Defence),
    ("alertssuppressionrules/write", StepClass::Defence),
];

paths! { Path:
    Time = "time",
    Created = "createdDateTime",
    OwnCreated = "properties.createdDateTime",
    Activity = "activityDateTime",
    OwnActivity = "properties.activityDateTime",
    Event = "eventTimestamp",
    Generated = "timeGenerated",
    Category = "category",
    CategoryValue = "category.value",
    Operation = "operationName",
    OperationValue = "operationName.value",
    OperationColumn = "operationNameValue",
    ActivityName = "activityDisplayName",
    OwnActivityName = "properties.activityDisplayName",
    ResultType = "resultType",
    Error = "status.errorCode",
    OwnError = "properties.status.errorCode",
    Result = "result",
    OwnResult = "properties.result",
    StatusValue = "status.value",
    StatusColumn = "activityStatusValue",
    Signature = "resultSignature",
    Status = "statusCode",
    User = "userPrincipalName",
    OwnUser = "properties.userPrincipalName",
    Initiator = "initiatedBy.user.userPrincipalName",
    OwnInitiator = "properties.initiatedBy.user.userPrincipalName",
    InitiatorId = "initiatedBy.user.id",
    OwnInitiatorId = "properties.initiatedBy.user.id",
    Upn = "identity.claims.http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
    ClaimedName = "identity.claims.http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
    ClaimedMail = "identity.claims.http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
    ShortName = "identity.claims.name",
    RequesterUpn = "identity.requester.upn",
    IntuneUser = "properties.Actor.UPN",
    Caller = "caller",
    UserId = "userId",
    OwnUserId = "properties.userId",
    Identity = "identity",
    AppName = "initiatedBy.app.displayName",
    OwnAppName = "properties.initiatedBy.app.displayName",
    AppSid = "initiatedBy.app.servicePrincipalId",
    OwnAppSid = "properties.initiatedBy.app.servicePrincipalId",
    Service = "servicePrincipalName",
    OwnService = "properties.servicePrincipalName",
    ServiceId = "servicePrincipalId",
    OwnServiceId = "properties.servicePrincipalId",
    ClaimedApp = "identity.claims.appid",
    /// Key Vault writes the claims in the singular.
    ClaimApp = "identity.claim.appid",
    ClaimUpn = "identity.claim.upn",
    OwnStatus = "properties.httpStatusCode",
    RestApp = "claims.appid",
    RequesterApp = "identity.requester.appId",
    RequesterObject = "identity.requester.objectId",
    IdentityKind = "identity.type",
    /// Which key signed a shared access signature, hashed.
    TokenHash = "identity.tokenHash",
    Address = "callerIpAddress",
    OwnAddress = "properties.ipAddress",
    PlainAddress = "ipAddress",
    RestAddress = "httpRequest.clientIpAddress",
    UserAgent = "userAgent",
    OwnUserAgent = "properties.userAgent",
    HeaderUserAgent = "properties.userAgentHeader",
    Interactive = "isInteractive",
    OwnInteractive = "properties.isInteractive",
    Tenant = "tenantId",
    OwnTenant = "properties.tenantId",
    Subscription = "subscriptionId",
    Resource = "resourceId",
    Location = "location",
    Uri = "uri",
    RequestSize = "properties.requestBodySize",
    ResponseSize = "properties.responseBodySize",
    Duration = "durationMs",
    Id = "id",
    OwnId = "properties.id",
    EventId = "eventDataId",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let has = |keys: &[&str]| keys.iter().all(|key| probe.has(key));
    let is_cluster = probe
        .text("category")
        .is_some_and(|category| category.starts_with("kube") || category.ends_with("GraphActivityLogs"));
    let is_sent = has(&["operationName"]) && (has(&["category", "tenantId"]) || has(&["resourceId", "time"]));
    let is_sign_in = has(&["createdDateTime", "appId", "status"])
        && (probe.has("userPrincipalName") || probe.has("servicePrincipalId"));
    let is_directory = has(&["activityDateTime", "activityDisplayName", "initiatedBy"]);
    let is_activity =
        has(&["eventTimestamp", "operationName", "subscriptionId"]) || has(&["operationNameValue", "timeGenerated"]);
    !is_cluster && (is_sent || is_sign_in || is_directory || is_activity)
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let category = fields.first([Path::Category, Path::CategoryValue]).unwrap_or_default();
    if let Some((_, kind)) = OTHER_EVENTS.iter().find(|(name, _)| category.starts_with(name)) {
        return Ok(Reading::NotACall(kind));
    }
    let word = fields.first([Path::ResultType, Path::StatusValue, Path::StatusColumn, Path::Result, Path::OwnResult]);
    if word.as_deref().is_some_and(|word| {
        ["start", "started", "accept", "accepted"].iter().any(|start| word.eq_ignore_ascii_case(start))
    }) {
        return Ok(Reading::NotACall("operation_start"));
    }
    let is_sign_in = category.contains("SignIn") || fields.has(Path::Created) && !fields.has(Path::Operation);
    let named = fields.first([
        Path::OperationValue,
        Path::OperationColumn,
        Path::Operation,
        Path::ActivityName,
        Path::OwnActivityName,
    ]);
    let operation = named.or(is_sign_in.then_some(SIGN_IN.into())).ok_or_else(|| fields.missing(Path::Operation))?;
    // What looks like a secret stays as it is logged: in lower case nobody would know it for one.
    let operation = match operation.contains('/') && !looks_secret(&operation) {
        true => Cow::Owned(operation.to_ascii_lowercase()),
        false => operation,
    };
    let user = fields.first([
        Path::User,
        Path::OwnUser,
        Path::Initiator,
        Path::OwnInitiator,
        Path::Upn,
        Path::ClaimedName,
        Path::ClaimedMail,
        Path::ShortName,
        Path::RequesterUpn,
        Path::IntuneUser,
        Path::Caller,
        Path::InitiatorId,
        Path::OwnInitiatorId,
        Path::OwnUserId,
        Path::UserId,
        Path::Identity,
    ]);
    let app = fields.first([
        Path::AppName,
        Path::OwnAppName,
        Path::AppSid,
        Path::OwnAppSid,
        Path::Service,
        Path::OwnService,
        Path::ServiceId,
        Path::OwnServiceId,
        Path::ClaimedApp,
        Path::ClaimUpn,
        Path::ClaimApp,
        Path::RestApp,
        Path::RequesterApp,
        Path::RequesterObject,
        Path::IdentityKind,
    ]);
    let address = fields.first([Path::Address, Path::OwnAddress, Path::PlainAddress, Path::RestAddress]);
    let agent = fields.first([Path::OwnUserAgent, Path::UserAgent, Path::HeaderUserAgent]);
    let is_directory = category == "AuditLogs" || fields.has(Path::Activity);
    let uri = fields.text(Path::Uri);
    let of_uri = uri.as_ref().and_then(|uri| part(uri, |uri| Url::cut(uri).host));
    let is_interactive = fields.is(Path::Interactive, "true") || fields.is(Path::OwnInteractive, "true");
    Ok(Reading::Call(Call {
        time: audit::time(
            fields,
            &[
                Path::Time,
                Path::Event,
                Path::OwnCreated,
                Path::Created,
                Path::OwnActivity,
                Path::Activity,
                Path::Generated,
            ],
        ),
        view: View::Audit,
        step: STEPS.iter().find(|(part, _)| operation.contains('/') && operation.contains(part)).map(|(_, step)| *step),
        outcome: outcome(fields, word.as_deref(), is_sign_in),
        operation: Some(operation),
        credential: fields.text(Path::TokenHash),
        account: fields.first([Path::Tenant, Path::OwnTenant, Path::Subscription]).or_else(|| subscription(fields)),
        principal: match (&user, &app) {
            // An application's owner calls itself by a number.
            (Some(user), _) if user.contains('@') || app.is_none() => PrincipalKind::User,
            (_, Some(_)) => PrincipalKind::Role,
            _ => PrincipalKind::Unknown,
        },
        channel: if is_interactive { Channel::Console } else { audit::channel(agent.as_deref()) },
        caller: audit::caller(user.or(app), address.as_ref()),
        host: match (of_uri, is_sign_in, is_directory) {
            (Some(host), ..) => host,
            (None, true, _) => SIGN_IN_HOST.into(),
            (None, false, true) => DIRECTORY.into(),
            (None, false, false) => MANAGEMENT.into(),
        },
        bytes_out: fields.whole(Path::RequestSize),
        bytes_in: fields.whole(Path::ResponseSize),
        latency_ms: fields.real(Path::Duration).filter(|duration| *duration > 0.0),
        src_ip: address,
        user_agent: agent,
        // Of a sign-in the place is the person's.
        region: fields.text(Path::Location).filter(|_| !is_sign_in),
        record_id: fields.first([Path::OwnId, Path::EventId, Path::Id]),
        ..Call::default()
    }))
}

/// The subscription in `/subscriptions/…/resourceGroups/…`.
fn subscription<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    let resource = fields.text(Path::Resource)?;
    part(&resource, |resource| {
        let mut parts = resource.split('/').skip_while(|part| !part.eq_ignore_ascii_case("subscriptions"));
        parts.nth(1)
    })
}

fn outcome(fields: &mut Fields<'_>, word: Option<&str>, is_sign_in: bool) -> Option<Outcome> {
    let code = fields.first([Path::OwnError, Path::Error]);
    if is_sign_in && let Some(code) = code.as_deref().or(word) {
        let is_ok = code == "0" || code.eq_ignore_ascii_case("success");
        return Some(if is_ok { Outcome::Ok } else { Outcome::Denied });
    }
    let signature = fields.text(Path::Signature);
    let words = signature.as_deref().unwrap_or_default();
    let status =
        words.rsplit('.').next().and_then(|status| status.parse().ok()).or_else(|| fields.status(Path::Status));
    let status = status.or_else(|| fields.status(Path::OwnStatus));
    match (status, word.and_then(|word| audit::outcome(word, ""))) {
        (Some(status), _) if status >= 400 => Some(Outcome::of_status(Some(status))),
        (_, Some(Outcome::ClientError)) if words.ends_with("Forbidden") || words.ends_with("Unauthorized") => {
            Some(Outcome::Denied)
        }
        (_, Some(outcome)) => Some(outcome),
        (Some(status), None) => Some(Outcome::of_status(Some(status))),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        assert!(looks_like(&Probe::of(record).unwrap()), "{record}");
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
    }

    #[test]
    fn the_sample_is_a_sign_in_with_a_wrong_password() {
        let call = call(SAMPLE);
        assert_eq!((&*call.caller, &*call.host), ("ana@acme.example", SIGN_IN_HOST));
        assert_eq!((call.operation.as_deref(), call.outcome), (Some(SIGN_IN), Some(Outcome::Denied)));
        assert_eq!((call.principal, call.channel, call.region), (PrincipalKind::User, Channel::Console, None));
    }

    #[test]
    fn an_activity_of_an_application_is_the_same_operation_in_any_case() {
        let record = r#"{"time":"2026-09-01T00:00:01Z","resourceId":"/SUBSCRIPTIONS/5C1/RESOURCEGROUPS/R","operationName":"MICROSOFT.STORAGE/STORAGEACCOUNTS/LISTKEYS/ACTION",
            "category":"Administrative","resultType":"Failure","resultSignature":"Failed.Forbidden","callerIpAddress":"203.0.113.9",
            "identity":{"claims":{"appid":"8c3e"}},"location":"global"}"#;
        let call = call(record);
        assert_eq!(call.operation.as_deref(), Some("microsoft.storage/storageaccounts/listkeys/action"));
        assert_eq!((&*call.caller, call.principal, call.step), ("8c3e", PrincipalKind::Role, Some(StepClass::Secret)));
        assert_eq!((call.account.as_deref(), call.outcome), (Some("5C1"), Some(Outcome::Denied)));
        let start = record.replace("Failure", "Start");
        assert!(matches!(FORMAT_KIND.decode(&start), Ok(Reading::NotACall("operation_start"))));
        let other = record.replace("Administrative", "MicrosoftGraphActivityLogs");
        assert!(matches!(FORMAT_KIND.decode(&other), Ok(Reading::NotACall("graph_activity"))));
        let other = record.replace("Administrative", "ResourceHealth");
        assert!(matches!(FORMAT_KIND.decode(&other), Ok(Reading::NotACall("health"))));
    }

    #[test]
    fn a_directory_audit_is_the_same_from_a_hub_as_text_and_from_graph() {
        let audit = r#"{"id":"D1","category":"RoleManagement","result":"success","activityDisplayName":"Add member to role","activityDateTime":"2026-09-01T00:00:01Z","initiatedBy":{"app":null,"user":{"userPrincipalName":"root@acme.example","id":"u"}}}"#;
        let sent = format!(
            r#"{{"time":"2026-09-01T00:00:01Z","category":"AuditLogs","operationName":"Add member to role","tenantId":"t","properties":{}}}"#,
            serde_json::to_string(audit).unwrap()
        );
        for record in [audit, &sent] {
            let call = call(record);
            assert_eq!(
                (call.time, &*call.caller, &*call.host),
                (1_788_220_801_000_000, "root@acme.example", DIRECTORY)
            );
            assert_eq!((call.operation.as_deref(), call.outcome), (Some("Add member to role"), Some(Outcome::Ok)));
            assert_eq!(call.record_id.as_deref(), Some("D1"));
        }
    }

    #[test]
    fn a_sign_in_of_a_service_from_graph_and_a_download_from_storage() {
        let record = r#"{"id":"S1","createdDateTime":"2026-09-01T00:00:01Z","appId":"a","servicePrincipalId":"sp","servicePrincipalName":"ci","ipAddress":"203.0.113.1","status":{"errorCode":0}}"#;
        let sign_in = call(record);
        assert_eq!(
            (&*sign_in.caller, sign_in.principal, sign_in.outcome),
            ("ci", PrincipalKind::Role, Some(Outcome::Ok))
        );
        let record = r#"{"time":"2026-09-01T00:00:01Z","resourceId":"/subscriptions/5c1/x","category":"StorageRead","operationName":"GetBlob","statusCode":200,"statusText":"Success",
            "durationMs":12,"callerIpAddress":"203.0.113.1:3832","identity":{"type":"SAS","tokenHash":"key1(x)"},"uri":"https://acme.blob.core.windows.net/exports/a.csv",
            "properties":{"userAgentHeader":"azcopy/10","responseBodySize":5120}}"#;
        let blob = call(record);
        assert_eq!((&*blob.host, &*blob.caller, blob.bytes_in), ("acme.blob.core.windows.net", "SAS", Some(5120)));
        assert_eq!(blob.credential.as_deref(), Some("key1(x)"));
        assert_eq!((blob.outcome, blob.latency_ms), (Some(Outcome::Ok), Some(12.0)));
    }
}
