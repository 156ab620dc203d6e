//! The keys of the options that print; those of `--activate` are in `model::activation`. Accepted
//! values, help and error messages come from these tables.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use crate::command::options::{
    DiagnoseOptions, HtmlOptions, ReportOptions, SettingsOptions, TopOptions,
};
use crate::diagnose;
use crate::model::activation::{self, Activation};
use crate::model::count::{Field, MOST_FIELDS};
use crate::model::filter::keys::{Expression, Filtered, Timed, filter_keys, min_ms};
use crate::model::filter::window::MomentOf;
use crate::model::filter::{
    self, Filter, Show, parse_cgroups, parse_comms, parse_containers, parse_pids, parse_reasons,
    parse_states, parse_uids,
};
use crate::model::key::{
    Choice, Context, Flag, Group, Initial, Key, Keys, Number, Parsed, Value, all, flag, slots,
};
use crate::model::order::Sort;
use crate::model::reason::reason_names;
use crate::model::state::state_names;
use crate::model::top::screen::{Order, Screen};
use crate::render::Format;

/// Keys of `--activate`.
pub const ACTIVATE: Keys<Activation> = activation::KEYS;
/// Keys of `--report`.
pub const REPORT: Keys<ReportOptions> = &[
    PARTS,
    COUNTS,
    FINDINGS,
    PEEK,
    REPORT_SOURCE,
    WINDOW,
    filter_keys(),
    min_ms(),
    choice(),
    processes(),
    REPORT_LINES,
];
/// Keys of `--follow`.
pub const FOLLOW: Keys<ReportOptions> = &[
    PARTS,
    filter_keys(),
    min_ms(),
    choice(),
    processes(),
    FOLLOW_LINES,
];
/// Keys of `--settings`.
pub const SETTINGS: Keys<SettingsOptions> = &[SETTINGS_FORM, SETTINGS_SOURCE];
/// Keys of `--diagnose`.
pub const DIAGNOSE: Keys<DiagnoseKeys> = &[DIAGNOSIS, DIAGNOSIS_SOURCE, filter_keys()];
/// Keys of `--top`.
pub const TOP: Keys<TopOptions> = &[
    TOP_VIEW,
    TOP_SOURCE,
    filter_keys(),
    min_ms(),
    choice(),
    processes(),
];
/// Keys of a filter that is typed in the live view.
pub const SHOW: Keys<Show> = &[filter_keys(), min_ms(), choice(), processes()];
/// Keys of `--dump`.
pub const DUMP: Keys<DumpKeys> = &[DUMP_FILE];
/// Keys of `--html`.
pub const HTML: Keys<HtmlKeys> = &[HTML_FILE, HTML_SOURCE, filter_keys()];

/// Settings with the filter of a report.
trait Shown: 'static {
    /// The filter.
    fn show(&mut self) -> &mut Show;
}

macro_rules! shown {
    ($($options:ty: |$name:ident| $show:expr;)*) => {$(
        impl Shown for $options {
            fn show(&mut self) -> &mut Show {
                let $name = self;
                $show
            }
        }

        impl Filtered for $options {
            fn filter(&mut self) -> &mut Filter {
                &mut self.show().filter
            }
        }

        impl Timed for $options {
            fn min_ns(&mut self) -> &mut u64 {
                &mut self.show().min_ns
            }
        }
    )*};
}

shown! {
    ReportOptions: |options| &mut options.show;
    TopOptions: |options| &mut options.show;
    Show: |show| show;
}

/// Values that the keys of `--diagnose` set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiagnoseKeys {
    /// All options except the limits.
    pub options: DiagnoseOptions,
    /// Path of the file of limits.
    pub config: Option<PathBuf>,
}

/// Values that the keys of `--dump` set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DumpKeys {
    /// The file to write.
    pub file: Option<PathBuf>,
}

/// Values that the keys of `--html` set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HtmlKeys {
    /// All options except the file and the limits.
    pub options: HtmlOptions,
    /// The file to write.
    pub file: Option<PathBuf>,
}

impl Filtered for HtmlKeys {
    fn filter(&mut self) -> &mut Filter {
        &mut self.options.scope.filter
    }
}

impl Filtered for DiagnoseKeys {
    fn filter(&mut self) -> &mut Filter {
        &mut self.options.scope.filter
    }
}

slots!(Sort, Format, Screen);

