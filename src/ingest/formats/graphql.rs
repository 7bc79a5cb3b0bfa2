//! GraphQL: which operation a request asked for, of logs that keep its body or say so in fields of their own.
//!
//! Only the operation's type and name are taken; variables and the fields that are asked for are never looked at.

use std::borrow::Cow;

/// `mutation CreateCharge`, by the name and type that stand in fields of their own.
pub(super) fn of_name<'a>(kind: Option<Cow<'a, str>>, name: Option<Cow<'a, str>>) -> Option<Cow<'a, str>> {
    match (kind, name) {
        (Some(kind), Some(name)) => Some(format!("{} {name}", kind.to_ascii_lowercase()).into()),
        (kind, name) => name.or(kind.map(|kind| kind.to_ascii_lowercase().into())),
    }
}

/// The same by what a body says: the operation's name, and the text of the document, whose first words are its type and name.
pub(super) fn of_body<'a>(name: Option<Cow<'a, str>>, document: Option<&str>) -> Option<Cow<'a, str>> {
    let Some((kind, own_name)) = document.and_then(beginning) else {
        // Persisted: the document was sent once, and is named by its hash since.
        return name.filter(|_| document.is_none());
    };
    of_name(Some(kind.to_owned().into()), name.or_else(|| own_name.map(|name| name.to_owned().into())))
}

/// Type and name of the first operation of a document. One that begins with a brace is a query.
fn beginning(document: &str) -> Option<(&str, Option<&str>)> {
    let document = document.trim_start();
    if document.starts_with('{') {
        return Some(("query", None));
    }
    let end_of_word = |text: &str| text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (kind, rest) = document.split_at(end_of_word(document));
    let rest = rest.trim_start();
    let name = Some(&rest[..end_of_word(rest)]).filter(|name| !name.is_empty());
    ["query", "mutation", "subscription"].contains(&kind).then_some((kind, name))
}

/// Whether a path is one that GraphQL is served at.
pub(super) fn is_served_at(path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    path.rsplit('/').next().is_some_and(|last| last.to_ascii_lowercase().starts_with("graphql"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_named_by_its_fields_its_body_or_its_document() {
        let text = |text: &'static str| Some(Cow::Borrowed(text));
        assert_eq!(of_name(text("Mutation"), text("A")).as_deref(), Some("mutation A"));
        assert_eq!(of_name(None, text("A")).as_deref(), Some("A"));
        for (name, document, expected) in [
            (text("A"), Some("query A($x: ID!) { user(id: $x) { mail } }"), Some("query A")),
            (None, Some("\n mutation Pay($card: Card) { pay(card: $card) }"), Some("mutation Pay")),
            (None, Some("{ me { mail } }"), Some("query")),
            (None, Some("query($x: ID!) { user(id: $x) }"), Some("query")),
            (text("A"), None, Some("A")),
            (text("A"), Some("select * from a"), None),
            (None, None, None),
        ] {
            assert_eq!(of_body(name, document).as_deref(), expected, "{document:?}");
        }
    }

    #[test]
    fn a_path_is_that_of_graphql_by_its_last_segment() {
        assert!(["/graphql", "/admin/api/2024-10/graphql.json", "/api/GraphQL/?a=b"].into_iter().all(is_served_at));
        assert!(!["/", "/graphql/users", "/v1/a"].into_iter().any(is_served_at));
    }
}
