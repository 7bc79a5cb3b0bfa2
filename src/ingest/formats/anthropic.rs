//! Anthropic activity feed of the Compliance API: what was done in a Claude organisation and on its platform.
//!
//! Traps: every kind of actor has an object of its own shape; who is not signed in has only an address that claims to be theirs; ids of
//! chats and files stand beside the event and are never read.
//!
//! Source: platform.claude.com, "Compliance API: Activity Feed"; keys of API actors are those that its records name.

use super::{FormatKind, Probe, Reading, audit};
use crate::calls::{Call, Channel, PrincipalKind, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "anthropic",
    summary: "Anthropic: activity feed of the Compliance API",
    view: View::Audit,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"id":"activity_01XyDMpzjS89pFZXqSFUBDr6","created_at":"2026-09-01T00:00:01Z","organization_id":"org_01Wv6Qe",
"organization_uuid":"abcdef01-2345-6789-abcd-ef0123456789","type":"admin_api_key_created","actor":{"type":"user_actor",
"email_address":"admin@acme.example","user_id":"user_01TuVw","ip_address":"198.51.100.34","user_agent":"Mozilla/5.0 (Macintosh)"},
"admin_api_key_id":"apikey_01Abc"}"#;

const HOST: &str = "api.anthropic.com";
/// Ids of everything that this log records begin so.
const ID_START: &str = "activity_";

paths! { Path:
    Created = "created_at",
    Id = "id",
    Kind = "type",
    Organization = "organization_id",
    LongOrganization = "organization_uuid",
    ActorKind = "actor.type",
    Email = "actor.email_address",
    User = "actor.user_id",
    Key = "actor.api_key_id",
    AdminKey = "actor.admin_api_key_id",
    Directory = "actor.directory_id",
    Address = "actor.ip_address",
    UserAgent = "actor.user_agent",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let is_id = probe.text("id").is_some_and(|id| id.starts_with(ID_START));
    let has_actor = probe.inside("actor").is_some_and(|actor| actor.has("type"));
    probe.text("type").is_some() && probe.has("created_at") && (is_id || (has_actor && probe.has("organization_id")))
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let kind = fields.text(Path::Kind).ok_or_else(|| fields.missing(Path::Kind))?;
    let address = fields.text(Path::Address);
    let agent = fields.text(Path::UserAgent);
    let actor = fields.text(Path::ActorKind);
    let key = fields.first([Path::Key, Path::AdminKey]);
    let named = fields.first([Path::Email, Path::User, Path::Key, Path::AdminKey, Path::Directory]);
    let principal = match actor.as_deref() {
        Some("user_actor") => PrincipalKind::User,
        Some("anthropic_actor") => PrincipalKind::VendorService,
        Some(kind) if kind.contains("api") || kind.contains("scim") || kind.contains("service") => PrincipalKind::Role,
        _ => PrincipalKind::Unknown,
    };
    Ok(Reading::Call(Call {
        time: audit::time(fields, &[Path::Created]),
        view: View::Audit,
        outcome: Some(audit::outcome_of_event(&kind)),
        operation: Some(kind),
        account: fields.first([Path::Organization, Path::LongOrganization]),
        principal,
        channel: match principal {
            PrincipalKind::VendorService => Channel::Vendor,
            PrincipalKind::Role => Channel::Program,
            _ => audit::channel(agent.as_deref()),
        },
        // Anthropic itself has no name but its kind.
        caller: audit::caller(
            named.or_else(|| actor.filter(|_| principal == PrincipalKind::VendorService)),
            address.as_ref(),
        ),
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
    fn the_sample_is_an_administrator_at_the_console() {
        let call = call(SAMPLE);
        assert_eq!((call.time, &*call.caller, &*call.host), (1_788_220_801_000_000, "admin@acme.example", HOST));
        assert_eq!(
            (call.operation.as_deref(), call.account.as_deref()),
            (Some("admin_api_key_created"), Some("org_01Wv6Qe"))
        );
        assert_eq!(
            (call.principal, call.channel, call.outcome),
            (PrincipalKind::User, Channel::Console, Some(Outcome::Ok))
        );
    }

    #[test]
    fn a_key_acts_for_itself() {
        let record = r#"{"id":"activity_2","created_at":"2026-09-01T00:00:01Z","organization_id":"o","type":"compliance_api_accessed","actor":{"type":"api_actor","api_key_id":"apikey_7","ip_address":"203.0.113.7","user_agent":"curl/8"}}"#;
        let call = call(record);
        assert_eq!((&*call.caller, call.credential.as_deref()), ("apikey_7", Some("apikey_7")));
        assert_eq!((call.principal, call.channel), (PrincipalKind::Role, Channel::Program));
    }

    #[test]
    fn who_is_not_signed_in_comes_from_an_address_and_anthropic_is_itself() {
        let record = r#"{"id":"activity_3","created_at":"2026-09-01T00:00:01Z","organization_id":"o","type":"sso_login_failed","actor":{"type":"unauthenticated_user_actor","ip_address":"203.0.113.8"}}"#;
        let call_of_nobody = call(record);
        assert_eq!((&*call_of_nobody.caller, call_of_nobody.outcome), ("203.0.113.8", Some(Outcome::Denied)));
        let record = record.replace("unauthenticated_user_actor", "anthropic_actor");
        let own = call(&record);
        assert_eq!((&*own.caller, own.principal), ("anthropic_actor", PrincipalKind::VendorService));
    }
}
