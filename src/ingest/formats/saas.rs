//! Audit logs of services that need no more than a row of a table: where time, actor, action and address lie.
//!
//! Traps: many write times without a zone once a warehouse has had them, all mean UTC; an action that is only a kind (`sapi`, `Update`)
//! is told apart by its detail or object; a failure is a word, a status, or only the name of the event. Parameters, old and new values
//! are never read.
//!
//! Not here: vendors whose records need more than that, one file each beside this one.
//!
//! Source: the vendors' references of their audit logs, and the shapes in panther-labs/panther-analysis (Apache-2.0).

use std::borrow::Cow;
use std::sync::LazyLock;

use super::{FormatKind, Probe, Reading, audit};
use crate::calls::{Call, Outcome, PrincipalKind, StepClass, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::Paths;
use crate::ingest::place::{RecordError, Shape};

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "saas",
    summary: "audit logs of 1Password, Asana, Atlassian, Auth0, Box, Cloudflare, CrowdStrike, Databricks, Dropbox, Duo, GitLab, Google Workspace, \
              MongoDB Atlas, Netskope, Notion, OneLogin, Panther, Snyk, Sublime, Tailscale, Teleport, Tines, Wiz, Zendesk, Zoom, Zscaler",
    view: View::Audit,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"source":{"type":"file","id":"88342","name":"q3.xlsx"},"created_by":{"type":"user","id":"11446498","name":"Aaron Levie",
"login":"aaron@acme.example"},"created_at":"2026-09-01T00:00:01-07:00","recorded_at":"2026-09-01T00:00:03-07:00",
"event_id":"f82c3ba03e41f7e8a7608363cc6c0390183c3f83","event_type":"DOWNLOAD","ip_address":"198.51.100.61","type":"event","session_id":null,
"additional_details":{"size":91233,"service_name":"Box Web App"}}"#;

/// Paths, the first that is set counts.
type Names = &'static [&'static str];

