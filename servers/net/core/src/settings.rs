//! What the network service is told at its start: how the interface gets its addresses, and which
//! component may do what. Lines of text, as they stand in `system.toml`:
//!
//! ```text
//! dhcp
//! slaac
//! address 192.168.1.20/24
//! gateway 192.168.1.1
//! name-server 192.168.1.1
//! allow http listen/tcp *:80
//! allow shell any
//! ```

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use crate::filter::{Rule, RuleError};
use crate::stack::Config;

/// Settings that were read.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How the interface gets its addresses.
    pub config: Config,
    /// Names of components, each with something that it may do.
    pub rules: Vec<(String, Rule)>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong, and what would be accepted.
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Word(String),
    Address(String),
    Prefix(String),
    Allow,
    Rule(RuleError),
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.what {
            What::Word(word) => write!(
                f,
                "found `{word}`; expected one of: dhcp, slaac, address, gateway, name-server, allow"
            ),
            What::Address(text) => write!(f, "found `{text}`; expected an address like 10.0.0.1"),
            What::Prefix(text) => {
                write!(
                    f,
                    "found `{text}`; expected an address with its network like 10.0.0.2/24"
                )
            }
            What::Allow => f.write_str("expected `allow COMPONENT RULE`"),
            What::Rule(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for SettingsError {}

impl Settings {
    /// Reads settings. Empty lines, and what follows a `#`, count for nothing.
    ///
    /// # Errors
    /// The first line that is none.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.split('#').next().unwrap_or(text).trim();
            if text.is_empty() {
                continue;
            }
            let read = settings.take(text);
            read.map_err(|what| SettingsError { line, what })?;
        }
        Ok(settings)
    }

    fn take(&mut self, text: &str) -> Result<(), What> {
        let (word, rest) = match text.split_once(char::is_whitespace) {
            Some((word, rest)) => (word, rest.trim()),
            None => (text, ""),
        };
        match word {
            "dhcp" if rest.is_empty() => self.config.dhcp = true,
            "slaac" if rest.is_empty() => self.config.slaac = true,
            "address" => self.config.addresses.push(network(rest)?),
            "gateway" => self.config.gateways.push(address(rest)?),
            "name-server" => self.config.name_servers.push(address(rest)?),
            "allow" => {
                let (component, rule) = rest.split_once(char::is_whitespace).ok_or(What::Allow)?;
                let rule = Rule::parse(rule).map_err(What::Rule)?;
                self.rules.push((component.into(), rule));
            }
            _ => return Err(What::Word(text.into())),
        }
        Ok(())
    }
}

fn address(text: &str) -> Result<IpAddr, What> {
    text.parse().map_err(|_| What::Address(text.into()))
}

fn network(text: &str) -> Result<(IpAddr, u8), What> {
    let wrong = || What::Prefix(text.into());
    let (ip, bits) = text.split_once('/').ok_or_else(wrong)?;
    let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
    let bits: u8 = bits.parse().map_err(|_| wrong())?;
    if bits > if ip.is_ipv4() { 32 } else { 128 } {
        return Err(wrong());
    }
    Ok((ip, bits))
}

#[cfg(test)]
mod tests {
    use super::Settings;
    use crate::filter::Action;
    use alloc::string::ToString;

    #[test]
    fn what_stands_in_the_table_is_read() {
        let text = "
            dhcp   # QEMU answers
            slaac
            address fd00::2/64
            gateway 10.0.2.2
            allow http listen/tcp *:80
        ";
        let settings = Settings::parse(text).unwrap();
        assert!(settings.config.dhcp && settings.config.slaac);
        assert_eq!(
            settings.config.addresses,
            [("fd00::2".parse().unwrap(), 64)]
        );
        assert_eq!(settings.config.gateways.len(), 1);
        let (name, rule) = &settings.rules[0];
        assert_eq!(name, "http");
        assert!(rule.allows(Action::ListenTcp, ([0, 0, 0, 0], 80).into()));
        assert!(!rule.allows(Action::ConnectTcp, ([10, 0, 2, 2], 80).into()));
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        for (text, says) in [
            ("dhcp\nDHCP", "line 2: found `DHCP`; expected one of"),
            (
                "address 10.0.0.1",
                "line 1: found `10.0.0.1`; expected an address with",
            ),
            ("address 10.0.0.1/33", "with its network like"),
            ("gateway here", "expected an address like"),
            ("allow shell", "expected `allow COMPONENT RULE`"),
            ("allow shell fly *", "expected one of: any, listen"),
            ("dhcp twice", "found `dhcp twice`"),
        ] {
            let error = Settings::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
