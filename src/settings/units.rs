//! Durations and sizes as a person writes them: a number and its unit, never a bare number.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A duration such as "90s", "15m", "2h 30m" or "7days".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(Duration);

impl HumanDuration {
    pub fn get(self) -> Duration {
        self.0
    }
}

impl From<Duration> for HumanDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_bare_number(text) {
            return Err(format!("{text:?} has no unit: write \"{text}s\" for seconds"));
        }
        let problem =
            |_| format!("{text:?} is not a duration: write \"90s\", \"15m\", \"2h 30m\" or \"7days\"");
        humantime::parse_duration(text).map(Self).map_err(problem)
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A number of bytes such as "1 MiB" (1024 × 1024) or "1 MB" (1,000,000).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanSize(u64);

impl HumanSize {
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl From<u64> for HumanSize {
    fn from(bytes: u64) -> Self {
        Self(bytes)
    }
}

impl FromStr for HumanSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_bare_number(text) {
            return Err(format!("{text:?} has no unit: write \"{text} B\" for bytes"));
        }
        let problem = |_| format!("{text:?} is not a size: write \"512 MiB\", \"2 GiB\" or \"10 MB\"");
        text.parse::<ByteSize>().map(|size| Self(size.as_u64())).map_err(problem)
    }
}

impl fmt::Display for HumanSize {
    /// Exact: the largest binary unit that divides the number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        match units.iter().find(|(bits, _)| self.0 > 0 && self.0.trailing_zeros() >= *bits) {
            Some((bits, unit)) => write!(f, "{} {unit}", self.0 >> bits),
            None => write!(f, "{} B", self.0),
        }
    }
}

fn is_bare_number(text: &str) -> bool {
    text.trim().parse::<f64>().is_ok_and(f64::is_finite)
}

/// Writes serde by the text form. A number is read only to say that its unit is missing.
macro_rules! with_unit {
    ($name:ident, $expected:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$name, E> {
                        self.visit_str(&number.to_string())
                    }
                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$name, E> {
                        self.visit_str(&number.to_string())
                    }
                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<$name, E> {
                        self.visit_str(&number.to_string())
                    }
                }
                deserializer.deserialize_any(Text)
            }
        }
    };
}
with_unit!(HumanDuration, "a duration with its unit, such as \"15m\"");
with_unit!(HumanSize, "a size with its unit, such as \"512 MiB\"");

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> u64 {
        text.parse::<HumanDuration>().unwrap().get().as_secs()
    }

    fn bytes(text: &str) -> u64 {
        text.parse::<HumanSize>().unwrap().bytes()
    }

    #[test]
    fn units_are_read() {
        assert_eq!(
            [seconds("90s"), seconds("2h 30m"), seconds("7days"), seconds("0s")],
            [90, 9000, 604_800, 0]
        );
        assert_eq!(
            [bytes("1 GiB"), bytes("1.5 KiB"), bytes("10 MB"), bytes("7 B")],
            [1 << 30, 1536, 10_000_000, 7]
        );
    }

    #[test]
    fn a_bare_number_is_told_that_its_unit_is_missing() {
        for bare in ["900", "1.5", "-3", "0", " 12 "] {
            assert!(bare.parse::<HumanDuration>().unwrap_err().contains("has no unit"), "{bare}");
            assert!(bare.parse::<HumanSize>().unwrap_err().contains("has no unit"), "{bare}");
        }
        let error = serde_json::from_str::<HumanDuration>("900").unwrap_err();
        assert!(error.to_string().contains("\"900\" has no unit: write \"900s\""), "{error}");
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "soon", "15 parsecs", "-15m", "inf", "nan"] {
            assert!(bad.parse::<HumanDuration>().is_err(), "{bad}");
            assert!(bad.parse::<HumanSize>().is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_duration_reads_back_as_it_prints(ms in 0..u64::from(u32::MAX) * 1000) {
            let duration = HumanDuration(Duration::from_millis(ms));
            proptest::prop_assert_eq!(duration.to_string().parse::<HumanDuration>().unwrap(), duration);
        }

        #[test]
        fn a_size_reads_back_as_it_prints(number in 0..1u64 << 22, shift in 0..40u32) {
            let size = HumanSize(number << shift);
            proptest::prop_assert_eq!(size.to_string().parse::<HumanSize>().unwrap(), size);
        }
    }
}
