//! One expression, compiled once and evaluated as often as somebody likes.

use minijinja::{Environment, Expression, Value, value::ValueKind};
use serde_json::Value as Json;

use super::{
    Attempt, Outcome, Scope, compiled, described, environment,
    functions::Notes,
    scope::{not_finite, to_json, whole},
};

/// What expressions are compiled in. Each thread has its own: the notes of one are not those of another.
pub struct Language {
    environment: Environment<'static>,
    notes: Notes,
}

/// A compiled expression.
pub struct Formula<'l> {
    expression: Expression<'l, 'static>,
    notes: &'l Notes,
}

impl Language {
    #[expect(clippy::new_without_default, reason = "a language is made where it is used")]
    pub fn new() -> Self {
        let notes = Notes::default();
        Self { environment: environment(&notes), notes }
    }

    /// What `text` says; or what is wrong with it.
    pub fn formula(&self, text: &str) -> Result<Formula<'_>, String> {
        Ok(Formula { expression: compiled(&self.environment, text)?, notes: &self.notes })
    }
}

impl Formula<'_> {
    /// What comes of it, never NaN; or why nothing does.
    pub fn outcome(&self, scope: &Scope) -> Result<Outcome, String> {
        match self.attempt(scope)? {
            Attempt::Defined(outcome) => Ok(outcome),
            Attempt::Undefined(why) => Err(why),
        }
    }

    /// What comes of it, where that is not defined being no error: a statistic of nothing, a number that is none.
    pub fn attempt(&self, scope: &Scope) -> Result<Attempt, String> {
        let value = self.value(scope)?;
        let note = self.notes.take().into_iter().next();
        if let Some(why) = note.or_else(|| not_finite(&value)) {
            return Ok(Attempt::Undefined(why));
        }
        whole(&value).map(|()| Attempt::Defined(Outcome(value)))
    }

    /// What comes of it as a record holds it, whatever it is: lists and tables too, and `"NaN"` for a statistic that is
    /// not defined.
    pub fn seen(&self, scope: &Scope) -> Result<Json, String> {
        let value = self.cell(scope)?;
        if value.is_undefined() { Err("nothing has that name".to_owned()) } else { Ok(to_json(&value)) }
    }

    /// The number that comes of it, NaN where it is not defined; or why it is none.
    pub fn number(&self, scope: &Scope) -> Result<f64, String> {
        let value = self.value(scope)?;
        let undefined = !self.notes.take().is_empty();
        match value.kind() {
            _ if undefined => Ok(f64::NAN),
            ValueKind::Number => f64::try_from(value).map_err(|error| described(&error)),
            ValueKind::Bool => Ok(f64::from(u8::from(value.is_true()))),
            ValueKind::Undefined => Err("nothing has that name".to_owned()),
            kind => Err(format!("it is a {kind}, not a number")),
        }
    }

    /// Whatever comes of it; statistics that are not defined are NaN.
    pub(super) fn cell(&self, scope: &Scope) -> Result<Value, String> {
        let value = self.value(scope);
        self.notes.take();
        value
    }

    fn value(&self, scope: &Scope) -> Result<Value, String> {
        self.notes.take();
        match self.expression.eval(scope.context()).map_err(|error| described(&error)) {
            Err(why) if divides_by_nothing(&why) => {
                self.notes.leave(format!("a division by zero: {why}"));
                Ok(Value::from(f64::NAN))
            }
            value => value,
        }
    }
}

/// Whether the language gave up on a quotient, which then is no number: a row or criterion without one is no mistake.
fn divides_by_nothing(why: &str) -> bool {
    let Some(operation) = why.strip_prefix("unable to calculate ") else { return false };
    let divisor = [" / ", " // ", " % "].iter().find_map(|sign| operation.split_once(sign));
    divisor.is_some_and(|(_, divisor)| divisor.parse() == Ok(0.0))
}
