//! Dates of the Gregorian calendar, in UTC, for people.
//!
//! Years of the calendar begin here in March, so that the odd day of leap years comes last: then the day of a month follows
//! from a straight line (the months from March on have 153 days in each five).

use alloc::string::String;
use core::fmt;

const DAY: u64 = 86_400;
/// Days of 400 years.
const ERA_DAYS: u64 = 146_097;
/// Days from 1 March of year 0 to 1 January 1970.
const TO_1970: u64 = 719_468;
/// Last year that can be told.
const LAST_YEAR: u64 = 9999;

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Year.
    pub year: u64,
    /// Month, from 1.
    pub month: u64,
    /// Day, from 1.
    pub day: u64,
    /// Hour, minute and second.
    pub time: (u64, u64, u64),
}

impl Moment {
    /// The moment so many seconds after the beginning of 1970.
    #[must_use]
    pub const fn of(seconds: u64) -> Self {
        let days = seconds / DAY + TO_1970;
        let era = days / ERA_DAYS;
        let day_of_era = days % ERA_DAYS;
        // Without its leap days an era is 400 times 365 days.
        let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
        let year_of_era = (day_of_era - leap_days) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = (march_month + 2) % 12 + 1;
        let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
        let time = seconds % DAY;
        Self {
            year,
            month,
            day,
            time: (time / 3600, time / 60 % 60, time % 60),
        }
    }

    /// Seconds from the beginning of 1970; `None` for what is no moment of the years 1970 to 9999.
    #[must_use]
    pub fn seconds(&self) -> Option<u64> {
        let (hour, minute, second) = self.time;
        if !(1970..=LAST_YEAR).contains(&self.year) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let march_year = self.year - u64::from(self.month <= 2);
        let march_month = (self.month + 9) % 12;
        let day_of_year = (153 * march_month + 2) / 5 + self.day.checked_sub(1)?;
        let days =
            march_year * 365 + march_year / 4 - march_year / 100 + march_year / 400 + day_of_year
                - TO_1970;
        let seconds = days * DAY + hour * 3600 + minute * 60 + second;
        // The day or month was none if it comes out as another.
        (Self::of(seconds) == *self).then_some(seconds)
    }

    /// Reads `2026-11-30 12:34:56`; seconds, or the time of day, may be left out, and a `T` may stand between.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten()
        };
        let mut date = date.split('-').map(number);
        let mut time = time.split(':').map(number);
        let moment = Self {
            year: date.next()??,
            month: date.next()??,
            day: date.next()??,
            time: (
                time.next()??,
                time.next()??,
                time.next().unwrap_or(Some(0))?,
            ),
        };
        (date.next().is_none() && time.next().is_none()).then_some(moment)
    }

    /// The day of the week.
    #[must_use]
    pub fn weekday(&self) -> &'static str {
        const NAMES: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        let day = self.seconds().unwrap_or(0) / DAY % 7;
        NAMES.get(day as usize).copied().unwrap_or("?")
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second) = self.time;
        let text: String = alloc::format!(
            "{:04}-{:02}-{:02} {hour:02}:{minute:02}:{second:02}",
            self.year,
            self.month,
            self.day
        );
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::Moment;
    use alloc::string::ToString;

    #[test]
    fn known_moments() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_234_567_890, "2009-02-13 23:31:30"),
            (4_107_542_399, "2100-02-28 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
            (253_402_300_799, "9999-12-31 23:59:59"),
        ] {
            assert_eq!(Moment::of(seconds).to_string(), text);
            assert_eq!(Moment::read(text).unwrap().seconds(), Some(seconds));
        }
        assert_eq!(Moment::of(0).weekday(), "Thu");
        assert_eq!(Moment::of(1_796_000_000).weekday(), "Mon");
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let mut before = Moment::of(0);
        for day in 1..200_000_u64 {
            let now = Moment::of(day * 86_400);
            let next_day =
                (now.year, now.month, now.day) == (before.year, before.month, before.day + 1);
            let first = now.day == 1 && before.day >= 28 && now.month == before.month % 12 + 1;
            assert!(next_day || first, "{before} {now}");
            assert_eq!(now.seconds(), Some(day * 86_400));
            before = now;
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        assert_eq!(Moment::read("2026-11-30").unwrap().time, (0, 0, 0));
        assert_eq!(Moment::read("2026-11-30T01:02").unwrap().time, (1, 2, 0));
        for text in [
            "",
            "2026",
            "2026-11",
            "2026-11-30 1",
            "2026-11-30-1",
            "x-1-1",
            "2026-11-30 1:2:3:4",
            "+2026-1-1",
        ] {
            assert_eq!(Moment::read(text), None, "{text}");
        }
        for text in [
            "2026-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-01-00",
            "1969-12-31",
            "2026-01-01 24:00",
        ] {
            assert_eq!(Moment::read(text).unwrap().seconds(), None, "{text}");
        }
        assert_eq!(
            Moment::read("99999999999999-1-1").and_then(|m| m.seconds()),
            None
        );
    }
}
