//! The values of the options, checked: from `KEY=VALUE` texts to settings.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use crate::abi::{self, Config};
use crate::cli::keys;
use crate::cli::keyval::Pairs;
use crate::command::options::{DiagnoseOptions, ReportOptions, SettingsOptions};
use crate::diagnose::limits::Limits;
use crate::diagnose::{self, Scope};
use crate::error::Result;
use crate::host::devices;
use crate::model::filter::{self, Filter, Show, Side};
use crate::model::order::Sort;
use crate::render::Format;

/// What is wrong with a value, in words.
type Parsed<T> = std::result::Result<T, String>;

/// The module chooses.
const AUTO: u32 = 0;
/// Mebibytes: a tebibyte.
pub(crate) const MOST_RING_MEMORY: u32 = 1 << 20;
const DEFAULT_THRESHOLD: u32 = 500;
const DEFAULT_UNFINISHED: u32 = 200;
const DEFAULT_PAIRS: u32 = 32_768;
const DEFAULT_LISTENERS: u32 = 4_096;
/// No alarm wants more: so many connections are tracked at most.
const MOST_TO_ALARM: u32 = abi::TCPSTATES_CONNS_MAX;
/// Slow clients send a piece every ten seconds or more often, or the server gives them up.
const DEFAULT_SAMPLE_S: u64 = 10;
const MOST_SAMPLE_S: u64 = 60;
const NS_PER_MS: u64 = 1_000_000;

/// Reads the value of `--activate`.
///
/// # Errors
/// [`crate::error::Error::Usage`].
pub fn activate(text: &str) -> Result<Config> {
    let pairs = Pairs::parse("--activate", text, keys::ACTIVATE)?;
    let number = |key, low: u32, high: u32, default| {
        let number = pairs.get(key, |text| number_in(text, low.into(), high.into()))?;
        Ok(number.map_or(default, |n| n as u32))
    };
    Ok(Config {
        verbose: number("verbose", 0, abi::TCPSTATES_VERBOSE_MAX, 0)?,
        hook: pairs.get("hook", hook)?.unwrap_or(abi::TCPSTATES_HOOK_AUTO),
        ring_records: pairs.get("ring", ring)?.unwrap_or(AUTO),
        max_conns: number(
            "max-conns",
            abi::TCPSTATES_CONNS_MIN,
            abi::TCPSTATES_CONNS_MAX,
            AUTO,
        )?,
        min_ns: pairs.get("min-ms", milliseconds)?.unwrap_or(0),
        filter: read_filter(&pairs)?.to_abi(),
        threshold: number("threshold", 0, MOST_TO_ALARM, DEFAULT_THRESHOLD)?,
        unfinished: number("unfinished", 0, MOST_TO_ALARM, DEFAULT_UNFINISHED)?,
        max_pairs: number(
            "max-pairs",
            abi::TCPSTATES_PAIRS_MIN,
            abi::TCPSTATES_PAIRS_MAX,
            DEFAULT_PAIRS,
        )?,
        max_listeners: number(
            "max-listeners",
            abi::TCPSTATES_LISTENERS_MIN,
            abi::TCPSTATES_LISTENERS_MAX,
            DEFAULT_LISTENERS,
        )?,
        ring_budget: ring_memory(&pairs)?,
        ..Config::default()
    })
}

/// Reads the value of `--report`.
///
/// # Errors
/// [`crate::error::Error::Usage`].
pub fn report(text: &str) -> Result<ReportOptions> {
    let pairs = Pairs::parse("--report", text, keys::REPORT)?;
    Ok(ReportOptions {
        findings: pairs.get("findings", flag)?.unwrap_or(true),
        peek: pairs.get("peek", flag)?.unwrap_or(false),
        ..showing(&pairs)?
    })
}

/// Reads the value of `--follow`.
///
/// # Errors
/// [`crate::error::Error::Usage`].
pub fn follow(text: &str) -> Result<ReportOptions> {
    let pairs = Pairs::parse("--follow", text, keys::FOLLOW)?;
    pairs.get("sort", |text| match text {
        "time" => Ok(()),
        _ => Err("events are printed as they happen".into()),
    })?;
    let options = showing(&pairs)?;
    Ok(ReportOptions {
        transitions: options.transitions.or(Some(true)),
        connections: options.connections.or(Some(false)),
        ..options
    })
}

