//! Standard output: every result that a command prints goes through here.
//!
//! `println!` panics when the reader is gone, as in `apiwarden detectors | head -1`. Here a closed pipe is an error of its own,
//! and [`end`] turns it into success: the reader has what it wanted.
//!
//! Names in what a command prints come from logs, which an attacker may have written: text for people is cleaned here, on standard output and
//! on standard error.
//!
//! Not here: progress and diagnostics (standard error), alerts of the stream (`alerts::sinks`).

use std::fmt;
use std::io::{self, Write};

use anyhow::Context;

use crate::alerts::{printable, printable_lines};

/// What an error about standard output begins with.
pub(super) const STDOUT: &str = "standard output";

/// Prints a text for people and a line break to standard output, without what could control a terminal.
///
/// # Errors
/// As [`print_line`].
pub(super) fn print_text(text: impl fmt::Display) -> anyhow::Result<()> {
    print_line(printable_lines(&text.to_string()))
}

/// Prints a text for people that is one line, whatever names in it hold.
///
/// # Errors
/// As [`print_line`].
pub(super) fn print_row(text: impl fmt::Display) -> anyhow::Result<()> {
    print_line(printable(&text.to_string()))
}

/// Prints a diagnostic to standard error, without what could control a terminal.
pub(super) fn report(diagnostic: impl fmt::Display) {
    eprintln!("apiwarden: {}", printable_lines(&diagnostic.to_string()));
}

/// Prints a text and a line break to standard output, as it is: what is for programs, or was cleaned before it was coloured.
///
/// # Errors
/// Where standard output cannot be written; [`end`] knows a closed pipe.
pub(super) fn print_line(text: impl fmt::Display) -> anyhow::Result<()> {
    writeln!(stdout(), "{text}").context(STDOUT)
}

/// Standard output, locked, for commands that write in pieces.
pub(super) fn stdout() -> Output<io::StdoutLock<'static>> {
    Output(io::stdout().lock())
}

/// The result of a command as the process reports it: output that nobody reads any more is no failure.
pub(super) fn end(result: anyhow::Result<()>) -> anyhow::Result<()> {
    let is_closed = |error: &anyhow::Error| {
        let io_errors = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
        io_errors.filter_map(io::Error::get_ref).any(|inner| inner.is::<Closed>())
    };
    match result {
        Err(error) if is_closed(&error) => Ok(()),
        result => result,
    }
}

/// The reader of standard output has closed it. Distinct from a broken pipe elsewhere, as to a broker, which is a failure.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
struct Closed;

/// A writer that marks a broken pipe as [`Closed`].
pub(super) struct Output<W>(W);

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(mark)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(mark)
    }
}

fn mark(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::BrokenPipe { io::Error::new(error.kind(), Closed) } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails every write, as a pipe whose reader is gone or a full disk does.
    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_reader_that_is_gone_ends_a_command_quietly() {
        let written = writeln!(Output(Failing(io::ErrorKind::BrokenPipe)), "a line").context("standard output");
        assert!(end(written).is_ok());
        assert!(end(Output(Failing(io::ErrorKind::BrokenPipe)).flush().map_err(Into::into)).is_ok());
    }

    #[test]
    fn any_other_failure_is_reported() {
        assert!(end(writeln!(Output(Failing(io::ErrorKind::StorageFull)), "a line").map_err(Into::into)).is_err());
        let elsewhere: io::Result<()> = Err(io::ErrorKind::BrokenPipe.into());
        assert!(end(elsewhere.context("the broker")).is_err());
    }
}
