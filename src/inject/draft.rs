//! A record being edited: parsed, changed, serialised.
//!
//! Not here: which changes and when (`plant`), and how a format writes them (`edit`).

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::Value;

use super::disguise::same_shape;
use super::edit::{Change, Editor, editor};
use super::scenario::Amount;
use super::scenario::Strength;
use super::survey::has_failed;
use crate::calls::{StepClass, shape};
use crate::ingest::{CallReader, parse_record};

/// A record and what is known of its call.
pub(super) struct Draft {
    record: Value,
    editor: &'static dyn Editor,
    pub time: i64,
    pub has_failed: bool,
    bytes_out: Option<u64>,
    bytes_in: Option<u64>,
    latency_ms: Option<f64>,
    method: String,
    path: String,
}

impl Draft {
    /// The record as a draft; `None` where it is no call.
    pub fn of(text: &str, reader: &mut CallReader) -> Option<Self> {
        let record = parse_record(text)?;
        let draft = reader.read(text, |format, call| {
            Some(Self {
                record,
                editor: editor(format.name)?,
                time: call.time,
                has_failed: has_failed(call),
                bytes_out: call.bytes_out,
                bytes_in: call.bytes_in,
                latency_ms: call.latency_ms,
                method: call.method.as_deref().unwrap_or_default().to_owned(),
                path: call.path.as_deref().unwrap_or_default().to_owned(),
            })
        });
        draft?
    }

    /// Makes a change.
    pub fn apply(&mut self, change: Change<'_>) {
        match change {
            Change::Time(time) => self.time = time,
            Change::Status(status, _) => self.has_failed = status >= 400,
            _ => {}
        }
        self.editor.apply(&mut self.record, change);
    }

    /// Ids that no other record has.
    pub fn renew(&mut self, rng: &mut Xoshiro256PlusPlus) {
        self.apply(Change::Ids(rng.r#gen()));
    }

    pub fn scale_bytes_out(&mut self, amount: Amount, strength: Strength) {
        if let Some(bytes) = scaled(self.bytes_out.map(|bytes| bytes as f64), amount, strength) {
            self.apply(Change::BytesOut(bytes.round() as u64));
        }
    }

    pub fn scale_bytes_in(&mut self, amount: Amount, strength: Strength) {
        if let Some(bytes) = scaled(self.bytes_in.map(|bytes| bytes as f64), amount, strength) {
            self.apply(Change::BytesIn(bytes.round() as u64));
        }
    }

    pub fn scale_latency(&mut self, amount: Amount, strength: Strength) {
        if let Some(latency) = scaled(self.latency_ms, amount, strength) {
            self.apply(Change::Latency(latency));
        }
    }

    /// The step in the words of the scenario: `METHOD /pattern`, or `service:Operation`.
    pub fn take_step(&mut self, step: &str, walk: &mut Walk, rng: &mut Xoshiro256PlusPlus) {
        match step.split_once(' ') {
            Some((method, pattern)) => {
                let method = if method == "OWN" { self.method.clone() } else { method.to_owned() };
                self.apply(Change::Method(&method));
                self.follow(pattern, walk, rng);
            }
            None => {
                let class = StepClass::of(step);
                let only_reads = !class.is_write() && class != StepClass::Use;
                self.apply(Change::Operation(step, only_reads));
            }
        }
    }

    /// Sets the path by a pattern.
    pub fn follow(&mut self, pattern: &str, walk: &mut Walk, rng: &mut Xoshiro256PlusPlus) {
        let path = walk.fill(pattern, &self.path, rng);
        self.apply(Change::Path(&path));
    }

    /// The record as a line.
    pub fn into_line(self) -> String {
        self.record.to_string()
    }

    /// Another of the same.
    pub fn copy(&self) -> Self {
        Self { record: self.record.clone(), method: self.method.clone(), path: self.path.clone(), ..*self }
    }
}

fn scaled(own: Option<f64>, amount: Amount, strength: Strength) -> Option<f64> {
    let set = amount.to.map(|to| to.of(strength));
    set.or_else(|| Some(own? * amount.times?.of(strength)))
}

/// Counters and ids that advance from call to call.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    next: u64,
    page: u64,
}

impl Walk {
    pub fn new(rng: &mut Xoshiro256PlusPlus) -> Self {
        Self { next: rng.gen_range(100_000..800_000), page: 0 }
    }

    /// Fills a pattern: `{own}` the call's own path, `{walk}` that with the next id in the place of its last one, `{next}` a number that
    /// counts, `{page}` one that counts from 1, `{number}` `{token}` `{uuid}` by chance.
    fn fill(&mut self, pattern: &str, own: &str, rng: &mut Xoshiro256PlusPlus) -> String {
        let mut filled = String::with_capacity(pattern.len() + own.len());
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                filled.push('{');
                rest = after;
                continue;
            };
            match name {
                "own" => filled.push_str(own.split('?').next().unwrap_or(own)),
                "walk" => filled.push_str(&self.walk(own, rng)),
                "next" => filled.push_str(&self.count().to_string()),
                "page" => {
                    self.page += 1;
                    filled.push_str(&self.page.to_string());
                }
                "number" => filled.push_str(&rng.gen_range(100_000..1_000_000).to_string()),
                "token" => filled.push_str(&same_shape("a0aA0a0Aa0aA", rng)),
                "uuid" => filled.push_str(&format!(
                    "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
                    rng.gen_range(0..u32::MAX),
                    rng.gen_range(0..0xffff),
                    rng.gen_range(0..0xfff),
                    rng.gen_range(0..0xfff),
                    rng.gen_range(0..0xffff_ffff_ffff_u64)
                )),
                _ => {
                    filled.push('{');
                    filled.push_str(name);
                    filled.push('}');
                }
            }
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    fn count(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The path with another identifier in the place of its last one: the next number, or a text of the same shape.
    fn walk(&mut self, own: &str, rng: &mut Xoshiro256PlusPlus) -> String {
        let path = own.split('?').next().unwrap_or(own);
        let mut endpoint = String::new();
        shape(Some("GET"), path, &mut endpoint);
        let shaped: Vec<&str> = endpoint.split('/').skip(1).collect();
        let Some(place) = shaped.iter().rposition(|segment| *segment == "{id}") else {
            return format!("{}/{}", path.trim_end_matches('/'), self.count());
        };
        let mut segments: Vec<String> =
            path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
        if let Some(segment) = segments.get_mut(place) {
            let digits = segment.bytes().take_while(u8::is_ascii_digit).count();
            *segment = match segment.split_at_checked(digits) {
                Some((number, ending)) if digits > 0 && (ending.is_empty() || ending.starts_with('.')) => {
                    let _ = number;
                    format!("{}{ending}", self.count())
                }
                _ => same_shape(segment, rng),
            };
        }
        format!("/{}", segments.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_pattern_walks_through_identifiers() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut walk = Walk { next: 41, page: 0 };
        let mut fill = |pattern: &str, own: &str| walk.fill(pattern, own, &mut rng);
        assert_eq!(fill("{walk}", "/crm/v3/objects/contacts/265443?a=1"), "/crm/v3/objects/contacts/42");
        assert_eq!(fill("{walk}", "/orders/723380.json"), "/orders/43.json");
        assert_eq!(fill("{walk}", "/orders"), "/orders/44");
        assert_eq!(fill("{own}?page={page}&{odd}", "/orders?x"), "/orders?page=1&{odd}");
        let token = fill("{walk}", "/v1/charges/ch_3NfA9b2c8d7e");
        assert!(token.starts_with("/v1/charges/") && token.len() == 27 && !token.contains("3NfA9b2c"), "{token}");
    }
}
