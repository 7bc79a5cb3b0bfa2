//! What the findings mean in public terms: OWASP API Security Top 10 2023, control frameworks, and what call logs cannot show.
//!
//! The Top 10 is written for whoever offers an API. Here it is read from the other side, that of whoever calls: what of each risk shows in calls.
//! Controls are named by number, as their public catalogues number them: NIST CSF 2.0, NIST SP 800-53 Rev. 5, CIS Controls v8.1, and the Annex A of
//! ISO/IEC 27001:2022. A report is evidence for a control, and no proof that it works.
//!
//! Not here: techniques of MITRE ATT&CK, which single alerts carry.

use serde::Serialize;

use super::incident::Incident;

/// A risk of the Top 10, and what of it is seen.
struct Risk {
    id: &'static str,
    name: &'static str,
    /// `yes`, `partly`, `no`.
    seen: &'static str,
    how: &'static str,
    rules: &'static [&'static str],
    detectors: &'static [&'static str],
}

const TOP_10: [Risk; 10] = [
    Risk {
        id: "API1:2023",
        name: "Broken Object Level Authorization",
        seen: "partly",
        how: "sweeps over objects and bulk reads; not whether a caller may see one object, as ids are templates here",
        rules: &[],
        detectors: &["reconnaissance", "bulk_transfer", "mass_operation", "endpoint_mix"],
    },
    Risk {
        id: "API2:2023",
        name: "Broken Authentication",
        seen: "yes",
        how: "calls without a credential; credentials that are shared, old, idle, guessed, or used from elsewhere",
        rules: &[
            "unauthenticated",
            "credential_shared",
            "credential_overdue",
            "credential_idle",
            "environment_crossed",
        ],
        detectors: &["credential_misuse", "password_spray", "odd_hours"],
    },
    Risk {
        id: "API3:2023",
        name: "Broken Object Property Level Authorization",
        seen: "no",
        how: "payloads are not kept; an answer that is larger than usual is seen",
        rules: &["oversize_answer"],
        detectors: &["burst", "slow_leak"],
    },
    Risk {
        id: "API4:2023",
        name: "Unrestricted Resource Consumption",
        seen: "yes",
        how: "calls, bytes and spending beyond a budget or beyond what is usual",
        rules: &["budget_exceeded", "oversize_answer"],
        detectors: &["call_volume", "spend", "burst"],
    },
    Risk {
        id: "API5:2023",
        name: "Broken Function Level Authorization",
        seen: "partly",
        how: "administrative operations used for the first time, and denied calls; not which rights there are",
        rules: &[],
        detectors: &["privileged_endpoint", "permission_probing", "account_transfer"],
    },
    Risk {
        id: "API6:2023",
        name: "Unrestricted Access to Sensitive Business Flows",
        seen: "partly",
        how: "a changed mix of endpoints and mass operations; not which flow is sensitive",
        rules: &[],
        detectors: &["endpoint_mix", "mass_operation", "multivariate"],
    },
    Risk {
        id: "API7:2023",
        name: "Server Side Request Forgery",
        seen: "yes",
        how: "calls to private, link-local and bare addresses, and to destinations never called before",
        rules: &["private_destination", "bare_address", "vendor_not_approved"],
        detectors: &["new_destination", "beacon"],
    },
    Risk {
        id: "API8:2023",
        name: "Security Misconfiguration",
        seen: "partly",
        how: "plaintext, old TLS, HTML where JSON belongs; not the configuration of either side",
        rules: &["plaintext", "weak_tls", "html_answer", "region_not_allowed"],
        detectors: &["weak_transport"],
    },
    Risk {
        id: "API9:2023",
        name: "Improper Inventory Management",
        seen: "yes",
        how: "the inventory, what is new and gone, vendors that nobody approved, endpoints that are deprecated",
        rules: &["vendor_not_approved", "endpoint_deprecated"],
        detectors: &["new_destination", "new_behaviour", "silence", "logs_stopped"],
    },
    Risk {
        id: "API10:2023",
        name: "Unsafe Consumption of APIs",
        seen: "partly",
        how: "vendors that answer otherwise than before; not whether answers are validated before use",
        rules: &["html_answer", "oversize_answer", "plaintext", "weak_tls"],
        detectors: &["vendor_drift", "content_type", "outcome_shift"],
    },
];

/// A risk of the Top 10 in the report.
#[derive(Debug, Serialize)]
pub(super) struct Owasp {
    pub id: &'static str,
    pub name: &'static str,
    pub seen: &'static str,
    pub how: &'static str,
    /// Rules and detectors that look for it.
    pub by: Vec<&'static str>,
    /// Incidents of the period by them; `null` where no alerts were given.
    pub incidents: Option<usize>,
}

/// The Top 10, with the incidents of the period.
pub(super) fn owasp(given: bool, incidents: &[Incident]) -> Vec<Owasp> {
    let row = |risk: &Risk| {
        let is_meant = |incident: &&Incident| match &incident.rule {
            Some(rule) => risk.rules.contains(&rule.as_str()),
            None => risk.detectors.contains(&incident.detector.as_str()),
        };
        Owasp {
            id: risk.id,
            name: risk.name,
            seen: risk.seen,
            how: risk.how,
            by: [risk.rules, risk.detectors].concat(),
            incidents: given.then(|| incidents.iter().filter(is_meant).count()),
        }
    };
    TOP_10.iter().map(row).collect()
}

