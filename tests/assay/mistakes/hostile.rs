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

#[test]
fn nothing_in_a_manifest_reaches_the_terminal_to_be_obeyed() {
    const ESCAPE: &str = "\u{1b}]0;title\u{7}\u{1b}[31m\u{9b}2J\u{202e}";
    let toml = ESCAPE.escape_unicode().to_string().replace("\\u{", "\\U").replace('}', "");
    let toml: String = toml.split("\\U").skip(1).map(|hex| format!("\\U{hex:0>8}")).collect();
    let manifest = format!(
        r#"
[study]
name     = "escapes"
question = "{toml}?"

[axes]
label = ["{toml}"]

[params]
"x" = "{toml}"

[stages.table]
kind  = "load-table"
title = "{toml}"
file  = "{ESCAPE_FILE}.csv"

[stages.verdict]
kind   = "verdict"
title  = "{toml}"
over   = ["label"]
inputs = {{ table = "table" }}
values = [{{ name = "n", is = "1" }}]
rules  = [{{ then = "{toml}" }}]

[[expect]]
that   = "table.number"
equals = "{toml}"
source = "{toml}"
"#,
        ESCAPE_FILE = toml
    );
    let sandbox = Sandbox::with(&manifest);
    sandbox.write(&format!("{ESCAPE}.csv"), format!("number,text{ESCAPE}\n1,{ESCAPE}\n"));
    let harmless = |arguments: &[&str], code: i32| {
        let run = sandbox.assay(arguments);
        assert_eq!(run.code, Some(code), "{arguments:?}: {}\n{}", run.stdout, run.stderr);
        let printed = run.stdout + &run.stderr;
        let obeyed = |c: &char| (c.is_control() && *c != '\n') || *c == '\u{202e}';
        assert_eq!(printed.chars().find(obeyed), None, "{arguments:?}: {printed:?}");
        printed
    };
    assert!(harmless(&["plan", "study.toml"], 0).contains("\\u{1b}[31m"));
    assert!(harmless(&["run", "study.toml"], 3).contains("\\u{1b}[31m"));
    assert!(harmless(&["show", "study.toml", "table"], 0).contains("\\u{1b}[31m"));
    harmless(&["show", "study.toml", "verdict"], 0);
    harmless(&["export", "study.toml", "out"], 0);
    harmless(&["verify"], 0);
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
    ] {
        assert!(manifest.contains(from), "{from}");
        sandbox.write("study.toml", manifest.replacen(from, &to.replace("{}", &toml), 1));
        harmless(&["plan", "study.toml"], 2);
    }
    sandbox.write("study.toml", manifest.replace("\"table.number\"", &format!("\"table.{toml}\"")));
    assert!(harmless(&["run", "study.toml"], 2).contains("is an unknown output or column"));
    sandbox.write("study.toml", manifest.replace("question", &format!("question{ESCAPE}")));
    harmless(&["plan", "study.toml"], 2);
}
