//! GitHub audit log of an organisation or enterprise, as streamed, exported or asked for.
//!
//! Traps: times are milliseconds since the epoch, Git events have only `@timestamp`; the address is there only if its disclosure is on;
//! tokens of an app's installation live for an hour, so they are no credential; what is logged was done, denials are not.
//!
//! Not here: webhooks, which tell of repositories and not of calls.
//!
//! Source: docs.github.com, "Audit log events for your organization" and "Streaming the audit log".

use super::{FormatKind, Probe, Reading, audit};
use crate::calls::{Call, Channel, PrincipalKind, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "github",
    summary: "GitHub: audit log of an organisation or enterprise",
    view: View::Audit,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"@timestamp":1788220800905,"_document_id":"gAccOY3wBXkgkhbpoqLmXw","action":"repo.add_member","actor":"m-rivera",
"actor_id":4711,"actor_ip":"198.51.100.23","actor_location":{"country_code":"DE"},"business":"acme","created_at":1788220800905,
"hashed_token":"Yx1m0kq2v3Zf0r7H8dJbq4pQ9sT6uWcE2aXnL5oKiRk=","operation_type":"modify","org":"acme-pay","org_id":8812,
"programmatic_access_type":"Personal access token (classic)","repo":"acme-pay/ledger","token_id":90210,"user":"j-okafor",
"user_agent":"octokit.rb/8.1","visibility":"private"}"#;

const HOST: &str = "github.com";
/// How the tokens are called that GitHub gives out for an hour.
const PASSING_TOKENS: &str = "server-to-server";
/// GitHub's own robots.
const OWN_ACTORS: [&str; 4] = ["github-actions[bot]", "dependabot[bot]", "github-staff", "GitHub System"];

paths! { Path:
    Created = "created_at",
    Timestamp = "@timestamp",
    /// Copies that may not have an `@` in a key.
    Renamed = "at_sign_timestamp",
    Id = "_document_id",
    Action = "action",
    Actor = "actor",
    ActorId = "actor_id",
    IsBot = "actor_is_bot",
    Address = "actor_ip",
    Org = "org",
    Business = "business",
    UserAgent = "user_agent",
    AccessKind = "programmatic_access_type",
    Protocol = "transport_protocol_name",
    HashedToken = "hashed_token",
    TokenId = "token_id",
    /// Of `api.request`: the answer.
    Status = "status_code",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let Some(action) = probe.text("action") else { return false };
    // `git.clone`: every action has a category before its dot. Webhooks have none.
    let has_scope =
        ["org", "business", "repo", "repository", "created_at", "@timestamp"].iter().any(|key| probe.has(key));
    action.contains('.') && (probe.has("_document_id") || (probe.text("actor").is_some() && has_scope))
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let action = fields.text(Path::Action).ok_or_else(|| fields.missing(Path::Action))?;
    let address = fields.text(Path::Address);
    let agent = fields.text(Path::UserAgent);
    let access = fields.text(Path::AccessKind);
    let is_passing = access.as_deref().is_some_and(|kind| kind.contains(PASSING_TOKENS));
    let actor = fields.first([Path::Actor, Path::ActorId]);
    let is_program = access.is_some() || fields.has(Path::Protocol);
    let principal = principal_kind(actor.as_deref(), is_passing || fields.is(Path::IsBot, "true"));
    let status = fields.status(Path::Status);
    Ok(Reading::Call(Call {
        time: audit::time(fields, &[Path::Created, Path::Timestamp, Path::Renamed]),
        view: View::Audit,
        status,
        outcome: status.is_none().then(|| audit::outcome_of_event(&action)),
        operation: Some(action),
        credential: fields.first([Path::HashedToken, Path::TokenId]).filter(|_| !is_passing),
        account: fields.first([Path::Org, Path::Business]),
        principal,
        channel: match principal {
            PrincipalKind::VendorService => Channel::Vendor,
            _ if is_program => Channel::Program,
            _ => audit::channel(agent.as_deref()),
        },
        caller: audit::caller(actor, address.as_ref()),
        host: HOST.into(),
        src_ip: address,
        user_agent: agent,
        record_id: fields.text(Path::Id),
        ..Call::default()
    }))
}

fn principal_kind(actor: Option<&str>, is_app: bool) -> PrincipalKind {
    match actor {
        Some(actor) if OWN_ACTORS.contains(&actor) => PrincipalKind::VendorService,
        Some(actor) if is_app || actor.ends_with("[bot]") => PrincipalKind::Role,
        Some(_) => PrincipalKind::User,
        None => PrincipalKind::Unknown,
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
    fn the_sample_is_a_person_with_a_lasting_token() {
        let call = call(SAMPLE);
        assert_eq!((call.time, &*call.caller, &*call.host), (1_788_220_800_905_000, "m-rivera", "github.com"));
        assert_eq!((call.operation.as_deref(), call.account.as_deref()), (Some("repo.add_member"), Some("acme-pay")));
        assert_eq!((call.principal, call.channel), (PrincipalKind::User, Channel::Program));
        assert!(call.credential.is_some() && call.record_id.is_some());
    }

    #[test]
    fn an_app_has_no_lasting_token_and_a_git_event_only_a_timestamp() {
        let record = r#"{"@timestamp":1788220801000,"_document_id":"x1","action":"git.clone","actor":"deployer[bot]","org":"acme",
            "hashed_token":"abc=","programmatic_access_type":"GitHub App server-to-server token","repo":"acme/app","user_agent":"git/2.40"}"#;
        let call = call(record);
        assert_eq!((call.time, call.credential), (1_788_220_801_000_000, None));
        assert_eq!((call.principal, call.channel), (PrincipalKind::Role, Channel::Program));
    }

    #[test]
    fn a_robot_of_github_is_its_service_and_a_missing_actor_the_address() {
        let own = r#"{"action":"workflows.created_workflow_run","actor":"github-actions[bot]","org":"acme","created_at":1788220801000}"#;
        assert_eq!(call(own).principal, PrincipalKind::VendorService);
        let nobody = r#"{"_document_id":"x2","action":"org.sso_response","actor_ip":"203.0.113.9","business":"acme","created_at":"2026-09-01 00:00:01.5"}"#;
        let call = call(nobody);
        assert_eq!(
            (call.time, &*call.caller, call.principal),
            (1_788_220_801_500_000, "203.0.113.9", PrincipalKind::Unknown)
        );
        assert_eq!(call.account.as_deref(), Some("acme"));
    }
}
