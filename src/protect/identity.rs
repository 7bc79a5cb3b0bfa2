//! By what a gateway knows a caller.
//!
//! Logs name callers; how a gateway recognises one is the house's matter. A caller known by its address is recognised by it in every format.
//!
//! Not here: how each format says it (`formats`).

use super::error::ProtectError;

/// What stands for the caller's name.
const PLACE: &str = "{caller}";
/// Longest option, bytes.
const MAX_BYTES: usize = 253;

/// By what gateways know callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    header: Option<String>,
    principal: [String; 2],
    label: String,
}

impl Default for Identity {
    fn default() -> Self {
        let principal = [String::new(), String::new()];
        Self { header: None, principal, label: "app.kubernetes.io/name".to_owned() }
    }
}

impl Identity {
    /// Checks what somebody wrote: a request header that names the caller, the principal of its client certificate with `{caller}` in it, the
    /// label of its pods.
    ///
    /// # Errors
    /// [`ProtectError::Identity`].
    pub fn new(header: Option<&str>, principal: Option<&str>, label: Option<&str>) -> Result<Self, ProtectError> {
        let refuse = |option, problem| Err(ProtectError::Identity { option, problem });
        let is_word = |text: &str, others: &str| {
            let is_in = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
            (1..=MAX_BYTES).contains(&text.len())
                && text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.chars().all(is_in)
        };
        let mut identity = Self::default();
        if let Some(header) = header {
            if !is_word(header, "-_") {
                return refuse("--caller-header", "write the name of a request header, as in x-caller");
            }
            identity.header = Some(header.to_ascii_lowercase());
        }
        if let Some(principal) = principal {
            let parts = principal.split_once(PLACE).filter(|(before, after)| {
                !after.contains(PLACE)
                    && [*before, *after].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_graphic()))
            });
            let Some((before, after)) = parts else {
                return refuse(
                    "--principal",
                    "write it with {caller} once, as in spiffe://example.org/ns/prod/sa/{caller}",
                );
            };
            identity.principal = [before.to_owned(), after.to_owned()];
        }
        if let Some(label) = label {
            if !is_word(label, "-_./") || label.matches('/').count() > 1 {
                return refuse("--caller-label", "write the key of a label, as in app.kubernetes.io/name");
            }
            label.clone_into(&mut identity.label);
        }
        Ok(identity)
    }

    /// The request header that names the caller, in lower case, if one does.
    pub fn header(&self) -> Option<&str> {
        self.header.as_deref()
    }

    /// The principal of a caller's client certificate.
    pub fn principal(&self, caller: &str) -> String {
        let [before, after] = &self.principal;
        format!("{before}{caller}{after}")
    }

    /// The label of pods that names the caller.
    pub fn label(&self) -> &str {
        &self.label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_not_stay_one_name_is_refused_with_what_to_write() {
        let good = Identity::new(Some("X-Caller"), Some("spiffe://a/{caller}"), Some("app")).unwrap();
        assert_eq!((good.header(), &*good.principal("b"), good.label()), (Some("x-caller"), "spiffe://a/b", "app"));
        for header in ["", "a b", "a\nb", "a:b", "-x"] {
            assert!(Identity::new(Some(header), None, None).unwrap_err().to_string().contains("x-caller"), "{header}");
        }
        for principal in ["", "caller", "{caller}{caller}", "{caller}\n", "{caller} x"] {
            assert!(Identity::new(None, Some(principal), None).is_err(), "{principal}");
        }
        for label in ["a/b/c", "a\"", "", "/a"] {
            assert!(Identity::new(None, None, Some(label)).is_err(), "{label}");
        }
    }
}
