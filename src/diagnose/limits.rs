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
use crate::fmt::errno;
use crate::fmt::escape::printable;
use crate::fmt::text::{Text, Words, text};

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
    pub unit: Words,
    /// The reason for the default.
    pub why: Words,
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
            Ok(text) => Self::parse(&text).map_err(|reason| {
                Error::Usage(text!("{name}{reason}", "文件 {name}{reason}"; reason))
            }),
            Err(error) if missing(&error) => Ok(Self::default()),
            Err(error) => {
                let reason = errno::of(&error);
                Err(Error::Usage(
                    text!("{name}: {reason}", "读取 {name} 失败：{reason}"; reason),
                ))
            }
        }
    }

    /// Parses the text of the file.
    ///
    /// # Errors
    /// `:LINE: problem`, to be appended to the file name.
    pub fn parse(text: &str) -> std::result::Result<Self, Text> {
        let at = |span: Range<usize>, reason: Text| {
            let line = line(text, span.start);
            text!(":{line}: {reason}", " 第 {line} 行：{reason}"; reason)
        };
        let document = DeTable::parse(text).map_err(|e| {
            let reason = printable(e.message().lines().next().unwrap_or("it is not TOML"));
            at(e.span().unwrap_or_default(), Text::same(reason))
        })?;
        let mut limits = Self::default();
        for (name, section) in document.get_ref() {
            let rule = rule(name.get_ref()).map_err(|reason| at(name.span(), reason))?;
            let DeValue::Table(keys) = section.get_ref() else {
                let section = rule.name();
                let reason = text!(
                    "'{section}' is not a section: write [{section}] above its keys",
                    "'{section}' 不是小节：请在其键之前写 [{section}]"
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
    ) -> std::result::Result<(), (bool, Text)> {
        let section = rule.name();
        if key == ENABLED {
            match value.get_ref() {
                DeValue::Boolean(true) => {}
                DeValue::Boolean(false) => self.disabled.push(section),
                _ => {
                    return Err((
                        false,
                        text!(
                            "bad value of '{section}.{ENABLED}'; allowed: true or false",
                            "'{section}.{ENABLED}' 的值无效；可用的值：`true` 或 `false`"
                        ),
                    ));
                }
            }
            return Ok(());
        }
        let Some(limit) = rule.limits.iter().find(|l| l.key == key) else {
            let keys = rule.limits.iter().map(|l| l.key);
            let keys: Vec<_> = [ENABLED].into_iter().chain(keys).collect();
            let (key, keys) = (printable(key), keys.join(" "));
            let reason = text!(
                "unknown key '{section}.{key}'; allowed keys: {keys}",
                "未知的键 '{section}.{key}'；可用的键：{keys}"
            );
            return Err((true, reason));
        };
        let (low, high) = limit.range;
        let number = integer(value.get_ref()).filter(|n| (low..=high).contains(n));
        let number = number.ok_or_else(|| {
            let unit = limit.unit;
            let reason = text!(
                "bad value of '{section}.{key}'; allowed: {low} to {high} ({unit})",
                "'{section}.{key}' 的值无效；可用的值：{low} 到 {high}（{unit}）";
                unit
            );
            (false, reason)
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

fn rule(name: &str) -> std::result::Result<&'static Rule, Text> {
    let found = RULES.iter().find(|rule| rule.name() == name);
    found.copied().ok_or_else(|| {
        let sections: Vec<_> = RULES.iter().map(|rule| rule.name()).collect();
        let (name, sections) = (printable(name), sections.join(" "));
        text!(
            "unknown section '{name}'; allowed sections: {sections}",
            "未知的小节 '{name}'；可用的小节：{sections}"
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
