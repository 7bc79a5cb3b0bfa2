//! `apiwarden init`: a pipeline file for logs of one's own, from a sample of them.
//!
//! Not here: how a sample is read (`ingest`), and what a pipeline file may say (`pipeline`).

use clap::Args;

use super::output::print_line;
use super::reading::Setup;
use crate::ingest::{DecodeSpec, Decoder, Inputs, Survey};

/// Writes a commented pipeline file for logs like these to standard output.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  apiwarden init access.log > pipeline.toml")]
pub(super) struct Init {
    /// Samples of the logs; `-` for standard input.
    #[arg(value_name = "SAMPLE", required = true)]
    samples: Vec<String>,
}

impl Init {
    pub fn run(self) -> anyhow::Result<()> {
        let setup = Setup::of(None)?;
        let inputs = Inputs::resolve(&self.samples)?;
        let survey = Survey::of(&inputs, Decoder::new(&DecodeSpec::default())?, setup.key)?;
        print_line(pipeline(&survey))
    }
}

fn pipeline(survey: &Survey) -> String {
    let tally = &survey.tally;
    let rejected = |reason: &str| tally.rejected.contains_key(reason);
    let format = survey.format();
    let mut lines = vec![
        format!(
            "# Made from {} records: {} calls, {} rejected, {} no calls.",
            tally.records(),
            tally.calls,
            tally.rejects(),
            tally.other_events()
        ),
        String::new(),
        "[source.kafka]".to_owned(),
        "brokers = \"localhost:9092\"".to_owned(),
        "topics = [\"api-logs\"]".to_owned(),
        String::new(),
        "[decode]".to_owned(),
    ];
    match format {
        Some(format) => lines.extend([
            format!("# {}", format.summary),
            format!("format = \"{}\"", format.name),
        ]),
        None => lines.extend(
            [
                "# No known format. Lines of NGINX, Apache HTTP Server or Squid are read by the format that the proxy is configured with:",
                "# format = \"nginx\"",
                "# log_format = '$remote_addr [$time_local] $host \"$request\" $status $body_bytes_sent $request_time'",
                "# `custom` reads what [decode.fields] says: paths in JSON records, or groups of a pattern.",
                "# format = \"custom\"",
                "# pattern = '^(?P<when>\\S+) (?P<who>\\S+) (?P<to>\\S+)$'",
            ]
            .map(str::to_owned),
        ),
    }
    lines.push(
        if rejected("no_zone") {
            "zone = \"UTC\" # some times have no offset: of which zone are they?"
        } else {
            "# zone = \"Europe/Berlin\" # of times without an offset"
        }
        .to_owned(),
    );
    lines.extend(
        [
            "# direction = \"egress\" # or \"audit\", where the format leaves it open",
            "# own_domains = [\"example.com\"] # calls to these are no third-party calls",
            "",
            "# Fields that lie elsewhere than their format looks.",
            "# [decode.fields]",
            "# caller = \"labels.team\"",
            "# latency_ms = { from = \"took\", unit = \"s\" }",
            "",
            "# What is the same in every record, as a proxy's log does not say who asks.",
        ]
        .map(str::to_owned),
    );
    let has_no_caller = rejected("no_caller");
    let has_no_host = rejected("no_host");
    lines.push(if has_no_caller || has_no_host { "[decode.constants]" } else { "# [decode.constants]" }.to_owned());
    lines.push(if has_no_caller { "caller = \"edge-proxy\"" } else { "# caller = \"edge-proxy\"" }.to_owned());
    lines.push(if has_no_host { "host = \"api.example.com\"" } else { "# host = \"api.example.com\"" }.to_owned());
    lines.extend(
        [
            "",
            "[model]",
            "# From `apiwarden train --pipeline THIS_FILE --input LOGS --out models/own`.",
            "bundle = \"models/own\"",
            "",
            "[detection]",
            "alerts_per_day = 1.0",
            "",
            "[state]",
            "directory = \"state\"",
            "",
            "[dead_letter]",
            "file = \"state/dead-letters.ndjson\"",
            "",
            "[[sinks]]",
            "type = \"stdout\"",
        ]
        .map(str::to_owned),
    );
    lines.join("\n")
}
