//! A stage's parameters, from nodes with spans to the JSON that its kind parses: everything that is wrong is found
//! here, where it stands. Paths become absolute and missing seeds are filled in, so that nothing after this needs to
//! know where the manifest is.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{
    Base, Manifest, Node, NodeValue, Problem, Scope, Spanned,
    fields::unknown,
    place,
    shape::{Bounds, Field, Role, Shape, Type},
    spelling::nearest,
    stages::RESERVED,
    substitute::{Room, substitute},
    words::{describe, documented, names, one_of, or},
};

/// What lowering needs to know about the study.
#[derive(Clone, Debug)]
pub struct Lowering {
    /// Absolute.
    pub manifest_dir: PathBuf,
    /// Absolute: paths in `--set` are relative to it.
    pub working_dir: PathBuf,
    pub seed: u64,
}

impl Lowering {
    /// Fails where the process has no working directory.
    pub fn of(manifest: &Manifest) -> std::io::Result<Self> {
        let working_dir = std::env::current_dir()?;
        let folder = manifest.text.path.parent().unwrap_or(Path::new(""));
        let manifest_dir = working_dir.join(folder).components().collect();
        Ok(Self { manifest_dir, working_dir, seed: manifest.study.seed })
    }

    pub(super) fn base(&self, node: &Node) -> &Path {
        match node.base {
            Base::ManifestDir => &self.manifest_dir,
            Base::WorkingDir => &self.working_dir,
        }
    }
}

/// The parameters of one cell as JSON: substituted, then lowered, with the problems of both.
pub fn lower_cell(
    params: &Node,
    scope: &Scope,
    shape: &Shape,
    at: &Lowering,
    room: &mut Room,
) -> Result<Value, Vec<Problem>> {
    let (params, mut problems) = substitute(params, scope, room);
    if problems.is_empty() {
        return lower(&params, shape, at);
    }
    if room.is_spent {
        return Err(problems);
    }
    let unknown: Vec<_> = problems.iter().map(|problem| problem.span.clone()).collect();
    let follows =
        |problem: &Problem| unknown.iter().any(|at| problem.span.start <= at.start && at.end <= problem.span.end);
    let others = lower(&params, shape, at).err().unwrap_or_default();
    problems.extend(others.into_iter().filter(|problem| !follows(problem)));
    Err(problems)
}

/// The parameters as JSON, or everything that is wrong with them.
pub fn lower(params: &Node, shape: &Shape, at: &Lowering) -> Result<Value, Vec<Problem>> {
    let mut walk = Walk { shape, at, problems: vec![] };
    let value = match (shape.resolve(&shape.root), &params.value) {
        (Type::Table(fields), NodeValue::Table(entries)) => walk.table(params, entries, fields, &RESERVED),
        _ => walk.value(params, &shape.root),
    };
    if walk.problems.is_empty() { Ok(value) } else { Err(walk.problems) }
}

