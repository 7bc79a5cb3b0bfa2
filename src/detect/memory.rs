//! What detectors learn and remember, without its types: one value a detector, of the stream and of each entity.
//!
//! In files each value stands under its detector's name, as bytes: a detector that is gone is an error that names it, one that is new
//! begins with nothing.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::kinds;
use super::tracking::{Shifts, Tracking};
use crate::features::{EntityState, EntityStore, Part};

/// What may be learned or remembered.
pub trait Remembered:
    Any + Serialize + DeserializeOwned + Default + Clone + PartialEq + fmt::Debug + Send + Sync
{
}

impl<T: Any + Serialize + DeserializeOwned + Default + Clone + PartialEq + fmt::Debug + Send + Sync> Remembered for T {}

/// A remembered value without its type.
pub trait AnyMemory: Any + fmt::Debug + Send + Sync {
    /// It as bytes.
    fn bytes(&self) -> Result<Vec<u8>, postcard::Error>;
    /// A copy.
    fn boxed(&self) -> Box<dyn AnyMemory>;
    /// Whether there is nothing in it.
    fn is_default(&self) -> bool;
}

impl<T: Remembered> AnyMemory for T {
    fn bytes(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(self)
    }

    fn boxed(&self) -> Box<dyn AnyMemory> {
        Box::new(self.clone())
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Clone for Box<dyn AnyMemory> {
    fn clone(&self) -> Self {
        (**self).boxed()
    }
}

type ReadBack = fn(&[u8]) -> Result<Box<dyn AnyMemory>, postcard::Error>;

/// How a type of memory begins and is read back.
#[derive(Clone, Copy)]
pub struct Kind {
    new: fn() -> Box<dyn AnyMemory>,
    read: ReadBack,
}

impl Kind {
    /// The kind of a type.
    pub const fn of<T: Remembered>() -> Self {
        Self { new: || Box::new(T::default()), read: |bytes| Ok(Box::new(postcard::from_bytes::<T>(bytes)?)) }
    }
}

/// The types of one detector.
pub struct Kinds {
    /// Its name.
    pub name: &'static str,
    /// What it learns.
    pub model: Kind,
    /// What it remembers of the stream.
    pub memory: Kind,
    /// What it remembers of an entity.
    pub part: Kind,
}

fn typed<T: Any>(memory: &dyn AnyMemory) -> Option<&T> {
    (memory as &dyn Any).downcast_ref()
}

fn typed_mut<T: Any>(memory: &mut dyn AnyMemory) -> Option<&mut T> {
    (memory as &mut dyn Any).downcast_mut()
}

fn detector_at(name: &str) -> Result<(usize, &'static Kinds), String> {
    kinds().enumerate().find(|(_, kinds)| kinds.name == name).ok_or_else(|| format!("unknown detector {name}"))
}

/// One value of each detector, in the order of the list.
#[derive(Clone, Debug)]
struct Values(Vec<Box<dyn AnyMemory>>);

impl Values {
    fn new(kind: fn(&Kinds) -> Kind) -> Self {
        Self(kinds().map(|kinds| (kind(kinds).new)()).collect())
    }

    /// Those with something in them, by the names of their detectors.
    fn named(&self) -> Result<BTreeMap<&'static str, Vec<u8>>, postcard::Error> {
        let used = kinds().zip(&self.0).filter(|(_, value)| !value.is_default());
        used.map(|(kinds, value)| Ok((kinds.name, value.bytes()?))).collect()
    }

    fn read(kind: fn(&Kinds) -> Kind, named: &BTreeMap<String, Vec<u8>>) -> Result<Self, String> {
        let mut values = Self::new(kind);
        for (name, bytes) in named {
            let (index, kinds) = detector_at(name)?;
            values.0[index] = (kind(kinds).read)(bytes).map_err(|error| format!("detector {name}: {error}"))?;
        }
        Ok(values)
    }
}

/// What detectors learned by themselves.
#[derive(Clone, Debug)]
pub struct Models(Values);

impl Models {
    /// What each detector learned, in the order of the list, as a bundle keeps it.
    ///
    /// # Errors
    /// None in practice: all that is learned serializes.
    pub(super) fn packed(models: Vec<Box<dyn AnyMemory>>) -> Result<BTreeMap<String, Vec<u8>>, postcard::Error> {
        Ok(Values(models).named()?.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect())
    }

