//! `page`: a report in Markdown and its pictures as one HTML page.

use crate::draw::escape;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// A picture beside a report: its name in the report, and its content.
pub type File = (String, Vec<u8>);

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The heading of the part that is folded away until it is asked for.
const FOLDED: &str = "Provenance";

/// A page with that title of a report in Markdown. Pictures that the report names, SVG or PNG, are put into it; others are left out. The part
/// with the heading `Provenance` is folded. Raw HTML in the Markdown is shown as text.
pub fn page(title: &str, markdown: &str, files: &[File]) -> String {
    let events: Vec<Event> = Parser::new_ext(markdown, Options::ENABLE_TABLES).collect();
    let headings = headings(&events);
    let mut body = String::new();
    html::push_html(&mut body, Pages { files, headings: headings.iter(), folded: false }.of(events).into_iter());
    let contents: String = match headings.len() {
        0..=2 => String::new(),
        _ => headings.iter().map(|(id, name)| format!("<a href=\"#{id}\">{}</a>\n", escape(name))).collect(),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\">\n<link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<nav>\n{contents}</nav>\n<main>\n{body}</main>\n\
         <script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escape(title)
    )
}

/// The identifier and text of every heading of the second level.
fn headings(events: &[Event<'_>]) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut name: Option<String> = None;
    for event in events {
        match (event, &mut name) {
            (Event::Start(Tag::Heading { level: HeadingLevel::H2, .. }), _) => name = Some(String::new()),
            (Event::End(TagEnd::Heading(HeadingLevel::H2)), Some(text)) => {
                found.push((format!("part-{}", found.len() + 1), std::mem::take(text)));
                name = None;
            }
            (Event::Text(part) | Event::Code(part), Some(text)) => text.push_str(part),
            _ => {}
        }
    }
    found
}

/// What becomes of the events of a report.
struct Pages<'a> {
    files: &'a [File],
    headings: std::slice::Iter<'a, (String, String)>,
    /// Whether a part is open that is folded.
    folded: bool,
}

impl Pages<'_> {
    fn of<'e>(mut self, events: Vec<Event<'e>>) -> Vec<Event<'e>> {
        let raw = |text: String| Event::Html(CowStr::from(text));
        let (mut out, mut skipped) = (Vec::new(), None);
        for event in events {
            // the words under a picture are in it already
            if let Some(end) = skipped {
                if event == Event::End(end) {
                    skipped = None;
                }
                continue;
            }
            match event {
                Event::Start(Tag::Heading { level: HeadingLevel::H2, .. }) => {
                    if std::mem::take(&mut self.folded) {
                        out.push(raw("</details>\n".to_string()));
                    }
                    let Some((id, name)) = self.headings.next() else { continue };
                    self.folded = name == FOLDED;
                    let (open, close) = if self.folded { ("<details><summary>", "</summary>") } else { ("", "") };
                    out.push(raw(format!("{open}<h2 id=\"{id}\">{}</h2>{close}\n", escape(name))));
                    skipped = Some(TagEnd::Heading(HeadingLevel::H2));
                }
                Event::Start(Tag::Table(columns)) => {
                    out.push(raw("<div class=\"wide\">".to_string()));
                    out.push(Event::Start(Tag::Table(columns)));
                }
                Event::End(TagEnd::Table) => {
                    out.push(Event::End(TagEnd::Table));
                    out.push(raw("</div>\n".to_string()));
                }
                Event::Start(Tag::Image { dest_url, .. }) => {
                    let content = self.files.iter().find(|(name, _)| **name == *dest_url).map(|(_, content)| content);
                    out.push(raw(content.map_or(String::new(), |content| picture(&dest_url, content))));
                    if content.is_some_and(|_| dest_url.ends_with(".svg")) {
                        skipped = Some(TagEnd::Image);
                    }
                }
                // the words under a photograph stay
                Event::End(TagEnd::Image) => {}
                Event::Html(text) | Event::InlineHtml(text) => out.push(Event::Text(text)),
                other => out.push(other),
            }
        }
        if self.folded {
            out.push(raw("</details>\n".to_string()));
        }
        out
    }
}

/// A picture as HTML.
fn picture(name: &str, content: &[u8]) -> String {
    match name.ends_with(".svg") {
        true => format!("<span class=\"wide drawing\">{}</span>", String::from_utf8_lossy(content)),
        false => format!("<img src=\"data:image/png;base64,{}\" alt=\"\">", BASE64_STANDARD.encode(content)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_becomes_a_page_that_needs_nothing_else() {
        let markdown = "# A & B\n\ntext\n\n## First\n\n| a | b |\n| - | -: |\n| x | 1 |\n\n![says](d.svg)\n\n![a dog](p.png)\n\n![gone](none.svg)\n\n## Second\n\n<b>x</b>\n\n## Provenance\n\n- one\n";
        let files = [("d.svg".to_string(), b"<svg></svg>".to_vec()), ("p.png".to_string(), vec![1, 2, 3])];
        let html = page("A & B", markdown, &files);
        for part in [
            "<title>A &amp; B</title>",
            "<h1>A &amp; B</h1>",
            "<a href=\"#part-3\">Provenance</a>",
            "<h2 id=\"part-1\">First</h2>",
            "<div class=\"wide\"><table>",
            "<span class=\"wide drawing\"><svg></svg></span>",
            "<img src=\"data:image/png;base64,AQID\" alt=\"\">a dog",
            "&lt;b&gt;x&lt;/b&gt;",
            "<details><summary><h2 id=\"part-3\">Provenance</h2></summary>",
        ] {
            assert!(html.contains(part), "{part:?} is missing in\n{html}");
        }
        assert_eq!((html.matches("<details>").count(), html.matches("</details>").count()), (1, 1));
        assert!(!html.contains("http") && !html.contains("says"), "{html}");
        // every link leads somewhere in the page
        for link in html.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(html.contains(&format!("id=\"{link}\"")), "{link}");
        }
    }
}
