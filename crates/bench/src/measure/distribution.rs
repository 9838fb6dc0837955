//! Times, counted rather than kept.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Times are counted to three digits.
const DIGITS: u8 = 3;

/// How long things took. It takes the same memory however many there were.
#[derive(Debug, Clone)]
pub(crate) struct Distribution {
    /// In microseconds. None only if the library refused its own parameters.
    histogram: Option<Histogram<u64>>,
}

impl Default for Distribution {
    fn default() -> Self {
        Self {
            histogram: Histogram::new(DIGITS).ok(),
        }
    }
}

impl Distribution {
    pub(crate) fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(histogram) = &mut self.histogram {
            // It grows as it needs to, so that nothing is out of range.
            let _ = histogram.record(micros);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        if let (Some(all), Some(other)) = (&mut self.histogram, &other.histogram) {
            // Both grow as they need to, so that nothing is out of range.
            let _ = all.add(other);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.histogram.as_ref().map_or(0, Histogram::len)
    }

    /// The time within which so many hundredths of all lie; zero if there are none.
    pub(crate) fn percentile(&self, hundredths: f64) -> Duration {
        let micros = self
            .histogram
            .as_ref()
            .map_or(0, |histogram| histogram.value_at_percentile(hundredths));
        Duration::from_micros(micros).min(self.max())
    }

    pub(crate) fn max(&self) -> Duration {
        Duration::from_micros(self.histogram.as_ref().map_or(0, Histogram::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_thousandth_of_what_was_measured() {
        let mut times = Distribution::default();
        for millis in 1..=200 {
            times.add(Duration::from_millis(millis));
        }
        for (hundredths, expected) in [(50.0, 100), (99.0, 198), (100.0, 200)] {
            let found = times.percentile(hundredths).as_micros();
            let expected = expected * 1000;
            assert!(found.abs_diff(expected) <= expected / 1000, "{found}");
        }
        assert_eq!(times.count(), 200);
        assert_eq!(Distribution::default().percentile(50.0), Duration::ZERO);
    }
}