const PARTS: Group<ReportOptions> = Group {
    title: "What is printed",
    keys: &[
        Key {
            name: "transitions",
            value: &Flag(|o: &mut ReportOptions| &mut o.transitions),
            initial: Initial::Words("by verbose; --follow 1"),
            help: "print the transitions",
        },
        Key {
            name: "lives",
            value: &Flag(|o: &mut ReportOptions| &mut o.lives),
            initial: Initial::Value("0"),
            help: "print one line for each connection that has ended, with the time in each state; then \
                   transitions and connections only if they are asked for",
        },
        Key {
            name: "alarms",
            value: &Flag(|o: &mut ReportOptions| &mut o.alarms),
            initial: Initial::Value("1"),
            help: "print the alarms; without transitions they stay, for the next report as well",
        },
        Key {
            name: "connections",
            value: &Flag(|o: &mut ReportOptions| &mut o.connections),
            initial: Initial::Words("by verbose; --follow 0"),
            help: "print the live connections",
        },
        Key {
            name: "listeners",
            value: &Flag(|o: &mut ReportOptions| &mut o.listeners),
            initial: Initial::Words("as connections"),
            help: "print the listeners with their queues, each as now/most/limit",
        },
        Key {
            name: "summary",
            value: &Flag(|o: &mut ReportOptions| &mut o.summary),
            initial: Initial::Value("1"),
            help: "print the totals, last",
        },
        Key {
            name: "format",
            value: &Choice {
                what: "a format",
                names: Format::NAMES,
                field: |o: &mut ReportOptions| &mut o.format,
            },
            initial: Initial::Value("table"),
            help: "one line each, all fields, JSON lines",
        },
        Key {
            name: "json",
            value: &IsJson,
            initial: Initial::Value("0"),
            help: "json=1 is format=json",
        },
    ],
};

const COUNTS: Group<ReportOptions> = Group {
    title: "Report",
    keys: &[Key {
        name: "by",
        value: &Fields,
        initial: Initial::Words("none"),
        help: "counts instead of lines: live connections, recorded transitions and ends by one to three \
               fields, most connections first; marks nothing as reported. transitions=0: only live \
               connections; connections=0: only what was recorded",
    }],
};

const WINDOW: Group<ReportOptions> = Group {
    title: "Report",
    keys: &[
        Key {
            name: "since",
            value: &MomentOf(|o: &mut ReportOptions| &mut o.window.since),
            initial: Initial::Words("any"),
            help: "events to show, and connections by their end: not before this time",
        },
        Key {
            name: "until",
            value: &MomentOf(|o: &mut ReportOptions| &mut o.window.until),
            initial: Initial::Words("any"),
            help: "and not after this time",
        },
    ],
};

const FINDINGS: Group<ReportOptions> = Group {
    title: "Report",
    keys: &[Key {
        name: "findings",
        value: &Flag(|o: &mut ReportOptions| &mut o.findings),
        initial: Initial::Value("1"),
        help: "diagnose as well, without looking at packets: say how many findings there are",
    }],
};

const PEEK: Group<ReportOptions> = Group {
    title: "Report",
    keys: &[
        Key {
            name: "peek",
            value: &Flag(|o: &mut ReportOptions| &mut o.peek),
            initial: Initial::Value("0"),
            help: "do not mark events as reported",
        },
        Key {
            name: "reported",
            value: &Flag(|o: &mut ReportOptions| &mut o.reported),
            initial: Initial::Value("0"),
            help: "print also events that were reported, as far as they are still recorded; marks nothing",
        },
        Key {
            name: "cursor",
            value: &CursorName,
            initial: Initial::Words("none"),
            help: "start where the last report with this name ended, and mark nothing for other reports: \
                   periodic readers do not take each other's events",
        },
    ],
};

/// The key that names a capture.
pub(crate) const FROM: &str = "from";
const SOURCE: &str = "Source";

const fn from<O>(value: &'static PathOf<O>) -> Key<O> {
    Key {
        name: FROM,
        value,
        initial: Initial::Words("the module"),
        help: "read a file that --dump has written, and nothing of this machine; marks nothing",
    }
}

const CAPTURE: &str = "a capture";

const REPORT_SOURCE: Group<ReportOptions> = Group {
    title: SOURCE,
    keys: &[from(&PathOf {
        what: CAPTURE,
        field: |o: &mut ReportOptions| &mut o.from,
    })],
};

const SETTINGS_SOURCE: Group<SettingsOptions> = Group {
    title: SOURCE,
    keys: &[from(&PathOf {
        what: CAPTURE,
        field: |o: &mut SettingsOptions| &mut o.from,
    })],
};

