//! Agents, frameworks and tasks by what people call them: whole ids, parts of them, names.

use super::error::Error;
use super::limits::MAX_CANDIDATES;

/// An id as tables show it. Agents and frameworks are named after the master that knew them first:
/// the beginning of its UUID and their own number tell them apart.
pub(super) fn short(id: &str) -> String {
    match id.rsplit_once('-') {
        Some((master, number)) if is_uuid(master) => {
            let beginning = master.split('-').next().unwrap_or_default();
            format!("{beginning}-{number}")
        }
        _ => id.to_owned(),
    }
}

fn is_uuid(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok() && text.len() == 36
}

/// Whether `wanted` may stand for an id: a beginning of it, an end of it after a dash, or both
/// ends as [`short`] has them.
fn may_mean(wanted: &str, id: &str) -> bool {
    let is_end = |end: &str| {
        id.strip_suffix(end)
            .is_some_and(|rest| rest.ends_with('-') || rest.is_empty())
    };
    id.starts_with(wanted)
        || is_end(wanted)
        || wanted
            .rsplit_once('-')
            .is_some_and(|(beginning, end)| id.starts_with(beginning) && is_end(end))
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// The command that lists all of them.
    pub(super) list: &'static str,
}

pub(super) const AGENT: Kind = Kind {
    name: "agent",
    list: "meseta agent list",
};

pub(super) const FRAMEWORK: Kind = Kind {
    name: "framework",
    list: "meseta framework list --all",
};

pub(super) const TASK: Kind = Kind {
    name: "task",
    list: "meseta task list --all",
};

pub(super) const VOLUME: Kind = Kind {
    name: "volume",
    list: "meseta volume list",
};

/// What an item goes by.
#[derive(Debug)]
pub(super) struct Names<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    /// What tells it from another of the same id, for lists of candidates.
    pub(super) beside: String,
}

/// The one item that `wanted` means. An id goes before a name, and that before a part of an id.
pub(super) fn one<T>(
    kind: Kind,
    wanted: &str,
    items: Vec<T>,
    names: impl for<'a> Fn(&'a T) -> Names<'a>,
) -> Result<T, Error> {
    let ways: [fn(&str, &Names<'_>) -> bool; 3] = [
        |wanted, names| names.id == wanted,
        |wanted, names| names.name == wanted,
        |wanted, names| may_mean(wanted, names.id),
    ];
    let mut items = items;
    for way in ways {
        if wanted.is_empty() {
            break;
        }
        let (mut meant, others): (Vec<T>, Vec<T>) = items
            .into_iter()
            .partition(|item| way(wanted, &names(item)));
        items = others;
        if meant.len() > 1 {
            return Err(ambiguous(kind, wanted, &meant, names));
        }
        if let Some(item) = meant.pop() {
            return Ok(item);
        }
    }
    Err(Error::Unknown {
        kind: kind.name,
        wanted: wanted.to_owned(),
        list: kind.list,
    })
}

fn ambiguous<T>(
    kind: Kind,
    wanted: &str,
    meant: &[T],
    names: impl for<'a> Fn(&'a T) -> Names<'a>,
) -> Error {
    let mut candidates: Vec<String> = meant
        .iter()
        .map(|item| {
            let Names { id, name, beside } = names(item);
            let name = if name == id { "" } else { name };
            let mut line = id.to_owned();
            for more in [name, &beside] {
                if !more.is_empty() {
                    line.push_str("  ");
                    line.push_str(more);
                }
            }
            line
        })
        .collect();
    candidates.sort_unstable();
    candidates.truncate(MAX_CANDIDATES);
    Error::Ambiguous {
        kind: kind.name,
        wanted: wanted.to_owned(),
        count: meant.len(),
        candidates,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A0: &str = "1a2b3c4d-0000-4000-8000-000000000001-S0";
    const A1: &str = "1a2b3c4d-0000-4000-8000-000000000001-S1";
    const B0: &str = "9f9f9f9f-0000-4000-8000-000000000001-S0";

    fn meant(wanted: &str) -> Result<&'static str, String> {
        let agents = vec![(A0, "one"), (A1, "two"), (B0, "two")];
        one(AGENT, wanted, agents, |agent| Names {
            id: agent.0,
            name: agent.1,
            beside: String::new(),
        })
        .map(|agent| agent.0)
        .map_err(|e| e.to_string())
    }

    #[test]
    fn ids_parts_of_them_and_names_mean_the_one_thing_that_has_them() {
        for (wanted, id) in [
            (A0, A0),
            ("one", A0),
            ("S1", A1),
            ("9f9", B0),
            ("1a2b3c4d-S0", A0),
            ("9f9f9f9f-S0", B0),
        ] {
            assert_eq!(meant(wanted).as_deref(), Ok(id), "{wanted}");
        }
    }

    #[test]
    fn what_is_not_unique_is_refused_with_the_candidates() {
        assert_eq!(
            meant("S0").unwrap_err(),
            format!("'S0' may be any of 2 agents; name one of them:\n  {A0}  one\n  {B0}  two")
        );
        assert_eq!(
            meant("two").unwrap_err(),
            format!("'two' may be any of 2 agents; name one of them:\n  {A1}  two\n  {B0}  two")
        );
        assert_eq!(
            meant("S7").unwrap_err(),
            "no agent is named 'S7'; `meseta agent list` lists them"
        );
        assert!(meant("").is_err());
    }

    #[test]
    fn what_tables_show_means_the_same_thing() {
        for id in [A0, A1, B0] {
            assert_eq!(meant(&short(id)).as_deref(), Ok(id));
        }
        assert_eq!(short("web.1f-2"), "web.1f-2");
    }
}
