//! Reports as tables in Markdown, which read well in a terminal too.

use std::fmt;

use super::{Figure, Report, Value};
use crate::target::Cost;

/// Something in a table.
pub(crate) type Cell = String;

/// A table in Markdown with aligned columns.
pub(crate) fn table(head: &[&str], rows: &[Vec<Cell>]) -> String {
    let head: Vec<Cell> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let width = |column: usize| {
        std::iter::once(&head)
            .chain(rows)
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &[Cell]| {
        let cells = widths.iter().zip(row);
        let cells: Vec<_> = cells
            .map(|(width, cell)| format!("{cell:width$}"))
            .collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: Vec<Cell> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut text = line(&head) + &line(&rule);
    text.extend(rows.iter().map(|row| line(row)));
    text
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<_> = self
            .sizes
            .iter()
            .map(|(name, size)| format!("{size} {name}"))
            .collect();
        let machine = &self.machine;
        writeln!(f, "{}: {}", self.scenario, sizes.join(", "))?;
        writeln!(
            f,
            "{} on {}; {}, {} cores, {}, load {:.1}; seed {}\n",
            self.target,
            self.date,
            machine.processor,
            machine.cores,
            machine.kernel,
            machine.load,
            self.seed
        )?;
        let mut rows: Vec<_> = self.figures.iter().map(figure).collect();
        rows.extend(costs(&self.cost));
        write!(
            f,
            "{}",
            table(&["figure", "value", "p50", "p90", "p99", "max"], &rows)
        )?;
        for note in &self.notes {
            writeln!(f, "\nnote: {note}")?;
        }
        Ok(())
    }
}

fn figure(figure: &Figure) -> Vec<Cell> {
    let mut row = vec![figure.name.clone()];
    match figure.value {
        Value::Seconds(seconds) => row.push(duration(seconds * 1000.0)),
        Value::Rate(rate) => row.push(format!("{}/s", thousands(rate))),
        Value::Count(count) => row.push(count.to_string()),
        Value::Amount(amount) => row.push(format!("{amount:.2}")),
        Value::Bytes(count) => row.push(bytes(count)),
        Value::Times {
            count,
            p50,
            p90,
            p99,
            max,
        } => {
            row.push(format!("{count} times"));
            row.extend([p50, p90, p99, max].map(duration));
        }
    }
    row.resize(6, String::new());
    row
}

fn costs(cost: &Cost) -> Vec<Vec<Cell>> {
    let mut rows = vec![(
        "time measured".to_owned(),
        duration(cost.wall_seconds * 1000.0),
    )];
    if let Some(target) = &cost.target {
        rows.extend([
            (
                "CPU of the target".to_owned(),
                duration(target.cpu_seconds * 1000.0),
            ),
            (
                "memory of the target before".to_owned(),
                bytes(target.memory_before),
            ),
            (
                "memory of the target after".to_owned(),
                bytes(target.memory_after),
            ),
            ("most that it ever had".to_owned(), bytes(target.peak)),
            (
                "written to disk by the target".to_owned(),
                bytes(target.written),
            ),
        ]);
    }
    let share = format!("{:.0} % of a core", cost.own_share() * 100.0);
    rows.push(("CPU of the generator".to_owned(), share));
    rows.into_iter()
        .map(|(name, value)| {
            let mut row = vec![name, value];
            row.resize(6, String::new());
            row
        })
        .collect()
}

/// Milliseconds in a unit that suits them.
pub(super) fn duration(millis: f64) -> String {
    match millis {
        m if m >= 10_000.0 => format!("{:.1} s", m / 1000.0),
        m if m >= 1000.0 => format!("{:.2} s", m / 1000.0),
        m if m >= 10.0 => format!("{m:.0} ms"),
        m if m >= 0.1 => format!("{m:.2} ms"),
        m => format!("{:.0} µs", m * 1000.0),
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown with one digit")]
fn bytes(bytes: u64) -> String {
    let mega = bytes as f64 / f64::from(1 << 20);
    match mega {
        m if m >= 1024.0 => format!("{:.2} GB", m / 1024.0),
        m if m >= 0.1 => format!("{m:.1} MB"),
        _ => format!("{bytes} B"),
    }
}

fn thousands(number: f64) -> String {
    if number < 100.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_in_units_that_suit_them() {
        let shown = [12_345.0, 1234.5, 12.34, 1.234, 0.0123].map(duration);
        assert_eq!(shown, ["12.3 s", "1.23 s", "12 ms", "1.23 ms", "12 µs"]);
        assert_eq!(
            [7, 1 << 21, 3 << 30].map(bytes),
            ["7 B", "2.0 MB", "3.00 GB"]
        );
        assert_eq!(
            [7.0, 1234.0, 1_234_567.0].map(thousands),
            ["7.0", "1,234", "1,234,567"]
        );
    }

    #[test]
    fn columns_of_a_table_are_aligned() {
        let rows = [vec!["a".to_owned(), "wide".to_owned()]];
        assert_eq!(
            table(&["name", "x"], &rows),
            "| name | x    |\n| ---- | ---- |\n| a    | wide |\n"
        );
    }
}
