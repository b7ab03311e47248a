//! Amounts, in whole cents.

/// Reads `12`, `12.5` or `-12.50`; `None` for anything else.
pub fn read(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (whole, cents) = digits.split_once('.').unwrap_or((digits, "0"));
    let numeric = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !numeric(whole) || !numeric(cents) || cents.len() > 2 {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let mut parsed: i64 = cents.parse().ok()?;
    if cents.len() == 1 {
        parsed *= 10;
    }
    Some(sign * whole.checked_mul(100)?.checked_add(parsed)?)
}

/// Writes an amount with two decimals.
pub fn write(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let cents = cents.unsigned_abs();
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}
