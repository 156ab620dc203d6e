//! The keys of a filter, and values that are expressions.

use crate::abi;
use crate::fmt::text::{Text, Words, text, words};
use crate::model::filter::expression::of_side;
use crate::model::filter::{self, Filter, Rules, Side};
use crate::model::key::{
    Choice, Context, Group, Initial, Key, Number, Parsed, Value, number, out_of_range,
};

/// Settings that contain a filter.
pub trait Filtered: 'static {
    /// The filter.
    fn filter(&mut self) -> &mut Filter;
}

impl Filtered for Filter {
    fn filter(&mut self) -> &mut Filter {
        self
    }
}

/// Settings with a minimum time in a state.
pub trait Timed: 'static {
    /// The minimum time in nanoseconds.
    fn min_ns(&mut self) -> &mut u64;
}

const NS_PER_MS: u64 = 1_000_000;

const ANY: Initial = Initial::Words(words!("any", "任意"));

const fn rules<O: Filtered>(
    name: &'static str,
    value: &'static dyn Value<O>,
    help: Words,
) -> Key<O> {
    Key {
        name,
        value,
        initial: ANY,
        help,
    }
}

/// The keys of a filter.
pub const fn filter_keys<O: Filtered>() -> Group<O> {
    let keys = const {
        &[
            rules(
                "addr",
                &Addresses(Side::Either),
                words!("local or remote address", "本地或远端地址"),
            ),
            rules(
                "laddr",
                &Addresses(Side::Local),
                words!("local address", "本地地址"),
            ),
            rules(
                "raddr",
                &Addresses(Side::Remote),
                words!("remote address", "远端地址"),
            ),
            rules(
                "port",
                &Ports(Side::Either),
                words!("local or remote port", "本地或远端端口"),
            ),
            rules(
                "lport",
                &Ports(Side::Local),
                words!("local port", "本地端口"),
            ),
            rules(
                "rport",
                &Ports(Side::Remote),
                words!("remote port", "远端端口"),
            ),
            Key {
                name: "family",
                value: &Choice {
                    what: words!("a family", "地址族"),
                    names: &[("4", 4), ("6", 6)],
                    field: |options: &mut O| &mut options.filter().family,
                },
                initial: Initial::Words(words!("both", "两者")),
                help: words!("address family of the socket", "套接字的地址族"),
            },
            Key {
                name: "netns",
                value: &Netns,
                initial: Initial::Words(words!("all", "全部")),
                help: words!("network namespace", "网络命名空间"),
            },
        ]
    };
    Group {
        title: words!("Filters", "过滤条件"),
        keys,
    }
}

/// The key of a minimum time.
pub const fn min_ms<O: Timed>() -> Group<O> {
    let keys = const {
        &[Key {
            name: "min-ms",
            value: &Number {
                low: 0,
                high: u64::MAX / NS_PER_MS,
                unit: NS_PER_MS,
                field: O::min_ns,
            },
            initial: Initial::Value("0"),
            help: words!(
                "least time in the old state in milliseconds; of live connections and listeners, \
                 in their state",
                "在原状态中的最短时间，单位毫秒；对于当前连接和监听端，是在其当前状态中的时间"
            ),
        }]
    };
    Group {
        title: words!("Time in a state", "状态持续时间"),
        keys,
    }
}

/// An address expression of one side.
struct Addresses(Side);

impl<O: Filtered> Value<O> for Addresses {
    fn allowed(&self) -> Text {
        words!(
            "IPv4 or IPv6 address or CIDR, with %DEVICE behind the address if bound to that, ! \
             negates, | separates",
            "IPv4 或 IPv6 地址或 CIDR，若绑定了网络设备则在地址后加 %DEVICE；! 表示排除，| 分隔多个值"
        )
        .into()
    }

    fn set(&self, options: &mut O, text: &str, context: &Context) -> Parsed<()> {
        let filter = options.filter();
        // `netns=` is set first if it is given; otherwise the device of an earlier address may have
        // set it.
        let netns = context.given("netns").map_or(0, |_| filter.netns);
        let device = |name: &str| context.host.device(name, netns);
        let rules = filter::parse_addrs(text, self.0, device)?;
        has_room(filter.addrs.len(), rules.len())?;
        // An index is specific to a namespace; elsewhere it is another device.
        if rules.iter().any(|rule| rule.ifindex != 0) {
            filter.netns = context.host.netns_of_devices(netns)?;
        }
        filter.addrs.extend(rules);
        Ok(())
    }

