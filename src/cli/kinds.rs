//! `assay stages`: the catalogue, from the same schemas that check manifests.

use assay_stages::Kind;
use clap::Args;
use serde_json::Value;

use super::{Exit, study::no_such};

/// List the kinds of stages, or explain one
#[derive(Args)]
pub struct Arguments {
    /// The kind to explain
    kind: Option<String>,
}

pub fn stages(arguments: &Arguments, catalogue: &'static [Kind]) -> Result<Exit, Exit> {
    match &arguments.kind {
        None => catalogue.iter().for_each(|kind| println!("{:<14}{}", kind.name, summary(&kind.schema().to_value()))),
        Some(name) => {
            let names = || catalogue.iter().map(|kind| kind.name);
            let kind = catalogue.iter().find(|kind| kind.name == name);
            let kind = kind.ok_or_else(|| no_such("kind", name, names()))?;
            print!("{}", explanation(kind));
        }
    }
    Ok(Exit::DONE)
}

/// The first sentence of a kind's documentation, without its full stop.
fn summary(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
    let sentence = text.split_once(". ").map_or(text.as_str(), |(first, _)| first);
    sentence.split("  ").next().unwrap_or_default().trim_end_matches('.').to_owned()
}

fn explanation(kind: &Kind) -> String {
    let schema = kind.schema().to_value();
    let mut page = format!("{}\n\n{}\n", kind.name, schema["description"].as_str().unwrap_or_default());
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let Some(properties) = schema["properties"].as_object().filter(|properties| !properties.is_empty()) else {
        return page;
    };
    page.push_str("\nParameters:\n");
    for (name, property) in properties {
        let default = match property.get("default") {
            Some(default) => format!("default {default}"),
            None if required.contains(&name.as_str()) => "required".to_owned(),
            None => "optional".to_owned(),
        };
        page.push_str(&format!("  {name} ({default})\n"));
        let text = property["description"].as_str().unwrap_or_default();
        text.lines().for_each(|line| page.push_str(&format!("      {line}\n")));
    }
    page
}
