//! Log formats as proxies are configured: NGINX's `log_format`, Apache's `LogFormat`, Squid's `logformat`.
//!
//! One mechanism, a [`Syntax`] each: text and variables in turn. A line is cut at the text between the variables; where the format is a
//! JSON object, each of its values is cut so, under whatever key and in whatever order it comes. A variable fills the path that its
//! format's table names; of others only the user may ask by name.
//!
//! Not here: which variable fills which path (`formats`), and what a path means.

use std::borrow::Cow;

use regex::{Captures, Regex};
use serde_json::Value;

use super::fields::Fields;
use super::paths::Paths;
use super::spec::SpecError;

/// How a proxy writes its log format.
#[derive(Debug)]
pub(super) struct Syntax {
    /// The directive that may stand before it.
    pub directive: &'static str,
    /// Whether the format stands in quotes behind the directive, perhaps in several pieces.
    pub is_quoted: bool,
    /// Regular expression of a variable: its `name`, its `argument`, or both.
    pub variable: &'static str,
    /// Variables, and the paths that they fill.
    pub variables: &'static [(&'static str, &'static str)],
}

/// A log format, ready to cut lines.
#[derive(Debug)]
pub(super) struct LogFormat {
    layout: Layout,
}

#[derive(Debug)]
enum Layout {
    Line(Line),
    /// The values of an object, each cut like a line.
    Object {
        paths: Paths,
        lines: Vec<Line>,
    },
}

/// Text and variables in turn.
#[derive(Debug, Default)]
struct Line {
    pieces: Vec<Piece>,
    /// The text behind the last variable.
    end: String,
}

#[derive(Debug)]
struct Piece {
    /// The text before it.
    before: String,
    variable: Variable,
    /// A path that follows with nothing between: `$host$request_uri`.
    target: Option<Variable>,
}

/// A variable as it stands in the format.
#[derive(Debug)]
pub(super) struct Variable {
    name: String,
    /// The path of its format that it fills, if any.
    path: Option<usize>,
    /// The declared field that asks for it by name, if any.
    declared: Option<usize>,
    /// Numbers are padded with blanks.
    is_padded: bool,
}

impl Variable {
    /// An entry for each server that was tried, with commas and colons between.
    fn is_list(&self) -> bool {
        self.name.starts_with("upstream_")
    }
}

impl LogFormat {
    /// Reads a log format, alone or as it stands in the proxy's configuration, for a format with these paths. Declared fields may ask for
    /// variables by name.
    ///
    /// # Errors
    /// Two variables stand with nothing between them, or none is known.
    pub fn parse(text: &str, syntax: &Syntax, paths: &Paths, declared: &Paths) -> Result<Self, SpecError> {
        let text = unwrapped(text, syntax);
        let parser = Parser::new(syntax, paths, declared)?;
        let layout = if text.starts_with('{') { parser.object(&text)? } else { Layout::Line(parser.line(&text)?) };
        let format = Self { layout };
        if format.variables().all(|variable| variable.path.or(variable.declared).is_none()) {
            let known = syntax.variables.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            return Err(problem(format!("has no variable that is known; known are {known}")));
        }
        Ok(format)
    }

    fn variables(&self) -> impl Iterator<Item = &Variable> {
        let lines = match &self.layout {
            Layout::Line(line) => std::slice::from_ref(line),
            Layout::Object { lines, .. } => lines,
        };
        lines.iter().flat_map(|line| &line.pieces).flat_map(|piece| piece.target.iter().chain([&piece.variable]))
    }

