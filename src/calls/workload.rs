//! Workloads: the name that stays, of a process whose own name changes with every start.
//!
//! Not here: which field of a log names the process (`ingest`).

/// The workload that a pod, or whatever bears a generated name, is one of: `billing` of `billing-7d4b9c6f5d-x2x7k` (a deployment's), of
/// `billing-x2x7k` (a job's or daemon set's) and of `billing-0` (a stateful set's).
///
/// Kubernetes draws generated suffixes from consonants and digits alone, so that they spell no word: that is what tells them apart.
///
/// Source: kubernetes.io, `apimachinery/pkg/util/rand` (`SafeEncodeString`).
pub fn workload_of_pod(name: &str) -> &str {
    let cut = |name: &str, is_suffix: fn(&str) -> bool| {
        let (head, tail) = name.rsplit_once('-')?;
        (!head.is_empty() && is_suffix(tail)).then_some(head.len())
    };
    if let Some(end) = cut(name, is_drawn) {
        let head = &name[..end];
        return cut(head, is_template_hash).or_else(|| cut(head, is_time)).map_or(head, |end| &head[..end]);
    }
    cut(name, is_ordinal).map_or(name, |end| &name[..end])
}

/// The deployment or cron job that a replica's name is one of: `billing` of `billing-7d4b9c6f5d-x2x7k`, `nightly` of `nightly-28123456-x7k2p`; any other name as it is. Both suffixes
/// together are no accident, so this holds for names of which nobody says that they are a pod's.
pub fn workload_of_replica(name: &str) -> &str {
    let parts = || {
        let (head, drawn) = name.rsplit_once('-')?;
        let (workload, hash) = head.rsplit_once('-')?;
        let is_generated = is_template_hash(hash) || is_time(hash);
        (is_drawn(drawn) && is_generated && !workload.is_empty()).then_some(workload)
    };
    parts().unwrap_or(name)
}

const DRAWN: &str = "bcdfghjklmnpqrstvwxz2456789";

fn is_drawn(part: &str) -> bool {
    part.len() == 5 && part.chars().all(|c| DRAWN.contains(c))
}

/// A replica set's hash: eight to ten of the same characters.
fn is_template_hash(part: &str) -> bool {
    (8..=10).contains(&part.len())
        && part.chars().all(|c| DRAWN.contains(c))
        && part.bytes().any(|c| c.is_ascii_digit())
}

/// When a cron job's run began, minutes since the epoch.
fn is_time(part: &str) -> bool {
    part.len() == 8 && part.bytes().all(|c| c.is_ascii_digit())
}

fn is_ordinal(part: &str) -> bool {
    (1..=3).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_any_name_only_a_replicas_two_suffixes_go() {
        for (name, workload) in [
            ("billing-7d4b9c6f5d-x2x7k", "billing"),
            ("nightly-28123456-x7k2p", "nightly"),
            ("agent-x2x7k", "agent-x2x7k"),
            ("ledger-sync-job-9", "ledger-sync-job-9"),
            ("7d4b9c6f5d-x2x7k", "7d4b9c6f5d-x2x7k"),
        ] {
            assert_eq!(workload_of_replica(name), workload, "{name}");
        }
    }

    #[test]
    fn a_generated_suffix_goes_and_a_word_stays() {
        for (pod, workload) in [
            ("billing-7d4b9c6f5d-x2x7k", "billing"),
            ("crm-sync-6b8f9c7d5-zxk4p", "crm-sync"),
            ("report-28912345-bx7vq", "report"),
            ("agent-x2x7k", "agent"),
            ("orders-0", "orders"),
            ("billing-worker", "billing-worker"),
            ("billing-proxy-admin", "billing-proxy-admin"),
            ("x2x7k", "x2x7k"),
            ("", ""),
        ] {
            assert_eq!(workload_of_pod(pod), workload, "{pod}");
        }
    }
}
