//! The JSON Schema of a whole manifest (Draft 7), for editors such as those with Taplo.
//!
//! Parameters come from the schemas of the kinds, the very ones that lowering checks with; the reserved tables are written
//! here, and a test holds their keys against those that the reader knows. The schema takes what a plan takes as far as types
//! tell: names that lead nowhere, files and cycles are for `assay plan`.

use serde_json::{Map, Value, json};

/// The schema of manifests over these kinds: the name of each, and the schema of its parameters.
pub fn schema<'k>(kinds: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    let mut definitions = Map::new();
    definitions.insert("reference".into(), reference());
    definitions.insert("wire".into(), wire());
    let mut stages = vec![];
    for (kind, parameters) in kinds {
        let stage = stage(kind, parameters, &mut definitions);
        definitions.insert(kind.to_owned(), stage);
        stages.push(json!({ "$ref": format!("#/definitions/{kind}") }));
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A study of Assay",
        "description": "A study is a DAG of stages. `assay plan` checks what a schema cannot: names, files, ports and cycles.",
        "type": "object",
        "required": ["study", "stages"],
        "additionalProperties": false,
        "properties": {
            "study": study(),
            "params": {
                "description": "Values for `${params.NAME}`; `--set NAME=VALUE` replaces one.",
                "type": "object",
                "propertyNames": { "pattern": NAME },
            },
            "axes": axes(),
            "stages": {
                "description": "What is done: a table a stage, named as you like.",
                "type": "object",
                "minProperties": 1,
                "propertyNames": { "pattern": NAME },
                "additionalProperties": {
                    "description": "A stage: its kind, where its inputs come from, and the parameters of its kind.",
                    "type": "object",
                    "required": ["kind"],
                    "oneOf": stages,
                },
            },
            "expect": { "description": "Numbers that the study must reproduce.", "type": "array", "items": expect() },
            "export": {
                "description": "What `assay export` writes under names of your own: a path for each artifact.",
                "type": "object",
                "additionalProperties": { "$ref": "#/definitions/wire" },
            },
            "cluster": { "description": "Hints for a cluster. Never part of a key.", "type": "object" },
        },
        "definitions": definitions,
    })
}

/// Names of stages, axes and parameters.
const NAME: &str = "^[A-Za-z0-9_-]+$";

/// A string that holds at least one reference: `$$` stands for a dollar.
fn reference() -> Value {
    json!({
        "description": "A value from [params] or of an axis: `${params.NAME}`, `${AXIS}`.",
        "type": "string",
        "pattern": r"^(\$\$|[^$]|\$[^{$])*\$\{[^}]+\}",
    })
}

fn wire() -> Value {
    json!({
        "description": "An output: \"stage\" (its first) or \"stage.port\".",
        "type": "string",
        "pattern": r"^[A-Za-z0-9_-]+(\..+)?$",
    })
}

fn study() -> Value {
    json!({
        "description": "What this study is.",
        "type": "object",
        "required": ["name"],
        "additionalProperties": false,
        "properties": {
            "name": {
                "description": "Results go to `results/<name>`.",
                "type": "string",
                "pattern": "^[A-Za-z0-9_+-][A-Za-z0-9._+-]*$",
            },
            "question": { "description": "What the study asks.", "type": "string" },
            "seed": {
                "description": "The seed of every stage that has none of its own.",
                "type": "integer",
                "minimum": 0,
                "default": 0,
            },
        },
    })
}

fn axes() -> Value {
    json!({
        "description": "Swept parameters. A stage that has one in its `over` has a cell for each value.",
        "type": "object",
        "propertyNames": { "pattern": NAME, "not": { "const": "params" } },
        "additionalProperties": {
            "description": "A list of values, or a table of label = value.",
            "anyOf": [
                { "type": "array", "minItems": 1, "items": { "type": ["string", "number", "boolean"] } },
                { "type": "object", "minProperties": 1 },
            ],
        },
    })
}

