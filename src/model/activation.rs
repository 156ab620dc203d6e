//! The settings of an activation, and the keys of `--activate`.

use crate::abi::{self, Config};
use crate::model::filter::Filter;
use crate::model::filter::keys::{Filtered, Timed, filter_keys, min_ms};
use crate::model::key::{self, Choice, Initial, Key, Keys, Number, Pair, PowerOfTwo, Without};

const MEBIBYTE: u64 = 1 << 20;
/// A tebibyte.
const MOST_RING_MEBIBYTES: u64 = 1 << 20;
/// No alarm wants more: so many connections are tracked at most.
const MOST_TO_ALARM: u32 = abi::TCPSTATES_CONNS_MAX;

const HOOKS: &[(&str, u32)] = &[
    ("auto", abi::TCPSTATES_HOOK_AUTO),
    ("tracepoint", abi::TCPSTATES_HOOK_TRACEPOINT),
    ("kprobe", abi::TCPSTATES_HOOK_KPROBE),
];

/// The name of a hook's number.
pub fn hook_name(number: u32) -> &'static str {
    let known = HOOKS.iter().find(|(_, n)| *n == number);
    known.map_or("auto", |(name, _)| name)
}

/// What `--activate` sets; `None`: the module chooses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activation {
    /// What a bare `--report` prints.
    pub verbose: u32,
    /// Which connections are recorded.
    pub filter: Filter,
    /// Nanoseconds in the old state, at least.
    pub min_ns: u64,
    /// Records of each CPU.
    pub ring: Option<u32>,
    /// Bytes for the rings of all CPUs.
    pub ring_bytes: Option<u64>,
    /// Most live connections.
    pub max_conns: Option<u32>,
    /// How the main transition is hooked.
    pub hook: u32,
    /// Connections of a pair that raise an alarm.
    pub threshold: u32,
    /// Unfinished handshakes a second that raise an alarm.
    pub unfinished: u32,
    /// Most pairs of addresses.
    pub max_pairs: u32,
    /// Most listeners.
    pub max_listeners: u32,
}

impl Filtered for Activation {
    fn filter(&mut self) -> &mut Filter {
        &mut self.filter
    }
}

impl Timed for Activation {
    fn min_ns(&mut self) -> &mut u64 {
        &mut self.min_ns
    }
}

impl Activation {
    /// The form in the ABI.
    pub fn to_abi(&self) -> Config {
        Config {
            verbose: self.verbose,
            hook: self.hook,
            ring_records: self.ring.unwrap_or(0),
            max_conns: self.max_conns.unwrap_or(0),
            min_ns: self.min_ns,
            filter: self.filter.to_abi(),
            threshold: self.threshold,
            unfinished: self.unfinished,
            max_pairs: self.max_pairs,
            max_listeners: self.max_listeners,
            ring_budget: self.ring_bytes.unwrap_or(0),
            ..Config::default()
        }
    }

    /// From the form in the ABI.
    pub fn from_abi(config: &Config) -> Self {
        let ring = Some(config.ring_records).filter(|n| *n != 0);
        let ring_bytes = Some(config.ring_budget).filter(|n| ring.is_none() && *n >= MEBIBYTE);
        Self {
            verbose: config.verbose,
            filter: Filter::from_abi(&config.filter),
            min_ns: config.min_ns,
            ring,
            ring_bytes,
            max_conns: Some(config.max_conns).filter(|n| *n != 0),
            hook: config.hook,
            threshold: config.threshold,
            unfinished: config.unfinished,
            max_pairs: config.max_pairs,
            max_listeners: config.max_listeners,
        }
    }
}

/// The pairs that would make this activation, every key with its value; not those that leave a
/// size to the module.
pub fn pairs(config: &Config) -> Vec<Pair> {
    key::pairs(KEYS, Activation::from_abi(config))
}

/// The keys of `--activate`.
pub const KEYS: Keys<Activation> = &[VERBOSE, filter_keys(), min_ms(), RECORDING, ALARMS];

const VERBOSE: &[Key<Activation>] = &[Key {
    name: "verbose",
    value: &Number::new(0, abi::TCPSTATES_VERBOSE_MAX, |a: &mut Activation| {
        &mut a.verbose
    }),
    initial: Initial::Value("0"),
    help: "what a bare --report prints: 0 transitions, 1 live connections, 2 both",
}];

const RECORDING: &[Key<Activation>] = &[
    Key {
        name: "ring",
        value: &PowerOfTwo {
            low: abi::TCPSTATES_RING_MIN,
            high: abi::TCPSTATES_RING_MAX,
            field: |a: &mut Activation| &mut a.ring,
        },
        initial: Initial::Words("auto: as many as fit in ring-memory"),
        help: "records kept per CPU",
    },
    Key {
        name: "ring-memory",
        value: &Without {
            value: Number {
                low: 1,
                high: MOST_RING_MEBIBYTES,
                unit: MEBIBYTE,
                field: |a: &mut Activation| &mut a.ring_bytes,
            },
            other: "ring",
            reason: "ring= says how long the rings are",
        },
        initial: Initial::Words(
            "auto: 1/64 of the memory, 16 to 512, and no more than 65536 records per CPU",
        ),
        help: "MiB for the rings of all CPUs that are online",
    },
    Key {
        name: "max-conns",
        value: &Number::new(
            abi::TCPSTATES_CONNS_MIN,
            abi::TCPSTATES_CONNS_MAX,
            |a: &mut Activation| &mut a.max_conns,
        ),
        initial: Initial::Words("auto: by the kernel's own limits, and at most 1/32 of the memory"),
        help: "most live connections tracked",
    },
    Key {
        name: "hook",
        value: &Choice {
            what: "a hook",
            names: HOOKS,
            field: |a: &mut Activation| &mut a.hook,
        },
        initial: Initial::Value("auto"),
        help: "how the main transition is hooked",
    },
];

const ALARMS: &[Key<Activation>] = &[
    Key {
        name: "threshold",
        value: &Number::new(0, MOST_TO_ALARM, |a: &mut Activation| &mut a.threshold),
        initial: Initial::Value("500"),
        help: "connections of one pair of addresses that raise an alarm, 0: none do",
    },
    Key {
        name: "unfinished",
        value: &Number::new(0, MOST_TO_ALARM, |a: &mut Activation| &mut a.unfinished),
        initial: Initial::Value("200"),
        help: "handshakes a second that a listener does not see finished and that raise an alarm, \
               0: none do",
    },
    Key {
        name: "max-pairs",
        value: &Number::new(
            abi::TCPSTATES_PAIRS_MIN,
            abi::TCPSTATES_PAIRS_MAX,
            |a: &mut Activation| &mut a.max_pairs,
        ),
        initial: Initial::Value("32768"),
        help: "most pairs of addresses counted",
    },
    Key {
        name: "max-listeners",
        value: &Number::new(
            abi::TCPSTATES_LISTENERS_MIN,
            abi::TCPSTATES_LISTENERS_MAX,
            |a: &mut Activation| &mut a.max_listeners,
        ),
        initial: Initial::Value("4096"),
        help: "most listeners counted",
    },
];
