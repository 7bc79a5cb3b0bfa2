//! OpenAI audit log of an organisation.
//!
//! Traps: `effective_at` is seconds since the epoch; the actor is a session of a user or an API key of a user or service account; the
//! object named like the event holds what was changed, and is never read.
//!
//! Source: platform.openai.com, "Audit logs" of the administration API.

use super::{FormatKind, Probe, Reading, audit};
use crate::calls::{Call, Channel, PrincipalKind, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "openai",
    summary: "OpenAI: audit log of an organisation",
    view: View::Audit,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"object":"organization.audit_log","id":"audit_log-7f3c","type":"api_key.created","effective_at":1788220801,
"project":{"id":"proj_abc","name":"billing"},"actor":{"type":"session","session":{"user":{"id":"user-1","email":"dev@acme.example"},
"ip_address":"198.51.100.50","user_agent":"Mozilla/5.0 (X11; Linux x86_64)","ip_address_details":{"country":"US"}}},
"api_key.created":{"id":"key_xxxx","data":{"scopes":["resource.operation"]}}}"#;

const HOST: &str = "api.openai.com";

paths! { Path:
    Time = "effective_at",
    Id = "id",
    Kind = "type",
    Project = "project.id",
    SessionEmail = "actor.session.user.email",
    SessionUser = "actor.session.user.id",
    Address = "actor.session.ip_address",
    UserAgent = "actor.session.user_agent",
    Key = "actor.api_key.id",
    KeyEmail = "actor.api_key.user.email",
    KeyUser = "actor.api_key.user.id",
    ServiceAccount = "actor.api_key.service_account.id",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    probe.has("effective_at") && probe.text("type").is_some() && probe.inside("actor").is_some()
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let kind = fields.text(Path::Kind).ok_or_else(|| fields.missing(Path::Kind))?;
    let address = fields.text(Path::Address);
    let agent = fields.text(Path::UserAgent);
    let user = fields.first([Path::SessionEmail, Path::SessionUser, Path::KeyEmail, Path::KeyUser]);
    let service = fields.text(Path::ServiceAccount);
    let key = fields.text(Path::Key);
    Ok(Reading::Call(Call {
        time: audit::time(fields, &[Path::Time]),
        view: View::Audit,
        outcome: Some(audit::outcome_of_event(&kind)),
        operation: Some(kind),
        account: fields.text(Path::Project),
        principal: match (&user, &service) {
            (Some(_), _) => PrincipalKind::User,
            (None, Some(_)) => PrincipalKind::Role,
            (None, None) => PrincipalKind::Unknown,
        },
        channel: if key.is_some() { Channel::Program } else { audit::channel(agent.as_deref()) },
        caller: audit::caller(user.or(service).or_else(|| key.clone()), address.as_ref()),
        credential: key,
        host: HOST.into(),
        src_ip: address,
        user_agent: agent,
        record_id: fields.text(Path::Id),
        ..Call::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Outcome;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        assert!(looks_like(&Probe::of(record).unwrap()), "{record}");
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
    }

    #[test]
    fn the_sample_is_a_person_at_the_console_of_a_project() {
        let call = call(SAMPLE);
        assert_eq!((call.time, &*call.caller, &*call.host), (1_788_220_801_000_000, "dev@acme.example", HOST));
        assert_eq!((call.account.as_deref(), call.credential), (Some("proj_abc"), None));
        assert_eq!((call.principal, call.channel), (PrincipalKind::User, Channel::Console));
    }

    #[test]
    fn a_service_account_calls_with_its_key() {
        let record = r#"{"id":"audit_log-2","type":"scim.disabled","effective_at":1788220801,"actor":{"type":"api_key","api_key":{"type":"service_account","id":"key-1","service_account":{"id":"sa-1"}}}}"#;
        let call = call(record);
        assert_eq!((&*call.caller, call.credential.as_deref()), ("sa-1", Some("key-1")));
        assert_eq!((call.principal, call.channel), (PrincipalKind::Role, Channel::Program));
    }

    #[test]
    fn a_failed_sign_in_of_nobody_is_denied() {
        let record = r#"{"id":"audit_log-3","type":"login.failed","effective_at":1788220801,"actor":{"type":"session","session":{"ip_address":"203.0.113.7"}}}"#;
        let call = call(record);
        assert_eq!((&*call.caller, call.outcome), ("203.0.113.7", Some(Outcome::Denied)));
    }
}
