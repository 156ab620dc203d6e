//! An activation: the keys of `--activate`, and the settings that the module derived from them.

use crate::abi::{self, Config};
use crate::fmt::text::words;
use crate::model::filter::Filter;
use crate::model::filter::keys::{Filtered, Timed, filter_keys, min_ms};
use crate::model::key::{
    self, Choice, Group, Initial, Key, Keys, Number, Pair, PowerOfTwo, Without,
};

const MEBIBYTE: u64 = 1 << 20;
/// A tebibyte.
const MOST_RING_MEBIBYTES: u64 = 1 << 20;
/// The maximum of an alarm threshold: no more connections can be tracked.
const MOST_TO_ALARM: u32 = abi::TCPSTATES_CONNS_MAX;

/// The hook that observes the transitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TransitionHook {
    /// The module chooses.
    #[default]
    Auto,
    /// The kernel's tracepoint.
    Tracepoint,
    /// A kprobe on the function that changes the state.
    Kprobe,
}

key::slots!(TransitionHook);

const HOOKS: &[(&str, TransitionHook)] = &[
    ("auto", TransitionHook::Auto),
    ("tracepoint", TransitionHook::Tracepoint),
    ("kprobe", TransitionHook::Kprobe),
];

impl TransitionHook {
    /// Its name.
    pub fn name(self) -> &'static str {
        let known = HOOKS.iter().find(|(_, hook)| *hook == self);
        known.map_or("auto", |(name, _)| name)
    }

    fn number(self) -> u32 {
        match self {
            Self::Auto => abi::TCPSTATES_HOOK_AUTO,
            Self::Tracepoint => abi::TCPSTATES_HOOK_TRACEPOINT,
            Self::Kprobe => abi::TCPSTATES_HOOK_KPROBE,
        }
    }

    fn from_number(number: u32) -> Self {
        let mut hooks = HOOKS.iter().map(|(_, hook)| *hook);
        hooks
            .find(|hook| hook.number() == number)
            .unwrap_or_default()
    }
}

/// Settings of `--activate`; `None`: the module chooses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activation {
    /// Parts that `--report` prints by default.
    pub verbose: u32,
    /// Filter of the connections that are recorded.
    pub filter: Filter,
    /// Minimum time in the old state in nanoseconds.
    pub min_ns: u64,
    /// Number of records per CPU.
    pub ring: Option<u32>,
    /// Size of the rings of all CPUs in bytes.
    pub ring_bytes: Option<u64>,
    /// Maximum number of live connections.
    pub max_conns: Option<u32>,
    /// Hook for the main transition.
    pub hook: TransitionHook,
    /// Number of connections of a pair that raises an alarm.
    pub threshold: u32,
    /// Unfinished handshakes per second that raise an alarm.
    pub unfinished: u32,
    /// Maximum number of pairs of addresses.
    pub max_pairs: u32,
    /// Maximum number of listeners.
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
    /// Converts to the ABI structure.
    pub fn to_abi(&self) -> Config {
        Config {
            verbose: self.verbose,
            hook: self.hook.number(),
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

    /// Converts from the ABI structure.
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
            hook: TransitionHook::from_number(config.hook),
            threshold: config.threshold,
            unfinished: config.unfinished,
            max_pairs: config.max_pairs,
            max_listeners: config.max_listeners,
        }
    }
}

/// The pairs that reproduce this activation: every key with its value, of sizes that the module has
/// chosen as it chose them. Then `ring` has a value, and `ring-memory` has none.
pub fn pairs(activation: &Activation) -> Vec<Pair> {
    key::pairs(KEYS, activation.clone())
}

/// The settings of the current activation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Number of activations since the module was loaded.
    pub generation: u64,
    /// The hook that observes the transitions, never [`TransitionHook::Auto`].
    pub hook_used: TransitionHook,
    /// Number of records of the ring of each CPU.
    pub ring_records: u32,
    /// Size of one mapped ring in bytes.
    pub ring_bytes: u64,
    /// Memory that the activation uses, in bytes.
    pub memory_bytes: u64,
    /// Monotonic nanoseconds of the activation.
    pub activated_ns: u64,
    /// Monotonic nanoseconds of the last time when a report marked events as reported.
    pub consumed_ns: Option<u64>,
    /// The requested settings, with the values that the module chose.
    pub activation: Activation,
}

impl Settings {
    /// Converts from the ABI structure; `None`: not active.
    pub fn from_abi(raw: &abi::Settings) -> Option<Self> {
        (raw.active != 0).then(|| Self {
            generation: raw.generation,
            hook_used: TransitionHook::from_number(raw.hook_used),
            ring_records: raw.config.ring_records,
            ring_bytes: raw.ring_bytes,
            memory_bytes: raw.memory_bytes,
            activated_ns: raw.activated_ns,
            consumed_ns: Some(raw.consumed_ns).filter(|ns| *ns != 0),
            activation: Activation::from_abi(&raw.config),
        })
    }
}

