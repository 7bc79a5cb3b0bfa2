//! What a Sigma field is compared with: wildcards, regular expressions, networks, numbers, null.
//!
//! Comparing is slow beside an integer and is done once per distinct relation (`rules`), so every text pattern is a regular expression.
//!
//! Not here: where the texts come from (`taxonomy`).

use std::net::IpAddr;

use regex::{Regex, RegexBuilder};

use super::yaml::Value;
use crate::calls::Cidr;

/// What a field's text is compared with.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// The field has no value.
    Absent,
    /// The field has a value.
    Present,
    Text(Regex),
    Network(Cidr),
    Number(Ordering, f64),
}

/// How numbers compare.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ordering {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// How a text must lie in the field's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Place {
    #[default]
    Whole,
    Contains,
    Start,
    End,
    Regex,
    Network,
    Exists,
    Number(Ordering),
}

/// The modifiers of a field: `|contains|all`.
#[derive(Clone, Debug, Default)]
pub(super) struct Modifiers {
    /// Whether all values must match, and not one of them.
    pub all: bool,
    place: Place,
    is_cased: bool,
    regex_flags: Vec<char>,
}

impl Modifiers {
    /// Reads the modifiers after a field's name.
    ///
    /// # Errors
    /// The first that is not known.
    pub fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut modifiers = Self::default();
        for word in words {
            match word {
                "all" => modifiers.all = true,
                "cased" => modifiers.is_cased = true,
                "contains" => modifiers.place = Place::Contains,
                "startswith" => modifiers.place = Place::Start,
                "endswith" => modifiers.place = Place::End,
                "re" => modifiers.place = Place::Regex,
                "cidr" => modifiers.place = Place::Network,
                "exists" => modifiers.place = Place::Exists,
                "lt" => modifiers.place = Place::Number(Ordering::Less),
                "lte" => modifiers.place = Place::Number(Ordering::LessOrEqual),
                "gt" => modifiers.place = Place::Number(Ordering::Greater),
                "gte" => modifiers.place = Place::Number(Ordering::GreaterOrEqual),
                "i" | "m" | "s" if modifiers.place == Place::Regex => modifiers.regex_flags.extend(word.chars()),
                _ => return Err(word.to_owned()),
            }
        }
        Ok(modifiers)
    }

    /// The pattern of one value.
    ///
    /// # Errors
    /// What is wrong with the value, and what to write instead.
    pub fn pattern(&self, value: &Value) -> Result<Pattern, String> {
        if self.place == Place::Exists {
            return match value {
                Value::Bool(true) => Ok(Pattern::Present),
                Value::Bool(false) => Ok(Pattern::Absent),
                _ => Err("write true or false after `exists`".to_owned()),
            };
        }
        let text = match value {
            Value::Null => return Ok(Pattern::Absent),
            Value::Bool(is_true) => is_true.to_string(),
            Value::Text(text) => text.clone(),
        };
        // Sigma's way to say that there is no value.
        if text.is_empty() && self.place == Place::Whole {
            return Ok(Pattern::Absent);
        }
        match self.place {
            Place::Network => Cidr::parse(&text)
                .map(Pattern::Network)
                .ok_or_else(|| format!("`{text}` is no network: write 10.0.0.0/8")),
            Place::Number(ordering) => {
                let number = text.parse().map_err(|_| format!("`{text}` is no number"))?;
                Ok(Pattern::Number(ordering, number))
            }
            Place::Regex => {
                let mut builder = RegexBuilder::new(&text);
                builder.case_insensitive(self.regex_flags.contains(&'i'));
                builder
                    .multi_line(self.regex_flags.contains(&'m'))
                    .dot_matches_new_line(self.regex_flags.contains(&'s'));
                builder
                    .build()
                    .map(Pattern::Text)
                    .map_err(|error| format!("the regular expression is not known: {error}"))
            }
            place => {
                let inner = wildcards(&text);
                let (start, end) = match place {
                    Place::Contains => ("", ""),
                    Place::Start => (r"\A", ""),
                    Place::End => ("", r"\z"),
                    _ => (r"\A", r"\z"),
                };
                let mut builder = RegexBuilder::new(&format!("{start}(?:{inner}){end}"));
                builder.case_insensitive(!self.is_cased).dot_matches_new_line(true);
                builder.build().map(Pattern::Text).map_err(|error| error.to_string())
            }
        }
    }
}

