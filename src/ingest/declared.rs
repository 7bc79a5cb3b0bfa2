//! Declared fields: what the user says of a source, beside or instead of its format.
//!
//! They are read of the envelope and of the record inside it, before the format decides whether there is a call. Where the record has
//! nothing at a declared path, what the format found stands. Who declares none pays nothing.
//!
//! Not here: how the pipeline file writes them (`spec`).

use std::borrow::Cow;

use jiff::tz::TimeZone;
use regex::Regex;

use super::fields::Fields;
use super::paths::Paths;
use super::spec::{DecodeSpec, FieldDetails, FieldSpec, SpecError};
use super::time::Layout;
use crate::calls::Call;

/// What a field of a call holds, and how a value gets into it.
enum Slot {
    Text(for<'a> fn(&mut Call<'a>, Cow<'a, str>)),
    Whole(for<'a> fn(&mut Call<'a>, Option<u64>)),
    Milliseconds(for<'a> fn(&mut Call<'a>, Option<f64>)),
    Status,
    Time,
}

/// The fields of a call that may be declared.
static FIELDS: &[(&str, Slot)] = &[
    ("account", Slot::Text(|call, text| call.account = Some(text))),
    ("api_version", Slot::Text(|call, text| call.api_version = Some(text))),
    ("bytes_in", Slot::Whole(|call, number| call.bytes_in = number)),
    ("bytes_out", Slot::Whole(|call, number| call.bytes_out = number)),
    ("caller", Slot::Text(|call, text| call.caller = text)),
    ("content_type", Slot::Text(|call, text| call.content_type = Some(text))),
    ("credential", Slot::Text(|call, text| call.credential = Some(text))),
    ("host", Slot::Text(|call, text| call.host = text)),
    ("latency_ms", Slot::Milliseconds(|call, number| call.latency_ms = number)),
    ("location", Slot::Text(|call, text| call.location = Some(text))),
    ("method", Slot::Text(|call, text| call.method = Some(text))),
    ("operation", Slot::Text(|call, text| call.operation = Some(text))),
    ("path", Slot::Text(|call, text| call.path = Some(text))),
    ("query", Slot::Text(|call, text| call.query = Some(text))),
    ("record_id", Slot::Text(|call, text| call.record_id = Some(text))),
    ("region", Slot::Text(|call, text| call.region = Some(text))),
    ("request_body", Slot::Text(|call, text| call.request_body = Some(text))),
    ("request_type", Slot::Text(|call, text| call.request_type = Some(text))),
    ("response_body", Slot::Text(|call, text| call.response_body = Some(text))),
    ("scheme", Slot::Text(|call, text| call.scheme = Some(text))),
    ("src_ip", Slot::Text(|call, text| call.src_ip = Some(text))),
    ("status", Slot::Status),
    ("time", Slot::Time),
    ("tls_version", Slot::Text(|call, text| call.tls_version = Some(text))),
    ("tokens_in", Slot::Whole(|call, number| call.tokens_in = number)),
    ("tokens_out", Slot::Whole(|call, number| call.tokens_out = number)),
    ("trace_id", Slot::Text(|call, text| call.trace_id = Some(text))),
    ("user_agent", Slot::Text(|call, text| call.user_agent = Some(text))),
];

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Slot")
    }
}

/// A declared field: its path is at the same index among the paths.
#[derive(Debug)]
struct DeclaredField {
    name: &'static str,
    slot: &'static Slot,
    /// What one unit of the number is in the call's unit.
    scale: f64,
    layout: Layout,
    zone: Option<TimeZone>,
}

/// What the user declared of a source.
#[derive(Debug)]
pub(super) struct Declared {
    paths: Paths,
    fields: Vec<DeclaredField>,
    constants: Vec<(&'static Slot, String)>,
    pattern: Option<Regex>,
    zone: Option<TimeZone>,
}

impl Declared {
    /// Checks what is declared.
    pub fn new(spec: &DecodeSpec) -> Result<Self, SpecError> {
        let zone = spec.zone.as_deref().map(zone_named).transpose()?;
        let mut paths = Vec::new();
        let mut fields = Vec::new();
        for (name, field) in &spec.fields {
            let details = match field {
                FieldSpec::Path(path) => FieldDetails { from: path.clone(), ..FieldDetails::default() },
                FieldSpec::Detailed(details) => details.clone(),
            };
            paths.push(dotted(name, &details.from)?);
            fields.push(declared_field(name, &details, zone.as_ref())?);
        }
        let constant = |(name, value): (&String, &String)| match slot_of(name)? {
            (_, slot @ Slot::Text(_)) => Ok((slot, value.clone())),
            _ => Err(SpecError::BadDetail {
                field: name.clone(),
                what: "constant",
                value: value.clone(),
                known: "those of fields that hold text",
            }),
        };
        let constants = spec.constants.iter().map(constant).collect::<Result<_, _>>()?;
        let pattern = spec.pattern.as_deref().map(pattern_of).transpose()?;
        if spec.format.as_deref() == Some(CUSTOM) {
            let has = |name: &str| spec.fields.contains_key(name) || spec.constants.contains_key(name);
            let missing = ["time", "host", "caller"].into_iter().find(|name| !has(name));
            if let Some(missing) = missing {
                return Err(SpecError::Incomplete { missing });
            }
        }
        Ok(Self { paths: Paths::new(paths), fields, constants, pattern, zone })
    }

