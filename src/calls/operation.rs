//! What an audit operation does, whatever its vendor calls it.
//!
//! A vendor has thousands of operations; an attack goes through a dozen kinds of step. First a table of names whose verb
//! hides what they do, on `service:operation`, first hit wins; then the verb. A name without a known verb is a write.
//!
//! Not here: how unlikely a step is for a principal (`detect`).

use serde::{Deserialize, Serialize};

use StepClass::*;

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
        let full = without_version(operation).to_ascii_lowercase();
        let name = operation.split_once(':').map_or(operation, |(_service, name)| name);
        let exception = EXCEPTIONS.iter().find(|(signs, _)| signs.iter().any(|sign| sign.is_in(&full)));
        exception.map_or_else(|| by_verb(name), |&(_, class)| class)
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

/// A sign in a lower-case `service:operation`. A word that ends in `|` must end where a word ends; one that begins with
/// `|` must follow a dot, an underscore or a space.
enum Sign {
    /// One of these words stands anywhere.
    Has(&'static [&'static str]),
    /// One of the second words follows one of the first, with only letters, dots, underscores, spaces or dashes between.
    Then(&'static [&'static str], &'static [&'static str]),
    /// One of the second words follows one of the first, whatever is between.
    Later(&'static [&'static str], &'static [&'static str]),
    /// It is one of these.
    Is(&'static [&'static str]),
    /// It begins with one of these.
    Starts(&'static [&'static str]),
    /// It ends with one of these.
    Ends(&'static [&'static str]),
    /// The sign, where none of these words stands.
    Without(&'static [&'static str], &'static Sign),
}

impl Sign {
    fn is_in(&self, text: &str) -> bool {
        let any = |words: &[&str]| words.iter().any(|word| find_word(text, word).is_some());
        match self {
            Self::Has(words) => any(words),
            Self::Then(first, second) => follows(text, first, second, true),
            Self::Later(first, second) => follows(text, first, second, false),
            Self::Is(words) => words.contains(&text),
            Self::Starts(words) => words.iter().any(|word| text.starts_with(word)),
            Self::Ends(words) => words.iter().any(|word| text.ends_with(word)),
            Self::Without(words, sign) => !any(words) && sign.is_in(text),
        }
    }
}

fn follows(text: &str, first: &[&str], second: &[&str], near: bool) -> bool {
    let starts = first.iter().flat_map(|word| text.match_indices(word));
    starts.map(|(at, word)| &text[at + word.len()..]).any(|rest| {
        let is_gap = |byte: u8| byte.is_ascii_lowercase() || b"._ -".contains(&byte);
        let gap = if near { rest.bytes().take_while(|&byte| is_gap(byte)).count() } else { rest.len() };
        second.iter().any(|word| find_word(rest, word).is_some_and(|at| at <= gap))
    })
}

