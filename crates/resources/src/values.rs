//! The three kinds of amounts: scalars, ranges, sets; and the text form that they share.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::sync::Arc;

use meseta_proto::v1;

use crate::Error;
use crate::limits::{MAX_RANGES, MAX_SET_ITEMS};
use crate::number;

/// Thousandths in one.
const UNIT: i64 = 1000;

/// An amount in thousandths, never negative. Sums and differences stop at the ends of what can be
/// represented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Scalar(i64);

impl Scalar {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(i64::MAX);

    /// An amount of so many thousandths; negative ones count as nothing.
    pub const fn from_thousandths(thousandths: i64) -> Self {
        Self(if thousandths < 0 { 0 } else { thousandths })
    }

    /// Rounds to the nearest thousandth as Mesos does. `None` for what is negative, not a number,
    /// or beyond what 64 bits hold.
    pub fn from_f64(value: f64) -> Option<Self> {
        #[allow(clippy::cast_precision_loss, reason = "2^63 is exact")]
        const END: f64 = i64::MAX as f64;
        let thousandths = (value * 1000.0).round();
        #[allow(clippy::cast_possible_truncation, reason = "checked to be in range")]
        (0.0..END)
            .contains(&thousandths)
            .then_some(Self(thousandths as i64))
    }

    /// The amount as messages carry it.
    pub fn to_f64(self) -> f64 {
        // As Mesos computes it: only the part below one is divided.
        #[allow(clippy::cast_precision_loss, reason = "what a double can say")]
        let (whole, part) = ((self.0 / UNIT) as f64, (self.0 % UNIT) as f64);
        whole + part / 1000.0
    }

    /// The amount in thousandths.
    pub const fn thousandths(self) -> i64 {
        self.0
    }

    /// Whether there is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// What is left after taking `other`, at least nothing.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self::from_thousandths(self.0.saturating_sub(other.0))
    }
}

impl Add for Scalar {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Scalar {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Scalar {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&number::print(self.to_f64()))
    }
}

/// The whole numbers from `begin` to `end`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// The first number.
    pub begin: u64,
    /// The last number.
    pub end: u64,
}

/// Whole numbers as intervals: sorted, merged where they touch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Ranges(Arc<[Range]>);

impl Ranges {
    /// The numbers in any of the intervals; those with `begin > end` have none.
    pub fn new(intervals: impl IntoIterator<Item = Range>) -> Self {
        let mut sorted: Vec<Range> = intervals
            .into_iter()
            .filter(|range| range.begin <= range.end)
            .collect();
        sorted.sort_unstable();
        let mut merged: Vec<Range> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match merged.last_mut() {
                Some(last) if range.begin <= last.end.saturating_add(1) => {
                    last.end = last.end.max(range.end);
                }
                _ => merged.push(range),
            }
        }
        Self(merged.into())
    }

    /// The intervals in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Range> {
        self.0.iter().copied()
    }

    /// Whether there is no number.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers there are, at most `u64::MAX`.
    pub fn count(&self) -> u64 {
        self.iter().fold(0, |sum: u64, range| {
            sum.saturating_add(range.end - range.begin)
                .saturating_add(1)
        })
    }

    /// Whether every number of `other` is here.
    pub fn contains(&self, other: &Self) -> bool {
        let mut mine = self.iter();
        let mut candidate = mine.next();
        other.iter().all(|wanted| {
            while candidate.is_some_and(|range| range.end < wanted.begin) {
                candidate = mine.next();
            }
            candidate.is_some_and(|range| range.begin <= wanted.begin && wanted.end <= range.end)
        })
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        Self::new(self.iter().chain(other.iter()))
    }

    pub(crate) fn difference(&self, other: &Self) -> Self {
        let mut left = Vec::with_capacity(self.0.len() + other.0.len());
        let mut cuts = other.iter().peekable();
        for mut range in self.iter() {
            let mut used_up = false;
            while let Some(&cut) = cuts.peek() {
                if cut.end < range.begin {
                    cuts.next();
                    continue;
                }
                if cut.begin > range.end {
                    break;
                }
                if cut.begin > range.begin {
                    left.push(Range {
                        begin: range.begin,
                        end: cut.begin - 1,
                    });
                }
                if cut.end >= range.end {
                    used_up = true;
                    break;
                }
                range.begin = cut.end + 1;
                cuts.next();
            }
            if !used_up {
                left.push(range);
            }
        }
        Self(left.into())
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, range) in self.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{}-{}", range.begin, range.end)?;
        }
        f.write_str("]")
    }
}

impl From<&v1::value::Ranges> for Ranges {
    fn from(ranges: &v1::value::Ranges) -> Self {
        Self::new(ranges.range.iter().map(|range| Range {
            begin: range.begin,
            end: range.end,
        }))
    }
}

impl From<&Ranges> for v1::value::Ranges {
    fn from(ranges: &Ranges) -> Self {
        Self {
            range: ranges
                .iter()
                .map(|Range { begin, end }| v1::value::Range { begin, end })
                .collect(),
        }
    }
}

/// Items without repetition, in the order in which they came; the order does not matter to equality.
#[derive(Debug, Clone, Default)]
pub struct Set(Arc<[String]>);

