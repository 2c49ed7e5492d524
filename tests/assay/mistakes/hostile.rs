//! Manifests that were made to do harm: to keep a careless reader busy, to overflow its stack, to be obeyed by a terminal.

use super::{HEAD, Sandbox, said_of};

/// Files that would keep a careless reader busy, or overflow its stack. Were one of them quadratic, this would not end.
#[test]
fn hostile_files_end_as_quickly_and_as_clearly() {
    const MANY: usize = 1 << 20;
    let table = |inside: &str| format!("{HEAD}\n[stages.other]\nkind = \"prompts\"\ntokens = {inside}\n");
    let chain = |length: usize, last: &str| {
        let link = |i: usize| format!("[stages.s{i}]\nkind=\"rank\"\ninputs={{sts=\"s{}\"}}\n", i + 1);
        let links: String = (0..length).rev().map(link).collect();
        format!("{HEAD}{links}[stages.s{length}]\nkind=\"rank\"\ninputs={{{last}}}\n")
    };
    let cases = [
        ("brackets", table(&"[".repeat(MANY)), "this is nested too deeply"),
        ("braces", table(&"{a=".repeat(MANY)), "this is nested too deeply"),
        ("dots", table(&format!("{{ {}a = 1 }}", "a.".repeat(MANY))), "this is nested too deeply"),
        ("headers", format!("{HEAD}\n[stages{}]", ".a".repeat(MANY)), "this is nested too deeply"),
        ("junk", "\u{1}\"'[{=".repeat(MANY), "this is not TOML"),
        ("lines", "a\n".repeat(MANY), "this is not TOML"),
        (
            "keys",
            format!("{HEAD}\n[params]\n") + &(0..MANY / 8).map(|i| format!("a{i}=nan\n")).collect::<String>(),
            "is not finite",
        ),
        ("one line", format!("{HEAD}x = \"{}\"", "é".repeat(MANY)), "`x` is an unknown key"),
        ("values", HEAD.replace("[1, 2]", &format!("[{}1.5]", "1,".repeat(MANY))), "has the label `1` twice"),
        (
            "stages",
            HEAD.to_owned() + &(0..MANY / 128).map(|i| format!("[stages.s{i}]\nkind=\"phid\"\n")).collect::<String>(),
            "`phid` is an unknown kind",
        ),
        ("a chain", chain(MANY / 16, ""), "has no input `rtr`"),
        ("a cycle", chain(MANY / 16, "sts = \"s0\""), "these stages wait for each other: `s65535` → `s65534` →"),
        ("dollars", table(&format!("\"{}\"", "${".repeat(MANY))), "has no closing brace"),
    ];
    for (name, manifest, what) in cases {
        let said = said_of(&manifest, &[]);
        assert!(said.contains(what), "{name}: {}", &said[..said.len().min(2000)]);
        assert!(said.len() < 40_000, "{name} is answered with {} bytes", said.len());
    }
}

/// A few lines that name a long list again and again, in a stage, in a text and in each of many cells. Whole, each would
/// take gigabytes.
#[test]
fn what_grows_by_references_is_bounded() {
    const LONG: usize = 1 << 20;
    let study = |over: &str, tokens: &str| {
        format!(
            "[study]\nname = \"grows\"\n\n[params]\nlist = [{}1]\ntext = \"{}\"\n\n[axes]\nmany = [{}0]\n\n[stages.a]\n\
             kind = \"prompts\"\n{over}\n{tokens}\n\n[stages.b]\nkind = \"prompts\"\ntokens = \"${{params.list}}\"\n",
            "1,".repeat(LONG),
            "e".repeat(LONG),
            (1..2000).map(|i| format!("{i},")).collect::<String>(),
        )
    };
    let again = |what: &str, times: usize| what.repeat(times);
    let cases = [
        ("lists", study("", &format!("tokens = [{}]", again("\"${params.list}\",", 2000)))),
        ("texts", study("", &format!("texts = [{}]", again("\"${params.text}\",", 4000)))),
        ("one text", study("", &format!("texts = [\"{}\"]", again("${params.text}", 4000)))),
        ("cells", study("over = [\"many\"]", "tokens = [\"${params.list}\"]")),
        ("literals", study("over = [\"many\"]", &format!("texts = [\"{}\"]", again("e", LONG)))),
    ];
    for (name, manifest) in cases {
        let said = said_of(&manifest, &[]);
        assert!(said.contains("with this, the parameters of all cells take more than 256 MiB"), "{name}: {said:.2000}");
        assert!(said.contains("take axes out of `over`") && said.matches("× ").count() < 3, "{name}: {said:.2000}");
        assert!(said.len() < 40_000, "{name} is answered with {} bytes", said.len());
    }
}

