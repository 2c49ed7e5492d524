//! What a field is where a manifest leaves it out, as the schema of its kind says.

use serde_json::Value;

use super::{
    canonical::fits,
    field::{Path, Step},
    shape::{Field, Shape, Type},
};

/// What stands in for a field that is left out.
#[derive(Clone, PartialEq, Debug)]
pub enum LeftOut {
    Default(Value),
    /// The study's seed.
    StudySeed,
}

impl Shape {
    /// What the field at `path` is when it is left out. `params` are those it is left out of: they say which variant of
    /// a table is meant. `None` where the schema does not tell.
    pub fn left_out(&self, params: &Value, path: &Path) -> Option<LeftOut> {
        let field = self.field(&self.root, Some(params), &path.0)?;
        match self.resolve(&field.of) {
            Type::Integer { seed: true, .. } => Some(LeftOut::StudySeed),
            _ => field.default.clone().map(LeftOut::Default),
        }
    }

    fn field<'a>(&'a self, of: &'a Type, value: Option<&Value>, path: &[Step]) -> Option<&'a Field> {
        let (step, rest) = path.split_first()?;
        let inner = value.and_then(|value| match step {
            Step::Key(key) => value.get(key),
            Step::At(position) => value.get(position),
        });
        match (self.resolve(of), step) {
            (Type::Table(fields), Step::Key(key)) => self.field_of(fields, key, inner, rest),
            (Type::Tagged { tag, variants }, Step::Key(key)) => {
                let chosen = value?.get(tag)?.as_str()?;
                let (_, fields) = variants.iter().find(|(name, _)| name == chosen)?;
                self.field_of(fields, key, inner, rest)
            }
            (Type::List { first, items, .. }, Step::At(position)) => {
                self.field(first.get(*position).unwrap_or(items), inner, rest)
            }
            (Type::Map(of), Step::Key(_)) => self.field(of, inner, rest),
            (Type::Either(branches), _) => {
                let fitting = branches.iter().filter(|branch| value.is_none_or(|value| fits(value, branch, self)));
                fitting.filter_map(|branch| self.field(branch, value, path)).next()
            }
            _ => None,
        }
    }

    fn field_of<'a>(
        &'a self,
        fields: &'a [Field],
        key: &str,
        inner: Option<&Value>,
        rest: &[Step],
    ) -> Option<&'a Field> {
        let field = fields.iter().find(|field| field.name == key)?;
        if rest.is_empty() { Some(field) } else { self.field(&field.of, inner, rest) }
    }
}

#[cfg(test)]
mod tests {
    use schemars::json_schema;
    use serde_json::json;

    use super::*;

    fn shape() -> Shape {
        Shape::of(&json_schema!({
            "type": "object",
            "properties": {
                "tau": { "type": "integer", "default": 1 },
                "name": { "type": "string" },
                "edits": { "type": "array", "items": { "oneOf": [
                    { "type": "object", "properties": { "op": { "const": "zero" } }, "required": ["op"] },
                    { "type": "object", "required": ["op", "seed"], "properties": {
                        "op": { "const": "noise" },
                        "std": { "type": "number", "default": 0.1 },
                        "seed": { "type": "integer", "format": "seed" },
                    } },
                ] } },
            },
        }))
    }

    #[test]
    fn the_schema_says_what_stands_in_for_a_field() {
        let params = json!({"edits": [{"op": "zero"}, {"op": "noise", "seed": 3}]});
        let left_out = |path: &Path| shape().left_out(&params, path);
        let root = Path::default();
        let edit = |at: usize, key: &str| root.key("edits").at(at).key(key);
        assert_eq!(left_out(&root.key("tau")), Some(LeftOut::Default(json!(1))));
        assert_eq!(left_out(&edit(1, "std")), Some(LeftOut::Default(json!(0.1))));
        assert_eq!(left_out(&edit(1, "seed")), Some(LeftOut::StudySeed));
        assert_eq!(left_out(&edit(0, "std")), None, "this variant has no such field");
        assert_eq!([left_out(&root.key("name")), left_out(&root.key("nothing")), left_out(&root)], [None, None, None]);
    }
}
