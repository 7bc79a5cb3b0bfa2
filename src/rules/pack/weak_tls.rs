//! Calls over a TLS version below the policy's (1.2 unless it says otherwise; RFC 8996 withdrew 1.0 and 1.1).
//!
//! Misses logs without the TLS version; ciphers and certificates are in no log.

use super::{Broken, Builtin, Judge, Level};
use crate::calls::{Dimension, Relation};
use crate::rules::policy::{Policy, TLS_VERSIONS};

pub(super) const RULE: Builtin = Builtin {
    name: "weak_tls",
    summary: "a call over a TLS version that the policy does not allow",
    level: Level::Medium,
    breaks: &["vendor=stripe, tls_version=1.1", "vendor=stripe, tls_version=ssl3"],
    keeps: &["vendor=stripe, tls_version=1.2", "vendor=stripe, tls_version=1.3", "vendor=stripe"],
    judge: Judge::Relation(judge),
};

fn judge(relation: &Relation, policy: &Policy) -> Option<Broken> {
    let version = relation.name(Dimension::TlsVersion).as_str();
    let index = TLS_VERSIONS.iter().position(|known| *known == version)?;
    let is_weak = index < policy.min_tls;
    is_weak.then(|| {
        Broken::new(
            format!("called {} over TLS {version}", relation.host()),
            format!("TLS {}", TLS_VERSIONS[policy.min_tls]),
        )
    })
}
