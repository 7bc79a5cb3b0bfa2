//! Sigma rules: as written in YAML, and compiled to patterns over columns.
//!
//! A rule of our own log source with an unknown field is refused, with its line. A rule of a public source that rows cannot answer is
//! listed with the reason, and never in the way. YAML is parsed by `saphyr`, which keeps the place of every value; parsers of Sigma keep
//! neither places nor, past their own evaluator, what they parsed.
//!
//! Not here: what a field reads (`taxonomy`), conditions (`condition`), comparing (`pattern`).

use std::path::{Path, PathBuf};

use super::condition::Condition;
use super::error::RuleError;
use super::level::Level;
use super::pack::RULES;
use super::pattern::{Modifiers, Pattern};
use super::sample::{FailedSample, Sample};
use super::taxonomy::{Ended, LOG_SOURCES, LogSource, OUTCOMES, Reads};
use super::yaml::{Node, Value, documents};
use crate::calls::{Measure, Relation};
use crate::rollup::Row;

/// The rules of one file.
#[derive(Debug, Default)]
pub struct SigmaFile {
    /// Those that rows can answer.
    pub rules: Vec<SigmaRule>,
    /// Those that they cannot.
    pub unevaluable: Vec<Unevaluable>,
}

/// A rule that rows cannot answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Unevaluable {
    /// The file.
    pub file: PathBuf,
    /// Line of what cannot be answered.
    pub line: usize,
    /// Its kind, for counting.
    pub kind: &'static str,
    /// What, and why.
    pub reason: String,
}

/// A rule, compiled.
#[derive(Debug)]
pub struct SigmaRule {
    /// Name in alerts and exceptions: its `name`, else its file's.
    pub name: String,
    /// What it finds.
    pub title: String,
    /// How grave that is.
    pub level: Level,
    /// The file.
    pub file: PathBuf,
    /// Its first line.
    pub line: usize,
    source: &'static LogSource,
    selections: Vec<Selection>,
    condition: Condition,
    counts: bool,
    samples: Vec<Sample>,
}

/// Groups of tests: one group must pass whole.
#[derive(Debug)]
struct Selection(Vec<Vec<Test>>);

#[derive(Debug)]
struct Test {
    reads: Reads,
    patterns: Vec<Pattern>,
    all: bool,
}

/// Which outcomes of a relation a rule matches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Matched {
    /// These, by the bits of [`OUTCOMES`].
    Outcomes(u8),
    /// That depends on what is counted.
    ByCount,
}

/// Why a rule is not compiled.
enum Fault {
    Refused { line: usize, field: String, problem: String },
    Unevaluable { line: usize, kind: &'static str, reason: String },
}

impl SigmaFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`RuleError`], naming file, line and field.
    pub fn read(file: &Path) -> Result<Self, RuleError> {
        Self::parse(file, &RuleError::read(file)?)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// [`RuleError`], naming file, line and field.
    pub fn parse(file: &Path, text: &str) -> Result<Self, RuleError> {
        let compiled = documents(text, |document| compile(document, file));
        let compiled = compiled.map_err(|bad| RuleError::at(file, bad.line, "YAML", bad.problem))?;
        if compiled.is_empty() {
            return Err(RuleError::at(file, 1, "title", "the file has no rule"));
        }
        let mut read = Self::default();
        let is_one = compiled.len() == 1;
        for (index, rule) in compiled.into_iter().enumerate() {
            match rule {
                Ok(mut rule) => {
                    // Rules of one file need names of their own.
                    if !is_one && rule.name == stem(file) {
                        rule.name = format!("{}-{}", rule.name, index + 1);
                    }
                    if RULES.iter().any(|shipped| shipped.name == rule.name) {
                        let problem = "a shipped rule has this name: give this one another `name`";
                        return Err(RuleError::at(file, rule.line, "name", problem));
                    }
                    read.rules.push(rule);
                }
                Err(Fault::Refused { line, field, problem }) => return Err(RuleError::at(file, line, &field, problem)),
                Err(Fault::Unevaluable { line, kind, reason }) => {
                    read.unevaluable.push(Unevaluable { file: file.to_owned(), line, kind, reason });
                }
            }
        }
        Ok(read)
    }
}

impl SigmaRule {
    /// Name of its log source.
    pub fn source(&self) -> String {
        self.source.name()
    }

