//! The client: a user agent's family, without versions and platforms.
//!
//! A family (`boto3`, `node-fetch`) stays for months; versions change with each release and would all look new. That something was
//! released is known by its number: the whole user agent as one that means nothing by itself.
//!
//! Not here: whether a client was seen before.

use super::name::Name;
use super::secret::looks_secret;

/// Longest family, characters.
const MAX_FAMILY: usize = 40;
/// Beginnings of clients that people and attack tools use, and services seldom do.
const INTERACTIVE_TOOLS: [&str; 17] = [
    "curl",
    "wget",
    "httpie",
    "postman",
    "insomnia",
    "powershell",
    "winhttp",
    "rclone",
    "restic",
    "nuclei",
    "sqlmap",
    "burp",
    "nmap",
    "masscan",
    "gobuster",
    "mozilla",
    "python-urllib",
];

/// The family of a user agent: lower case, at most 40 characters. `None` where its first word looks like a secret.
pub(super) fn family(user_agent: &str) -> Option<String> {
    let agent = user_agent.trim().trim_start_matches('[');
    if agent.split_whitespace().next().is_some_and(looks_secret) {
        return None;
    }
    let product = agent.split(|c: char| c.is_whitespace() || "/,;()[]\"".contains(c)).next().unwrap_or_default();
    // Partners of AWS put `APN/1.0` first; the product that matters follows.
    let product = if product == "APN" && agent.contains("Terraform") { "terraform" } else { product };
    let family = without_run_id(product);
    Some(family.chars().take(MAX_FAMILY).map(|c| c.to_ascii_lowercase()).collect())
}

/// The number of a release: a hash of 31 bits of the user agent, version included; 0 where there is none.
pub(super) fn release(user_agent: &str) -> i64 {
    const BITS: u64 = (1 << 31) - 1;
    i64::try_from(Name::id_of(user_agent.trim()) & BITS).unwrap_or_default()
}

/// Cuts what changes with every run: `stratus-red-team_ad7e993a-df31-…` is `stratus-red-team`.
fn without_run_id(product: &str) -> &str {
    let mut start = 0;
    for part in product.split(['-', '_']) {
        let hex = part.bytes().all(|byte| byte.is_ascii_hexdigit());
        if start > 0 && hex && part.len() >= 8 && part.bytes().any(|byte| byte.is_ascii_digit()) {
            return &product[..start - 1];
        }
        start += part.len() + 1;
    }
    product
}

/// Whether a client is one that people and attack tools use (`curl`, `postman`, a browser), and services seldom do.
pub fn is_interactive_tool(client: &str) -> bool {
    INTERACTIVE_TOOLS.iter().any(|tool| client.starts_with(tool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_neither_version_nor_platform() {
        for (agent, expected) in [
            ("node-fetch/3.3.2", "node-fetch"),
            ("[Boto3/1.26.165 Python/3.10.6 Linux/5.19.0-46-generic Botocore/1.29.165]", "boto3"),
            ("[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.488]", "s3console"),
            ("APN/1.0 HashiCorp/1.0 Terraform/1.1.2 (+https://www.terraform.io)", "terraform"),
            ("stratus-red-team_ad7e993a-df31-4c47-b824-2dc03aac44a5", "stratus-red-team"),
            ("Mozilla/5.0 (X11; Ubuntu)", "mozilla"),
            ("Apache-HttpClient/5.2.1 (Java/17.0.9)", "apache-httpclient"),
            ("", ""),
        ] {
            assert_eq!(family(agent).as_deref(), Some(expected), "{agent}");
        }
        assert_eq!(family("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), None);
    }

    #[test]
    fn another_version_of_a_client_is_another_release_of_the_same_family() {
        let numbers = ["node-fetch/3.3.2", "node-fetch/3.3.3", "node-fetch/3.3.2 ", ""].map(release);
        assert!(numbers[0] > 0 && numbers[0] != numbers[1] && numbers[0] == numbers[2] && numbers[3] == 0);
    }

    #[test]
    fn tools_are_known_by_their_beginning() {
        assert!(is_interactive_tool("curl") && is_interactive_tool("mozilla") && is_interactive_tool("python-urllib"));
        assert!(!is_interactive_tool("libcurl") && !is_interactive_tool("boto3") && !is_interactive_tool(""));
    }
}
