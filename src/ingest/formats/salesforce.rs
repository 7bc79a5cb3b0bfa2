//! Salesforce: event log files (their CSV rows as JSON), real-time events in the same columns, and the setup audit trail.
//!
//! Traps: `TIMESTAMP` has no punctuation and is UTC, `TIMESTAMP_DERIVED` has it; only some events have a user's name, so the id names
//! the caller in all; of `LoginAs` the one who acts is the delegate; `USER_AGENT` is a number that says nothing; a request has many
//! rows, so its id is none of a record. `SESSION_KEY` and `LOGIN_KEY` are a session's.
//!
//! Source: developer.salesforce.com, "EventLogFile Supported Event Types" and "SetupAuditTrail".

use jiff::tz::TimeZone;

use super::{FormatKind, Probe, Reading, audit};
use crate::calls::{Call, Channel, Outcome, PrincipalKind, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;
use crate::ingest::time::Layout;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "salesforce",
    summary: "Salesforce: event log files, real-time events, setup audit trail",
    view: View::Audit,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"EVENT_TYPE":"RestApi","TIMESTAMP":"20260901000001.250","REQUEST_ID":"4exLFFQZ1234xLFFQZ","ORGANIZATION_ID":"00D000000000001",
"USER_ID":"00500000000000A","RUN_TIME":"418","CPU_TIME":"96","URI":"/services/data/v59.0/query","SESSION_KEY":"WvtsJ1235oW24EbH",
"LOGIN_KEY":"Obv9123BzbaxqCo1","USER_TYPE":"Standard","REQUEST_STATUS":"S","DB_TOTAL_TIME":"38000000","METHOD":"GET","MEDIA_TYPE":"application/json",
"STATUS_CODE":"200","USER_AGENT":"9998","ROWS_PROCESSED":"2000","REQUEST_SIZE":"0","RESPONSE_SIZE":"412332","CONNECTED_APP_ID":"0H4000000000001",
"TIMESTAMP_DERIVED":"2026-09-01T00:00:01.250Z","USER_ID_DERIVED":"00500000000000AAAV","CLIENT_IP":"198.51.100.61","URI_ID_DERIVED":""}"#;

const HOST: &str = "salesforce.com";
/// Stands for an address where Salesforce calls itself.
const OWN_ADDRESS: &str = "Salesforce.com IP";
const COMPACT: &str = "%Y%m%d%H%M%S%.f";

paths! { Path:
    Event = "EVENT_TYPE",
    Derived = "TIMESTAMP_DERIVED",
    Timestamp = "TIMESTAMP",
    Id = "EVENT_IDENTIFIER",
    Organization = "ORGANIZATION_ID",
    Delegate = "DELEGATED_USER_ID_DERIVED",
    ShortDelegate = "DELEGATED_USER_ID",
    User = "USER_ID_DERIVED",
    ShortUser = "USER_ID",
    UserName = "USER_NAME",
    UserKind = "USER_TYPE",
    Method = "METHOD_NAME",
    OperationKind = "OPERATION_TYPE",
    ApiOperation = "OPERATION",
    Status = "STATUS_CODE",
    RequestStatus = "REQUEST_STATUS",
    LoginStatus = "LOGIN_STATUS",
    RunTime = "RUN_TIME",
    RequestSize = "REQUEST_SIZE",
    ResponseSize = "RESPONSE_SIZE",
    Address = "CLIENT_IP",
    SourceAddress = "SOURCE_IP",
    Browser = "BROWSER_TYPE",
    Tls = "TLS_PROTOCOL",
    MediaType = "MEDIA_TYPE",
    Action = "Action",
    Section = "Section",
    CreatedDate = "CreatedDate",
    CreatedById = "CreatedById",
    CreatedBy = "CreatedBy.Username",
    Delegated = "DelegateUser",
    TrailId = "Id",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let has = |key| probe.has(key);
    let is_event = has("EVENT_TYPE") && has("ORGANIZATION_ID") && (has("TIMESTAMP_DERIVED") || has("TIMESTAMP"));
    is_event || (has("Action") && has("CreatedDate") && (has("Section") || has("CreatedById")))
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let Some(event) = fields.text(Path::Event) else { return trail(fields).map(Reading::Call) };
    let address = fields.first([Path::Address, Path::SourceAddress]);
    let agent = fields.text(Path::Browser);
    let is_own = address.as_deref() == Some(OWN_ADDRESS);
    let users = [Path::Delegate, Path::ShortDelegate, Path::User, Path::ShortUser, Path::UserName];
    let detail = fields.first([Path::Method, Path::OperationKind, Path::ApiOperation]);
    Ok(Reading::Call(Call {
        time: time(fields),
        view: View::Audit,
        outcome: outcome(fields),
        operation: Some(match detail {
            Some(detail) => format!("{event}:{detail}").into(),
            None => event,
        }),
        account: fields.text(Path::Organization),
        principal: match fields.text(Path::UserKind).as_deref() {
            Some("AutomatedProcess" | "CloudIntegrationUser" | "SelfService") => PrincipalKind::VendorService,
            Some(_) => PrincipalKind::User,
            None => PrincipalKind::Unknown,
        },
        channel: if is_own { Channel::Vendor } else { audit::channel(agent.as_deref()) },
        caller: audit::caller(fields.first(users), address.as_ref()),
        host: HOST.into(),
        content_type: fields.text(Path::MediaType),
        status: fields.status(Path::Status),
        bytes_out: fields.whole(Path::RequestSize),
        bytes_in: fields.whole(Path::ResponseSize),
        latency_ms: fields.real(Path::RunTime),
        tls_version: fields.text(Path::Tls),
        src_ip: address,
        user_agent: agent,
        record_id: fields.text(Path::Id),
        ..Call::default()
    }))
}

