//! Numbers that a component's line in the system's description sets, by name.
//!
//! The line's `arguments` are lines `NAME NUMBER`; what is not set keeps its value. Other forms of arguments are a
//! component's own affair.

use core::fmt;
use core::ops::RangeInclusive;

/// A number with a name.
#[derive(Debug)]
pub struct Setting<'s> {
    /// What the line calls it.
    pub name: &'static str,
    /// What it can be.
    pub range: RangeInclusive<u32>,
    /// Where it goes.
    pub value: &'s mut u32,
}

/// What is wrong with arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    /// The line, from 1 on.
    pub line: usize,
    /// What it sets, and what that can be; `None` if there is no such setting.
    pub wanted: Option<(&'static str, RangeInclusive<u32>)>,
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.wanted {
            Some((name, range)) => write!(
                f,
                "`{name}` takes a number from {} to {}",
                range.start(),
                range.end()
            ),
            None => f.write_str("there is no setting of this name"),
        }
    }
}

/// Sets what `arguments` set, up to the first line that is wrong.
///
/// # Errors
/// That line.
pub fn read_settings(arguments: &str, settings: &mut [Setting<'_>]) -> Result<(), SettingError> {
    for (line, text) in (1..).zip(arguments.lines()) {
        let mut words = text.split_whitespace();
        let Some(name) = words.next() else {
            continue;
        };
        let setting = settings.iter_mut().find(|setting| setting.name == name);
        let setting = setting.ok_or(SettingError { line, wanted: None })?;
        let number = words.next().and_then(|word| word.parse().ok());
        let number = number.filter(|number| setting.range.contains(number));
        match (number, words.next()) {
            (Some(number), None) => *setting.value = number,
            _ => {
                let wanted = Some((setting.name, setting.range.clone()));
                return Err(SettingError { line, wanted });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Setting, SettingError, read_settings};
    use std::string::ToString;

    fn read(arguments: &str) -> (Result<(), SettingError>, u32, u32) {
        let (mut one, mut two) = (1, 2);
        let result = read_settings(
            arguments,
            &mut [
                Setting {
                    name: "one",
                    range: 1..=10,
                    value: &mut one,
                },
                Setting {
                    name: "two",
                    range: 0..=u32::MAX,
                    value: &mut two,
                },
            ],
        );
        (result, one, two)
    }

    #[test]
    fn what_is_set_is_set_and_the_rest_stays() {
        assert_eq!(read(""), (Ok(()), 1, 2));
        assert_eq!(read("\n two 7 \n\n"), (Ok(()), 1, 7));
        assert_eq!(read("one 10\ntwo 4294967295\none 3"), (Ok(()), 3, u32::MAX));
    }

    #[test]
    fn the_first_line_that_is_wrong_is_named() {
        for (arguments, message) in [
            ("three 3", "line 1: there is no setting of this name"),
            ("two 1\none", "line 2: `one` takes a number from 1 to 10"),
            ("one 0", "line 1: `one` takes a number from 1 to 10"),
            ("one 11", "line 1: `one` takes a number from 1 to 10"),
            ("one 1 2", "line 1: `one` takes a number from 1 to 10"),
            ("one -1", "line 1: `one` takes a number from 1 to 10"),
            (
                "two 4294967296",
                "line 1: `two` takes a number from 0 to 4294967295",
            ),
        ] {
            let error = read(arguments).0.unwrap_err();
            assert_eq!(error.to_string(), message, "{arguments}");
        }
    }
}
