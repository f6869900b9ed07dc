//! Rules for every page: it fits a phone, is readable in light and dark mode, every field has a name, and the content
//! security policy blocks nothing.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::browser::Browser;

/// Text that stands out too little, by WCAG 2.2 (1.4.3, level AA): the ratio of what is seen, and what it says.
const FAINT: &str = r#"
const parse = text => {
  const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
  return { r, g, b, a };
};
const over = (top, below) => ({
  r: top.r * top.a + below.r * (1 - top.a),
  g: top.g * top.a + below.g * (1 - top.a),
  b: top.b * top.a + below.b * (1 - top.a),
  a: 1,
});
const behind = element => {
  if (!element) return { r: 255, g: 255, b: 255, a: 1 };
  const own = parse(getComputedStyle(element).backgroundColor);
  return own.a === 1 ? own : over(own, behind(element.parentElement));
};
const light = ({ r, g, b }) => {
  const [R, G, B] = [r, g, b].map(part => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * R + 0.7152 * G + 0.0722 * B;
};
const contrast = (one, other) => {
  const [brighter, darker] = [light(one), light(other)].sort((a, b) => b - a);
  return (brighter + 0.05) / (darker + 0.05);
};
const faint = [];
for (const element of document.body.querySelectorAll("*")) {
  const style = getComputedStyle(element);
  const says = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())
    || ["INPUT", "SELECT"].includes(element.tagName) && element.type !== "hidden" && element.type !== "radio";
  if (!says || !element.checkVisibility()) continue;
  const paper = behind(element);
  const ratio = contrast(over(parse(style.color), paper), paper);
  if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${element.tagName} ${element.textContent.trim().slice(0, 40)}`);
  // 1.4.11: the edge of a field.
  if (["INPUT", "SELECT"].includes(element.tagName)) {
    const edge = contrast(parse(style.borderTopColor), behind(element.parentElement));
    if (edge < 3) faint.push(`${edge.toFixed(2)} the edge of ${element.id}`);
  }
}
return faint;
"#;

/// Fields without a label of their own, images without a text, headings that skip a level, and ids that occur twice.
const UNNAMED: &str = r#"
const unnamed = [];
for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
  if (![...field.labels].some(label => label.textContent.trim())) unnamed.push(`no label: ${field.name}`);
for (const action of document.querySelectorAll("a, button"))
  if (!(action.getAttribute("aria-label") || action.textContent).trim()) unnamed.push(`no name: ${action.outerHTML}`);
for (const reference of document.querySelectorAll("[aria-describedby], [aria-labelledby]"))
  for (const name of ["aria-describedby", "aria-labelledby"])
    for (const id of (reference.getAttribute(name) || "").split(" ").filter(Boolean))
      if (!document.getElementById(id)) unnamed.push(`nothing is called ${id}`);
const ids = [...document.querySelectorAll("[id]")].map(element => element.id);
for (const id of new Set(ids)) if (ids.filter(other => other === id).length > 1) unnamed.push(`twice: ${id}`);
let level = 0;
for (const heading of document.querySelectorAll("h1, h2, h3")) {
  const own = Number(heading.tagName[1]);
  if (own > level + 1) unnamed.push(`skips a level: ${heading.textContent}`);
  level = own;
}
if (document.querySelectorAll("h1").length !== 1) unnamed.push("not one heading of the page");
if (!document.documentElement.lang || !document.title) unnamed.push("no language or no title");
if (!document.querySelector("main")) unnamed.push("no main part");
return unnamed;
"#;

/// What can be pressed and is lower than WCAG 2.2 (2.5.8) asks for, unless it stands in a text.
const SMALL: &str = r#"
return [...document.querySelectorAll("button, .button, input:not([type=hidden]), select, nav a")]
  .filter(element => element.checkVisibility() && element.type !== "radio")
  .filter(element => element.getBoundingClientRect().height < 24)
  .map(element => element.outerHTML.slice(0, 80));
"#;

/// What is wider than the window.
const WIDE: &str =
    "const page = document.documentElement; return page.scrollWidth - page.clientWidth;";

/// Looks at the page that the browser is on, in both widths and both colour schemes.
#[track_caller]
pub(super) fn assert_well_made(browser: &Browser, name: &str) {
    let none = json!([]);
    assert_eq!(browser.evaluate(UNNAMED), none, "{name}: names");
    for (size, width, height) in [("desktop", 1280, 800), ("phone", 375, 740)] {
        browser.resize(width, height);
        for scheme in ["light", "dark"] {
            let dressed = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
            browser.devtools("Emulation.setEmulatedMedia", dressed);
            keep_picture(browser, &format!("{name}-{size}-{scheme}"), width);
            assert_eq!(browser.evaluate(FAINT), none, "{name}, {scheme}: contrast");
        }
        assert_eq!(browser.evaluate(WIDE), json!(0), "{name}: a {size} is not scrolled sideways");
        assert_eq!(browser.evaluate(SMALL), none, "{name}: what is pressed is large enough");
    }
    browser.resize(1280, 800);
    let messages: Vec<String> =
        browser.messages().into_iter().filter(|message| !is_status(message)).collect();
    assert!(messages.is_empty(), "{name}: {messages:?}");
    assert_ne!(
        browser.evaluate("return document.title"),
        Value::from("owned"),
        "{name}: what is echoed is run"
    );
}

/// The status of a page that refuses something is an error for the console of the browser.
fn is_status(message: &str) -> bool {
    message.contains("Failed to load resource: the server responded with a status of 4")
}

fn keep_picture(browser: &Browser, name: &str, width: u32) {
    let Some(directory) = std::env::var_os("MY_TEST_SCREENSHOTS").map(PathBuf::from) else {
        return;
    };
    let height =
        browser.evaluate("return Math.ceil(document.body.getBoundingClientRect().height)").as_u64();
    let height =
        height.and_then(|height| u32::try_from(height).ok()).unwrap_or(800).clamp(320, 2400);
    browser.resize(width, height);
    std::fs::create_dir_all(&directory).expect("the directory of the pictures");
    std::fs::write(directory.join(format!("{name}.png")), browser.screenshot()).expect("a picture");
}
