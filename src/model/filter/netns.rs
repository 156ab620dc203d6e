//! Network namespaces, by inode number or by name.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::model::filter::expression::{Parsed, number};

/// Reads a namespace: its inode number, or its name under `/run/netns`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse_netns(text: &str) -> Parsed<u32> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let inode = number(text).ok().and_then(|n| u32::try_from(n).ok());
        return inode
            .filter(|n| *n != 0)
            .ok_or_else(|| "it is out of range".to_owned());
    }
    if text.contains('/') || text.starts_with('.') {
        return Err("it is not a name".into());
    }
    match Path::new("/run/netns").join(text).metadata() {
        Ok(data) => u32::try_from(data.ino()).map_err(|_| "its inode is out of range".into()),
        Err(error) => Err(format!(
            "/run/netns/{}: {error}",
            crate::fmt::escape::printable(text)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_read() {
        assert_eq!(parse_netns("4026531840"), Ok(4_026_531_840));
        assert_eq!(parse_netns("0"), Err("it is out of range".into()));
        assert_eq!(parse_netns("4294967296"), Err("it is out of range".into()));
        assert_eq!(parse_netns("../x"), Err("it is not a name".into()));
        assert!(
            parse_netns("no-such-netns")
                .unwrap_err()
                .starts_with("/run/netns/no-such-netns: ")
        );
    }
}
