//! What an audit operation does, whatever its vendor calls it.
//!
//! A vendor has thousands of operations; an attack goes through a dozen kinds of step. The class of one follows from its access
//! level (`level`: AWS's own word, else a classifier's), from the lists of sensitive actions, from the record's own word where it
//! has one, and from a few dozen words for the things that an attacker wants: credentials, logs, the outside, everything at once.
//!
//! Not here: how unlikely a step is for a principal (`models::audit`).

mod level;
pub(crate) mod words;

use serde::{Deserialize, Serialize};

use StepClass::*;
use level::{Level, Sensitivity};
use words::words_of;

/// How the operation of a sign-in without a second factor ends.
pub const WITHOUT_MFA: &str = " without MFA";

/// The kind of step that an audit operation is. The order has no meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepClass {
    /// Signs in, or takes on a role.
    Login,
    /// Asks who the caller is.
    Identity,
    /// Lists or counts what there is.
    List,
    /// Reads one object.
    Read,
    /// Uses a service for what it is for: a message, an inference.
    Use,
    /// Reads a secret.
    Secret,
    /// Takes much at once: an export, a clone, a snapshot.
    Bulk,
    /// Changes an object.
    Write,
    /// Gives credentials, rights or a remote shell.
    Grant,
    /// Opens something to the outside.
    Share,
    /// Deletes an object.
    Delete,
    /// Weakens logs, alarms or sign-in.
    Defence,
}

impl StepClass {
    /// All classes.
    pub const ALL: [Self; 12] = [Login, Identity, List, Read, Use, Secret, Bulk, Write, Grant, Share, Delete, Defence];

    /// The class of an operation as audit logs name it: `iam:CreateUser`, `org.add_member`, `Add member to role`.
    pub fn of(operation: &str) -> Self {
        Self::of_record(operation, None)
    }

    /// The class of an operation in a record that says itself whether it only reads.
    pub fn of_record(operation: &str, read_only: Option<bool>) -> Self {
        Operation::new(operation, read_only).step()
    }

    /// Whether many steps of the class are a habit of harmless programs: to look and to use is what an account is for.
    pub const fn is_harmless(self) -> bool {
        matches!(self, Login | Identity | List | Read | Use)
    }

    /// The name in frames, files and alerts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Login => "login",
            Identity => "identity",
            List => "list",
            Read => "read",
            Use => "use",
            Secret => "secret",
            Bulk => "bulk",
            Write => "write",
            Grant => "grant",
            Share => "share",
            Delete => "delete",
            Defence => "defence",
        }
    }

    /// Whether one first step of this class is worth a look without a second witness.
    pub const fn is_sensitive(self) -> bool {
        matches!(self, Share | Defence | Grant | Secret | Bulk)
    }

    /// Whether a step of this class changes something.
    pub const fn is_write(self) -> bool {
        matches!(self, Write | Grant | Share | Delete | Defence)
    }
}

// Verbs, in the form that their stem has.
#[rustfmt::skip]
const REMOVE: &[&str] = &[
    "delete", "deletion", "remove", "terminate", "destroy", "purge", "revoke", "detach", "disassociate", "deregister", "drop",
    "uninstall", "cancel", "erase", "trash", "truncate", "wipe", "disable", "deactivate", "suspend", "reject",
];
const SWITCH_OFF: &[&str] = &["disable", "deactivate", "suspend", "off", "override", "bypass", "suppress"];
const WEAKEN: &[&str] = &["stop", "reset", "off", "override", "bypass", "suppress", "leave"];
const RECONFIGURE: &[&str] = &["update", "put", "set", "modify", "change", "configure"];
#[rustfmt::skip]
const GIVE: &[&str] = &[
    "create", "add", "new", "put", "attach", "update", "upload", "import", "issue", "generate", "reset", "change", "set", "assign",
    "grant", "invite", "enable", "activate", "associate", "register", "approve", "authorize", "accept", "pass", "promote",
    "elevate", "modify", "rotate", "send", "consent",
];
const ENUMERATE: &[&str] = &["list", "describe", "count", "search", "query", "head"];