/// Where a word with its marks (see [`Sign`]) stands first.
fn find_word(text: &str, marked: &str) -> Option<usize> {
    let word = marked.trim_matches('|');
    text.match_indices(word).map(|(at, _)| at).find(|&at| {
        let before = text[..at].bytes().next_back();
        let after = text[at + word.len()..].bytes().next();
        (!marked.starts_with('|') || before.is_some_and(|byte| b"._ ".contains(&byte)))
            && (!marked.ends_with('|') || after.is_none_or(|byte| !byte.is_ascii_alphanumeric() && byte != b'_'))
    })
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

/// Names whose verb hides what they do.
const EXCEPTIONS: &[(&[Sign], StepClass)] = &[
    (IDENTITY, Identity),
    (DEFENCE, Defence),
    (SHARE, Share),
    (SECRET, Secret),
    (GRANT, Grant),
    (BULK, Bulk),
    (USE, Use),
    (LOGIN, Login),
];
const IDENTITY: &[Sign] = &[
    Sign::Has(&[
        "getcalleridentity",
        "whoami",
        "token/verify",
        "tokens/verify",
        "token.verify",
        "tokens.verify",
        "introspect",
    ]),
    Sign::Starts(&["sts:getsession"]),
    Sign::Ends(&["user.me", "users.me"]),
];
#[rustfmt::skip]
const DEFENCE: &[Sign] = &[
    Sign::Has(&[
        "stoplogging", "deletetrail", "updatetrail", "puteventselectors", "deleteflowlogs", "deletedetector",
        "deleteconfigurationrecorder", "deletedeliverychannel", "deletealarms", "deleteloggroup|",
        "stopconfigurationrecorder", "diagnosticsettings/delete", "alertssuppression", "leaveorganization",
        "set-adminauditlog", "putbucketlifecycle", "putbucketlogging", "deletemodelinvocationlogging", "updatedetector",
        "deactivatemfa", "policy.deactivate", "policy.delete", "policy.lifecycle.deactivate", "policy.lifecycle.delete",
        "set-mailboxaudit",
    ]),
    Sign::Then(
        &["delete", "remove", "disassociate", "disable", "stop"],
        &[
            "logconfig", "logsconfig", "loggingconfig", "auditconfig", "auditingconfig", "trailconfig", "trailsconfig",
            "logsetting", "logssetting", "loggingsetting", "auditsetting", "auditingsetting", "trailsetting",
            "trailssetting", "logsubscription", "logssubscription", "loggingsubscription", "auditsubscription",
            "trailsubscription",
        ],
    ),
    Sign::Without(
        &["disablemetric", "disablealarmactions"],
        &Sign::Later(&["disable"], &["log", "audit", "guard", "security", "mfa", "alert", "strong auth"]),
    ),
    Sign::Later(&["mfa.", "mfa_", "mfa "], &["deactivate", "disable", "reset"]),
    Sign::Later(&["protected_branch"], &["destroy", "override"]),
    Sign::Later(&["secret_scanning"], &["disable"]),
    Sign::Then(&["log", "audit"], &["disable", "destroy", "delet", "remov", "off"]),
];
#[rustfmt::skip]
const SHARE: &[Sign] = &[
    Sign::Has(&[
        "modifysnapshotattribute", "modifyimageattribute", "modifydbsnapshotattribute", "modifydbclustersnapshotattribute",
        "putbucketpolicy", "putbucketacl", "putbucketreplication", "putobjectacl", "deletebucketpublicaccessblock",
        "deletepublicaccessblock", "addpermission", "putresourcepolicy", "share", "sharing", "anonymouslink", "makepublic",
        "make_public", "make public", "visibility_change", "repo.access", "transfer", "inboxrule", "forward",
        "add-mailboxpermission", "createreplication", "enablefederation",
    ]),
    Sign::Later(&["add"], &["layerversionpermission"]),
    Sign::Ends(&["set-mailbox"]),
];
#[rustfmt::skip]
const SECRET: &[Sign] = &[
    Sign::Has(&[
        "getsecretvalue", "batchgetsecret", "getpassworddata", "getsessiontoken", "getfederationtoken", "getcredentials",
        "secret.read", "secret.get", "secret.reveal", "secret.view", "secrets.read", "secrets.get", "secrets.reveal",
        "secrets.view", "exportkey", "getekmtoken", "privatekey", "private_key", "describeinstanceattribute",
        "downloaddefaultkeypair",
    ]),
    Sign::Is(&["ssm:getparameter", "ssm:getparameters", "ssm:getparametersbypath", "ssm:getparameterhistory"]),
    Sign::Ends(&["getauthorizationtoken"]),
    Sign::Later(&["kv"], &["read"]),
];
#[rustfmt::skip]
const GRANT: &[Sign] = &[
    Sign::Then(
        &["create", "update", "put", "attach", "add", "upload", "import", "issue", "generate", "reset", "change", "set"],
        &[
            "accesskey", "loginprofile", "userpolicy", "rolepolicy", "grouppolicy", "assumerolepolicy", "user|",
            "usertogroup", "role|", "policyversion", "samlprovider", "oidc", "openidconnectprovider", "sshpublickey",
            "instanceprofile", "servicespecificcredential", "keypair", "apppassword", "app password", "app_password",
            "app-password", "virtualmfa", "token", "secret", "credential", "password", "key|", "member", "owner", "admin",
            "privileg", "permission", "delegat", "consent", "grant", "certificate",
        ],
    ),
    Sign::Then(
        &[
            "apikey", "api_key", "accesskey", "access_key", "token", "role", "member", "owner", "admin", "permission", "user",
            "credential", "service_account", "password",
        ],
        &[
            "|create|", "|created|", "|added|", "|granted|", "|update|", "|updated|", "|assigned|", "|change|", "|changed|",
            "|invite|", "|invited|", "|generate|", "|generated|", "|invite_sent|",
        ],
    ),
    Sign::Has(&[
        "new-rolegroup", "new-managementrole", "sendserialconsole", "sendcommand", "executecommand", "runcommand",
        "passrole", "assumeroot", "consent to application", "oauth_app", "oauth_access", "deploy_key", "personal_access",
        "ssh_key", "privilege.grant", "role.assign", "app_role", "apitoken", "api_token", "user.create", "user.lifecycle",
        "org.add", "org.invite", "creategrant", "rolesanywhere", "createfunctionurl",
    ]),
    Sign::Starts(&["ssm:startsession"]),
    Sign::Later(&["register"], &["device", "app", "mfa", "factor"]),
];
#[rustfmt::skip]
const BULK: &[Sign] = &[
    Sign::Later(&["create"], &["job", "query"]),
    Sign::Has(&[
        "bulk", "export", "unload", "copyinto", "copy into", "copy_into", "git.clone", "git.fetch", "clone", "downloadzip",
        "download_zip", "archive", "takeout", "getobjecttorrent", "startquery", "batchget", "dump", "report.run",
        "createsnapshot", "createdbsnapshot", "copysnapshot", "createimage",
    ]),
];
#[rustfmt::skip]
const USE: &[Sign] = &[
    Sign::Has(&[
        "invoke", "converse", "completion", "chat", "inference", "sendmessage", "receivemessage", "embedding",
    ]),
    Sign::Ends(&["publish"]),
];
#[rustfmt::skip]
const LOGIN: &[Sign] = &[
    Sign::Without(&["signing", "loginprofile"], &Sign::Has(&["signin", "login"])),
    Sign::Has(&[
        "consolelogin", "sign_in", "sign in", "sign-in", "loggedin", "logged in", "logged_in", "session.start",
        "session.create", "authenticate", "getrolecredentials", "assumerole", "getsignintoken", "user.authentication",
    ]),
];

/// Verbs by class: a verb that stands in two lists belongs to the first.
#[rustfmt::skip]
const VERBS: [(StepClass, &[&str]); 4] = [
    (List, &[
        "list", "describe", "count", "search", "head", "scan", "query", "enumerate", "lookup", "find", "index", "limits",
        "filter", "browse", "show", "discover", "view",
    ]),
    (Read, &[
        "read", "get", "fetch", "download", "access", "open", "select", "check", "test", "detect", "estimate", "preview",
        "validate", "batch", "receive", "retrieve", "decrypt",
    ]),
    (Write, &[
        "create", "update", "put", "modify", "add", "set", "start", "stop", "run", "reboot", "register", "associate",
        "attach", "tag", "enable", "allocate", "import", "upload", "post", "change", "edit", "send", "authorize", "apply",
        "publish", "rename", "move", "restore", "new", "launch", "request", "issue", "deploy", "activate", "push", "merge",
        "copy", "accept", "replace", "insert", "write", "submit", "sync", "assign", "configure", "install", "save", "join",
        "invite", "execute", "use", "passrole", "untag", "generate", "encrypt",
    ]),
    (Delete, &[
        "delete", "remove", "terminate", "destroy", "purge", "revoke", "detach", "disassociate", "deregister", "release",
        "drop", "archive", "uninstall", "cancel", "deactivate", "suspend", "erase", "trash", "truncate", "schedule", "wipe",
        "close", "disable",
    ]),
];

/// The class by the first word that is a verb: the name's first word, its last, then those between.
fn by_verb(name: &str) -> StepClass {
    let mut words = words_of(name);
    // `BatchDeleteImage` deletes: how many at once is not what is done.
    if words.len() > 1 && words.first().is_some_and(|word| word == "batch") {
        words.remove(0);
    }
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return Read };
    let between = words.iter().skip(1).take(words.len().saturating_sub(2));
    [first, last].into_iter().chain(between).find_map(|word| class_of_word(word)).unwrap_or(Write)
}

