//! The detector: one question to what was called, in one file and one line of the list.
//!
//! A detector may learn (a part of the bundle, from the history's rows), remember (of the whole stream, or of each entity), and answer: for
//! an entity that called in a bucket, or once a bucket. Each is typed in its file; at the list the types are rubbed off, so that a new
//! detector is no new field anywhere.
//!
//! Not here: statistics (`models`), what several detectors share (`fused_tests`, `novelties`, `audit_evidence`), and time (`stream`).

use std::collections::BTreeMap;

use super::budget::Budget;
use super::candidate::Candidate;
use super::class::{Class, Meta};
use super::company::Company;
use super::memory::{AnyMemory, Kind, Kinds, Memories, Models, Parts, Remembered, State, Store};
use super::releases::Releases;
use super::subject::OpenIncidents;
use crate::calls::{VendorCategory, View};
use crate::features::WindowSums;
use crate::models::baseline::{Baseline, Verdict};
use crate::models::bundle::Bundle;
use crate::models::hourly::Means;
use crate::rollup::Row;
use crate::rules::Rules;

/// What all detectors see at the end of a bucket.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What was learned.
    pub bundle: &'a Bundle,
    /// What each detector learned by itself.
    pub models: &'a Models,
    /// What may page.
    pub budget: Budget,
    /// All entities.
    pub store: &'a Store,
    /// What all callers do alike.
    pub company: &'a Company,
    /// Who released what is new.
    pub releases: &'a Releases,
    /// The rules of governance, where some are configured.
    pub rules: Option<&'a Rules>,
    /// Which incidents are open.
    pub incidents: &'a dyn OpenIncidents,
    /// The bucket that ends.
    pub bucket: i64,
    /// When it can first be reported, microseconds since the epoch.
    pub time: i64,
}

impl Context<'_> {
    /// Whether a vendor sells work by the piece, as far as anybody knows.
    pub fn is_metered(&self, vendor: &str) -> bool {
        self.bundle.known.vendors().category(vendor).is_some_and(VendorCategory::is_metered)
    }
}

/// An egress entity that called in the bucket, with its tests.
#[derive(Clone, Copy)]
pub struct Evaluated<'a> {
    /// The entity.
    pub state: &'a State,
    /// Sums over the windows that end with the bucket.
    pub sums: &'a WindowSums,
    /// Whether the bucket goes on, so that sums are the least that they will be.
    pub is_open: bool,
    /// What was learned of it.
    pub baseline: Option<&'a Baseline>,
    /// Its tests; those that a level explains have a p-value of 1.
    pub verdicts: &'a [Verdict],
    /// Chance of an entity-day with as rare a window, by all tests together.
    pub p_value: f64,
    /// The same in alarms a day, over all entities.
    pub rate: f64,
    /// The hour's row for the multivariate models, where it is due and out of the ordinary.
    pub row: Option<&'a [f64]>,
    /// The hour that the bucket completed, of a known entity.
    pub hour: Option<&'a Means>,
}

/// What a detector has of its own: what it learned, and what it remembers.
pub struct Own<'a, D: Detector + ?Sized> {
    /// What it learned from the history.
    pub model: &'a D::Model,
    /// What it remembers of the stream.
    pub memory: &'a mut D::Memory,
}

/// A detector. A file of this module, and a line in `DETECTORS`.
pub trait Detector: Sync {
    /// Name, category, impact and page.
    const META: &'static Meta;
    /// What it can say has happened.
    const CLASSES: &'static [&'static Class];
    /// What it learns from a history, as a part of the bundle; `()` where it learns nothing by itself.
    type Model: Remembered;
    /// What it remembers of the whole stream.
    type Memory: Remembered;
    /// What it remembers of one entity.
    type Part: Remembered;

    /// Whether single calls are shown to it as they come (see [`Self::look`]).
    const LOOKS: bool = false;

    /// Whether entities are shown to it (by [`Self::evaluate`]) also while their bucket goes on, without tests, as soon as large calls moved
    /// much: for what looks at nothing but sums.
    const TELLS_BURSTS: bool = false;

    /// Learns from the rolled-up history, in order.
    fn fit(_rows: &[Row]) -> Self::Model {
        Self::Model::default()
    }

    /// What an entity that called in the bucket shows.
    fn evaluate(
        _context: &Context<'_>,
        _entity: &Evaluated<'_>,
        _own: Own<'_, Self>,
        _part: &mut Self::Part,
    ) -> Vec<Candidate> {
        Vec::new()
    }

    /// What the first call of a relation in a bucket shows by itself: no window is needed, so nothing is waited for.
    fn look(_context: &Context<'_>, _row: &Row, _own: Own<'_, Self>) -> Vec<Candidate> {
        Vec::new()
    }

    /// What the end of a bucket shows, before its entities are looked at.
    fn close(_context: &Context<'_>, _rows: &[Row], _own: Own<'_, Self>) -> Vec<Candidate> {
        Vec::new()
    }

    /// What it shows that no record comes, though the input is read to its end: time goes on without. `heard` is the newest bucket with
    /// a call of each view, judged or not. Nothing may be done that a record of the time before would make wrong.
    fn tick(_context: &Context<'_>, _heard: &BTreeMap<View, i64>, _own: Own<'_, Self>) -> Vec<Candidate> {
        Vec::new()
    }

    /// Forgets what of an entity is old news at `time`, microseconds since the epoch, and says whether anything was; called now and then.
    fn forget(_part: &mut Self::Part, _time: i64) -> bool {
        false
    }
}

