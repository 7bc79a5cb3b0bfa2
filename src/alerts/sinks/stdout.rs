//! Standard output: for a look, a pipe, or a log collector.
//!
//! Not here: any promise after a crash. What was written cannot be taken back, so deliveries since the last checkpoint
//! repeat; their uid tells.

use std::io::Write;

use serde::Deserialize;

use super::{Delivery, Sink, SinkError, SinkPlan, SinkPosition, SinkSpec, Surroundings};

/// `type = "stdout"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stdout {}

impl SinkSpec for Stdout {
    const NAME: &'static str = "stdout";
    const SAYS: &'static str = "Writes each alert as a line of JSON to standard output; may repeat some after a crash.";

    fn check(self, _around: &Surroundings) -> Result<Box<dyn SinkPlan>, SinkError> {
        Ok(Box::new(self))
    }
}

impl SinkPlan for Stdout {
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn open(&self) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(Open { written: 0 }))
    }
}

struct Open {
    /// Deliveries of a failed attempt that are out already.
    written: usize,
}

impl Sink for Open {
    fn deliver(&mut self, deliveries: &[Delivery]) -> Result<(), SinkError> {
        let mut out = std::io::stdout().lock();
        for delivery in deliveries.iter().skip(self.written) {
            out.write_all(&delivery.body).and_then(|()| out.write_all(b"\n")).map_err(SinkError::Stdout)?;
            self.written += 1;
        }
        out.flush().map_err(SinkError::Stdout)?;
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
