//! Numbers in text, as C++ prints and reads them.

/// A number with up to 15 significant digits, as C++ streams print a double at that precision.
pub(crate) fn print(value: f64) -> String {
    const DIGITS: i32 = 15;
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 {
            "0".into()
        } else {
            value.to_string()
        };
    }
    let scientific = format!("{value:.14e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..DIGITS).contains(&exponent) {
        let decimals = usize::try_from(DIGITS - 1 - exponent).unwrap_or(0);
        return trim(&format!("{value:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
}

fn trim(number: &str) -> &str {
    if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_in_cpp() {
        for (value, text) in [
            (0.0, "0"),
            (0.1, "0.1"),
            (4096.0, "4096"),
            (1.001, "1.001"),
            (123_456_789_012.345, "123456789012.345"),
            (123_456_789_012_345.0, "123456789012345"),
            (1e15, "1e+15"),
            (9_007_199_254_740_993.0, "9.00719925474099e+15"),
            (-2.5, "-2.5"),
        ] {
            assert_eq!(print(value), text);
        }
    }
}