/// Reads the value of `--settings`.
///
/// # Errors
/// [`crate::error::Error::Usage`].
pub fn settings(text: &str) -> Result<SettingsOptions> {
    let pairs = Pairs::parse("--settings", text, keys::SETTINGS)?;
    Ok(SettingsOptions {
        json: pairs.get("json", flag)?.unwrap_or(false),
    })
}

/// Reads the value of `--diagnose`, and the file of limits.
///
/// # Errors
/// [`crate::error::Error::Usage`].
pub fn diagnose(text: &str) -> Result<DiagnoseOptions> {
    let pairs = Pairs::parse("--diagnose", text, keys::DIAGNOSE)?;
    let seconds = |text: &str| number_in(text, 0, MOST_SAMPLE_S);
    let sample = pairs.get("sample", seconds)?.unwrap_or(DEFAULT_SAMPLE_S);
    let config = pairs.get("config", |path| Ok(PathBuf::from(path)))?;
    Ok(DiagnoseOptions {
        json: pairs.get("json", flag)?.unwrap_or(false),
        check: pairs.get("check", flag)?.unwrap_or(false),
        scope: Scope {
            rules: pairs.get("rules", rules)?.unwrap_or_default(),
            patience: Duration::from_secs(sample),
            filter: read_filter(&pairs)?,
            limits: Limits::load(config.as_deref())?,
        },
    })
}

fn rules(text: &str) -> Parsed<Vec<&'static str>> {
    let rule = |name: &str| {
        let known = diagnose::rules::names().find(|known| *known == name);
        let names = || diagnose::rules::names().map(Cow::Borrowed);
        known.ok_or_else(|| filter::unknown_name(name, "rule", names()))
    };
    text.split('|').map(rule).collect()
}

fn showing(pairs: &Pairs) -> Result<ReportOptions> {
    Ok(ReportOptions {
        transitions: pairs.get("transitions", flag)?,
        alarms: pairs.get("alarms", flag)?.unwrap_or(true),
        connections: pairs.get("connections", flag)?,
        listeners: pairs.get("listeners", flag)?,
        summary: pairs.get("summary", flag)?.unwrap_or(true),
        format: format(pairs)?,
        findings: false,
        peek: false,
        show: Show {
            filter: read_filter(pairs)?,
            states: pairs
                .get("state", filter::parse_states)?
                .unwrap_or_default(),
            reasons: pairs
                .get("reason", filter::parse_reasons)?
                .unwrap_or_default(),
            min_ns: pairs.get("min-ms", milliseconds)?.unwrap_or(0),
        },
        sort: pairs.get("sort", sort)?.unwrap_or_default(),
        limit: pairs.get("limit", |text| number_in(text, 1, u64::MAX))?,
    })
}

fn format(pairs: &Pairs) -> Result<Format> {
    let format = pairs.get("format", format_name)?;
    let clash = |text: &str| match (flag(text)?, format) {
        (true, None | Some(Format::Json)) => Ok(Some(Format::Json)),
        (false, None) => Ok(None),
        (false, Some(Format::Table | Format::Detail)) => Ok(format),
        _ => Err("format= says otherwise".into()),
    };
    let json = pairs.get("json", clash)?.flatten();
    Ok(json.or(format).unwrap_or_default())
}

fn read_filter(pairs: &Pairs) -> Result<Filter> {
    let mut filter = Filter {
        family: pairs.get("family", family)?.unwrap_or(0),
        netns: pairs.get("netns", filter::parse_netns)?.unwrap_or(0),
        ..Filter::default()
    };
    let netns = filter.netns;
    for side in Side::ALL {
        let (addr, port) = (
            format!("{}addr", side.letter()),
            format!("{}port", side.letter()),
        );
        let (addrs, ports) = (filter.addrs.len(), filter.ports.len());
        let device = |name: &str| devices::index(name, netns);
        let new = pairs.get(&addr, |t| {
            let rules = room(addrs, filter::parse_addrs(t, side, device)?)?;
            // An index is of one namespace, and another device elsewhere.
            if rules.iter().any(|rule| rule.ifindex != 0) {
                filter.netns = devices::netns_of_filter(netns)?;
            }
            Ok(rules)
        })?;
        filter.addrs.extend(new.into_iter().flatten());
        let new = pairs.get(&port, |t| room(ports, filter::parse_ports(t, side)?))?;
        filter.ports.extend(new.into_iter().flatten());
    }
    Ok(filter)
}

