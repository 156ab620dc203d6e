//! The frame of the page: its head, its most important numbers, and the sections in their order.

use std::io::{self, Write};

use crate::diagnose::finding::Severity;
use crate::diagnose::tally::sum;
use crate::model::rfc::Way;
use crate::model::state::State;
use crate::model::timeline::index;
use crate::render::html::markup::Markup;
use crate::render::html::{
    TEXT, View, ends, findings, grouped, listeners, machine, name, settings, shortened, time,
    totals, who,
};
use crate::render::time::duration;

const CSS: &str = include_str!("page.css");
/// Nothing but the styles of the page itself: no script, no picture, no request.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

type Section = fn(&mut Markup, &View) -> io::Result<()>;

/// Writes the page.
pub fn write(out: &mut dyn Write, view: &View) -> io::Result<()> {
    out.write_all(b"<!DOCTYPE html>\n")?;
    let mut m = Markup::new(out);
    let space = "http://www.w3.org/1999/xhtml";
    m.element("html", &[("xmlns", &space), ("lang", &view.w.tag)], |m| {
        m.element("head", &[], |m| head(m, view))?;
        m.element("body", &[], |m| body(m, view))
    })
}

fn head(m: &mut Markup, view: &View) -> io::Result<()> {
    m.void("meta", &[("charset", &"utf-8")])?;
    let policy = "Content-Security-Policy";
    m.void("meta", &[("http-equiv", &policy), ("content", &POLICY)])?;
    let generator = concat!("diagnose-tools ", env!("CARGO_PKG_VERSION"));
    for (name, content) in [
        ("viewport", "width=device-width, initial-scale=1"),
        ("color-scheme", "light dark"),
        ("referrer", "no-referrer"),
        ("generator", generator),
    ] {
        m.void("meta", &[("name", &name), ("content", &content)])?;
    }
    m.leaf("title", &[], format!("{} - {}", view.w.title, moment(view)))?;
    m.style(CSS)
}

/// The local time of the data, without its milliseconds.
fn moment(view: &View) -> String {
    let mut text = view.style.clock.local(view.page.summary.stats.now_ns);
    text.truncate(19);
    text
}

fn body(m: &mut Markup, view: &View) -> io::Result<()> {
    let (l, w) = (view.l, view.w);
    let sections: [(&str, &str, Section); 8] = [
        ("findings", w.findings, findings::write),
        ("machine", w.machine, machine::write),
        ("time", w.over_time, time::write),
        ("ends", w.ends, ends::write),
        ("listeners", l.listeners, listeners::write),
        ("who", w.who, who::write),
        ("totals", w.totals, totals::write),
        ("settings", l.settings, settings::write),
    ];
    m.element("header", &[], |m| header(m, view))?;
    m.element("nav", &[("aria-label", &w.contents)], |m| {
        m.element("ul", &[], |m| {
            sections.iter().try_for_each(|(id, title, _)| {
                let to = format!("#{id}");
                m.element("li", &[], |m| m.leaf("a", &[("href", &to)], title))
            })
        })
    })?;
    m.element("main", &[], |m| {
        sections
            .iter()
            .try_for_each(|(id, title, write)| section(m, view, (id, title), *write))
    })?;
    m.element("footer", &[], |m| {
        let version = concat!("diagnose-tools ", env!("CARGO_PKG_VERSION"));
        let text = format!(
            "{} {version}: tcpstates --html. {}",
            w.written_by, w.times_note
        );
        m.leaf("p", &[], text)
    })
}

fn section(
    m: &mut Markup,
    view: &View,
    (id, title): (&str, &str),
    write: Section,
) -> io::Result<()> {
    let heading = format!("{id}-h");
    m.element(
        "section",
        &[("id", &id), ("aria-labelledby", &heading)],
        |m| {
            m.leaf("h2", &[("id", &heading)], title)?;
            write(m, view)
        },
    )
}

fn header(m: &mut Markup, view: &View) -> io::Result<()> {
    let (l, w, page) = (view.l, view.w, view.page);
    m.leaf("h1", &[], w.title)?;
    let stats = &page.summary.stats;
    let mut since = view.style.clock.local(stats.activated_ns);
    since.truncate(19);
    let source = match &page.source {
        Some(file) => format!("{} {}", w.capture, name(file)),
        None => w.this_host.to_owned(),
    };
    let active = duration(stats.active_ns());
    let text = format!(
        "{} {}, {}; {} {since} ({active})",
        w.as_of,
        moment(view),
        source,
        l.active_since
    );
    m.leaf("p", &[("class", &"lead")], text)?;
    if !page.filter.is_empty() {
        let filter = shortened(&page.filter, TEXT);
        m.element("p", &[("class", &"filter")], |m| {
            m.leaf("b", &[], format!("{}: ", w.filter))?;
            m.leaf("code", &[], filter)?;
            m.text(format!(" {}", w.filtered_totals))
        })?;
    }
    cards(m, view)
}

