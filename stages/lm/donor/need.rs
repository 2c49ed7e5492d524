//! What edits and captures want of the input ports that they name: axes, layers, heads and widths, held against what is
//! known of an input when a study is planned, and against what stands there when it runs.

use crate::{
    Arrived, Mistake, PortType, Select,
    lm::{
        facts::ModelFacts,
        site::{Extent, Site},
    },
    tables::no_column,
};

/// What an edit or a capture wants of an input port.
pub struct Need {
    pub port: String,
    /// Where in the manifest it is named.
    pub at: String,
    /// Axes that it may have.
    pub axes: Vec<Vec<&'static str>>,
    /// The column that is read, where it is anything that reads as rows.
    column: Option<String>,
}

/// Which layers and heads of how many are asked for, and how long vectors are where that is known.
pub struct Asked {
    layers: Vec<usize>,
    all_layers: usize,
    heads: Vec<usize>,
    all_heads: usize,
    width: Option<usize>,
}

/// The axes of one token at a site.
fn token_axes(site: Site) -> Vec<&'static str> {
    match site.extent() {
        Extent::Residual => vec!["d"],
        Extent::Scale => vec![],
        Extent::Heads | Extent::KvHeads => vec!["head", "d"],
        Extent::Experts => vec!["expert", "d"],
        Extent::Pattern => vec!["head", "query", "key"],
        Extent::Logits => vec!["token"],
    }
}

impl Need {
    fn new(at: String, port: &str, axes: Vec<Vec<&'static str>>) -> Self {
        Self { port: port.to_owned(), at, axes, column: None }
    }

    /// Anything that reads as rows and has this column.
    pub fn rows(at: String, port: &str, column: &str) -> Self {
        Self { column: Some(column.to_owned()), ..Self::new(at, port, vec![]) }
    }

    /// Whether one thing could stand in the port for both.
    pub fn fits(&self, other: &Self) -> bool {
        match (&self.column, &other.column) {
            (None, None) => self.axes.iter().any(|axes| other.axes.contains(axes)),
            (Some(_), Some(_)) => true,
            _ => false,
        }
    }

    /// The column that it asks for and that arrives without it.
    fn missing_column(&self, arrived: &Arrived) -> Option<Mistake> {
        let columns = arrived.facts.get("columns")?.as_array()?;
        let column = self.column.as_ref().filter(|column| !columns.iter().any(|known| known == column.as_str()))?;
        let columns = columns.iter().filter_map(|column| column.as_str());
        Some(Mistake::new(self.at.clone(), no_column(column, &arrived.from, columns)))
    }

    /// A raw capture: the values of every token.
    pub fn tokens(at: String, port: &str, site: Site) -> Self {
        let layer = site.per_layer().then_some("layer");
        let position = (site.extent() != Extent::Pattern).then_some("position");
        let axes = ["prompt"].into_iter().chain(layer).chain(position).chain(token_axes(site)).collect();
        Self::new(at, port, vec![axes])
    }

    /// Something to average over prompts and positions, or an average already.
    pub fn averages(at: String, port: &str, site: Site) -> Self {
        let layer = site.per_layer().then_some("layer");
        let over = [vec![], vec!["prompt"], vec!["prompt", "position"]];
        let axes = over.map(|over| {
            let (prompt, position) = (over.first(), over.get(1));
            let before = prompt.into_iter().copied().chain(layer);
            before.chain(position.copied()).chain(token_axes(site)).collect()
        });
        Self::new(at, port, axes.to_vec())
    }

    /// One vector, or one for each layer, each head, or both.
    pub fn directions(at: String, port: &str, site: Site) -> Self {
        let (layered, headed) = (site.per_layer(), site.has_heads());
        let node = if site.extent() == Extent::Experts { "expert" } else { "head" };
        let axes = [vec!["d"], vec!["layer", "d"], vec![node, "d"], vec!["layer", node, "d"]];
        let fits = |axes: &Vec<&str>| (layered || !axes.contains(&"layer")) && (headed || !axes.contains(&node));
        Self::new(at, port, axes.into_iter().filter(fits).collect())
    }

    /// A number for each prompt.
    pub fn counts(at: String, port: &str) -> Self {
        Self::new(at, port, vec![vec!["prompt"]])
    }

    pub fn types(&self) -> Vec<PortType> {
        match self.column {
            Some(_) => ["table", "record", "tensor"].map(PortType::of).to_vec(),
            None => self.axes.iter().map(|axes| PortType::tensor(axes)).collect(),
        }
    }
}

impl Asked {
    /// What a model wants at these layers and heads of a site; nothing where it has none of them.
    pub fn of(facts: &ModelFacts, site: Site, layers: &Select, heads: &Select) -> Self {
        let (all_layers, all_heads) = (if site.per_layer() { facts.layers } else { 0 }, facts.heads_at(site));
        Self {
            layers: if site.per_layer() { facts.layers_at(site, layers).unwrap_or_default() } else { vec![] },
            all_layers,
            heads: heads.indices(all_heads, "head").unwrap_or_default(),
            all_heads,
            width: facts.width_at(site),
        }
    }

    /// What a tensor lacks whose axes of layers and heads have these labels, or no labels and these lengths.
    pub fn lack(
        &self,
        port: &str,
        layers: Option<(Option<&[i64]>, usize)>,
        heads: Option<(Option<&[i64]>, usize)>,
        width: Option<usize>,
    ) -> Option<String> {
        let axis = |what: &str, known: Option<(Option<&[i64]>, usize)>, wanted: &[usize], all: usize| match known? {
            (Some(labels), _) => {
                let absent = wanted.iter().find(|number| !labels.contains(&(**number as i64)))?;
                Some(format!("`{port}` has no {what} {absent}, which this asks for"))
            }
            (None, own) => (own != all).then(|| format!("`{port}` has {own} {what}s, and here are {all}")),
        };
        let misfit = |(own, width)| format!("`{port}` has vectors of {own}, and at this site they have {width}");
        axis("layer", layers, &self.layers, self.all_layers)
            .or_else(|| axis("head", heads, &self.heads, self.all_heads))
            .or_else(|| width.zip(self.width).filter(|(own, width)| own != width).map(misfit))
    }

    /// What facts rule out of what arrives at a port.
    pub fn mistakes(&self, need: &Need, arrived: &Arrived) -> Option<Mistake> {
        if need.column.is_some() {
            return need.missing_column(arrived);
        }
        let number = |name: &str| arrived.facts[name].as_u64().map(|count| count as usize);
        let labels = |name: &str| serde_json::from_value::<Vec<i64>>(arrived.facts[name].clone()).ok();
        let (layer, head) = (labels("layer"), labels("head"));
        let has = |axis: &str| arrived.ty.axes.iter().any(|own| own == axis);
        let layers = number("layers").filter(|_| has("layer")).map(|count| (layer.as_deref(), count));
        let heads = number("heads").filter(|_| has("head") || has("expert")).map(|count| (head.as_deref(), count));
        let lack = self.lack(&need.port, layers, heads, number("d").filter(|_| has("d")))?;
        Some(Mistake::new(need.at.clone(), lack).help(format!("`{}` is wired to `{}`", need.port, arrived.from)))
    }
}
