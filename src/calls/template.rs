//! Endpoint templates: which positions of a vendor's paths vary, learned from many paths.
//!
//! Under one (vendor, method, prefix) an API has a handful of children. More than [`MAX_CHILDREN`] are names of objects
//! (`/repos/acme`, `/repos/initech` …), so that position becomes `{id}` and what is below the children is one subtree.
//! What training saw keeps its name in the stream, or no expectation would fit; children that come later are counted
//! apart, so a hostile or careless path never makes the state grow without end.
//!
//! Not here: what is recognised in a single path (`endpoint`).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::endpoint::{ID, REST, split};

/// Most children of a prefix before their position is `{id}`.
pub const MAX_CHILDREN: usize = 12;
/// Most positions that are remembered, of all vendors, unless more are given room; past it, new ones are `{rest}`.
const MAX_NODES: usize = 50_000;

/// Gathers endpoints of the training span, then finds which positions vary. The order of endpoints does not matter.
#[derive(Debug, Default)]
pub struct TemplateLearner(Templates);

impl TemplateLearner {
    /// Takes note of one endpoint (`POST /v1/charges/{id}`). Audit operations have no positions.
    pub fn observe(&mut self, vendor: &str, endpoint: &str) {
        self.0.insert(vendor, endpoint);
    }

    /// What was learned.
    pub fn learn(mut self) -> Templates {
        self.0.roots.values_mut().for_each(Node::settle);
        self.0
    }
}

/// Learned templates. Equal observations in equal order give equal templates, to the bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Templates {
    /// By `vendor method`.
    roots: BTreeMap<String, Node>,
    nodes: usize,
    /// Most positions that are remembered. No part of the stored form.
    #[serde(skip, default = "max_nodes")]
    max_nodes: usize,
}

const fn max_nodes() -> usize {
    MAX_NODES
}

impl Default for Templates {
    fn default() -> Self {
        Self { roots: BTreeMap::new(), nodes: 0, max_nodes: MAX_NODES }
    }
}

/// A position of a path, and what was seen below it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Node {
    children: BTreeMap<String, Node>,
    /// Training saw it: its name stays.
    learned: bool,
    /// Unknown children are `{id}`.
    varies: bool,
}

impl Templates {
    /// The template of an endpoint. Positions that were never seen stay as they are up to the limit.
    pub fn apply<'a>(&self, vendor: &str, endpoint: &'a str) -> Cow<'a, str> {
        self.renamed(vendor, endpoint).map_or(Cow::Borrowed(endpoint), Cow::Owned)
    }

    /// The template of an endpoint, where it is not the endpoint itself.
    pub fn renamed(&self, vendor: &str, endpoint: &str) -> Option<String> {
        let (method, path) = split(endpoint)?;
        let mut node = self.roots.get(&root_key(vendor, method));
        let mut template = format!("{method} ");
        for segment in segments(path) {
            let name = node.map_or(segment, |node| node.name_of(segment));
            node = node.and_then(|node| node.children.get(name));
            let no_room = node.is_none() && self.is_full();
            template.push('/');
            template.push_str(if no_room { REST } else { name });
            if no_room {
                break;
            }
        }
        if segments(path).next().is_none() {
            template.push('/');
        }
        (template != endpoint).then_some(template)
    }

    /// Takes note of an endpoint that the stream met. A prefix with more than [`MAX_CHILDREN`] children that training
    /// never saw is `{id}` for all such children from then on. Whether that has just happened: endpoints of the vendor that were seen
    /// before have another name now.
    pub fn observe_new(&mut self, vendor: &str, endpoint: &str) -> bool {
        self.insert(vendor, endpoint)
    }

    /// The same templates with room for so many positions.
    #[must_use]
    pub fn with_room(self, max_nodes: usize) -> Self {
        Self { max_nodes, ..self }
    }

    fn is_full(&self) -> bool {
        self.nodes >= self.max_nodes
    }

    fn insert(&mut self, vendor: &str, endpoint: &str) -> bool {
        let Some((method, path)) = split(endpoint) else { return false };
        let key = root_key(vendor, method);
        if !self.roots.contains_key(&key) {
            if self.is_full() {
                return false;
            }
            self.nodes += 1;
        }
        let root = self.roots.entry(key).or_default();
        let (mut node, mut overfull) = (&mut *root, false);
        for segment in segments(path) {
            let name = node.name_of(segment);
            if !node.children.contains_key(name) {
                if self.nodes >= self.max_nodes {
                    break;
                }
                self.nodes += 1;
                overfull |= node.new_children() >= MAX_CHILDREN;
            }
            node = node.children.entry(name.to_owned()).or_default();
        }
        if overfull {
            let before = root.size();
            root.collapse();
            self.nodes = self.nodes.saturating_sub(before.saturating_sub(root.size()));
        }
        overfull
    }
}