/// One way down a node and its type. A value with a problem becomes null, which nobody sees.
struct Walk<'a> {
    shape: &'a Shape,
    at: &'a Lowering,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn value(&mut self, node: &Node, of: &Type) -> Value {
        let shape = self.shape;
        match (shape.resolve(of), &node.value) {
            (Type::Any, _) => node.to_json(),
            (Type::Bool, NodeValue::Bool(value)) => Value::from(*value),
            (Type::Integer { bounds, .. }, NodeValue::Integer(number)) => {
                self.check(node, *number as f64, bounds);
                Value::from(*number)
            }
            (Type::Float { bounds, single }, NodeValue::Integer(_) | NodeValue::Float(_)) => {
                self.float(node, bounds, *single)
            }
            (Type::Text { role, pattern }, NodeValue::String(text)) => match pattern {
                Some(pattern) if !pattern.is_match(text) => {
                    self.wrong(node, format!("{} does not have the form {pattern}", node.describe()))
                }
                _ => self.text(node, text, *role),
            },
            (Type::List { first, items, shortest, longest }, NodeValue::Array(nodes)) => {
                self.check_length(node, nodes.len(), *shortest, *longest);
                let types = first.iter().chain(std::iter::repeat(&**items));
                nodes.iter().zip(types).map(|(node, of)| self.value(node, of)).collect()
            }
            (Type::Map(values), NodeValue::Table(entries)) => {
                entries.iter().map(|(key, node)| (key.value.clone(), self.value(node, values))).collect()
            }
            (Type::Table(fields), NodeValue::Table(entries)) => self.table(node, entries, fields, &[]),
            (Type::Tagged { tag, variants }, NodeValue::Table(entries)) => self.tagged(node, entries, tag, variants),
            (Type::Choice(values), _) => self.choice(node, values),
            (Type::Either(branches), _) => self.either(node, branches),
            (of, _) => self.mismatch(node, of),
        }
    }

    fn wrong(&mut self, node: &Node, message: String) -> Value {
        self.problems.push(Problem::new(node.span.clone(), message));
        Value::Null
    }

    fn mismatch(&mut self, node: &Node, of: &Type) -> Value {
        let problem = Problem::expected(&describe(of, self.shape), node);
        self.problems.push(match (of, &node.value) {
            (Type::Integer { .. }, NodeValue::Float(number)) if number.fract() == 0.0 => {
                problem.help(format!("write `{number}`"))
            }
            (Type::Integer { .. } | Type::Float { .. } | Type::Bool, NodeValue::String(text))
                if ["true", "false"].contains(&text.as_str()) || text.parse::<f64>().is_ok() =>
            {
                problem.help("leave the quotes out")
            }
            (Type::List { .. }, _) => problem.help("put it in brackets"),
            _ => problem,
        });
        Value::Null
    }

    fn check(&mut self, node: &Node, number: f64, bounds: &Bounds) {
        let Bounds { least, most, above, below } = *bounds;
        let limit = match (above, below) {
            (true, _) if number <= least => format!("more than {least}"),
            (false, _) if number < least => format!("at least {least}"),
            (_, true) if number >= most => format!("less than {most}"),
            (_, false) if number > most => format!("at most {most}"),
            _ => return,
        };
        self.wrong(node, format!("expected a number that is {limit}, found {}", node.describe()));
    }

    /// An integer becomes a float, and a float of 32 bits what its kind will read: one value, one text, one key.
    fn float(&mut self, node: &Node, bounds: &Bounds, single: bool) -> Value {
        let number = node.as_f64().unwrap_or_default();
        self.check(node, number, bounds);
        Value::from(if single { f64::from(number as f32) } else { number })
    }

    fn check_length(&mut self, node: &Node, length: usize, shortest: usize, longest: usize) {
        let expected = match (shortest, longest) {
            (least, most) if (least..=most).contains(&length) => return,
            (least, most) if least == most => format!("exactly {least}"),
            (least, _) if length < least => format!("at least {least}"),
            (_, most) => format!("at most {most}"),
        };
        self.wrong(node, format!("expected a list of {expected}, found one of {length}"));
    }

    fn text(&mut self, node: &Node, text: &str, role: Role) -> Value {
        let placed = match role {
            Role::Plain => Ok(text.to_owned()),
            Role::File => place::file(text, self.at.base(node)),
            Role::Source => place::source(text, self.at.base(node)),
        };
        match placed {
            Ok(text) => Value::from(text),
            Err((message, help)) => {
                let problem = Problem::new(node.span.clone(), message);
                self.problems.push(match help {
                    Some(help) => problem.help(help),
                    None => problem,
                });
                Value::Null
            }
        }
    }

    /// `taken` are keys of this table that somebody else has taken, so that a misspelling may mean them.
    fn table(&mut self, node: &Node, entries: &[(Spanned<String>, Node)], fields: &[Field], taken: &[&str]) -> Value {
        let mut object = Map::new();
        let mut strangers = vec![];
        for (key, node) in entries {
            match fields.iter().find(|field| field.name == key.value) {
                Some(field) => {
                    object.insert(key.value.clone(), self.field(node, field));
                }
                None => strangers.push(key),
            }
        }
        for field in fields.iter().filter(|field| !object.contains_key(&field.name)).collect::<Vec<_>>() {
            if let Type::Integer { seed: true, .. } = self.shape.resolve(&field.of) {
                object.insert(field.name.clone(), Value::from(self.at.seed));
            } else if field.required && nearest(&field.name, strangers.iter().map(|key| key.value.as_str())).is_none() {
                self.missing(node, field);
            }
        }
        let names = fields.iter().map(|field| field.name.as_str());
        self.problems.extend(strangers.into_iter().map(|key| match nearest(&key.value, names.clone()) {
            None => meant_one_of(taken, key).unwrap_or_else(|| unknown(key, "key", names.clone())),
            Some(_) => unknown(key, "key", names.clone()),
        }));
        Value::Object(object)
    }

    /// The value of a field; a problem with it that has no help gets the field's documentation.
    fn field(&mut self, node: &Node, field: &Field) -> Value {
        let before = self.problems.len();
        let value = self.value(node, &field.of);
        if let Some(doc) = &field.doc {
            for problem in self.problems[before..].iter_mut().filter(|p| p.help.is_none() && p.span == node.span) {
                problem.help = Some(documented(&field.name, doc));
            }
        }
        value
    }

    fn missing(&mut self, node: &Node, field: &Field) {
        let problem = Problem::new(node.span.clone(), format!("`{}` is missing", field.name));
        let help = match &field.doc {
            Some(doc) => documented(&field.name, doc),
            None => format!("add `{}`: {}", field.name, describe(&field.of, self.shape)),
        };
        self.problems.push(problem.help(help));
    }

    fn tagged(
        &mut self,
        node: &Node,
        entries: &[(Spanned<String>, Node)],
        tag: &str,
        variants: &[(String, Vec<Field>)],
    ) -> Value {
        let names = || variants.iter().map(|(name, _)| Value::from(name.as_str()));
        let Some((_, chosen)) = entries.iter().find(|(key, _)| key.value == tag) else {
            let problem = Problem::new(node.span.clone(), format!("`{tag}` is missing"));
            self.problems.push(problem.help(format!("{tag}: {}", one_of(&names().collect::<Vec<_>>()))));
            return Value::Null;
        };
        match variants.iter().find(|(name, _)| Some(name.as_str()) == chosen.as_str()) {
            Some((_, fields)) => self.table(node, entries, fields, &[]),
            None => self.choice(chosen, &names().collect::<Vec<_>>()),
        }
    }

    fn choice(&mut self, node: &Node, values: &[Value]) -> Value {
        let value = node.to_json();
        if values.contains(&value) {
            return value;
        }
        let problem = Problem::expected(&one_of(values), node);
        let names = values.iter().filter_map(Value::as_str);
        self.problems.push(match node.as_str().and_then(|text| nearest(text, names)) {
            Some(near) => problem.help(format!("did you mean \"{near}\"?")),
            None => problem,
        });
        Value::Null
    }

    /// The first branch that takes the node; if none does, what is wrong with the one that is nearest to taking it.
    fn either(&mut self, node: &Node, branches: &[Type]) -> Value {
        let before = std::mem::take(&mut self.problems);
        let mut best: Option<Vec<Problem>> = None;
        for branch in branches {
            let value = self.value(node, branch);
            let problems = std::mem::take(&mut self.problems);
            if problems.is_empty() {
                self.problems = before;
                return value;
            }
            let better = best.as_ref().is_none_or(|best| problems.len() < best.len());
            if better && suits(self.shape.resolve(branch), node) {
                best = Some(problems);
            }
        }
        self.problems = before;
        match best {
            Some(problems) => self.problems.extend(problems),
            None => self.none_of(node, branches),
        }
        Value::Null
    }

    fn none_of(&mut self, node: &Node, branches: &[Type]) {
        let shape = self.shape;
        let expected = or(&branches.iter().flat_map(|branch| names(branch, shape)).collect::<Vec<_>>());
        let choices = branches.iter().filter_map(|branch| match shape.resolve(branch) {
            Type::Choice(values) => Some(values.iter().filter_map(Value::as_str)),
            _ => None,
        });
        let near = node.as_str().and_then(|text| nearest(text, choices.flatten()));
        let problem = Problem::expected(&expected, node);
        self.problems.push(match near {
            Some(near) => problem.help(format!("did you mean \"{near}\"?")),
            None => problem,
        });
    }
}

/// The problem of a key that is a misspelling of one of these.
fn meant_one_of(taken: &[&str], key: &Spanned<String>) -> Option<Problem> {
    let near = nearest(&key.value, taken.iter().copied())?;
    let problem = unknown(key, "key", []);
    Some(problem.help(format!("did you mean `{near}`?")))
}

/// Is the node of this type at its surface, so that what is wrong lies inside it?
fn suits(of: &Type, node: &Node) -> bool {
    match of {
        Type::Bool => matches!(node.value, NodeValue::Bool(_)),
        Type::Integer { .. } => matches!(node.value, NodeValue::Integer(_)),
        Type::Float { .. } => node.as_f64().is_some(),
        Type::Text { .. } => node.as_str().is_some(),
        Type::List { .. } => matches!(node.value, NodeValue::Array(_)),
        Type::Table(_) | Type::Tagged { .. } | Type::Map(_) => matches!(node.value, NodeValue::Table(_)),
        Type::Choice(_) => false,
        Type::Either(branches) => branches.iter().any(|branch| suits(branch, node)),
        Type::Any | Type::Named(_) => true,
    }
}