    /// The paths of the declared fields.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Whether nothing is declared.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.constants.is_empty()
    }

    /// The zone of times without an offset.
    pub fn zone(&self) -> Option<TimeZone> {
        self.zone.clone()
    }

    /// No value of a declared field yet.
    pub fn values(&self) -> Fields<'_> {
        Fields::new(&self.paths, self.zone.clone())
    }

    /// Reads the declared fields of a record; what was read of its envelope stands where it has none.
    pub fn read<'a>(&'a self, record: &'a str, values: &mut Fields<'a>) {
        if let Some(groups) = self.pattern.as_ref().and_then(|pattern| pattern.captures(record)) {
            for path in 0..self.fields.len() {
                if let Some(group) = groups.name(self.paths.name(path)) {
                    values.set(path, group.as_str());
                }
            }
        } else if record.starts_with('{') {
            // What is broken in the record, its format says.
            let _ = values.read(record);
        }
    }

    /// Whether the pattern fits a line of text.
    pub fn fits_line(&self, line: &str) -> bool {
        self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(line))
    }

    /// Whether the values are enough for a call where the format finds none: whom it was made to, and when.
    pub fn is_call(&self, values: &Fields<'_>) -> bool {
        let has =
            |name: &str| self.fields.iter().position(|field| field.name == name).is_some_and(|path| values.has(path));
        has("host") && has("time")
    }

    /// Puts the declared values into a call. A number that cannot be read is unknown; a text that cannot be leaves what the format found.
    pub fn apply<'a>(&'a self, values: &mut Fields<'a>, call: &mut Call<'a>) {
        for (path, field) in self.fields.iter().enumerate() {
            if !values.has(path) {
                continue;
            }
            match field.slot {
                Slot::Text(set) => {
                    let text = if field.name == "src_ip" { values.joined(path) } else { values.text(path) };
                    text.into_iter().for_each(|text| set(call, text));
                }
                Slot::Whole(set) => {
                    set(call, values.real(path).map(|number| (number * field.scale).round() as u64));
                }
                Slot::Milliseconds(set) => set(call, values.real(path).map(|number| number * field.scale)),
                Slot::Status => {
                    let (status, outcome) = values.answer(path);
                    call.status = status;
                    call.outcome = outcome;
                }
                Slot::Time => call.time = values.time_as(path, &field.layout, field.zone.clone()),
            }
        }
        for (slot, value) in &self.constants {
            if let Slot::Text(set) = slot {
                set(call, value.as_str().into());
            }
        }
    }
}

/// The name of the format that has only what is declared.
pub(super) const CUSTOM: &str = "custom";

fn slot_of(name: &str) -> Result<(&'static str, &'static Slot), SpecError> {
    let found = FIELDS.iter().find(|(known, _)| *known == name).map(|(name, slot)| (*name, slot));
    found.ok_or_else(|| {
        let known = FIELDS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        SpecError::UnknownField { field: name.to_owned(), known }
    })
}

fn declared_field(name: &str, details: &FieldDetails, zone: Option<&TimeZone>) -> Result<DeclaredField, SpecError> {
    let (name, slot) = slot_of(name)?;
    let bad = |what, value: &str, known| SpecError::BadDetail {
        field: name.to_owned(),
        what,
        value: value.to_owned(),
        known,
    };
    let scale = match (slot, details.unit.as_deref()) {
        (_, None) => 1.0,
        (Slot::Milliseconds(_), Some(unit)) => match unit {
            "ns" => 1e-6,
            "us" => 1e-3,
            "ms" => 1.0,
            "s" => 1e3,
            other => return Err(bad("unit", other, "ns, us, ms, s")),
        },
        (Slot::Whole(_), Some(unit)) => match unit {
            "b" => 1.0,
            "kb" => 1e3,
            "kib" => 1_024.0,
            "mb" => 1e6,
            "mib" => 1_048_576.0,
            other => return Err(bad("unit", other, "b, kb, kib, mb, mib")),
        },
        (_, Some(unit)) => return Err(bad("unit", unit, "none, as it is no number")),
    };
    let layouts = "rfc3339, epoch_s, epoch_ms, epoch_us, epoch_ns, or a strftime pattern";
    let layout = match (slot, details.layout.as_deref()) {
        (_, None) => Layout::Any,
        (Slot::Time, Some(layout)) => Layout::named(layout).ok_or_else(|| bad("layout", layout, layouts))?,
        (_, Some(layout)) => return Err(bad("layout", layout, "none, as it is no time")),
    };
    let own_zone = details.zone.as_deref().map(zone_named).transpose()?;
    Ok(DeclaredField { name, slot, scale, layout, zone: own_zone.or_else(|| zone.cloned()) })
}

