//! A stage's work text by text: texts of similar length go through the model together, and what is made of each is a
//! unit of its own, so that a run that is stopped goes on with the texts that it has not read.

use assay_cache::{Artifact, Table, Unit};

use super::{batching::groups, text::texts::Text};
use crate::{Ctx, Failure, tables};

/// What `each` makes of every text, in the order of the texts; that of an interrupted run is taken from its units.
///
/// `each` is handed up to `rows` texts, with their indices, and gives a unit for each of them.
pub fn by_text(
    texts: &[Text],
    rows: usize,
    ctx: &dyn Ctx,
    mut each: impl FnMut(&[(usize, &[u32])]) -> Result<Vec<Unit>, Failure>,
) -> Result<Vec<Unit>, Failure> {
    let mut done = (0..texts.len()).map(|i| ctx.unit(&unit_name(i))).collect::<Result<Vec<_>, _>>()?;
    let pending = (0..texts.len()).filter(|&i| done[i].is_none()).collect();
    for group in groups(pending, |i| texts[i].ids.len(), rows) {
        ctx.go_on()?;
        ctx.progress(done.iter().flatten().count() as u64, texts.len() as u64, "prompts");
        let batch: Vec<(usize, &[u32])> = group.iter().map(|&i| (i, texts[i].ids.as_slice())).collect();
        let made = each(&batch)?;
        let units: Vec<_> = group.iter().zip(&made).map(|(i, unit)| (unit_name(*i), unit.clone())).collect();
        ctx.save(&units)?;
        group.into_iter().zip(made).for_each(|(i, unit)| done[i] = Some(unit));
    }
    ctx.progress(texts.len() as u64, texts.len() as u64, "prompts");
    Ok(done.into_iter().flatten().collect())
}

/// The tables that the units of all texts hold under a name, one below the other.
pub fn table(units: &[Unit], name: &str) -> Result<Table, Failure> {
    let own = units.iter().filter_map(|unit| match unit.get(name) {
        Some(Artifact::Table(table)) => Some(table),
        _ => None,
    });
    tables::below(own).ok_or_else(|| Failure::fatal(format!("the saved units hold other columns of `{name}`")))
}

/// The place in a text of a position that may count from the end; or why there is none.
pub fn place(position: i64, id: &str, length: usize) -> Result<usize, Failure> {
    let place = if position < 0 { position + length as i64 } else { position };
    usize::try_from(place)
        .ok()
        .filter(|place| *place < length)
        .ok_or_else(|| Failure::fatal(format!("position = {position}, but the prompt `{id}` has {length} tokens")))
}

fn unit_name(text: usize) -> String {
    format!("prompt-{text}")
}
