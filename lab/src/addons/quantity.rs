//! Kubernetes quantities ("5Gi", "100M", "1e9") as whole bytes, so that sizes can be compared.

/// The bytes a storage quantity stands for, rounded up; `None` when it is no quantity.
#[must_use]
pub fn bytes(quantity: &str) -> Option<u128> {
    let split = quantity.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '+').unwrap_or(quantity.len());
    let (number, suffix) = quantity.split_at(split);
    let (whole, fraction) =
        number.trim_start_matches('+').split_once('.').unwrap_or((number.trim_start_matches('+'), ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    // The number is digits / 10^scale.
    let digits: u128 = format!("0{whole}{fraction}").parse().ok()?;
    let scale = u32::try_from(fraction.len()).ok()?;
    let (factor, divisor) = unit(suffix)?;
    let numerator = digits.checked_mul(factor)?;
    let denominator = 10_u128.checked_pow(scale)?.checked_mul(divisor)?;
    Some(numerator.div_ceil(denominator))
}

/// A suffix as a fraction.
fn unit(suffix: &str) -> Option<(u128, u128)> {
    let decimal = |power: u32| Some((10_u128.pow(power), 1));
    let binary = |power: u32| Some((1024_u128.pow(power), 1));
    match suffix {
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1_000)),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => exponent(suffix),
    }
}

fn exponent(suffix: &str) -> Option<(u128, u128)> {
    let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let ten = 10_u128.checked_pow(power.unsigned_abs())?;
    Some(if power < 0 { (1, ten) } else { (ten, 1) })
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn every_way_to_write_a_size_is_understood() {
        for (text, expected) in [
            ("0", 0),
            ("1024", 1024),
            ("20Gi", 20 << 30),
            ("100M", 100_000_000),
            ("1.5Gi", 3 << 29),
            (".5k", 500),
            ("1e3", 1000),
            ("12E2", 1200),
            ("5E", 5_000_000_000_000_000_000),
            ("128e-1", 13),
            ("1500m", 2),
            ("+3Ki", 3072),
        ] {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_none() {
        for text in ["", "Gi", ".", "1.2.3", "-1", "5GB", "1e", "99999999999999999999999999999999999999999Ei"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