    /// The values of the variables of a record; `None` where it is none of this format.
    pub fn values<'a>(&'a self, record: &'a str) -> Option<Vec<(&'a Variable, Cow<'a, str>)>> {
        match &self.layout {
            Layout::Line(line) => {
                let values = line.cut(record)?;
                Some(values.into_iter().map(|(variable, value)| (variable, Cow::Borrowed(value))).collect())
            }
            Layout::Object { paths, lines } => {
                let mut fields = Fields::new(paths, None);
                fields.read(record).ok()?;
                let mut values = Vec::new();
                for (path, line) in lines.iter().enumerate() {
                    match fields.text(path) {
                        Some(Cow::Borrowed(text)) => {
                            let cut = line.cut(text).unwrap_or_default();
                            values.extend(cut.into_iter().map(|(variable, value)| (variable, Cow::Borrowed(value))));
                        }
                        Some(Cow::Owned(text)) => {
                            let cut = line.cut(&text).unwrap_or_default();
                            values.extend(cut.into_iter().map(|(variable, value)| (variable, value.to_owned().into())));
                        }
                        None => {}
                    }
                }
                Some(values).filter(|values| !values.is_empty())
            }
        }
    }

    /// Sets the values at the paths of the format whose line it is. Whether the record is of this format.
    pub fn fill<'a>(&'a self, record: &'a str, fields: &mut Fields<'a>) -> bool {
        let Some(values) = self.values(record) else { return false };
        for (variable, value) in values {
            if let Some(path) = variable.path {
                set(fields, path, value);
            }
        }
        true
    }

    /// Sets the values of the declared fields that ask for variables.
    pub fn fill_declared<'a>(&'a self, record: &'a str, fields: &mut Fields<'a>) {
        for (variable, value) in self.values(record).unwrap_or_default() {
            if let Some(path) = variable.declared {
                set(fields, path, value);
            }
        }
    }
}

fn set<'a>(fields: &mut Fields<'a>, path: usize, value: Cow<'a, str>) {
    match value {
        Cow::Borrowed(value) => fields.set(path, value),
        Cow::Owned(value) => fields.set_owned(path, value),
    }
}

impl Line {
    /// The value of each variable, if the text is all of this line.
    fn cut<'a>(&self, text: &'a str) -> Option<Vec<(&Variable, &'a str)>> {
        let mut values = Vec::with_capacity(self.pieces.len());
        let mut rest = text;
        for (at, Piece { before, variable, target }) in self.pieces.iter().enumerate() {
            rest = rest.strip_prefix(before.as_str())?;
            if variable.is_padded {
                rest = rest.trim_start();
            }
            let end = self.pieces.get(at + 1).map_or(&self.end, |next| &next.before);
            let (value, behind) = rest.split_at(value_end(rest, end, variable)?);
            rest = behind;
            match target {
                Some(target) => {
                    let (host, path) = value.split_at(value.find('/').unwrap_or(value.len()));
                    values.extend([(variable, host), (target, path)]);
                }
                None => values.push((variable, value)),
            }
        }
        (rest == self.end).then_some(values)
    }
}

/// Where a value ends that `end` follows.
fn value_end(text: &str, end: &str, variable: &Variable) -> Option<usize> {
    if end.is_empty() {
        return Some(text.len());
    }
    // A time in brackets holds blanks.
    let from = if text.starts_with('[') && !end.starts_with(']') { text.find(']').unwrap_or_default() } else { 0 };
    let is_end = |at: &usize| {
        let (value, behind) = (&text[..*at], &text[at + end.len()..]);
        let escapes = value.bytes().rev().take_while(|byte| *byte == b'\\').count();
        let goes_on = match variable.name.as_str() {
            // Both hold blanks, and stand without quotes in some formats.
            "time_local" => end.starts_with(' ') && !value.contains(' '),
            "request" => {
                let has_version = || behind.starts_with("HTTP/") || behind.contains(" HTTP/");
                end.starts_with(' ') && !value.contains(" HTTP/") && has_version()
            }
            _ => variable.is_list() && (value.ends_with([',', ':']) || behind.starts_with(": ")),
        };
        !goes_on && (!end.starts_with('"') || escapes.is_multiple_of(2))
    };
    text[from..].match_indices(end).map(|(at, _)| from + at).find(is_end)
}

/// Paths among the variables: what stands before one, with nothing between, ends at its first slash.
const TARGETS: [&str; 5] = ["request_uri", "uri", "document_uri", "U", "rp"];

/// Reads formats of one syntax.
struct Parser<'a> {
    syntax: &'a Syntax,
    paths: &'a Paths,
    declared: &'a Paths,
    variable: Regex,
}

impl<'a> Parser<'a> {
    fn new(syntax: &'a Syntax, paths: &'a Paths, declared: &'a Paths) -> Result<Self, SpecError> {
        let variable = Regex::new(syntax.variable).map_err(|error| problem(error.to_string()))?;
        Ok(Self { syntax, paths, declared, variable })
    }

