//! What becomes of recorded values: words that are applied one after the other, and the axes that each leaves.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use crate::lm::site::{Extent, Site};

/// One reduction. Those over the last axis keep positions and heads; those over positions keep the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reduce {
    /// The Euclidean norm over the last axis.
    Norm,
    /// The root of the mean square over the last axis: the norm over the root of how many numbers there are.
    Rms,
    /// The mean over positions.
    Mean,
    /// The last of the positions alone.
    Last,
    /// How far positions are from their mean: the variance over positions (ddof 0), averaged over the numbers of the
    /// vectors.
    Variance,
    /// The mean over heads.
    MeanHeads,
    /// Of a `pattern`: the entropy of what each query attends to, −Σ p ln p over its keys, in nats.
    Entropy,
    /// Of a `pattern`: that entropy divided by the largest that as many keys as a query has before it, and its own, can
    /// have, H(p) / ln(q + 1), from 0 to 1; 0 at the first token.
    RelativeEntropy,
    /// Of a `pattern`: w = the attention that each key receives, averaged over queries and normalised, without zeros;
    /// its entropy divided by the largest that so many keys can have, H(w) / log(number of keys), from 0 to 1; 0 where
    /// at most one key is left.
    ReceivedEntropy,
    /// How many directions positions take: with G = X Xᵀ of the chosen positions' vectors X (uncentred, heads side by
    /// side), tr(G)² / ‖G‖², in 64 bits. NaN where tr(G) < 1e-10, or of fewer than two positions.
    ParticipationRatio,
    /// 1 / x of each number: of a `scale`, what the norm multiplies by.
    Reciprocal,
    /// The dot product with `direction`.
    Dot,
    /// Of a residual stream: the logits that it gives, through the final norm unless `final-norm = false` (the "logit lens").
    Unembed,
    /// The `k` largest values of the last axis, largest first; `.index` says which they are, and where they are logits
    /// `.probability` says how likely. Where there are fewer, NaN and the index −1. Comes last.
    TopK,
    /// Of `logits`: how they predict the token that comes next in the text, −ln p in nats; `.right` is 1 where that is the
    /// most likely one, else 0. The last token has none after it: NaN. Comes last.
    Surprisal,
}

/// Reductions, applied in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reductions(pub Vec<Reduce>);

/// Which axes a recorded value has beside prompt and layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept {
    pub position: bool,
    pub head: bool,
    pub last: Option<&'static str>,
}

impl Kept {
    /// All that stands at a site.
    pub fn of(site: Site) -> Self {
        let (head, last) = match site.extent() {
            Extent::Residual => (false, Some("d")),
            Extent::Scale => (false, None),
            Extent::Heads | Extent::KvHeads | Extent::Experts => (true, Some("d")),
            Extent::Pattern => (true, Some("key")),
            Extent::Logits => (false, Some("token")),
        };
        Self { position: true, head, last }
    }
}

impl Reduce {
    pub fn word(self) -> String {
        json!(self).as_str().unwrap_or_default().to_owned()
    }

    /// Whether it makes one of all positions.
    pub fn over_positions(self) -> bool {
        matches!(self, Self::Mean | Self::Last | Self::Variance | Self::ReceivedEntropy | Self::ParticipationRatio)
    }

    /// What is left after this reduction of what stood there; or why it cannot be.
    fn after(self, kept: Kept, site: Site) -> Result<Kept, String> {
        let no = |what: &str| Err(format!("`{}` needs {what}", self.word()));
        let vector = kept.last == Some("d");
        match self {
            Self::Norm | Self::Rms if site.extent() == Extent::Scale => {
                Err("a scale is one number: it has no norm".to_owned())
            }
            Self::Norm | Self::Rms if kept.last.is_none() => no("vectors, and here are single numbers"),
            Self::Variance if kept.last == Some("key") => no("vectors or numbers, and queries have keys of their own"),
            Self::Mean | Self::Last | Self::Variance if !kept.position => no("positions, and none are left"),
            Self::MeanHeads if !kept.head => no("heads, and here are none"),
            Self::Entropy | Self::RelativeEntropy if kept.last != Some("key") => {
                no("the site `pattern`, whose keys it is over")
            }
            Self::RelativeEntropy if !kept.position => no("queries: write it before what makes one of all positions"),
            Self::ReceivedEntropy if kept != Kept::of(Site::Pattern) => no("the site `pattern`, as it is"),
            Self::ParticipationRatio if !vector || !kept.position => no("a vector at each position"),
            Self::Dot if !vector => no("vectors"),
            Self::Unembed if !(vector && site.in_residual()) => {
                no("a residual stream: `resid_pre`, `resid_mid`, `resid_post` or `embed`")
            }
            Self::Surprisal if kept != Kept::of(Site::Logits) => no("the site `logits`, as it is"),
            Self::TopK if kept.last.is_none() => no("an axis to take the largest of, and here are single numbers"),
            Self::Reciprocal => Ok(kept),
            Self::Norm | Self::Rms | Self::Entropy | Self::RelativeEntropy | Self::Dot | Self::Surprisal => {
                Ok(Kept { last: None, ..kept })
            }
            Self::Mean | Self::Last => Ok(Kept { position: false, ..kept }),
            Self::Variance => Ok(Kept { position: false, last: None, ..kept }),
            Self::MeanHeads => Ok(Kept { head: false, ..kept }),
            Self::ReceivedEntropy => Ok(Kept { position: false, last: None, ..kept }),
            Self::ParticipationRatio => Ok(Kept { position: false, head: false, last: None }),
            Self::Unembed => Ok(Kept { last: Some("token"), ..kept }),
            Self::TopK => Ok(Kept { last: Some("rank"), ..kept }),
        }
    }
}