const DIAGNOSIS_SOURCE: Group<DiagnoseKeys> = Group {
    title: SOURCE,
    keys: &[from(&PathOf {
        what: CAPTURE,
        field: |o: &mut DiagnoseKeys| &mut o.options.from,
    })],
};

const TOP_SOURCE: Group<TopOptions> = Group {
    title: SOURCE,
    keys: &[from(&PathOf {
        what: CAPTURE,
        field: |o: &mut TopOptions| &mut o.from,
    })],
};

const TOP_VIEW: Group<TopOptions> = Group {
    title: "Live view",
    keys: &[
        Key {
            name: "interval-ms",
            value: &Number::new(100, 60_000, |o: &mut TopOptions| &mut o.interval_ms),
            initial: Initial::Value("1000"),
            help: "time between two looks in milliseconds; of a capture, the step of the time slider, by \
               default a hundredth of what it has",
        },
        Key {
            name: "screen",
            value: &Choice {
                what: "a screen",
                names: Screen::NAMES,
                field: |o: &mut TopOptions| &mut o.screen,
            },
            initial: Initial::Value("states"),
            help: "the screen that it starts with",
        },
        Key {
            name: "sort",
            value: &Choice {
                what: "an order",
                names: Order::NAMES,
                field: |o: &mut TopOptions| &mut o.sort,
            },
            initial: Initial::Words("the screen's own"),
            help: "order of the lines, on the screens that have it",
        },
    ],
};

const DUMP_FILE: Group<DumpKeys> = Group {
    title: "Capture",
    keys: &[Key {
        name: "file",
        value: &PathOf {
            what: "the file to write",
            field: |o: &mut DumpKeys| &mut o.file,
        },
        initial: Initial::Words("none, it must be given"),
        help: "where to write all that is known now; an older capture there is replaced",
    }],
};

const HTML_FILE: Group<HtmlKeys> = Group {
    title: "Page",
    keys: &[Key {
        name: "file",
        value: &PathOf {
            what: "the file to write",
            field: |o: &mut HtmlKeys| &mut o.file,
        },
        initial: Initial::Words("none, it must be given"),
        help: "where to write the page; an older file there is replaced",
    }],
};

const HTML_SOURCE: Group<HtmlKeys> = Group {
    title: SOURCE,
    keys: &[from(&PathOf {
        what: CAPTURE,
        field: |o: &mut HtmlKeys| &mut o.options.from,
    })],
};

const fn choice<O: Shown>() -> Group<O> {
    let keys = const {
        &[
            Key {
                name: "state",
                value: &Expression {
                    names: state_names,
                    parse: parse_states,
                    name: |state| state.name().into_owned(),
                    field: |o: &mut O| &mut o.show().states,
                },
                initial: Initial::Words("any"),
                help: "states to show, also as ss writes them (estab, time-wait, connected); of a transition, \
                   the old or the new one",
            },
            Key {
                name: "reason",
                value: &Expression {
                    names: reason_names,
                    parse: parse_reasons,
                    name: |reason| reason.name().unwrap_or_default().into_owned(),
                    field: |o: &mut O| &mut o.show().reasons,
                },
                initial: Initial::Words("any"),
                help: "reasons to show: why connections end, or how they began",
            },
        ]
    };
    Group {
        title: "States and reasons",
        keys,
    }
}

const fn processes<O: Shown>() -> Group<O> {
    let keys = const {
        &[
            Key {
                name: "conn",
                value: &Number {
                    low: 1,
                    high: u64::MAX,
                    unit: 1,
                    field: |o: &mut O| &mut o.show().conn,
                },
                initial: Initial::Words("any"),
                help: "the only connection or listener to show, by the number that format=detail and JSON print",
            },
            Key {
                name: "pid",
                value: &Expression {
                    names: || "process id".into(),
                    parse: parse_pids,
                    name: u32::to_string,
                    field: |o: &mut O| &mut o.show().pids,
                },
                initial: Initial::Words("any"),
                help: "processes to show: of live connections and listeners those that have the socket open, \
                   of events the one that opened it",
            },
            Key {
                name: "comm",
                value: &Expression {
                    names: || "name of a process".into(),
                    parse: parse_comms,
                    name: String::clone,
                    field: |o: &mut O| &mut o.show().comms,
                },
                initial: Initial::Words("any"),
                help: "the same by their names",
            },
            Key {
                name: "uid",
                value: &Expression {
                    names: || "user id".into(),
                    parse: parse_uids,
                    name: u32::to_string,
                    field: |o: &mut O| &mut o.show().uids,
                },
                initial: Initial::Words("any"),
                help: "users to show",
            },
            Key {
                name: "container",
                value: &Expression {
                    names: || {
                        "container as the report names it, or at least 6 characters of its id"
                            .into()
                    },
                    parse: parse_containers,
                    name: String::clone,
                    field: |o: &mut O| &mut o.show().containers,
                },
                initial: Initial::Words("any"),
                help: "containers to show",
            },
            Key {
                name: "cgroup",
                value: &Expression {
                    names: || "path such as /system.slice/nginx.service, or number".into(),
                    parse: parse_cgroups,
                    name: String::clone,
                    field: |o: &mut O| &mut o.show().cgroups,
                },
                initial: Initial::Words("any"),
                help: "control groups to show, with those below them",
            },
        ]
    };
    Group {
        title: "Connections and processes",
        keys,
    }
}

