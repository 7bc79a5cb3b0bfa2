//! Charts of a report: SVG inside the page, drawn by `plotters`, without a script.
//!
//! Colours are marks until a chart is drawn; then they become variables of the page's style sheet, so that one chart is legible in a dark and
//! in a light page, and on paper. Each chart carries a title and a description for who does not see it. It is as wide as a phone is, and grows.
//!
//! Not here: numbers (the sections), and the page around the charts (`page`).

use std::fmt::Display;

use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, IntoDrawingArea, RGBColor, Rectangle, SVGBackend, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, TextStyle};

use super::error::ReportError;
use super::{Report, alerts, coverage, inventory};

/// Width of every chart; the page scales it.
const WIDTH: i32 = 360;
/// Size of letters; the backend writes four fifths of it.
const SMALL: i32 = 14;
/// Most bars of a chart by day: more days share one.
const MAX_BARS: usize = 62;
/// Most bars of a chart by name.
const MAX_NAMES: usize = 10;
/// Longest name, characters.
const MAX_NAME: usize = 16;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A mark of a colour, and what the page calls it.
#[derive(Clone, Copy)]
struct Ink(u8, &'static str);

const TEXT: Ink = Ink(1, "currentColor");
const FAINT: Ink = Ink(2, "var(--muted)");
const LINE: Ink = Ink(3, "var(--line)");
const MAIN: Ink = Ink(4, "var(--main)");
const BAD: Ink = Ink(5, "var(--bad)");
const NOTE: Ink = Ink(6, "var(--note)");
const INKS: [Ink; 6] = [TEXT, FAINT, LINE, MAIN, BAD, NOTE];

impl Ink {
    const fn colour(self) -> RGBColor {
        RGBColor(1, 1, self.0)
    }
}

/// The charts of a report, by name.
///
/// # Errors
/// [`ReportError::Page`], a fault of the program.
pub(super) fn charts(report: &Report) -> Result<Vec<(&'static str, String)>, ReportError> {
    let drawn = [
        ("calls", calls(&report.inventory.days)),
        ("vendors", vendors(&report.inventory.vendors)),
        ("ages", ages(report)),
        ("alerts", alerts_by_day(&report.alerts.by_day)),
        ("alerts_by_vendor", alerts_by_vendor(&report.alerts.by_vendor)),
        ("coverage", coverage(&report.coverage.plot)),
    ];
    let checked = drawn.into_iter().map(|(name, chart)| match chart {
        Ok(svg) => Ok((name, svg)),
        Err(problem) => Err(ReportError::Page { what: "chart", problem: format!("{name}: {problem}") }),
    });
    checked.collect()
}

type Chart = Result<String, Box<dyn std::error::Error + Send + Sync>>;

/// Draws a chart.
fn chart(name: &str, height: i32, title: &str, description: &str, draw: impl FnOnce(&Area<'_>) -> Drawn) -> Chart {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH as u32, height.unsigned_abs())).into_drawing_area();
        draw(&area)?;
        area.present()?;
    }
    for ink in INKS {
        svg = svg.replace(&format!("\"#0101{:02X}\"", ink.0), &format!("\"{}\"", ink.1));
    }
    let described = format!(
        "<svg role=\"img\" aria-labelledby=\"{name}-title {name}-text\" viewBox=\"0 0 {WIDTH} {height}\" xmlns=\"http://www.w3.org/2000/svg\">\n\
         <title id=\"{name}-title\">{title}</title>\n<desc id=\"{name}-text\">{description}</desc>"
    );
    // The first tag is the backend's own, with a size that does not scale.
    let inside = svg.split_once('>').map_or("", |parts| parts.1);
    Ok(described + inside)
}

fn text(area: &Area<'_>, at: (i32, i32), text: impl Display, size: i32, ink: Ink, side: HPos) -> Drawn {
    let (font, colour) = (("sans-serif", size).into_font(), ink.colour());
    let style = TextStyle::from(font).color(&colour).pos(Pos::new(side, VPos::Center));
    Ok(area.draw(&Text::new(text.to_string(), at, style))?)
}

fn bar(area: &Area<'_>, from: (i32, i32), to: (i32, i32), ink: Ink, opacity: f64) -> Drawn {
    Ok(area.draw(&Rectangle::new([from, to], ink.colour().mix(opacity).filled()))?)
}

/// A colour and what it stands for, above a chart.
fn legend(area: &Area<'_>, entries: &[(Ink, &str)]) -> Drawn {
    let mut x = 4;
    for (ink, name) in entries {
        bar(area, (x, 5), (x + 10, 15), *ink, 1.0)?;
        text(area, (x + 16, 10), name, SMALL, TEXT, HPos::Left)?;
        x += 34 + 7 * i32::try_from(name.len()).unwrap_or(0);
    }
    Ok(())
}

/// Two numbers of each day as bars on one another, the first below.
fn by_day(name: &str, title: &str, days: &[(&str, i64, i64)], below: (Ink, &str), above: (Ink, &str)) -> Chart {
    const HEIGHT: i32 = 180;
    const LEFT: i32 = 46;
    const TOP: i32 = 28;
    const BOTTOM: i32 = HEIGHT - 24;
    let per_bar = days.len().div_ceil(MAX_BARS).max(1);
    let bars: Vec<(&str, i64, i64)> = days
        .chunks(per_bar)
        .map(|days| (days[0].0, days.iter().map(|day| day.1).sum(), days.iter().map(|day| day.2).sum()))
        .collect();
    let highest = bars.iter().map(|bar| bar.1 + bar.2).max().unwrap_or_default().max(1);
    let total = |of: fn(&(&str, i64, i64)) -> i64| bars.iter().map(of).sum::<i64>();
    let description = format!(
        "{} {} and {} {} from {} to {}; most {}: {highest}.",
        grouped(total(|bar| bar.1)),
        below.1,
        grouped(total(|bar| bar.2)),
        above.1,
        days.first().map_or("", |day| day.0),
        days.last().map_or("", |day| day.0),
        if per_bar == 1 { "in a day".to_owned() } else { format!("in {per_bar} days") }
    );
    chart(name, HEIGHT, title, &description, |area| {
        legend(area, &[below, above])?;
        let top = round_up(highest);
        let y = |value: i64| BOTTOM - i32::try_from(value * i64::from(BOTTOM - TOP) / top).unwrap_or(0);
        for share in [0, 1, 2] {
            let value = top * share / 2;
            if share == 1 && top < 2 {
                continue;
            }
            bar(area, (LEFT, y(value)), (WIDTH - 4, y(value) + 1), LINE, 1.0)?;
            text(area, (LEFT - 6, y(value)), short(value), SMALL, FAINT, HPos::Right)?;
        }
        let count = i32::try_from(bars.len()).unwrap_or(1).max(1);
        let x = |at: i32| LEFT + (WIDTH - 4 - LEFT) * at / count;
        for (at, (_, low, high)) in (0..).zip(&bars) {
            let (left, right) = (x(at) + 1, (x(at + 1) - 1).max(x(at) + 2));
            let middle = y(*low);
            if *low > 0 {
                bar(area, (left, middle.min(BOTTOM - 1)), (right, BOTTOM), below.0, 1.0)?;
            }
            if *high > 0 {
                bar(area, (left, y(low + high).min(middle - 2)), (right, middle), above.0, 1.0)?;
            }
        }
        if let Some(first) = bars.first() {
            text(area, (LEFT, HEIGHT - 10), first.0, SMALL, FAINT, HPos::Left)?;
        }
        if let Some(last) = bars.last().filter(|_| bars.len() > 1) {
            text(area, (WIDTH - 4, HEIGHT - 10), last.0, SMALL, FAINT, HPos::Right)?;
        }
        Ok(())
    })
}

fn calls(days: &[inventory::Day]) -> Chart {
    let days: Vec<_> = days.iter().map(|day| (day.day.as_str(), day.calls - day.failed, day.failed)).collect();
    by_day("calls", "Calls by day", &days, (MAIN, "answered"), (BAD, "failed"))
}

fn alerts_by_day(days: &[alerts::OfDay]) -> Chart {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let days: Vec<_> = days.iter().map(|day| (day.day.as_str(), number(day.pages), number(day.notices))).collect();
    by_day("alerts", "Incidents by day on which they were opened", &days, (BAD, "page"), (NOTE, "notices"))
}

/// A horizontal bar of one or two numbers for each name.
fn by_name(name: &str, title: &str, rows: &[(String, i64, i64)], inks: [(Ink, &str); 2], described: &str) -> Chart {
    const ROW: i32 = 22;
    const LEFT: i32 = 116;
    let is_stacked = !inks[1].1.is_empty();
    let top = if is_stacked { 26 } else { 4 };
    let height = top + ROW * i32::try_from(rows.len().max(1)).unwrap_or(1) + 4;
    let highest = rows.iter().map(|row| row.1 + row.2).max().unwrap_or_default().max(1);
    chart(name, height, title, described, |area| {
        if is_stacked {
            legend(area, &inks)?;
        }
        if rows.is_empty() {
            text(area, (4, top + ROW / 2), "none", SMALL, FAINT, HPos::Left)?;
        }
        for (at, (label, first, second)) in (0..).zip(rows) {
            let y = top + at * ROW;
            text(area, (LEFT - 8, y + ROW / 2), shortened(label), SMALL, TEXT, HPos::Right)?;
            let width = |value: i64| i32::try_from(value * i64::from(WIDTH - LEFT - 52) / highest).unwrap_or(0);
            let middle = LEFT + if *first > 0 { width(*first).max(2) } else { 0 };
            let end = middle + if *second > 0 { width(*second).max(2) } else { 0 };
            if middle > LEFT {
                bar(area, (LEFT, y + 3), (middle, y + ROW - 3), inks[0].0, 1.0)?;
            }
            if end > middle {
                bar(area, (middle, y + 3), (end, y + ROW - 3), inks[1].0, 1.0)?;
            }
            text(area, (end + 6, y + ROW / 2), short(first + second), SMALL, FAINT, HPos::Left)?;
        }
        Ok(())
    })
}

fn vendors(vendors: &[inventory::Vendor]) -> Chart {
    let called: Vec<_> = vendors.iter().filter(|vendor| vendor.calls > 0).collect();
    let shown = called.len().min(MAX_NAMES);
    let rows: Vec<_> = called[..shown].iter().map(|vendor| (vendor.vendor.clone(), vendor.calls, 0)).collect();
    let described = format!("The {shown} of {} vendors with most calls in the period.", called.len());
    by_name("vendors", "Calls by vendor", &rows, [(MAIN, "calls"), (BAD, "")], &described)
}

fn alerts_by_vendor(vendors: &[alerts::OfVendor]) -> Chart {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let shown = vendors.len().min(MAX_NAMES);
    let row = |one: &alerts::OfVendor| (one.vendor.clone(), number(one.pages), number(one.notices));
    let rows: Vec<_> = vendors[..shown].iter().map(row).collect();
    let described = format!("The {shown} of {} vendors with most incidents.", vendors.len());
    by_name("alerts_by_vendor", "Incidents by vendor", &rows, [(BAD, "page"), (NOTE, "notices")], &described)
}

/// Ages of credentials; those that are overdue in another colour.
fn ages(report: &Report) -> Chart {
    let credentials = &report.credentials;
    let row = |age: &super::credentials::Age| {
        let count = i64::try_from(age.credentials).unwrap_or(i64::MAX);
        let days = format!("{} days", age.days);
        if age.is_overdue { (days, 0, count) } else { (days, count, 0) }
    };
    let rows: Vec<_> = credentials.ages.iter().map(row).collect();
    let (overdue, in_time): (i64, i64) = (rows.iter().map(|row| row.2).sum(), rows.iter().map(|row| row.1).sum());
    let described =
        format!("{in_time} keys in use are at most {} days old, {overdue} are older.", credentials.max_age_days);
    by_name("ages", "Ages of keys in use", &rows, [(MAIN, "in time"), (BAD, "overdue")], &described)
}

/// Days on which callers called: the darker, the more.
fn coverage(plot: &coverage::Plot) -> Chart {
    const ROW: i32 = 18;
    const LEFT: i32 = 116;
    const TOP: i32 = 26;
    let height = TOP + ROW * i32::try_from(plot.rows.len().max(1)).unwrap_or(1) + 22;
    let silent = plot.rows.iter().filter(|row| row.is_silent).count();
    let described = format!(
        "A row for each of {} callers, a column for {}; an empty cell is no call. {silent} of them went silent.",
        plot.rows.len(),
        if plot.days_per_column == 1 { "each day".to_owned() } else { format!("every {} days", plot.days_per_column) }
    );
    chart("coverage", height, "Which callers logged on which days", &described, |area| {
        legend(area, &[(MAIN, "calls"), (BAD, "went silent"), (LINE, "no call")])?;
        let count = i32::try_from(plot.columns.len()).unwrap_or(1).max(1);
        let x = |at: i32| LEFT + (WIDTH - 4 - LEFT) * at / count;
        for (row, y) in plot.rows.iter().zip((0..).map(|at| TOP + at * ROW)) {
            let ink = if row.is_silent { BAD } else { TEXT };
            text(area, (LEFT - 8, y + ROW / 2), shortened(&row.caller), SMALL, ink, HPos::Right)?;
            let highest = row.calls.iter().copied().max().unwrap_or_default().max(1);
            for (at, calls) in (0..).zip(&row.calls) {
                let (ink, opacity) = match calls {
                    0 => (LINE, 0.6),
                    calls => (if row.is_silent { BAD } else { MAIN }, 0.35 + 0.65 * *calls as f64 / highest as f64),
                };
                // Two digits: the same number on every machine.
                let opacity = (opacity * 20.0).round() / 20.0;
                bar(area, (x(at) + 1, y + 2), ((x(at + 1) - 1).max(x(at) + 2), y + ROW - 2), ink, opacity)?;
            }
        }
        let bottom = height - 10;
        if let (Some(first), Some(last)) = (plot.columns.first(), plot.columns.last()) {
            text(area, (LEFT, bottom), first, SMALL, FAINT, HPos::Left)?;
            if plot.columns.len() > 1 {
                text(area, (WIDTH - 4, bottom), last, SMALL, FAINT, HPos::Right)?;
            }
        }
        Ok(())
    })
}

/// A round number that is not below another.
fn round_up(number: i64) -> i64 {
    let mut step = 1_i64;
    loop {
        for factor in [1, 2, 4, 5, 8, 10] {
            if step.saturating_mul(factor) >= number {
                return step.saturating_mul(factor);
            }
        }
        step = step.saturating_mul(10);
    }
}

/// A number in few characters.
fn short(number: i64) -> String {
    let scaled = |by: f64, unit: &str| {
        let text = format!("{:.1}", number as f64 / by);
        format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
    };
    match number {
        ..10_000 => number.to_string(),
        10_000..1_000_000 => scaled(1e3, "k"),
        1_000_000..1_000_000_000 => scaled(1e6, "M"),
        _ => scaled(1e9, "G"),
    }
}

/// A number with its thousands apart.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// A name as a chart has room for it.
fn shortened(name: &str) -> String {
    let name = crate::alerts::printable(name);
    if name.chars().count() <= MAX_NAME {
        return name;
    }
    name.chars().take(MAX_NAME - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_scales_are_round() {
        assert_eq!([9_999, 10_000, 123_456, 5_000_000].map(short), ["9999", "10 k", "123.5 k", "5 M"]);
        assert_eq!([1, 3, 19, 21, 4_200].map(round_up), [1, 4, 20, 40, 5_000]);
        assert_eq!([0, 999, 1_000, -12_345_678].map(grouped), ["0", "999", "1,000", "-12,345,678"]);
    }

    #[test]
    fn a_name_that_is_markup_is_text_in_a_chart_and_colours_are_the_page_s() {
        let rows = [("</text><script>alert(1)</script>".to_owned(), 3, 1), ("evil\u{202e}txt".to_owned(), 0, 0)];
        let svg = by_name("a", "A", &rows, [(BAD, "page"), (NOTE, "notices")], "Two.").unwrap();
        assert!(svg.contains("&lt;/text&gt;&lt;script"), "{svg}");
        assert!(!svg.contains("<script") && !svg.contains('\u{202e}') && !svg.contains("\"#0101"), "{svg}");
        assert!(svg.contains("var(--bad)") && svg.contains("<title id=\"a-title\">A</title>"), "{svg}");
    }
}