// Things that an attacker wants.
/// What watches: whoever removes it wants not to be seen.
#[rustfmt::skip]
const WATCH: &[&str] = &[
    "log", "logging", "trail", "audit", "auditing", "detector", "guard", "alarm", "alert", "monitor", "monitoring", "mfa",
    "factor", "recorder", "diagnostic", "protection", "protected",
];
/// What watches or guards, where it is switched off.
const GUARD: &[&str] = &["security", "defender", "policy", "scanning", "verification", "authentication"];
/// What watches, and whose settings alone can blind it.
const WATCH_SETTINGS: &[&str] = &["trail", "audit", "auditing", "detector", "selector", "logging"];
const OUTSIDE: &[&str] = &["share", "sharing", "public", "anonymous", "transfer", "visibility", "replication"];
const MAIL: &[&str] = &["mail", "mailbox", "inbox", "smtp"];
const SECRETS: &[&str] = &["secret", "password", "passphrase", "credential"];
/// About secrets, and none.
const ABOUT_SECRETS: &[&str] = &["report", "policy"];
/// Who may act.
#[rustfmt::skip]
const IDENTITY: &[&str] = &[
    "user", "role", "member", "membership", "owner", "admin", "administrator", "principal", "collaborator", "assignment", "grant",
];
/// By what one may act.
#[rustfmt::skip]
const RIGHTS: &[&str] = &[
    "credential", "password", "token", "oauth", "consent", "delegate", "delegation", "permission", "privilege", "trust", "iam",
    "apikey", "accesskey", "invitation",
];
const KINDS_OF_KEY: &[&str] = &["access", "api", "ssh", "deploy", "pair", "app"];
const EVERYTHING: &[&str] = &["export", "dump", "bulk", "unload", "clone", "takeout", "torrent"];
const COPIES: &[&str] = &["snapshot", "image"];
#[rustfmt::skip]
const WORK: &[&str] = &[
    "invoke", "converse", "completion", "chat", "inference", "embed", "embedding", "encrypt",
];
const SIGN_IN: &[&str] = &["login", "logon", "signin", "authenticate", "authentication"];
/// About signing in, and none.
const ABOUT_SIGN_IN: &[&str] = &["profile", "policy", "setting", "config", "configuration", "method", "factor", "rule"];

/// Whether an operation is a step of some class.
type Rule = fn(&Operation) -> bool;

/// What is known of an operation.
struct Operation {
    /// AWS's service; empty for others.
    service: String,
    /// Its words, and the stems of each.
    words: Vec<Vec<String>>,
    level: Level,
    sensitivity: Sensitivity,
    /// Whether AWS itself says its level.
    is_listed: bool,
}

impl Operation {
    fn new(operation: &str, read_only: Option<bool>) -> Self {
        let unversioned = without_version(operation);
        let (service, name) = unversioned.split_once(':').unwrap_or(("", unversioned));
        let words = words_of(name);
        let action = level::of_action(service, name);
        let (level, sensitivity) = action.unwrap_or_else(|| (level::of_words(&words), Sensitivity::default()));
        // The record knows better than a table, and far better than a guess.
        let level = match read_only {
            Some(true) if !level.is_read() => Level::Read,
            Some(false) if level.is_read() && action.is_none() => Level::Write,
            _ => level,
        };
        let words = words.iter().map(|word| stems(word).collect()).collect();
        Self { service: service.to_ascii_lowercase(), words, level, sensitivity, is_listed: action.is_some() }
    }

    /// Whether one of these words stands in the name.
    fn has(&self, words: &[&str]) -> bool {
        self.words.iter().flatten().any(|stem| words.contains(&stem.as_str()))
    }

    fn has_all(&self, words: &[&str]) -> bool {
        words.iter().all(|word| self.has(&[word]))
    }

    fn begins(&self, words: &[&str]) -> bool {
        self.words.first().is_some_and(|stems| stems.iter().any(|stem| words.contains(&stem.as_str())))
    }

    fn removes(&self) -> bool {
        self.has(REMOVE)
    }

    fn changes(&self) -> bool {
        !self.level.is_read()
    }

