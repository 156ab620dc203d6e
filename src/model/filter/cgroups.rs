//! Users, containers and control groups in a filter.

use crate::fmt::escape::printable;
use crate::fmt::text::text;
use crate::model::filter::names::{Rules, parse_rules};
use crate::model::key::{Parsed, number, out_of_range};

/// A shorter beginning of a container id would match too many containers.
const SHORTEST: usize = 6;

/// Parses an expression of user ids.
///
/// # Errors
/// The problem, as text.
pub fn parse_uids(text: &str) -> Parsed<Rules<u32>> {
    parse_rules(text, |uid| {
        let uid = number(uid)?;
        Ok(vec![u32::try_from(uid).map_err(|_| out_of_range())?])
    })
}

/// Parses an expression of containers.
///
/// # Errors
/// The problem, as text.
pub fn parse_containers(text: &str) -> Parsed<Rules<String>> {
    parse_rules(text, |name| Ok(vec![name.to_owned()]))
}

/// Parses an expression of control groups.
///
/// # Errors
/// The problem, as text.
pub fn parse_cgroups(text: &str) -> Parsed<Rules<String>> {
    parse_rules(text, |name| {
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
        match is_number || name.starts_with('/') {
            true => Ok(vec![name.to_owned()]),
            false => {
                let name = printable(name);
                Err(text!(
                    "'{name}' is neither a path from the root of the hierarchy, such as \
                     /system.slice/nginx.service, nor a number",
                    "'{name}' 既不是从层级根开始的路径（如 /system.slice/nginx.service），也不是编号"
                ))
            }
        }
    })
}

/// The control group of a socket.
#[derive(Debug, Clone, Copy, Default)]
pub struct InCgroup<'a> {
    /// Its number, if known.
    pub id: Option<u64>,
    /// Its path, if it still exists.
    pub path: Option<&'a str>,
    /// The container that the path shows.
    pub container: Option<&'a str>,
}

impl InCgroup<'_> {
    /// Whether it is this one, or below it.
    pub(super) fn is_in(&self, cgroup: &str) -> bool {
        if !cgroup.starts_with('/') {
            return self.id.is_some_and(|id| id.to_string() == cgroup);
        }
        let above = cgroup.trim_end_matches('/');
        let below = self.path.and_then(|path| path.strip_prefix(above));
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether it is of this container: its name, or the beginning of its id.
    pub(super) fn is_of(&self, container: &str) -> bool {
        self.container.is_some_and(|name| {
            name == container || (container.len() >= SHORTEST && name.starts_with(container))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_group_contains_those_below_it() {
        let cgroup = InCgroup {
            id: Some(77),
            path: Some("/system.slice/docker-abcdef012345.scope"),
            container: Some("abcdef012345"),
        };
        for (text, expected) in [
            ("/system.slice/docker-abcdef012345.scope", true),
            ("/system.slice", true),
            ("/system.slice/", true),
            ("/", true),
            ("/system", false),
            ("/user.slice", false),
            ("77", true),
            ("7", false),
        ] {
            assert_eq!(cgroup.is_in(text), expected, "{text}");
        }
        for (text, expected) in [
            ("abcdef012345", true),
            ("abcdef", true),
            ("abcde", false),
            ("abcdef0123456", false),
        ] {
            assert_eq!(cgroup.is_of(text), expected, "{text}");
        }
        let none = InCgroup::default();
        assert!(!none.is_in("/") && !none.is_in("0") && !none.is_of(""));
    }

    #[test]
    fn what_names_nothing_is_refused() {
        assert!(parse_cgroups("nginx.service").is_err());
        assert!(parse_cgroups("/a|!/b|77").is_ok());
        assert!(parse_uids("0|!1000").is_ok() && parse_uids("root").is_err());
        assert!(parse_uids("4294967296").is_err());
        assert!(parse_containers("web|!db").is_ok() && parse_containers("").is_err());
    }
}
