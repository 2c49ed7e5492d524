//! Times and spans as people read them.

use std::time::SystemTime;

/// Seconds since 1970-01-01 UTC as `2026-11-22 00:12 UTC`.
pub fn date(seconds: u64) -> String {
    let [year, month, day, hour, minute, _] = civil(seconds);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// The same to the second, as ISO 8601 has it: `2026-11-22T00:12:33Z`.
pub fn iso(seconds: u64) -> String {
    let [year, month, day, hour, minute, second] = civil(seconds);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The same as names of files have it: `20261122_001233`.
pub fn stamp(seconds: u64) -> String {
    let [year, month, day, hour, minute, second] = civil(seconds);
    format!("{year}{month:02}{day:02}_{hour:02}{minute:02}{second:02}")
}

/// Year, month, day, hour, minute and second in UTC.
fn civil(seconds: u64) -> [u64; 6] {
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    // The civil calendar from days, by eras of 400 years that begin on 1 March (H. Hinnant, "chrono-compatible
    // low-level date algorithms").
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_based = (5 * of_year + 2) / 153;
    let date = of_year - (153 * march_based + 2) / 5 + 1;
    let month = if march_based < 10 { march_based + 3 } else { march_based - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    [year, month, date, second / 3600, second % 3600 / 60, second % 60]
}

pub fn now() -> String {
    date(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// A span of time in the unit that suits it.
pub fn span(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 100.0 => format!("{s:.1} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // From `date -u -d @…`.
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_827_696), "2000-02-29 12:34 UTC");
        assert_eq!(date(1_795_306_353), "2026-11-22 00:12 UTC");
        assert_eq!(date(4_107_542_399), "2100-02-28 23:59 UTC");
        assert_eq!((iso(951_827_696), stamp(951_827_696)), ("2000-02-29T12:34:56Z".into(), "20000229_123456".into()));
    }

    #[test]
    fn spans_are_in_the_unit_that_suits_them() {
        assert_eq!([2e-5, 0.0123, 2.345, 150.0, 7200.0].map(span), ["20 µs", "12 ms", "2.3 s", "2 min", "2.0 h"]);
    }
}
