//! What is wrong with a file of settings (a pipeline, a simulation), and where.
//!
//! Not here: what makes a field wrong (`plan`, and the rooms whose sections they are).

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::calls::PackError;

/// Why a file of settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// It cannot be read.
    #[error("{}: {problem}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        problem: std::io::Error,
    },
    /// A file of the vendors' directory cannot be used.
    #[error(transparent)]
    Vendors(#[from] PackError),
    /// A field is missing, unknown or wrong.
    #[error("{}:{line}: {field}: {problem}", file.display())]
    Field {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The section and field (`source.kafka.brokers`), as far as it is known.
        field: String,
        /// What is wrong, and what to write instead.
        problem: String,
    },
}

/// The file's text, for finding lines in.
pub(crate) struct Text<'a> {
    pub(crate) file: &'a Path,
    pub(crate) text: &'a str,
}

impl Text<'_> {
    /// A diagnostic of TOML or serde: it knows the place, the line knows the field.
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

    /// A diagnostic about the field at `path`, or about the nearest section above it that is written.
    pub(crate) fn at(&self, path: &[&str], problem: impl ToString) -> PipelineError {
        let span = DeTable::parse(self.text).ok().map(|table| span_of(table.get_ref(), path)).unwrap_or_default();
        self.field(&span, path.join("."), problem.to_string())
    }

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
