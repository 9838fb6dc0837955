//! Figures of two targets against each other.

use crate::report::Report;

/// One figure of both.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Compared {
    pub(super) name: String,
    /// The median of all rounds.
    pub(super) a: f64,
    pub(super) b: f64,
    /// B to A. None where A is nothing.
    pub(super) ratio: Option<Ratio>,
}

/// How a figure of B is to that of A in the same round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ratio {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

/// Compares the figures that every round has of both.
pub(super) fn compare(a: &[Report], b: &[Report]) -> Vec<Compared> {
    let rounds = |reports: &[Report]| -> Vec<Vec<(String, f64)>> {
        reports.iter().map(Report::numbers).collect()
    };
    let (a, b) = (rounds(a), rounds(b));
    let names = a.first().into_iter().flatten().map(|(name, _)| name);
    names
        .filter_map(|name| Some(figure(name, &of(name, &a)?, &of(name, &b)?)))
        .collect()
}

/// A figure's value in each round; `None` if one lacks it.
fn of(name: &str, rounds: &[Vec<(String, f64)>]) -> Option<Vec<f64>> {
    let value = |round: &Vec<(String, f64)>| {
        let found = round.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| *value)
    };
    rounds.iter().map(value).collect()
}

fn figure(name: &str, a: &[f64], b: &[f64]) -> Compared {
    let in_rounds = a.iter().zip(b);
    let ratios: Option<Vec<f64>> = in_rounds.map(|(a, b)| (*a != 0.0).then(|| b / a)).collect();
    let ratio = ratios
        .filter(|ratios| !ratios.is_empty())
        .map(|ratios| Ratio {
            median: median(&ratios),
            least: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            most: ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        });
    Compared {
        name: name.to_owned(),
        a: median(a),
        b: median(b),
        ratio,
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
    let half = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(at(half.saturating_sub(1)), at(half))
    } else {
        at(half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_compared_with_rounds_and_the_spread_is_told() {
        let compared = figure("x", &[10.0, 20.0, 40.0], &[5.0, 20.0, 10.0]);
        let expected = Compared {
            name: "x".to_owned(),
            a: 20.0,
            b: 10.0,
            ratio: Some(Ratio {
                median: 0.5,
                least: 0.25,
                most: 1.0,
            }),
        };
        assert_eq!(compared, expected);
    }

    #[test]
    fn nothing_has_no_ratio() {
        assert_eq!(figure("x", &[0.0, 1.0], &[1.0, 1.0]).ratio, None);
        assert_eq!(figure("x", &[1.0, 2.0], &[]).a.to_string(), "1.5");
    }
}
