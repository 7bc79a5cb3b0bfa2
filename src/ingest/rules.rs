//! The rules of decoding: what the specification says of a source, checked.
//!
//! Not here: how the pipeline file writes them (`spec`), and reading by them (`decoder`).

use super::declared::{CUSTOM, Declared};
use super::fields::Fields;
use super::formats::{self, FORMATS, FormatKind};
use super::log_format::LogFormat;
use super::place::RecordError;
use super::spec::{DecodeSpec, SpecError};
use crate::calls::View;

/// What the specification says.
#[derive(Debug)]
pub(super) struct Rules {
    pub format: Option<&'static FormatKind>,
    pub log_format: Option<LogFormat>,
    pub declared: Declared,
    pub direction: Option<View>,
    pub own_domains: Vec<String>,
    pub is_custom: bool,
    pub is_strict: bool,
    pub keeps_generated_names: bool,
}

impl Rules {
    /// Checks a specification.
    ///
    /// # Errors
    /// It names a format, a field, a unit or a zone that does not exist; the message lists those that do.
    pub fn new(spec: &DecodeSpec) -> Result<Self, SpecError> {
        let is_custom = spec.format.as_deref() == Some(CUSTOM);
        let named = spec.format.as_deref().filter(|_| !is_custom);
        let format = named.map(declared_format).transpose()?;
        let declared = Declared::new(spec)?;
        let log_format = |text| formats::log_format(text, format, declared.paths());
        let log_format = spec.log_format.as_deref().map(log_format).transpose()?;
        Ok(Self {
            format,
            log_format,
            declared,
            direction: spec.direction,
            own_domains: spec.own_domains.iter().map(|domain| domain.trim_matches('.').to_lowercase()).collect(),
            is_custom,
            is_strict: spec.strict,
            keeps_generated_names: spec.keep_generated_names,
        })
    }

    /// The values of a record at a format's paths: by the declared log format, else as the format itself finds them.
    pub fn fields<'a>(&'a self, format: &'static FormatKind, text: &'a str) -> Result<Fields<'a>, RecordError> {
        if let Some(log_format) = &self.log_format {
            let mut fields = Fields::new(format.paths, self.declared.zone());
            if log_format.fill(text, &mut fields) {
                return Ok(fields);
            }
        }
        format.fields(text, self.declared.zone())
    }

    /// Whether what is declared of lines of text fits this one.
    pub fn knows(&self, line: &str) -> bool {
        let is_of_format = self.log_format.as_ref().is_some_and(|format| format.values(line).is_some());
        is_of_format || self.declared.fits_line(line)
    }

    /// Whether a host is one of the user's own domains, or below one.
    pub fn is_own(&self, host: &str) -> bool {
        if self.own_domains.is_empty() {
            return false;
        }
        let host = host.split(':').next().unwrap_or_default().trim_end_matches('.').to_lowercase();
        let is_below = |rest: &str| rest.is_empty() || rest.ends_with('.');
        self.own_domains.iter().any(|domain| host.strip_suffix(domain.as_str()).is_some_and(is_below))
    }
}

fn declared_format(name: &str) -> Result<&'static FormatKind, SpecError> {
    FormatKind::named(name).ok_or_else(|| {
        let described = FORMATS.iter().map(|format| format!("`{}` ({})", format.name, format.summary));
        let known = described.chain(["`custom` (what [decode.fields] says)".to_owned()]).collect::<Vec<_>>().join(", ");
        SpecError::UnknownFormat { format: name.to_owned(), known }
    })
}
