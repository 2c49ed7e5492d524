//! Generated texts, as token ids: what stands in a port of the type `tokens`.

use assay_cache::Artifact;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Failure, OutputPort, PortType, Ports};

/// Prompts and what a model made of them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tokens {
    pub sequences: Vec<Sequence>,
    /// How many tokens a task draws from, whether all of them occur or not. What a model wrote does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocab: Option<u32>,
}

/// One prompt and the tokens that follow it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sequence {
    /// The label of this prompt on an axis `prompt`.
    pub id: String,
    pub prompt: Vec<u32>,
    pub new: Vec<u32>,
}

impl Tokens {
    pub fn read(record: &Value) -> Result<Self, Failure> {
        serde_json::from_value(record.clone())
            .map_err(|error| Failure::fatal(format!("the input `tokens` holds no token sequences: {error}")))
    }

    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("tokens are plain data")
    }

    pub fn artifact(&self) -> Artifact {
        Artifact::Record(self.to_value())
    }
}

/// The ports of a task: texts to learn and texts held out, of so many different tokens and up to so long.
pub fn task_ports(vocab: u32, longest: usize) -> Ports {
    let port =
        |name| OutputPort::new(name, PortType::of("tokens")).with_facts(json!({ "vocab": vocab, "longest": longest }));
    Ports { inputs: vec![], outputs: vec![port("train"), port("test")] }
}

impl Sequence {
    /// Prompt and new tokens, as one text.
    pub fn text(&self) -> Vec<u32> {
        [self.prompt.as_slice(), &self.new].concat()
    }
}
