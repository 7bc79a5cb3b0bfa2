//! Microsoft 365 unified audit log: Exchange, SharePoint, Teams, Entra and others, a record an operation.
//!
//! Traps: times have no zone and are UTC; the address may have a port; the user agent is a column of its own or one of
//! `ExtendedProperties`; a failed sign-in may have `ResultStatus: Success`; what was changed (`Parameters`, `ModifiedProperties`) is
//! never read. The CSV export has the record as text in `AuditData`.
//!
//! Not here: taking it out of that export (`envelope`).
//!
//! Source: learn.microsoft.com, "Office 365 Management Activity API schema".

use std::borrow::Cow;

use super::outcome::of_word;
use super::{FormatKind, Probe, Reading, audit};
use crate::calls::{Call, Channel, Outcome, PrincipalKind, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "m365",
    summary: "Microsoft 365: unified audit log",
    view: View::Audit,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"CreationTime":"2026-09-01T00:00:01","Id":"21e87b2c-9f3a-4b1e-8c1d-08db58f2a111","Operation":"Set-Mailbox",
"OrganizationId":"8d4121ed-0008-406d-bff9-0d5bb312183c","RecordType":1,"ResultStatus":"True","UserKey":"10032002643F6746","UserType":2,"Version":1,
"Workload":"Exchange","ClientIP":"198.51.100.199:28491","ObjectId":"a88ae17c","UserId":"admin@acme.example","AppId":"fb78d390-0c51-40cd-8e17",
"ClientAppId":"","ExternalAccess":false,"OrganizationName":"acme.example","OriginatingServer":"TYUPR03MB7029 (15.20.6411.019)",
"Parameters":[{"Name":"Identity","Value":"finance"}],"SessionId":"9dd7a60b"}"#;

const VENDOR: &str = "microsoft";
/// The domain of each workload; of the others that of all.
const HOSTS: [(&str, &str); 6] = [
    ("Exchange", "outlook.office365.com"),
    ("SharePoint", "sharepoint.com"),
    ("OneDrive", "sharepoint.com"),
    ("AzureActiveDirectory", "login.microsoftonline.com"),
    ("MicrosoftTeams", "teams.microsoft.com"),
    ("PowerBI", "api.powerbi.com"),
];
const OTHER_HOST: &str = "office.com";
const FAILED_SIGN_IN: &str = "UserLoginFailed";
/// Stand for a user whom the log does not know.
const UNKNOWN: [&str; 3] = ["Not Available", "Unknown", "00000000-0000-0000-0000-000000000000"];

paths! { Path:
    Time = "CreationTime",
    Id = "Id",
    Operation = "Operation",
    Organization = "OrganizationId",
    Result = "ResultStatus",
    LogonError = "LogonError",
    UserKind = "UserType",
    User = "UserId",
    UserKey = "UserKey",
    App = "AppId",
    Application = "ApplicationId",
    ClientApp = "ClientAppId",
    Workload = "Workload",
    Address = "ClientIP",
    LongAddress = "ClientIPAddress",
    ActorAddress = "ActorIpAddress",
    UserAgent = "UserAgent",
    Client = "ClientInfoString",
    Name0 = "ExtendedProperties.0.Name",
    Value0 = "ExtendedProperties.0.Value",
    Name1 = "ExtendedProperties.1.Name",
    Value1 = "ExtendedProperties.1.Value",
    Name2 = "ExtendedProperties.2.Name",
    Value2 = "ExtendedProperties.2.Value",
    Name3 = "ExtendedProperties.3.Name",
    Value3 = "ExtendedProperties.3.Value",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let has = |key| probe.has(key);
    has("Operation") && has("CreationTime") && (has("Workload") || (has("RecordType") && has("OrganizationId")))
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let name = fields.text(Path::Operation).ok_or_else(|| fields.missing(Path::Operation))?;
    let workload = fields.text(Path::Workload);
    let address = fields.first([Path::Address, Path::LongAddress, Path::ActorAddress]);
    let agent = user_agent(fields);
    let users = [Path::User, Path::UserKey, Path::App, Path::Application, Path::ClientApp];
    let known =
        |path: Path| fields.text(path).filter(|text| UNKNOWN.iter().all(|unknown| !text.eq_ignore_ascii_case(unknown)));
    let user = users.into_iter().find_map(known);
    let principal = principal_kind(fields.text(Path::UserKind).as_deref());
    Ok(Reading::Call(Call {
        time: fields.utc_time(Path::Time),
        view: View::Audit,
        outcome: outcome(fields, &name),
        host: host(workload.as_deref()).into(),
        operation: Some(match workload {
            Some(workload) => format!("{workload}:{name}").into(),
            None => name,
        }),
        vendor: Some(VENDOR),
        account: fields.text(Path::Organization),
        principal,
        channel: match principal {
            PrincipalKind::VendorService => Channel::Vendor,
            _ => audit::channel(agent.as_deref()),
        },
        caller: audit::caller(user, address.as_ref()),
        src_ip: address,
        user_agent: agent,
        record_id: fields.text(Path::Id),
        ..Call::default()
    }))
}

