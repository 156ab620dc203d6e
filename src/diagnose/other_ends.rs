//! The other ends of connections, if they are on this host, too: on the loopback device, between
//! containers, between namespaces.

use std::cell::OnceCell;
use std::collections::HashMap;

use crate::model::conn::Conn;
use crate::model::ident::Ident;
use crate::model::state::State;

/// Network namespace of loopback addresses, else 0; addresses and ports of the local end, then of
/// the remote end.
type Key = (u32, [u8; 16], u16, [u8; 16], u16);

/// An index of the connections by their ends, built on first use.
#[derive(Default)]
pub struct OtherEnds(OnceCell<HashMap<Key, usize>>);

impl OtherEnds {
    /// The connection at the other end of `who`, which may be in another network namespace.
    pub fn of<'a>(&self, conns: &'a [Conn], who: &Ident) -> Option<&'a Conn> {
        let index = self.0.get_or_init(|| index(conns));
        let netns = netns(who);
        let key = (netns, who.raddr, who.rport, who.laddr, who.lport);
        let other = index.get(&key).and_then(|at| conns.get(*at))?;
        // A socket that is connected to itself has no other end.
        (!who.is_self_connected()).then_some(other)
    }
}

fn index(conns: &[Conn]) -> HashMap<Key, usize> {
    let is_one = |(_, conn): &(usize, &Conn)| conn.state != State::LISTEN;
    let ends = conns.iter().enumerate().filter(is_one);
    let key = |who: &Ident| (netns(who), who.laddr, who.lport, who.raddr, who.rport);
    ends.map(|(at, conn)| (key(&conn.who), at)).collect()
}

/// Each namespace has its own loopback addresses.
fn netns(who: &Ident) -> u32 {
    match who.local().to_canonical().is_loopback() {
        true => who.netns,
        false => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ident::tests::ident;
    use crate::model::reason::Reason;
    use crate::model::span::Span;

    fn conn(netns: u32, local: &str, remote: &str) -> Conn {
        let who = Ident {
            netns,
            ..ident(local, remote)
        };
        Conn {
            who,
            state: State::ESTABLISHED,
            since: Span::Unknown,
            first_seen_ns: 0,
            reason: Reason::NONE,
            synacks: None,
            meters: None,
            activity: None,
            recv_q: None,
        }
    }

    #[test]
    fn ends_are_found_in_other_namespaces_unless_they_are_loopback() {
        let conns = [
            conn(1, "10.0.0.1:40000", "10.0.0.2:80"),
            conn(2, "10.0.0.2:80", "10.0.0.1:40000"),
            conn(1, "127.0.0.1:40000", "127.0.0.1:80"),
            conn(2, "127.0.0.1:80", "127.0.0.1:40000"),
            conn(3, "[::1]:40000", "[::1]:80"),
            conn(3, "[::1]:80", "[::1]:40000"),
            conn(3, "127.0.0.1:50000", "127.0.0.1:50000"),
        ];
        let ends = OtherEnds::default();
        let of = |at: usize| {
            let other = ends.of(&conns, &conns[at].who)?;
            conns.iter().position(|conn| conn == other)
        };
        let found: Vec<_> = (0..conns.len()).map(of).collect();
        let expected = [Some(1), Some(0), None, None, Some(5), Some(4), None];
        assert_eq!(found, expected);
    }
}
