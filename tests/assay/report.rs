//! The report page: what it says, what it never says, when it is written, and how a browser shows it.

use std::{
    fs,
    path::Path,
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    browser::look_at,
    interruption,
    sandbox::{Run, Sandbox},
};

/// A study that has some of everything, and whose every text tries to become markup.
const HEAD: &str = r#"
[study]
name     = "whole"
question = "Is <b onmouseover=alert(1)>markup</b> text? \u001b[31m"
seed     = 42

[params]
note = "</script><script>document.title='hacked'</script>"

[axes]
tau = [1, 2]
"#;

const REST: &str = r#"
[stages.ranking]
kind   = "rank"
over   = ["tau"]
title  = "</h3><img src=x onerror=alert(1)>"
inputs = { sts = "phiid.sts", rtr = "phiid.rtr" }

[stages.hostile]
kind = "load-table"
file = "hostile.csv"

[stages.scores]
kind   = "plot"
title  = "Scores <svg onload=alert(1)> of heads"
inputs = { table = "hostile" }
series = [{ from = "table", x = "x", y = "y", label = "</text><script>alert(1)</script>" }]

[stages.high]
kind   = "verdict"
title  = "Is the mean high?"
inputs = { table = "hostile" }
values = [
    { name = "average", is = "mean(table.y)", unit = "nats" },
    { name = "twice", is = "2 * average" },
]
rules  = [{ when = "twice > 5", then = "HIGH" }, { then = "LOW <script>alert(1)</script>" }]

[stages.shuffled]
kind    = "verdict"
title   = "The same of other data"
control = "other data must not be high"
inputs  = { table = "hostile" }
values  = [{ name = "least", is = "min(table.y)" }]
rules   = [{ when = "least > 5", then = "CONTROL_FAILS" }, { then = "CONTROL_HOLDS" }]

[[expect]]
that   = "hostile.y"
where  = { x = 1 }
equals = 2.5
within = 0.75
source = "by hand"

[[expect]]
that    = "hostile.y"
where   = { x = 2 }
equals  = 1.0
weights = "blake3:0000000000000000000000000000000000000000000000000000000000000000"
source  = "other weights"
"#;

const TABLE: &str = "x,y,<script>alert('column')</script>\n\
                     1,2.25,<img src=x onerror=alert(1)>\n\
                     2,1.0,\"'\"\"><script>alert(1)</script>\"\n\
                     3,0.123456789012,\u{202e}txet\n";

fn study() -> Sandbox {
    let sandbox = Sandbox::small(HEAD, REST);
    sandbox.write("hostile.csv", TABLE);
    sandbox
}

fn page_of(sandbox: &Sandbox, study: &str) -> String {
    let path = sandbox.path("results").join(study).join("report.html");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between the headings of a section.
fn section<'a>(page: &'a str, id: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("<section id=\"{id}\"")).unwrap_or_else(|| panic!("no section {id}"));
    rest.split_once("</section>").expect("a section ends").0
}

/// The targets of links and images.
fn targets(page: &str) -> Vec<&str> {
    let of = |attribute: &'static str| page.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
    of(" href=\"").chain(of(" src=\"")).collect()
}

#[test]
fn the_page_tells_what_was_decided_measured_and_checked() {
    let sandbox = study();
    let document = sandbox.run(&[]);
    assert_eq!(document["report"], "results/whole/report.html");
    let page = page_of(&sandbox, "whole");
    assert!(page.contains("<b>Finished</b> · 9 ran"), "{page}");
    let verdicts = section(&page, "verdicts");
    // The mean of 2.25, 1 and 0.123456789012, by hand.
    assert!(verdicts.contains("LOW &lt;script&gt;") && verdicts.contains(">1.1245</span>"), "{verdicts}");
    let (_, fired) = verdicts.split_once("<li class=\"fired\">").expect("the rule that fired");
    assert!(fired.starts_with("otherwise") && !verdicts.contains("CONTROL_HOLDS"), "{verdicts}");
    let expectations = section(&page, "expectations");
    assert!(expectations.contains("1 pass, 1 not applicable"), "{expectations}");
    assert!(expectations.contains(">−0.25<") && expectations.contains("± 0.75"), "{expectations}");
    let controls = section(&page, "controls");
    assert!(controls.contains("other data must not be high") && controls.contains("CONTROL_HOLDS"), "{controls}");
    assert_eq!(document["controls"][0]["verdict"], "CONTROL_HOLDS");
    assert_eq!(document["verdicts"].as_array().unwrap().len(), 1, "a control is no verdict");
    let tensors = section(&page, "tensors");
    assert!(tensors.contains("node 24 × node 24 · f64") && tensors.contains("phiid[tau=2].rtr"), "{tensors}");
    assert!(section(&page, "graph").contains("rank ×2 (tau)"));
    assert!(section(&page, "manifest").contains("[stages.shuffled]"));
}