impl Node {
    /// What a child is called here.
    fn name_of<'a>(&self, segment: &'a str) -> &'a str {
        if self.varies && !self.children.get(segment).is_some_and(|child| child.learned) { ID } else { segment }
    }

    fn new_children(&self) -> usize {
        self.children.values().filter(|child| !child.learned).count()
    }

    fn size(&self) -> usize {
        1 + self.children.values().map(Self::size).sum::<usize>()
    }

    /// Where too many new children stand, here or below, they become one `{id}` that holds all that was below them.
    fn collapse(&mut self) {
        if self.new_children() > MAX_CHILDREN {
            self.varies = true;
        }
        if self.varies {
            let (learned, new): (BTreeMap<_, _>, BTreeMap<_, _>) =
                std::mem::take(&mut self.children).into_iter().partition(|(_, child)| child.learned);
            self.children = learned;
            if !new.is_empty() {
                let one = self.children.entry(ID.to_owned()).or_default();
                new.into_values().for_each(|child| one.merge(child));
            }
        }
        self.children.values_mut().for_each(Self::collapse);
    }

    fn merge(&mut self, other: Self) {
        self.varies |= other.varies;
        for (name, child) in other.children {
            self.children.entry(name).or_default().merge(child);
        }
    }

    /// Training is over: what is here has its name for good.
    fn settle(&mut self) {
        self.learned = true;
        self.children.values_mut().for_each(Self::settle);
    }
}

fn root_key(vendor: &str, method: &str) -> String {
    format!("{vendor} {method}")
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(n: usize) -> impl Iterator<Item = String> {
        (0..n).map(|i| format!("repo-{}{}", char::from(b'a' + (i / 26) as u8), char::from(b'a' + (i % 26) as u8)))
    }

    fn learn<'a>(endpoints: impl IntoIterator<Item = &'a String>) -> Templates {
        let mut learner = TemplateLearner::default();
        endpoints.into_iter().for_each(|endpoint| learner.observe("github", endpoint));
        learner.learn()
    }

    #[test]
    fn many_children_are_one_id_and_few_keep_their_names() {
        let templates = learn(&letters(13).map(|r| format!("GET /repos/{r}/commits")).collect::<Vec<_>>());
        assert_eq!(templates.apply("github", "GET /repos/repo-ac/commits"), "GET /repos/{id}/commits");
        assert_eq!(templates.apply("github", "GET /repos/never-seen/pulls"), "GET /repos/{id}/pulls");
        assert_eq!(templates.apply("gitlab", "GET /repos/repo-ac/commits"), "GET /repos/repo-ac/commits");
        let templates = learn(&letters(12).map(|r| format!("GET /repos/{r}/commits")).collect::<Vec<_>>());
        assert_eq!(templates.apply("github", "GET /repos/repo-ac/commits"), "GET /repos/repo-ac/commits");
    }

    #[test]
    fn children_gathered_under_an_id_are_counted_together() {
        let endpoints: Vec<_> = letters(40).map(|r| format!("GET /repos/{r}/branch-of-{r}/log")).collect();
        let templates = learn(&endpoints);
        assert_eq!(templates.apply("github", &endpoints[0]), "GET /repos/{id}/{id}/log");
    }

    #[test]
    fn the_order_of_training_does_not_matter() {
        let mut endpoints: Vec<_> = letters(30)
            .flat_map(|r| ["a", "b", "c"].map(|leaf| format!("GET /{leaf}/{r}/{leaf}/x{}", &r[5..])))
            .collect();
        let forward = learn(&endpoints);
        endpoints.reverse();
        assert_eq!(learn(&endpoints), forward);
    }

    #[test]
    fn the_stream_renames_nothing_that_training_saw() {
        let learned: Vec<_> = letters(5).map(|r| format!("GET /repos/{r}")).collect();
        let mut templates = learn(&learned);
        for i in 0..500 {
            let new = format!("GET /repos/new-{}", "x".repeat(i % 20 + 1));
            templates.observe_new("github", &new);
            let template = templates.apply("github", &new);
            assert_eq!(template == "GET /repos/{id}", i >= 12, "{i}: {template}");
        }
        for endpoint in &learned {
            assert_eq!(templates.apply("github", endpoint), endpoint.as_str());
        }
    }

    #[test]
    fn a_flood_of_paths_stays_bounded_and_counted() {
        let mut templates = Templates::default();
        for i in 0..3_000_u32 {
            let [_, a, b, c] = i
                .wrapping_mul(2_654_435_761)
                .to_be_bytes()
                .map(|byte| "abcdefghijklmnop".as_bytes()[usize::from(byte % 16)] as char);
            templates.observe_new(&format!("v{}", i % 7), &format!("GET /{a}/{b}/{c}"));
        }
        assert_eq!(templates.nodes, templates.roots.values().map(Node::size).sum::<usize>());
        assert!(templates.nodes < 7 * 13 * 13 * 13);
    }

    #[test]
    fn a_full_tree_names_only_what_it_knows() {
        let mut templates = learn(&["GET /repos/acme".to_owned()]);
        templates.nodes = MAX_NODES;
        templates.observe_new("github", "GET /repos/other/pulls");
        assert_eq!(templates.apply("github", "GET /repos/acme"), "GET /repos/acme");
        assert_eq!(templates.apply("github", "GET /repos/other/pulls"), "GET /repos/{rest}");
        assert_eq!(templates.apply("unheard", "GET /a/b"), "GET /{rest}");
    }

    #[test]
    fn audit_operations_pass_and_a_trip_through_bytes_changes_nothing() {
        let mut templates = learn(&letters(20).map(|r| format!("GET /repos/{r}")).collect::<Vec<_>>());
        templates.observe_new("aws", "s3:GetObject");
        assert_eq!(templates.renamed("aws", "s3:GetObject"), None);
        let bytes = postcard::to_stdvec(&templates).unwrap();
        assert_eq!(postcard::from_bytes::<Templates>(&bytes).unwrap(), templates);
    }
}