/// A path as `a.b.c`; a JSON pointer (RFC 6901) is turned into one.
fn dotted(field: &str, path: &str) -> Result<String, SpecError> {
    let dotted = match path.strip_prefix('/') {
        Some(pointer) => pointer.replace('/', ".").replace("~1", "/").replace("~0", "~"),
        None => path.to_owned(),
    };
    if dotted.split('.').any(str::is_empty) {
        return Err(SpecError::BadPath { field: field.to_owned(), path: path.to_owned() });
    }
    Ok(dotted)
}

fn zone_named(zone: &str) -> Result<TimeZone, SpecError> {
    TimeZone::get(zone).map_err(|_| SpecError::BadZone { zone: zone.to_owned() })
}

fn pattern_of(pattern: &str) -> Result<Regex, SpecError> {
    let regex = Regex::new(pattern).map_err(|error| SpecError::BadPattern { reason: error.to_string() })?;
    if regex.capture_names().flatten().next().is_none() {
        return Err(SpecError::BadPattern { reason: "has no named group such as (?P<host>…)".to_owned() });
    }
    Ok(regex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(text: &str) -> Result<Declared, SpecError> {
        Declared::new(&toml::from_str(text).unwrap())
    }

    fn applied<'a>(declared: &'a Declared, record: &'a str) -> Call<'a> {
        let mut values = declared.values();
        declared.read(record, &mut values);
        let mut call = Call { region: Some("eu-west-1".into()), ..Call::default() };
        declared.apply(&mut values, &mut call);
        call
    }

    #[test]
    fn a_declared_field_is_taken_from_its_path_and_else_stays() {
        let declared = declared(
            "[fields]\ncredential = 'http.request.headers.x-api-key'\nbytes_out = '/sent'\nregion = 'cloud.zone'\nstatus = 'codes.1'",
        )
        .unwrap();
        let record = r#"{"http":{"request":{"headers":{"X-Api-Key":["key-1"]}}},"sent":"812","cloud":{"zone":null},"codes":["a",404]}"#;
        let call = applied(&declared, record);
        assert_eq!((call.credential.as_deref(), call.bytes_out, call.status), (Some("key-1"), Some(812), Some(404)));
        assert_eq!(call.region.as_deref(), Some("eu-west-1"));
    }

    #[test]
    fn units_layouts_and_zones_say_what_a_value_means() {
        let declared = declared(
            "zone = 'Europe/Berlin'\n[fields]\nlatency_ms = { from = 'took', unit = 's' }\ntime = { from = 'at', layout = '%d.%m.%Y %H:%M' }\nbytes_in = { from = 'size', unit = 'kib' }",
        )
        .unwrap();
        let call = applied(&declared, r#"{"took":0.25,"at":"15.09.2026 10:00","size":2}"#);
        assert_eq!((call.latency_ms, call.time, call.bytes_in), (Some(250.0), 1_789_459_200_000_000, Some(2_048)));
    }

    #[test]
    fn the_groups_of_a_pattern_are_the_fields_of_a_line() {
        let declared = declared(
            "format = 'custom'\npattern = '^(?P<when>\\S+) (?P<app>\\S+) -> (?P<to>\\S+)$'\n[fields]\ntime = 'when'\ncaller = 'app'\nhost = 'to'\n[constants]\nscheme = 'https'",
        )
        .unwrap();
        let call = applied(&declared, "2026-09-15T08:00:00Z billing -> api.stripe.com");
        assert_eq!((&*call.caller, &*call.host, call.scheme.as_deref()), ("billing", "api.stripe.com", Some("https")));
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_could() {
        for (spec, expected) in [
            ("[fields]\nsecret = 'a.b'", "credential"),
            ("[fields]\ncaller = 'a..b'", "no dotted path"),
            ("[fields]\nlatency_ms = { from = 'a', unit = 'h' }", "ns, us, ms, s"),
            ("[fields]\ntime = { from = 'a', layout = 'unix' }", "epoch_ms"),
            ("zone = 'Mars/Olympus'", "Europe/Berlin"),
            ("pattern = '('", "pattern"),
            ("pattern = 'a'", "named group"),
            ("format = 'custom'\n[fields]\ntime = 't'\nhost = 'h'", "caller"),
        ] {
            let message = declared(spec).unwrap_err().to_string();
            assert!(message.contains(expected), "{spec}: {message}");
        }
    }
}
