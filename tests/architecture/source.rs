//! Our own source as data: its files, and every path that their code writes down.
//!
//! `use` trees are expanded over as many lines as they take; `crate::`, `super::` and `self::` paths are found wherever code has them.
//! Comments, texts and visibilities (`pub(in crate::train)`) name nothing.
//!
//! Not here: macros that build paths, and methods called on a value: whoever has the value has named its type or its maker.

use std::fs;
use std::path::{Path, PathBuf};

/// A module from the crate's root: `["alerts", "ocsf"]`.
pub type Module = Vec<String>;

/// One file of `src`.
pub struct SourceFile {
    pub path: PathBuf,
    pub module: Module,
    pub text: String,
    /// Modules that it declares: name, and whether for tests only.
    pub children: Vec<(String, bool)>,
    pub references: Vec<Reference>,
    /// Words of its code outside of `use`, tests aside.
    pub words: Vec<String>,
}

/// A path that code writes down, from the crate's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub path: Vec<String>,
    /// Line, from 1.
    pub line: usize,
    pub is_reexport: bool,
    pub is_test: bool,
}

/// All Rust files below a directory, sorted.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "rs"));
    files.sort();
    files
}

impl SourceFile {
    /// Reads a file below `root`, the crate's `src`.
    pub fn read(root: &Path, path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a source file");
        let relative = path.strip_prefix(root).expect("a file of src").with_extension("");
        let mut module: Module = relative.iter().map(|part| part.to_str().expect("UTF-8").to_owned()).collect();
        if module.last().is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str())) {
            module.pop();
        }
        let mut reader = Reader { module: module.clone(), ..Reader::default() };
        reader.read(&tokens(&text));
        let Reader { children, references, words, .. } = reader;
        Self { path: path.to_owned(), module, text, children, references, words }
    }
}

/// A word, `::` or a single symbol, and its line.
type Token<'a> = (&'a str, usize);

/// Cuts code into tokens; what stands in comments, texts and character literals is left out.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let is_word = |symbol: char| symbol.is_alphanumeric() || symbol == '_';
        let (length, is_token) = match first {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), false),
            '/' if rest.starts_with("/*") => (rest.find("*/").map_or(rest.len(), |end| end + 2), false),
            'b' if rest.starts_with("b\"") || rest.starts_with("b'") => (1, false),
            'r' | 'b' if raw_text(rest).is_some() => (raw_text(rest).unwrap_or_default(), false),
            '"' => (quoted(rest, '"').unwrap_or(rest.len()), false),
            // A character literal; else a lifetime.
            '\'' => (character(rest).unwrap_or(1), false),
            ':' if rest.starts_with("::") => (2, true),
            _ if is_word(first) => (rest.find(|symbol| !is_word(symbol)).unwrap_or(rest.len()), true),
            _ => (first.len_utf8(), !first.is_whitespace()),
        };
        let (token, after) = rest.split_at(length);
        if is_token {
            tokens.push((token, line));
        }
        line += token.matches('\n').count();
        rest = after;
    }
    tokens
}

