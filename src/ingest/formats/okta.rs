//! Okta System Log, as its API, an event hook or a log stream gives it.
//!
//! Traps: `unknown` stands for a name that Okta does not have; Okta itself acts as `SystemPrincipal`; a session is no credential, only
//! the id of an API token lasts; `debugData` is free text with tokens in it, and is never read. Lower-cased copies exist.
//!
//! Source: developer.okta.com, "System Log API", LogEvent object.

use super::{FormatKind, Probe, Reading, audit};
use crate::calls::{Call, Channel, Outcome, PrincipalKind, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "okta",
    summary: "Okta: System Log",
    view: View::Audit,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"uuid":"9de5069c-5afe-602b-2ea0-a04b66beb2c0","published":"2026-09-01T00:00:00.905Z","eventType":"system.api_token.create",
"version":"0","severity":"INFO","legacyEventType":"api.token.create","displayMessage":"Create API token",
"actor":{"id":"00u1q3rTNVcHkYz0X697","type":"User","alternateId":"h.lindqvist@acme.example","displayName":"Hanna Lindqvist"},
"client":{"userAgent":{"rawUserAgent":"Mozilla/5.0 (X11; Linux x86_64)","os":"Linux","browser":"FIREFOX"},"zone":"null","device":"Computer",
"ipAddress":"198.51.100.11","geographicalContext":{"country":"Sweden"}},"outcome":{"result":"SUCCESS"},
"target":[{"id":"00T9","type":"Token","displayName":"sync"}],"transaction":{"type":"WEB","id":"YcbP","detail":{}},
"securityContext":{},"authenticationContext":{"externalSessionId":"102Xk"}}"#;

const HOST: &str = "okta.com";
/// Stands for what Okta does not know.
const UNKNOWN: &str = "unknown";

paths! { Path:
    Published = "published",
    Event = "eventType",
    Id = "uuid",
    ActorId = "actor.id",
    ActorKind = "actor.type",
    ActorName = "actor.alternateId",
    ActorTitle = "actor.displayName",
    Address = "client.ipAddress",
    Chain = "request.ipChain.ip",
    UserAgent = "client.userAgent.rawUserAgent",
    Result = "outcome.result",
    TransactionKind = "transaction.type",
    Token = "transaction.detail.requestApiTokenId",
    RootToken = "transaction.detail.rootApiTokenId",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    probe.has("eventType")
        && probe.has("published")
        && ["actor", "outcome", "client"].iter().any(|key| probe.inside(key).is_some())
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let event = fields.text(Path::Event).ok_or_else(|| fields.missing(Path::Event))?;
    let address = fields.first([Path::Address, Path::Chain]);
    let agent = fields.text(Path::UserAgent).filter(|agent| !agent.eq_ignore_ascii_case(UNKNOWN));
    let known = |path| fields.text(path).filter(|text| !text.eq_ignore_ascii_case(UNKNOWN));
    // An application has its id as name and a title that reads better.
    let names = match fields.is(Path::ActorKind, "User") {
        true => [Path::ActorName, Path::ActorId, Path::ActorTitle],
        false => [Path::ActorName, Path::ActorTitle, Path::ActorId],
    };
    let actor = names.into_iter().find_map(known);
    let token = fields.first([Path::Token, Path::RootToken]);
    let principal = match fields.text(Path::ActorKind).as_deref() {
        Some("User") => PrincipalKind::User,
        Some("SystemPrincipal") => PrincipalKind::VendorService,
        Some(_) => PrincipalKind::Role,
        None => PrincipalKind::Unknown,
    };
    Ok(Reading::Call(Call {
        time: audit::time(fields, &[Path::Published]),
        view: View::Audit,
        outcome: fields.text(Path::Result).and_then(|word| outcome(&word, &event)),
        operation: Some(event),
        principal,
        channel: match principal {
            PrincipalKind::VendorService => Channel::Vendor,
            _ if token.is_some() => Channel::Program,
            _ if fields.is(Path::TransactionKind, "JOB") => Channel::Vendor,
            _ => audit::channel(agent.as_deref()),
        },
        caller: audit::caller(actor, address.as_ref()),
        credential: token,
        host: HOST.into(),
        src_ip: address,
        user_agent: agent,
        record_id: fields.text(Path::Id),
        ..Call::default()
    }))
}

/// Okta's own words beside those of everybody. `CHALLENGE`, `SKIPPED`, `DEFERRED` are neither success nor failure.
fn outcome(word: &str, event: &str) -> Option<Outcome> {
    match word {
        "UNANSWERED" | "ABANDONED" => Some(Outcome::NoResponse),
        _ => audit::outcome(word, event),
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
    fn the_sample_is_a_person_at_the_console_and_a_session_no_credential() {
        let call = call(SAMPLE);
        assert_eq!((call.time, &*call.caller), (1_788_220_800_905_000, "h.lindqvist@acme.example"));
        assert_eq!((call.operation.as_deref(), call.outcome), (Some("system.api_token.create"), Some(Outcome::Ok)));
        assert_eq!((call.principal, call.channel, call.credential), (PrincipalKind::User, Channel::Console, None));
    }

    #[test]
    fn a_failed_sign_in_of_somebody_unknown_is_denied_and_comes_from_an_address() {
        let record = r#"{"published":"2026-09-01T00:00:01Z","eventType":"user.session.start","actor":{"id":"unknown","type":"User","alternateId":"unknown",
            "displayName":"unknown"},"client":{"ipAddress":"203.0.113.5"},"outcome":{"result":"FAILURE","reason":"INVALID_CREDENTIALS"},"uuid":"u"}"#;
        let call = call(record);
        assert_eq!((&*call.caller, call.outcome), ("203.0.113.5", Some(Outcome::Denied)));
    }

    #[test]
    fn okta_itself_an_app_with_a_token_and_a_lower_cased_copy() {
        let own = r#"{"published":"2026-09-01T00:00:01Z","eventType":"system.agent.ad.run","actor":{"id":"0","type":"SystemPrincipal",
            "alternateId":"system@okta.com"},"outcome":{"result":"RATE_LIMIT"},"transaction":{"type":"JOB"}}"#;
        let own = call(own);
        assert_eq!(
            (&*own.caller, own.channel, own.outcome),
            ("system@okta.com", Channel::Vendor, Some(Outcome::Throttled))
        );
        let app = r#"{"published":"2026-09-01 00:00:01.0","eventtype":"group.user_membership.add","actor":{"id":"0oa1","type":"PublicClientApp",
            "alternateId":"unknown","displayName":"hr-sync"},"client":{"ipAddress":"198.51.100.4"},"transaction":{"detail":{"requestApiTokenId":"00T9"}}}"#;
        let app = call(app);
        assert_eq!((&*app.caller, app.principal, app.channel), ("hr-sync", PrincipalKind::Role, Channel::Program));
        assert_eq!((app.credential.as_deref(), app.outcome), (Some("00T9"), None));
    }
}
