//! Parameters and axis values into a stage's parameters, at any depth and before anything is typed.

use super::{
    Axis, AxisValue, Base, Node, NodeValue, Problem, Span, Spanned,
    spelling::{nearest, suggest},
    template::{Piece, Unterminated, pieces},
};

/// What `${…}` may name in one cell of one stage.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    pub params: &'a [(Spanned<String>, Node)],
    /// All axes of the study: one that is not in `cell` is not in the stage's `over`.
    pub axes: &'a [Axis],
    /// The axes in the stage's `over`, each with its value in this cell.
    pub cell: &'a [(&'a Axis, &'a AxisValue)],
}

/// The memory that the parameters of all cells may take once their references are replaced: a few lines that name a long
/// list again and again are as large as one likes.
pub struct Room {
    left: usize,
    /// Whether something did not fit. What was expanded since is not whole.
    pub is_spent: bool,
}

/// Far more than studies take, and less than any machine has.
pub const ROOM: usize = 256 << 20;

impl Room {
    pub fn of(bytes: usize) -> Self {
        Self { left: bytes, is_spent: false }
    }

    fn take(&mut self, bytes: usize) -> bool {
        self.is_spent |= bytes > self.left;
        self.left = self.left.saturating_sub(bytes);
        !self.is_spent
    }
}

/// `node` with every reference replaced. What is replaced has the span of the place of use.
pub fn substitute(node: &Node, scope: &Scope, room: &mut Room) -> (Node, Vec<Problem>) {
    let mut pass = Pass { scope, room, problems: vec![] };
    let node = pass.replaced(node);
    (node, pass.problems)
}

/// One way down the parameters of a cell.
struct Pass<'a> {
    scope: &'a Scope<'a>,
    room: &'a mut Room,
    problems: Vec<Problem>,
}

/// A value that refers to nothing, `$$` replaced: what `[params]` and `[axes]` hold.
pub fn literal(node: Node, what: &str, problems: &mut Vec<Problem>) -> Node {
    let value = match node.value {
        NodeValue::String(text) => NodeValue::String(literal_text(text, &node.span, what, problems)),
        NodeValue::Array(items) => {
            NodeValue::Array(items.into_iter().map(|item| literal(item, what, problems)).collect())
        }
        NodeValue::Table(entries) => {
            NodeValue::Table(entries.into_iter().map(|(key, node)| (key, literal(node, what, problems))).collect())
        }
        scalar => scalar,
    };
    Node { value, ..node }
}

fn literal_text(text: String, span: &Span, what: &str, problems: &mut Vec<Problem>) -> String {
    if !text.contains('$') {
        return text;
    }
    match pieces(&text).as_deref() {
        Ok([]) => String::new(),
        Ok([Piece::Text(plain)]) => plain.clone(),
        Ok(_) => {
            let problem = Problem::new(span.clone(), format!("{what} cannot refer to another value"));
            problems.push(problem.help("write the value itself; `$$` stands for a `$`"));
            text
        }
        Err(Unterminated(at)) => {
            problems.push(unterminated(inside(span, &text, *at..text.len())));
            text
        }
    }
}

impl Pass<'_> {
    fn replaced(&mut self, node: &Node) -> Node {
        let value = match &node.value {
            NodeValue::String(text) if text.contains('$') => return self.replaced_text(node, text),
            NodeValue::Array(items) => NodeValue::Array(items.iter().map(|item| self.replaced(item)).collect()),
            NodeValue::Table(entries) => {
                NodeValue::Table(entries.iter().map(|(key, node)| (key.clone(), self.replaced(node))).collect())
            }
            scalar if self.has_room(own_size(node), &node.span) => scalar.clone(),
            _ => NodeValue::Bool(false), // nobody sees it
        };
        Node { span: node.span.clone(), value, base: node.base }
    }

    fn replaced_text(&mut self, node: &Node, text: &str) -> Node {
        let pieces = match pieces(text) {
            Ok(pieces) => pieces,
            Err(Unterminated(at)) => {
                self.problems.push(unterminated(inside(&node.span, text, at..text.len())));
                return node.clone();
            }
        };
        let result = match &pieces[..] {
            [Piece::Reference { name, at }] => {
                let at = inside(&node.span, text, at.clone());
                let found = self.scope.find(name, at.clone()).map_err(|problem| vec![problem]);
                found.map(
                    |value| if self.has_room(size(value), &at) { value.moved_to(&node.span) } else { node.clone() },
                )
            }
            pieces => self.joined(node, text, pieces),
        };
        result.unwrap_or_else(|wrong| {
            self.problems.extend(wrong);
            node.clone()
        })
    }

    /// Several pieces as one string. A relative path is relative to what its beginning is relative to.
    fn joined(&mut self, node: &Node, text: &str, pieces: &[Piece]) -> Result<Node, Vec<Problem>> {
        let mut whole = String::new();
        let mut base = node.base;
        let mut problems = vec![];
        for piece in pieces {
            match scalar(piece, node, text, self.scope) {
                Ok((part, part_base)) if self.has_room(part.len(), &node.span) => {
                    base = if whole.is_empty() { part_base } else { base };
                    whole.push_str(&part);
                }
                Ok(_) => break,
                Err(problem) => problems.push(problem),
            }
        }
        let node = Node { span: node.span.clone(), value: NodeValue::String(whole), base };
        if problems.is_empty() { Ok(node) } else { Err(problems) }
    }

    /// Takes room for so many bytes. The first time that there is none, that is a problem.
    fn has_room(&mut self, bytes: usize, at: &Span) -> bool {
        let before = self.room.is_spent;
        let fits = self.room.take(bytes);
        if !fits && !before {
            let message = format!("with this, the parameters of all cells take more than {} MiB", ROOM >> 20);
            let help = "data belongs in files that stages read; or take axes out of `over`";
            self.problems.push(Problem::new(at.clone(), message).help(help));
        }
        fits
    }
}