/// Whether `new` rules fit behind `used` others.
fn room<T>(used: usize, new: Vec<T>) -> Parsed<Vec<T>> {
    let most = abi::TCPSTATES_MAX_RULES as usize;
    match used + new.len() {
        n if n <= most => Ok(new),
        n => Err(format!(
            "{n} rules with those of the other sides, at most {most} fit"
        )),
    }
}

fn number_in(text: &str, low: u64, high: u64) -> Parsed<u64> {
    match filter::number(text)? {
        n if (low..=high).contains(&n) => Ok(n),
        _ => Err("it is out of range".into()),
    }
}

fn ring(text: &str) -> Parsed<u32> {
    let (low, high) = (abi::TCPSTATES_RING_MIN, abi::TCPSTATES_RING_MAX);
    let n = number_in(text, low.into(), high.into())? as u32;
    match n.is_power_of_two() {
        true => Ok(n),
        false => {
            let above = n.next_power_of_two();
            Err(format!(
                "it is not a power of two, the nearest are {} and {above}",
                above / 2
            ))
        }
    }
}

/// Bytes for all rings; 0: as the module chooses.
fn ring_memory(pairs: &Pairs) -> Result<u64> {
    let has_ring = pairs.get("ring", |_| Ok(()))?.is_some();
    let bytes = pairs.get("ring-memory", |text| {
        let mebibytes = number_in(text, 1, MOST_RING_MEMORY.into())?;
        match has_ring {
            true => Err("ring= says how long the rings are".into()),
            false => Ok(mebibytes << 20),
        }
    })?;
    Ok(bytes.unwrap_or(AUTO.into()))
}

fn milliseconds(text: &str) -> Parsed<u64> {
    Ok(number_in(text, 0, u64::MAX / NS_PER_MS)? * NS_PER_MS)
}

fn flag(text: &str) -> Parsed<bool> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err("it is not 0 or 1".into()),
    }
}

fn family(text: &str) -> Parsed<u8> {
    match text {
        "4" => Ok(4),
        "6" => Ok(6),
        _ => Err("it is not a family".into()),
    }
}

fn hook(text: &str) -> Parsed<u32> {
    match text {
        "auto" => Ok(abi::TCPSTATES_HOOK_AUTO),
        "tracepoint" => Ok(abi::TCPSTATES_HOOK_TRACEPOINT),
        "kprobe" => Ok(abi::TCPSTATES_HOOK_KPROBE),
        _ => Err("it is not a hook".into()),
    }
}

fn format_name(text: &str) -> Parsed<Format> {
    match text {
        "table" => Ok(Format::Table),
        "detail" => Ok(Format::Detail),
        "json" => Ok(Format::Json),
        _ => Err("it is not a format".into()),
    }
}

