//! Marks: what a row shows for the first time, by group and class.
//!
//! Network, client, region, console, key and name are marks of continuity: alone they are a move or a new tool. An operation
//! is graded by who else does it: others of its type, somebody in the company, or nobody.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::memory::key;
use super::{Memory, Role, Row};
use crate::calls::{Name, StepClass, WITHOUT_MFA, combine};

/// What kind of evidence: of each group only the strongest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Group {
    /// Where from.
    Network,
    /// With what.
    Client,
    /// To which region.
    Region,
    /// Console in place of a program, a sign-in without the second factor.
    Mode,
    /// A new lasting key.
    Credential,
    /// A new principal.
    Principal,
    /// A first operation, or novelty in number.
    Operation,
    /// How many.
    Count,
}

impl Group {
    /// Whether it is a mark of continuity: alone never a page.
    pub const fn is_continuity(self) -> bool {
        !matches!(self, Self::Operation | Self::Count)
    }
}

/// A class of marks, whose rate is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Class {
    /// Group.
    pub group: Group,
    /// Of an operation: 0 its type does it, 1 somebody does, 2 nobody. Else 0 known elsewhere, 1 new to the company.
    pub grade: u8,
    /// Of an operation: its class of step.
    pub step: Option<StepClass>,
    /// Of whom.
    pub role: Role,
}

impl Class {
    /// Times a day that principals of the role show it, before any history is read. Judgement, not measurement.
    pub fn prior(self) -> f64 {
        let is_human = self.role == Role::Human;
        let by_grade = |[known, new]: [f64; 2]| if self.grade == 0 { known } else { new };
        match (self.group, self.step) {
            (Group::Operation, Some(step)) => {
                let grade = [2.0, 1.0, 0.5].get(usize::from(self.grade)).copied().unwrap_or(0.5);
                prior_of(step) * grade * if is_human { 2.0 } else { 1.0 }
            }
            (Group::Network, _) => by_grade([0.2, 0.05]) * if is_human { 3.0 } else { 1.0 },
            (Group::Client, _) => by_grade([0.3, 0.1]) * if is_human { 3.0 } else { 1.0 },
            (Group::Region, _) => by_grade([0.2, 0.05]),
            (Group::Mode, _) => 0.1,
            (Group::Credential | Group::Principal | Group::Operation | Group::Count, _) => 0.3,
        }
    }

    /// Its name among the classes of first-seen events.
    pub fn name(self) -> &'static str {
        let by_grade = |[known, new]: [&'static str; 2]| if self.grade == 0 { known } else { new };
        match (self.group, self.step) {
            (Group::Network, _) => by_grade(["principal_network_known", "principal_network_new"]),
            (Group::Client, _) => by_grade(["principal_client_known", "principal_client_new"]),
            (Group::Region, _) => by_grade(["region_known", "region_new"]),
            (Group::Mode, _) => by_grade(["principal_console_new", "principal_factor_lost"]),
            (Group::Credential, _) => "credential_new",
            (Group::Principal | Group::Count, _) => "principal_new",
            (Group::Operation, step) => operation_class(step.unwrap_or(StepClass::Read)),
        }
    }
}

/// Times a day that a principal does an operation of a class for the first time, company-wide.
pub fn prior_of(step: StepClass) -> f64 {
    match step {
        StepClass::Login | StepClass::List | StepClass::Read => 1.0,
        StepClass::Identity | StepClass::Use | StepClass::Write => 0.3,
        StepClass::Secret | StepClass::Bulk | StepClass::Delete => 0.1,
        StepClass::Grant => 0.05,
        StepClass::Share | StepClass::Defence => 0.02,
    }
}

/// Name of the novelty of an operation of a class.
pub fn operation_class(step: StepClass) -> &'static str {
    match step {
        StepClass::Login => "operation_login",
        StepClass::Identity => "operation_identity",
        StepClass::List => "operation_list",
        StepClass::Read => "operation_read",
        StepClass::Use => "operation_use",
        StepClass::Secret => "operation_secret",
        StepClass::Bulk => "operation_bulk",
        StepClass::Write => "operation_write",
        StepClass::Grant => "operation_grant",
        StepClass::Share => "operation_share",
        StepClass::Delete => "operation_delete",
        StepClass::Defence => "operation_defence",
    }
}

/// One thing shown for the first time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Its class.
    pub class: Class,
    /// The new thing.
    pub detail: String,
    /// The operation that showed it.
    pub operation: Name,
}

/// Through what a principal acts, as a part of keys.
const PROGRAM: u64 = 0;
const CONSOLE: u64 = 1;