const ESCAPE: &str = "\u{1b}]0;title\u{7}\u{1b}[31m\u{9b}2J\u{202e}";

/// `ESCAPE` as the text of a TOML string.
fn escaped() -> String {
    ESCAPE.chars().map(|letter| format!("\\U{:08x}", u32::from(letter))).collect()
}

/// A study whose every text holds `ESCAPE`, and a table that does.
fn escaping() -> (Sandbox, String) {
    let manifest = r#"
[study]
name     = "escapes"
question = "{}?"

[axes]
label = ["{}"]

[params]
"x" = "{}"

[stages.table]
kind  = "load-table"
title = "{}"
file  = "{}.csv"

[stages.verdict]
kind   = "verdict"
title  = "{}"
over   = ["label"]
inputs = { table = "table" }
values = [{ name = "n", is = "1" }]
rules  = [{ then = "{}" }]

[[expect]]
that   = "table.number"
equals = "{}"
source = "{}"
"#
    .replace("{}", &escaped());
    let sandbox = Sandbox::with(&manifest);
    sandbox.write(&format!("{ESCAPE}.csv"), format!("number,text{ESCAPE}\n1,{ESCAPE}\n"));
    (sandbox, manifest)
}

/// What is printed, of which a terminal obeys nothing.
fn harmless(sandbox: &Sandbox, arguments: &[&str], code: i32) -> String {
    let run = sandbox.assay(arguments);
    assert_eq!(run.code, Some(code), "{arguments:?}: {}\n{}", run.stdout, run.stderr);
    let printed = run.stdout + &run.stderr;
    let obeyed = |c: &char| (c.is_control() && *c != '\n') || *c == '\u{202e}';
    assert_eq!(printed.chars().find(obeyed), None, "{arguments:?}: {printed:?}");
    printed
}

#[test]
fn nothing_in_a_manifest_reaches_the_terminal_to_be_obeyed() {
    let (sandbox, _) = escaping();
    for (arguments, code) in
        [(&["plan", "study.toml"][..], 0), (&["run", "study.toml"], 3), (&["show", "study.toml", "table"], 0)]
    {
        assert!(harmless(&sandbox, arguments, code).contains("\\u{1b}[31m"), "{arguments:?}");
    }
    harmless(&sandbox, &["show", "study.toml", "verdict"], 0);
    harmless(&sandbox, &["export", "study.toml", "out"], 0);
    harmless(&sandbox, &["verify"], 0);
}

#[test]
fn no_mistake_in_a_manifest_reaches_the_terminal_to_be_obeyed() {
    let (sandbox, manifest) = escaping();
    for (from, to) in [
        ("[study]", "[\"{}\"]\n[study]"),
        ("kind  = \"load-table\"", "kind  = \"{}\""),
        ("kind  = \"load-table\"", "kind  = \"load-table\"\n\"{}\" = 1"),
        (".csv\"", "{}.csv\""),
        ("[stages.verdict]", "[stages.\"{}\"]"),
        ("table = \"table\"", "\"{}\" = \"table.{}\""),
        ("over   = [\"label\"]", "over   = [\"{}\"]"),
        ("is = \"1\"", "is = \"{}\""),
        ("is = \"1\"", "is = \"${{}}\""),
        ("question", "question{ESCAPE}"),
    ] {
        assert!(manifest.contains(from), "{from}");
        let to = to.replace("{ESCAPE}", ESCAPE).replace("{}", &escaped());
        sandbox.write("study.toml", manifest.replacen(from, &to, 1));
        harmless(&sandbox, &["plan", "study.toml"], 2);
    }
    sandbox.write("study.toml", manifest.replace("\"table.number\"", &format!("\"table.{}\"", escaped())));
    assert!(harmless(&sandbox, &["run", "study.toml"], 2).contains("is an unknown output or column"));
}
