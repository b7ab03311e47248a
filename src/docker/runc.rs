//! Which versions of runc let a container out. Pure.

/// Of the versions before 1.3 the first that is mended, and of those from 1.3 on: CVE-2025-31133, CVE-2025-52565 and
/// CVE-2025-52881, by which a container that is being started can write to the host's /proc.
const MENDED: Version = (1, 2, 8);
const NEXT: Version = (1, 3, 0);
const NEXT_MENDED: Version = (1, 3, 3);

type Version = (u32, u32, u32);

/// Whether runc's authors know of escapes from this version. A distribution may have mended it under the old number.
/// A version that can't be read is not judged.
pub(super) fn has_known_escapes(version: &str) -> bool {
    numbers(version).is_some_and(|version| version < MENDED || (NEXT..NEXT_MENDED).contains(&version))
}

/// The three numbers that it begins with, whatever a distribution puts behind them.
fn numbers(version: &str) -> Option<Version> {
    let version = version.trim();
    let mut parts = version.strip_prefix('v').unwrap_or(version).splitn(3, '.');
    let mut number = || {
        let part = parts.next()?;
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..end].parse().ok()
    };
    Some((number()?, number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_judged_by_their_numbers() {
        for old in [
            "1.0.0-rc93",
            "1.1.5+ds1",
            "1.1.12-0ubuntu3.1",
            "v1.2.7",
            "1.2.0",
            "1.3.0",
            "1.3.2~rc1",
            " 1.1.9\n",
        ] {
            assert!(has_known_escapes(old), "{old}");
        }
        for mended in ["1.2.8", "1.2.8-1~deb13u1", "1.2.10", "1.3.3", "v1.3.3+ds", "1.4.0", "2.0.0", "10.0.0"]
        {
            assert!(!has_known_escapes(mended), "{mended}");
        }
        for unknown in ["", "dev", "1", "1.1", "1.x.3", "99999999999.1.1"] {
            assert!(!has_known_escapes(unknown), "{unknown}");
        }
    }
}