fn expect() -> Value {
    json!({
        "type": "object",
        "required": ["that", "equals"],
        "additionalProperties": false,
        "properties": {
            "that": { "description": "What is compared: \"stage.port.column\".", "type": "string" },
            "cell": {
                "description": "Axis labels that pick one cell.",
                "type": "object",
                "additionalProperties": { "type": ["string", "number", "boolean"] },
            },
            "where": {
                "description": "Column values, or positions along axes of a tensor, that pick rows.",
                "type": "object",
                "additionalProperties": { "type": ["string", "number", "boolean"] },
            },
            "equals": { "description": "The number, text or list that is expected." },
            "within": { "description": "The largest difference.", "type": "number", "minimum": 0 },
            "within-relative": {
                "description": "The largest difference, as a part of what is expected.",
                "type": "number",
                "minimum": 0,
            },
            "weights": {
                "description": "The weights that this holds for; for others it is not applicable.",
                "type": "string",
                "pattern": "^blake3:[0-9a-f]{64}$",
            },
            "model": {
                "description": "The model that this holds for, as a `load-model` names it (`SOURCE`, or `SOURCE@REVISION`); a \
                                list, where it rests on several. For others it is not applicable.",
                "anyOf": [{ "type": "string" }, { "type": "array", "minItems": 1, "items": { "type": "string" } }],
            },
            "source": { "description": "Where the number comes from.", "type": "string" },
        },
    })
}

/// A stage of one kind: the reserved keys, and its parameters. The definitions that these name get a prefix.
fn stage(kind: &str, parameters: Value, definitions: &mut Map<String, Value>) -> Value {
    let Value::Object(mut parameters) = parameters else { return json!({ "type": "object" }) };
    if let Some(Value::Object(inner)) = parameters.remove("$defs") {
        for (name, schema) in inner {
            definitions.insert(format!("{kind}.{name}"), draft7(schema, kind));
        }
    }
    let Value::Object(mut stage) = draft7(Value::Object(parameters), kind) else { return json!({ "type": "object" }) };
    stage.remove("$schema");
    stage.remove("title");
    let properties = stage.entry("properties").or_insert_with(|| json!({}));
    if let (Value::Object(properties), Value::Object(reserved)) = (properties, reserved(kind)) {
        properties.extend(reserved);
    }
    let required = stage.entry("required").or_insert_with(|| json!([]));
    required.as_array_mut().into_iter().for_each(|required| required.push(json!("kind")));
    Value::Object(stage)
}

fn reserved(kind: &str) -> Value {
    json!({
        "kind": { "description": format!("`assay stages {kind}` explains it."), "const": kind },
        "over": {
            "description": "The axes of this stage. An input that has more is gathered, one that has fewer is shared.",
            "type": "array",
            "uniqueItems": true,
            "items": { "type": "string", "pattern": NAME },
        },
        "inputs": {
            "description": "Which output stands in which port.",
            "type": "object",
            "additionalProperties": {
                "anyOf": [
                    { "$ref": "#/definitions/wire" },
                    { "type": "array", "minItems": 1, "items": { "$ref": "#/definitions/wire" } },
                ],
            },
        },
        "title": { "description": "What people call it.", "type": "string" },
        "control": {
            "description": "What this stage checks: its outcome says something of the study's validity, and is no result.",
            "type": "string",
        },
        "resources": { "description": "Hints for a cluster. Never part of a key.", "type": "object" },
    })
}

