//! Snowflake: rows of `QUERY_HISTORY` and `LOGIN_HISTORY`, columns in whatever case.
//!
//! Traps: the text of a query holds what it selects by, and is never read: its type is the operation. What Snowflake sends out to
//! another cloud, and what a result has, came back to the caller. A sign-in by password alone is an operation of its own.
//!
//! Source: docs.snowflake.com, "QUERY_HISTORY view" and "LOGIN_HISTORY view" of ACCOUNT_USAGE.

use super::{FormatKind, Probe, Reading, audit};
use crate::calls::{Call, Channel, Outcome, PrincipalKind, StepClass, View, WITHOUT_MFA};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "snowflake",
    summary: "Snowflake: query and login history",
    view: View::Audit,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"QUERY_ID":"01b2f3c4-0504-1a2b-0000-00015a2b3c4d","QUERY_TEXT":"COPY INTO @stage/x FROM (SELECT 1)","DATABASE_NAME":"PROD",
"QUERY_TYPE":"UNLOAD","SESSION_ID":382944,"USER_NAME":"ETL_SVC","ROLE_NAME":"LOADER","WAREHOUSE_NAME":"WH_XS","EXECUTION_STATUS":"SUCCESS",
"ERROR_CODE":null,"START_TIME":"2026-09-01 00:00:01.250 Z","END_TIME":"2026-09-01 00:00:03.250 Z","TOTAL_ELAPSED_TIME":2000,
"BYTES_SCANNED":91044,"ROWS_PRODUCED":2000,"OUTBOUND_DATA_TRANSFER_BYTES":48213,"INBOUND_DATA_TRANSFER_BYTES":0,"BYTES_WRITTEN_TO_RESULT":120}"#;

const HOST: &str = "snowflakecomputing.com";
/// Types of queries whose verb `StepClass::of` does not know.
const STEPS: [(&str, StepClass); 4] = [
    ("GRANT", StepClass::Grant),
    ("GET_FILES", StepClass::Bulk),
    ("ALTER_NETWORK_POLICY", StepClass::Defence),
    ("DROP_NETWORK_POLICY", StepClass::Defence),
];

paths! { Path:
    QueryId = "QUERY_ID",
    QueryKind = "QUERY_TYPE",
    Start = "START_TIME",
    Status = "EXECUTION_STATUS",
    ErrorCode = "ERROR_CODE",
    Elapsed = "TOTAL_ELAPSED_TIME",
    Outbound = "OUTBOUND_DATA_TRANSFER_BYTES",
    Result = "BYTES_WRITTEN_TO_RESULT",
    Inbound = "INBOUND_DATA_TRANSFER_BYTES",
    User = "USER_NAME",
    UserKind = "USER_TYPE",
    Account = "ACCOUNT_NAME",
    Organization = "ORGANIZATION_NAME",
    EventId = "EVENT_ID",
    EventTime = "EVENT_TIMESTAMP",
    EventKind = "EVENT_TYPE",
    IsSuccess = "IS_SUCCESS",
    FirstFactor = "FIRST_AUTHENTICATION_FACTOR",
    SecondFactor = "SECOND_AUTHENTICATION_FACTOR",
    Address = "CLIENT_IP",
    Client = "REPORTED_CLIENT_TYPE",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let has = |key| probe.has(key);
    let is_query = has("QUERY_TYPE") && (has("EXECUTION_STATUS") || has("QUERY_ID"));
    let is_login = has("EVENT_TIMESTAMP") && has("EVENT_TYPE") && has("IS_SUCCESS");
    has("USER_NAME") && (is_query || is_login)
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let query = fields.text(Path::QueryKind);
    let is_query = query.is_some();
    let name = query.or_else(|| fields.text(Path::EventKind)).ok_or_else(|| fields.missing(Path::QueryKind))?;
    let is_weak = !is_query && fields.is(Path::FirstFactor, "PASSWORD") && !fields.has(Path::SecondFactor);
    let address = fields.text(Path::Address).filter(|address| address != "0.0.0.0");
    let client = fields.text(Path::Client);
    let is_own = fields.is(Path::User, "SYSTEM") || fields.is(Path::User, "SNOWFLAKE");
    Ok(Reading::Call(Call {
        time: audit::time(fields, &[Path::Start, Path::EventTime]),
        view: View::Audit,
        step: STEPS.iter().find(|(kind, _)| *kind == name).map(|(_, step)| *step),
        operation: Some(if is_weak { format!("{name}{WITHOUT_MFA}").into() } else { name }),
        outcome: outcome(fields),
        account: fields.first([Path::Account, Path::Organization]),
        principal: match fields.text(Path::UserKind).as_deref() {
            _ if is_own => PrincipalKind::VendorService,
            Some("SERVICE" | "LEGACY_SERVICE") => PrincipalKind::Role,
            Some("PERSON") => PrincipalKind::User,
            Some("SNOWFLAKE_SERVICE") => PrincipalKind::VendorService,
            _ => PrincipalKind::Unknown,
        },
        channel: match client.as_deref() {
            _ if is_own => Channel::Vendor,
            Some("SNOWFLAKE_UI") => Channel::Console,
            Some(_) => Channel::Program,
            None => Channel::Unknown,
        },
        caller: audit::caller(fields.text(Path::User), address.as_ref()),
        host: HOST.into(),
        bytes_out: fields.whole(Path::Inbound),
        bytes_in: fields.whole(Path::Outbound).filter(|bytes| *bytes > 0).or_else(|| fields.whole(Path::Result)),
        latency_ms: fields.real(Path::Elapsed),
        src_ip: address,
        user_agent: client,
        record_id: fields.first([Path::QueryId, Path::EventId]),
        ..Call::default()
    }))
}

