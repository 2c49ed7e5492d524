//! Expressions over tables, records and numbers: minijinja's, with statistics.
//!
//! A statistic that is not defined is NaN and leaves a note; unless `defined` asked about it, the note makes the whole
//! expression an error, so that no comparison with NaN is silently false. Nothing here reads files or runs for long:
//! expressions have fuel.

mod check;
mod column;
mod formula;
mod functions;
mod listing;
mod scope;
mod view;

pub use check::mistakes;
pub use column::by_row;
pub use formula::{Formula, Language};
pub use scope::{Attempt, Outcome, Scope};

use std::collections::BTreeSet;

use minijinja::{Environment, Expression, UndefinedBehavior};

use functions::Notes;

/// Instructions that an expression may take; statistics are one each.
const FUEL: u64 = 100_000;

/// Longer expressions are refused: minijinja's compiler recurses into them.
const LONGEST: usize = 2000;

/// A port's name as expressions write it: `_` for what is no letter or digit.
pub fn identifier(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// The names that an expression uses, each with its attribute where it asks for one; or what is wrong with it. A name
/// of `own` hides the function of that name.
pub fn parse(text: &str, own: &BTreeSet<String>) -> Result<BTreeSet<(String, Option<String>)>, String> {
    let environment = environment(&Notes::default());
    let expression = compiled(&environment, text)?;
    let called: BTreeSet<String> = environment.globals().map(|(name, _)| name.to_owned()).collect();
    let used = expression.undeclared_variables(true).into_iter().map(|path| match path.split_once('.') {
        Some((name, rest)) => (name.to_owned(), rest.split('.').next().map(str::to_owned)),
        None => (path, None),
    });
    Ok(used.filter(|(name, _)| own.contains(name) || !called.contains(name)).collect())
}

fn compiled<'e>(environment: &'e Environment<'static>, text: &str) -> Result<Expression<'e, 'static>, String> {
    if text.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} characters: give its parts names of their own"));
    }
    environment.compile_expression_owned(text.to_owned()).map_err(|error| described(&error))
}

fn environment(notes: &Notes) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    functions::add(&mut environment, notes);
    listing::add(&mut environment);
    environment
}

/// What an error says, without the names of templates that there are not.
fn described(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    }
}
