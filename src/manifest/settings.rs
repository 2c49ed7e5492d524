//! `--set name=value`: another value for a name in `[params]`.

use super::{Base, Node, NodeValue, Problem, Spanned, spelling::suggest, substitute::literal, syntax};

/// Replaces values in `params`; where one name is set twice, the last one counts.
pub fn apply(sets: &[String], params: &mut [(Spanned<String>, Node)], problems: &mut Vec<Problem>) {
    for set in sets {
        let mut wrong = vec![];
        set_one(set, params, &mut wrong);
        problems.extend(wrong.into_iter().map(|problem| problem.in_argument(set)));
    }
}

fn set_one(set: &str, params: &mut [(Spanned<String>, Node)], problems: &mut Vec<Problem>) {
    let Some((name, text)) = set.split_once('=') else {
        problems.push(Problem::new(0..set.len(), "expected NAME=VALUE").help("as in `--set model=gpt2`"));
        return;
    };
    let Some(at) = params.iter().position(|(param, _)| param.value == name.trim()) else {
        problems.push(unknown(name, params));
        return;
    };
    let (_, current) = &mut params[at];
    if let Some(value) = value(text, name.len() + 1, problems) {
        *current = value.moved_to(&current.span).based_on(Base::WorkingDir);
    }
}

fn unknown(name: &str, params: &[(Spanned<String>, Node)]) -> Problem {
    let problem = Problem::new(0..name.len(), format!("there is no parameter `{}` in [params]", name.trim()));
    let names = params.iter().map(|(param, _)| param.value.as_str());
    problem.help(suggest(name.trim(), "parameters", names).unwrap_or("add it to [params]".into()))
}

/// TOML if it is TOML, else a string. `offset` is where the value begins in the argument.
fn value(text: &str, offset: usize, problems: &mut Vec<Problem>) -> Option<Node> {
    let before = problems.len();
    let string = || Node::new(0..text.len(), NodeValue::String(text.to_owned()));
    let node = syntax::value(text.trim(), problems).unwrap_or_else(string);
    let node = literal(node, "a value of --set", problems);
    problems[before..].iter_mut().for_each(|problem| {
        problem.span = offset..offset + text.len();
    });
    (problems.len() == before).then_some(node)
}
