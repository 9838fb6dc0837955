//! Answers on standard output: tables for people, JSON and YAML for programs.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use meseta_proto::{Label, Wire, json};
use serde::Serialize;
use serde_json::Value;

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

    pub(super) fn table(&self, table: &Table) -> Result<(), Error> {
        let width = self.width.filter(|_| !self.is_wide());
        self.text(&table.rendered(width))
    }

    /// A message of the operator API, for programs.
    pub(super) fn message<M: Wire>(&self, message: &M) -> Result<(), Error> {
        self.value(&value_of(message)?)
    }

    /// Several of them, as a list.
    pub(super) fn messages<M: Wire>(&self, messages: &[M]) -> Result<(), Error> {
        let values: Result<Vec<Value>, Error> = messages.iter().map(value_of).collect();
        self.value(&values?)
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

/// A message as JSON. Its own lists are there even if they are empty, so that programs can go
/// through them.
fn value_of<M: Wire>(message: &M) -> Result<Value, Error> {
    let mut value: Value = serde_json::from_slice(&json::to_vec(message))
        .map_err(|e| printing(io::Error::other(e)))?;
    if let Value::Object(fields) = &mut value {
        let schema = M::SCHEMA.fields.iter();
        let lists = schema.filter(|it| it.label == Label::Repeated && !it.deprecated);
        for list in lists {
            let empty = || Value::Array(Vec::new());
            fields.entry(list.name).or_insert_with(empty);
        }
    }
    Ok(value)
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
    /// Whether what is too long for the terminal goes on in the next line, rather than being cut.
    wraps: bool,
}

impl Table {
    pub(super) fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self {
            rows: vec![headings.map(str::to_owned).to_vec()],
            wraps: false,
        }
    }

    /// Without headings: names and what they are.
    pub(super) fn of_facts() -> Self {
        Self {
            rows: Vec::new(),
            wraps: true,
        }
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

    /// In columns, so that all fit into `width`.
    fn rendered(&self, width: Option<usize>) -> String {
        match width {
            Some(width) if self.wraps => self.wrapped(width),
            width => self.cut(width),
        }
    }

    /// The last column goes on below itself.
    fn wrapped(&self, width: usize) -> String {
        let names = self.rows.iter().filter_map(|row| row.first());
        let indent = names.map(|it| it.chars().count()).max().unwrap_or(0) + 2;
        let room = width.saturating_sub(indent).max(NARROWEST);
        let mut text = String::new();
        for row in &self.rows {
            let (name, value) = match row.as_slice() {
                [name, value, ..] => (name.as_str(), value.as_str()),
                _ => continue,
            };
            let mut line = format!("{name:<indent$}");
            let mut used = 0;
            for word in value.split(' ') {
                let length = word.chars().count();
                if used > 0 && used + 1 + length > room {
                    let _ = writeln!(text, "{line}");
                    line = " ".repeat(indent);
                    used = 0;
                } else if used > 0 {
                    line.push(' ');
                    used += 1;
                }
                line.push_str(word);
                used += length;
            }
            let _ = writeln!(text, "{line}");
        }
        text
    }

    /// The widest columns are cut.
    fn cut(&self, width: Option<usize>) -> String {
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
                let _ = write!(line, "{cell:<width$}  ");
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
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        assert!(text.contains("x…  y"), "{text}");
        assert!(text.ends_with("running\n"), "{text}");
    }

    #[test]
    fn facts_go_on_in_the_next_line() {
        let mut table = Table::of_facts();
        table.fact("ID", "x".repeat(12));
        table.fact("Roles", "one, two, three");
        assert_eq!(
            table.rendered(Some(18)),
            "ID:     xxxxxxxxxxxx\nRoles:  one, two,\n        three\n"
        );
    }

    #[test]
    fn text_from_outside_cannot_steer_the_terminal() {
        let mut table = Table::of_facts();
        table.fact("name", "a\u{1b}[2Jb\nc");
        assert_eq!(table.rendered(None), "name:  a [2Jb c\n");
    }
}