/// Where a vendor writes what.
struct Vendor {
    /// Its domain.
    host: &'static str,
    /// The record is the vendor's where all paths of one of these are set.
    marks: &'static [Names],
    time: Names,
    actor: Names,
    /// Actors that are programs.
    program: Names,
    action: Names,
    /// The action where the record names none.
    otherwise: &'static str,
    /// What is acted on, where an action is only a verb.
    object: Names,
    /// Actions that are only a kind, and where lies what was done.
    detail: (Names, &'static str),
    address: Names,
    agent: Names,
    /// The word for how it ended.
    word: Names,
    status: Names,
    /// How it ended by that word, or by the action, where the word is none of those that everybody uses.
    ended: fn(&str) -> Outcome,
    step: Option<StepClass>,
    account: Names,
    id: Names,
}

const BASE: Vendor = Vendor {
    host: "",
    marks: &[],
    time: &["timestamp", "created_at"],
    actor: &[],
    program: &[],
    action: &["action"],
    otherwise: "",
    object: &[],
    detail: (&[], ""),
    address: &[],
    agent: &[],
    word: &[],
    status: &[],
    ended: audit::outcome_of_event,
    step: None,
    account: &[],
    id: &["id"],
};

/// Every vendor. A new one is a row here.
#[rustfmt::skip]
const VENDORS: &[Vendor] = &[
    Vendor { host: "databricks.com", marks: &[&["serviceName", "actionName"]], actor: &["userIdentity.email", "userIdentity.subjectName"],
        action: &["actionName"], object: &["serviceName"], address: &["sourceIPAddress"], agent: &["userAgent"],
        status: &["response.statusCode"], account: &["accountId", "workspaceId"], id: &["requestId"], ..BASE },
    Vendor { host: "admin.googleapis.com", marks: &[&["id.applicationName", "actor"], &["id.applicationName", "id.time"]], time: &["id.time"],
        actor: &["actor.email", "actor.key", "actor.profileId"], action: &["name", "events.name"], object: &["id.applicationName"],
        address: &["ipAddress"], account: &["id.customerId"], id: &["id.uniqueQualifier"], ..BASE },
    Vendor { host: "app.asana.com", marks: &[&["event_type", "event_category", "gid"], &["event_type", "event_category", "actor.gid"], &["event_type", "event_category", "created_at", "actor"]],
        time: &["created_at"], actor: &["actor.email", "actor.gid", "actor.name"], action: &["event_type"],
        address: &["context.client_ip_address"], agent: &["context.user_agent"], id: &["gid"], ..BASE },
    Vendor { host: "auth0.com", marks: &[&["data.date", "data.type"], &["date", "type", "log_id"]], time: &["data.date", "date"],
        actor: &["data.details.request.auth.user.email", "details.request.auth.user.email", "data.user_name", "user_name", "data.user_id", "user_id"],
        program: &["data.client_name", "client_name", "data.client_id", "client_id"], action: &["data.type", "type"],
        detail: (&["data.description", "description"], "api"), address: &["data.ip", "ip"], agent: &["data.user_agent", "user_agent"],
        status: &["data.details.response.statusCode", "details.response.statusCode"], ended: auth0,
        account: &["data.tenant_name", "tenant_name"], id: &["data.log_id", "log_id", "data._id"], ..BASE },
    Vendor { host: "api.notion.com", marks: &[&["event.workspace_id", "event.type"], &["event.timestamp", "event.type", "event.actor"]], time: &["event.timestamp"],
        actor: &["event.actor.person.email", "event.actor.id"], action: &["event.type"], address: &["event.ip_address"],
        account: &["event.workspace_id"], id: &["event.id"], ..BASE },
    Vendor { host: "app.wiz.io", marks: &[&["requestId", "action", "status", "timestamp"]], actor: &["user.name", "user.id"],
        program: &["serviceAccount.name", "serviceAccount.id"], address: &["sourceIP"], agent: &["userAgent"], word: &["status"], ..BASE },
    Vendor { host: "duosecurity.com", marks: &[&["isotimestamp", "action", "username"]], time: &["isotimestamp"], actor: &["username"], id: &[], ..BASE },
    Vendor { host: "duosecurity.com", marks: &[&["access_device", "factor", "result"]], time: &["isotimestamp", "timestamp"],
        actor: &["user.name", "user.key"], action: &["event_type"], otherwise: "authentication", address: &["access_device.ip"],
        word: &["result"], ended: sign_in, id: &["txid"], ..BASE },
    Vendor { host: "zscaler.com", marks: &[&["event.auditlogtype", "event.action"], &["event.adminid", "event.action"]], time: &["event.time"],
        actor: &["event.adminid"], action: &["event.action"], object: &["event.category"], address: &["event.clientip"],
        word: &["event.result"], id: &["event.recordid"], ..BASE },
    Vendor { host: "onelogin.com", marks: &[&["event_type_id", "user_id"], &["event_type_id", "account_id"]], time: &["created_at", "event_timestamp"],
        actor: &["actor_user_name", "user_name", "actor_user_id", "user_id"], action: &["event_type_id"], address: &["ipaddr"],
        account: &["account_id"], id: &["uuid", "id"], ..BASE },
    Vendor { host: "goteleport.com", marks: &[&["event", "code", "uid", "time"]], time: &["time"], actor: &["user", "login"], action: &["event"],
        address: &["addr.remote", "src_addr"], agent: &["user_agent"], word: &["success"], account: &["cluster_name"], id: &["uid"], ..BASE },
    Vendor { host: "api.snyk.io", marks: &[&["event", "groupId", "content"], &["event", "orgId", "content"]], time: &["created"], actor: &["userId"],
        action: &["event"], account: &["groupId", "orgId"], id: &[], ..BASE },
    Vendor { host: "zendesk.com", marks: &[&["action_label", "source_type", "action"]], time: &["created_at"], actor: &["actor_name", "actor_id"],
        object: &["source_type"], address: &["ip_address"], ..BASE },
    Vendor { host: "zoom.us", marks: &[&["operation_detail", "operator", "action"]], time: &["time"], actor: &["operator"],
        object: &["category_type"], id: &[], ..BASE },
    Vendor { host: "cloud.mongodb.com", marks: &[&["eventTypeName", "created"], &["eventTypeName", "orgId"], &["eventTypeName", "groupId"]], time: &["created"],
        actor: &["username", "userId"], program: &["publicKey"], action: &["eventTypeName"], address: &["remoteAddress"],
        account: &["orgId", "groupId"], ..BASE },
    Vendor { host: "api.box.com", marks: &[&["event_type", "created_by"]], time: &["created_at"], actor: &["created_by.login", "created_by.id"],
        action: &["event_type"], address: &["ip_address"], id: &["event_id"], ..BASE },
    Vendor { host: "falcon.crowdstrike.com", marks: &[&["metadata.eventType", "event.OperationName"]], time: &["event.UTCTimestamp", "metadata.eventCreationTime"],
        actor: &["event.UserId"], action: &["event.OperationName"], address: &["event.UserIp"], word: &["event.Success"],
        account: &["metadata.customerIDString"], id: &[], ..BASE },
    Vendor { host: "tines.com", marks: &[&["operation_name", "request_ip"]], time: &["created_at"], actor: &["user_email", "user_name", "user_id"],
        action: &["operation_name"], address: &["request_ip"], agent: &["request_user_agent"], account: &["tenant_id"], ..BASE },
    Vendor { host: "runpanther.io", marks: &[&["actionName", "actionResult", "actor"]], actor: &["actor.attributes.email", "actor.name", "actor.id"], action: &["actionName"],
        address: &["sourceIP"], agent: &["userAgent"], word: &["actionResult"], id: &[], ..BASE },
    Vendor { host: "api.dropboxapi.com", marks: &[&["event_type", "origin", "actor"]], actor: &["actor.user.email", "actor.admin.email", "actor.user.account_id"],
        program: &["actor.app.display_name", "actor.app.app_id"], action: &["event_type._tag", "event_type..tag"],
        address: &["origin.geo_location.ip_address"], id: &[], ..BASE },
    Vendor { host: "goskope.com", marks: &[&["audit_log_event", "user"]], actor: &["user"], action: &["audit_log_event"], id: &["_id"], ..BASE },
    Vendor { host: "sublime.security", marks: &[&["created_by", "type", "data.request"]], time: &["created_at"],
        actor: &["created_by.email_address", "created_by.id"], action: &["type"], address: &["data.request.ip"], agent: &["data.request.user_agent"], ..BASE },
    Vendor { host: "api.tailscale.com", marks: &[&["event.eventGroupID", "event.action"], &["eventGroupID", "action"]],
        time: &["time", "eventTime", "fields.recorded"], actor: &["event.actor.loginName", "actor.loginName", "event.actor.id", "actor.id"],
        action: &["event.action", "action"], object: &["event.target.property", "target.property", "event.target.type", "target.type"], id: &[], ..BASE },
    // Whoever fills in or reveals an item reads a secret.
    Vendor { host: "1password.com", marks: &[&["item_uuid", "vault_uuid"]], actor: &["user.email", "user.uuid"], otherwise: "item_usage", object: &[],
        address: &["client.ip_address"], agent: &["client.app_name"], step: Some(StepClass::Secret), id: &["uuid"], ..BASE },
    Vendor { host: "1password.com", marks: &[&["target_user", "category", "type"]], actor: &["target_user.email", "target_user.uuid"], action: &[],
        otherwise: "signin", address: &["client.ip_address"], agent: &["client.app_name"], word: &["category"], ended: sign_in, id: &["uuid"], ..BASE },
    Vendor { host: "1password.com", marks: &[&["actor_uuid", "action", "object_type"]], actor: &["actor_details.email", "actor_uuid"],
        object: &["object_type"], address: &["session.ip"], id: &["uuid"], ..BASE },
    Vendor { host: "gitlab.com", marks: &[&["author_id", "entity_type"]], time: &["created_at", "time"],
        actor: &["author_email", "details.author_email", "author_name", "details.author_name", "author_id"], action: &["event_name", "event_type", "details.event_name", "details.event_type"],
        otherwise: "audit_event", object: &["entity_type"], address: &["ip_address", "details.ip_address"], ..BASE },
    Vendor { host: "api.atlassian.com", marks: &[&["attributes.action", "attributes.actor"]], time: &["attributes.time"],
        actor: &["attributes.actor.email", "attributes.actor.id", "attributes.actor.name"], action: &["attributes.action"], address: &["attributes.location.ip"], ..BASE },
    Vendor { host: "atlassian.net", marks: &[&["summary", "category", "authorAccountId"], &["summary", "category", "authorKey"]], time: &["created"],
        actor: &["authorAccountId", "authorKey"], action: &["summary"], object: &["category"], address: &["remoteAddress"], ..BASE },
    Vendor { host: "api.cloudflare.com", marks: &[&["when", "action.type"], &["When", "ActionType"]], time: &["when"],
        actor: &["actor.email", "ActorEmail", "actor.id", "ActorID"], action: &["action.type", "ActionType"], object: &["resource.type", "ResourceType"],
        address: &["actor.ip", "ActorIP"], word: &["action.result", "ActionResult"], ..BASE },
];

impl Vendor {
    fn names(&self) -> impl Iterator<Item = &'static str> {
        let lists = [
            self.time,
            self.actor,
            self.program,
            self.action,
            self.object,
            self.detail.0,
            self.address,
            self.agent,
            self.word,
            self.status,
            self.account,
            self.id,
        ];
        lists.into_iter().chain(self.marks.iter().copied()).flatten().copied()
    }