fn time(fields: &mut Fields<'_>) -> i64 {
    let is_compact = |text: &str| text.bytes().take(14).filter(u8::is_ascii_digit).count() == 14;
    if !fields.has(Path::Derived) && fields.text(Path::Timestamp).as_deref().is_some_and(is_compact) {
        return fields.time_as(Path::Timestamp, &Layout::Pattern(COMPACT.into()), Some(TimeZone::UTC));
    }
    audit::time(fields, &[Path::Derived, Path::Timestamp])
}

fn outcome(fields: &mut Fields<'_>) -> Option<Outcome> {
    let status = fields.status(Path::Status).map(|status| Outcome::of_status(Some(status)));
    let login = fields.text(Path::LoginStatus).map(|word| match &*word {
        "LOGIN_NO_ERROR" => Outcome::Ok,
        _ => Outcome::Denied,
    });
    let request = fields.text(Path::RequestStatus).and_then(|word| match &*word {
        "S" | "R" => Some(Outcome::Ok),
        "F" => Some(Outcome::ClientError),
        "U" | "A" => Some(Outcome::Denied),
        _ => None,
    });
    login.or(status).or(request)
}

/// A row of the setup audit trail: what is logged was done.
fn trail<'a>(fields: &mut Fields<'a>) -> Result<Call<'a>, RecordError> {
    let action = fields.text(Path::Action).ok_or_else(|| fields.missing(Path::Action))?;
    let users = [Path::Delegated, Path::CreatedById, Path::CreatedBy];
    Ok(Call {
        time: fields.utc_time(Path::CreatedDate),
        view: View::Audit,
        outcome: Some(Outcome::Ok),
        operation: Some(match fields.text(Path::Section) {
            Some(section) => format!("{section}:{action}").into(),
            None => action,
        }),
        caller: audit::caller(fields.first(users), None),
        host: HOST.into(),
        record_id: fields.text(Path::TrailId),
        ..Call::default()
    })
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
    fn the_sample_is_a_query_with_its_bytes() {
        let call = call(SAMPLE);
        assert_eq!((call.time, &*call.caller), (1_788_220_801_250_000, "00500000000000AAAV"));
        assert_eq!((call.operation.as_deref(), call.outcome), (Some("RestApi"), Some(Outcome::Ok)));
        assert_eq!((call.bytes_out, call.bytes_in, call.latency_ms), (Some(0), Some(412_332), Some(418.0)));
        assert_eq!((call.user_agent, call.record_id), (None, None));
    }

    #[test]
    fn a_time_without_punctuation_and_a_denied_sign_in() {
        let record = r#"{"EVENT_TYPE":"Login","TIMESTAMP":"20260901000001.250","ORGANIZATION_ID":"o","USER_ID":"u","USER_NAME":"a@b","LOGIN_STATUS":"LOGIN_ERROR_INVALID_PASSWORD","BROWSER_TYPE":"Mozilla/5.0","SOURCE_IP":"203.0.113.3"}"#;
        let call = call(record);
        assert_eq!((call.time, &*call.caller, call.outcome), (1_788_220_801_250_000, "u", Some(Outcome::Denied)));
        assert_eq!((call.channel, call.src_ip.as_deref()), (Channel::Console, Some("203.0.113.3")));
    }

    #[test]
    fn who_signs_in_as_another_is_the_delegate_and_salesforce_calls_itself() {
        let record = r#"{"EVENT_TYPE":"LoginAs","TIMESTAMP_DERIVED":"2026-09-01 00:00:01","ORGANIZATION_ID":"o","USER_ID_DERIVED":"victim","DELEGATED_USER_ID_DERIVED":"admin","CLIENT_IP":"Salesforce.com IP"}"#;
        let call = call(record);
        assert_eq!((&*call.caller, call.channel, call.outcome), ("admin", Channel::Vendor, None));
    }

    #[test]
    fn a_change_of_the_setup_is_read_from_its_trail() {
        let record = r#"{"attributes":{"type":"SetupAuditTrail"},"Id":"0Ym1","Action":"PermSetAssign","Section":"Manage Users","CreatedDate":"2026-09-01T00:00:01.000+0000","CreatedById":"005A","Display":"Permission set X"}"#;
        let call = call(record);
        assert_eq!((call.time, &*call.caller), (1_788_220_801_000_000, "005A"));
        assert_eq!(
            (call.operation.as_deref(), call.record_id.as_deref()),
            (Some("Manage Users:PermSetAssign"), Some("0Ym1"))
        );
    }
}