    fn step(&self) -> StepClass {
        let rules: [(Rule, StepClass); 9] = [
            (Self::asks_who_one_is, Identity),
            (Self::blinds, Defence),
            (Self::signs_in, Login),
            (Self::opens, Share),
            (Self::grants, Grant),
            (Self::reads_a_secret, Secret),
            (Self::takes_everything, Bulk),
            (Self::works, Use),
            (|operation| operation.changes() && operation.removes(), Delete),
        ];
        let found = rules.into_iter().find(|(holds, _)| holds(self)).map(|(_, class)| class);
        found.unwrap_or(match self.level {
            _ if self.words.is_empty() => Read,
            Level::List => List,
            Level::Read => Read,
            Level::Write | Level::Tagging | Level::Permissions => Write,
        })
    }

    fn asks_who_one_is(&self) -> bool {
        let ends_in_me = self.words.last().is_some_and(|stems| stems.iter().any(|stem| stem == "me"));
        ends_in_me
            || self.has(&["whoami", "introspect"])
            || self.has_all(&["caller", "identity"])
            || self.has_all(&["verify", "token"])
    }

    fn signs_in(&self) -> bool {
        if self.is_listed {
            return self.sensitivity.returns_credentials && self.has(&["role"]);
        }
        let starts_session = self.has(&["session"]) && self.has(&["user", "auth"]) && self.has(&["start", "create"]);
        let signs_in = self.has(SIGN_IN) || self.has_all(&["sign", "in"]) || self.has_all(&["logged", "in"]);
        (signs_in || starts_session) && !self.has(ABOUT_SIGN_IN)
    }

    fn blinds(&self) -> bool {
        self.changes()
            && ((self.has(WATCH) && (self.removes() || self.has(WEAKEN)))
                || (self.has(GUARD) && self.has(SWITCH_OFF))
                || (self.has(WATCH_SETTINGS) && self.has(RECONFIGURE)))
    }

    /// Opens to the outside: a policy on a thing, not on who acts.
    fn opens(&self) -> bool {
        if !self.changes() {
            return false;
        }
        let is_of_thing = self.is_listed && self.level == Level::Permissions && !self.is_about_identity();
        let is_public = self.has(OUTSIDE) && !self.has(&["key", "ip", "address"]);
        let redirects_mail = self.has(MAIL) && self.has(&["forward", "forwarding", "redirect", "rule"]);
        // Whose image or snapshot it is stays; its attributes say who else may use it.
        let shows_copy = self.has(COPIES) && self.has(&["attribute"]) && self.has(RECONFIGURE);
        let lifts_block = self.has(&["public"]) && self.has(&["block"]);
        (is_of_thing || is_public || redirects_mail || shows_copy) && (!self.removes() || lifts_block)
    }

    fn is_about_identity(&self) -> bool {
        self.has(IDENTITY) || ["iam", "sso", "identitystore", "organizations"].contains(&self.service.as_str())
    }

    fn grants(&self) -> bool {
        if !self.changes() || self.removes() || self.level == Level::Tagging {
            return false;
        }
        let is_key = self.has(&["key"]) && self.has(KINDS_OF_KEY);
        let is_machine = self.has_all(&["service", "account"]);
        let names_rights = self.is_about_identity() || self.has(RIGHTS) || is_key || is_machine;
        self.level == Level::Permissions || self.sensitivity.returns_credentials || (names_rights && self.has(GIVE))
    }

    fn reads_a_secret(&self) -> bool {
        let names_secret = self.has(SECRETS) || self.has_all(&["private", "key"]);
        let reads_store = self.sensitivity.reads_data && !self.has(&["object"]);
        self.sensitivity.returns_credentials
            || reads_store
            || (self.level.is_read() && names_secret && !self.has(ABOUT_SECRETS) && !self.begins(ENUMERATE))
    }

    fn takes_everything(&self) -> bool {
        let copies = self.has(COPIES) && self.has(&["create", "copy"]);
        let fetches = self.has_all(&["git", "fetch"]) || self.has_all(&["batch", "get"]);
        let downloads = self.has(&["download"]) && self.has(&["zip", "all", "archive"]);
        !self.begins(ENUMERATE)
            && !self.removes()
            && (self.has(EVERYTHING) || (copies && self.changes()) || fetches || downloads)
    }

    fn works(&self) -> bool {
        let passes_message = self.has(&["message"]) && self.has(&["send", "receive"]);
        let makes_data_key = self.has_all(&["generate", "data", "key"]);
        let publishes = self.words.len() == 1 && self.has(&["publish"]);
        self.has(WORK) || passes_message || makes_data_key || publishes
    }
}