    fn is_marked(&self, is_set: impl Fn(&'static str) -> bool) -> bool {
        self.marks.iter().any(|marks| marks.iter().all(|mark| is_set(mark)))
    }
}

/// All paths of the table, lower-case since keys compare without case, each once.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut names = VENDORS.iter().flat_map(Vendor::names).map(str::to_ascii_lowercase).collect::<Vec<_>>();
    names.sort_unstable();
    names.dedup();
    names
});
static PATHS: LazyLock<Paths> = LazyLock::new(|| Paths::new(NAMES.iter().cloned()));

/// A path of the table.
#[derive(Clone, Copy)]
struct Name(&'static str);

impl From<Name> for usize {
    fn from(name: Name) -> usize {
        let name = name.0.to_ascii_lowercase();
        NAMES.partition_point(|known| *known < name)
    }
}

fn first<'a>(fields: &Fields<'a>, names: Names) -> Option<Cow<'a, str>> {
    fields.first(names.iter().copied().map(Name))
}

fn looks_like(probe: &Probe<'_>) -> bool {
    VENDORS.iter().any(|vendor| vendor.is_marked(|mark| is_set(probe, mark)))
}

/// Whether something lies at a path.
fn is_set(probe: &Probe<'_>, path: &str) -> bool {
    match path.split_once('.') {
        Some((head, rest)) => probe.inside(head).is_some_and(|inside| is_set(&inside, rest)),
        None => probe.raw(path).is_some_and(|value| !matches!(value.trim(), "null" | "\"\"" | "\"-\"" | "[]")),
    }
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let vendor = VENDORS.iter().find(|vendor| vendor.is_marked(|mark| fields.has(Name(mark))));
    let vendor = vendor.ok_or_else(|| RecordError::expected("a known vendor's keys", "action", Shape::Object))?;
    let otherwise = Some(vendor.otherwise).filter(|name| !name.is_empty()).map(Cow::Borrowed);
    let action = first(fields, vendor.action).or(otherwise);
    let action = action.ok_or_else(|| RecordError::missing(vendor.action.first().copied().unwrap_or_default()))?;
    let address = first(fields, vendor.address);
    let agent = first(fields, vendor.agent);
    let actor = first(fields, vendor.actor);
    let program = first(fields, vendor.program);
    let times = vendor.time.iter().copied().map(Name).collect::<Vec<_>>();
    Ok(Reading::Call(Call {
        time: audit::time(fields, &times),
        view: View::Audit,
        outcome: Some(outcome(fields, vendor, &action)),
        operation: Some(operation(fields, vendor, action)),
        step: vendor.step,
        account: first(fields, vendor.account),
        principal: match (&actor, &program) {
            (Some(actor), _) if actor.contains('@') => PrincipalKind::User,
            (None, Some(_)) => PrincipalKind::Role,
            _ => PrincipalKind::Unknown,
        },
        channel: audit::channel(agent.as_deref()),
        caller: audit::caller(actor.or(program), address.as_ref()),
        host: vendor.host.into(),
        src_ip: address,
        user_agent: agent,
        record_id: first(fields, vendor.id),
        ..Call::default()
    }))
}