#[test]
fn every_number_has_its_stage_key_and_device() {
    let sandbox = study();
    let document = sandbox.run(&[]);
    let page = page_of(&sandbox, "whole");
    for stage in document["stages"].as_array().unwrap() {
        let (id, key) = (stage["id"].as_str().unwrap(), stage["key"].as_str().unwrap());
        assert!(section(&page, "provenance").contains(&format!("<code>{key}</code>")), "{id}");
    }
    let cards = |id: &str| section(&page, id).matches("<article class=\"card").count();
    let stamps = |id: &str| section(&page, id).matches("<p class=\"stamp\">").count();
    assert_eq!((cards("verdicts"), cards("tables")), (1, 2));
    assert_eq!((stamps("verdicts"), stamps("tables"), stamps("figures")), (1, 2, 1));
    // A table of several cells has the key in each row.
    let ranking = document["stages"].as_array().unwrap().iter().find(|stage| stage["id"] == "ranking[tau=2]").unwrap();
    let key = ranking["key"].as_str().unwrap();
    assert_eq!(section(&page, "tables").matches(key).count(), 24, "a row for each head");
}

#[test]
fn nothing_in_a_study_becomes_markup_and_nothing_leads_outside() {
    let sandbox = study();
    sandbox.run(&["--set", "note=<script>alert(2)</script>"]);
    let name = "whole+note=%3Cscript%3Ealert%282%29%3C%2Fscript%3E";
    let page = page_of(&sandbox, name);
    assert_eq!(page.matches("<script>").count(), 1, "ours alone");
    for markup in ["<img src=x", "<svg onload", "<b onmouseover", "\u{1b}", "\u{202e}"] {
        assert!(!page.contains(markup), "{markup:?} got through");
    }
    for target in targets(&page) {
        if target.starts_with('#') || target.starts_with("data:image/svg+xml;base64,") {
            continue;
        }
        // Percent-encoding of links, undone: the only one here is that of the folder's own name, which is not in them.
        assert!(sandbox.path("results").join(name).join(target).is_file(), "{target} is no file of the results");
    }
}