fn outcome(fields: &Fields<'_>) -> Option<Outcome> {
    match fields.text(Path::IsSuccess).as_deref() {
        Some("YES" | "true" | "TRUE") => return Some(Outcome::Ok),
        Some(_) => return Some(Outcome::Denied),
        None => {}
    }
    match fields.text(Path::Status)?.to_ascii_lowercase().as_str() {
        "success" => Some(Outcome::Ok),
        // `SQL access control error: insufficient privileges`, and that the object does not exist for this role.
        "fail" | "failed_with_error" if ["3001", "003001"].iter().any(|code| fields.is(Path::ErrorCode, code)) => {
            Some(Outcome::Denied)
        }
        "fail" | "failed_with_error" => Some(Outcome::ClientError),
        "failed_with_incident" | "incident" => Some(Outcome::ServerError),
        _ => None,
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
    fn the_sample_is_an_unload_whose_bytes_left_snowflake() {
        let call = call(SAMPLE);
        assert_eq!(
            (call.time, &*call.caller, call.operation.as_deref()),
            (1_788_220_801_250_000, "ETL_SVC", Some("UNLOAD"))
        );
        assert_eq!((call.bytes_out, call.bytes_in, call.latency_ms), (Some(0), Some(48_213), Some(2000.0)));
        assert_eq!((call.outcome, StepClass::of("UNLOAD")), (Some(Outcome::Ok), StepClass::Bulk));
    }

    #[test]
    fn a_sign_in_by_password_alone_and_one_that_failed() {
        let record = r#"{"event_id":"3","event_timestamp":"2026-09-01 00:00:01.250 -0700","event_type":"LOGIN","user_name":"ANA","client_ip":"203.0.113.4",
            "reported_client_type":"SNOWFLAKE_UI","first_authentication_factor":"PASSWORD","second_authentication_factor":null,"is_success":"YES"}"#;
        let weak = call(record);
        assert_eq!((weak.operation.as_deref(), weak.outcome), (Some("LOGIN without MFA"), Some(Outcome::Ok)));
        assert_eq!((weak.time, weak.channel), (1_788_246_001_250_000, Channel::Console));
        let failed = record.replace("YES", "NO").replace("null", "\"DUO\"");
        let failed = call(&failed);
        assert_eq!((failed.operation.as_deref(), failed.outcome), (Some("LOGIN"), Some(Outcome::Denied)));
    }

    #[test]
    fn a_grant_of_snowflake_itself_and_a_query_that_may_not_be() {
        let record = SAMPLE.replace("UNLOAD", "GRANT").replace("ETL_SVC", "SYSTEM");
        let own = call(&record);
        assert_eq!(
            (own.step, own.principal, own.channel),
            (Some(StepClass::Grant), PrincipalKind::VendorService, Channel::Vendor)
        );
        let record =
            SAMPLE.replace("\"SUCCESS\"", "\"FAIL\"").replace("\"ERROR_CODE\":null", "\"ERROR_CODE\":\"003001\"");
        assert_eq!(call(&record).outcome, Some(Outcome::Denied));
    }
}