/// What a row shows, as keys of the memory.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    principal: u64,
    network: [u64; 2],
    client: [u64; 2],
    region: [u64; 2],
    mode: u64,
    console: u64,
    /// The same sign-in with a second factor, where this is one without.
    with_factor: Option<u64>,
    credential: u64,
    pub operation: u64,
    operation_of_type: u64,
    operation_of_company: u64,
}

impl Facts {
    pub fn of(row: &Row<'_>) -> Self {
        let Row { vendor, account, principal, operation, credential, network, client, region, .. } = *row;
        let mode = if row.is_console() { CONSOLE } else { PROGRAM };
        let who = combine([vendor.id(), account.id(), principal.id()]);
        let (vendor, operation) = (vendor.id(), operation.id());
        let with_factor = row.operation.as_str().strip_suffix(WITHOUT_MFA);
        Self {
            principal: key(b'w', [who]),
            network: [key(b'n', [network.id()]), key(b'N', [who, network.id()])],
            client: [key(b'c', [client.id()]), key(b'C', [who, client.id()])],
            region: [key(b'r', [vendor, region.id()]), key(b'R', [who, region.id()])],
            mode: key(b'm', [who, mode]),
            console: key(b'm', [who, CONSOLE]),
            with_factor: with_factor.map(|with| key(b'o', [who, Name::id_of(with)])),
            credential: key(b'k', [credential.id()]),
            operation: key(b'o', [who, operation]),
            operation_of_type: key(b't', [vendor, row.principal_type(), operation]),
            operation_of_company: key(b'O', [vendor, operation]),
        }
    }

    pub fn all(self) -> [u64; 12] {
        let ([n, own_n], [c, own_c], [r, own_r]) = (self.network, self.client, self.region);
        let operations = [self.operation, self.operation_of_type, self.operation_of_company];
        let [own_o, type_o, o] = operations;
        [self.principal, n, own_n, c, own_c, r, own_r, self.mode, self.credential, own_o, type_o, o]
    }
}

/// What the memory knew of a principal when a row came.
pub(super) struct Looked {
    pub marks: Vec<Mark>,
    /// The network is one of the principal's.
    pub is_at_home: bool,
    /// A sensitive operation that the principal never did.
    pub is_sensitive_first: bool,
}

/// Everything that a row shows for the first time on its day.
pub(super) fn look(
    row: &Row<'_>,
    facts: &Facts,
    memory: &Memory,
    history: &BTreeSet<u64>,
    day: i64,
    role: Role,
) -> Looked {
    let knows = |key: u64| memory.knows(history, key, day);
    let step = row.step;
    let is_old = knows(facts.principal);
    let is_first_operation = !knows(facts.operation);
    let is_at_home = is_old && knows(facts.network[1]);
    let is_sensitive_first = step.is_sensitive() && is_first_operation;
    let mut marks = Vec::new();
    if row.is_by_vendor() {
        return Looked { marks, is_at_home, is_sensitive_first: false };
    }
    let mut mark = |group: Group, grade: u8, step: Option<StepClass>, detail: &Name| {
        let class = Class { group, grade, step, role };
        marks.push(Mark { class, detail: detail.to_string(), operation: row.operation.clone() });
    };
    if !is_old {
        mark(Group::Principal, 1, None, row.principal);
    }
    let places = [
        (Group::Network, facts.network, row.network),
        (Group::Client, facts.client, row.client),
        (Group::Region, facts.region, row.region),
    ];
    for (group, [company, own], value) in places {
        if value.is_empty() || knows(own) {
            continue;
        }
        let is_new = !knows(company);
        if is_old || is_new {
            mark(group, u8::from(is_new), None, value);
        }
    }
    if is_old && row.is_console() && !knows(facts.console) {
        mark(Group::Mode, 0, None, row.client);
    }
    if facts.with_factor.is_some_and(knows) && is_first_operation {
        mark(Group::Mode, 1, None, row.operation);
    }
    if is_old && !row.credential.is_empty() && !knows(facts.credential) {
        mark(Group::Credential, 1, None, row.credential);
    }
    if is_first_operation && step != StepClass::Login {
        let grade = match (knows(facts.operation_of_company), knows(facts.operation_of_type)) {
            (false, _) => 2,
            (true, false) => 1,
            (true, true) => 0,
        };
        if is_old || grade == 2 || step.is_sensitive() {
            mark(Group::Operation, grade, Some(step), row.operation);
        }
    }
    Looked { marks, is_at_home, is_sensitive_first }
}
