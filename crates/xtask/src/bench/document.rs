//! A page of which commands write parts, between marks that readers do not see.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// A page with places for figures.
#[derive(Debug)]
pub(crate) struct Document {
    path: PathBuf,
    text: String,
}

impl Document {
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            text,
        })
    }

    /// Puts figures in their place and writes the page. Without a place they come last.
    pub(crate) fn replace(&self, name: &str, figures: &str) -> Result<(), Error> {
        let text = replaced(&self.text, name, figures);
        fs::write(&self.path, text).map_err(|source| Error::Write {
            path: self.path.clone(),
            source,
        })
    }
}

fn replaced(text: &str, name: &str, figures: &str) -> String {
    let (begin, end) = (format!("<!-- bench {name} -->"), "<!-- end of bench -->");
    let figures = format!("{begin}\n{}\n{end}", figures.trim_end());
    let place = text.find(&begin).and_then(|from| {
        let length = text.get(from..)?.find(end)? + end.len();
        Some(from..from + length)
    });
    match place {
        Some(place) => {
            let mut text = text.to_owned();
            text.replace_range(place, &figures);
            text
        }
        None => format!("{}\n\n{figures}\n", text.trim_end()),
    }
}

/// What a scenario printed, with the command that gives it.
pub(crate) fn scenario(command: &str, printed: &str) -> String {
    let (head, tables) = printed.split_once("\n\n").unwrap_or(("", printed));
    let head = head.replace('\n', "; ");
    format!("`{command}`: {head}\n\n{}", tables.trim())
}

/// What a benchmark of a part printed: rows of a table, or lines of the form
/// `test NAME ... bench: 123 ns/iter (+/- 4)`.
pub(crate) fn part(printed: &str) -> String {
    let rows: Vec<String> = printed
        .lines()
        .filter_map(|line| {
            let (name, figures) = line.strip_prefix("test ")?.split_once(" ... bench:")?;
            let figures = figures.replace("/iter", "");
            Some(format!("| {name} | {} |", figures.trim()))
        })
        .collect();
    if rows.is_empty() {
        printed.trim().to_owned()
    } else {
        format!("| what | time |\n|---|---|\n{}", rows.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_take_the_place_of_those_before() {
        let page = "# Page\n\n<!-- bench a -->\nold\n<!-- end of bench -->\n\nend\n";
        let replaced = replaced(page, "a", "new\n");
        assert_eq!(replaced, page.replace("old", "new"));
    }

    #[test]
    fn figures_without_a_place_come_last() {
        let page = "# Page\n";
        let expected = "# Page\n\n<!-- bench a -->\nnew\n<!-- end of bench -->\n";
        assert_eq!(replaced(page, "a", "new"), expected);
    }

    #[test]
    fn benchmarks_become_rows() {
        let printed = "noise\ntest a commit/of 1 facts ... bench:      1234 ns/iter (+/- 56)\n";
        let expected = "| what | time |\n|---|---|\n| a commit/of 1 facts | 1234 ns (+/- 56) |";
        assert_eq!(part(printed), expected);
        assert_eq!(part("| a | b |\n"), "| a | b |");
    }
}