/// A word as it stands, then without the endings of plural, past and -ing, and with the e that these took.
fn stems(word: &str) -> impl Iterator<Item = String> + '_ {
    const ENDINGS: [(&str, &str); 6] = [("", ""), ("ies", "y"), ("s", ""), ("d", ""), ("ed", ""), ("ing", "")];
    let cut = |(ending, instead): (&str, &str)| Some(format!("{}{instead}", word.strip_suffix(ending)?));
    let plain = ENDINGS.into_iter().filter_map(cut);
    plain.chain(word.strip_suffix("ing").map(|stem| format!("{stem}e"))).filter(|stem| stem.len() > 1)
}

/// Cuts the date that some AWS operations end in: `ListFunctions20150331`, `UpdateFunctionCode20150331v2`.
fn without_version(operation: &str) -> &str {
    let unversioned = match operation.as_bytes() {
        [.., b'v', last] if last.is_ascii_digit() => &operation[..operation.len() - 2],
        _ => operation,
    };
    match unversioned.len().checked_sub(8).and_then(|at| unversioned.split_at_checked(at)) {
        Some((name, date)) if date.starts_with("20") && date.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => operation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_of_many_vendors_have_their_class() {
        for (operation, class) in [
            ("sts:GetCallerIdentity", Identity),
            ("cloudtrail:StopLogging", Defence),
            ("logs:DeleteLogGroup", Defence),
            ("logs:DeleteLogStream", Defence),
            ("cloudwatch:DisableAlarmActions", Defence),
            ("m365:Disable Strong Authentication.", Defence),
            ("ec2:ModifySnapshotAttribute", Share),
            ("secretsmanager:GetSecretValue", Secret),
            ("ssm:GetParameters", Secret),
            ("iam:CreateUser", Grant),
            ("iam:UpdateAssumeRolePolicy", Grant),
            ("entra:Add member to role", Grant),
            ("okta:user.session.start", Login),
            ("okta:system.api_token.create", Grant),
            ("github:org.add_member", Grant),
            ("github:git.clone", Bulk),
            ("lambda:ListFunctions20150331", List),
            ("lambda:UpdateFunctionCode20150331v2", Write),
            ("bedrock:InvokeModel", Use),
            ("sts:AssumeRole", Login),
            ("s3:HeadBucket", Read),
            ("s3:GetObject", Read),
            ("rds:DescribeDBClusters", List),
            ("ec2:TerminateInstances", Delete),
            ("ecr:BatchDeleteImage", Delete),
            ("dynamodb:BatchWriteItem", Write),
            ("dynamodb:BatchGetItem", Bulk),
            ("jira:Issue deleted", Delete),
            ("x:Frobnicate", Write),
            ("signin:ConsoleLogin without MFA", Login),
            ("", Read),
            ("é:ü20150331v2", Read),
            ("rds:ModifyDBSnapshotAttribute", Share),
            ("lambda:AddPermission20150331v2", Share),
            ("kms:CreateGrant", Grant),
            ("ec2:CreateSecurityGroup", Write),
            ("ec2:DescribeSnapshotAttribute", List),
            ("guardduty:UpdateDetector", Defence),
            ("wafv2:ListLoggingConfigurations", List),
            ("google:SetIamPolicy", Grant),
            ("github:dependabot_alerts.disable", Defence),
            ("Exchange:New-InboxRule", Share),
            ("snyk:org.service_account.create", Grant),
        ] {
            assert_eq!(StepClass::of(operation), class, "{operation}");
        }
    }

    #[test]
    fn a_record_that_says_whether_it_only_reads_is_believed_before_a_guess() {
        for (operation, read_only, class) in [
            ("newservice:Frobnicate", Some(true), Read),
            ("newservice:GetFrobnicated", Some(false), Write),
            ("kms:Decrypt", Some(true), Read),
            ("sts:AssumeRole", Some(true), Login),
            // Of what AWS itself lists, the level stands.
            ("s3:GetObject", Some(false), Read),
        ] {
            assert_eq!(StepClass::of_record(operation, read_only), class, "{operation}");
        }
    }
}
