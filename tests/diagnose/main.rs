//! `--diagnose` against a backend in memory: for each rule a case that it finds, with the exact
//! numbers, and a similar healthy one, which it does not find.

mod accept_queue_full;
mod close_wait;
mod conntrack_full;
mod dead_peers;
mod every_rule;
mod fin_wait2;
mod half_open_full;
mod holders;
mod kernel_limits;
mod limits;
mod local_ports;
mod made_up;
mod memory;
mod mtu_black_hole;
mod output;
mod pair_threshold;
mod pile;
mod port_exhaustion;
mod resets;
mod self_connect;
mod sentences;
mod silent;
mod simultaneous;
mod situations;
mod slow_read;
mod slow_request;
mod stuck_reader;
mod support;
mod syn_flood;
mod syn_sent;
mod time_wait;
