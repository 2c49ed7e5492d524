//! Reads back the dialect that `svg` writes, element by element. Not XML at large: no entities but four, no comments.

use std::collections::BTreeMap;

use super::color::Rgb;

/// An opening tag, its attributes and the text that follows it.
pub struct Element<'s> {
    pub name: &'s str,
    attributes: BTreeMap<&'s str, &'s str>,
    pub text: String,
}

impl<'s> Element<'s> {
    pub fn attribute(&self, name: &str) -> Option<&'s str> {
        self.attributes.get(name).copied()
    }

    fn required(&self, name: &str) -> Result<&'s str, String> {
        self.attribute(name).ok_or_else(|| format!("a <{}> has no `{name}`", self.name))
    }

    pub fn parse(&self, text: &str) -> Result<f64, String> {
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| format!("`{text}` in a <{}> is not a number", self.name))
    }

    pub fn number(&self, name: &str) -> Result<f64, String> {
        self.parse(self.required(name)?)
    }

    pub fn points(&self) -> Result<Vec<(f64, f64)>, String> {
        self.required("points")?
            .split_whitespace()
            .map(|pair| {
                let (x, y) = pair.split_once(',').ok_or_else(|| format!("`{pair}` is not a point"))?;
                Ok((self.parse(x)?, self.parse(y)?))
            })
            .collect()
    }

    /// `#rrggbb`, or nothing where it says `none`.
    pub fn color(&self, name: &str) -> Result<Option<Rgb>, String> {
        let text = self.required(name)?;
        if text == "none" {
            return Ok(None);
        }
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let [_, r, g, b] = number.ok_or_else(|| format!("`{text}` is not a colour of our figures"))?.to_be_bytes();
        Ok(Some(Rgb(r, g, b)))
    }
}

/// The opening tags of a document, in order.
pub fn elements(svg: &str) -> Result<Vec<Element<'_>>, String> {
    let mut found = vec![];
    for piece in svg.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').ok_or("a tag is not closed: the figure is cut off")?;
        if tag.starts_with(['/', '?', '!']) {
            continue;
        }
        let tag = tag.trim_end_matches('/');
        let (name, mut rest) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        let mut attributes = BTreeMap::new();
        while let Some((key, after)) = rest.split_once("=\"") {
            let (value, after) = after.split_once('"').ok_or_else(|| format!("`{key}` of a <{name}> has no end"))?;
            attributes.insert(key.trim(), value);
            rest = after;
        }
        found.push(Element { name, attributes, text: unescaped(text) });
    }
    Ok(found)
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}