const LIMIT: Number<ReportOptions, Option<u64>> = Number {
    low: 1,
    high: u64::MAX,
    unit: 1,
    field: |o| &mut o.limit,
};

const REPORT_LINES: Group<ReportOptions> = Group {
    title: "Report",
    keys: &[
        Key {
            name: "sort",
            value: &Choice {
                what: "an order",
                names: Sort::NAMES,
                field: |o: &mut ReportOptions| &mut o.sort,
            },
            initial: Initial::Value("time"),
            help: "oldest first; longest in the state, most bytes, most retransmissions first",
        },
        Key {
            name: "limit",
            value: &LIMIT,
            initial: Initial::Words("none"),
            help: "most lines of each part: the latest by time, else the first of the order",
        },
    ],
};

const FOLLOW_LINES: Group<ReportOptions> = Group {
    title: "Events",
    keys: &[
        Key {
            name: "sort",
            value: &ByTime,
            initial: Initial::Value("time"),
            help: "as events happen",
        },
        Key {
            name: "limit",
            value: &LIMIT,
            initial: Initial::Words("none"),
            help: "end after this many events",
        },
    ],
};

const SETTINGS_FORM: Group<SettingsOptions> = Group {
    title: "Settings",
    keys: &[Key {
        name: "json",
        value: &Flag(|o: &mut SettingsOptions| &mut o.json),
        initial: Initial::Value("0"),
        help: "one JSON line",
    }],
};

const DIAGNOSIS: Group<DiagnoseKeys> = Group {
    title: "Diagnosis",
    keys: &[
        Key {
            name: "json",
            value: &Flag(|o: &mut DiagnoseKeys| &mut o.options.json),
            initial: Initial::Value("0"),
            help: "JSON lines",
        },
        Key {
            name: "check",
            value: &Flag(|o: &mut DiagnoseKeys| &mut o.options.check),
            initial: Initial::Value("0"),
            help: "when a finding is at least a warning, exit status 3, and no further option is carried \
               out",
        },
        Key {
            name: "config",
            value: &PathOf {
                what: "a TOML file",
                field: |o: &mut DiagnoseKeys| &mut o.config,
            },
            initial: Initial::Words("/etc/diagnose-tools/tcpstates.toml, if it is there"),
            help: "limits of the rules",
        },
        Key {
            name: "sample",
            value: &Sample,
            // Slow clients send data at least every ten seconds, or the server closes the
            // connection.
            initial: Initial::Value("10"),
            help: "most seconds to look at what slow clients send, when there are any; 0: not at all",
        },
        Key {
            name: "rules",
            value: &RuleNames,
            initial: Initial::Words("all"),
            help: "findings to look for",
        },
    ],
};

const MOST_SAMPLE_S: u32 = 60;

/// The fields of `by=`.
struct Fields;

impl Value<ReportOptions> for Fields {
    fn allowed(&self) -> String {
        let names: Vec<_> = Field::NAMES.iter().map(|(name, _)| *name).collect();
        format!("up to {MOST_FIELDS} of {}, | separates", names.join(" "))
    }

