//! How long a state lasted, compared with the times that the test itself measured.

use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::support::{scenario, tool, traffic};

const HELD: Duration = Duration::from_millis(300);

pub fn trials() -> Vec<Trial> {
    vec![scenario(
        "durations_are_what_was_measured_around_them",
        measured,
    )]
}

/// A duration that is known to lie between two others.
#[derive(Debug, Clone, Copy)]
struct Between {
    least: Duration,
    most: Duration,
}

impl Between {
    /// The state started between the first two moments and ended between the other two.
    fn new(began: (Instant, Instant), ended: (Instant, Instant)) -> Self {
        Self {
            least: ended.0 - began.1,
            most: ended.1 - began.0,
        }
    }

    fn assert_holds(&self, record: &Value) {
        let told = Duration::from_nanos(record["in_old_ns"].as_u64().expect("a known time"));
        assert!(
            self.least <= told && told <= self.most,
            "{told:?} is not in {self:?}: {record}"
        );
        assert_eq!(record["in_old_exact"], true, "{record}");
    }
}

/// Runs `act`; returns the moments before and after it.
fn around<T>(act: impl FnOnce() -> T) -> ((Instant, Instant), T) {
    let before = Instant::now();
    let value = act();
    ((before, Instant::now()), value)
}

/// The client's ESTABLISHED and FIN_WAIT2, the server's CLOSE_WAIT, each held for 300 ms.
fn measured() {
    tool::activate("");
    let listener = traffic::listen(traffic::V4);
    let mut expected = Vec::new();
    for _ in 0..5 {
        let (connected, (mut client, mut server)) = around(|| traffic::pair(&listener));
        thread::sleep(HELD);
        let (left, ()) = around(|| client.shutdown(Shutdown::Write).expect("shutdown"));
        // The other end's state, and the acknowledgement of it, come later.
        let (arrived, ()) = around(|| {
            traffic::wait_for_fin(&mut server);
            while traffic::tcp_info(&client).tcpi_state != traffic::FIN_WAIT2 {
                thread::yield_now();
            }
        });
        thread::sleep(HELD);
        let port = client.local_addr().expect("bound").port();
        let (closed, ()) = around(|| {
            drop(server);
            traffic::wait_for_fin(&mut client);
        });
        let half_closed = Between::new((left.0, arrived.1), closed);
        expected.push((port, Between::new(connected, left), half_closed));
    }
    let report = tool::report("transitions=1");
    let find = |side: &str, port: u16, new: &str| {
        let mut found = report
            .transitions
            .iter()
            .filter(|r| r[side] == port && r["new"] == new);
        found
            .next()
            .unwrap_or_else(|| panic!("no {new} of {side} {port}"))
    };
    for (port, established, half_closed) in expected {
        assert!(established.least >= HELD && half_closed.least >= HELD);
        established.assert_holds(find("lport", port, "FIN_WAIT1"));
        half_closed.assert_holds(find("lport", port, "TIME_WAIT"));
        half_closed.assert_holds(find("rport", port, "LAST_ACK"));
    }
    assert_histogram(&report.summary);
    tool::end();
}

/// Five times 300 ms in CLOSE_WAIT: the median of the totals must agree within the width of a
/// bucket (a quarter of a power of two).
fn assert_histogram(summary: &Value) {
    let rows = summary["transitions"].as_array().expect("a table");
    let row = rows
        .iter()
        .find(|r| r["old"] == "CLOSE_WAIT" && r["new"] == "LAST_ACK")
        .expect("the transition is in the totals");
    let ms = |name: &str| row[name].as_u64().expect("a time") as f64 / 1e6;
    assert!((225.0..=500.0).contains(&ms("p50_ns")), "{row}");
    assert!(
        ms("max_ns") >= 300.0 && ms("p99_ns") <= ms("max_ns"),
        "{row}"
    );
    assert!((1500.0..=3000.0).contains(&ms("total_ns")), "{row}");
}