/// A practice, and the controls that this report is evidence for.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Control {
    pub practice: &'static str,
    /// The section of the report that shows it.
    pub section: &'static str,
    pub csf: &'static str,
    pub sp800_53: &'static str,
    pub cis: &'static str,
    pub iso27001: &'static str,
}

pub(super) const CONTROLS: [Control; 9] = [
    Control {
        practice: "Inventory of external services, kept up to date",
        section: "inventory",
        csf: "ID.AM-04, GV.SC-04",
        sp800_53: "SA-9, AC-20, PM-5",
        cis: "15.1",
        iso27001: "A.5.9, A.5.19, A.5.23",
    },
    Control {
        practice: "Only approved external services are used",
        section: "governance",
        csf: "ID.AM-03, GV.SC-07",
        sp800_53: "SA-9, AC-4, AC-20",
        cis: "15.2",
        iso27001: "A.5.19, A.5.23",
    },
    Control {
        practice: "Policy, violations, and exceptions that end",
        section: "governance",
        csf: "GV.PO-01, ID.RA-07",
        sp800_53: "CA-7, PM-4",
        cis: "15.2",
        iso27001: "A.5.36",
    },
    Control {
        practice: "Credentials are known, rotated and revoked",
        section: "credentials",
        csf: "PR.AA-01",
        sp800_53: "IA-5",
        cis: "5.5",
        iso27001: "A.5.17",
    },
    Control {
        practice: "Encryption in transit",
        section: "data",
        csf: "PR.DS-02",
        sp800_53: "SC-8",
        cis: "3.10",
        iso27001: "A.8.24",
    },
    Control {
        practice: "Monitoring of what is called and of the vendors' behaviour",
        section: "alerts",
        csf: "DE.CM-01, DE.CM-06, DE.AE-02",
        sp800_53: "SI-4, SA-9, AU-6",
        cis: "13.6, 15.6",
        iso27001: "A.5.22, A.8.16",
    },
    Control {
        practice: "Logs are complete, and a log that stops is noticed",
        section: "coverage",
        csf: "PR.PS-04",
        sp800_53: "AU-2, AU-5, AU-12",
        cis: "8.2",
        iso27001: "A.8.15",
    },
    Control {
        practice: "Owners are named, vendors are reviewed",
        section: "ownership",
        csf: "GV.RR-02, GV.SC-02, GV.SC-07",
        sp800_53: "SR-6, SA-9",
        cis: "15.5",
        iso27001: "A.5.2, A.5.22",
    },
    Control {
        practice: "Data that leaves is classified",
        section: "data",
        csf: "ID.AM-07",
        sp800_53: "RA-2, AC-4",
        cis: "3.7, 15.3",
        iso27001: "A.5.12, A.8.12",
    },
];

/// A practice that call logs cannot show, and what does.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Blind {
    pub practice: &'static str,
    pub shown_by: &'static str,
}

pub(super) const BLIND: [Blind; 12] = [
    Blind { practice: "Output encoding of what a vendor answers", shown_by: "code review, static analysis, tests" },
    Blind {
        practice: "Prepared statements, and no commands made of answers",
        shown_by: "code review, static analysis",
    },
    Blind { practice: "Validation of answers before use", shown_by: "code review, contract tests" },
    Blind {
        practice: "The vendor's own patching, hardening and staff",
        shown_by: "the vendor's attestations: SOC 2, ISO/IEC 27001, penetration tests",
    },
    Blind { practice: "Certificates and cipher suites", shown_by: "TLS scans, configuration of the proxy" },
    Blind { practice: "Redirects: whether they are followed, and where to", shown_by: "code review, proxy policy" },
    Blind { practice: "Timeouts, retries and circuit breakers of the client", shown_by: "configuration, fault tests" },
    Blind {
        practice: "Where a key is stored, and whether it is in code",
        shown_by: "secret scanning, the secret store's log",
    },
    Blind {
        practice: "The age of a key before its first call in the logs",
        shown_by: "the vendor's console; ages here are lower bounds",
    },
    Blind {
        practice: "What payloads hold, field by field",
        shown_by: "data loss prevention at the proxy; payloads are not kept here",
    },
    Blind {
        practice: "Rights that a credential has and does not use",
        shown_by: "the vendor's console, access reviews",
    },
    Blind {
        practice: "Calls that no log saw: around the proxy, or of hosts without a shipper",
        shown_by: "egress firewall and DNS logs",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::detector_named;
    use crate::rules::RULES;

    #[test]
    fn every_rule_and_detector_that_a_risk_names_exists() {
        for risk in &TOP_10 {
            for rule in risk.rules {
                assert!(RULES.iter().any(|known| known.name == *rule), "{rule}");
            }
            for detector in risk.detectors {
                assert!(detector_named(detector).is_some(), "{detector}");
            }
        }
    }
}
