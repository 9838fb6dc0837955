/// The query of a request: decoded names and values in order.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a>(pub &'a [(String, String)]);

impl<'a> Query<'a> {
    /// The value of a parameter; of one that is given twice, the last.
    pub fn get(self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().rfind(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether a record is asked for: every one is, unless the parameter names another.
    pub fn selects(self, name: &str, id: &str) -> bool {
        self.get(name).is_none_or(|wanted| wanted == id)
    }
}

/// The segments of a decoded path, without the name of the process in front, which every endpoint
/// may be called with or without. Empty segments do not count: some clients double slashes.
pub fn route<'a>(path: &'a str, process: &str) -> Vec<&'a str> {
    let mut segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    if segments.first() == Some(&process) {
        segments.remove(0);
    }
    segments
}

/// The name of an endpoint from its segment: `state.json` is the older name of `state`.
pub fn endpoint(segment: &str) -> &str {
    segment.strip_suffix(".json").unwrap_or(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_and_doubled_slashes_do_not_count() {
        assert_eq!(route("/state", "master"), ["state"]);
        assert_eq!(
            route("//master//api/v1/scheduler/", "master"),
            ["api", "v1", "scheduler"]
        );
        assert_eq!(route("/master/master", "master"), ["master"]);
        assert!(route("/", "master").is_empty());
        assert_eq!(endpoint("state.json"), "state");
    }

    #[test]
    fn the_last_value_of_a_parameter_counts() {
        let pairs = [("a", "1"), ("b", ""), ("a", "2")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let query = Query(&pairs);
        assert_eq!(query.get("a"), Some("2"));
        assert_eq!(query.get("c"), None);
        assert!(query.selects("c", "x") && query.selects("a", "2") && !query.selects("b", "x"));
    }
}
