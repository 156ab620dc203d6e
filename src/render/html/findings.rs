//! The findings: what is wrong, who does it, and what to do.

use std::io;

use crate::diagnose::finding::{Finding, Severity};
use crate::fmt::escape::printable;
use crate::render::findings::{peers, who};
use crate::render::html::markup::Markup;
use crate::render::html::{TEXT, View, grouped, shortened};
use crate::render::i18n::findings as words;

/// Most findings in the page: it is for people.
const MOST: usize = 50;

/// Writes the section.
pub fn write(m: &mut Markup, view: &View) -> io::Result<()> {
    let (l, diagnosis) = (view.l, &view.page.diagnosis);
    let found = &diagnosis.findings;
    found
        .iter()
        .take(MOST)
        .try_for_each(|finding| article(m, view, finding))?;
    if found.len() > MOST {
        m.leaf("p", &[], view.more((found.len() - MOST) as u64))?;
    }
    if found.is_empty() {
        m.leaf("p", &[("class", &"good")], l.nothing_found)?;
    }
    for (netns, reason) in diagnosis.unreadable.iter().take(MOST) {
        let reason = shortened(&printable(reason.of(l.lang)), TEXT);
        let text = format!("{} {netns}: {}: {reason}", l.namespace, l.unreadable);
        m.leaf("p", &[("class", &"note")], text)?;
    }
    let checked = format!(
        "{} {}, {} {}, {} {}",
        l.situations,
        diagnosis.checked.len(),
        l.connections,
        grouped(diagnosis.connections),
        l.listeners_counted,
        grouped(diagnosis.listeners)
    );
    m.leaf("p", &[("class", &"note")], checked)
}

fn article(m: &mut Markup, view: &View, finding: &Finding) -> io::Result<()> {
    let l = view.l;
    let label = match finding.severity {
        Severity::Critical => l.critical,
        Severity::Warning => l.warning,
        Severity::Info => l.info,
    };
    let class = format!("finding {}", finding.severity.name());
    let problem = shortened(&words::problem(l.lang, &finding.problem), TEXT);
    m.element("article", &[("class", &class)], |m| {
        m.element("h3", &[], |m| {
            m.leaf("span", &[("class", &"badge")], label)?;
            m.text(" ")?;
            m.leaf("code", &[], finding.rule)?;
            m.text(format!(" {problem}"))
        })?;
        m.element("dl", &[], |m| details(m, view, finding))
    })
}

fn details(m: &mut Markup, view: &View, finding: &Finding) -> io::Result<()> {
    let (l, subject) = (view.l, &finding.subject);
    let mut line = |label: &str, text: &str| {
        if text.is_empty() {
            return Ok(());
        }
        m.leaf("dt", &[], label)?;
        m.leaf("dd", &[], shortened(text, TEXT))
    };
    line(l.who, &who(l, subject))?;
    if subject.peer_count > 0 {
        line(l.others, &peers(l, subject))?;
    }
    let numbers: Vec<_> = finding
        .numbers
        .iter()
        .map(|(name, number)| format!("{name} {number}"))
        .collect();
    line(l.numbers, &numbers.join(", "))?;
    if finding.remedies.is_empty() {
        return Ok(());
    }
    m.leaf("dt", &[], l.remedies)?;
    m.element("dd", &[], |m| {
        m.element("ol", &[], |m| {
            finding.remedies.iter().try_for_each(|remedy| {
                let text = shortened(&words::remedy(l.lang, remedy), TEXT);
                m.leaf("li", &[], text)
            })
        })
    })
}