    /// What is lost on the way to rows, in words.
    pub fn approximations(&self) -> Vec<&'static str> {
        let tests = self.selections.iter().flat_map(|selection| selection.0.iter().flatten());
        let mut lost: Vec<_> = tests.filter_map(|test| test.reads.approximation()).collect();
        lost.sort_unstable();
        lost.dedup();
        lost
    }

    /// Samples that do not show what they should.
    pub fn failed_samples(&self) -> Vec<FailedSample> {
        let shows = |rows: &[Row]| {
            let calls = |row: &Row| self.matched(&row.relation).and_then(|matched| self.calls_of(row, matched));
            rows.iter().any(|row| calls(row).is_some())
        };
        self.samples.iter().filter_map(|sample| sample.failed(&self.name, &shows)).collect()
    }

    /// How many samples it brings along that must match, and that must not.
    pub fn samples(&self) -> [usize; 2] {
        let positive = self.samples.iter().filter(|sample| sample.is_positive).count();
        [positive, self.samples.len() - positive]
    }

    /// What of a relation it matches; `None` where nothing of it can.
    pub(super) fn matched(&self, relation: &Relation) -> Option<Matched> {
        if !self.source.covers(relation) {
            return None;
        }
        if self.counts {
            return Some(Matched::ByCount);
        }
        let ends = OUTCOMES
            .iter()
            .enumerate()
            .filter(|(_, (outcome, _))| self.holds(Ended { relation, outcome: *outcome }, None));
        let bits = ends.fold(0, |bits, (index, _)| bits | 1 << index);
        (bits != 0).then_some(Matched::Outcomes(bits))
    }

    /// Calls of a row that it matches; `None` where there are none.
    pub(super) fn calls_of(&self, row: &Row, matched: Matched) -> Option<i64> {
        let known: i64 = OUTCOMES.iter().filter_map(|(_, measure)| Some(row.measures.get((*measure)?))).sum();
        let counted =
            |measure: Option<Measure>| measure.map_or(row.calls() - known, |measure| row.measures.get(measure));
        let is_matched = |index: usize, outcome| match matched {
            Matched::Outcomes(bits) => bits & (1 << index) != 0,
            Matched::ByCount => self.holds(Ended { relation: &row.relation, outcome }, Some(row)),
        };
        let ends = OUTCOMES.iter().enumerate().filter(|(_, (_, measure))| counted(*measure) > 0);
        let calls =
            ends.filter(|(index, (outcome, _))| is_matched(*index, *outcome)).map(|(_, (_, m))| counted(*m)).sum();
        (calls > 0).then_some(calls)
    }

    fn holds(&self, of: Ended<'_>, row: Option<&Row>) -> bool {
        self.condition.holds(&|index| self.selections[index].holds(of, row))
    }
}

impl Selection {
    fn holds(&self, of: Ended<'_>, row: Option<&Row>) -> bool {
        self.0.iter().any(|group| group.iter().all(|test| test.holds(of, row)))
    }
}

impl Test {
    fn holds(&self, of: Ended<'_>, row: Option<&Row>) -> bool {
        let count = |measure| row.map(|row| row.measures.get(measure).to_string().into()).into_iter().collect();
        let texts = match self.reads {
            Reads::Count(measure) => count(measure),
            reads => reads.texts(of),
        };
        let mut results = self.patterns.iter().map(|pattern| pattern.matches(&texts));
        if self.all { results.all(|is| is) } else { results.any(|is| is) }
    }
}