#[test]
fn a_run_with_nothing_to_do_leaves_the_page_and_a_changed_manifest_rewrites_it() {
    let sandbox = study();
    sandbox.run(&[]);
    let path = sandbox.path("results/whole/report.html");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let age = || fs::File::options().append(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    let is_old = || fs::metadata(&path).unwrap().modified().unwrap() == long_ago;
    age();
    sandbox.run(&[]);
    assert!(is_old(), "nothing changed");
    sandbox.run(&["ranking"]);
    assert!(is_old(), "nothing changed for the stages that were not asked for either");
    sandbox.edit("Is the mean high?", "Is the mean large?");
    sandbox.run(&[]);
    assert!(!is_old() && page_of(&sandbox, "whole").contains("Is the mean large?"), "a title is no part of a key");
    fs::remove_file(&path).unwrap();
    sandbox.run(&[]);
    assert!(page_of(&sandbox, "whole").contains("9 cached"));
}

#[test]
fn a_failure_is_told_and_what_an_earlier_run_found_is_not_shown_for_it() {
    let sandbox = study();
    sandbox.run(&[]);
    assert!(page_of(&sandbox, "whole").contains(">1.1245</span>"));
    sandbox.edit("mean(table.y)", "mean(table.y) / 0");
    let run = sandbox.assay(&["run", "study.toml"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("report in results/whole/report.html"), "{}", run.stderr);
    let page = page_of(&sandbox, "whole");
    assert!(page.contains("<b>Not finished: a stage failed</b>"), "{page}");
    assert!(section(&page, "failures").contains("<h3>high</h3>"));
    assert!(section(&page, "log").contains("high"));
    let verdicts = section(&page, "verdicts");
    assert!(verdicts.contains("high: not decided") && !verdicts.contains("1.1245"), "{verdicts}");
    sandbox.edit("mean(table.y) / 0", "mean(table.y)");
    sandbox.run(&[]);
    let page = page_of(&sandbox, "whole");
    assert!(page.contains("<b>Finished</b>") && !page.contains("<section id=\"failures\""), "{page}");
    assert!(!page.contains("<section id=\"log\""), "what an earlier run logged is not this run's");
}

#[test]
fn while_a_run_goes_on_the_page_says_so_and_a_stopped_one_shows_nothing_unfinished() {
    for (signal, says) in [(Signal::TERM, "<b>Stopped before the end"), (Signal::INT, "<b>Interrupted before the end")]
    {
        let sandbox = interruption::phiid();
        // Long enough that the page is rewritten while it runs.
        sandbox.edit("atoms  = \"all\"", "atoms  = \"all\"\nredundancy = \"ccs\"");
        let mut command = sandbox.command(&["run", "study.toml", "--json"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let path = sandbox.path("results/pairs/report.html");
        let patience = Instant::now() + Duration::from_secs(60);
        let running = loop {
            match fs::read_to_string(&path) {
                Ok(page) if page.contains("phiid: phiid, running") => break page,
                _ => assert!(Instant::now() < patience, "no page tells that `phiid` runs"),
            }
            sleep(Duration::from_millis(5));
        };
        assert!(running.ends_with("</html>\n") && running.contains("<b>Still running</b>"), "{running}");
        kill_process(Pid::from_child(&child), signal).unwrap();
        let run = Run::of(child.wait_with_output().unwrap());
        assert!(matches!(run.code, Some(75 | 130)), "{:?}: {}", run.code, run.stderr);
        let page = page_of(&sandbox, "pairs");
        assert!(page.contains(says), "{page}");
        assert!(!section(&page, "tensors").contains("phiid"), "{}", section(&page, "tensors"));
        assert!(!section(&page, "provenance").contains("<h3>phiid"));
    }
}

#[test]
fn a_page_of_a_thousand_cells_stays_small() {
    let labels: Vec<String> = (0..1000).map(|label| label.to_string()).collect();
    let sandbox = Sandbox::with(&format!(
        r#"
[study]
name = "thousand"

[axes]
label = [{}]

[stages.texts]
kind  = "prompts"
over  = ["label"]
texts = ["text ${{label}}"]

[stages.table]
kind  = "load-table"
over  = ["label"]
file  = "table.csv"
"#,
        labels.join(", ")
    ));
    let rows: Vec<String> = (0..200).map(|row| format!("{row},{},some text", f64::from(row).sqrt())).collect();
    sandbox.write("table.csv", format!("row,root,text\n{}\n", rows.join("\n")));
    sandbox.run(&[]);
    let page = page_of(&sandbox, "thousand");
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
    assert!(page.contains("×1000 (label)") && page.contains("cells are finished"), "what is left out is said");
    assert!(section(&page, "tables").contains("of 200000 rows"), "{}", &section(&page, "tables")[..2000]);
}

#[test]
fn a_browser_shows_the_page_without_errors_light_and_dark_on_a_phone_and_on_a_desk() {
    let sandbox = study();
    sandbox.run(&[]);
    let Some(frames) = look_at(&sandbox.path("results/whole/report.html")) else { return };
    assert_eq!(frames.len(), 4);
    for frame in &frames {
        assert_eq!(frame["heard"], Value::from(Vec::<Value>::new()), "errors on the page");
        let images = frame["images"].as_array().unwrap();
        assert_eq!(images.len(), 1);
        for image in images {
            assert!(image["width"].as_f64().unwrap() > 100.0, "an image did not load: {image}");
            assert!(image["shown"].as_f64().unwrap() <= frame["width"].as_f64().unwrap(), "{image}");
        }
        let text = frame["text"].as_str().unwrap();
        assert!(text.contains("LOW <script>alert(1)</script>") && text.contains("CONTROL_HOLDS"), "{text}");
        assert!(frame["scrolls"].as_f64() <= frame["width"].as_f64(), "the page scrolls sideways: {frame}");
        assert!(frame["contrast"]["ratio"].as_f64().unwrap() >= 4.5, "{}", frame["contrast"]);
        assert_sorted(frame["sorted"].as_array().unwrap());
    }
    let background = |frame: &Value| frame["background"].as_str().unwrap().to_owned();
    assert_eq!(
        frames.iter().map(|frame| frame["theme"].as_str().unwrap()).collect::<Vec<_>>(),
        ["light", "dark"].repeat(2)
    );
    assert_ne!(background(&frames[0]), background(&frames[1]));
}

/// The first column of numbers of each table, after a click on its header.
fn assert_sorted(tables: &[Value]) {
    assert!(tables.iter().filter(|table| !table.is_null()).count() >= 3, "{tables:?}");
    for column in tables.iter().filter_map(Value::as_array) {
        let numbers: Vec<f64> =
            column.iter().filter_map(|text| text.as_str()?.replace('−', "-").parse().ok()).collect();
        assert!(numbers.is_sorted(), "{column:?}");
    }
}

#[test]
fn the_page_is_a_file_that_others_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = study();
    sandbox.run(&[]);
    let page: &Path = &sandbox.path("results/whole/report.html");
    assert_eq!(fs::metadata(page).unwrap().permissions().mode() & 0o777, 0o644);
}
