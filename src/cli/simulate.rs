//! `apiwarden simulate`: a specification → synthetic logs of harmless days, with labels.
//!
//! Not here: what happens on those days (`simulate`).

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::output::print_line;
use super::output_file::OutputFile;
use crate::simulate::{Format, Simulated, Spec, simulate, write_labels};

/// zstd level: fast, and still reduces the logs to a twelfth.
const COMPRESSION: i32 = 1;

/// Writes synthetic logs of a company on harmless days, with labels for every harmless change.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden simulate datasets/simulations/egress.toml --out /tmp/company/
  apiwarden simulate datasets/simulations/audit.toml --out audit.ndjson.zst

labels.csv in the same directory lists the harmless changes (releases, campaigns, outages, …); none is malicious.")]
pub(super) struct Simulate {
    /// Specification, TOML; see datasets/simulations.
    #[arg(value_name = "SPEC")]
    spec: PathBuf,
    /// File to write (compressed with zstd if its name ends in .zst), or a directory for egress.ndjson.zst or audit.ndjson.zst.
    #[arg(long, short, value_name = "PATH")]
    out: PathBuf,
}

impl Simulate {
    pub fn run(self) -> anyhow::Result<()> {
        let began = Instant::now();
        let spec = Spec::load(&self.spec)?;
        let file = self.file(spec.format);
        let directory = file.parent().unwrap_or_else(|| Path::new(""));
        let at = |path: &Path| path.display().to_string();
        if !directory.as_os_str().is_empty() {
            std::fs::create_dir_all(directory).with_context(|| at(directory))?;
        }
        let simulated = write(&spec, &file)?;
        let labels = directory.join("labels.csv");
        let mut out = OutputFile::create(&labels)?;
        write_labels(&simulated.labels, &mut out)?;
        out.finish()?;
        print_line(format_args!(
            "{}: {} records of {} days in {:.1} seconds; {}: {} harmless changes",
            file.display(),
            simulated.records,
            spec.days,
            began.elapsed().as_secs_f64(),
            labels.display(),
            simulated.labels.len()
        ))
    }

    fn file(&self, format: Format) -> PathBuf {
        let is_file =
            self.out.extension().is_some_and(|ending| ["ndjson", "json", "zst", "log"].iter().any(|e| ending == *e));
        if is_file && !self.out.is_dir() {
            return self.out.clone();
        }
        self.out.join(match format {
            Format::Ecs => "egress.ndjson.zst",
            Format::Cloudtrail => "audit.ndjson.zst",
        })
    }
}

fn write(spec: &Spec, file: &Path) -> anyhow::Result<Simulated> {
    let bar = ProgressBar::new(spec.days as u64);
    let template = "{spinner} day {pos} of {len} [{wide_bar}] {eta:>4}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut progress = |day: usize| bar.set_position(day as u64);
    let mut out = OutputFile::create(file)?;
    let simulated = if file.extension().is_some_and(|ending| ending == "zst") {
        let mut compressed = zstd::Encoder::new(&mut out, COMPRESSION)?;
        let simulated = simulate(spec, &mut compressed, &mut progress)?;
        compressed.finish()?;
        simulated
    } else {
        simulate(spec, &mut out, &mut progress)?
    };
    out.finish()?;
    bar.finish_and_clear();
    Ok(simulated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::evaluate::Labels;

    const SPEC: &str = "seed = 1\nformat = \"ecs\"\nstart = \"2026-09-01\"\ndays = 6\ncalls_a_day = 200\n";

    #[test]
    fn a_directory_gets_compressed_logs_and_labels_that_evaluate_reads() {
        let folder = tempfile::tempdir().unwrap();
        let (spec, out) = (folder.path().join("spec.toml"), folder.path().join("company"));
        std::fs::write(&spec, SPEC).unwrap();
        Simulate { spec, out: out.clone() }.run().unwrap();
        let log = zstd::decode_all(std::fs::File::open(out.join("egress.ndjson.zst")).unwrap()).unwrap();
        assert!(log.ends_with(b"}\n"));
        let labels = Labels::read(&out.join("labels.csv")).unwrap();
        assert!(!labels.cases.is_empty() && labels.cases.iter().all(|case| !case.malicious));
    }

    #[test]
    fn a_file_name_is_kept() {
        let file = |out: &str| Simulate { spec: PathBuf::new(), out: out.into() }.file(Format::Cloudtrail);
        assert_eq!(file("logs/a.ndjson"), Path::new("logs/a.ndjson"));
        assert_eq!(file("logs"), Path::new("logs/audit.ndjson.zst"));
    }
}