/// Sigma's wildcards as a regular expression: `*`, `?`, and a backslash that takes their meaning away.
fn wildcards(text: &str) -> String {
    let mut regex = String::new();
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                let escaped = chars.next_if(|next| matches!(next, '*' | '?' | '\\'));
                regex.push_str(&regex::escape(&escaped.unwrap_or('\\').to_string()));
            }
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            char => regex.push_str(&regex::escape(char.encode_utf8(&mut [0; 4]))),
        }
    }
    regex
}

impl Pattern {
    /// Whether it matches a field with these texts: one that has none has no value.
    pub fn matches(&self, texts: &[impl AsRef<str>]) -> bool {
        let mut texts = texts.iter().map(AsRef::as_ref);
        match self {
            Self::Absent => texts.next().is_none(),
            Self::Present => texts.next().is_some(),
            Self::Text(regex) => texts.any(|text| regex.is_match(text)),
            Self::Network(network) => {
                texts.any(|text| address_of(text).is_some_and(|address| network.contains(address)))
            }
            Self::Number(ordering, number) => {
                texts.any(|text| text.parse().is_ok_and(|own: f64| ordering.holds(own, *number)))
            }
        }
    }
}

impl Ordering {
    fn holds(self, own: f64, other: f64) -> bool {
        match self {
            Self::Less => own < other,
            Self::LessOrEqual => own <= other,
            Self::Greater => own > other,
            Self::GreaterOrEqual => own >= other,
        }
    }
}

/// The address of a text; of a network (`10.20.3.0/24`) its first.
fn address_of(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(modifiers: &str, value: &str, text: &str) -> bool {
        let modifiers = Modifiers::parse(modifiers.split('|').filter(|word| !word.is_empty())).unwrap();
        modifiers.pattern(&Value::Text(value.to_owned())).unwrap().matches(&[text])
    }

    #[test]
    fn texts_match_in_any_case_and_wildcards_stand_for_anything() {
        assert!(matches("", "CreateUser", "createuser") && !matches("cased", "CreateUser", "createuser"));
        assert!(!matches("", "Create", "CreateUser") && matches("", "Create*", "CreateUser"));
        assert!(matches("", "a?c", "abc") && !matches("", r"a\?c", "abc") && matches("", r"a\?c", "a?c"));
        assert!(matches("contains", "user", "CreateUserX") && matches("startswith", "create", "CreateUser"));
        assert!(matches("endswith", ".exe", "/tool.EXE") && !matches("endswith", ".exe", "/tool.exe.txt"));
        assert!(matches("", r"C:\dir", r"C:\dir"), "a backslash before a letter is itself");
    }

    #[test]
    fn regular_expressions_networks_and_numbers_compare_as_they_do() {
        assert!(matches("re", "^Get(Object|Item)$", "GetItem") && !matches("re", "^get", "GetItem"));
        assert!(matches("re|i", "^get", "GetItem"));
        assert!(matches("cidr", "10.0.0.0/8", "10.20.3.0/24") && !matches("cidr", "10.0.0.0/8", "stripe"));
        assert!(matches("lt", "1.2", "1.1") && !matches("lt", "1.2", "1.2") && matches("gte", "100", "100"));
        assert!(!matches("lt", "1.2", "ssl3"), "what is no number compares with none");
    }

    #[test]
    fn null_is_a_field_without_a_value() {
        let none: [&str; 0] = [];
        let absent = Modifiers::default().pattern(&Value::Null).unwrap();
        assert!(absent.matches(&none) && !absent.matches(&["x"]));
        let exists = Modifiers::parse(["exists"].into_iter()).unwrap();
        assert!(exists.pattern(&Value::Bool(true)).unwrap().matches(&["x"]));
        assert!(exists.pattern(&Value::Text("yes".to_owned())).is_err());
    }

    #[test]
    fn what_cannot_be_compared_is_refused_in_words() {
        let error = |modifiers: &'static str, value: &str| {
            Modifiers::parse(modifiers.split('|'))
                .and_then(|own| own.pattern(&Value::Text(value.to_owned())))
                .unwrap_err()
        };
        assert_eq!(error("base64offset", "x"), "base64offset");
        assert!(error("cidr", "ten").contains("write 10.0.0.0/8") && error("gt", "ten").contains("no number"));
        assert!(error("re", "(").contains("regular expression"));
    }
}
