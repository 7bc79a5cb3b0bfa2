//! The techniques of MITRE ATT&CK (Enterprise) that our detectors can name, as data: ids move between versions.
//!
//! A technique that serves several tactics stands under the one that fits calls to a third party best.
//!
//! Not here: which detector names which technique.

use crate::calls::VendorCategory;

/// A technique or sub-technique of ATT&CK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Technique {
    /// Id: `T1567`, or `T1567.002` for a sub-technique.
    pub uid: &'static str,
    /// ATT&CK's name; that of a sub-technique without its parent's.
    pub name: &'static str,
    /// Id of the tactic (`TA0010`).
    pub tactic_uid: &'static str,
    /// Name of the tactic.
    pub tactic: &'static str,
}

impl Technique {
    /// Version of ATT&CK that ids and names are taken from.
    pub const ATTACK_VERSION: &'static str = "18.1";

    /// The technique that a sub-technique belongs to.
    pub fn parent(&self) -> Option<&'static Self> {
        self.uid.split_once('.').and_then(|(parent, _)| technique(parent))
    }
}

/// The technique or sub-technique of this id.
pub fn technique(uid: &str) -> Option<&'static Technique> {
    TECHNIQUES.iter().find(|technique| technique.uid == uid)
}

/// Of exfiltration over a web service, the sub-technique that a kind of destination makes it; any other technique as it is.
pub(super) fn to_destination(uid: &'static str, destination: Option<VendorCategory>) -> &'static str {
    match (uid, destination) {
        ("T1567", Some(VendorCategory::Code)) => "T1567.001",
        ("T1567", Some(VendorCategory::Storage | VendorCategory::FileDrop)) => "T1567.002",
        ("T1567", Some(VendorCategory::Paste)) => "T1567.003",
        ("T1567", Some(VendorCategory::Webhook | VendorCategory::Messaging)) => "T1567.004",
        _ => uid,
    }
}

/// Id and name.
type Tactic = (&'static str, &'static str);

const INITIAL_ACCESS: Tactic = ("TA0001", "Initial Access");
const PERSISTENCE: Tactic = ("TA0003", "Persistence");
const DEFENSE_EVASION: Tactic = ("TA0005", "Defense Evasion");
const CREDENTIAL_ACCESS: Tactic = ("TA0006", "Credential Access");
const DISCOVERY: Tactic = ("TA0007", "Discovery");
const COLLECTION: Tactic = ("TA0009", "Collection");
const EXFILTRATION: Tactic = ("TA0010", "Exfiltration");
const COMMAND_AND_CONTROL: Tactic = ("TA0011", "Command and Control");
const IMPACT: Tactic = ("TA0040", "Impact");
const RECONNAISSANCE: Tactic = ("TA0043", "Reconnaissance");

const fn of((tactic_uid, tactic): Tactic, uid: &'static str, name: &'static str) -> Technique {
    Technique { uid, name, tactic_uid, tactic }
}

static TECHNIQUES: &[Technique] = &[
    of(INITIAL_ACCESS, "T1078", "Valid Accounts"),
    of(INITIAL_ACCESS, "T1078.004", "Cloud Accounts"),
    of(INITIAL_ACCESS, "T1195", "Supply Chain Compromise"),
    of(INITIAL_ACCESS, "T1199", "Trusted Relationship"),
    of(PERSISTENCE, "T1098", "Account Manipulation"),
    of(PERSISTENCE, "T1098.001", "Additional Cloud Credentials"),
    of(PERSISTENCE, "T1098.003", "Additional Cloud Roles"),
    of(PERSISTENCE, "T1136", "Create Account"),
    of(PERSISTENCE, "T1136.003", "Cloud Account"),
    of(DEFENSE_EVASION, "T1550", "Use Alternate Authentication Material"),
    of(DEFENSE_EVASION, "T1550.001", "Application Access Token"),
    of(DEFENSE_EVASION, "T1562", "Impair Defenses"),
    of(DEFENSE_EVASION, "T1562.008", "Disable or Modify Cloud Logs"),
    of(CREDENTIAL_ACCESS, "T1040", "Network Sniffing"),
    of(CREDENTIAL_ACCESS, "T1110", "Brute Force"),
    of(CREDENTIAL_ACCESS, "T1110.003", "Password Spraying"),
    of(CREDENTIAL_ACCESS, "T1110.004", "Credential Stuffing"),
    of(CREDENTIAL_ACCESS, "T1528", "Steal Application Access Token"),
    of(CREDENTIAL_ACCESS, "T1552", "Unsecured Credentials"),
    of(CREDENTIAL_ACCESS, "T1552.001", "Credentials In Files"),
    of(CREDENTIAL_ACCESS, "T1552.005", "Cloud Instance Metadata API"),
    of(CREDENTIAL_ACCESS, "T1557", "Adversary-in-the-Middle"),
    of(DISCOVERY, "T1087", "Account Discovery"),
    of(DISCOVERY, "T1087.004", "Cloud Account"),
    of(DISCOVERY, "T1526", "Cloud Service Discovery"),
    of(DISCOVERY, "T1580", "Cloud Infrastructure Discovery"),
    of(COLLECTION, "T1119", "Automated Collection"),
    of(COLLECTION, "T1213", "Data from Information Repositories"),
    of(COLLECTION, "T1530", "Data from Cloud Storage"),
    of(EXFILTRATION, "T1029", "Scheduled Transfer"),
    of(EXFILTRATION, "T1030", "Data Transfer Size Limits"),
    of(EXFILTRATION, "T1041", "Exfiltration Over C2 Channel"),
    of(EXFILTRATION, "T1048", "Exfiltration Over Alternative Protocol"),
    of(EXFILTRATION, "T1048.002", "Exfiltration Over Asymmetric Encrypted Non-C2 Protocol"),
    of(EXFILTRATION, "T1048.003", "Exfiltration Over Unencrypted Non-C2 Protocol"),
    of(EXFILTRATION, "T1537", "Transfer Data to Cloud Account"),
    of(EXFILTRATION, "T1567", "Exfiltration Over Web Service"),
    of(EXFILTRATION, "T1567.001", "Exfiltration to Code Repository"),
    of(EXFILTRATION, "T1567.002", "Exfiltration to Cloud Storage"),
    of(EXFILTRATION, "T1567.003", "Exfiltration to Text Storage Sites"),
    of(EXFILTRATION, "T1567.004", "Exfiltration Over Webhook"),
    of(COMMAND_AND_CONTROL, "T1071", "Application Layer Protocol"),
    of(COMMAND_AND_CONTROL, "T1071.001", "Web Protocols"),
    of(COMMAND_AND_CONTROL, "T1090", "Proxy"),
    of(COMMAND_AND_CONTROL, "T1102", "Web Service"),
    of(COMMAND_AND_CONTROL, "T1102.002", "Bidirectional Communication"),
    of(IMPACT, "T1485", "Data Destruction"),
    of(IMPACT, "T1486", "Data Encrypted for Impact"),
    of(IMPACT, "T1490", "Inhibit System Recovery"),
    of(IMPACT, "T1496", "Resource Hijacking"),
    of(IMPACT, "T1496.001", "Compute Hijacking"),
    of(IMPACT, "T1496.003", "SMS Pumping"),
    of(IMPACT, "T1496.004", "Cloud Service Hijacking"),
    of(IMPACT, "T1499", "Endpoint Denial of Service"),
    of(IMPACT, "T1499.002", "Service Exhaustion Flood"),
    of(IMPACT, "T1499.003", "Application Exhaustion Flood"),
    of(RECONNAISSANCE, "T1595", "Active Scanning"),
    of(RECONNAISSANCE, "T1595.002", "Vulnerability Scanning"),
    of(RECONNAISSANCE, "T1595.003", "Wordlist Scanning"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str, count: usize) -> bool {
        text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
    }

    #[test]
    fn every_technique_is_well_formed_and_found_by_its_id() {
        for entry in TECHNIQUES {
            let number = entry.uid.strip_prefix('T').unwrap();
            let (number, sub) = number.split_once('.').unwrap_or((number, "000"));
            assert!(digits(number, 4) && digits(sub, 3), "{}", entry.uid);
            assert!(entry.tactic_uid.strip_prefix("TA").is_some_and(|tactic| digits(tactic, 4)), "{}", entry.uid);
            assert!(!entry.name.is_empty(), "{}", entry.uid);
            assert!(std::ptr::eq(technique(entry.uid).unwrap(), entry), "{} stands twice", entry.uid);
        }
    }

    #[test]
    fn data_that_left_is_told_apart_by_where_it_went() {
        assert_eq!(to_destination("T1567", Some(VendorCategory::FileDrop)), "T1567.002");
        assert_eq!(to_destination("T1567", Some(VendorCategory::Payments)), "T1567");
        assert_eq!(to_destination("T1530", Some(VendorCategory::Storage)), "T1530");
        assert!(["T1567.001", "T1567.002", "T1567.003", "T1567.004"].iter().all(|uid| technique(uid).is_some()));
    }

    #[test]
    fn every_sub_technique_has_its_parent_under_the_same_tactic() {
        for entry in TECHNIQUES {
            assert_eq!(entry.parent().is_some(), entry.uid.contains('.'), "{}", entry.uid);
            assert!(entry.parent().is_none_or(|parent| parent.tactic_uid == entry.tactic_uid), "{}", entry.uid);
        }
    }
}