/// A schema of schemars as Draft 7 has it, and as TOML with references is: definitions stand elsewhere, there is no
/// null, and a value may be a reference.
fn draft7(schema: Value, kind: &str) -> Value {
    let Value::Object(mut schema) = schema else { return schema };
    schema.remove("format");
    leave_seeds_out(&mut schema);
    if let Some(Value::String(name)) = schema.get_mut("$ref") {
        *name = name.replace("#/$defs/", &format!("#/definitions/{kind}."));
    }
    if let Some(Value::Object(properties)) = schema.remove("properties") {
        let value = |(key, of)| (key, or_reference(draft7(of, kind)));
        schema.insert("properties".into(), properties.into_iter().map(value).collect());
    }
    // Draft 7 has the types of the first items in `items`, and that of the others beside them.
    if let Some(Value::Array(first)) = schema.remove("prefixItems") {
        let rest = schema.insert("items".into(), first.into_iter().map(|of| or_reference(draft7(of, kind))).collect());
        rest.map(|of| schema.insert("additionalItems".into(), or_reference(draft7(of, kind))));
    } else if let Some(of) = schema.remove("items") {
        schema.insert("items".into(), or_reference(draft7(of, kind)));
    }
    if let Some(of @ Value::Object(_)) = schema.remove("additionalProperties") {
        schema.insert("additionalProperties".into(), or_reference(draft7(of, kind)));
    } else if schema.contains_key("properties")
        && !["allOf", "anyOf", "oneOf"].iter().any(|key| schema.contains_key(*key))
    {
        schema.insert("additionalProperties".into(), Value::Bool(false));
    }
    // Under a reference, more than one of several may fit.
    if let Some(Value::Array(branches)) = schema.remove("oneOf").or_else(|| schema.remove("anyOf")) {
        let branches = branches.into_iter().filter(|branch| branch["type"] != "null").map(|of| draft7(of, kind));
        schema.insert("anyOf".into(), branches.collect());
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
    }
    schema.retain(|key, value| key != "default" || !value.is_null());
    Value::Object(schema)
}

/// A seed that is not written is the study's.
fn leave_seeds_out(schema: &mut Map<String, Value>) {
    let properties = schema.get("properties").cloned().unwrap_or_default();
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| properties[name.as_str().unwrap_or_default()]["format"] != "seed");
    }
}

/// What may be written as it is, or as a reference. What is said of a value stands beside both.
fn or_reference(schema: Value) -> Value {
    let Value::Object(mut schema) = schema else { return schema };
    let takes_any_text = schema.get("type").is_some_and(|name| name == "string") && !schema.contains_key("pattern");
    if schema.is_empty() || takes_any_text {
        return Value::Object(schema);
    }
    let mut outer = Map::new();
    for key in ["description", "default"] {
        outer.extend(schema.remove(key).map(|value| (key.to_owned(), value)));
    }
    outer.insert("anyOf".into(), json!([schema, { "$ref": "#/definitions/reference" }]));
    Value::Object(outer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{stages::RESERVED, tests::read};

    /// The keys that the reader says it knows, when it meets one that it does not.
    fn known(manifest: &str, stranger: &str) -> Vec<String> {
        let problems = read(manifest, &[]).expect_err("strangers are mistakes");
        let problem = problems.list.iter().find(|problem| problem.message.contains(stranger)).expect("a problem");
        let help = problem.help.as_deref().expect("what is known");
        let list = help.split_once("known: ").expect("a list").1.trim_end_matches(')');
        let mut keys: Vec<_> = list.split(", ").map(str::to_owned).collect();
        keys.sort();
        keys
    }

    fn keys(of: &Value) -> Vec<String> {
        let mut keys: Vec<_> = of["properties"].as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    }

    #[test]
    fn the_reserved_keys_are_those_of_the_reader() {
        let manifest = "[study]\nname = \"a\"\nzzz1 = 1\n[[expect]]\nthat = \"a\"\nequals = 1\nzzz2 = 1\n[zzz3]\n[stages.a]\nkind = \"a\"\n";
        let schema = schema([]);
        assert_eq!(keys(&schema["properties"]["study"]), known(manifest, "zzz1"));
        assert_eq!(keys(&schema["properties"]["expect"]["items"]), known(manifest, "zzz2"));
        assert_eq!(keys(&schema), known(manifest, "zzz3"));
    }

    #[test]
    fn the_reserved_keys_of_a_stage_are_those_of_the_reader() {
        let mut reserved: Vec<_> = RESERVED.iter().map(|key| (*key).to_owned()).collect();
        reserved.sort();
        assert_eq!(keys(&json!({ "properties": super::reserved("a") })), reserved);
        // The reader takes each by its name; whatever it does not take is a parameter.
        let source = include_str!("stages.rs");
        let takes = |call: &str| source.matches(call).count();
        let taken: usize =
            ["fields.required(\"", "fields.list(\"", "fields.table(\"", "fields.string(\"", "fields.take(\""]
                .into_iter()
                .map(takes)
                .sum();
        assert_eq!(taken, RESERVED.len());
        assert!(RESERVED.iter().all(|key| source.contains(&format!("(\"{key}\""))));
    }
}
