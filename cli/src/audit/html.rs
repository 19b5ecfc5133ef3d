//! The page: one file, no script, nothing from elsewhere, and nothing that it quotes is more than text.

use std::fmt::Write as _;

use base64::Engine;
use jisr_certs::digest::sha256;
use jisr_ledger::report::Report;

use super::chart::{self, Bars};
use super::count::{By, Counts, ranked};
use super::report::{Found, Page};
use super::words::{ARABIC, ENGLISH, Words, outcome_in_arabic, verdict_in_arabic};
use crate::{instant, output};

/// Rows of a table of counts.
const ROWS_MAX: usize = 20;

const STYLE: &str = "\
body{font:16px/1.5 system-ui,'Segoe UI',Tahoma,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;color:#1a1a1a;background:#fff}\
article+article{border-top:3px double #767676;margin-top:3rem}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}\
table{border-collapse:collapse;width:100%}caption{text-align:start;font-weight:600;padding:.3rem 0}\
th,td{border-bottom:1px solid #d0d0d0;padding:.25rem .5rem;text-align:start;vertical-align:top;overflow-wrap:anywhere}\
td.n,th.n{text-align:end;white-space:nowrap}dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}dd{margin:0;overflow-wrap:anywhere}\
.VALID{color:#0b5d1e}.INVALID{color:#a00000}.INDETERMINATE{color:#7a4b00}.word{font-weight:700}\
svg{width:100%;height:auto;font-size:12px}.axis{stroke:#555}text{fill:#333}\
.g0{fill:#2b6cb0}.g1{fill:#dd8800}.g2{fill:#a00000}.g3{fill:#6b3fa0}.g4{fill:#8a8a8a}\
ul.key{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem}ul.key svg{width:12px;height:12px}\
.split{display:grid;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:0 2rem}small{color:#555}";

/// The page, Arabic first. The same input gives the same bytes.
pub(super) fn render(page: &Page) -> String {
    // Only this very style applies: neither a script nor another style can be smuggled in by what is quoted.
    let style = base64::engine::general_purpose::STANDARD.encode(sha256(&[STYLE.as_bytes()]));
    let bars = page.timeline.bars();
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"ar\" dir=\"rtl\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{style}'; \
         base-uri 'none'; form-action 'none'\">\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<title>{} · {} · {}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        ARABIC.title,
        ENGLISH.title,
        escape(&page.origin),
    );
    for words in [&ARABIC, &ENGLISH] {
        article(&mut html, page, &bars, words);
    }
    html.push_str("</body>\n</html>\n");
    html
}

fn article(html: &mut String, page: &Page, bars: &Bars, words: &Words) {
    put(
        html,
        format_args!(
            "<article lang=\"{}\" dir=\"{}\">\n<h1>{}</h1>\n",
            words.lang, words.dir, words.title
        ),
    );
    summary(html, page, words);
    verdict(html, page, words);
    timeline(html, bars, words);
    put(html, format_args!("<div class=\"split\">\n"));
    for (caption, counts) in [
        (words.peers, &page.peers),
        (words.outcomes, &page.outcomes),
        (words.purposes, &page.purposes),
        (words.methods, &page.methods),
        (words.rules, &page.rules),
        (words.acts, &page.acts),
    ] {
        table(html, caption, counts, words);
    }
    put(html, format_args!("</div>\n"));
    findings(html, page, words);
    put(
        html,
        format_args!("<p><small>{}</small></p>\n</article>\n", words.limits),
    );
}

fn summary(html: &mut String, page: &Page, words: &Words) {
    let head = page.verdict.as_ref().and_then(|report| report.head.as_ref());
    put(html, format_args!("<dl>\n"));
    term(html, words.ledger, &page.origin);
    if let Some(head) = head {
        term(html, words.entries, &head.size.to_string());
        term(html, words.root, &head.root);
    }
    let exchanges = format!(
        "{} ({} {} · {} {})",
        page.total,
        page.asked,
        words.asked,
        page.total - page.asked,
        words.answered_for
    );
    put(html, format_args!("<dt>{}</dt><dd>{exchanges}</dd>\n", words.exchanges));
    for (name, at) in [(words.from, page.first_us), (words.until, page.last_us)] {
        if let Some(at) = at {
            term(html, name, &instant::show(at));
        }
    }
    put(html, format_args!("</dl>\n"));
}