fn user_agent<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    let properties = [
        (Path::Name0, Path::Value0),
        (Path::Name1, Path::Value1),
        (Path::Name2, Path::Value2),
        (Path::Name3, Path::Value3),
    ];
    let extended = || {
        properties.into_iter().find(|(name, _)| fields.is(*name, "UserAgent")).and_then(|(_, value)| fields.text(value))
    };
    fields.text(Path::UserAgent).or_else(extended).or_else(|| fields.text(Path::Client))
}

fn host(workload: Option<&str>) -> &'static str {
    let host = HOSTS.iter().find(|(name, _)| workload.is_some_and(|workload| workload.eq_ignore_ascii_case(name)));
    host.map_or(OTHER_HOST, |(_, host)| host)
}

fn outcome(fields: &Fields<'_>, operation: &str) -> Option<Outcome> {
    if operation == FAILED_SIGN_IN || fields.has(Path::LogonError) {
        return Some(Outcome::Denied);
    }
    fields.text(Path::Result).and_then(|word| of_word(&word))
}

/// By `UserType`: regular, reserved, administrator, of the data centre, system, application, service principal, policies, partner, guest.
fn principal_kind(user_type: Option<&str>) -> PrincipalKind {
    match user_type {
        Some("0" | "2" | "9" | "10" | "Regular" | "Admin" | "PartnerTechnician" | "Guest") => PrincipalKind::User,
        Some("5" | "6" | "Application" | "ServicePrincipal") => PrincipalKind::Role,
        Some("3" | "4" | "7" | "8" | "DcAdmin" | "System" | "CustomPolicy" | "SystemPolicy") => {
            PrincipalKind::VendorService
        }
        _ => PrincipalKind::Unknown,
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
    fn the_sample_is_of_utc_and_names_workload_and_operation() {
        let call = call(SAMPLE);
        assert_eq!((call.time, &*call.caller), (1_788_220_801_000_000, "admin@acme.example"));
        assert_eq!((call.operation.as_deref(), &*call.host), (Some("Exchange:Set-Mailbox"), "outlook.office365.com"));
        assert_eq!((call.outcome, call.principal), (Some(Outcome::Ok), PrincipalKind::User));
        assert_eq!(call.src_ip.as_deref(), Some("198.51.100.199:28491"));
    }

    #[test]
    fn a_failed_sign_in_is_denied_although_its_result_is_success() {
        let record = r#"{"CreationTime":"2026-09-01T00:00:01","Id":"a","Operation":"UserLoginFailed","OrganizationId":"o","RecordType":15,"ResultStatus":"Success",
            "UserKey":"Not Available","UserType":0,"Workload":"AzureActiveDirectory","ClientIP":"[2001:db8::9]:443","UserId":"Unknown","LogonError":"InvalidUserNameOrPassword",
            "ExtendedProperties":[{"Name":"ResultStatusDetail","Value":"UserError"},{"Name":"UserAgent","Value":"python-requests/2.28.2"}]}"#;
        let call = call(record);
        assert_eq!((&*call.caller, call.outcome), ("2001:db8::9", Some(Outcome::Denied)));
        assert_eq!((call.user_agent.as_deref(), call.channel), (Some("python-requests/2.28.2"), Channel::Program));
    }

    #[test]
    fn a_system_actor_a_service_and_a_lower_cased_copy_without_workload() {
        let system =
            SAMPLE.replace(r#""UserType":2"#, r#""UserType":"System""#).replace(r#""True""#, r#""PartiallySucceeded""#);
        let system = call(&system);
        assert_eq!(
            (system.principal, system.channel, system.outcome),
            (PrincipalKind::VendorService, Channel::Vendor, Some(Outcome::Ok))
        );
        let copy = r#"{"creationtime":"2026-09-01 00:00:01","operation":"Consent to application.","organizationid":"o","recordtype":8,"resultstatus":"Failed","usertype":6,"appid":"a1"}"#;
        assert!(looks_like(&Probe::of(copy).unwrap()));
        let copy = call(copy);
        assert_eq!((copy.operation.as_deref(), &*copy.host), (Some("Consent to application."), OTHER_HOST));
        assert_eq!(
            (&*copy.caller, copy.principal, copy.outcome),
            ("a1", PrincipalKind::Role, Some(Outcome::ClientError))
        );
    }
}
