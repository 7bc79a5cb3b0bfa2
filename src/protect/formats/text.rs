//! What several formats share: YAML as policies have it, and expressions with the line of what is wrong.
//!
//! Not here: quoting (`names`).

use regex::Regex;

use crate::protect::pattern::whole;
use crate::protect::policy::Fault;
use crate::rules::yaml::{Node, documents};

/// Calls `read` with each document of a text.
pub(super) fn each_document(text: &str, read: impl FnMut(Node<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
    let read = documents(text, read).map_err(|bad| Fault::new(bad.line, bad.problem))?;
    read.into_iter().collect()
}

/// The value at a path of keys.
pub(super) fn at<'a>(node: Node<'a>, path: &[&str]) -> Result<Node<'a>, Fault> {
    path.iter().try_fold(node, |node, key| {
        let missing = || Fault::new(node.line(), format!("`{key}` is missing: `protect propose` writes one"));
        node.get(key).map(|(_, value)| value).ok_or_else(missing)
    })
}

/// The texts of a sequence, or of the one value.
pub(super) fn texts(node: Node<'_>) -> Result<Vec<(usize, String)>, Fault> {
    node.one_or_many().into_iter().map(|item| text(item).map(|text| (item.line(), text))).collect()
}

/// A text.
pub(super) fn text(node: Node<'_>) -> Result<String, Fault> {
    node.text().ok_or_else(|| Fault::new(node.line(), "a text is expected here"))
}

/// The items of a sequence.
pub(super) fn items(node: Node<'_>) -> Result<Vec<Node<'_>>, Fault> {
    node.items().ok_or_else(|| Fault::new(node.line(), "a list is expected here"))
}

/// Refuses keys other than those that a format writes: what is not understood may allow anything.
pub(super) fn only(node: Node<'_>, known: &[&str]) -> Result<(), Fault> {
    let entries = node.entries().ok_or_else(|| Fault::new(node.line(), "a mapping is expected here"))?;
    match entries.into_iter().find(|(key, ..)| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some((_, key, _)) => {
            let known = known.join("`, `");
            Err(Fault::new(key.line(), format!("a key that `protect check` cannot judge; known here are `{known}`")))
        }
    }
}

/// An expression that must match as a whole.
pub(super) fn expression(line: usize, text: &str) -> Result<Regex, Fault> {
    whole(text).map_err(|problem| Fault::new(line, problem))
}
