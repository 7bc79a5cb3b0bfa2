//! How many different names there were, of more than are kept: HyperLogLog in a kilobyte.
//!
//! Flajolet, Fusy, Gandouet, Meunier: "HyperLogLog" (2007), with 1,024 registers, which is right to about 3 %. It merges and does not depend on
//! the order of names, as all that the catalogue keeps. Names are hashed already, by their content address.
//!
//! Not here: which names are kept (`limits`).

/// Bits of a hash that choose the register.
const INDEX_BITS: u32 = 10;
const REGISTERS: usize = 1 << INDEX_BITS;

/// Counts distinct hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sketch(Box<[u8; REGISTERS]>);

impl Default for Sketch {
    fn default() -> Self {
        Self(Box::new([0; REGISTERS]))
    }
}

impl Sketch {
    /// A sketch as it was stored; `None` for what is none.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Box::new(bytes.try_into().ok()?)))
    }

    /// The stored form.
    pub fn bytes(&self) -> &[u8] {
        &self.0[..]
    }

    /// Takes note of a hash.
    pub fn insert(&mut self, hash: u64) {
        let index = (hash >> (u64::BITS - INDEX_BITS)) as usize;
        // The rank within the bits that are left: the guard bit ends it.
        let rank = ((hash << INDEX_BITS) | (1 << (INDEX_BITS - 1))).leading_zeros() as u8 + 1;
        self.0[index] = self.0[index].max(rank);
    }

    /// About how many different hashes there were.
    pub fn estimate(&self) -> u64 {
        let registers = REGISTERS as f64;
        let alpha = 0.7213 / (1.0 + 1.079 / registers);
        let sum: f64 = self.0.iter().map(|&rank| 2_f64.powi(-i32::from(rank))).sum();
        let raw = alpha * registers * registers / sum;
        let empty = self.0.iter().filter(|&&rank| rank == 0).count();
        // Few names leave registers empty, and these say more.
        let is_small = raw <= 2.5 * registers && empty > 0;
        (if is_small { registers * (registers / empty as f64).ln() } else { raw }).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Name;

    #[test]
    fn the_estimate_is_right_to_a_tenth_whatever_the_number_and_the_order() {
        for count in [0_u32, 1, 40, 3_000, 100_000] {
            let hash = |n: u32| Name::id_of(&format!("made-up-{n}"));
            let (mut forward, mut backward) = (Sketch::default(), Sketch::default());
            (0..count).for_each(|n| forward.insert(hash(n)));
            (0..count).rev().chain(0..count).for_each(|n| backward.insert(hash(n)));
            assert_eq!(forward, backward);
            let error = forward.estimate().abs_diff(u64::from(count));
            assert!(error <= u64::from(count / 10), "{count}: {}", forward.estimate());
            assert_eq!(Sketch::of_bytes(forward.bytes()), Some(forward));
        }
        assert_eq!(Sketch::of_bytes(b"short"), None);
    }
}