    fn line(&self, text: &str) -> Result<Line, SpecError> {
        let mut line = Line::default();
        let (mut literal, mut from) = (String::new(), 0);
        for found in self.variable.captures_iter(text) {
            let Some(whole) = found.get(0) else { continue };
            literal.push_str(&text[from..whole.start()]);
            from = whole.end();
            if whole.as_str() == "%%" {
                literal.push('%');
                continue;
            }
            let variable = self.variable_of(&found);
            let is_target = TARGETS.contains(&variable.name.as_str());
            match line.pieces.last_mut().filter(|_| literal.is_empty()) {
                None => line.pieces.push(Piece { before: std::mem::take(&mut literal), variable, target: None }),
                Some(before) if before.target.is_none() && is_target => before.target = Some(variable),
                // What follows a path is its query: `$uri$is_args$args`, `%U%q`.
                Some(Piece { variable: before, target, .. })
                    if target.is_some() || TARGETS.contains(&before.name.as_str()) => {}
                Some(Piece { variable: before, .. }) => {
                    let (before, variable) = (&before.name, &variable.name);
                    return Err(problem(format!("variables {before} and {variable} stand with nothing between them")));
                }
            }
        }
        literal.push_str(&text[from..]);
        line.end = literal;
        Ok(line)
    }

    fn variable_of(&self, found: &Captures<'_>) -> Variable {
        let group = |name| found.name(name).map(|group| group.as_str());
        let argument = group("argument").or_else(|| group("argument_behind")).map(str::to_ascii_lowercase);
        let name = match (argument, group("name")) {
            (Some(argument), Some(name)) => format!("{{{argument}}}{name}"),
            (argument, name) => argument.or(name.map(str::to_owned)).unwrap_or_default(),
        };
        // A time in a layout of one's own is a time.
        let is = |known: &str| {
            known == name || known.strip_prefix("{}").is_some_and(|code| name.ends_with(&format!("}}{code}")))
        };
        let path = self.syntax.variables.iter().find(|(known, _)| is(known));
        let path = path.and_then(|(_, path)| self.paths.index_of(path));
        let declared = self.declared.index_of(&name);
        Variable { name, path, declared, is_padded: group("width").is_some() }
    }

    /// A format that is a JSON object, whose numbers may stand without quotes.
    fn object(&self, text: &str) -> Result<Layout, SpecError> {
        let (mut json, mut from, mut in_text) = (String::new(), 0, false);
        for whole in self.variable.find_iter(text) {
            let literal = &text[from..whole.start()];
            in_text ^= literal.matches('"').count() % 2 == 1;
            json.push_str(literal);
            let quote = if in_text { "" } else { "\"" };
            json.extend([quote, whole.as_str(), quote]);
            from = whole.end();
        }
        json.push_str(&text[from..]);
        let object: Value =
            serde_json::from_str(&json).map_err(|error| problem(format!("is no JSON object: {error}")))?;
        let mut values = Vec::new();
        texts(&object, String::new(), &mut values);
        let lines = values.iter().map(|(_, text)| self.line(text)).collect::<Result<Vec<_>, _>>()?;
        let with_variables = values.into_iter().zip(lines).filter(|(_, line)| !line.pieces.is_empty());
        let (paths, lines): (Vec<_>, Vec<_>) = with_variables.map(|((path, _), line)| (path, line)).unzip();
        Ok(Layout::Object { paths: Paths::new(paths), lines })
    }
}

/// The texts of an object, and the paths to them.
fn texts(value: &Value, path: String, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                texts(value, if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, found);
            }
        }
        Value::String(text) => found.push((path, text.clone())),
        _ => {}
    }
}

/// The format without its directive, name and quotes.
fn unwrapped(text: &str, syntax: &Syntax) -> String {
    let text = text.trim();
    let behind = text.split_once(char::is_whitespace).filter(|(first, _)| first.eq_ignore_ascii_case(syntax.directive));
    match behind {
        Some((_, rest)) if syntax.is_quoted => joined(rest),
        Some((_, rest)) => {
            rest.trim().split_once(char::is_whitespace).map_or(rest, |(_, format)| format).trim().to_owned()
        }
        None if text.starts_with('\'') || (text.starts_with('"') && text.contains("\\\"")) => joined(text),
        None => text.to_owned(),
    }
}

