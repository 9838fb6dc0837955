//! Durations as agents write them: a number and a unit, `5secs`, `1.5hrs`.

use std::time::Duration;

const UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("ms", 1e-3),
    ("secs", 1.0),
    ("mins", 60.0),
    ("hrs", 3600.0),
    ("days", 86_400.0),
    ("weeks", 604_800.0),
];

pub(super) fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_agents_write_them() {
        assert_eq!(parse("0ns"), Some(Duration::ZERO));
        assert_eq!(parse("15mins"), Some(Duration::from_mins(15)));
        assert_eq!(parse("1.5hrs"), Some(Duration::from_mins(90)));
        for text in [
            "",
            "5",
            "secs",
            "-1secs",
            "5 secs",
            "5fortnights",
            "1e400secs",
            "NaNsecs",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
