//! Quantities such as `500m` and `1Gi`, in the form in which a server writes them.

use std::cmp::Ordering;

const NANO: i128 = 1_000_000_000;

/// A quantity, exact to a billionth.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nano: i128,
    form: Form,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    #[default]
    Decimal,
    Binary,
    Exponent,
}

const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl Quantity {
    /// Nothing for what is no quantity.
    pub fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let negative = text.starts_with('-');
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let (form, factor, shift) = scale(suffix)?;
        let digits = format!("{whole}{fraction}");
        let places = i32::try_from(fraction.len()).ok()?;
        let mantissa = if digits.is_empty() { 0 } else { digits.parse::<i128>().ok()? };
        let exponent = shift + 9 - places;
        let scaled = mantissa.checked_mul(factor)?;
        let nano = if exponent >= 0 {
            scaled.checked_mul(10_i128.checked_pow(u32::try_from(exponent).ok()?)?)?
        } else {
            // What is finer than a billionth is rounded away from zero.
            let divisor = 10_i128.checked_pow(u32::try_from(-exponent).ok()?)?;
            scaled.div_euclid(divisor) + i128::from(scaled.rem_euclid(divisor) != 0)
        };
        Some(Self { nano: if negative { -nano } else { nano }, form })
    }

    /// As it is written: the largest suffix that leaves no fraction.
    pub fn canonical(&self) -> String {
        if self.nano == 0 {
            return "0".to_owned();
        }
        let whole = self.nano % NANO == 0;
        let small = self.nano.abs() < 1024 * NANO;
        if self.form == Form::Binary && whole && !small {
            let (mut mantissa, mut power) = (self.nano / NANO, 0);
            while mantissa % 1024 == 0 && power < BINARY.len() {
                mantissa /= 1024;
                power += 1;
            }
            let suffix = if power == 0 { "" } else { BINARY[power - 1] };
            return format!("{mantissa}{suffix}");
        }
        let (mut mantissa, mut power) = (self.nano, 0);
        while mantissa % 1000 == 0 && power < DECIMAL.len() - 1 {
            mantissa /= 1000;
            power += 1;
        }
        let (suffix, exponent) = DECIMAL[power];
        match self.form {
            Form::Exponent if exponent != 0 => format!("{mantissa}e{exponent}"),
            _ => format!("{mantissa}{suffix}"),
        }
    }

    /// How the sum of both is written: nothing has no form of its own.
    fn form_with(self, other: Self) -> Form {
        if self.is_zero() { other.form } else { self.form }
    }

    /// Whether this has no fraction.
    pub fn is_whole(&self) -> bool {
        self.nano % NANO == 0
    }

    /// Whether this is less than nothing.
    pub fn is_negative(&self) -> bool {
        self.nano < 0
    }

    /// Whether this is nothing.
    pub fn is_zero(&self) -> bool {
        self.nano == 0
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nano.cmp(&other.nano)
    }
}

impl std::ops::Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { nano: self.nano.saturating_sub(other.nano), form: self.form_with(other) }
    }
}

impl std::ops::Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { nano: self.nano.saturating_add(other.nano), form: self.form_with(other) }
    }
}

/// What a suffix stands for: a factor and a power of ten.
fn scale(suffix: &str) -> Option<(Form, i128, i32)> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some((Form::Decimal, 1, *exponent));
    }
    if let Some(power) = BINARY.iter().position(|name| *name == suffix) {
        return Some((Form::Binary, 1024_i128.pow(u32::try_from(power + 1).ok()?), 0));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?;
    (exponent.abs() <= 18).then_some((Form::Exponent, 1, exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_written_with_the_largest_suffix_that_fits() {
        for (given, written) in [
            ("1024Mi", "1Gi"),
            ("1Gi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1536Mi", "1536Mi"),
            ("1000m", "1"),
            ("0.5", "500m"),
            ("100m", "100m"),
            ("1000", "1k"),
            ("1e3", "1e3"),
            ("512Ki", "512Ki"),
            ("0.5Ki", "512"),
            ("0", "0"),
            ("0Gi", "0"),
            ("-2000", "-2k"),
            ("0.1m", "100u"),
            (".5", "500m"),
        ] {
            assert_eq!(Quantity::parse(given).map(|read| read.canonical()).as_deref(), Some(written), "{given}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_not_read() {
        for given in ["", "a", "1x", "1..2", "Gi", "1 Gi", "--1"] {
            assert!(Quantity::parse(given).is_none(), "{given}");
        }
    }

    #[test]
    fn quantities_compare_by_size_and_not_by_suffix() {
        let read = |text| Quantity::parse(text).unwrap();
        assert_eq!(read("1Gi"), read("1024Mi"));
        assert!(read("1Gi") > read("1G"));
    }
}
