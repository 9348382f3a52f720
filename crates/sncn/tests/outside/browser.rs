//! Pages as a browser shows them: headless Chromium, where there is one.

use crate::measured::{INPUT, answers, corrupted, measured, model, robustness};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What a page is asked when it is shown: whether it is wider than the window, whether a drawing is cut though the page has room for it,
/// whether all pictures are there, whether links lead somewhere, and the first column of the second table before and after its last heading
/// is chosen.
const ASKED: &str = r##"<script>
addEventListener("load", () => {
  const root = document.documentElement;
  const links = [...document.querySelectorAll("a")].map((a) => a.getAttribute("href"));
  const table = document.querySelectorAll("table")[1];
  const names = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent).join(",");
  const before = names();
  const heads = table.querySelectorAll("th button");
  heads[heads.length - 1].click();
  document.body.textContent = "ANSWER " + JSON.stringify({
    wide: root.scrollWidth > innerWidth,
    window: innerWidth,
    cut: [...document.querySelectorAll(".drawing")].filter((box) => box.scrollWidth > box.clientWidth &&
      box.clientWidth < box.closest("main").clientWidth - 40).length,
    missing: [...document.images].filter((image) => !image.complete || image.naturalWidth === 0).length,
    lost: links.filter((link) => link.startsWith("#") && !document.getElementById(link.slice(1))),
    outside: links.filter((link) => !link.startsWith("#")),
    pictures: document.images.length + document.querySelectorAll("svg").length,
    before, after: names(),
  }) + " END";
});
</script>"##;

/// The command of a browser, if there is one.
fn browser() -> Option<&'static str> {
    let named = ["chromium", "chromium-browser", "google-chrome"];
    named.into_iter().find(|name| Command::new(name).arg("--version").output().is_ok())
}

/// What is missing.
pub(crate) fn missing() -> Option<String> {
    browser().is_none().then(|| "no Chromium".to_string())
}

/// The pages of a model and of predictions.
pub(crate) fn pages_are_shown() -> Result<()> {
    let (folder, out) = corrupted();
    let (page, file) = (folder.path().join("page.html"), folder.path().join("predictions.csv"));
    measured(&folder, &model(), &["--input", INPUT, "--page"]).arg(&page).assert().success();
    looks_at(&page)?;
    fs::write(&file, answers(&out, true))?;
    robustness(&out, &file).arg("--page").arg(&page).assert().success();
    looks_at(&page)?;
    fs::write(&page, broad())?;
    looks_at(&page)
}

/// A page with drawings wider than a line of text.
fn broad() -> String {
    let table = "\n| a | b |\n| - | -: |\n| x | 2 |\n| y | 1 |\n";
    let drawings = "\n![one](a.svg)\n\n![two](a.svg)\n\n![three](a.svg)\n";
    let drawing =
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1000\" height=\"40\"><rect width=\"1000\" height=\"40\"/></svg>";
    sncn_report::page("Broad", &format!("# Broad\n{table}{drawings}{table}"), &[("a.svg".to_string(), drawing.into())])
}

/// Looks at a page in windows of three widths.
fn looks_at(page: &Path) -> Result<()> {
    let browser = browser().context("no browser")?;
    let folder = tempfile::tempdir()?;
    let asked = folder.path().join("asked.html");
    fs::write(&asked, fs::read_to_string(page).unwrap() + ASKED).unwrap();
    for width in [500, 800, 1400] {
        let mut command = Command::new(browser);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]);
        command.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
        command.arg(format!("--window-size={width},900")).arg(format!("file://{}", asked.display()));
        let output = command.output().unwrap();
        let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!told.contains(":CONSOLE"), "{told}");
        let answer = said.split("ANSWER ").nth(1).and_then(|rest| rest.split(" END").next());
        let answer = answer.unwrap_or_else(|| panic!("no answer in {said}\n{told}")).replace("&amp;", "&");
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["wide"], false, "{width}: {answer}");
        assert_eq!(answer["cut"], 0, "{width}: {answer}");
        assert_eq!(answer["missing"], 0, "{answer}");
        assert!(answer["lost"].as_array().unwrap().is_empty() && answer["outside"].as_array().unwrap().is_empty(), "{answer}");
        assert!(answer["pictures"].as_u64().unwrap() >= 3, "{answer}");
        assert_ne!(answer["before"], answer["after"], "a table is sorted by the heading that is chosen: {answer}");
    }
    Ok(())
}