    fn get(&self, options: &mut O) -> Option<String> {
        of_side(&options.filter().addrs, |rule| rule.side == self.0)
    }

    fn is_list(&self) -> bool {
        true
    }
}

/// A port expression of one side.
struct Ports(Side);

impl<O: Filtered> Value<O> for Ports {
    fn allowed(&self) -> Text {
        words!(
            "port or range LOW-HIGH, ! negates, | separates",
            "端口或范围 LOW-HIGH；! 表示排除，| 分隔多个值"
        )
        .into()
    }

    fn set(&self, options: &mut O, text: &str, _: &Context) -> Parsed<()> {
        let ports = &mut options.filter().ports;
        let rules = filter::parse_ports(text, self.0)?;
        has_room(ports.len(), rules.len())?;
        ports.extend(rules);
        Ok(())
    }

    fn get(&self, options: &mut O) -> Option<String> {
        of_side(&options.filter().ports, |rule| rule.side == self.0)
    }

    fn is_list(&self) -> bool {
        true
    }
}

/// Checks that `new` rules fit after `used` others.
fn has_room(used: usize, new: usize) -> Parsed<()> {
    let most = abi::TCPSTATES_MAX_RULES as usize;
    match used + new {
        n if n <= most => Ok(()),
        n => Err(text!(
            "{n} rules with those of the other sides, at most {most} fit",
            "与其他端的条件合计 {n} 条，最多 {most} 条"
        )),
    }
}

/// A network namespace.
struct Netns;

impl<O: Filtered> Value<O> for Netns {
    fn allowed(&self) -> Text {
        words!(
            "inode number, name under /run/netns, path such as /proc/PID/ns/net, or pid:PID",
            "inode 号、/run/netns 下的名称、路径（如 /proc/PID/ns/net），或 pid:PID"
        )
        .into()
    }

    fn set(&self, options: &mut O, text: &str, context: &Context) -> Parsed<()> {
        options.filter().netns = match text.strip_prefix("pid:") {
            Some(pid) => context
                .host
                .netns(&format!("/proc/{}/ns/net", number(pid)?))?,
            None if text.bytes().all(|b| b.is_ascii_digit()) => inode(text)?,
            None => context.host.netns(text)?,
        };
        Ok(())
    }

    fn get(&self, options: &mut O) -> Option<String> {
        let netns = options.filter().netns;
        (netns != 0).then(|| netns.to_string())
    }

    /// Devices are looked up in this namespace.
    fn comes_first(&self) -> bool {
        true
    }

    fn is_number(&self) -> bool {
        true
    }
}

fn inode(text: &str) -> Parsed<u32> {
    let inode = number(text).ok().and_then(|n| u32::try_from(n).ok());
    inode.filter(|n| *n != 0).ok_or_else(out_of_range)
}

/// An expression of names, some of them negated.
pub struct Expression<O, T: 'static> {
    /// All valid names.
    pub names: fn() -> Text,
    /// Parses an expression.
    pub parse: fn(&str) -> Parsed<Rules<T>>,
    /// The name of a value.
    pub name: fn(&T) -> String,
    /// The field that is set.
    pub field: fn(&mut O) -> &mut Rules<T>,
}

impl<O, T> Value<O> for Expression<O, T> {
    fn allowed(&self) -> Text {
        let names = (self.names)();
        text!("{names}, ! negates, | separates", "{names}；! 表示排除，| 分隔多个值"; names)
    }

    fn set(&self, options: &mut O, text: &str, _: &Context) -> Parsed<()> {
        *(self.field)(options) = (self.parse)(text)?;
        Ok(())
    }

    fn get(&self, options: &mut O) -> Option<String> {
        (self.field)(options).text(self.name)
    }

    fn is_list(&self) -> bool {
        true
    }
}
