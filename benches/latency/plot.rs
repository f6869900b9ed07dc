//! Draws the results: one bar per program, on a logarithmic scale.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::{
    Color, DrawingArea, IntoDrawingArea as _, IntoFont as _, PathElement, RGBColor, Rectangle,
    SVGBackend, Text, WHITE,
};

use super::measure::{Group, Row};

const OURS: RGBColor = RGBColor(0, 104, 139);
const OTHERS: RGBColor = RGBColor(165, 172, 178);
const INK: RGBColor = RGBColor(40, 40, 40);
const LINE: i32 = 24;
const LEFT: i32 = 310;
const WIDTH: i32 = 860;
/// The limits of the scale, in milliseconds.
const SCALE: (f64, f64) = (0.2, 200.0);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws only the groups of files and of the keyring.
pub(crate) fn draw(groups: &[Group], path: &Path) -> anyhow::Result<()> {
    let shown: Vec<_> = groups.iter().filter(|group| group.title.starts_with("From")).collect();
    let lines: usize = shown.iter().map(|group| group.rows.len() + 2).sum();
    let height = LINE * i32::try_from(lines)? + 40;
    let area = SVGBackend::new(path, (WIDTH.try_into()?, height.try_into()?)).into_drawing_area();
    area.fill(&WHITE)?;
    for tick in [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0] {
        let x = position(tick);
        area.draw(&PathElement::new([(x, 10), (x, height - 30)], OTHERS.mix(0.4)))?;
        write(&area, &format!("{tick} ms"), (x - 12, height - 24), 12)?;
    }
    let mut y = 10;
    for group in shown {
        write(&area, group.title, (10, y + 4), 16)?;
        y += LINE;
        for row in &group.rows {
            bar(&area, row, y)?;
            y += LINE;
        }
        y += LINE;
    }
    area.present()?;
    Ok(())
}

fn bar(area: &Area<'_>, row: &Row, y: i32) -> anyhow::Result<()> {
    let millis = row.median.as_secs_f64() * 1000.0;
    let is_ours = row.name.starts_with("my-");
    let end = position(millis);
    let colour = if is_ours { OURS } else { OTHERS };
    area.draw(&Rectangle::new([(LEFT, y + 3), (end, y + LINE - 4)], colour.filled()))?;
    write(area, &row.name, (20, y + 5), 14)?;
    write(area, &format!("{millis:.2}"), (end + 6, y + 5), 13)
}

fn write(area: &Area<'_>, text: &str, at: (i32, i32), size: i32) -> anyhow::Result<()> {
    area.draw(&Text::new(text.to_owned(), at, ("sans-serif", size).into_font().color(&INK)))?;
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "a picture's width")]
fn position(millis: f64) -> i32 {
    let share = (millis.clamp(SCALE.0, SCALE.1) / SCALE.0).ln() / (SCALE.1 / SCALE.0).ln();
    LEFT + (share * f64::from(WIDTH - LEFT - 60)) as i32
}
