//! Plots of the results.

use std::error::Error;

use plotters::prelude::*;

use crate::results::Results;
use crate::table::CASES;

const OURS: RGBColor = RGBColor(0, 114, 178);
const OTHERS: RGBColor = RGBColor(160, 160, 160);
const FONT: &str = "sans-serif";

type Drawn = Result<(), Box<dyn Error>>;

/// Whether it is a case of this tool.
fn is_ours(case: &str) -> bool {
    ["main_hook", "all", "kprobe", "drained"].contains(&case)
}

fn svg(
    size: (u32, u32),
    draw: impl FnOnce(&DrawingArea<SVGBackend, plotters::coord::Shift>) -> Drawn,
) -> String {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        let drawn = area
            .fill(&WHITE)
            .map_err(Into::into)
            .and_then(|()| draw(&area));
        drawn.expect("a picture in memory");
        area.present().expect("a picture in memory");
    }
    text
}

/// Instructions that each recorder adds to a connection, on a logarithmic scale.
pub fn cost(results: &Results) -> Option<String> {
    let mut bars: Vec<(&str, &str, f64)> = CASES
        .iter()
        .filter_map(|&(case, label)| {
            let over = results.get("recording", case, "over_idle")?;
            Some((case, label, over))
        })
        .collect();
    bars.sort_by(|a, b| b.2.total_cmp(&a.2));
    let most = bars.first()?.2;
    Some(svg((860, 60 + 34 * bars.len() as u32), |area| {
        let rows = 0..bars.len() as i32 - 1;
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .margin_right(70)
            .caption("Instructions added to a connection", (FONT, 18))
            .x_label_area_size(24)
            .y_label_area_size(330)
            .build_cartesian_2d((100.0..most * 1.2).log_scale(), rows.into_segmented())?;
        let label = |row: &SegmentValue<i32>| match row {
            SegmentValue::CenterOf(row) => bars
                .get(*row as usize)
                .map_or_else(String::new, |bar| bar.1.replace(['*', '`'], "")),
            _ => String::new(),
        };
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_labels(bars.len())
            .y_label_formatter(&label)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .label_style((FONT, 13))
            .draw()?;
        for (row, (case, _, over)) in bars.iter().enumerate() {
            let row = row as i32;
            let colour = if is_ours(case) { OURS } else { OTHERS };
            let corners = [
                (100.0, SegmentValue::Exact(row)),
                (over.max(101.0), SegmentValue::Exact(row + 1)),
            ];
            let mut bar = Rectangle::new(corners, colour.filled());
            bar.set_margin(4, 4, 0, 0);
            chart.draw_series([bar])?;
            let at = (over.max(101.0) * 1.05, SegmentValue::CenterOf(row));
            let style = (FONT, 13).into_font();
            let text = Text::new(format!("{over:.0}"), at, style);
            chart.draw_series([text])?;
        }
        Ok(())
    }))
}

/// Instructions per transition against live connections.
pub fn growth(results: &Results) -> Option<String> {
    let points: Vec<(f64, f64)> = [1_000u32, 10_000, 100_000, 1_000_000]
        .iter()
        .filter_map(|live| {
            let value = results.get("growth", &format!("live_{live}"), "per_transition")?;
            Some((f64::from(*live), value))
        })
        .collect();
    let most = points.iter().map(|p| p.1).reduce(f64::max)?;
    Some(svg((860, 320), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(14)
            .margin_right(30)
            .caption(
                "Instructions added to a transition, by live connections",
                (FONT, 18),
            )
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d((1e3..1e6).log_scale(), 0.0..most * 1.3)?;
        chart
            .configure_mesh()
            .x_desc("live connections")
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y:.0}"))
            .label_style((FONT, 13))
            .draw()?;
        chart.draw_series(LineSeries::new(
            points.iter().copied(),
            OURS.stroke_width(2),
        ))?;
        chart.draw_series(points.iter().map(|&(x, y)| {
            EmptyElement::at((x, y))
                + Circle::new((0, 0), 4, OURS.filled())
                + Text::new(format!("{y:.0}"), (-10, -18), (FONT, 13).into_font())
        }))?;
        Ok(())
    }))
}