fn sort(text: &str) -> Parsed<Sort> {
    match text {
        "time" => Ok(Sort::Time),
        "age" => Ok(Sort::Age),
        "bytes" => Ok(Sort::Bytes),
        "retrans" => Ok(Sort::Retrans),
        _ => Err("it is not an order".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::options::parts;
    use crate::error::Error;
    use crate::model::activation;

    fn reason(error: Error) -> String {
        error.to_string()
    }

    #[test]
    fn an_empty_activation_has_the_defaults() {
        let config = activate("").unwrap();
        assert_eq!(
            (config.ring_records, config.max_conns, config.min_ns),
            (0, 0, 0)
        );
        assert_eq!(config.ring_budget, 0);
        assert_eq!((config.verbose, config.hook), (0, abi::TCPSTATES_HOOK_AUTO));
        assert_eq!((config.threshold, config.unfinished), (500, 200));
        assert_eq!((config.max_pairs, config.max_listeners), (32_768, 4_096));
        assert_eq!((config.filter.nr_addrs, config.filter.nr_ports), (0, 0));
    }

    #[test]
    fn an_activation_is_rendered_as_it_was_given() {
        let text = "verbose=2 addr=10.0.0.0/8|!10.1.0.0/16 laddr=::1 rport=80-89|!85 family=6 \
                    netns=77 min-ms=5 ring=1024 max-conns=9 hook=kprobe threshold=0 unfinished=7 \
                    max-pairs=1 max-listeners=65536";
        let config = activate(text).unwrap();
        assert_eq!(config.min_ns, 5_000_000);
        let pairs = activation::pairs(&config)
            .into_iter()
            .map(|(k, v)| format!("{k}={v}"));
        assert_eq!(pairs.collect::<Vec<_>>().join(" "), text);
    }

    #[test]
    fn a_ring_that_is_no_power_of_two_gets_both_neighbours() {
        let text = reason(activate("ring=1000").unwrap_err());
        assert!(
            text.contains("the nearest are 512 and 1024; allowed: a power of two"),
            "{text}"
        );
        assert!(activate("ring=4194304").is_ok());
        assert!(activate("ring=4194303").is_err() && activate("ring=32").is_err());
    }

    #[test]
    fn rings_have_a_length_or_a_budget() {
        let config = activate("ring-memory=64").unwrap();
        assert_eq!((config.ring_records, config.ring_budget), (0, 64 << 20));
        let text = reason(activate("ring=64 ring-memory=1").unwrap_err());
        assert!(
            text.contains("'ring-memory': ring= says how long the rings are"),
            "{text}"
        );
        assert!(activate("ring-memory=0").is_err());
        assert!(activate("ring-memory=1048577").is_err());
    }

    #[test]
    fn rules_fit_or_are_refused() {
        let many = |n: usize| vec!["1.1.1.1"; n].join("|");
        assert!(activate(&format!("addr={}", many(32))).is_ok());
        let text = reason(activate(&format!("addr={},laddr={}", many(20), many(13))).unwrap_err());
        assert!(
            text.contains("33 rules with those of the other sides, at most 32 fit"),
            "{text}"
        );
    }

    #[test]
    fn json_and_format_must_agree() {
        let format = |text| report(text).map(|o| o.format).map_err(reason);
        assert_eq!(format(""), Ok(Format::Table));
        assert_eq!(format("json=1"), Ok(Format::Json));
        assert_eq!(format("json=0"), Ok(Format::Table));
        assert_eq!(format("format=json json=1"), Ok(Format::Json));
        assert_eq!(format("format=detail json=0"), Ok(Format::Detail));
        let clash = "--report: bad value '1' of 'json': format= says otherwise; allowed: 0 or 1";
        assert_eq!(format("format=table json=1"), Err(clash.into()));
        assert!(format("format=json json=0").is_err());
    }

    #[test]
    fn verbose_decides_what_the_keys_leave_open() {
        let shown = |options, verbose| {
            let parts = parts(&options, verbose);
            assert_eq!((parts.alarms, parts.listeners), (true, parts.connections));
            (parts.transitions, parts.connections)
        };
        let with = |text, verbose| shown(report(text).unwrap(), verbose);
        assert_eq!(
            [with("", 0), with("", 1), with("", 2)],
            [(true, false), (false, true), (true, true)]
        );
        assert_eq!(with("transitions=0 connections=1", 0), (false, true));
        let following = |text, verbose| shown(follow(text).unwrap(), verbose);
        assert_eq!(following("", 1), (true, false));
        assert_eq!(following("connections=1", 0), (true, true));
        let told = parts(&report("alarms=0 listeners=1").unwrap(), 0);
        assert_eq!((told.alarms, told.listeners), (false, true));
        assert!(!parts(&report("listeners=0").unwrap(), 2).listeners);
    }

    #[test]
    fn follow_refuses_what_it_cannot_do() {
        assert!(reason(follow("peek=1").unwrap_err()).contains("unknown key 'peek'"));
        assert!(follow("sort=bytes").is_err() && follow("sort=time").is_ok());
    }
}
