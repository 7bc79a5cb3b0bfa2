//! A report as a page: HTML, Markdown or JSON, from templates beside this file.
//!
//! HTML is one file that fetches nothing and runs nothing. Every value is escaped where it is written, by `minijinja`; names come from logs, so
//! what could reverse or break a line is replaced before ([`printable_lines`]).
//!
//! Not here: the chain (`chain`), charts (`chart`).

use std::collections::BTreeMap;
use std::fmt;

use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, Output, State, Value, context, escape_formatter};
use serde::{Deserialize, Serialize};

use super::Report;
use super::chain::{Marks, Seal, sealed};
use super::chart::{charts, grouped};
use super::error::ReportError;
use crate::alerts::{printable, printable_lines};

const HTML: &str = include_str!("report.html");
const MARKDOWN: &str = include_str!("report.md");
const STYLE: &str = include_str!("report.css");
/// Rows of a table on a page; the catalogue lists the rest.
const MAX_ROWS: usize = 25;

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One file, for people.
    Html,
    /// For tickets and repositories.
    Markdown,
    /// For programs.
    Json,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Html, Self::Markdown, Self::Json];

    /// The end of the names of its files.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Markdown => "md",
            Self::Json => "json",
        }
    }
}

/// The report as JSON, with its seal at the end.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    report: &'a Report,
    chain: Chain,
}

#[derive(Serialize)]
struct Chain {
    previous: String,
    seal: String,
}

impl Report {
    /// The report as a page, sealed behind the report before it.
    ///
    /// # Errors
    /// [`ReportError::Page`], a fault of the program.
    pub fn page(&self, format: Format, previous: Option<&Seal>) -> Result<(String, Option<Seal>), ReportError> {
        let marks = Marks::after(previous);
        let page = match format {
            Format::Html => self.template("report.html", HTML, &marks)?,
            Format::Markdown => self.template("report.md", MARKDOWN, &marks)?,
            Format::Json => {
                let chain = Chain { previous: marks.previous, seal: marks.seal };
                let text = serde_json::to_string_pretty(&Document { report: self, chain });
                text.map_err(|problem| ReportError::Page { what: "JSON", problem: problem.to_string() })? + "\n"
            }
        };
        Ok(sealed(page))
    }

    fn template(&self, name: &'static str, source: &'static str, marks: &Marks) -> Result<String, ReportError> {
        let charts = if source == HTML { charts(self)? } else { Vec::new() };
        let charts: BTreeMap<&str, Value> =
            charts.into_iter().map(|(name, svg)| (name, Value::from_safe_string(svg))).collect();
        let environment = environment();
        let rendered = environment.render_named_str(
            name,
            source,
            context! {
                report => Value::from_serialize(self),
                charts,
                style => Value::from_safe_string(STYLE.to_owned()),
                cap => MAX_ROWS,
                previous => marks.previous,
                seal => marks.seal,
            },
        );
        rendered.map_err(|problem| ReportError::Page { what: name, problem: format!("{problem:#}") })
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| match name.rsplit_once('.') {
        Some((_, "md")) => AutoEscape::Custom("markdown"),
        _ => AutoEscape::Html,
    });
    environment.set_formatter(write);
    environment.add_filter("count", |number: i64| grouped(number));
    environment.add_filter("bytes", bytes);
    environment.add_filter("share", |part: i64, whole: i64| {
        if whole == 0 { "–".to_owned() } else { format!("{:.1} %", part as f64 * 100.0 / whole as f64) }
    });
    // `2026-09-18T23:54:51Z` as people read it.
    environment.add_filter("minute", |time: String| time.get(..16).unwrap_or(&time).replace('T', " "));
    environment.add_filter("day", |time: String| time.get(..10).unwrap_or(&time).to_owned());
    environment
}

/// Writes a value, escaped; what is marked as safe is the program's own.
fn write(output: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_safe() || value.kind() != ValueKind::String {
        return match state.auto_escape() {
            AutoEscape::Custom(_) => write_text(output, format_args!("{value}")),
            _ => escape_formatter(output, state, value),
        };
    }
    let text = value.to_string();
    match state.auto_escape() {
        AutoEscape::Custom(_) => write_text(output, Markdown(&printable(&text))),
        _ => escape_formatter(output, state, &Value::from(printable_lines(&text))),
    }
}

fn write_text(output: &mut Output<'_>, text: impl fmt::Display) -> Result<(), Error> {
    write!(output, "{text}").map_err(Error::from)
}

/// A text in Markdown: what could begin markup or end a cell is escaped.
struct Markdown<'a>(&'a str);

impl fmt::Display for Markdown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        self.0.chars().try_for_each(|c| match c {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => write!(f, "\\{c}"),
            c => f.write_char(c),
        })
    }
}

/// A size in bytes, for people.
fn bytes(number: i64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let (mut size, mut unit) = (number as f64, 0);
    while size >= 1000.0 && unit + 1 < units.len() {
        size /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{number} B") } else { format!("{size:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(name: &str, text: &str) -> String {
        environment().render_named_str(name, "{{ text }}", context! { text }).unwrap()
    }

    #[test]
    fn a_name_from_a_log_is_text_in_every_format() {
        let hostile = "</script><img src=x onerror=\"alert('1')\">|`*_\u{202e}[x](http://e)\n# h";
        let html = rendered("a.html", hostile);
        assert!(!html.contains('<') && !html.contains('"') && !html.contains('\u{202e}'), "{html}");
        let markdown = rendered("a.md", hostile);
        assert!(!markdown.contains('<') && !markdown.contains('\n') && !markdown.contains('\u{202e}'), "{markdown}");
        assert!(markdown.contains("\\|\\`\\*\\_") && markdown.contains("\\[x\\]"), "{markdown}");
    }

    #[test]
    fn sizes_are_written_in_units() {
        assert_eq!([0, 999, 1_000, 73_937_979].map(bytes), ["0 B", "999 B", "1.0 kB", "73.9 MB"]);
    }
}
