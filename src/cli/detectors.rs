//! `apiwarden detectors`: the list of detectors, and the page of each.
//!
//! Not here: the text of the pages, which is the header of each file in `detect`.

use std::io::Write;

use anyhow::Context;
use clap::Args;
use comfy_table::{Table, presets};

use super::output::{print_line, stdout};
use crate::detect::{DETECTORS, detector_named};

/// Lists the detectors, or prints the page of one.
#[derive(Debug, Args)]
pub(super) struct Detectors {
    /// Print the page of this detector: what it finds, what it misses, and how to tune it.
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

impl Detectors {
    pub fn run(self) -> anyhow::Result<()> {
        if let Some(name) = self.name {
            let detector =
                detector_named(&name).context("no detector of that name; `apiwarden detectors` lists them")?;
            stdout().write_all(detector.page().as_bytes())?;
            return Ok(());
        }
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(["detector", "title", "category", "ATT&CK"]);
        for detector in DETECTORS {
            let techniques = detector.techniques().join(", ");
            table.add_row([detector.meta.name, detector.meta.title, detector.meta.category.as_str(), &techniques]);
        }
        print_line(table)
    }
}
