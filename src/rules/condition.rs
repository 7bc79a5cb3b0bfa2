//! Sigma's conditions: `selection and not 1 of filter_*`, as an expression over selections.
//!
//! Not here: what a selection matches (`sigma`).

/// A condition over selections, each by its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Selection(usize),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

impl Condition {
    /// Reads a condition over selections of these names.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str, names: &[String]) -> Result<Self, String> {
        if text.contains('|') {
            return Err("aggregations (`| count() …`) are not known: write a condition over selections".to_owned());
        }
        let spaced = text.replace('(', " ( ").replace(')', " ) ");
        let mut parser = Parser { tokens: spaced.split_whitespace().collect(), at: 0, names };
        let condition = parser.any(0)?;
        match parser.peek() {
            None => Ok(condition),
            Some(token) => Err(format!("`{token}` is not expected here: write `and`, `or` or a closing parenthesis")),
        }
    }

    /// Whether it holds, given whether each selection does.
    pub fn holds(&self, selected: &impl Fn(usize) -> bool) -> bool {
        match self {
            Self::Selection(index) => selected(*index),
            Self::Not(inner) => !inner.holds(selected),
            Self::All(parts) => parts.iter().all(|part| part.holds(selected)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(selected)),
        }
    }
}

/// Deepest nesting that is read: a condition that people write has two or three.
const MAX_DEPTH: usize = 64;

struct Parser<'a> {
    tokens: Vec<&'a str>,
    at: usize,
    names: &'a [String],
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).copied()
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_it = self.peek().is_some_and(|token| token.eq_ignore_ascii_case(word));
        self.at += usize::from(is_it);
        is_it
    }

    fn any(&mut self, depth: usize) -> Result<Condition, String> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        let mut parts = vec![self.all(depth)?];
        while self.takes("or") {
            parts.push(self.all(depth)?);
        }
        Ok(one_or(parts, Condition::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Condition, String> {
        let mut parts = vec![self.one(depth)?];
        while self.takes("and") {
            parts.push(self.one(depth)?);
        }
        Ok(one_or(parts, Condition::All))
    }

    fn one(&mut self, depth: usize) -> Result<Condition, String> {
        if self.takes("not") {
            if depth > MAX_DEPTH {
                return Err(too_deep());
            }
            return Ok(Condition::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.takes("(") {
            let inner = self.any(depth + 1)?;
            return if self.takes(")") { Ok(inner) } else { Err("a parenthesis is not closed".to_owned()) };
        }
        let token = self.peek().ok_or("ends where a selection is expected")?;
        self.at += 1;
        let count = token.eq_ignore_ascii_case("all").then_some(None).or_else(|| token.parse().ok().map(Some));
        match count {
            Some(count) if self.takes("of") => self.quantified(count),
            _ => {
                let index = self.names.iter().position(|name| name == token);
                index.map(Condition::Selection).ok_or_else(|| self.unknown(token))
            }
        }
    }

    /// `1 of selection_*`, `all of them`.
    fn quantified(&mut self, count: Option<usize>) -> Result<Condition, String> {
        let pattern = self.peek().ok_or("ends after `of`: write `them` or `selection_*`")?;
        self.at += 1;
        // A name that begins with an underscore is left out of `them`.
        let fits = |name: &str| match pattern {
            "them" => !name.starts_with('_'),
            _ => pattern.strip_suffix('*').map_or(name == pattern, |start| name.starts_with(start)),
        };
        let of: Vec<Condition> =
            (0..self.names.len()).filter(|index| fits(&self.names[*index])).map(Condition::Selection).collect();
        match count {
            _ if of.is_empty() => Err(self.unknown(pattern)),
            None => Ok(Condition::All(of)),
            Some(1) => Ok(Condition::Any(of)),
            Some(_) => Err("counts other than `1 of` and `all of` are not known".to_owned()),
        }
    }

    fn unknown(&self, name: &str) -> String {
        format!("`{name}` names no selection: there are {}", self.names.join(", "))
    }
}

fn too_deep() -> String {
    format!("is nested more than {MAX_DEPTH} deep")
}

fn one_or(mut parts: Vec<Condition>, combine: fn(Vec<Condition>) -> Condition) -> Condition {
    if parts.len() == 1 { parts.remove(0) } else { combine(parts) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a condition holds where exactly these selections do.
    fn holds(condition: &str, selected: &[&str]) -> bool {
        let names = ["selection_a", "selection_b", "filter", "_own"].map(str::to_owned);
        let condition = Condition::parse(condition, &names).unwrap();
        condition.holds(&|index| selected.contains(&names[index].as_str()))
    }

    #[test]
    fn not_binds_before_and_and_and_before_or() {
        assert!(holds("selection_a or selection_b and not filter", &["selection_a", "filter"]));
        assert!(!holds("(selection_a or selection_b) and not filter", &["selection_a", "filter"]));
        assert!(holds("NOT filter AND selection_b", &["selection_b"]));
    }

    #[test]
    fn quantities_range_over_the_names_that_fit() {
        assert!(holds("1 of selection_*", &["selection_b"]) && !holds("all of selection_*", &["selection_b"]));
        assert!(holds("all of them", &["selection_a", "selection_b", "filter"]), "`_own` is not one of them");
        assert!(holds("selection_a and not 1 of filter*", &["selection_a"]));
    }

    #[test]
    fn what_is_no_condition_is_refused_in_words() {
        let names = ["selection".to_owned()];
        for (text, problem) in [
            ("selektion", "`selektion` names no selection: there are selection"),
            ("selection and", "ends where a selection is expected"),
            ("(selection", "not closed"),
            ("selection selection", "not expected here"),
            ("selection | count() > 5", "aggregations"),
            ("2 of selection*", "counts other"),
            ("1 of filter_*", "names no selection"),
        ] {
            let error = Condition::parse(text, &names).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
        let deep = format!("{}selection{}", "(".repeat(5_000), ")".repeat(5_000));
        assert!(Condition::parse(&deep, &names).unwrap_err().contains("nested"));
        let deep = format!("{}selection", "not ".repeat(5_000));
        assert!(Condition::parse(&deep, &names).unwrap_err().contains("nested"));
    }
}
