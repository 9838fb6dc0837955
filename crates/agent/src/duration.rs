use std::time::Duration;

const UNITS: [(&str, u128); 8] = [
    ("weeks", 604_800_000_000_000),
    ("days", 86_400_000_000_000),
    ("hrs", 3_600_000_000_000),
    ("mins", 60_000_000_000),
    ("secs", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A duration as Mesos writes it: a whole number of the largest unit that allows it.
pub(crate) fn format(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    let (unit, length) = UNITS
        .into_iter()
        .find(|(_, length)| nanoseconds >= *length && nanoseconds.is_multiple_of(*length))
        .unwrap_or(("ns", 1));
    format!("{}{unit}", nanoseconds / length)
}

/// A duration of the protocol; negative ones count as none at all.
pub(crate) fn from_nanoseconds(nanoseconds: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}

/// A duration for the protocol; saturates after 292 years.
pub(crate) fn to_nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_mesos() {
        for (milliseconds, text) in [
            (0, "0ns"),
            (5_000, "5secs"),
            (900_000, "15mins"),
            (90_000, "90secs"),
            (1_500, "1500ms"),
            (3_600_000, "1hrs"),
        ] {
            assert_eq!(format(Duration::from_millis(milliseconds)), text);
        }
    }
}
