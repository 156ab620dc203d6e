//! The findings of a diagnosis, with their remedies.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::Style;

use crate::diagnose::Diagnosis;
use crate::fmt::escape::printable;
use crate::render::findings::{paragraph, wrap};
use crate::render::style::Style as Plain;
use crate::render::tui::view::{FindingLine, Findings, View};
use crate::render::tui::{middle, put};

/// The lines of a diagnosis, as `--diagnose` prints them, in `width` columns.
pub fn lines(style: &Plain, diagnosis: &Diagnosis, width: u16) -> Vec<FindingLine> {
    let style = Plain {
        color: false,
        width: Some(usize::from(width.saturating_sub(1))),
        ..style.clone()
    };
    let mut lines = Vec::new();
    for finding in &diagnosis.findings {
        let mut text = Vec::new();
        // Writing to a vector cannot fail.
        let _ = paragraph(&mut text, &style, finding);
        let text = String::from_utf8_lossy(&text);
        for (at, line) in text.lines().enumerate() {
            let severity = (at == 0).then_some(finding.severity);
            push(&mut lines, line, severity, style.width.unwrap_or(0));
        }
        push(&mut lines, "", None, 0);
    }
    for (netns, reason) in &diagnosis.unreadable {
        let l = style.labels;
        let text = format!(
            "{} {netns}: {}: {}",
            l.namespace,
            l.unreadable,
            printable(reason.of(l.lang))
        );
        push(&mut lines, &text, None, style.width.unwrap_or(0));
    }
    lines
}

/// Adds a line; the first line of a finding is wrapped, the others already are.
fn push(
    lines: &mut Vec<FindingLine>,
    text: &str,
    severity: Option<crate::diagnose::finding::Severity>,
    width: usize,
) {
    let wrapped = match severity {
        Some(_) => wrap(text, width.max(1)),
        None => vec![text.to_owned()],
    };
    for text in wrapped {
        lines.push(FindingLine { severity, text });
    }
}

/// Draws the screen.
pub fn draw(buffer: &mut Buffer, area: Rect, view: &View, found: &Findings) {
    let (t, theme) = (view.texts, view.theme);
    let title = Rect { height: 1, ..area };
    if !found.at.is_empty() {
        let mut text = format!("{} {}", t.diagnosing, found.at);
        if found.repeats {
            text += &format!(", {}", t.looked_ago);
        }
        put(buffer, title, area.x + 1, &text, theme.dim());
    }
    if let Some(error) = &found.error {
        let lines = wrap(error, usize::from(area.width.saturating_sub(4)).max(1));
        let lines: Vec<_> = lines
            .iter()
            .map(|line| (line.as_str(), theme.bad()))
            .collect();
        return middle(buffer, area, &lines);
    }
    if found.rows.is_empty() && !found.at.is_empty() {
        return middle(buffer, area, &[(t.no_findings, theme.good())]);
    }
    for (at, line) in found.rows.iter().enumerate() {
        let y = area.y + 1 + u16::try_from(at).unwrap_or(u16::MAX - 1 - area.y);
        if y < area.bottom() {
            let row = Rect {
                y,
                height: 1,
                ..area
            };
            draw_line(buffer, row, view, line);
        }
    }
}

fn draw_line(buffer: &mut Buffer, row: Rect, view: &View, line: &FindingLine) {
    match line.severity {
        Some(severity) => {
            let style = view.theme.severity(severity);
            put(buffer, row, row.x + 1, &line.text, style);
        }
        None => {
            put(buffer, row, row.x + 1, &line.text, Style::new());
        }
    }
}
