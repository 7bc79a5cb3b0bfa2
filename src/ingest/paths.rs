//! Paths: where in a record the values lie that somebody asks for, as a tree.
//!
//! A format names the paths that it reads (`paths!`), the user those that lie elsewhere. A key may hold dots or nest; keys compare without
//! case.
//!
//! Not here: the values of a record (`fields`).

use std::borrow::Cow;

/// Declares the paths that a format reads: an enum with a variant per path, and the static `PATHS`.
macro_rules! paths {
    ($name:ident: $($(#[$doc:meta])* $variant:ident = $path:literal,)*) => {
        #[derive(Clone, Copy, Debug)]
        enum $name { $($(#[$doc])* $variant,)* }

        impl From<$name> for usize {
            fn from(path: $name) -> usize {
                path as usize
            }
        }

        static PATHS: std::sync::LazyLock<$crate::ingest::paths::Paths> =
            std::sync::LazyLock::new(|| $crate::ingest::paths::Paths::new([$($path,)*]));
    };
}
pub(super) use paths;

/// Paths to look for, as a tree.
#[derive(Debug, Default)]
pub struct Paths {
    pub(super) names: Vec<Cow<'static, str>>,
    /// The root is the first.
    pub(super) nodes: Vec<Node>,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) children: Vec<(Box<str>, usize)>,
    /// Where a child of a key's hash stands among the children, plus one; open addressing, a power of two of slots.
    slots: Vec<u16>,
    /// The paths that end here: the user may name one for several fields.
    pub(super) paths: Vec<usize>,
}

impl Node {
    fn add(&mut self, key: &str, child: usize) {
        self.children.push((key.into(), child));
        self.slots = vec![0; (4 * self.children.len()).next_power_of_two()];
        for (number, (key, _)) in (1..).zip(&self.children) {
            let mut slot = hash(key) & (self.slots.len() - 1);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (self.slots.len() - 1);
            }
            self.slots[slot] = number;
        }
    }

    #[inline]
    fn child(&self, key: &str) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut slot = hash(key) & mask;
        loop {
            let number = usize::from(self.slots[slot]);
            let (known, child) = self.children.get(number.wrapping_sub(1))?;
            if **known == *key || known.eq_ignore_ascii_case(key) {
                return Some(*child);
            }
            slot = (slot + 1) & mask;
        }
    }
}

impl Paths {
    /// The tree of these dotted paths; each is found again by its index.
    pub fn new<P: Into<Cow<'static, str>>>(paths: impl IntoIterator<Item = P>) -> Self {
        let mut tree = Self { names: Vec::new(), nodes: vec![Node::default()] };
        for path in paths.into_iter().map(Into::into) {
            let end = path.split('.').fold(0, |node, key| tree.child_or_new(node, key));
            tree.nodes[end].paths.push(tree.names.len());
            tree.names.push(path);
        }
        tree
    }

    fn child_or_new(&mut self, node: usize, key: &str) -> usize {
        if let Some(child) = self.child(node, key) {
            return child;
        }
        let child = self.nodes.len();
        self.nodes.push(Node::default());
        self.nodes[node].add(key, child);
        child
    }

    #[inline]
    pub(super) fn child(&self, node: usize, key: &str) -> Option<usize> {
        self.nodes[node].child(key)
    }

    /// The node of a key, which may hold dots.
    pub(super) fn descend(&self, node: usize, key: &str) -> Option<usize> {
        match self.child(node, key) {
            Some(child) => Some(child),
            None if memchr::memchr(b'.', key.as_bytes()).is_some() => {
                key.split('.').try_fold(node, |node, key| self.child(node, key))
            }
            None => None,
        }
    }

    /// The name of a path.
    pub fn name(&self, path: usize) -> &str {
        &self.names[path]
    }

    /// The index of the path of that name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|own| own == name)
    }
}

/// Of length and three letters of a key, in whatever case: few keys share all of them.
#[inline]
fn hash(key: &str) -> usize {
    let bytes = key.as_bytes();
    let letter = |at: usize| bytes.get(at).map_or(0, |byte| byte | 0x20);
    let last = bytes.len().wrapping_sub(1);
    let signature = u32::from_le_bytes([bytes.len() as u8, letter(0), letter(bytes.len() / 2), letter(last)]);
    // Fibonacci hashing: the high bits are the mixed ones.
    (signature.wrapping_mul(0x9e37_79b1) >> 16) as usize
}