/// The action with its detail, else with the object before it.
fn operation<'a>(fields: &Fields<'a>, vendor: &Vendor, action: Cow<'a, str>) -> Cow<'a, str> {
    let (details, kind) = vendor.detail;
    let detail = first(fields, details).filter(|_| action.ends_with(kind));
    match (detail, first(fields, vendor.object)) {
        (Some(detail), _) => format!("{action}:{detail}").into(),
        (None, Some(object)) => format!("{object}:{action}").into(),
        // A number needs a word beside it.
        (None, None) if action.bytes().all(|byte| byte.is_ascii_digit()) => format!("event:{action}").into(),
        (None, None) => action,
    }
}

fn outcome(fields: &mut Fields<'_>, vendor: &Vendor, action: &str) -> Outcome {
    let status = vendor.status.iter().find_map(|name| fields.status(Name(name)));
    if let Some(400..) = status {
        return Outcome::of_status(status);
    }
    match first(fields, vendor.word) {
        Some(word) => audit::outcome(&word, action).unwrap_or_else(|| (vendor.ended)(&word)),
        None => (vendor.ended)(action),
    }
}

/// A word for how a sign-in ended that is not everybody's: `firewall_failed`, `fraud`.
fn sign_in(word: &str) -> Outcome {
    if word.ends_with("success") { Outcome::Ok } else { Outcome::Denied }
}

