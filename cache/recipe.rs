//! What determines a stage's outputs, and the two keys that follow from it.
//!
//! | in the recipe | never in the recipe |
//! | --- | --- |
//! | format version, kind, version of kind and shared parts | names of stages, of the study, titles |
//! | typed parameters, without those equal to their default | `expect`, `export`, `resources` |
//! | digests of the files read, by role | paths, repositories, revisions (they are provenance) |
//! | for each port: upstream keys and ports, gathered ones with labels | times, hosts, threads, device, environment |

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Digest, canonical};

/// Version of the preimages below and of everything on disk. A change makes every old key unreachable.
pub const FORMAT: u32 = 1;

/// The name of a recipe: equal keys, equal outputs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub Digest);

/// The name of a computation on given bytes: like [`Key`], but over the digests of the inputs rather than the keys of
/// the stages that made them. Units live under it, and early cutoff looks it up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InputsKey(pub Digest);

/// Axis labels of a gathered input, in the order of the study's axes.
pub type Labels = Vec<(String, String)>;

/// All that determines a stage's outputs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Recipe {
    pub format: u32,
    pub kind: String,
    pub version: String,
    pub params: Value,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Digest>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Slot<Upstream>>,
}

/// One output of one finished recipe.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Upstream {
    pub key: Key,
    pub port: String,
}

/// What stands in an input port: one thing, or several gathered over axes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slot<T> {
    One(T),
    Many(Vec<(Labels, T)>),
}

/// The digest of what stands in each input port.
pub type InputDigests = BTreeMap<String, Slot<Digest>>;

impl<T> Slot<T> {
    pub fn items(&self) -> Vec<&T> {
        match self {
            Self::One(item) => vec![item],
            Self::Many(items) => items.iter().map(|(_, item)| item).collect(),
        }
    }

    /// Each item with its labels; a single one has none.
    pub fn labelled(&self) -> Vec<(&[(String, String)], &T)> {
        match self {
            Self::One(item) => vec![(&[], item)],
            Self::Many(items) => items.iter().map(|(labels, item)| (labels.as_slice(), item)).collect(),
        }
    }

    /// The same slot with every item replaced, or the first error.
    pub fn try_map<U, E>(&self, mut f: impl FnMut(&T) -> Result<U, E>) -> Result<Slot<U>, E> {
        Ok(match self {
            Self::One(item) => Slot::One(f(item)?),
            Self::Many(items) => {
                Slot::Many(items.iter().map(|(labels, item)| Ok((labels.clone(), f(item)?))).collect::<Result<_, E>>()?)
            }
        })
    }
}

impl InputsKey {
    /// Where a forced run of the same computation keeps its units and its lease: it must take nothing that is there.
    pub fn forced(self) -> Self {
        Self(Digest::tagged("assay forced", self.to_string().as_bytes()))
    }
}

impl Recipe {
    pub fn key(&self) -> Key {
        let preimage = serde_json::to_value(self).expect("a recipe holds only strings, numbers and digests");
        Key(Digest::tagged("assay recipe", canonical(&preimage).as_bytes()))
    }

    /// The key over the bytes of the inputs, whichever stages made them.
    pub fn inputs_key(&self, inputs: &InputDigests) -> InputsKey {
        let preimage = json!({
            "format": self.format, "kind": self.kind, "version": self.version,
            "params": self.params, "files": self.files, "inputs": inputs,
        });
        InputsKey(Digest::tagged("assay inputs", canonical(&preimage).as_bytes()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for InputsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe {
            format: FORMAT,
            kind: "rank".into(),
            version: "rank=1".into(),
            params: json!({"ties": "difference"}),
            files: BTreeMap::new(),
            inputs: BTreeMap::from([(
                "sts".into(),
                Slot::One(Upstream { key: Key(Digest::of(b"up")), port: "sts".into() }),
            )]),
        }
    }

    #[test]
    fn every_field_moves_the_key() {
        let base = recipe().key();
        let changes: [fn(&mut Recipe); 6] = [
            |r| r.format += 1,
            |r| r.kind = "plot".into(),
            |r| r.version = "rank=2".into(),
            |r| r.params = json!({"ties": "index"}),
            |r| r.files.extend([("file".into(), Digest::of(b"a"))]),
            |r| r.inputs.extend([("rtr".into(), Slot::Many(vec![]))]),
        ];
        for change in changes {
            let mut changed = recipe();
            change(&mut changed);
            assert_ne!(changed.key(), base);
        }
    }

    #[test]
    fn labels_of_gathered_inputs_and_ports_count() {
        let gathered = |label: &str, port: &str| {
            let upstream = Upstream { key: Key(Digest::of(b"up")), port: port.into() };
            let slot = Slot::Many(vec![(vec![("seed".to_owned(), label.to_owned())], upstream)]);
            Recipe { inputs: BTreeMap::from([("values".into(), slot)]), ..recipe() }.key()
        };
        assert_ne!(gathered("1", "a"), gathered("2", "a"));
        assert_ne!(gathered("1", "a"), gathered("1", "b"));
    }

    /// The digests were computed apart from this code, by the Python package blake3 1.0.11:
    /// `blake3(b"assay recipe\\0" + preimage).hexdigest()`, and the same with `b"assay inputs\\0"`.
    #[test]
    fn keys_are_the_published_ones() {
        let text = r#"{"format": 1, "kind": "aggregate", "version": "aggregate=1",
            "params": {"z": [0.1, -0.0, 1.0, 1, 1e-5], "a": {"text": "σ \"q\"\n", "none": null}},
            "files": {"table": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
            "inputs": {
                "values": {"many": [[[["sigma", "0.1"], ["seed", "42"]],
                    {"port": "table", "key": "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"}]]},
                "baseline": {"one":
                    {"port": "sts", "key": "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"}}}}"#;
        let recipe: Recipe = serde_json::from_str(text).unwrap();
        let files = r#""files":{"table":"af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"}"#;
        let params = r#""params":{"a":{"none":null,"text":"σ \"q\"\n"},"z":[0.1,0.0,1.0,1,1e-5]}"#;
        let preimage = [
            "{",
            files,
            r#","format":1,"inputs":{"#,
            r#""baseline":{"one":{"key":"ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100","port":"sts"}},"#,
            r#""values":{"many":[[[["sigma","0.1"],["seed","42"]],"#,
            r#"{"key":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","port":"table"}]]}"#,
            r#"},"kind":"aggregate","#,
            params,
            r#","version":"aggregate=1"}"#,
        ];
        assert_eq!(canonical(&serde_json::to_value(&recipe).unwrap()), preimage.concat());
        assert_eq!(recipe.key().to_string(), "262272aafc4c98d93764cb04f081e19ab5ebd023df82375d3333632ea4197a53");

        let digest = |byte: u8| Digest::of(&[byte]);
        let inputs = InputDigests::from([
            ("baseline".into(), Slot::One(digest(0))),
            ("values".into(), Slot::Many(vec![(vec![("seed".into(), "42".into())], digest(1))])),
        ]);
        assert_eq!(
            recipe.inputs_key(&inputs).to_string(),
            "3f3bcc022f550210df7452ab4f6b9452028e860dad18e29b30528bc8a9dad228"
        );
    }

    #[test]
    fn a_recipe_survives_its_json() {
        let text = serde_json::to_string(&recipe()).unwrap();
        assert_eq!(serde_json::from_str::<Recipe>(&text).unwrap().key(), recipe().key());
    }
}
