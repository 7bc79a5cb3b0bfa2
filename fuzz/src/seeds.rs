//! Writes the corpora that fuzzing begins with: the samples of all formats, and the inputs of `tests/cases`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use apiwarden::ingest::FORMATS;
use apiwarden_fuzz::SPEC_END;

/// Longest seed, bytes: mutating what is longer finds little.
const MAX_BYTES: usize = 4_096;

/// Specifications, with a record that each reads.
const MAPPINGS: &[(&str, &str)] = &[
    (
        "format = 'custom'\nfields = { time = 'at', host = 'to.host', caller = '/app', latency_ms = { from = 'took', unit = 's' } }",
        r#"{"at":"2026-09-15T08:00:00Z","to":{"host":"api.stripe.com"},"app":"billing","took":0.25}"#,
    ),
    (
        "format = 'custom'\nzone = 'Europe/Berlin'\npattern = '^(?P<when>\\S+) (?P<app>\\S+) (?P<to>\\S+)$'\nfields = { time = 'when', caller = 'app', host = 'to' }",
        "2026-09-15T08:00:00 billing api.stripe.com",
    ),
    (
        "format = 'nginx'\nlog_format = '$remote_addr [$time_local] \"$request\" $status $host$request_uri $upstream_addr'",
        r#"10.0.0.7 [01/Sep/2026:00:00:01 +0000] "GET /a HTTP/1.1" 200 x.io/a 1.1.1.1:80, 1.1.1.2:80"#,
    ),
    (
        "format = 'nginx'\nlog_format = '{\"t\":\"$time_iso8601\",\"h\":\"$host\",\"s\":$status}'",
        r#"{"t":"2026-09-01T00:00:01Z","h":"x.io","s":200}"#,
    ),
    (
        "format = 'apache'\nlog_format = '%v %h %u %t \"%r\" %>s %I %O %D \"%{User-Agent}i\"'",
        r#"x.io 10.0.0.7 - [01/Sep/2026:00:00:01 +0000] "GET /a HTTP/1.1" 200 663 902 500 "go""#,
    ),
    (
        "format = 'squid'\nlog_format = '%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru'",
        "1788220801.500    500 10.0.0.7 TCP_MISS/200 902 GET http://api.x.io/a",
    ),
    (
        "strict = true\nown_domains = ['stripe.com']\nconstants = { caller = 'crm' }",
        r#"{"@timestamp":"2026-09-01T00:00:00Z","url":{"domain":"x.io"},"http":{}}"#,
    ),
];

fn main() -> io::Result<()> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (index, format) in FORMATS.iter().enumerate() {
        let sample = format.sample.as_bytes();
        write(home, "detection", format.name, sample)?;
        write(home, "formats", format.name, &[&[index as u8], sample].concat())?;
        for envelope in [0_u8, 1, 5, 12] {
            write(home, "envelopes", &format!("{}-{envelope}", format.name), &[&[envelope], sample].concat())?;
        }
    }
    for (index, (spec, record)) in MAPPINGS.iter().enumerate() {
        write(home, "mapping", &index.to_string(), &[spec.as_bytes(), SPEC_END, record.as_bytes()].concat())?;
    }
    for case in files(&home.join("../tests/cases"))? {
        let bytes = fs::read(&case)?;
        let name = case.iter().rev().take(2).map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("-");
        for (index, record) in bytes.split(|byte| *byte == b'\n').enumerate() {
            write(home, "detection", &format!("{name}-{index}"), record)?;
            write(home, "envelopes", &format!("{name}-{index}"), &[b"\0", record].concat())?;
        }
    }
    Ok(())
}

fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "json" || extension == "ndjson") {
            found.push(path);
        }
    }
    Ok(found)
}

fn write(home: &Path, target: &str, name: &str, seed: &[u8]) -> io::Result<()> {
    if seed.is_empty() || seed.len() > MAX_BYTES {
        return Ok(());
    }
    let corpus = home.join("corpus").join(target);
    fs::create_dir_all(&corpus)?;
    fs::write(corpus.join(name), seed)
}
