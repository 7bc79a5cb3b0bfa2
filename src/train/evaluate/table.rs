//! Tables as reports print them: without lines, the same on a terminal and in a file.
//!
//! Not here: what stands in them.

use std::fmt;

use comfy_table::{Table, presets};

/// A table without lines, the same on a terminal and in a file.
pub(in crate::train) fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).force_no_tty();
    table
}

/// The table's lines without the blanks that pad them.
pub(in crate::train) fn write_table(f: &mut fmt::Formatter, table: &Table) -> fmt::Result {
    table.lines().try_for_each(|line| writeln!(f, "{}", line.trim_end()))
}
