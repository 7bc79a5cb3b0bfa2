//! The cataloguer: keeps the catalogue beside the stream.
//!
//! It adds the parts of kept rollups that checkpoints have counted, each once and in their order; where one is gone or merged, as after
//! the catalogue was lost, it builds the catalogue again from all that is kept. A catalogue that cannot be written stops nothing: its parts wait on disk.
//!
//! Not here: what the catalogue says (`catalog`), and when rollups are kept (`run`).

use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use super::error::RunError;
use super::metrics;
use crate::calls::VendorPack;
use crate::catalog::{Catalog, CatalogError, Limits};
use crate::state::{KeptRollups, RollupsError};

/// Why the catalogue was not brought up to date.
#[derive(Debug, Error)]
enum Behind {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Rollups(#[from] RollupsError),
}

impl From<Behind> for RunError {
    fn from(behind: Behind) -> Self {
        match behind {
            Behind::Catalog(problem) => problem.into(),
            Behind::Rollups(problem) => problem.into(),
        }
    }
}

/// The catalogue of a stream.
pub(super) struct Cataloguer {
    catalog: Catalog,
    /// Whether the last attempt failed: told once.
    is_behind: bool,
}

impl Cataloguer {
    /// Opens the catalogue in a directory.
    ///
    /// # Errors
    /// Where it cannot be opened, or another process writes to it.
    pub fn open(directory: &Path, vendors: Arc<VendorPack>) -> Result<Self, CatalogError> {
        Ok(Self { catalog: Catalog::open(directory, vendors, Limits::default())?, is_behind: false })
    }

    /// Goes on with a state that is begun anew, whose parts are numbered from zero: what is known of before stays.
    ///
    /// # Errors
    /// Where the catalogue cannot be written.
    pub fn begin(&mut self) -> Result<(), RunError> {
        if self.catalog.forget_parts()? {
            tracing::warn!("the catalogue keeps what it holds of another state, and goes on with this one");
        }
        Ok(())
    }

    /// Goes on with a state that has counted the parts before `next`. A catalogue that is ahead of it, as after an older state was put back, has
    /// parts whose numbers come again with other rows: it is built again from what is kept.
    ///
    /// # Errors
    /// Where the catalogue cannot be written, or rollups cannot be read: parts would be skipped from then on.
    pub fn resume(&mut self, kept: &KeptRollups, next: u64) -> Result<(), RunError> {
        if self.catalog.part()?.is_some_and(|part| part >= next) {
            tracing::warn!("the catalogue is ahead of the state, which is older");
            self.rebuild(kept, next)?;
        }
        Ok(())
    }

    /// Adds the parts before `next` that are not in it yet.
    pub fn catch_up(&mut self, kept: &KeptRollups, next: u64) {
        let behind = self.add_parts(kept, next).err();
        metrics::catalog_behind(behind.is_some());
        match &behind {
            Some(problem) if !self.is_behind => {
                tracing::warn!(%problem, "the catalogue is behind: what was called is kept, and is added later");
            }
            None if self.is_behind => tracing::info!("the catalogue is up to date again"),
            _ => {}
        }
        self.is_behind = behind.is_some();
    }

    fn add_parts(&mut self, kept: &KeptRollups, next: u64) -> Result<(), Behind> {
        for part in self.catalog.part()?.map_or(0, |part| part + 1)..next {
            match kept.read_part(part)? {
                Some(rows) => drop(self.catalog.add(Some(part), &rows)?),
                None => return self.rebuild(kept, next),
            }
        }
        Ok(())
    }

    fn rebuild(&mut self, kept: &KeptRollups, next: u64) -> Result<(), Behind> {
        tracing::info!("building the catalogue from kept rollups");
        let mut rebuild = self.catalog.rebuild()?;
        for day in kept.days()? {
            rebuild.add(&kept.read(day)?.into_rows())?;
        }
        Ok(rebuild.finish(next.checked_sub(1))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Calls;
    use crate::catalog::{Filter, List, Reader, RotationLimits};
    use crate::rollup::{Rollup, Row};

    fn rows() -> Vec<Row> {
        let pairs = [("billing", "stripe"), ("crm", "adyen"), ("shop", "stripe")];
        let call = |number: i64| (number * 700_000_000, pairs[(number % 3) as usize]);
        Rollup::of(&Calls::of_pairs((0..600).map(call))).into_rows()
    }

    /// The callers of a catalogue, with their calls.
    fn callers(directory: &Path) -> Vec<serde_json::Value> {
        let list = List::named("callers").unwrap();
        let rows = list.rows(&Reader::open(directory).unwrap(), &Filter::default(), &RotationLimits::default());
        rows.unwrap().json()
    }

    #[test]
    fn the_catalogue_of_parts_is_that_of_all_rows_after_a_kill_and_after_it_was_lost() {
        let home = tempfile::tempdir().unwrap();
        let [kept, catalog, whole] = ["rollups", "catalog", "whole"].map(|name| home.path().join(name));
        let (kept, all) = (KeptRollups::of(&kept), rows());
        let vendors = VendorPack::embedded();
        Catalog::open(&whole, Arc::clone(&vendors), Limits::default()).unwrap().add(None, &all).unwrap();
        for (part, rows) in (0..).zip(all.chunks(150)) {
            kept.write(part, rows).unwrap();
            // Each time another process: the one before was killed.
            Cataloguer::open(&catalog, Arc::clone(&vendors)).unwrap().catch_up(&kept, part + 1);
        }
        assert_eq!(callers(&catalog), callers(&whole));
        kept.tidy(1_000, 3, 100_000).unwrap();
        std::fs::remove_dir_all(&catalog).unwrap();
        let parts = all.chunks(150).count() as u64;
        Cataloguer::open(&catalog, vendors).unwrap().catch_up(&kept, parts);
        assert_eq!(callers(&catalog), callers(&whole));
    }

    #[test]
    fn a_state_that_is_older_than_the_catalogue_skips_and_doubles_nothing_and_one_begun_anew_goes_on() {
        let home = tempfile::tempdir().unwrap();
        let [kept, catalog, whole] = ["rollups", "catalog", "whole"].map(|name| home.path().join(name));
        let (kept, all) = (KeptRollups::of(&kept), rows());
        let vendors = VendorPack::embedded();
        let open = || Cataloguer::open(&catalog, Arc::clone(&vendors)).unwrap();
        for (part, rows) in (0..).zip(all.chunks(50).take(3)) {
            kept.write(part, rows).unwrap();
            open().catch_up(&kept, part + 1);
        }
        // The state goes back to behind the first part, and what follows is cut otherwise.
        kept.forget_from(1).unwrap();
        let mut cataloguer = open();
        cataloguer.resume(&kept, 1).unwrap();
        let (again, further) = all.split_at(300);
        for (part, rows) in (1..).zip(again[50..].chunks(250)) {
            kept.write(part, rows).unwrap();
            cataloguer.catch_up(&kept, part + 1);
        }
        drop(cataloguer);
        let expect = |rows: &[Row]| {
            let _ = std::fs::remove_dir_all(&whole);
            Catalog::open(&whole, Arc::clone(&vendors), Limits::default()).unwrap().add(None, rows).unwrap();
            assert_eq!(callers(&catalog), callers(&whole));
        };
        expect(again);
        kept.begin().unwrap();
        let mut cataloguer = open();
        cataloguer.begin().unwrap();
        cataloguer.resume(&kept, 0).unwrap();
        kept.write(0, further).unwrap();
        cataloguer.catch_up(&kept, 1);
        drop(cataloguer);
        expect(&all);
    }
}
