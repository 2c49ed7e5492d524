//! What becomes of each pair, with a tokenizer that counts words; the real thing is in the end-to-end tests.

use serde_json::Value;

use super::*;

fn stage(params: Value) -> PromptPairs {
    serde_json::from_value(params).unwrap()
}

fn bank() -> Bank {
    let texts = [("long", "one two three four five six"), ("short", "one two"), ("six", "a b c d e f"), ("none", "")];
    texts.into_iter().map(|(id, text)| (id.to_owned(), text.to_owned())).collect()
}

fn words(text: &str) -> Result<usize, String> {
    Ok(text.split_whitespace().count())
}

/// What becomes of pairs where a base text needs three words and windows have five.
fn outputs(ids: &[(&str, &str)]) -> Outputs {
    let stage = stage(json!({ "pairs": "p.csv", "bank": "b.toml", "min-tokens": 3, "window": 5, "max-length": 9 }));
    let row = |(base, source): &(&str, &str)| stage.row([(*base).to_owned(), (*source).to_owned()], &bank(), words);
    stage.outputs(&ids.iter().map(row).collect::<Result<Vec<_>, _>>().unwrap(), &bank())
}

fn record<'o>(outputs: &'o Outputs, port: &str) -> &'o Value {
    match &outputs.artifacts[port] {
        Artifact::Record(value) => value,
        other => panic!("{other:?}"),
    }
}

fn pairs(outputs: &Outputs) -> &Table {
    match &outputs.artifacts["pairs"] {
        Artifact::Table(table) => table,
        other => panic!("{other:?}"),
    }
}

const PAIRS: [(&str, &str); 6] =
    [("long", "six"), ("long", "gone"), ("short", "long"), ("six", "short"), ("lost", "gone"), ("six", "none")];

#[test]
fn a_pair_that_cannot_be_used_has_its_row_and_the_others_stay_aligned() {
    let outputs = outputs(&PAIRS);
    for (port, texts) in
        [("base", ["one two three four five six", "a b c d e f"]), ("recursive", ["a b c d e f", "one two"])]
    {
        let prompts = record(&outputs, port);
        assert_eq!(prompts["prompts"][0], json!({ "id": "0", "text": texts[0] }));
        assert_eq!(prompts["prompts"][1], json!({ "id": "3", "text": texts[1] }), "a pair is called by its row");
        assert_eq!((prompts["prompts"].as_array().unwrap().len(), &prompts["max_length"]), (2, &json!(9)));
    }
    let csv = String::from_utf8(pairs(&outputs).encode()).unwrap();
    let expected = "pair_idx,base_id,rec_id,base_tokens,rec_tokens,window,status,error\n\
        0,long,six,6,6,5,ok,\n\
        1,long,gone,6,,,error,the bank has no text `gone`\n\
        2,short,long,2,6,,skipped,\"the base text has 2 tokens, fewer than 3\"\n\
        3,six,short,6,2,2,ok,\n\
        4,lost,gone,,,,error,the bank has no text `lost`\n\
        5,six,none,6,0,,error,the text `none` has no tokens\n";
    assert_eq!(csv, expected);
}

/// W = min(window, T, T_src): a source of two tokens leaves two to compare.
#[test]
fn a_window_is_what_both_texts_have() {
    let Artifact::Tensor(window) = &outputs(&PAIRS).artifacts["window"] else { panic!() };
    assert_eq!(window.data, Data::I64(ndarray::arr1(&[5, 2]).into_dyn()));
    assert_eq!(window.axes[0].labels.as_deref(), Some(["0", "3"].map(String::from).as_slice()));
}

#[test]
fn files_say_where_they_are_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    let refused = |pairs: &str, bank: &str| {
        let stage = stage(json!({ "pairs": write("p.csv", pairs), "bank": write("b.toml", bank) }));
        let files = stage.resolve(Fetch::Never).unwrap();
        stage.ports(&Given { files: Some(&files), ..Given::default() }).unwrap_err()
    };
    let both = refused("base_id,source\na,b\n", "a = 1\n");
    assert!(both[0].message.contains("no column `rec_id`; it has base_id, source"), "{both:?}");
    assert!(both[1].message.contains("b.toml") && both[1].message.contains("line 1"), "{both:?}");
    assert!(refused("base_id,rec_id\n", "a = \"x\"\n")[0].message.contains("holds no pairs"));
    assert!(refused("rec_id,n,base_id\na,1\n", "a = \"x\"\n")[0].message.contains("p.csv"));
    let pairs = write("p.csv", "rec_id,n,base_id\nr , 1, b\n");
    assert_eq!(read_pairs(&pairs).unwrap(), [["b".to_owned(), "r".to_owned()]]);
    let missing = stage(json!({ "pairs": folder.path().join("q.csv"), "bank": pairs })).resolve(Fetch::Never);
    assert!(missing.unwrap_err().to_string().contains("q.csv"));
}

#[test]
fn counts_are_at_least_one_and_fit_each_other() {
    let mistakes = |more: Value| {
        let mut params = json!({ "pairs": "p.csv", "bank": "b.toml" });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        stage(params).mistakes()
    };
    assert!(mistakes(json!({})).is_empty());
    assert_eq!(mistakes(json!({ "first": 0, "window": 0 })).len(), 2);
    assert_eq!(mistakes(json!({ "max-length": 12 }))[0].at, "max-length");
}

/// The bank that is shipped: every id of every pair is there, and no text is used twice.
#[test]
fn the_shipped_pairs_are_in_the_shipped_bank() {
    let shipped = |name: &str| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../manifests/prompts").join(name);
    let bank = read_bank(&shipped("homeostasis-bank.toml")).unwrap();
    let pairs = read_pairs(&shipped("homeostasis-pairs.csv")).unwrap();
    assert!(pairs.len() >= 151, "{}", pairs.len());
    let ids: std::collections::BTreeSet<&String> = pairs.iter().flatten().collect();
    assert_eq!(ids.len(), 2 * pairs.len());
    assert!(ids.iter().all(|id| bank.contains_key(*id)));
    assert!(pairs.iter().flatten().all(|id| bank[id].split_whitespace().count() >= 16));
}
