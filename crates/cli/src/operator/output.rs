//! Answers on standard output: tables for people, JSON and YAML for programs.

use std::io::{self, IsTerminal as _, Write as _};

use meseta_proto::{Wire, json};
use serde::Serialize;

use super::arguments::Format;
use super::error::Error;
use super::text::printable;

/// Columns are at least so wide, however narrow the terminal.
const NARROWEST: usize = 6;

/// Standard output, and how to write to it.
#[derive(Debug)]
pub(super) struct Output {
    format: Format,
    /// Of the terminal; `None` where nothing needs to fit.
    width: Option<usize>,
}

impl Output {
    pub(super) fn new(format: Format) -> Self {
        let width = match ratatui::crossterm::terminal::size() {
            Ok((columns, _)) if io::stdout().is_terminal() => Some(usize::from(columns)),
            _ => None,
        };
        Self { format, width }
    }

    /// Whether a person reads it, rather than a program.
    pub(super) fn is_for_people(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// Whether whole ids and more columns are wanted.
    pub(super) fn is_wide(&self) -> bool {
        self.format == Format::Wide
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// An id, as this output shows it.
    pub(super) fn id(&self, id: &str) -> String {
        if self.is_wide() {
            id.to_owned()
        } else {
            super::find::short(id)
        }
    }

    pub(super) fn table(&self, table: Table) -> Result<(), Error> {
        let width = self.width.filter(|_| !self.is_wide());
        self.text(&table.rendered(width))
    }

    /// A message of the operator API, for programs.
    pub(super) fn message<M: Wire>(&self, message: &M) -> Result<(), Error> {
        let value: serde_json::Value = serde_json::from_slice(&json::to_vec(message))
            .map_err(|e| printing(io::Error::other(e)))?;
        self.value(&value)
    }

    /// Several of them, as a list.
    pub(super) fn messages<M: Wire>(&self, messages: &[M]) -> Result<(), Error> {
        let values: Result<Vec<serde_json::Value>, _> = messages
            .iter()
            .map(|message| serde_json::from_slice(&json::to_vec(message)))
            .collect();
        self.value(&values.map_err(|e| printing(io::Error::other(e)))?)
    }

    /// Anything, for programs.
    pub(super) fn value(&self, value: &impl Serialize) -> Result<(), Error> {
        let text = match self.format {
            Format::Yaml => serde_saphyr::to_string(value).map_err(io::Error::other),
            _ => serde_json::to_string_pretty(value).map_err(io::Error::other),
        };
        self.text(&text.map_err(printing)?)
    }

    /// Says that something is done. Programs know by the exit status.
    pub(super) fn done(&self, sentence: &str) -> Result<(), Error> {
        if self.is_for_people() {
            self.text(sentence)
        } else {
            Ok(())
        }
    }

    /// Lines as they are; the last needs no end.
    #[allow(
        clippy::unused_self,
        reason = "all that is printed goes through the output"
    )]
    pub(super) fn text(&self, text: &str) -> Result<(), Error> {
        let mut stdout = io::stdout().lock();
        let text = text.trim_end_matches('\n');
        if text.is_empty() {
            return Ok(());
        }
        writeln!(stdout, "{text}")
            .and_then(|()| stdout.flush())
            .map_err(printing)
    }

    /// A line between two tables.
    pub(super) fn blank(&self) -> Result<(), Error> {
        self.bytes(b"\n")
    }

    /// Bytes as they are.
    #[allow(
        clippy::unused_self,
        reason = "all that is printed goes through the output"
    )]
    pub(super) fn bytes(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(bytes)
            .and_then(|()| stdout.flush())
            .map_err(printing)
    }
}

pub(super) fn printing(source: io::Error) -> Error {
    Error::Local {
        attempt: "write to standard output".to_owned(),
        source,
    }
}

/// Rows under headings, in columns.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self {
            rows: vec![headings.map(str::to_owned).to_vec()],
        }
    }

    /// Without headings: names and what they are.
    pub(super) fn of_facts() -> Self {
        Self { rows: Vec::new() }
    }

    pub(super) fn heading(&mut self, heading: &str) {
        if let Some(first) = self.rows.first_mut() {
            first.push(heading.to_owned());
        }
    }

    pub(super) fn row(&mut self, cells: impl Into<Vec<String>>) {
        let cells: Vec<String> = cells.into();
        self.rows
            .push(cells.iter().map(|cell| printable(cell)).collect());
    }

    /// A name, and what it is.
    pub(super) fn fact(&mut self, name: &str, value: impl Into<String>) {
        let value: String = value.into();
        if !value.is_empty() {
            self.row([format!("{name}:"), value]);
        }
    }

    /// In columns, the widest of which are cut so that all fit into `width`.
    fn rendered(&self, width: Option<usize>) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let mut widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        if let Some(width) = width {
            let gaps = 2 * columns.saturating_sub(1);
            while widths.iter().sum::<usize>() + gaps > width {
                match widths.iter_mut().max() {
                    Some(widest) if *widest > NARROWEST => *widest -= 1,
                    _ => break,
                }
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let cell = cut(cell, *width);
                line.push_str(&format!("{cell:<width$}  "));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["A", "LONG"]);
        table.row(["one".to_owned(), "1".to_owned()]);
        assert_eq!(table.rendered(None), "A    LONG\none  1\n");
    }

    #[test]
    fn the_widest_columns_are_cut_to_the_terminal() {
        let mut table = Table::new(["ID", "COMMAND", "STATE"]);
        table.row(["x".repeat(60), "y".repeat(60), "running".to_owned()]);
        let text = table.rendered(Some(80));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("x…  y"), "{text}");
        assert!(text.ends_with("running\n"), "{text}");
    }

    #[test]
    fn text_from_outside_cannot_steer_the_terminal() {
        let mut table = Table::of_facts();
        table.fact("name", "a\u{1b}[2Jb\nc");
        assert_eq!(table.rendered(None), "name:  a [2Jb c\n");
    }
}