/// What stands in quotes, one piece behind the other.
fn joined(text: &str) -> String {
    let (mut out, mut quote, mut characters) = (String::new(), None, text.chars().peekable());
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (None, _) => {}
            (Some(open), _) if open == character => quote = None,
            (Some(_), '\\') if characters.peek().is_some_and(|next| matches!(next, '"' | '\'' | '\\')) => {
                out.extend(characters.next());
            }
            (Some(_), _) => out.push(character),
        }
    }
    out.trim().to_owned()
}

fn problem(reason: String) -> SpecError {
    SpecError::BadLogFormat { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNTAX: Syntax = Syntax {
        directive: "log_format",
        is_quoted: true,
        variable: r"\$(?:\{(?P<argument>\w+)\}|(?P<name>\w+))",
        variables: &[("host", "host"), ("request_uri", "path"), ("status", "status"), ("upstream_addr", "upstream")],
    };

    fn paths() -> Paths {
        Paths::new(["host", "path", "status", "upstream"])
    }

    fn cut(format: &str, record: &str) -> Option<Vec<(String, String)>> {
        let format = LogFormat::parse(format, &SYNTAX, &paths(), &Paths::default()).unwrap();
        let values = format.values(record)?;
        Some(values.into_iter().map(|(variable, value)| (variable.name.clone(), value.into_owned())).collect())
    }

    fn check(format: &str, record: &str, expected: &[(&str, &str)]) {
        let expected = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(cut(format, record), Some(expected), "{format}");
    }

    #[test]
    fn a_line_is_cut_at_the_text_between_the_variables_and_no_other_line_is() {
        let format = r#"[$time] "$host" ${status}x $tail"#;
        check(
            format,
            r#"[1 Sep] "a \" b" 200x c d"#,
            &[("time", "1 Sep"), ("host", r#"a \" b"#), ("status", "200"), ("tail", "c d")],
        );
        assert_eq!(cut(format, r#"[1 Sep] "a" 200"#), None);
        assert_eq!(cut("$host x", "a x y"), None);
    }

    #[test]
    fn hosts_and_paths_stand_side_by_side_and_tries_are_one_value() {
        check(
            "$host$request_uri$is_args$args $status",
            "x.io/a?b=c 200",
            &[("host", "x.io"), ("request_uri", "/a?b=c"), ("status", "200")],
        );
        check(
            "$time_local $host",
            "15/Sep/2026:10:00:00 +0200 x.io",
            &[("time_local", "15/Sep/2026:10:00:00 +0200"), ("host", "x.io")],
        );
        check("$request $status", "GET /x HTTP/1.1 499", &[("request", "GET /x HTTP/1.1"), ("status", "499")]);
        check(
            "$upstream_addr $upstream_status $status",
            "1.1.1.1:80, 1.1.1.2:80 : 1.1.1.3:80 502, 502 : 200 200",
            &[
                ("upstream_addr", "1.1.1.1:80, 1.1.1.2:80 : 1.1.1.3:80"),
                ("upstream_status", "502, 502 : 200"),
                ("status", "200"),
            ],
        );
    }

    #[test]
    fn the_directive_stands_as_in_the_configuration_and_json_in_any_order() {
        let directive = "log_format main escape=json '{\"h\":\"$host\",\n'\n  '\"up\":{\"s\":$status},\"u\":\"$host$request_uri\"}';";
        check(
            directive,
            r#"{"u":"b.io/\"c","up":{"s":200},"h":"a.io","more":1}"#,
            &[("host", "a.io"), ("host", "b.io"), ("request_uri", "/\"c"), ("status", "200")],
        );
        assert_eq!(cut(directive, r#"{"other":1}"#), None);
        check("log_format x '$host ' \"$status\";", "a 200", &[("host", "a"), ("status", "200")]);
    }

    #[test]
    fn what_cannot_be_cut_is_refused() {
        for (format, expected) in [
            ("$host$status", "variables host and status stand with nothing between them"),
            ("$pid $time", "known are host, request_uri"),
            ("{\"a\":$host", "is no JSON object"),
        ] {
            let message = LogFormat::parse(format, &SYNTAX, &paths(), &Paths::default()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
