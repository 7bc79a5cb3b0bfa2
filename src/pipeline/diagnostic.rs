//! Diagnostics of a configuration file (a pipeline, a simulation): file, line, field, and what to write instead.
//!
//! Not here: the rules that a field must obey (`plan`, and the module that a section configures).

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::calls::PackError;
use crate::rules::RuleError;

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The file cannot be read.
    #[error("{}: {problem}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's error.
        problem: std::io::Error,
    },
    /// A file in the vendor directory cannot be used.
    #[error(transparent)]
    Vendors(#[from] PackError),
    /// A file of rules or the policy cannot be used.
    #[error(transparent)]
    Rules(#[from] RuleError),
    /// A field is missing, unknown or wrong.
    #[error("{}:{line}: {field}: {problem}", file.display())]
    Field {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Section and field (`source.kafka.brokers`), as far as known.
        field: String,
        /// What is wrong, and what to write instead.
        problem: String,
    },
}

/// The text of the file, in which diagnostics find their lines.
pub(crate) struct Text<'a> {
    pub(crate) file: &'a Path,
    pub(crate) text: &'a str,
}

impl Text<'_> {
    /// A diagnostic from an error of TOML or serde: the error has the span, the line at the span has the field's name.
    pub(crate) fn diagnostic(&self, section: &str, error: &toml::de::Error) -> PipelineError {
        let span = error.span().unwrap_or_default();
        let line_text = self.text.get(self.line_start(&span)..).unwrap_or_default().lines().next().unwrap_or_default();
        let key = line_text.split_once('=').map_or("", |(key, _)| key.trim());
        let header = line_text.trim().trim_matches(['[', ']']);
        let field = match (section, key) {
            ("", "") => header.to_owned(),
            (section, "") => section.to_owned(),
            ("", key) => {
                self.section_before(&span).map_or_else(|| key.to_owned(), |section| format!("{section}.{key}"))
            }
            (section, key) => format!("{section}.{key}"),
        };
        self.field(&span, field, error.message().to_owned())
    }

    /// A diagnostic about the field at `path`, or about the nearest enclosing section that the file has.
    pub(crate) fn at(&self, path: &[&str], problem: impl ToString) -> PipelineError {
        let span = DeTable::parse(self.text).ok().map(|table| span_of(table.get_ref(), path)).unwrap_or_default();
        self.field(&span, path.join("."), problem.to_string())
    }

    /// A diagnostic about a named field at a byte range.
    pub(super) fn field(&self, span: &Range<usize>, field: String, problem: String) -> PipelineError {
        let before = self.text.as_bytes().iter().take(span.start);
        let line = 1 + before.filter(|&&byte| byte == b'\n').count();
        PipelineError::Field { file: self.file.to_owned(), line, field, problem }
    }

    fn line_start(&self, span: &Range<usize>) -> usize {
        self.text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
    }

    fn section_before(&self, span: &Range<usize>) -> Option<String> {
        let header = self.text.get(..span.start)?.lines().rev().find(|line| line.trim_start().starts_with('['))?;
        Some(header.split('#').next()?.trim().trim_matches(['[', ']']).to_owned())
    }
}

fn span_of(table: &DeTable<'_>, path: &[&str]) -> Range<usize> {
    let Some((first, rest)) = path.split_first() else { return 0..0 };
    let Some((key, value)) = table.get_key_value(*first) else { return 0..0 };
    let deeper = match value.get_ref() {
        DeValue::Table(table) => span_of(table, rest),
        _ => 0..0,
    };
    if deeper.start > 0 { deeper } else { key.span() }
}