impl Set {
    /// The items, each once.
    pub fn new(items: impl IntoIterator<Item = String>) -> Self {
        let mut seen = std::collections::HashSet::new();
        Self(
            items
                .into_iter()
                .filter(|item| seen.insert(item.clone()))
                .collect(),
        )
    }

    /// The items in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every item of `other` is here.
    pub fn contains(&self, other: &Self) -> bool {
        let mine = self.index();
        other.iter().all(|item| mine.contains(item))
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        Self::new(self.0.iter().chain(other.0.iter()).cloned())
    }

    pub(crate) fn difference(&self, other: &Self) -> Self {
        let theirs = other.index();
        Self(
            self.0
                .iter()
                .filter(|item| !theirs.contains(item.as_str()))
                .cloned()
                .collect(),
        )
    }

    fn index(&self) -> std::collections::HashSet<&str> {
        self.iter().collect()
    }
}

impl PartialEq for Set {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.contains(other)
    }
}

impl Eq for Set {}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, item) in self.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{item}")?;
        }
        f.write_str("}")
    }
}

/// How much of something there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An amount.
    Scalar(Scalar),
    /// Numbers, such as ports.
    Ranges(Ranges),
    /// Items.
    Set(Set),
}

impl Value {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Scalar(scalar) => scalar.is_zero(),
            Self::Ranges(ranges) => ranges.is_empty(),
            Self::Set(set) => set.is_empty(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(scalar) => scalar.fmt(f),
            Self::Ranges(ranges) => ranges.fmt(f),
            Self::Set(set) => set.fmt(f),
        }
    }
}

/// Reads a value as flags give it: `2.5`, `[1-5, 8-9]`, `{a, b}`, or any other text.
///
/// # Errors
/// In Mesos's words, without the name of what the value belongs to.
pub fn parse_value(text: &str) -> Result<v1::Value, Error> {
    let syntax = |sentence: &str| Err(Error::Syntax(sentence.to_owned()));
    let text = text.replace(' ', "");
    if text.is_empty() {
        return syntax("Expecting non-empty string");
    }
    if ![('{', '}'), ('[', ']'), ('(', ')')]
        .into_iter()
        .all(|(open, close)| brackets_match(&text, open, close))
    {
        return syntax("Mismatched brackets");
    }
    match (text.find('['), text.find('{')) {
        (Some(0), _) => parse_ranges(&text),
        (Some(_), _) => syntax("Unexpected '[' found"),
        (None, Some(0)) => {
            let item: Vec<String> = tokens(&text, "{},\n").map(str::to_owned).collect();
            if item.len() > MAX_SET_ITEMS {
                return syntax("Too many items in a set");
            }
            Ok(v1::Value {
                r#type: v1::value::Type::Set.into(),
                set: Some(v1::value::Set { item }),
                ..v1::Value::default()
            })
        }
        (None, Some(_)) => syntax("Unexpected '{' found"),
        (None, None) => parse_scalar_or_text(text),
    }
}

fn parse_ranges(text: &str) -> Result<v1::Value, Error> {
    let tokens: Vec<&str> = tokens(text, "[]-,\n").collect();
    let (pairs, rest) = tokens.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Error::Syntax("Expecting one or more \"ranges\"".to_owned()));
    }
    if pairs.len() > MAX_RANGES {
        return Err(Error::Syntax("Too many ranges".to_owned()));
    }
    let ranges = pairs
        .iter()
        .map(|[begin, end]| match (begin.parse(), end.parse()) {
            (Ok(begin), Ok(end)) => Ok(Range { begin, end }),
            _ => Err(Error::Syntax(format!(
                "Expecting non-negative integers in '{begin}'"
            ))),
        })
        .collect::<Result<Vec<_>, _>>()?;
    // Inverted ones stay as they are, for validation to name them.
    let ranges = if ranges.iter().any(|range| range.begin > range.end) {
        v1::value::Ranges {
            range: ranges
                .iter()
                .map(|&Range { begin, end }| v1::value::Range { begin, end })
                .collect(),
        }
    } else {
        (&Ranges::new(ranges)).into()
    };
    Ok(v1::Value {
        r#type: v1::value::Type::Ranges.into(),
        ranges: Some(ranges),
        ..v1::Value::default()
    })
}

fn parse_scalar_or_text(text: String) -> Result<v1::Value, Error> {
    match text.parse::<f64>() {
        Ok(value) if value.is_subnormal() => {
            Err(Error::Syntax("Subnormal values not supported".to_owned()))
        }
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(v1::Value {
            r#type: v1::value::Type::Scalar.into(),
            scalar: Some(v1::value::Scalar { value }),
            ..v1::Value::default()
        }),
        _ => Ok(v1::Value {
            r#type: v1::value::Type::Text.into(),
            text: Some(v1::value::Text { value: text }),
            ..v1::Value::default()
        }),
    }
}

/// The parts between delimiters, without the empty ones.
pub(crate) fn tokens<'a>(text: &'a str, delimiters: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(move |c| delimiters.contains(c))
        .filter(|token| !token.is_empty())
}

fn brackets_match(text: &str, open: char, close: char) -> bool {
    let mut depth: usize = 0;
    for c in text.chars() {
        if c == open {
            depth += 1;
        } else if c == close {
            match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return false,
            }
        }
    }
    depth == 0
}