/// Auth0's codes: those of failures begin with an f, those of limits say so.
fn auth0(code: &str) -> Outcome {
    match code {
        "fapi" => Outcome::ClientError,
        "api_limit" | "api_limit_warning" => Outcome::Throttled,
        _ if code.starts_with('f') || code.starts_with("limit_") || code.ends_with("pwd_leak") => Outcome::Denied,
        _ => Outcome::Ok,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Channel;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        assert!(looks_like(&Probe::of(record).unwrap()), "{record}");
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
    }

    #[test]
    fn the_sample_is_a_download_by_a_person() {
        let call = call(SAMPLE);
        assert_eq!(
            (call.time, &*call.caller, &*call.host),
            (1_788_246_001_000_000, "aaron@acme.example", "api.box.com")
        );
        assert_eq!((call.operation.as_deref(), call.outcome), (Some("DOWNLOAD"), Some(Outcome::Ok)));
        assert_eq!(call.principal, PrincipalKind::User);
    }

    #[test]
    fn every_vendor_is_marked_by_keys_that_no_vendor_before_it_has_and_has_what_a_call_needs() {
        for (at, vendor) in VENDORS.iter().enumerate() {
            assert!(!vendor.host.is_empty() && !vendor.time.is_empty() && !vendor.actor.is_empty());
            assert!(!vendor.action.is_empty() || !vendor.otherwise.is_empty());
            for marks in vendor.marks {
                let before = VENDORS[..at].iter().find(|before| before.is_marked(|mark| marks.contains(&mark)));
                assert!(before.is_none(), "{marks:?} is {}", before.unwrap().host);
            }
            for name in vendor.names() {
                assert_eq!(PATHS.name(Name(name).into()), name.to_ascii_lowercase());
            }
        }
    }

    #[test]
    fn a_failure_is_a_word_a_status_or_a_name() {
        for (record, expected) in [
            (
                r#"{"timestamp":1788220801000,"serviceName":"accounts","actionName":"login","userIdentity":{"email":"a@b"},"response":{"statusCode":403}}"#,
                Outcome::Denied,
            ),
            (
                r#"{"event":"user.login","code":"T1000W","uid":"u","time":"2026-09-01T00:00:01Z","user":"jo","success":false}"#,
                Outcome::Denied,
            ),
            (
                r#"{"uuid":"u","timestamp":"2026-09-01T00:00:01Z","category":"firewall_failed","type":"ip_failed","target_user":{"email":"a@b"},"client":{"ip_address":"203.0.113.1"}}"#,
                Outcome::Denied,
            ),
            (
                r#"{"log_id":"9","data":{"date":"2026-09-01T00:00:01Z","type":"fp","user_name":"a@b","ip":"203.0.113.1"}}"#,
                Outcome::Denied,
            ),
            (
                r#"{"id":"1","requestId":"r","action":"DeleteUser","status":"FAILED","timestamp":"2026-09-01T00:00:01Z","user":null,"serviceAccount":{"name":"ci"},"sourceIP":"203.0.113.1"}"#,
                Outcome::ClientError,
            ),
            (
                r#"{"event_type":"FAILED_LOGIN","created_by":{"login":"a@b"},"created_at":"2026-09-01T00:00:01Z"}"#,
                Outcome::Denied,
            ),
        ] {
            let call = call(record);
            assert_eq!((call.time, call.outcome), (1_788_220_801_000_000, Some(expected)), "{record}");
        }
    }

    #[test]
    fn an_action_that_is_only_a_kind_has_its_detail_or_object() {
        for (record, expected) in [
            (
                r#"{"data":{"date":"2026-09-01T00:00:01Z","type":"sapi","description":"Create a role","client_id":"c"}}"#,
                "sapi:Create a role",
            ),
            (
                r#"{"data":{"date":"2026-09-01T00:00:01Z","type":"s","description":"jo@acme.example","user_id":"u"}}"#,
                "s",
            ),
            (
                r#"{"action":"Update","category_type":"Account","operation_detail":"x","operator":"a@b","time":"2026-09-01T00:00:01Z"}"#,
                "Account:Update",
            ),
            (
                r#"{"event_type_id":13,"user_id":1,"actor_user_name":"Bo","created_at":"2026-09-01T00:00:01Z"}"#,
                "event:13",
            ),
            (
                r#"{"timestamp":"2026-09-01T00:00:01Z","event_type":{".tag":"file_download"},"origin":{"geo_location":{"ip_address":"203.0.113.1"}},"actor":{".tag":"user","user":{"email":"a@b"}}}"#,
                "file_download",
            ),
            (
                r#"{"kind":"admin#reports#activity","id":{"time":"2026-09-01T00:00:01Z","applicationName":"drive","uniqueQualifier":"1"},"actor":{"email":"a@b"},"events":[{"type":"access","name":"download"}]}"#,
                "drive:download",
            ),
        ] {
            assert_eq!(call(record).operation.as_deref(), Some(expected), "{record}");
        }
    }

    #[test]
    fn a_missing_actor_is_the_address_and_a_secret_is_one() {
        let record = r#"{"uuid":"e","timestamp":"2026-09-01T00:00:01Z","vault_uuid":"v","item_uuid":"i","action":"reveal","client":{"app_name":"1Password CLI","ip_address":"203.0.113.1"}}"#;
        let call = call(record);
        assert_eq!(
            (&*call.caller, call.step, call.channel),
            ("203.0.113.1", Some(StepClass::Secret), Channel::Program)
        );
        assert!(FORMAT_KIND.decode(r#"{"a":1}"#).is_err());
    }
}