type Evaluate = fn(usize, &Context<'_>, &Evaluated<'_>, &mut Memories, &mut Parts) -> Vec<Candidate>;

/// A detector without its types: a line of the list.
pub struct DetectorKind {
    /// Name, category, impact and page.
    pub meta: &'static Meta,
    /// What it can say has happened.
    pub classes: &'static [&'static Class],
    pub(super) evaluate: Evaluate,
    pub(super) looks: bool,
    pub(super) tells_bursts: bool,
    pub(super) look: fn(usize, &Context<'_>, &Row, &mut Memories) -> Vec<Candidate>,
    pub(super) close: fn(usize, &Context<'_>, &[Row], &mut Memories) -> Vec<Candidate>,
    pub(super) tick: fn(usize, &Context<'_>, &BTreeMap<View, i64>, &mut Memories) -> Vec<Candidate>,
    pub(super) forget: fn(usize, &mut Parts, i64) -> bool,
    pub(super) kinds: Kinds,
    pub(super) fit: fn(&[Row]) -> Box<dyn AnyMemory>,
}

impl DetectorKind {
    /// The kind of a detector.
    pub const fn of<D: Detector>() -> Self {
        let [model, memory, part] = [Kind::of::<D::Model>(), Kind::of::<D::Memory>(), Kind::of::<D::Part>()];
        Self {
            meta: D::META,
            classes: D::CLASSES,
            evaluate: evaluate::<D>,
            looks: D::LOOKS,
            tells_bursts: D::TELLS_BURSTS,
            look: look::<D>,
            close: close::<D>,
            tick: tick::<D>,
            forget: forget::<D>,
            kinds: Kinds { name: D::META.name, model, memory, part },
            fit: |rows| Box::new(D::fit(rows)),
        }
    }
}

fn evaluate<D: Detector>(
    index: usize,
    context: &Context<'_>,
    entity: &Evaluated<'_>,
    memories: &mut Memories,
    parts: &mut Parts,
) -> Vec<Candidate> {
    let Some(model) = context.models.get::<D::Model>(index) else { return Vec::new() };
    let Some(memory) = memories.get_mut::<D::Memory>(index) else { return Vec::new() };
    parts.with(index, |part| D::evaluate(context, entity, Own { model, memory }, part))
}

fn look<D: Detector>(index: usize, context: &Context<'_>, row: &Row, memories: &mut Memories) -> Vec<Candidate> {
    let Some(model) = context.models.get::<D::Model>(index) else { return Vec::new() };
    let Some(memory) = memories.get_mut::<D::Memory>(index) else { return Vec::new() };
    D::look(context, row, Own { model, memory })
}

fn close<D: Detector>(index: usize, context: &Context<'_>, rows: &[Row], memories: &mut Memories) -> Vec<Candidate> {
    let Some(model) = context.models.get::<D::Model>(index) else { return Vec::new() };
    let Some(memory) = memories.get_mut::<D::Memory>(index) else { return Vec::new() };
    D::close(context, rows, Own { model, memory })
}

fn tick<D: Detector>(
    index: usize,
    context: &Context<'_>,
    heard: &BTreeMap<View, i64>,
    memories: &mut Memories,
) -> Vec<Candidate> {
    let Some(model) = context.models.get::<D::Model>(index) else { return Vec::new() };
    let Some(memory) = memories.get_mut::<D::Memory>(index) else { return Vec::new() };
    D::tick(context, heard, Own { model, memory })
}

fn forget<D: Detector>(index: usize, parts: &mut Parts, time: i64) -> bool {
    parts.with(index, |part: &mut D::Part| D::forget(part, time))
}
