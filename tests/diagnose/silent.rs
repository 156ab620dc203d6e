//! `silent-connections`.

use diagnose_tools::diagnose::finding::Severity;
use testkit::scene::{Conn, attacker};

use crate::support::{add, host, is, look, number, only};

#[test]
fn silent_connections() {
    let silent = |number, age| Conn::served(attacker(number), age);
    let fake = host();
    add(&fake, (0..60).map(|n| silent(n, 9)));
    assert_eq!(look(&fake), []);
    let fake = host();
    add(&fake, (0..60).map(|n| silent(n, 10)));
    let findings = look(&fake);
    is(only(&findings), "silent-connections", Severity::Warning);
    assert_eq!(number(&findings[0], "connections"), 60);
}