fn verdict(html: &mut String, page: &Page, words: &Words) {
    put(html, format_args!("<h2>{}</h2>\n", words.verdict));
    match &page.verdict {
        None => put(html, format_args!("<p>{}</p>\n", words.not_verified)),
        Some(report) => checks(html, report, words),
    }
    if let Some(why) = &page.broken {
        put(
            html,
            format_args!("<p class=\"INVALID\">{} {}</p>\n", words.broken, quoted(why)),
        );
    }
}

fn checks(html: &mut String, report: &Report, words: &Words) {
    let word = |verdict: jisr_ledger::report::Verdict| match words.lang {
        "ar" => format!("{} ({verdict})", verdict_in_arabic(verdict)),
        _ => verdict.to_string(),
    };
    let overall = report.verdict;
    put(
        html,
        format_args!(
            "<p><span class=\"word {overall}\">{}</span> {}</p>\n<table>\n<thead><tr><th scope=\"col\">{}</th><th scope=\"col\">{}</th>\
             <th scope=\"col\">{}</th></tr></thead>\n<tbody>\n",
            word(overall),
            quoted(&report.reason),
            words.check,
            words.verdict,
            words.found
        ),
    );
    for check in &report.checks {
        put(
            html,
            format_args!(
                "<tr><th scope=\"row\">{}</th><td class=\"{}\">{}</td><td>{}</td></tr>\n",
                quoted(check.id),
                check.verdict,
                word(check.verdict),
                quoted(&check.text)
            ),
        );
    }
    put(html, format_args!("</tbody>\n</table>\n"));
}

fn timeline(html: &mut String, bars: &Bars, words: &Words) {
    let per = words.per.get(bars.unit).copied().unwrap_or_default();
    put(
        html,
        format_args!(
            "<h2>{} {per}</h2>\n<figure>\n{}\n<ul class=\"key\">",
            words.timeline,
            chart::svg(bars, words)
        ),
    );
    for (group, name) in words.groups.iter().enumerate() {
        put(
            html,
            format_args!(
                "<li><svg viewBox=\"0 0 12 12\" aria-hidden=\"true\"><rect class=\"g{group}\" width=\"12\" height=\"12\"/></svg> {name}</li>"
            ),
        );
    }
    put(
        html,
        format_args!(
            "</ul>\n</figure>\n<details>\n<summary>{} {per}</summary>\n<table>\n<thead><tr><th scope=\"col\">{}</th>",
            words.timeline, words.time
        ),
    );
    for name in words.groups {
        put(html, format_args!("<th scope=\"col\" class=\"n\">{name}</th>"));
    }
    put(html, format_args!("</tr></thead>\n<tbody>\n"));
    for (label, bar) in bars.bars.iter().filter(|(_, bar)| bar.iter().any(|count| *count > 0)) {
        put(html, format_args!("<tr><th scope=\"row\">{}</th>", quoted(label)));
        for count in bar {
            put(html, format_args!("<td class=\"n\">{count}</td>"));
        }
        put(html, format_args!("</tr>\n"));
    }
    put(html, format_args!("</tbody>\n</table>\n"));
    if bars.has_gaps {
        put(html, format_args!("<p><small>{}</small></p>\n", words.gaps));
    }
    put(html, format_args!("</details>\n"));
}

fn table(html: &mut String, caption: &str, counts: &Counts, words: &Words) {
    if counts.is_empty() {
        return;
    }
    put(
        html,
        format_args!(
            "<table>\n<caption>{caption}</caption>\n<thead><tr><th scope=\"col\">{caption}</th><th scope=\"col\" class=\"n\">{}</th></tr></thead>\n<tbody>\n",
            words.count
        ),
    );
    let rows = ranked(counts, By::Outcome);
    for (value, count) in rows.iter().take(ROWS_MAX) {
        let arabic = outcome_in_arabic(value).filter(|_| words.lang == "ar");
        let name = match arabic {
            Some(arabic) => format!("{arabic} ({})", quoted(value)),
            None => quoted(value),
        };
        put(
            html,
            format_args!("<tr><th scope=\"row\">{name}</th><td class=\"n\">{count}</td></tr>\n"),
        );
    }
    let rest: u64 = rows.iter().skip(ROWS_MAX).map(|(_, count)| count).sum();
    if rest > 0 {
        let kinds = rows.len() - ROWS_MAX;
        put(
            html,
            format_args!(
                "<tr><th scope=\"row\">{kinds} {}</th><td class=\"n\">{rest}</td></tr>\n",
                words.others
            ),
        );
    }
    put(html, format_args!("</tbody>\n</table>\n"));
}

