//! How a call ended, in the words of formats that say it otherwise than by an HTTP status.
//!
//! Not here: what an HTTP status says (`calls::Outcome::of_status`).

use crate::calls::Outcome;

/// What a gRPC status says, by number or by name.
///
/// Source: grpc.io, "Status codes and their use in gRPC".
pub(super) fn of_grpc(status: &str) -> Option<Outcome> {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    let is_name = |name: &str| name.eq_ignore_ascii_case(status) || name.replace('_', "").eq_ignore_ascii_case(status);
    let code = status.parse().ok().or_else(|| NAMES.iter().position(|name| is_name(name)))?;
    Some(match code {
        0 => Outcome::Ok,
        7 | 16 => Outcome::Denied,
        8 => Outcome::Throttled,
        // The caller gave up, or its time was over before an answer came.
        1 | 4 => Outcome::NoResponse,
        3 | 5 | 6 | 9 | 11 | 12 => Outcome::ClientError,
        2 | 10 | 13 | 14 | 15 => Outcome::ServerError,
        _ => return None,
    })
}

/// What a word for success or failure says, as audit logs use them. `None` for other words.
pub(super) fn of_word(word: &str) -> Option<Outcome> {
    let is = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
    if is(&[
        "success",
        "succeeded",
        "successful",
        "ok",
        "true",
        "allow",
        "allowed",
        "0",
        "partiallysucceeded",
        "accept",
        "started",
    ]) {
        Some(Outcome::Ok)
    } else if is(&["denied", "deny", "forbidden", "unauthorized", "blocked", "accessdenied"]) {
        Some(Outcome::Denied)
    } else if is(&["rate_limit", "throttled", "throttle", "ratelimited"]) {
        Some(Outcome::Throttled)
    } else if is(&["failure", "failed", "fail", "error", "false"]) {
        Some(Outcome::ClientError)
    } else {
        None
    }
}

/// What an HTTP status and a word beside it say together: `success` may stand beside a 500, and `failure` beside a 200 that only
/// carried the answer.
pub(super) fn of_status_and_word(status: Option<u16>, word: Option<&str>) -> Option<Outcome> {
    let by_status = status.map(|status| Outcome::of_status(Some(status)));
    match (by_status, word) {
        (Some(outcome), _) if outcome != Outcome::Ok => Some(outcome),
        (_, Some(word)) if word.eq_ignore_ascii_case("failure") => Some(Outcome::ServerError),
        (None, Some(word)) if word.eq_ignore_ascii_case("success") => Some(Outcome::Ok),
        (outcome, _) => outcome,
    }
}

/// What a gateway's status says where it is no answer of the vendor: the caller left (499), or the gateway found nobody to answer.
/// `has_answered` is whether the vendor did, where the log tells.
pub(super) fn of_gateway(status: Option<u16>, has_answered: Option<bool>) -> Option<Outcome> {
    match (status, has_answered) {
        (Some(499), _) | (Some(502..=504), Some(false)) => Some(Outcome::NoResponse),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_status_is_read_by_number_and_by_name() {
        for (status, expected) in [
            ("0", Some(Outcome::Ok)),
            ("7", Some(Outcome::Denied)),
            ("PERMISSION_DENIED", Some(Outcome::Denied)),
            ("PermissionDenied", Some(Outcome::Denied)),
            ("Unavailable", Some(Outcome::ServerError)),
            ("99", None),
            ("fine", None),
        ] {
            assert_eq!(of_grpc(status), expected, "{status}");
        }
    }

    #[test]
    fn a_failure_under_a_200_is_one_and_a_success_beside_a_500_is_none() {
        assert_eq!(of_status_and_word(Some(200), Some("failure")), Some(Outcome::ServerError));
        assert_eq!(of_status_and_word(Some(500), Some("success")), Some(Outcome::ServerError));
        assert_eq!(of_status_and_word(Some(404), Some("failure")), Some(Outcome::ClientError));
        assert_eq!(of_status_and_word(None, Some("success")), Some(Outcome::Ok));
        assert_eq!(of_status_and_word(None, Some("unknown")), None);
        assert_eq!(of_status_and_word(None, None), None);
    }

    #[test]
    fn a_gateway_that_answers_in_the_vendors_place_had_no_answer() {
        assert_eq!(of_gateway(Some(499), None), Some(Outcome::NoResponse));
        assert_eq!(of_gateway(Some(502), Some(false)), Some(Outcome::NoResponse));
        for (status, has_answered) in
            [(Some(502), None), (Some(502), Some(true)), (Some(401), Some(false)), (None, None)]
        {
            assert_eq!(of_gateway(status, has_answered), None, "{status:?}");
        }
    }
}
