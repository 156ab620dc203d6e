//! Processes in a filter.

use crate::fmt::escape::printable;
use crate::fmt::text::text;
use crate::model::filter::names::{Rules, parse_rules};
use crate::model::ident::Owner;
use crate::model::key::{Parsed, number, out_of_range};

/// The kernel keeps this many bytes of a name.
const LONGEST: usize = 15;

/// Parses an expression of process ids.
///
/// # Errors
/// The problem, as text.
pub fn parse_pids(text: &str) -> Parsed<Rules<u32>> {
    parse_rules(text, |pid| {
        let pid = number(pid)?;
        Ok(vec![u32::try_from(pid).map_err(|_| out_of_range())?])
    })
}

/// Parses an expression of names of processes.
///
/// # Errors
/// The problem, as text.
pub fn parse_comms(text: &str) -> Parsed<Rules<String>> {
    parse_rules(text, |name| match name.len() {
        0..=LONGEST => Ok(vec![name.to_owned()]),
        _ => {
            let name = printable(name);
            Err(text!(
                "'{name}' is longer than {LONGEST} bytes, which the kernel keeps of a name",
                "'{name}' 超过 {LONGEST} 字节，内核只保存名称的前 {LONGEST} 字节"
            ))
        }
    })
}

/// Whether one of the processes meets both expressions, and none is refused.
pub(super) fn meet(pids: &Rules<u32>, comms: &Rules<String>, owners: &[Owner]) -> bool {
    let is_pid = |pid: &u32| owners.iter().any(|owner| owner.pid == *pid);
    let is_comm = |comm: &String| {
        let mut names = owners.iter().map(Owner::comm_bytes);
        names.any(|name| name == comm.as_bytes())
    };
    pids.hold(is_pid) && comms.hold(is_comm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_chosen_by_number_and_by_name() {
        let owner = |pid, name: &str| {
            let mut comm = [0; 16];
            comm[..name.len()].copy_from_slice(name.as_bytes());
            Owner { pid, comm }
        };
        let owners = [owner(191, "nginx"), owner(192, "worker")];
        for (pids, comms, expected) in [
            ("191", "nginx", [true, false]),
            ("192|7", "nginx|sleep", [true, false]),
            ("7", "nginx", [false, false]),
            ("192", "sleep", [false, false]),
            ("!192", "nginx", [false, false]),
            ("!7", "!sleep", [true, true]),
        ] {
            let (pids, comms) = (parse_pids(pids).unwrap(), parse_comms(comms).unwrap());
            let met = [&owners[..], &[]].map(|owners| meet(&pids, &comms, owners));
            assert_eq!(met, expected, "{pids:?} {comms:?}");
        }
        assert!(meet(&Rules::default(), &Rules::default(), &[]));
        assert!(parse_pids("nginx").is_err() && parse_pids("4294967296").is_err());
        assert!(parse_comms("sixteen-bytes-..").is_err() && parse_comms("a||b").is_err());
    }
}