    fn set(&self, options: &mut ReportOptions, text: &str, context: &Context) -> Parsed<()> {
        if context.given("lives") == Some("1") {
            return Err("lives=1 prints lines".into());
        }
        let mut fields = Vec::new();
        for name in text.split('|') {
            let known = Field::NAMES.iter().find(|(known, _)| *known == name);
            let (_, field) = known.ok_or_else(|| {
                let names = Field::NAMES.iter().map(|(name, _)| Cow::Borrowed(*name));
                filter::unknown_name(name, "field", names)
            })?;
            if fields.contains(field) {
                return Err(format!("{name} is given twice"));
            }
            fields.push(*field);
        }
        match fields.len() > MOST_FIELDS {
            true => Err(format!("it has more than {MOST_FIELDS} fields")),
            false => {
                options.by = fields;
                Ok(())
            }
        }
    }

    fn get(&self, options: &mut ReportOptions) -> Option<String> {
        let names: Vec<_> = options.by.iter().map(|field| field.name()).collect();
        (!names.is_empty()).then(|| names.join("|"))
    }

    fn is_list(&self) -> bool {
        true
    }
}

/// Length of the longest name of a cursor.
const LONGEST_CURSOR: usize = 32;

/// The name of a cursor.
struct CursorName;

impl Value<ReportOptions> for CursorName {
    fn allowed(&self) -> String {
        format!("name of at most {LONGEST_CURSOR} letters a to z, digits and -")
    }

    fn set(&self, options: &mut ReportOptions, text: &str, context: &Context) -> Parsed<()> {
        if context.given(FROM).is_some() {
            return Err("a capture given by from= has no cursors".into());
        }
        if context.given("reported") == Some("1") {
            return Err("reported=1 prints all events".into());
        }
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match text.len() <= LONGEST_CURSOR && text.bytes().all(is_plain) {
            true => options.cursor = Some(text.to_owned()),
            false => return Err("it is not a name of a cursor".into()),
        }
        Ok(())
    }

    fn get(&self, options: &mut ReportOptions) -> Option<String> {
        options.cursor.clone()
    }
}

/// The key `json=1`, the same as `format=json`.
struct IsJson;

impl Value<ReportOptions> for IsJson {
    fn allowed(&self) -> String {
        "0 or 1".into()
    }

    fn set(&self, options: &mut ReportOptions, text: &str, context: &Context) -> Parsed<()> {
        let json = flag(text)?;
        let clashes = |_: &str| json != (options.format == Format::Json);
        if context.given("format").is_some_and(clashes) {
            return Err("format= says otherwise".into());
        }
        if json {
            options.format = Format::Json;
        }
        Ok(())
    }

    fn get(&self, options: &mut ReportOptions) -> Option<String> {
        Some(u8::from(options.format == Format::Json).to_string())
    }
}

/// The only order of `--follow`.
struct ByTime;

impl Value<ReportOptions> for ByTime {
    fn allowed(&self) -> String {
        "time".into()
    }

    fn set(&self, _: &mut ReportOptions, text: &str, _: &Context) -> Parsed<()> {
        match text {
            "time" => Ok(()),
            _ => Err("events are printed as they happen".into()),
        }
    }

    fn get(&self, _: &mut ReportOptions) -> Option<String> {
        Some("time".into())
    }
}

/// The path of a file.
struct PathOf<O> {
    /// Description of the file, with an article.
    what: &'static str,
    /// The field that is set.
    field: fn(&mut O) -> &mut Option<PathBuf>,
}

impl<O> Value<O> for PathOf<O> {
    fn allowed(&self) -> String {
        format!("path of {}", self.what)
    }

    fn set(&self, options: &mut O, text: &str, _: &Context) -> Parsed<()> {
        *(self.field)(options) = Some(text.into());
        Ok(())
    }

    fn get(&self, options: &mut O) -> Option<String> {
        let path = (self.field)(options).as_ref()?;
        Some(path.to_string_lossy().into_owned())
    }
}

/// How long to sample packets. With `from=` it must be 0, because a capture has no packets.
struct Sample;

impl Sample {
    const SECONDS: Number<DiagnoseKeys, Duration> =
        Number::new(0, MOST_SAMPLE_S, |o: &mut DiagnoseKeys| {
            &mut o.options.scope.patience
        });
}

impl Value<DiagnoseKeys> for Sample {
    fn allowed(&self) -> String {
        Self::SECONDS.allowed()
    }

    fn set(&self, options: &mut DiagnoseKeys, text: &str, context: &Context) -> Parsed<()> {
        Self::SECONDS.set(options, text, context)?;
        match context.given(FROM) {
            Some(_) if text != "0" => Err("a capture has no packets".into()),
            _ => Ok(()),
        }
    }

