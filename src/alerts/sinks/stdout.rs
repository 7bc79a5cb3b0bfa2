//! Standard output: for a look, a pipe, or a log collector.
//!
//! Not here: exactly-once after a crash. What was written cannot be taken back, so deliveries since the last checkpoint repeat, under the same
//! uid.

use std::io::Write;

use serde::Deserialize;

use super::{Delivery, Sink, SinkError, SinkPlan, SinkPosition, SinkSpec, Surroundings};

/// `type = "stdout"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stdout {}

impl SinkSpec for Stdout {
    const NAME: &'static str = "stdout";
    const SUMMARY: &'static str =
        "Writes each alert as a line of JSON to standard output; may repeat some after a crash.";

    fn check(self, _around: &Surroundings) -> Result<Box<dyn SinkPlan>, SinkError> {
        Ok(Box::new(self))
    }
}

impl SinkPlan for Stdout {
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn takes_suppressed(&self) -> bool {
        true
    }

    fn open(&self) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(Open { out: Box::new(std::io::stdout()), written: 0 }))
    }
}

struct Open {
    out: Box<dyn Write + Send>,
    /// Deliveries of a failed attempt that are already written.
    written: usize,
}

impl Sink for Open {
    fn deliver(&mut self, deliveries: &[Delivery]) -> Result<(), SinkError> {
        for delivery in deliveries.iter().skip(self.written) {
            let mut line = delivery.body.clone();
            line.push(b'\n');
            self.out.write_all(&line).map_err(SinkError::Stdout)?;
            self.written += 1;
        }
        self.out.flush().map_err(SinkError::Stdout)?;
        self.written = 0;
        Ok(())
    }

    fn position(&self) -> SinkPosition {
        SinkPosition::Nowhere
    }

    fn resume(&mut self, _position: &SinkPosition) -> Result<(), SinkError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, Result};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A pipe whose reader is away for the second write.
    #[derive(Clone, Default)]
    struct Pipe(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            let (writes, written) = &mut *self.0.lock().unwrap();
            *writes += 1;
            if *writes == 2 {
                return Err(Error::other("the reader is away"));
            }
            written.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_was_written_before_a_failure_is_not_written_again() {
        let delivery =
            |uid: &str| Delivery { uid: uid.to_owned(), key: None, headers: vec![], body: uid.into(), alert: None };
        let pipe = Pipe::default();
        let mut sink = Open { out: Box::new(pipe.clone()), written: 0 };
        let deliveries = ["a", "b", "c"].map(delivery);
        assert!(sink.deliver(&deliveries).is_err());
        sink.deliver(&deliveries).unwrap();
        sink.deliver(&[delivery("d")]).unwrap();
        assert_eq!(pipe.0.lock().unwrap().1, b"a\nb\nc\nd\n");
    }
}
