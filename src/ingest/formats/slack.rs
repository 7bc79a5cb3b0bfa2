//! Slack audit logs (Enterprise Grid).
//!
//! Traps: `date_create` is seconds since the epoch; what is logged was done, only a failed sign-in is a name of its own; details hold
//! names of channels and files, and are never read.
//!
//! Source: api.slack.com, "Audit Logs API" and "Audit logs actions".

use super::{FormatKind, Probe, Reading, audit};
use crate::calls::{Call, PrincipalKind, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "slack",
    summary: "Slack: audit logs of an enterprise",
    view: View::Audit,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"id":"0123a45b-6c7d-8900-e12f-3456789gh0i1","date_create":1788220801,"action":"user_channel_join",
"actor":{"type":"user","user":{"id":"W123AB456","name":"Charlie Parker","email":"bird@acme.example","team":"T23456"}},
"entity":{"type":"channel","channel":{"id":"C1","name":"finance","privacy":"private"}},
"context":{"location":{"type":"workspace","id":"T23456","name":"acme","domain":"acme"},
"ua":"Mozilla/5.0 (Macintosh)","ip_address":"198.51.100.51","session_id":"847288190092"},"details":{"type":"x"}}"#;

const HOST: &str = "slack.com";
/// Slack's own robot.
const SLACKBOT: &str = "USLACKBOT";

paths! { Path:
    Created = "date_create",
    Id = "id",
    Action = "action",
    Email = "actor.user.email",
    User = "actor.user.id",
    Name = "actor.user.name",
    App = "actor.app.id",
    Workspace = "context.location.id",
    Team = "actor.user.team",
    Address = "context.ip_address",
    UserAgent = "context.ua",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    let has = |section: &str, keys: &[&str]| {
        probe.inside(section).is_some_and(|inside| keys.iter().any(|key| inside.has(key)))
    };
    probe.text("action").is_some()
        && has("actor", &["user", "app"])
        && has("context", &["ip_address", "ua", "location"])
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let action = fields.text(Path::Action).ok_or_else(|| fields.missing(Path::Action))?;
    let address = fields.text(Path::Address);
    let agent = fields.text(Path::UserAgent);
    let user = fields.first([Path::Email, Path::User, Path::Name]);
    let app = fields.text(Path::App);
    Ok(Reading::Call(Call {
        time: audit::time(fields, &[Path::Created]),
        view: View::Audit,
        outcome: Some(audit::outcome_of_event(&action)),
        operation: Some(action),
        account: fields.first([Path::Workspace, Path::Team]),
        principal: match (&user, &app) {
            _ if fields.is(Path::User, SLACKBOT) => PrincipalKind::VendorService,
            (Some(_), _) => PrincipalKind::User,
            (None, Some(_)) => PrincipalKind::Role,
            (None, None) => PrincipalKind::Unknown,
        },
        channel: audit::channel(agent.as_deref()),
        caller: audit::caller(user.or(app), address.as_ref()),
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
    use crate::calls::{Channel, Outcome};

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        assert!(looks_like(&Probe::of(record).unwrap()), "{record}");
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
    }

    #[test]
    fn the_sample_is_a_person_in_a_workspace() {
        let call = call(SAMPLE);
        assert_eq!((call.time, &*call.caller, &*call.host), (1_788_220_801_000_000, "bird@acme.example", "slack.com"));
        assert_eq!((call.account.as_deref(), call.outcome), (Some("T23456"), Some(Outcome::Ok)));
        assert_eq!((call.principal, call.channel), (PrincipalKind::User, Channel::Console));
    }

    #[test]
    fn a_failed_sign_in_is_denied_and_slackbot_is_slack() {
        let failed = SAMPLE.replace("user_channel_join", "user_login_failed");
        assert_eq!(call(&failed).outcome, Some(Outcome::Denied));
        let own = SAMPLE.replace("W123AB456", "USLACKBOT").replace("bird@acme.example", "");
        let own = call(&own);
        assert_eq!((&*own.caller, own.principal), ("USLACKBOT", PrincipalKind::VendorService));
    }

    #[test]
    fn an_app_acts_without_a_user_and_nobody_from_an_address() {
        let app = r#"{"action":"app_scopes_expanded","actor":{"type":"app","app":{"id":"A1"}},"context":{"ua":"Go-http-client/2.0"},"date_create":"2026-09-01 00:00:01"}"#;
        let app = call(app);
        assert_eq!((app.time, &*app.caller, app.principal), (1_788_220_801_000_000, "A1", PrincipalKind::Role));
        let nobody = r#"{"action":"anomaly","actor":{"user":null},"context":{"ip_address":"203.0.113.2"},"date_create":1788220801}"#;
        let nobody = call(nobody);
        assert_eq!((&*nobody.caller, nobody.channel), ("203.0.113.2", Channel::Unknown));
    }
}
