//! The limits of the rules, their defaults, and the file that overrides them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnose::rules::{RULES, Rule};
use crate::error::{Error, Result};
use crate::fmt::escape::printable;

/// The file that is read by default; it need not exist.
pub const DEFAULT_PATH: &str = "/etc/diagnose-tools/tcpstates.toml";

/// The key in each section that disables the rule.
const ENABLED: &str = "enabled";

/// One limit of a rule.
#[derive(Debug)]
pub struct Limit {
    /// Its key in the rule's section of the file.
    pub key: &'static str,
    /// The value without the file.
    pub default: u64,
    /// Minimum and maximum value in the file.
    pub range: (u64, u64),
    /// Unit of the value.
    pub unit: &'static str,
    /// The reason for the default.
    pub why: &'static str,
}

/// The limits of all rules.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Limits {
    set: HashMap<(&'static str, &'static str), u64>,
    disabled: Vec<&'static str>,
}

impl Limits {
    /// Reads the file at `path`, or the default one.
    ///
    /// # Errors
    /// [`Error::Usage`] names the file, the line, the key and what is allowed.
    pub fn load(path: Option<&Path>) -> Result<Self> {
        let missing = |e: &io::Error| path.is_none() && e.kind() == io::ErrorKind::NotFound;
        let file = path.map_or_else(|| PathBuf::from(DEFAULT_PATH), Path::to_owned);
        let name = printable(&file.to_string_lossy());
        match fs::read_to_string(&file) {
            Ok(text) => {
                Self::parse(&text).map_err(|reason| Error::Usage(format!("{name}{reason}")))
            }
            Err(error) if missing(&error) => Ok(Self::default()),
            Err(error) => Err(Error::Usage(format!("{name}: {error}"))),
        }
    }

    /// Parses the text of the file.
    ///
    /// # Errors
    /// `:LINE: problem`, to be appended to the file name.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let at =
            |span: Range<usize>, reason: String| format!(":{}: {reason}", line(text, span.start));
        let document = DeTable::parse(text).map_err(|e| {
            let reason = printable(e.message().lines().next().unwrap_or("it is not TOML"));
            at(e.span().unwrap_or_default(), reason)
        })?;
        let mut limits = Self::default();
        for (name, section) in document.get_ref() {
            let rule = rule(name.get_ref()).map_err(|reason| at(name.span(), reason))?;
            let DeValue::Table(keys) = section.get_ref() else {
                let reason = format!(
                    "'{}' is not a section: write [{0}] above its keys",
                    rule.name()
                );
                return Err(at(name.span(), reason));
            };
            for (key, value) in keys {
                limits
                    .set(rule, key.get_ref(), value)
                    .map_err(|(of_key, reason)| {
                        at(if of_key { key.span() } else { value.span() }, reason)
                    })?;
            }
        }
        Ok(limits)
    }

    /// Sets one pair. The error says whether the key is wrong, and why.
    fn set(
        &mut self,
        rule: &'static Rule,
        key: &str,
        value: &Spanned<DeValue>,
    ) -> std::result::Result<(), (bool, String)> {
        let section = rule.name();
        if key == ENABLED {
            match value.get_ref() {
                DeValue::Boolean(true) => {}
                DeValue::Boolean(false) => self.disabled.push(section),
                _ => {
                    return Err((
                        false,
                        format!("bad value of '{section}.{ENABLED}'; allowed: true or false"),
                    ));
                }
            }
            return Ok(());
        }
        let Some(limit) = rule.limits.iter().find(|l| l.key == key) else {
            let keys = rule.limits.iter().map(|l| l.key);
            let keys: Vec<_> = [ENABLED].into_iter().chain(keys).collect();
            let reason = format!(
                "unknown key '{section}.{}'; allowed keys: {}",
                printable(key),
                keys.join(" ")
            );
            return Err((true, reason));
        };
        let (low, high) = limit.range;
        let number = integer(value.get_ref()).filter(|n| (low..=high).contains(n));
        let number = number.ok_or_else(|| {
            (
                false,
                format!(
                    "bad value of '{section}.{key}'; allowed: {low} to {high} ({})",
                    limit.unit
                ),
            )
        })?;
        self.set.insert((section, limit.key), number);
        Ok(())
    }

    /// The limits that a file has set, in a fixed order.
    pub fn text(&self) -> String {
        let set = self.set.iter();
        let mut texts: Vec<_> = set.map(|((s, key), n)| format!("{s}.{key}={n}")).collect();
        texts.sort_unstable();
        texts.join(" ")
    }

    /// Whether a rule is enabled.
    pub fn enabled(&self, rule: &Rule) -> bool {
        !self.disabled.contains(&rule.name())
    }

    /// A limit of a rule.
    pub fn get(&self, rule: &Rule, limit: &Limit) -> u64 {
        let set = self.set.get(&(rule.name(), limit.key));
        set.copied().unwrap_or(limit.default)
    }
}

fn rule(name: &str) -> std::result::Result<&'static Rule, String> {
    let found = RULES.iter().find(|rule| rule.name() == name);
    found.copied().ok_or_else(|| {
        let sections: Vec<_> = RULES.iter().map(|rule| rule.name()).collect();
        let name = printable(name);
        format!(
            "unknown section '{name}'; allowed sections: {}",
            sections.join(" ")
        )
    })
}

/// A number in a TOML notation: `1_000`, `0x10` …
fn integer(value: &DeValue) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// The number of the line that contains a byte.
fn line(text: &str, byte: usize) -> usize {
    let before = text.as_bytes().iter().take(byte);
    1 + before.filter(|b| **b == b'\n').count()
}