/// The most important numbers.
fn cards(m: &mut Markup, view: &View) -> io::Result<()> {
    let (l, w, page) = (view.l, view.w, view.page);
    let listening = index(State::LISTEN).map_or(0, |at| page.live[at]);
    let live = sum(page.live.iter().copied()).saturating_sub(listening);
    let found = page.diagnosis.counts();
    let ended = page.summary.lives.ended.iter();
    let ended = sum(ended.flat_map(|e| e.ends.iter().map(|(_, count)| *count)));
    let stats = &page.summary.stats;
    let lost = [
        page.summary.overwritten,
        stats.kprobe_missed,
        stats.ringless,
        stats.stale,
    ];
    let counted = page.summary.transition_counts.iter();
    let forbidden = counted.filter(|t| Way::of(t.old, t.new) == Way::Forbidden);
    let forbidden = sum(forbidden.map(|t| t.count));
    let worst = page.diagnosis.findings.first().map(|f| f.severity);
    let all = [
        (w.findings, found.all(), severity_class(worst)),
        (w.live_now, live, ""),
        (
            l.listeners,
            page.listeners.len() as u64 + page.more_listeners,
            "",
        ),
        (w.ended, ended, ""),
        (
            w.forbidden_count,
            forbidden,
            if forbidden > 0 { "critical" } else { "" },
        ),
        (w.events_read, page.events, ""),
        (
            l.lost,
            sum(lost),
            if sum(lost) > 0 { "warning" } else { "" },
        ),
    ];
    m.element("dl", &[("class", &"cards")], |m| {
        all.iter().try_for_each(|(label, count, class)| {
            m.element(
                "div",
                &[("class", &format!("card {class}").trim_end())],
                |m| {
                    m.leaf("dt", &[], label)?;
                    m.leaf("dd", &[], grouped(*count))
                },
            )
        })
    })
}

/// The class of the worst finding.
fn severity_class(worst: Option<Severity>) -> &'static str {
    worst.map_or("", Severity::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The colours of a block of the style sheet, by name.
    fn colors(block: &str) -> Vec<(&str, [u8; 3])> {
        let color = |text: &str| {
            let number = u32::from_str_radix(text, 16).unwrap();
            let [_, red, green, blue] = number.to_be_bytes();
            [red, green, blue]
        };
        let declared = block.split("--").skip(1).filter_map(|text| {
            let (name, value) = text.split_once(": #")?;
            Some((name, color(value.get(..6)?)))
        });
        declared.collect()
    }

    /// The contrast ratio of WCAG 2.
    fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
        let linear = |byte: u8| {
            let part = f64::from(byte) / 255.0;
            match part <= 0.040_45 {
                true => part / 12.92,
                false => ((part + 0.055) / 1.055).powf(2.4),
            }
        };
        let light = |color: [u8; 3]| {
            let [red, green, blue] = color.map(linear);
            0.2126 * red + 0.7152 * green + 0.0722 * blue
        };
        let [a, b] = [a, b].map(light);
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_text_can_be_read() {
        let blocks: Vec<_> = CSS.split(":root {").skip(1).collect();
        assert_eq!(blocks.len(), 3, "light, dark, and paper");
        for block in blocks {
            let all = colors(block.split('}').next().unwrap());
            let color = |name: &str| all.iter().find(|(known, _)| *known == name).unwrap().1;
            let on_page = [
                "ink",
                "muted",
                "opening",
                "closing",
                "failure",
                "forbidden",
                "good",
            ];
            let mut pairs: Vec<_> = on_page.map(|text| (text, "bg")).into();
            for shade in [
                "shade1", "shade2", "shade3", "shade4", "shade5", "bar", "card",
            ] {
                pairs.push(("ink", shade));
            }
            for kind in ["critical-bg", "warning-bg", "info-bg"] {
                pairs.push(("ink", kind));
                pairs.push((kind.trim_end_matches("-bg"), kind));
            }
            pairs.extend([("muted", "card"), ("critical", "bg")]);
            for (text, ground) in pairs {
                let ratio = contrast(color(text), color(ground));
                assert!(ratio >= 4.5, "{text} on {ground}: {ratio:.2}");
            }
        }
    }

    #[test]
    fn the_style_sheet_needs_nothing_else_and_is_xml() {
        for needless in ["url(", "@import", "http", "<", "&"] {
            assert!(!CSS.contains(needless), "{needless}");
        }
    }
}
