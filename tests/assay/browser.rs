//! Opens a page in headless Chromium, at the width of a phone and of a desk, light and dark, and says what it saw.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// What a page must not do without being heard: the listener is put in front of everything else on the page.
const LISTENER: &str = r#"<script>
window.heard = [];
addEventListener("error", (event) => heard.push(event.message || `${event.target.tagName} did not load`), true);
addEventListener("unhandledrejection", (event) => heard.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => heard.push(`${event.violatedDirective}: ${event.blockedURI}`));
for (const level of ["error", "warn"]) console[level] = (...said) => heard.push(said.join(" "));
</script>"#;

/// Loads the page in frames and writes down what is to be seen in each.
const HARNESS: &str = r#"<!doctype html><meta charset="utf-8"><pre id="seen">nothing</pre>
<iframe src="page.html" data-theme="light" width="390" height="800"></iframe>
<iframe src="page.html" data-theme="dark" width="390" height="800"></iframe>
<iframe src="page.html" data-theme="light" width="1300" height="800"></iframe>
<iframe src="page.html" data-theme="dark" width="1300" height="800"></iframe>
<script>
const channels = (color) => color.match(/[\d.]+/g).map(Number);
const luminance = (color) => {
  const [r, g, b] = channels(color).map((c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (element, view) => {
  for (; element; element = element.parentElement) {
    const color = view.getComputedStyle(element).backgroundColor;
    if ((channels(color)[3] ?? 1) > 0.99) return color;
  }
  return "rgb(255, 255, 255)";
};
// WCAG 2's contrast of each text with what lies behind it, the least of all, and where.
const contrast = (document, view) => {
  let least = { ratio: 21, text: "" };
  for (const element of document.querySelectorAll("body *:not(script):not(svg):not(svg *)")) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join("").trim();
    if (!text) continue;
    const [a, b] = [luminance(view.getComputedStyle(element).color), luminance(ground(element, view))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < least.ratio) least = { ratio, text: text.slice(0, 60) };
  }
  return least;
};
const look = (frame) => {
  const [view, document] = [frame.contentWindow, frame.contentDocument];
  const toggle = document.getElementById("theme");
  const other = frame.dataset.theme === "dark" ? "Dark" : "Light";
  if (toggle.textContent === other) toggle.click();
  document.querySelectorAll("details").forEach((details) => { details.open = true; });
  const sorted = [...document.querySelectorAll("table.sortable")].map((table) => {
    const header = [...table.tHead.rows[0].cells].findIndex((cell) => cell.classList.contains("n"));
    if (header < 0) return null;
    table.tHead.rows[0].cells[header].querySelector("button").click();
    return [...table.tBodies[0].rows].map((row) => row.cells[header].title || row.cells[header].textContent.trim());
  });
  return {
    theme: toggle.textContent === "Light" ? "dark" : "light",
    background: view.getComputedStyle(document.body).backgroundColor,
    width: document.documentElement.clientWidth,
    scrolls: document.documentElement.scrollWidth,
    images: [...document.images].map((image) => ({ alt: image.alt, width: image.naturalWidth, shown: (image.closest(".scroll") ?? image).getBoundingClientRect().width })),
    text: document.body.innerText,
    contrast: contrast(document, view),
    sorted,
    heard: view.heard,
  };
};
addEventListener("load", () => {
  let seen;
  try { seen = [...document.querySelectorAll("iframe")].map(look); } catch (error) { seen = { error: String(error) }; }
  document.getElementById("seen").textContent = encodeURIComponent(JSON.stringify(seen));
});
</script>"#;

/// What each frame showed; nothing, loudly, where there is no browser and none is demanded.
pub fn look_at(page: &Path) -> Option<Vec<Value>> {
    let Some(browser) = browser() else {
        let demanded = env::var_os("ASSAY_TEST_BROWSER").is_some_and(|wanted| wanted == "1");
        assert!(!demanded, "ASSAY_TEST_BROWSER=1 demands Chromium: .ci/chromium.sh installs it");
        // Past the test harness, which swallows what a passing test prints.
        let _ =
            writeln!(io::stderr(), "SKIPPED: there is no Chromium to open the report in; .ci/chromium.sh installs it");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let html = fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    let (head, rest) = html.split_once("<head>").expect("a head");
    fs::write(folder.path().join("page.html"), format!("{head}<head>{LISTENER}{rest}")).unwrap();
    fs::write(folder.path().join("harness.html"), HARNESS).unwrap();
    let dom = opened(&browser, folder.path());
    let seen =
        dom.split_once("<pre id=\"seen\">").and_then(|(_, rest)| rest.split_once("</pre>")).expect("the harness").0;
    let seen: Value = serde_json::from_str(&decoded(seen)).unwrap_or_else(|error| panic!("{error}: {seen}"));
    Some(seen.as_array().unwrap_or_else(|| panic!("the harness failed: {seen}")).clone())
}

fn browser() -> Option<PathBuf> {
    let folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|path| path.is_file())
}

/// The document after everything has loaded. The browser has a home of its own, and asks nobody anything.
fn opened(browser: &Path, folder: &Path) -> String {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args([
            "--allow-file-access-from-files",
            "--virtual-time-budget=20000",
            "--window-size=1400,1000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("file://{}", folder.join("harness.html").display()))
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", browser.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// `%2F` and the like as the characters that they stand for.
fn decoded(text: &str) -> String {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = (first == b'%').then(|| std::str::from_utf8(after.get(..2)?).ok()).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
