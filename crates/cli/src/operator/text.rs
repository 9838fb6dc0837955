//! Amounts, times and names as people read them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use meseta_proto::v1::{self, Resource, TaskState, TimeInfo};

/// The amount of a scalar resource, over all its roles and kinds.
pub(super) fn scalar(resources: &[Resource], name: &str) -> f64 {
    resources
        .iter()
        .filter(|resource| resource.name == name)
        .filter_map(|resource| resource.scalar.as_ref())
        .map(|scalar| scalar.value)
        .sum()
}

/// A number without needless digits.
pub(super) fn number(value: f64) -> String {
    let rounded = (value * 1000.0).round() / 1000.0;
    // Adding zero makes -0 a 0.
    format!("{}", rounded + 0.0)
}

/// An amount of megabytes, in the unit that suits it.
pub(super) fn megabytes(value: f64) -> String {
    let (value, unit) = match value {
        value if value < 1024.0 => (value, "M"),
        value if value < 1024.0 * 1024.0 => (value / 1024.0, "G"),
        value => (value / (1024.0 * 1024.0), "T"),
    };
    let rounded = (value * 10.0).round() / 10.0;
    format!("{}{unit}", rounded + 0.0)
}

/// `used/total` of a resource.
pub(super) fn share(used: &[Resource], total: &[Resource], name: &str) -> String {
    let (used, total) = (scalar(used, name), scalar(total, name));
    match name {
        "mem" | "disk" => format!("{}/{}", megabytes(used), megabytes(total)),
        _ => format!("{}/{}", number(used), number(total)),
    }
}

/// An amount of a resource.
pub(super) fn amount(resources: &[Resource], name: &str) -> String {
    let value = scalar(resources, name);
    match name {
        "mem" | "disk" => megabytes(value),
        _ => number(value),
    }
}

/// All resources in one line: `cpus:4; mem:1024; ports:[31000-32000]`.
pub(super) fn resources(resources: &[Resource]) -> String {
    let mut scalars: BTreeMap<&str, f64> = BTreeMap::new();
    let mut others = Vec::new();
    for resource in resources {
        let name = resource.name.as_str();
        if let Some(scalar) = &resource.scalar {
            *scalars.entry(name).or_default() += scalar.value;
        }
        if let Some(ranges) = &resource.ranges {
            let ranges = ranges.range.iter();
            let ranges: Vec<String> = ranges
                .map(|range| format!("{}-{}", range.begin, range.end))
                .collect();
            others.push(format!("{name}:[{}]", ranges.join(",")));
        }
        if let Some(set) = &resource.set {
            others.push(format!("{name}:{{{}}}", set.item.join(",")));
        }
    }
    let scalars = scalars
        .iter()
        .map(|(name, value)| format!("{name}:{}", number(*value)));
    let parts: Vec<String> = scalars.chain(others).collect();
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join("; ")
    }
}

/// Amounts by name, as quotas have them.
pub(super) fn amounts<'a>(
    amounts: impl IntoIterator<Item = (&'a String, &'a v1::value::Scalar)>,
) -> String {
    let mut parts: Vec<String> = amounts
        .into_iter()
        .map(|(name, scalar)| format!("{name}:{}", number(scalar.value)))
        .collect();
    parts.sort_unstable();
    if parts.is_empty() {
        "-".to_owned()
    } else {
        parts.join(";")
    }
}

/// A task's state without what all states have in common.
pub(super) fn state(state: TaskState) -> String {
    let name = state.as_str_name();
    name.strip_prefix("TASK_").unwrap_or(name).to_lowercase()
}

/// The moment that a message names, if it is after the epoch.
pub(super) fn moment(time: TimeInfo) -> Option<SystemTime> {
    let nanoseconds = u64::try_from(time.nanoseconds).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_nanos(nanoseconds))
}

/// A length of time, as people write it: `1h 30m`.
pub(super) fn duration(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

/// The moment of so many seconds after the epoch, if there is one.
pub(super) fn moment_of(seconds: f64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

/// How long ago something was, in its largest unit.
pub(super) fn age(moment: Option<SystemTime>, now: SystemTime) -> String {
    let Some(moment) = moment else {
        return "-".to_owned();
    };
    let seconds = now.duration_since(moment).unwrap_or_default().as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A moment in full.
pub(super) fn time(moment: SystemTime) -> String {
    humantime::format_rfc3339_seconds(moment).to_string()
}

/// A moment in full, and how long ago it was.
pub(super) fn time_and_age(moment: Option<SystemTime>, now: SystemTime) -> String {
    match moment {
        Some(at) => format!("{} ({} ago)", time(at), age(moment, now)),
        None => String::new(),
    }
}

/// A text from outside, without what could steer a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A count of things.
pub(super) fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_unit_that_suits_them() {
        assert_eq!(megabytes(512.0), "512M");
        assert_eq!(megabytes(1536.0), "1.5G");
        assert_eq!(megabytes(3.0 * 1024.0 * 1024.0), "3T");
        assert_eq!(number(0.1 + 0.2), "0.3");
        assert_eq!(number(-0.0), "0");
    }

    #[test]
    fn ages_have_one_unit() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let since = |seconds| age(Some(UNIX_EPOCH), at(seconds));
        assert_eq!(since(119), "119s");
        assert_eq!(since(120), "2m");
        assert_eq!(since(7_200), "2h");
        assert_eq!(since(172_800), "2d");
        assert_eq!(age(None, at(1)), "-");
        assert_eq!(age(Some(at(9)), at(1)), "0s");
    }
}