impl Reductions {
    /// The axes that are left at a site; or what is wrong, in the order of the words.
    pub fn kept(&self, site: Site) -> Result<Kept, String> {
        let mut kept = Kept::of(site);
        for (i, reduce) in self.0.iter().enumerate() {
            match self.0[..i].last() {
                Some(last @ (Reduce::TopK | Reduce::Surprisal)) => return Err(format!("`{}` comes last", last.word())),
                Some(Reduce::Unembed) if *reduce != Reduce::TopK => {
                    return Err(format!(
                        "after `unembed` comes `top-k` or nothing: write `{}` before it",
                        reduce.word()
                    ));
                }
                _ => kept = reduce.after(kept, site)?,
            }
        }
        Ok(kept)
    }
}

impl Serialize for Reductions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Reductions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let words = if value.is_array() { value } else { Value::Array(vec![value]) };
        Vec::deserialize(words).map(Self).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Reductions {
    fn schema_name() -> Cow<'static, str> {
        "Reductions".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let word = generator.subschema_for::<Reduce>();
        json_schema!({ "anyOf": [word, { "type": "array", "items": word, "minItems": 1 }] })
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(site: Site, words: &str) -> Result<Kept, String> {
        serde_json::from_str::<Reductions>(words).unwrap().kept(site)
    }

    #[test]
    fn words_leave_the_axes_that_they_should() {
        let axes = |position, head, last| Kept { position, head, last };
        assert_eq!(kept(Site::Z, "\"norm\"").unwrap(), axes(true, true, None));
        assert_eq!(kept(Site::ResidPost, r#"["norm", "mean"]"#).unwrap(), axes(false, false, None));
        assert_eq!(kept(Site::Pattern, r#"["entropy", "mean-heads", "mean"]"#).unwrap(), axes(false, false, None));
        assert_eq!(
            kept(Site::Pattern, r#"["mean-heads", "last", "top-k"]"#).unwrap(),
            axes(false, false, Some("rank"))
        );
        assert_eq!(kept(Site::Result, "\"variance\"").unwrap(), axes(false, true, None));
        assert_eq!(kept(Site::Logits, "\"surprisal\"").unwrap(), axes(true, false, None));
        assert_eq!(kept(Site::V, "\"participation-ratio\"").unwrap(), axes(false, false, None));
        assert_eq!(kept(Site::ResidMid, r#"["last", "unembed"]"#).unwrap(), axes(false, false, Some("token")));
    }

    #[test]
    fn words_that_do_not_fit_are_refused() {
        for (site, words, says) in [
            (Site::Ln1Scale, r#""norm""#, "no norm"),
            (Site::Ln1Scale, r#""rms""#, "no norm"),
            (Site::Z, r#""entropy""#, "`pattern`"),
            (Site::Z, r#"["mean", "last"]"#, "none are left"),
            (Site::AttnOut, r#""mean-heads""#, "heads"),
            (Site::Pattern, r#"["mean", "received-entropy"]"#, "as it is"),
            (Site::Pattern, r#"["last", "relative-entropy"]"#, "before what makes one"),
            (Site::Z, r#""relative-entropy""#, "`pattern`"),
            (Site::MlpPost, r#""unembed""#, "residual stream"),
            (Site::ResidPost, r#"["unembed", "mean"]"#, "write `mean` before it"),
            (Site::Logits, r#"["top-k", "mean"]"#, "comes last"),
            (Site::Pattern, r#""dot""#, "vectors"),
            (Site::Z, r#"["norm", "participation-ratio"]"#, "a vector"),
            (Site::Pattern, r#""variance""#, "keys of their own"),
            (Site::Z, r#"["last", "variance"]"#, "none are left"),
            (Site::Logits, r#"["last", "surprisal"]"#, "as it is"),
            (Site::ResidPost, r#""surprisal""#, "`logits`"),
            (Site::Logits, r#"["surprisal", "mean"]"#, "`surprisal` comes last"),
        ] {
            let refused = kept(site, words).unwrap_err();
            assert!(refused.contains(says), "{words}: {refused}");
        }
    }

    #[test]
    fn one_word_and_a_list_of_one_are_one_spelling() {
        let of = |json: &str| json!(serde_json::from_str::<Reductions>(json).unwrap());
        assert_eq!(of(r#"["norm"]"#), of(r#""norm""#));
        assert_eq!(of(r#"["norm", "mean"]"#), json!(["norm", "mean"]));
    }
}
