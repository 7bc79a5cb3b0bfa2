//! The words of an operation's name, and what the classifier of operations sees of them.
//!
//! The crate that fits the classifier (`datasets/operations/fit`) compiles this very file, so that both see the same words.
//!
//! Not here: what a word means (`level`, `operation`).

/// The words of a name, lower case: CamelCase, dots, slashes and phrases alike. `DBCluster` is `db`, `cluster`.
pub fn words_of(name: &str) -> Vec<String> {
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

/// The features of a name: each of its words, the first marked `^create`, the last `user$`; each once.
pub fn features_of(words: &[String]) -> Vec<String> {
    let first = words.first().map(|word| format!("^{word}"));
    let last = words.last().map(|word| format!("{word}$"));
    let mut features: Vec<String> = words.iter().cloned().chain(first).chain(last).collect();
    features.sort();
    features.dedup();
    features
}
