//! Heads named one by one, each with its layer: in the manifest, or by a table that another stage has made.
//!
//! What ranks or finds heads gives a table with the columns `layer` and `head`; a study that silences the first three of
//! them need not know which they are.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Inputs, Mistake, Select,
    lm::{donor::Need, facts::ModelFacts, site::Site},
    tables::{Filter, keep, numbers, stack},
};

/// Heads (or experts), each with its layer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Nodes {
    /// [layer, head] pairs.
    Listed(Vec<[usize; 2]>),
    /// Those of a table.
    Found(Found),
}

/// Rows of a table, each a head.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Found {
    /// The name of an input port that holds a table with the columns `layer` and `head`.
    from: String,
    /// Only rows with these values in these columns; a list means any of them.
    #[serde(default, rename = "where")]
    filter: Filter,
}

/// Layer → heads.
pub type ByLayer = BTreeMap<usize, Vec<usize>>;

const LAYER: &str = "layer";
const HEAD: &str = "head";

impl Nodes {
    /// The columns that it wants of an input port.
    pub fn needs(&self, at: &str) -> Vec<Need> {
        match self {
            Self::Listed(_) => vec![],
            Self::Found(found) => {
                [LAYER, HEAD].map(|name| Need::rows(format!("{at}.from"), &found.from, name)).to_vec()
            }
        }
    }

    /// What is wrong on any model.
    pub fn own_mistakes(&self, at: &str, site: Site, layers: &Select, heads: &Select) -> Vec<Mistake> {
        let mut found = vec![];
        if *layers != Select::All || *heads != Select::All {
            let message = "`nodes` says which layers and heads: leave `layers` and `heads` out";
            found.push(Mistake::new(at, message));
        }
        if !(site.has_heads() && site.per_layer()) {
            found.push(Mistake::new(at, format!("the site `{}` has no heads", site.name())));
        }
        if matches!(self, Self::Listed(pairs) if pairs.is_empty()) {
            found.push(Mistake::new(at, "no head is named").help("nodes = [[9, 6], [9, 9]], each a layer and a head"));
        }
        found
    }

    /// What the model lacks of those that are listed.
    pub fn mistakes(&self, at: &str, site: Site, facts: &ModelFacts) -> Vec<Mistake> {
        match self {
            Self::Listed(pairs) => {
                by_layer(pairs, site, facts).err().map(|why| Mistake::new(at, why)).into_iter().collect()
            }
            Self::Found(_) => vec![],
        }
    }

    /// The layers and heads that are listed; none where a table names them.
    pub fn listed(&self) -> (Select, Select) {
        let pairs: &[[usize; 2]] = if let Self::Listed(pairs) = self { pairs } else { &[] };
        let list = |i: usize| Select::List(pairs.iter().map(|pair| pair[i] as i64).collect());
        (list(0), list(1))
    }

    /// Which heads these are.
    pub fn on(&self, site: Site, facts: &ModelFacts, inputs: &Inputs) -> Result<ByLayer, String> {
        match self {
            Self::Listed(pairs) => by_layer(pairs, site, facts),
            Self::Found(found) => by_layer(&found.pairs(inputs)?, site, facts),
        }
    }
}

impl Found {
    fn pairs(&self, inputs: &Inputs) -> Result<Vec<[usize; 2]>, String> {
        let said = |failure: crate::Failure| failure.to_string();
        let port = &self.from;
        let table = stack(port, inputs.many(port)).map_err(said)?;
        let rows = keep(&table, &self.filter, port).map_err(said)?;
        if rows.rows() == 0 {
            return Err(format!("`{port}` has no row that is meant: no head would be edited"));
        }
        let column = |name| numbers(&rows, name, port).map_err(said);
        let whole = |number: f64| match number {
            n if n >= 0.0 && n.fract() == 0.0 => Ok(n as usize),
            n => Err(format!("`{port}` names the layer or head {n}, which is no number of one")),
        };
        column(LAYER)?.into_iter().zip(column(HEAD)?).map(|(l, h)| Ok([whole(l)?, whole(h)?])).collect()
    }
}

fn by_layer(pairs: &[[usize; 2]], site: Site, facts: &ModelFacts) -> Result<ByLayer, String> {
    let mut found = ByLayer::new();
    for [layer, head] in pairs {
        facts.layers_at(site, &Select::List(vec![*layer as i64]))?;
        Select::List(vec![*head as i64]).indices(facts.heads_at(site), "head")?;
        found.entry(*layer).or_default().push(*head);
    }
    Ok(found)
}
