//! The sentences of findings: each problem and each remedy in each language. Addresses, processes,
//! states, settings and function names are not translated. Untrusted names are escaped.

mod en;
#[cfg(test)]
mod tests;
mod zh;

use std::fmt::{self, Display, Formatter};

use crate::diagnose::finding::{Remedy, Setting};
use crate::diagnose::message::{HostAddress, SocketAddress};
use crate::diagnose::rules::{Action, Problem};
use crate::fmt::escape::printable;
use crate::fmt::line;
use crate::model::endpoint::{Address, endpoint};
use crate::render::i18n::Lang;

/// The problem in one sentence.
pub fn problem(lang: Lang, problem: &Problem) -> String {
    match lang {
        Lang::En => en::problem(problem),
        Lang::Zh => zh::problem(problem),
    }
}

/// The remedy, after the setting that it refers to.
pub fn remedy(lang: Lang, remedy: &Remedy) -> String {
    let action = action(lang, &remedy.action);
    match &remedy.setting {
        Some(setting) => format!("{}{action}", self::setting(lang, setting)),
        None => action,
    }
}

fn action(lang: Lang, action: &Action) -> String {
    match lang {
        Lang::En => en::action(action),
        Lang::Zh => zh::action(action),
    }
}

fn setting(lang: Lang, setting: &Setting) -> String {
    let value = setting.value.as_deref().map(printable);
    match lang {
        Lang::En => en::setting(setting.name, value.as_deref()),
        Lang::Zh => zh::setting(setting.name, value.as_deref()),
    }
}

impl Display for HostAddress {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.write_str(&line::text(&Address(self.addr, self.dev.as_ref())))
    }
}

impl Display for SocketAddress {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.write_str(&endpoint(Address(self.addr, self.dev.as_ref()), self.port))
    }
}

/// Joins the addresses.
fn list(addresses: &[HostAddress], separator: &str) -> String {
    let texts: Vec<_> = addresses.iter().map(HostAddress::to_string).collect();
    texts.join(separator)
}