/// A word as it stands, then with -s, -ed, -ing cut, and with the e that these took.
fn class_of_word(word: &str) -> Option<StepClass> {
    let cut = |count: usize| word.len().checked_sub(count).and_then(|length| word.get(..length)).unwrap_or_default();
    let class_of = |verb: &str| VERBS.iter().find(|(_, verbs)| verbs.contains(&verb)).map(|&(class, _)| class);
    let stems = [(0, ""), (1, ""), (2, ""), (2, "e"), (3, ""), (3, "e")];
    stems.into_iter().find_map(|(count, ending)| class_of(&format!("{}{ending}", cut(count))))
}

/// The words of a name, lower case: CamelCase, dots, slashes and phrases alike. `DBCluster` is `db`, `cluster`.
fn words_of(name: &str) -> Vec<String> {
    let bytes = name.as_bytes();
    let mut words: Vec<String> = Vec::new();
    for (at, &byte) in bytes.iter().enumerate() {
        let class =
            |byte: Option<&u8>| byte.map(|b| (b.is_ascii_uppercase(), b.is_ascii_lowercase())).unwrap_or_default();
        let before = class(at.checked_sub(1).and_then(|previous| bytes.get(previous)));
        let begins = match (before, class(Some(&byte)), class(bytes.get(at + 1))) {
            (_, (false, false), _) => continue,
            ((false, false), _, _) | ((_, true), (true, _), _) | ((true, _), (true, _), (_, true)) => true,
            _ => false,
        };
        if begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(char::from(byte.to_ascii_lowercase()));
        }
    }
    words
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
            ("logs:DeleteLogStream", Delete),
            ("cloudwatch:DisableAlarmActions", Delete),
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
            ("s3:HeadBucket", List),
            ("s3:GetObject", Read),
            ("rds:DescribeDBClusters", List),
            ("ec2:TerminateInstances", Delete),
            ("ecr:BatchDeleteImage", Delete),
            ("dynamodb:BatchWriteItem", Write),
            ("dynamodb:BatchGetItem", Bulk),
            ("jira:Issue deleted", Write),
            ("x:Frobnicate", Write),
            ("signin:ConsoleLogin without MFA", Login),
            ("", Read),
            ("é:ü20150331v2", Write),
        ] {
            assert_eq!(StepClass::of(operation), class, "{operation}");
        }
    }
}
