//! Detector pages: each detector's header, rendered for people.
//!
//! The page lies in the detector's own file, so it is read and changed with the code; `docs/detectors` holds the same, written
//! by the test below. A detector that lacks a section does not pass.

use super::{Analytic, Class, DETECTORS, DetectorKind, Impact};
use crate::models::novelty::{NOVELTIES, classes};

/// Sections that every page has, in this order.
#[cfg(test)]
const SECTIONS: [&str; 8] =
    ["Finds", "Why it matters", "Misses", "Tuning", "Example alert", RUNBOOK, "When it is wrong", "Source"];
/// The section whose steps, a number each, are the runbook: alerts for people take the first from here.
const RUNBOOK: &str = "What to do first";

impl DetectorKind {
    /// Its page, in Markdown.
    pub fn page(&self) -> String {
        let body =
            self.header().map(|line| if line.starts_with("# ") { format!("#{line}\n") } else { format!("{line}\n") });
        let super::Meta { name, title, .. } = self.meta;
        let techniques = self.techniques();
        let techniques = if techniques.is_empty() { "none".to_owned() } else { techniques.join(", ") };
        format!(
            "# {title}\n`{name}` · {} · impact {} · by {} · ATT&CK: {techniques} · told {}\n\n{}",
            self.meta.category.as_str(),
            self.meta.impact.as_str(),
            self.meta.analytic.as_str(),
            self.delay(),
            body.collect::<String>()
        )
    }

    /// The lines of its header.
    fn header(&self) -> impl Iterator<Item = &'static str> {
        let header = self.meta.page.lines().map_while(|line| line.strip_prefix("//!"));
        header.map(|line| line.strip_prefix(' ').unwrap_or(line))
    }

    /// The first step of its runbook, on one line.
    pub fn first_step(&self) -> Option<String> {
        let mut section = self.header().skip_while(|line| line.strip_prefix("# ") != Some(RUNBOOK)).skip(1);
        let first = section.next()?.strip_prefix("1. ")?;
        let rest = section.map_while(|line| line.strip_prefix("   "));
        Some([first].into_iter().chain(rest).collect::<Vec<_>>().join(" "))
    }

    /// When what it finds is told: a call that is a novelty or breaks a rule by itself needs no window.
    pub fn delay(&self) -> &'static str {
        let is_novelty =
            |class: &&Class| NOVELTIES.iter().any(|new| new.name == class.name && new.name != classes::BEACON.name);
        let novelties = self.classes.iter().filter(|class| is_novelty(class)).count();
        match novelties {
            0 if self.tells_bursts => {
                "at the end of the minute where large calls show it, else at the end of five minutes and the allowed lateness"
            }
            0 if !self.looks => "at the end of five minutes and the allowed lateness",
            count if count == self.classes.len() => "at once",
            _ => "at once where a call shows it by itself, else at the end of five minutes and the allowed lateness",
        }
    }

    /// Techniques of its classes, in order.
    pub fn techniques(&self) -> Vec<&'static str> {
        let mut uids: Vec<&str> = self.classes.iter().filter_map(|class| class.technique).collect();
        uids.sort_unstable();
        uids.dedup();
        uids
    }
}

impl Impact {
    /// The name in docs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl Analytic {
    /// The name in docs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Behavioural => "what was seen before",
            Self::Statistical => "statistics",
            Self::Learning => "learned models",
        }
    }
}

/// All detectors in a table, in Markdown.
pub fn index() -> String {
    let row = |detector: &DetectorKind| {
        let super::Meta { name, title, category, .. } = detector.meta;
        format!("| [`{name}`]({name}.md) | {title} | {} | {} |\n", category.as_str(), detector.techniques().join(", "))
    };
    let rows: String = DETECTORS.iter().map(row).collect();
    format!(
        "# Detectors\nWhat apiwarden reports. Each page is the header of the detector's source; `apiwarden detectors NAME` prints it.\n\n\
         | detector | title | category | ATT&CK |\n|---|---|---|---|\n{rows}"
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_page_has_its_sections_in_order_and_none_is_empty() {
        for detector in DETECTORS {
            let page = detector.page();
            let mut sections = page.split("\n## ").skip(1).map(|section| section.split_once('\n').unwrap());
            for name in SECTIONS {
                let (found, text) = sections.next().unwrap_or_default();
                assert_eq!(found, name, "{}: a section is missing, or in another order", detector.meta.name);
                assert!(text.trim().len() > 10, "{}: {name} says nothing", detector.meta.name);
            }
        }
    }

    #[test]
    fn the_pages_in_docs_are_those_in_the_source() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/detectors");
        let pages = DETECTORS.iter().map(|detector| (format!("{}.md", detector.meta.name), detector.page()));
        for (file, page) in pages.chain([("README.md".to_owned(), index())]) {
            let path = directory.join(&file);
            if std::env::var_os("UPDATE_DOCS").is_some() {
                fs::create_dir_all(&directory).unwrap();
                fs::write(&path, &page).unwrap();
            }
            let written = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                written == page,
                "docs/detectors/{file} differs: run UPDATE_DOCS=1 cargo test --lib the_pages_in_docs"
            );
        }
    }
}