/// The keys of `--activate`.
pub const KEYS: Keys<Activation> = &[VERBOSE, filter_keys(), min_ms(), RECORDING, ALARMS];

const VERBOSE: Group<Activation> = Group {
    title: words!("Recording", "记录"),
    keys: &[Key {
        name: "verbose",
        value: &Number::new(0, abi::TCPSTATES_VERBOSE_MAX, |a: &mut Activation| {
            &mut a.verbose
        }),
        initial: Initial::Value("0"),
        help: words!(
            "what a bare --report prints: 0 transitions, 1 live connections, 2 both",
            "不带键的 --report 输出什么：0 状态转换，1 当前连接，2 两者"
        ),
    }],
};

const RECORDING: Group<Activation> = Group {
    title: words!("Recording", "记录"),
    keys: &[
        Key {
            name: "ring",
            value: &PowerOfTwo {
                low: abi::TCPSTATES_RING_MIN,
                high: abi::TCPSTATES_RING_MAX,
                field: |a: &mut Activation| &mut a.ring,
            },
            initial: Initial::Words(words!(
                "auto: as many as fit in ring-memory",
                "自动：ring-memory 能容纳的条数"
            )),
            help: words!("records kept per CPU", "每个 CPU 保留的记录数"),
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
                reason: words!(
                    "ring= says how long the rings are",
                    "ring= 已指定环形缓冲区的长度"
                ),
            },
            initial: Initial::Words(words!(
                "auto: 1/64 of the memory, 16 to 512, and no more than 65536 records per CPU",
                "自动：内存的 1/64，16 到 512，且每个 CPU 不超过 65536 条记录"
            )),
            help: words!(
                "MiB for the rings of all CPUs that are online",
                "所有在线 CPU 的环形缓冲区合计的 MiB 数"
            ),
        },
        Key {
            name: "max-conns",
            value: &Number::new(
                abi::TCPSTATES_CONNS_MIN,
                abi::TCPSTATES_CONNS_MAX,
                |a: &mut Activation| &mut a.max_conns,
            ),
            initial: Initial::Words(words!(
                "auto: by the kernel's own limits, and at most 1/32 of the memory",
                "自动：按内核自身的限制，且不超过内存的 1/32"
            )),
            help: words!("most live connections tracked", "最多跟踪的当前连接数"),
        },
        Key {
            name: "hook",
            value: &Choice {
                what: words!("a hook", "挂钩"),
                names: HOOKS,
                field: |a: &mut Activation| &mut a.hook,
            },
            initial: Initial::Value("auto"),
            help: words!(
                "how the main transition is hooked",
                "主要状态转换的挂钩方式"
            ),
        },
    ],
};

const ALARMS: Group<Activation> = Group {
    title: words!("Alarms", "告警"),
    keys: &[
        Key {
            name: "threshold",
            value: &Number::new(0, MOST_TO_ALARM, |a: &mut Activation| &mut a.threshold),
            initial: Initial::Value("500"),
            help: words!(
                "connections of one pair of addresses that raise an alarm, 0: none do",
                "一个地址对的连接达到此数即告警，0 表示不告警"
            ),
        },
        Key {
            name: "unfinished",
            value: &Number::new(0, MOST_TO_ALARM, |a: &mut Activation| &mut a.unfinished),
            initial: Initial::Value("200"),
            help: words!(
                "handshakes a second that a listener does not see finished and that raise an alarm, \
                 0: none do",
                "一个监听端每秒未完成的握手达到此数即告警，0 表示不告警"
            ),
        },
        Key {
            name: "max-pairs",
            value: &Number::new(
                abi::TCPSTATES_PAIRS_MIN,
                abi::TCPSTATES_PAIRS_MAX,
                |a: &mut Activation| &mut a.max_pairs,
            ),
            initial: Initial::Value("32768"),
            help: words!("most pairs of addresses counted", "最多计数的地址对"),
        },
        Key {
            name: "max-listeners",
            value: &Number::new(
                abi::TCPSTATES_LISTENERS_MIN,
                abi::TCPSTATES_LISTENERS_MAX,
                |a: &mut Activation| &mut a.max_listeners,
            ),
            initial: Initial::Value("4096"),
            help: words!("most listeners counted", "最多计数的监听端"),
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_keep_their_names_and_numbers() {
        for (name, hook) in HOOKS {
            assert_eq!(hook.name(), *name);
            assert_eq!(TransitionHook::from_number(hook.number()), *hook);
        }
        assert_eq!(TransitionHook::from_number(99), TransitionHook::Auto);
    }

    #[test]
    fn nothing_active_has_no_settings() {
        let mut raw = abi::Settings::default();
        assert_eq!(Settings::from_abi(&raw), None);
        (raw.active, raw.generation) = (1, 7);
        let settings = Settings::from_abi(&raw).unwrap();
        assert_eq!((settings.generation, settings.consumed_ns), (7, None));
        raw.consumed_ns = 9;
        let settings = Settings::from_abi(&raw).unwrap();
        assert_eq!(settings.consumed_ns, Some(9));
    }
}