/// Length of the text up to its closing mark, `\"` passed over.
fn quoted(text: &str, mark: char) -> Option<usize> {
    let mut symbols = text.char_indices().skip(1);
    while let Some((at, symbol)) = symbols.next() {
        match symbol {
            '\\' => drop(symbols.next()),
            _ if symbol == mark => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn character(text: &str) -> Option<usize> {
    let mut symbols = text.chars().skip(1);
    let (first, second) = (symbols.next()?, symbols.next()?);
    if first == '\\' || second == '\'' { quoted(text, '\'') } else { None }
}

/// Length of `r#"…"#`, `br"…"` and the like.
fn raw_text(text: &str) -> Option<usize> {
    let start = text.strip_prefix('b').unwrap_or(text).strip_prefix('r')?;
    let hashes = start.len() - start.trim_start_matches('#').len();
    let body = start.get(hashes..)?.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let before = text.len() - body.len();
    Some(before + body.find(&end)? + end.len())
}

/// Walks the tokens of a file; knows in which inline module it is.
#[derive(Default)]
struct Reader {
    module: Module,
    /// Inline modules that are open: at which depth of braces each ends, and whether it is for tests.
    inline: Vec<(usize, bool)>,
    depth: usize,
    children: Vec<(String, bool)>,
    references: Vec<Reference>,
    words: Vec<String>,
}

impl Reader {
    fn read(&mut self, tokens: &[Token<'_>]) {
        let (mut at, mut is_public, mut is_for_tests) = (0, false, false);
        while let Some(&(token, line)) = tokens.get(at) {
            let next = |ahead: usize| tokens.get(at + ahead).map_or("", |token| token.0);
            let is_path = ["crate", "super", "self"].contains(&token) && next(1) == "::";
            let mut taken = 1;
            match token {
                "#" if ["cfg", "test"].contains(&next(2)) => is_for_tests |= next(2) == "test" || next(4) == "test",
                "pub" => {
                    is_public = true;
                    // The path in `pub(in …)` is no use of it.
                    taken += if next(1) == "(" { length_to(&tokens[at..], ")") } else { 0 };
                }
                "mod" if next(2) == ";" => self.children.push((next(1).to_owned(), is_for_tests)),
                "mod" if next(2) == "{" => {
                    self.module.push(next(1).to_owned());
                    self.inline.push((self.depth, is_for_tests));
                    taken = 2;
                }
                // `use<'a>` is about lifetimes.
                "use" if next(1) != "<" => {
                    taken = length_to(&tokens[at..], ";");
                    self.tree(&tokens[at + 1..at + taken - 1], &[], is_public, is_for_tests);
                }
                "{" => self.depth += 1,
                "}" => {
                    self.depth -= 1;
                    if self.inline.last().is_some_and(|(depth, _)| *depth == self.depth) {
                        self.inline.pop();
                        self.module.pop();
                    }
                }
                _ if is_path => {
                    taken = path_length(&tokens[at..]);
                    let path: Vec<&str> = tokens[at..at + taken].iter().step_by(2).map(|token| token.0).collect();
                    self.add(&path, line, false, is_for_tests);
                }
                _ if !self.is_in_tests() => self.words.push(token.to_owned()),
                _ => {}
            }
            if [";", "{", "}", ","].contains(&token) || token == "use" || token == "mod" {
                (is_public, is_for_tests) = (false, false);
            }
            at += taken;
        }
    }

    fn is_in_tests(&self) -> bool {
        self.inline.iter().any(|(_, is_test)| *is_test)
    }

    /// Adds every path of a `use` tree.
    fn tree(&mut self, tokens: &[Token<'_>], before: &[&str], is_reexport: bool, is_test: bool) {
        let mut branches: Vec<&[Token<'_>]> = Vec::new();
        let (mut depth, mut start) = (0, 0);
        for (at, (token, _)) in tokens.iter().enumerate() {
            depth += i32::from(*token == "{") - i32::from(*token == "}");
            if *token == "," && depth == 0 {
                branches.push(&tokens[start..at]);
                start = at + 1;
            }
        }
        branches.push(&tokens[start..]);
        for branch in branches.into_iter().filter(|branch| !branch.is_empty()) {
            let stem = path_length(branch);
            let mut path = before.to_vec();
            path.extend(branch[..stem].iter().map(|token| token.0).filter(|token| *token != "::"));
            match branch.get(stem) {
                Some(("{", _)) => self.tree(&branch[stem + 1..branch.len() - 1], &path, is_reexport, is_test),
                _ => self.add(&path, branch[0].1, is_reexport, is_test),
            }
        }
    }

    /// Adds a path as written here: from the root, from this module, or from a child of it.
    fn add(&mut self, path: &[&str], line: usize, is_reexport: bool, is_test: bool) {
        let mut full = if path.first() == Some(&"crate") { Module::new() } else { self.module.clone() };
        for name in path.iter().filter(|name| !["crate", "self"].contains(name)) {
            if *name == "super" { drop(full.pop()) } else { full.push((*name).to_owned()) }
        }
        let is_test = is_test || self.is_in_tests();
        self.references.push(Reference { path: full, line, is_reexport, is_test });
    }
}

/// Tokens up to and with the first that is `end`.
fn length_to(tokens: &[Token<'_>], end: &str) -> usize {
    tokens.iter().position(|(token, _)| *token == end).map_or(tokens.len(), |at| at + 1)
}

/// Tokens of the path that they begin with: names and `::` in turn; a glob's `*` is a name.
fn path_length(tokens: &[Token<'_>]) -> usize {
    let is_part = |(at, (token, _)): (usize, &Token<'_>)| match at % 2 {
        0 => *token == "*" || token.starts_with(|first: char| first.is_alphabetic() || first == '_'),
        _ => *token == "::",
    };
    tokens.iter().enumerate().take_while(|part| is_part(*part)).count()
}
