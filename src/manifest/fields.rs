//! A table whose keys are known: taken one by one, and what is left at the end is a mistake.

use super::{Node, NodeValue, Problem, Span, Spanned, spelling};

/// The keys of one table that are not taken yet.
pub struct Fields<'a> {
    pub span: Span,
    entries: Vec<(Spanned<String>, Node)>,
    known: Vec<&'static str>,
    pub problems: &'a mut Vec<Problem>,
}

impl<'a> Fields<'a> {
    /// The entries of `node`, or a problem if it is no table.
    pub fn of(node: Node, problems: &'a mut Vec<Problem>) -> Option<Self> {
        let span = node.span.clone();
        let entries = table(node, problems)?;
        Some(Self { span, entries, known: vec![], problems })
    }

    pub fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        let at = self.entries.iter().position(|(name, _)| name.value == key)?;
        Some(self.entries.remove(at).1)
    }

    pub fn string(&mut self, key: &'static str) -> Option<Spanned<String>> {
        self.take(key).and_then(|node| string(node, self.problems))
    }

    pub fn table(&mut self, key: &'static str) -> Option<Vec<(Spanned<String>, Node)>> {
        self.take(key).and_then(|node| table(node, self.problems))
    }

    pub fn list(&mut self, key: &'static str) -> Option<Vec<Node>> {
        self.take(key).and_then(|node| list(node, self.problems))
    }

    /// A finite number that is not negative.
    pub fn tolerance(&mut self, key: &'static str) -> Option<f64> {
        let node = self.take(key)?;
        let number = node.as_f64().filter(|number| *number >= 0.0);
        if number.is_none() {
            self.problems.push(Problem::expected("a number that is not negative", &node));
        }
        number
    }

    /// The string of a key that must be there.
    pub fn required(&mut self, key: &'static str, help: &str) -> Option<Spanned<String>> {
        match self.take(key) {
            Some(node) => string(node, self.problems),
            None => {
                self.missing(key, help);
                None
            }
        }
    }

    /// Says that `key` is not there, or which of the keys that are there must be it.
    pub fn missing(&mut self, key: &str, help: &str) {
        let names = self.entries.iter().map(|(name, _)| name.value.as_str());
        let near = spelling::nearest(key, names).map(str::to_owned);
        let near = near.and_then(|near| self.entries.iter().position(|(name, _)| name.value == near));
        let (span, help) = match near.map(|at| self.entries.remove(at).0) {
            Some(name) => (name.span, format!("is `{}` meant to be `{key}`?", name.value)),
            None => (self.span.clone(), help.to_owned()),
        };
        self.problems.push(Problem::new(span, format!("`{key}` is missing")).help(help));
    }

    /// The keys that nobody took.
    pub fn rest(self) -> Vec<(Spanned<String>, Node)> {
        self.entries
    }

    /// Every key that nobody took is a mistake: a `key in [study]`, say.
    pub fn finish(self, what: &str) {
        for (name, _) in self.entries {
            self.problems.push(unknown(&name, what, self.known.iter().copied()));
        }
    }
}

/// An `unknown key in [study]`, with the nearest of those that are known.
pub fn unknown<'a>(name: &Spanned<String>, what: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Problem {
    let problem = Problem::new(name.span.clone(), format!("`{}` is an unknown {what}", name.value));
    let help = spelling::suggest(&name.value, "known", known.clone());
    match help.filter(|_| known.into_iter().next().is_some()) {
        Some(help) => problem.help(help),
        None => problem,
    }
}

pub fn string(node: Node, problems: &mut Vec<Problem>) -> Option<Spanned<String>> {
    match node.value {
        NodeValue::String(value) => Some(Spanned { span: node.span, value }),
        _ => {
            problems.push(Problem::expected("a string", &node));
            None
        }
    }
}

pub fn table(node: Node, problems: &mut Vec<Problem>) -> Option<Vec<(Spanned<String>, Node)>> {
    match node.value {
        NodeValue::Table(entries) => Some(entries),
        _ => {
            problems.push(Problem::expected("a table", &node));
            None
        }
    }
}

pub fn list(node: Node, problems: &mut Vec<Problem>) -> Option<Vec<Node>> {
    match node.value {
        NodeValue::Array(items) => Some(items),
        _ => {
            problems.push(Problem::expected("a list", &node));
            None
        }
    }
}
