//! Microsoft Graph activity log: the calls of Microsoft's API for everything, one a record, with its URL.
//!
//! Traps: in an event hub the columns lie in `properties`, which may be JSON text; in a table of Log Analytics they are the record's own,
//! and only the case differs. `durationMs` is a number or a text. `signInActivityId` is a session's, not a credential.
//!
//! Not here: sign-ins and directory audits (`azure`).
//!
//! Source: learn.microsoft.com, "MicrosoftGraphActivityLogs" table reference.

use super::url::{Url, part};
use super::{FormatKind, Probe, Reading, audit};
use crate::calls::{Call, PrincipalKind, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "graph",
    summary: "Microsoft Graph: activity log",
    view: View::Audit,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"time":"2026-09-01T00:00:00.905Z","resourceId":"/TENANTS/7A1B/PROVIDERS/MICROSOFT.AADIAM","category":"MicrosoftGraphActivityLogs",
"operationName":"Microsoft Graph Activity","operationVersion":"v1.0","tenantId":"7a1b2c3d-0000-4000-8000-0123456789ab","resultSignature":"200",
"durationMs":"412077","callerIpAddress":"198.51.100.9","correlationId":"c9","level":"Informational","location":"West Europe",
"properties":{"apiVersion":"v1.0","appId":"29d9ed98-a469-4536-ade2-f981bc1d605e","clientAuthMethod":"1","clientRequestId":"c9",
"durationMs":412,"identityProvider":"https://sts.windows.net/7a1b/","ipAddress":"198.51.100.9","operationId":"o1","requestId":"5f0e7b1c",
"requestMethod":"GET","requestUri":"https://graph.microsoft.com/v1.0/users?$top=999","responseSizeBytes":182044,"responseStatusCode":200,
"servicePrincipalId":"1c2d3e4f","signInActivityId":"YWJj","timeGenerated":"2026-09-01T00:00:00.905Z","userAgent":"python-requests/2.32",
"userId":null,"wids":"62e90394"}}"#;

const HOST: &str = "graph.microsoft.com";
const CATEGORY: &str = "MicrosoftGraphActivityLogs";

paths! { Path:
    Time = "time",
    Generated = "timeGenerated",
    OwnTime = "properties.timeGenerated",
    Tenant = "tenantId",
    OwnTenant = "properties.tenantId",
    Location = "location",
    OwnLocation = "properties.location",
    CallerAddress = "callerIpAddress",
    Address = "properties.ipAddress",
    ColumnAddress = "ipAddress",
    Method = "properties.requestMethod",
    ColumnMethod = "requestMethod",
    Uri = "properties.requestUri",
    ColumnUri = "requestUri",
    Status = "properties.responseStatusCode",
    ColumnStatus = "responseStatusCode",
    Bytes = "properties.responseSizeBytes",
    ColumnBytes = "responseSizeBytes",
    Duration = "properties.durationMs",
    ColumnDuration = "durationMs",
    User = "properties.userId",
    ColumnUser = "userId",
    App = "properties.appId",
    ColumnApp = "appId",
    ServicePrincipal = "properties.servicePrincipalId",
    ColumnServicePrincipal = "servicePrincipalId",
    UserAgent = "properties.userAgent",
    ColumnUserAgent = "userAgent",
    Id = "properties.requestId",
    ColumnId = "requestId",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let is_category = |key| probe.text(key).is_some_and(|category| category.eq_ignore_ascii_case(CATEGORY));
    is_category("category") || is_category("Type") || (probe.has("requestUri") && probe.has("signInActivityId"))
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let uri = fields.first([Path::Uri, Path::ColumnUri]).ok_or_else(|| fields.missing(Path::Uri))?;
    let of_uri = |cut: for<'t> fn(Url<'t>) -> Option<&'t str>| part(&uri, |uri| cut(Url::cut(uri)));
    let address = fields.first([Path::Address, Path::ColumnAddress, Path::CallerAddress]);
    let agent = fields.first([Path::UserAgent, Path::ColumnUserAgent]);
    let user = fields.first([Path::User, Path::ColumnUser]);
    let app = fields.first([Path::App, Path::ColumnApp, Path::ServicePrincipal, Path::ColumnServicePrincipal]);
    let status = fields.status(Path::Status).or_else(|| fields.status(Path::ColumnStatus));
    Ok(Reading::Call(Call {
        time: audit::time(fields, &[Path::Time, Path::OwnTime, Path::Generated]),
        view: View::Audit,
        principal: match (&user, &app) {
            (Some(_), _) => PrincipalKind::User,
            (None, Some(_)) => PrincipalKind::Role,
            (None, None) => PrincipalKind::Unknown,
        },
        channel: audit::channel(agent.as_deref()),
        caller: audit::caller(user.or(app), address.as_ref()),
        host: of_uri(|url| url.host).unwrap_or(HOST.into()),
        scheme: of_uri(|url| url.scheme),
        path: of_uri(|url| url.path),
        method: fields.first([Path::Method, Path::ColumnMethod]),
        account: fields.first([Path::Tenant, Path::OwnTenant]),
        status,
        bytes_in: fields.first_whole([Path::Bytes, Path::ColumnBytes]),
        latency_ms: fields.first_real([Path::Duration, Path::ColumnDuration]),
        src_ip: address,
        user_agent: agent,
        region: fields.first([Path::Location, Path::OwnLocation]),
        record_id: fields.first([Path::Id, Path::ColumnId]),
        ..Call::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Channel;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
    }

    #[test]
    fn the_sample_is_an_app_that_reads_all_users() {
        let call = call(SAMPLE);
        assert_eq!((call.method.as_deref(), call.path.as_deref()), (Some("GET"), Some("/v1.0/users?$top=999")));
        assert_eq!((&*call.host, &*call.caller), (HOST, "29d9ed98-a469-4536-ade2-f981bc1d605e"));
        assert_eq!((call.status, call.bytes_in, call.latency_ms), (Some(200), Some(182_044), Some(412.0)));
        assert_eq!((call.principal, call.channel), (PrincipalKind::Role, Channel::Program));
    }

    #[test]
    fn properties_as_text_are_the_same_as_properties() {
        let record = r#"{"time":"2026-09-01T00:00:01Z","category":"MicrosoftGraphActivityLogs","tenantId":"t","properties":
            "{\"requestUri\":\"https://graph.microsoft.com/beta/me\",\"requestMethod\":\"PATCH\",\"userId\":\"u1\",\"responseStatusCode\":\"403\",\"durationMs\":\"7\"}"}"#;
        let call = call(record);
        assert_eq!((&*call.caller, call.status, call.latency_ms), ("u1", Some(403), Some(7.0)));
        assert_eq!((call.path.as_deref(), call.principal), (Some("/beta/me"), PrincipalKind::User));
    }

    #[test]
    fn a_row_of_a_table_has_the_columns_itself_and_a_record_without_url_is_broken() {
        let record = r#"{"TimeGenerated":"2026-09-01T00:00:01Z","TenantId":"t","RequestUri":"https://graph.microsoft.com/v1.0/sites","RequestMethod":"GET",
            "SignInActivityId":"x","IPAddress":"203.0.113.8","ResponseSizeBytes":10,"DurationMs":3,"ResponseStatusCode":200,"RequestId":"r"}"#;
        assert!(looks_like(&Probe::of(record).unwrap()));
        let call = call(record);
        assert_eq!((&*call.caller, call.bytes_in, call.record_id.as_deref()), ("203.0.113.8", Some(10), Some("r")));
        assert!(FORMAT_KIND.decode(r#"{"category":"MicrosoftGraphActivityLogs"}"#).is_err());
    }
}