/// The bytes that a value takes in memory.
fn size(node: &Node) -> usize {
    let inside = match &node.value {
        NodeValue::Array(items) => items.iter().map(size).sum(),
        NodeValue::Table(entries) => {
            entries.iter().map(|(key, node)| size_of_val(key) + key.value.len() + size(node)).sum()
        }
        _ => 0,
    };
    own_size(node) + inside
}

/// The same without the values in it.
fn own_size(node: &Node) -> usize {
    size_of_val(node) + node.as_str().map_or(0, str::len)
}

fn scalar(piece: &Piece, node: &Node, text: &str, scope: &Scope) -> Result<(String, Base), Problem> {
    let (name, at) = match piece {
        Piece::Text(plain) => return Ok((plain.clone(), node.base)),
        Piece::Reference { name, at } => (name, inside(&node.span, text, at.clone())),
    };
    let value = scope.find(name, at.clone())?;
    let part = value.scalar_text().ok_or_else(|| {
        Problem::new(at, format!("`${{{name}}}` is {}, which cannot stand inside a string", value.describe()))
            .help("leave it alone in the string, or refer to one of its fields")
    })?;
    Ok((part, value.base))
}

impl<'a> Scope<'a> {
    pub(super) fn find(&self, name: &str, at: Span) -> Result<&'a Node, Problem> {
        let mut path = name.split('.');
        let head = path.next().unwrap_or_default();
        let (whole, value) = if head == "params" {
            let param = path.next().unwrap_or_default();
            (format!("params.{param}"), self.param(param, &at)?)
        } else {
            (head.to_owned(), self.axis(head, &at)?)
        };
        path.try_fold((whole, value), |(whole, value), field| {
            let inner = value.get(field).ok_or_else(|| no_field(&whole, value, field, &at))?;
            Ok((format!("{whole}.{field}"), inner))
        })
        .map(|(_, value)| value)
    }

    fn param(&self, name: &str, at: &Span) -> Result<&'a Node, Problem> {
        let found = self.params.iter().find(|(param, _)| param.value == name);
        found.map(|(_, value)| value).ok_or_else(|| {
            let names = self.params.iter().map(|(param, _)| param.value.as_str());
            let problem = Problem::new(at.clone(), format!("there is no parameter `{name}` in [params]"));
            problem.help(suggest(name, "parameters", names).unwrap_or_else(|| "add it to [params]".into()))
        })
    }

    fn axis(&self, name: &str, at: &Span) -> Result<&'a Node, Problem> {
        if let Some((_, value)) = self.cell.iter().find(|(axis, _)| axis.name.value == name) {
            return Ok(&value.value);
        }
        if self.axes.iter().any(|axis| axis.name.value == name) {
            let over = self.cell.iter().map(|(axis, _)| axis.name.value.as_str()).chain([name]);
            let over: Vec<_> = over.map(|name| format!("\"{name}\"")).collect();
            return Err(Problem::new(at.clone(), format!("the axis `{name}` is not in this stage's `over`"))
                .help(format!("add it: over = [{}]", over.join(", "))));
        }
        let problem = Problem::new(at.clone(), format!("`{name}` is not an axis of this study"));
        Err(problem.help(self.help_for(name)))
    }

    fn help_for(&self, name: &str) -> String {
        let params = || self.params.iter().map(|(param, _)| param.value.as_str());
        if params().any(|param| param == name) {
            return format!("a parameter is written `${{params.{name}}}`");
        }
        let axes = self.axes.iter().map(|axis| axis.name.value.as_str());
        match (nearest(name, axes.clone()), nearest(name, params())) {
            (None, Some(param)) => format!("did you mean `${{params.{param}}}`?"),
            _ => suggest(name, "axes", axes).unwrap_or_else(|| "`$$` stands for a `$`".into()),
        }
    }
}

fn no_field(whole: &str, value: &Node, field: &str, at: &Span) -> Problem {
    let NodeValue::Table(entries) = &value.value else {
        return Problem::new(at.clone(), format!("`{whole}` is no table: it has no field `{field}`"))
            .help(format!("write `${{{whole}}}`"));
    };
    let names = entries.iter().map(|(name, _)| name.value.as_str());
    let problem = Problem::new(at.clone(), format!("`{whole}` has no field `{field}`"));
    problem.help(suggest(field, "fields", names).unwrap_or_default())
}

fn unterminated(at: Span) -> Problem {
    Problem::new(at, "`${` has no closing brace").help("write `${name}`, or `$${` for the two characters")
}

/// The span of some bytes of a string, or of all of it where escapes or long quotes hide where they are.
fn inside(span: &Span, text: &str, bytes: Span) -> Span {
    let plain = span.len() == text.len() + 2;
    if plain { span.start + 1 + bytes.start..span.start + 1 + bytes.end } else { span.clone() }
}