fn findings(html: &mut String, page: &Page, words: &Words) {
    put(html, format_args!("<h2>{}</h2>\n", words.findings));
    if page.findings.is_empty() {
        put(html, format_args!("<p>{}</p>\n", words.no_findings));
        return;
    }
    put(
        html,
        format_args!(
            "<table>\n<thead><tr><th scope=\"col\">{}</th><th scope=\"col\">{}</th><th scope=\"col\">{}</th><th scope=\"col\">{}</th></tr></thead>\n<tbody>\n",
            words.time, words.entry, words.about, words.found
        ),
    );
    for found in &page.findings {
        finding(html, found, words);
    }
    put(html, format_args!("</tbody>\n</table>\n"));
    let rest = page.findings_count - page.findings.len() as u64;
    if rest > 0 {
        put(html, format_args!("<p>{rest} {}</p>\n", words.more));
    }
}

fn finding(html: &mut String, found: &Found, words: &Words) {
    put(
        html,
        format_args!(
            "<tr><td>{}</td><td class=\"n\">{}</td><td>{}</td><td><strong>{}</strong> {}",
            quoted(&instant::show(found.at_us)),
            found.entry,
            quoted(&found.origin),
            quoted(found.kind),
            quoted(&found.text)
        ),
    );
    if !found.reported_by.is_empty() {
        put(
            html,
            format_args!(" ({} {})", words.reported_by, quoted(&found.reported_by)),
        );
    }
    if found.count > 0 {
        put(html, format_args!("<br>{}: {}", words.exchanges, found.count));
    }
    for id in found.exchanges.iter().take(ROWS_MAX) {
        put(html, format_args!("<br>{}", quoted(id)));
    }
    put(html, format_args!("</td></tr>\n"));
}

fn term(html: &mut String, name: &str, value: &str) {
    put(html, format_args!("<dt>{name}</dt><dd>{}</dd>\n", quoted(value)));
}

/// Writing to a string cannot fail.
fn put(html: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = html.write_fmt(text);
}

/// Text from elsewhere, set apart from the direction of the text around it.
fn quoted(text: &str) -> String {
    format!("<bdi>{}</bdi>", escape(text))
}

/// Text as it may stand between tags and in attributes in quotes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in output::printable(text).chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::tests::exchange;
    use jisr_ledger::archive::Row;

    const HOSTILE: &str = "\"><script>alert(1)</script><img src=x onerror=alert(1)>' & </table><!--";

    fn page() -> Page {
        let mut page = Page {
            origin: HOSTILE.to_owned(),
            broken: Some(HOSTILE.to_owned()),
            ..Page::default()
        };
        let mut hostile = exchange(HOSTILE);
        hostile.peer = HOSTILE.into();
        hostile.method = HOSTILE.into();
        hostile.rule = HOSTILE.into();
        page.take(Row::Exchange(Box::new(hostile)));
        page.findings_count = 2;
        page.findings.push(Found {
            at_us: 1,
            entry: 1,
            kind: "LEDGER_FORKED",
            origin: HOSTILE.into(),
            text: HOSTILE.into(),
            reported_by: HOSTILE.into(),
            exchanges: vec![HOSTILE.into()],
            count: 3,
        });
        page
    }

    #[test]
    fn what_is_quoted_stays_text() {
        let html = render(&page());
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        for tag in [
            "<script",
            "<img",
            "<!--",
            "<link",
            "<iframe",
            "javascript:",
            "http://",
            "https://",
            "@import",
            "url(",
        ] {
            assert!(!html.contains(tag), "{tag}");
        }
        // Tags open and close: nothing that is quoted changes the structure.
        for tag in ["table", "tr", "td", "article", "details", "div", "bdi", "dl", "figure"] {
            let (open, close) = (format!("<{tag}"), format!("</{tag}>"));
            let opened = html.matches(&format!("{open}>")).count() + html.matches(&format!("{open} ")).count();
            assert_eq!(opened, html.matches(&close).count(), "{tag}");
        }
    }

    #[test]
    fn both_languages_stand_on_the_page_and_the_same_input_gives_the_same_bytes() {
        let html = render(&page());
        assert_eq!(html, render(&page()));
        assert!(
            html.contains("<article lang=\"ar\" dir=\"rtl\">") && html.contains("<article lang=\"en\" dir=\"ltr\">")
        );
        assert!(html.contains("Content-Security-Policy") && html.contains("<svg role=\"img\""));
        assert!(render(&Page::default()).contains(ENGLISH.not_verified));
    }
}
