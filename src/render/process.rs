//! The process column. A process in parentheses does not have the socket open: it had, or has ended.

use crate::fmt::line::{Line, Put};
use crate::model::holders::{Hold, Holders};
use crate::model::ident::Owner;

/// Shown instead of a process that has the socket open.
const ORPHAN: &str = "orphan";

/// The owner that an event was recorded with: `(190/nginx)` if it has ended.
pub struct Recorded {
    pub owner: Owner,
    pub gone: bool,
}

impl Put for Recorded {
    #[inline]
    fn put(&self, line: &mut Line) {
        match self.gone {
            true => put_past(line, &self.owner),
            false => self.owner.put(line),
        }
    }
}

/// The owner of a live socket, and how many other processes have it open: `191/nginx (+2)`;
/// `(190/nginx)`: that process has had it; `orphan (190/nginx)`.
pub struct Live<'a>(pub Option<Owner>, pub &'a Holders);

impl Put for Live<'_> {
    fn put(&self, line: &mut Line) {
        let Self(owner, holders) = self;
        if holders.hold == Hold::Orphan {
            ORPHAN.put(line);
        }
        match (owner, holders.opened_by) {
            (Some(owner), _) if holders.hold == Hold::Past => put_past(line, owner),
            (Some(owner), _) => {
                owner.put(line);
                put_others(line, holders.count);
            }
            (None, Some(opener)) => {
                if holders.hold == Hold::Orphan {
                    line.push(b' ');
                }
                put_past(line, &opener);
            }
            (None, None) if holders.hold == Hold::Orphan => {}
            (None, None) => line.push(b'-'),
        }
    }
}

/// Appends a process that does not have the socket open.
pub fn put_past(line: &mut Line, owner: &Owner) {
    line.push(b'(');
    owner.put(line);
    line.push(b')');
}

/// Appends how many processes there are beside the first.
pub fn put_others(line: &mut Line, count: u64) {
    if count > 1 {
        " (+".put(line);
        (count - 1).put(line);
        line.push(b')');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmt::line::text;

    #[test]
    fn who_has_no_socket_is_in_parentheses() {
        let owner = |pid| {
            let mut comm = [0; 16];
            comm[..5].copy_from_slice(b"nginx");
            Some(Owner { pid, comm })
        };
        let with = |hold, count, opened_by| Holders {
            hold,
            count,
            opened_by,
            ..Holders::default()
        };
        let (first, opener) = (owner(191), owner(190));
        for (owner, holders, expected) in [
            (first, with(Hold::Open, 0, None), "191/nginx"),
            (first, with(Hold::Open, 1, opener), "191/nginx"),
            (first, with(Hold::Open, 3, opener), "191/nginx (+2)"),
            (first, with(Hold::Past, 0, None), "(191/nginx)"),
            (None, with(Hold::Past, 0, None), "-"),
            (None, with(Hold::Open, 0, opener), "(190/nginx)"),
            (None, with(Hold::Open, 0, None), "-"),
            (None, with(Hold::Orphan, 0, opener), "orphan (190/nginx)"),
            (None, with(Hold::Orphan, 0, None), "orphan"),
        ] {
            assert_eq!(text(&Live(owner, &holders)), expected);
        }
        let recorded = |gone| first.map(|owner| text(&Recorded { owner, gone }));
        assert_eq!(recorded(false).as_deref(), Some("191/nginx"));
        assert_eq!(recorded(true).as_deref(), Some("(191/nginx)"));
    }
}
