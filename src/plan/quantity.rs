//! Sizes as Kubernetes writes them, to be compared: API servers write `1024Mi` as `1Gi`.

/// A size in billionths of a byte, so that every suffix is a whole number of them. `None` for what is no quantity.
#[must_use]
pub fn parse(text: &str) -> Option<u128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u128>().ok() };
    let places = u32::try_from(fraction.len()).ok()?;
    let billionths = digits(whole)?.checked_mul(BILLION)?.checked_add(digits(fraction)? * 10_u128.pow(9 - places))?;
    let times = |factor: u128| billionths.checked_mul(factor);
    match suffix {
        "" => Some(billionths),
        "n" => Some(billionths / BILLION),
        "u" => Some(billionths / 1_000_000),
        "m" => Some(billionths / 1_000),
        _ => {
            let power = |letters: [&str; 6]| letters.iter().position(|letter| *letter == suffix);
            let decimal = power(["k", "M", "G", "T", "P", "E"]).map(|index| 1_000_u128.pow(to_power(index)));
            let binary = power(["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]).map(|index| 1_024_u128.pow(to_power(index)));
            match (decimal.or(binary), suffix.strip_prefix(['e', 'E'])) {
                (Some(factor), _) => times(factor),
                (None, Some(exponent)) => times(10_u128.checked_pow(exponent.parse().ok()?)?),
                (None, None) => None,
            }
        }
    }
}

const BILLION: u128 = 1_000_000_000;

fn to_power(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_are_written_otherwise_are_the_same() {
        for (one, other) in [
            ("1Gi", "1024Mi"),
            ("1Gi", "1073741824"),
            ("1.5Gi", "1536Mi"),
            ("1e3", "1k"),
            ("1000m", "1"),
            ("5E", "5e18"),
        ] {
            assert_eq!(parse(one), parse(other), "{one} {other}");
            assert!(parse(one).is_some(), "{one}");
        }
        for (less, more) in [("1G", "1Gi"), ("999Mi", "1Gi"), ("1Gi", "1.1Gi"), ("1Ti", "2Ti")] {
            assert!(parse(less) < parse(more), "{less} {more}");
        }
        for text in ["", "Gi", "1 Gi", "1gi", "-1Gi", "1.2.3", "1e", "many"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