    fn get(&self, options: &mut DiagnoseKeys) -> Option<String> {
        Self::SECONDS.get(options)
    }

    fn is_number(&self) -> bool {
        true
    }
}

/// Names of findings.
struct RuleNames;

impl Value<DiagnoseKeys> for RuleNames {
    fn allowed(&self) -> String {
        let names: Vec<_> = diagnose::rules::names().collect();
        format!("{}, | separates", names.join(" "))
    }

    fn set(&self, options: &mut DiagnoseKeys, text: &str, _: &Context) -> Parsed<()> {
        let rule = |name: &str| {
            let known = diagnose::rules::names().find(|known| *known == name);
            let names = || diagnose::rules::names().map(Cow::Borrowed);
            known.ok_or_else(|| filter::unknown_name(name, "rule", names()))
        };
        options.options.scope.rules = text.split('|').map(rule).collect::<Parsed<_>>()?;
        Ok(())
    }

    fn get(&self, options: &mut DiagnoseKeys) -> Option<String> {
        let rules = &options.options.scope.rules;
        (!rules.is_empty()).then(|| rules.join("|"))
    }

    fn is_list(&self) -> bool {
        true
    }
}

/// Keys that were renamed: old and new name.
const RENAMED: [(&str, &str); 1] = [("max-groups", "max-pairs")];

/// The current name of the key `old`, if it was renamed.
pub fn new_name(old: &str) -> Option<&'static str> {
    let renamed = RENAMED.iter().find(|(name, _)| *name == old);
    renamed.map(|(_, now)| *now)
}

/// The names, separated by spaces.
pub fn names<O>(keys: Keys<O>) -> String {
    all(keys).map(|k| k.name).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse::read;
    use crate::host::lookup::OfHost;
    use crate::model::key::{joined, pairs};

    /// Checks the table of keys of one option.
    fn assert_consistent<O: Default + Clone>(option: &'static str, keys: Keys<O>) {
        let mut names: Vec<_> = all(keys).map(|k| k.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|w| w[0] != w[1]), "{option}");
        for key in all(keys) {
            let context = Context {
                host: &OfHost,
                given: &[],
            };
            if let Initial::Value(text) = key.initial {
                let mut options = O::default();
                key.value.set(&mut options, text, &context).unwrap();
                let again = key.value.get(&mut options);
                assert_eq!(again.as_deref(), Some(text), "{option} {}", key.name);
            }
        }
        // The defaults can be written as keys and read again.
        let defaults = read(option, "", keys, &OfHost).unwrap();
        let text = joined(&pairs(keys, defaults.clone()));
        let again = read(option, &text, keys, &OfHost).unwrap();
        assert_eq!(joined(&pairs(keys, again)), text);
    }

    #[test]
    fn the_tables_are_consistent() {
        assert_consistent("--activate", ACTIVATE);
        assert_consistent("--report", REPORT);
        assert_consistent("--follow", FOLLOW);
        assert_consistent("--settings", SETTINGS);
        assert_consistent("--diagnose", DIAGNOSE);
        assert_consistent("--dump", DUMP);
        assert_consistent("--html", HTML);
        assert_consistent("--top", TOP);
        assert_consistent("filter", SHOW);
    }

    #[test]
    fn each_value_is_written_as_it_was_read() {
        let report = "transitions=0 lives=0 alarms=0 connections=1 listeners=1 summary=0 \
                      format=detail json=0 by=process|state findings=0 peek=1 reported=0 \
                      cursor=mail since=-600s until=08:05:00 addr=10.0.0.0/8 port=!80 family=4 \
                      netns=77 min-ms=5 state=LISTEN|!CLOSE reason=refused conn=9 pid=1|!2 \
                      comm=nginx uid=0 container=web cgroup=/a|!7 sort=age limit=7";
        let options = read("--report", report, REPORT, &OfHost).unwrap();
        assert_eq!(joined(&pairs(REPORT, options)), report);
        let diagnose = "json=1 check=1 config=/a sample=60 rules=resets|scanner laddr=::1";
        let options = read("--diagnose", diagnose, DIAGNOSE, &OfHost).unwrap();
        assert_eq!(joined(&pairs(DIAGNOSE, options)), diagnose);
    }

    #[test]
    fn the_file_of_limits_is_named() {
        let key = all(DIAGNOSE).find(|k| k.name == "config").unwrap();
        let path = crate::diagnose::limits::DEFAULT_PATH;
        assert!(key.initial.text().starts_with(path));
    }
}