    /// Reads what a bundle keeps.
    ///
    /// # Errors
    /// Where the bundle names a detector that is not there, or holds what its detector cannot read.
    pub fn read(parts: &BTreeMap<String, Vec<u8>>) -> Result<Self, String> {
        Values::read(|kinds| kinds.model, parts).map(Self)
    }

    pub(super) fn get<T: Any>(&self, index: usize) -> Option<&T> {
        self.0.0.get(index).and_then(|model| typed(&**model))
    }
}

/// What detectors remember of the stream.
#[derive(Clone, Debug)]
pub struct Memories(Values);

impl Default for Memories {
    fn default() -> Self {
        Self(Values::new(|kinds| kinds.memory))
    }
}

impl Memories {
    pub(super) fn get_mut<T: Any>(&mut self, index: usize) -> Option<&mut T> {
        self.0.0.get_mut(index).and_then(|memory| typed_mut(&mut **memory))
    }
}

impl Serialize for Memories {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.named().map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Memories {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named = BTreeMap::deserialize(deserializer)?;
        Values::read(|kinds| kinds.memory, &named).map(Self).map_err(D::Error::custom)
    }
}

/// What detectors remember of one entity: only of those that remember something.
#[derive(Clone, Debug, Default)]
pub struct Parts(Vec<(usize, Box<dyn AnyMemory>)>);

impl Parts {
    /// Whether no detector remembers anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Shows a detector its part, and keeps it if there is something in it.
    pub(super) fn with<T: Remembered, R>(&mut self, index: usize, f: impl FnOnce(&mut T) -> R) -> R {
        let at = self.0.iter().position(|(detector, _)| *detector == index);
        if let Some(part) = at.and_then(|at| typed_mut::<T>(&mut *self.0[at].1)) {
            let result = f(part);
            if *part == T::default() {
                self.0.retain(|(detector, _)| *detector != index);
            }
            return result;
        }
        let mut part = T::default();
        let result = f(&mut part);
        if part != T::default() {
            self.0.push((index, Box::new(part)));
            self.0.sort_by_key(|(detector, _)| *detector);
        }
        result
    }
}

impl Serialize for Parts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named =
            self.0.iter().map(|(index, part)| Ok((kinds().nth(*index).map_or("", |kinds| kinds.name), part.bytes()?)));
        named.collect::<Result<Vec<_>, postcard::Error>>().map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named: Vec<(String, Vec<u8>)> = Deserialize::deserialize(deserializer)?;
        let part = |(name, bytes): &(String, Vec<u8>)| {
            let (index, kinds) = detector_at(name)?;
            let part = (kinds.part.read)(bytes).map_err(|error| format!("detector {name}: {error}"))?;
            Ok((index, part))
        };
        named.iter().map(part).collect::<Result<_, String>>().map(Self).map_err(D::Error::custom)
    }
}

/// What is remembered of an entity beside its windows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EntityPart {
    /// How a known entity goes on since training.
    pub tracking: Option<Box<Tracking>>,
    /// Shifts of statistics that are being reported.
    pub shifts: Shifts,
    /// What single detectors remember.
    pub parts: Parts,
}

impl Part for EntityPart {
    fn is_disposable(&self) -> bool {
        self.tracking.is_none() && self.shifts.is_empty() && self.parts.is_empty()
    }
}

/// An entity with what detectors remember of it.
pub type State = EntityState<EntityPart>;
/// All entities.
pub type Store = EntityStore<EntityPart>;
