//! What a look and a frame cost. Run alone and optimised:
//! `cargo test --release --test top -- --ignored --nocapture cost`

use std::time::{Duration, Instant};

use ratatui_crossterm::crossterm::event::KeyCode;
use testkit::busy::Host;
use testkit::fake::Fake;

use crate::support::{LOOK, Look, Seen};

const ROUNDS: u32 = 10;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
#[ignore = "prints figures, which are those of an optimised build"]
fn cost() {
    let bars = [
        (10_000, Duration::from_millis(30)),
        (1_000_000, Duration::from_millis(500)),
    ];
    for (count, most) in bars {
        let host = Host::make();
        let mut fake = Fake::new(2, 1 << 16);
        host.fill(&fake, 1 << 17);
        fake.conns.replace(host.connections(count));
        fake.batch = 1_024;
        for keys in [
            "",
            "screen=connections",
            "screen=connections sort=rate",
            "screen=processes",
            "screen=connections port=443",
            "screen=reasons",
        ] {
            let look = Look {
                size: [160, 50],
                ..LOOK
            };
            let mut seen = Seen::new(&fake, keys, look);
            let mut rounds = Vec::new();
            for _ in 0..ROUNDS {
                fake.later.set(fake.later.get() + 1_000_000_000);
                let start = Instant::now();
                seen.app.tick().expect("a look");
                seen.lines();
                rounds.push(start.elapsed());
            }
            let took = median(rounds);
            println!("{count:>9} connections  {took:>12.2?}  {keys}");
            seen.press(KeyCode::Down);
            assert!(took < most, "{keys}: {took:?}");
        }
    }
}