fn stem(file: &Path) -> String {
    file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn refused<T>(node: Node<'_>, field: &str, problem: impl ToString) -> Result<T, Fault> {
    Err(Fault::Refused { line: node.line(), field: field.to_owned(), problem: problem.to_string() })
}

fn compile(document: Node<'_>, file: &Path) -> Result<SigmaRule, Fault> {
    if document.entries().is_none() {
        return refused(document, "title", "write a mapping: `title`, `logsource`, `detection`, `level`");
    }
    let text = |name: &str| document.get(name).and_then(|(_, value)| value.text());
    if let Some((key, _)) = document.get("correlation") {
        let reason = "correlation rules need the order of records; rows have none".to_owned();
        return Err(Fault::Unevaluable { line: key.line(), kind: "correlation rule", reason });
    }
    let Some(title) = text("title") else { return refused(document, "title", "is missing: say what the rule finds") };
    let level = match document.get("level") {
        None => Level::default(),
        Some((_, value)) => {
            let named = value.text().and_then(|name| Level::named(&name));
            let known = Level::ALL.map(Level::as_str).join(", ");
            named.map_or_else(|| refused(value, "level", format!("write one of {known}")), Ok)?
        }
    };
    let source = source_of(document)?;
    let Some((_, detection)) = document.get("detection") else {
        return refused(document, "detection", "is missing: write selections and a condition");
    };
    let Some(parts) = detection.entries() else {
        return refused(detection, "detection", "write selections and a condition");
    };
    let (mut names, mut selections) = (Vec::new(), Vec::new());
    for (name, _, value) in parts.iter().filter(|(name, ..)| name != "condition" && name != "timeframe") {
        names.push(name.clone());
        selections.push(selection(*value, source, &format!("detection.{name}"))?);
    }
    let Some((_, written)) = detection.get("condition") else {
        return refused(detection, "detection.condition", "is missing: write one, as in `condition: selection`");
    };
    let conditions = written.one_or_many().into_iter().map(|one| {
        let text = one.text().unwrap_or_default();
        if text.contains('|') && !source.is_own() {
            let reason = "aggregations in conditions are not evaluated".to_owned();
            return Err(Fault::Unevaluable { line: one.line(), kind: "condition", reason });
        }
        Condition::parse(&text, &names).or_else(|problem| refused(one, "detection.condition", problem))
    });
    let condition = Condition::Any(conditions.collect::<Result<_, _>>()?);
    let counts = selections.iter().flat_map(|selection: &Selection| selection.0.iter().flatten());
    Ok(SigmaRule {
        name: text("name").unwrap_or_else(|| stem(file)),
        title,
        level,
        file: file.to_owned(),
        line: document.line(),
        source,
        counts: counts.into_iter().any(|test| matches!(test.reads, Reads::Count(_))),
        selections,
        condition,
        samples: samples(document)?,
    })
}

fn source_of(document: Node<'_>) -> Result<&'static LogSource, Fault> {
    let Some((_, written)) = document.get("logsource") else {
        return refused(document, "logsource", "is missing: write `product: apiwarden` and `category: api_call`");
    };
    let part = |name: &str| written.get(name).and_then(|(_, value)| value.text());
    let (product, service, category) = (part("product"), part("service"), part("category"));
    let Some(source) = LogSource::find(product.as_deref(), service.as_deref(), category.as_deref()) else {
        let known: Vec<String> = LOG_SOURCES.iter().map(LogSource::name).collect();
        return refused(written, "logsource", format!("is not known: write one of {}", known.join(" | ")));
    };
    match source.unread {
        Some(why) => {
            let reason = format!("logsource {}: {why}", source.name());
            Err(Fault::Unevaluable { line: written.line(), kind: "log source is not read", reason })
        }
        None => Ok(source),
    }
}

fn selection(written: Node<'_>, source: &'static LogSource, path: &str) -> Result<Selection, Fault> {
    let group = |node: Node<'_>| -> Result<Vec<Test>, Fault> {
        let Some(fields) = node.entries() else {
            if source.is_own() {
                return refused(node, path, "keywords search a whole record, and rows have columns: name a field");
            }
            let reason = "keywords search a whole record; rows have columns".to_owned();
            return Err(Fault::Unevaluable { line: node.line(), kind: "keywords", reason });
        };
        fields.into_iter().map(|(name, key, value)| test(&name, key, value, source, path)).collect()
    };
    let groups: Vec<Vec<Test>> = written.one_or_many().into_iter().map(group).collect::<Result<_, _>>()?;
    if groups.is_empty() || groups.iter().any(Vec::is_empty) {
        return refused(written, path, "selects nothing: name a field and its value");
    }
    Ok(Selection(groups))
}

fn test(written: &str, key: Node<'_>, value: Node<'_>, source: &'static LogSource, path: &str) -> Result<Test, Fault> {
    let mut words = written.split('|');
    let name = words.next().unwrap_or_default();
    let lost = |kind, reason: String| Err(Fault::Unevaluable { line: key.line(), kind, reason });
    let reads = match source.field(name) {
        Some(Reads::Nothing(why)) => return lost(why, format!("field {name}: {why}")),
        Some(reads) => reads,
        None if source.is_own() => {
            let known: Vec<&str> = source.fields.iter().map(|(name, _)| *name).collect();
            return refused(key, &format!("{path}.{name}"), format!("is no field: there are {}", known.join(", ")));
        }
        None => return lost("field has no column", format!("field {name}: no column holds it")),
    };
    let modifiers = match Modifiers::parse(words) {
        Ok(modifiers) => modifiers,
        Err(word) if source.is_own() => {
            return refused(key, &format!("{path}.{name}"), format!("the modifier `{word}` is not known"));
        }
        Err(word) => return lost("modifier is not known", format!("field {name}: the modifier `{word}` is not known")),
    };
    let mut patterns = Vec::new();
    for node in value.one_or_many() {
        let Some(value) = node.value() else {
            return refused(node, &format!("{path}.{name}"), "write texts or numbers");
        };
        let value = match value {
            Value::Text(text) => {
                if let Some(why) = reads.refuses(&text) {
                    return lost(why, format!("field {name}: {why}"));
                }
                Value::Text(reads.normalised(&text))
            }
            value => value,
        };
        let pattern = modifiers.pattern(&value);
        let pattern = pattern.or_else(|problem| refused(node, &format!("{path}.{name}"), problem))?;
        let is_told = |texts: Vec<&str>| !matches!(pattern, Pattern::Text(_)) || pattern.matches(&texts);
        if let Some(texts) = reads.vocabulary().filter(|texts| !is_told(texts.clone())) {
            let known = texts.join(", ");
            if source.is_own() {
                return refused(node, &format!("{path}.{name}"), format!("never has this value: there are {known}"));
            }
            return lost("value is not told apart", format!("field {name}: rows tell apart {known}"));
        }
        patterns.push(pattern);
    }
    if patterns.is_empty() {
        return refused(value, &format!("{path}.{name}"), "has no value: an empty list matches nothing");
    }
    Ok(Test { reads, patterns, all: modifiers.all })
}

/// `samples: {match: ["scheme=http"], pass: ["scheme=https"]}`.
fn samples(document: Node<'_>) -> Result<Vec<Sample>, Fault> {
    let Some((_, written)) = document.get("samples") else { return Ok(Vec::new()) };
    let Some(kinds) = written.entries() else { return refused(written, "samples", "write `match:` and `pass:`") };
    let mut samples = Vec::new();
    for (kind, key, value) in kinds {
        let is_positive = match kind.as_str() {
            "match" => true,
            "pass" => false,
            _ => return refused(key, &format!("samples.{kind}"), "is not known: write `match` or `pass`"),
        };
        for node in value.one_or_many() {
            let sample = Sample::parse(&node.text().unwrap_or_default(), is_positive);
            samples.push(sample.or_else(|problem| refused(node, &format!("samples.{kind}"), problem))?);
        }
    }
    Ok(samples)
}

/// Names of the fields of our own log source.
pub fn own_fields() -> impl Iterator<Item = &'static str> {
    LOG_SOURCES.iter().filter(|source| source.is_own()).flat_map(|source| source.fields.iter().map(|(name, _)| *name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::MEASURES;

    const HEAD: &str = "title: t\nlogsource:\n    product: apiwarden\n    category: api_call\n";

    fn read(text: &str) -> Result<SigmaFile, String> {
        SigmaFile::parse(Path::new("rules/own.yml"), text).map_err(|error| error.to_string())
    }

    /// Calls of a sample row that a rule's detection matches.
    fn calls(detection: &str, row: &str) -> Option<i64> {
        let file = read(&format!("{HEAD}detection:\n{detection}")).unwrap();
        let sample = Sample::parse(row, true).unwrap();
        let matched = file.rules[0].matched(&sample.rows[0].relation)?;
        file.rules[0].calls_of(&sample.rows[0], matched)
    }

    #[test]
    fn a_rule_matches_the_calls_whose_outcome_it_names() {
        let denied = "    s:\n        vendor: stripe\n        outcome: denied\n    condition: s\n";
        assert_eq!(calls(denied, "vendor=stripe, calls=9, ok=6, denied=3"), Some(3));
        assert_eq!(calls(denied, "vendor=stripe, calls=9, ok=9"), None);
        assert_eq!(calls(denied, "vendor=plaid, calls=9, denied=9"), None);
    }

    #[test]
    fn lists_are_alternatives_mappings_conjunctions_and_filters_take_away() {
        let rule = "    s:\n        - vendor: stripe\n          scheme: http\n        - vendor: [plaid, mega]\n    f:\n        caller|startswith: test-\n    condition: s and not f\n";
        assert!(calls(rule, "vendor=stripe, scheme=http").is_some() && calls(rule, "vendor=mega").is_some());
        assert!(calls(rule, "vendor=stripe, scheme=https").is_none());
        assert!(calls(rule, "vendor=mega, caller=test-1").is_none());
        let null = "    s:\n        credential: null\n    condition: s\n";
        assert!(calls(null, "vendor=stripe").is_some() && calls(null, "vendor=stripe, credential=k").is_none());
    }

    #[test]
    fn counts_are_compared_row_by_row() {
        let rule = "    s:\n        bytes_in_max|gt: 1000\n    condition: s\n";
        assert!(calls(rule, "bytes_in_max=1001").is_some() && calls(rule, "bytes_in_max=1000").is_none());
    }

    #[test]
    fn what_is_wrong_with_our_own_rules_is_told_with_its_line() {
        for (detection, problem) in [
            (
                "    s:\n        vendr: stripe\n    condition: s\n",
                "own.yml:7: detection.s.vendr: is no field: there are view",
            ),
            ("    s:\n        scheme: htpp\n    condition: s\n", "own.yml:7: detection.s.scheme: never has this value"),
            ("    s:\n        vendor|is: x\n    condition: s\n", "own.yml:7: detection.s.vendor: the modifier `is`"),
            ("    s:\n        vendor: x\n    condition: t\n", "own.yml:8: detection.condition: `t` names no selection"),
            ("    s:\n        vendor: x\n", "own.yml:6: detection.condition: is missing"),
            ("    s:\n        vendor: [x\n    condition: s\n", "own.yml:8: YAML"),
        ] {
            let error = read(&format!("{HEAD}detection:\n{detection}")).unwrap_err();
            assert!(error.contains(problem), "expected {problem}\nfound    {error}");
        }
        let error = read("title: t\nlogsource:\n    product: windows\ndetection:\n    condition: s\n").unwrap_err();
        assert!(error.contains("own.yml:3: logsource: is not known: write one of product: apiwarden"), "{error}");
        let error = read(&format!("{HEAD}level: sever\n")).unwrap_err();
        assert!(error.contains("own.yml:5: level: write one of informational"), "{error}");
    }

    #[test]
    fn a_public_rule_that_rows_cannot_answer_is_listed_with_the_reason() {
        let head = "title: t\nlogsource:\n    product: aws\n    service: cloudtrail\ndetection:\n    s:\n";
        for (field, reason) in [
            ("requestParameters.layers|contains: x", "request parameters and responses are not kept"),
            ("errorCode: NoSuchBucket", "rows tell apart AccessDenied"),
            ("some.other: x", "no column holds it"),
        ] {
            let file = read(&format!("{head}        {field}\n    condition: s\n")).unwrap();
            assert!(file.rules.is_empty());
            assert!(file.unevaluable[0].reason.contains(reason), "{:?}", file.unevaluable);
            assert_eq!(file.unevaluable[0].line, 7);
        }
    }

    #[test]
    fn a_rule_that_asks_for_success_in_words_or_by_null_matches_calls_without_an_error() {
        let text = "title: t\nlogsource:\n    product: aws\n    service: cloudtrail\ndetection:\n    e:\n        eventName: DeleteFlowLogs\n    \
                    s_1:\n        errorCode: Success\n    s_2:\n        errorCode: null\n    condition: e and 1 of s_*\n";
        let file = read(text).unwrap();
        let calls = |end: &str| {
            let sample =
                Sample::parse(&format!("view=audit, vendor=aws, endpoint=ec2:DeleteFlowLogs{end}"), true).unwrap();
            let matched = file.rules[0].matched(&sample.rows[0].relation)?;
            file.rules[0].calls_of(&sample.rows[0], matched)
        };
        assert_eq!((calls(""), calls(", client_error=1"), calls(", denied=1")), (Some(1), None, None));
    }

    #[test]
    fn measures_have_names_that_rules_can_use() {
        assert!(MEASURES.iter().all(|measure| own_fields().any(|name| name == measure.name)));
    }
}
