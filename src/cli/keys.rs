//! The keys of the options that print; those of `--activate` are in `model::activation`. Accepted
//! values, help and error messages come from these tables.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use crate::command::options::{
    DiagnoseOptions, HtmlOptions, ReportOptions, SettingsOptions, TopOptions,
};
use crate::diagnose;
use crate::fmt::text::{Text, Words, text, words};
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
    title: words!("What is printed", "输出内容"),
    keys: &[
        Key {
            name: "transitions",
            value: &Flag(|o: &mut ReportOptions| &mut o.transitions),
            initial: Initial::Words(words!(
                "by verbose; --follow 1",
                "由 verbose 决定；--follow 为 1"
            )),
            help: words!("print the transitions", "输出状态转换"),
        },
        Key {
            name: "lives",
            value: &Flag(|o: &mut ReportOptions| &mut o.lives),
            initial: Initial::Value("0"),
            help: words!(
                "print one line for each connection that has ended, with the time in each state; then \
                 transitions and connections only if they are asked for",
                "每个已结束的连接输出一行，包括在每个状态中的时间；此时只在要求时才输出状态转换和当前连接"
            ),
        },
        Key {
            name: "alarms",
            value: &Flag(|o: &mut ReportOptions| &mut o.alarms),
            initial: Initial::Value("1"),
            help: words!(
                "print the alarms; without transitions they stay, for the next report as well",
                "输出告警；不输出状态转换时告警会保留，下次报告仍会输出"
            ),
        },
        Key {
            name: "connections",
            value: &Flag(|o: &mut ReportOptions| &mut o.connections),
            initial: Initial::Words(words!(
                "by verbose; --follow 0",
                "由 verbose 决定；--follow 为 0"
            )),
            help: words!("print the live connections", "输出当前连接"),
        },
        Key {
            name: "listeners",
            value: &Flag(|o: &mut ReportOptions| &mut o.listeners),
            initial: Initial::Words(words!("as connections", "与 connections 相同")),
            help: words!(
                "print the listeners with their queues, each as now/most/limit",
                "输出监听端及其队列，每个队列为 当前/最高/上限"
            ),
        },
        Key {
            name: "summary",
            value: &Flag(|o: &mut ReportOptions| &mut o.summary),
            initial: Initial::Value("1"),
            help: words!("print the totals, last", "最后输出汇总"),
        },
        Key {
            name: "format",
            value: &Choice {
                what: words!("a format", "输出格式"),
                names: Format::NAMES,
                field: |o: &mut ReportOptions| &mut o.format,
            },
            initial: Initial::Value("table"),
            help: words!(
                "one line each, all fields, JSON lines",
                "每项一行、全部字段、JSON 行"
            ),
        },
        Key {
            name: "json",
            value: &IsJson,
            initial: Initial::Value("0"),
            help: words!("json=1 is format=json", "json=1 等同于 format=json"),
        },
    ],
};

const COUNTS: Group<ReportOptions> = Group {
    title: words!("Report", "报告"),
    keys: &[Key {
        name: "by",
        value: &Fields,
        initial: Initial::Words(words!("none", "无")),
        help: words!(
            "counts instead of lines: live connections, recorded transitions and ends by one to \
             three fields, most connections first; marks nothing as reported. transitions=0: only \
             live connections; connections=0: only what was recorded",
            "输出计数而不是逐行：按一到三个字段统计当前连接、已记录的状态转换和结束，连接最多的在前；不标记为已报告。transitions=0：只统计当前连接；connections=0：只统计已记录的内容"
        ),
    }],
};

const WINDOW: Group<ReportOptions> = Group {
    title: words!("Report", "报告"),
    keys: &[
        Key {
            name: "since",
            value: &MomentOf(|o: &mut ReportOptions| &mut o.window.since),
            initial: Initial::Words(words!("any", "任意")),
            help: words!(
                "events to show, and connections by their end: not before this time",
                "要显示的事件，以及按结束时间选择的连接：不早于此时间"
            ),
        },
        Key {
            name: "until",
            value: &MomentOf(|o: &mut ReportOptions| &mut o.window.until),
            initial: Initial::Words(words!("any", "任意")),
            help: words!("and not after this time", "且不晚于此时间"),
        },
    ],
};

const FINDINGS: Group<ReportOptions> = Group {
    title: words!("Report", "报告"),
    keys: &[Key {
        name: "findings",
        value: &Flag(|o: &mut ReportOptions| &mut o.findings),
        initial: Initial::Value("1"),
        help: words!(
            "diagnose as well, without looking at packets: say how many findings there are",
            "同时诊断（不查看报文），并给出发现的问题数"
        ),
    }],
};

const PEEK: Group<ReportOptions> = Group {
    title: words!("Report", "报告"),
    keys: &[
        Key {
            name: "peek",
            value: &Flag(|o: &mut ReportOptions| &mut o.peek),
            initial: Initial::Value("0"),
            help: words!("do not mark events as reported", "不把事件标记为已报告"),
        },
        Key {
            name: "reported",
            value: &Flag(|o: &mut ReportOptions| &mut o.reported),
            initial: Initial::Value("0"),
            help: words!(
                "print also events that were reported, as far as they are still recorded; marks nothing",
                "也输出已报告过且仍有记录的事件；不做任何标记"
            ),
        },
        Key {
            name: "cursor",
            value: &CursorName,
            initial: Initial::Words(words!("none", "无")),
            help: words!(
                "start where the last report with this name ended, and mark nothing for other \
                 reports: periodic readers do not take each other's events",
                "从同名的上一次报告结束处开始，不为其他报告做标记：定期读取者不会取走彼此的事件"
            ),
        },
    ],
};

/// The key that names a capture.
pub(crate) const FROM: &str = "from";
const SOURCE: Words = words!("Source", "数据来源");

const fn from<O>(value: &'static PathOf<O>) -> Key<O> {
    Key {
        name: FROM,
        value,
        initial: Initial::Words(words!("the module", "内核模块")),
        help: words!(
            "read a file that --dump has written, and nothing of this machine; marks nothing",
            "读取 --dump 写出的文件，不读取本机的任何数据；不做任何标记"
        ),
    }
}

const CAPTURE: Words = words!("a capture", "捕获文件");

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
    title: words!("Live view", "实时视图"),
    keys: &[
        Key {
            name: "interval-ms",
            value: &Number::new(100, 60_000, |o: &mut TopOptions| &mut o.interval_ms),
            initial: Initial::Value("1000"),
            help: words!(
                "time between two looks in milliseconds; of a capture, the step of the time slider, \
                 by default a hundredth of what it has",
                "两次查看的间隔，单位毫秒；对于捕获文件，是时间滑块的步长，默认为其时长的百分之一"
            ),
        },
        Key {
            name: "screen",
            value: &Choice {
                what: words!("a screen", "画面"),
                names: Screen::NAMES,
                field: |o: &mut TopOptions| &mut o.screen,
            },
            initial: Initial::Value("states"),
            help: words!("the screen that it starts with", "开始时的画面"),
        },
        Key {
            name: "sort",
            value: &Choice {
                what: words!("an order", "排序方式"),
                names: Order::NAMES,
                field: |o: &mut TopOptions| &mut o.sort,
            },
            initial: Initial::Words(words!("the screen's own", "画面自身的排序方式")),
            help: words!(
                "order of the lines, on the screens that have it",
                "各行的顺序，用于有此顺序的画面"
            ),
        },
    ],
};

const DUMP_FILE: Group<DumpKeys> = Group {
    title: words!("Capture", "捕获"),
    keys: &[Key {
        name: "file",
        value: &PathOf {
            what: words!("the file to write", "要写入的文件"),
            field: |o: &mut DumpKeys| &mut o.file,
        },
        initial: Initial::Words(words!("none, it must be given", "无，必须指定")),
        help: words!(
            "where to write all that is known now; an older capture there is replaced",
            "把当前已知的一切写到哪里；已有的旧捕获文件会被替换"
        ),
    }],
};

const HTML_FILE: Group<HtmlKeys> = Group {
    title: words!("Page", "页面"),
    keys: &[Key {
        name: "file",
        value: &PathOf {
            what: words!("the file to write", "要写入的文件"),
            field: |o: &mut HtmlKeys| &mut o.file,
        },
        initial: Initial::Words(words!("none, it must be given", "无，必须指定")),
        help: words!(
            "where to write the page; an older file there is replaced",
            "把页面写到哪里；已有的旧文件会被替换"
        ),
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
                    names: || Text::same(state_names()),
                    parse: parse_states,
                    name: |state| state.name().into_owned(),
                    field: |o: &mut O| &mut o.show().states,
                },
                initial: Initial::Words(words!("any", "任意")),
                help: words!(
                    "states to show, also as ss writes them (estab, time-wait, connected); of a \
                     transition, the old or the new one",
                    "要显示的状态，也可用 ss 的写法（estab、time-wait、connected）；对于状态转换，是原状态或新状态"
                ),
            },
            Key {
                name: "reason",
                value: &Expression {
                    names: || Text::same(reason_names()),
                    parse: parse_reasons,
                    name: |reason| reason.name().unwrap_or_default().into_owned(),
                    field: |o: &mut O| &mut o.show().reasons,
                },
                initial: Initial::Words(words!("any", "任意")),
                help: words!(
                    "reasons to show: why connections end, or how they began",
                    "要显示的原因：连接为何结束，或如何开始"
                ),
            },
        ]
    };
    Group {
        title: words!("States and reasons", "状态与原因"),
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
                initial: Initial::Words(words!("any", "任意")),
                help: words!(
                    "the only connection or listener to show, by the number that format=detail and JSON print",
                    "只显示这一个连接或监听端，用 format=detail 和 JSON 输出的编号"
                ),
            },
            Key {
                name: "pid",
                value: &Expression {
                    names: || words!("process id", "进程号").into(),
                    parse: parse_pids,
                    name: u32::to_string,
                    field: |o: &mut O| &mut o.show().pids,
                },
                initial: Initial::Words(words!("any", "任意")),
                help: words!(
                    "processes to show: of live connections and listeners those that have the socket \
                     open, of events the one that opened it",
                    "要显示的进程：对于当前连接和监听端，是打开着该套接字的进程；对于事件，是打开该套接字的进程"
                ),
            },
            Key {
                name: "comm",
                value: &Expression {
                    names: || words!("name of a process", "进程名").into(),
                    parse: parse_comms,
                    name: String::clone,
                    field: |o: &mut O| &mut o.show().comms,
                },
                initial: Initial::Words(words!("any", "任意")),
                help: words!("the same by their names", "同上，按进程名"),
            },
            Key {
                name: "uid",
                value: &Expression {
                    names: || words!("user id", "用户号").into(),
                    parse: parse_uids,
                    name: u32::to_string,
                    field: |o: &mut O| &mut o.show().uids,
                },
                initial: Initial::Words(words!("any", "任意")),
                help: words!("users to show", "要显示的用户"),
            },
            Key {
                name: "container",
                value: &Expression {
                    names: || {
                        words!(
                            "container as the report names it, or at least 6 characters of its id",
                            "容器（报告中的名称），或其 id 的至少 6 个字符"
                        )
                        .into()
                    },
                    parse: parse_containers,
                    name: String::clone,
                    field: |o: &mut O| &mut o.show().containers,
                },
                initial: Initial::Words(words!("any", "任意")),
                help: words!("containers to show", "要显示的容器"),
            },
            Key {
                name: "cgroup",
                value: &Expression {
                    names: || {
                        words!(
                            "path such as /system.slice/nginx.service, or number",
                            "路径（如 /system.slice/nginx.service）或编号"
                        )
                        .into()
                    },
                    parse: parse_cgroups,
                    name: String::clone,
                    field: |o: &mut O| &mut o.show().cgroups,
                },
                initial: Initial::Words(words!("any", "任意")),
                help: words!(
                    "control groups to show, with those below them",
                    "要显示的控制组，包括其下级"
                ),
            },
        ]
    };
    Group {
        title: words!("Connections and processes", "连接与进程"),
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
    title: words!("Report", "报告"),
    keys: &[
        Key {
            name: "sort",
            value: &Choice {
                what: words!("an order", "排序方式"),
                names: Sort::NAMES,
                field: |o: &mut ReportOptions| &mut o.sort,
            },
            initial: Initial::Value("time"),
            help: words!(
                "oldest first; longest in the state, most bytes, most retransmissions first",
                "最早的在前；处于该状态最久、字节最多、重传最多的在前"
            ),
        },
        Key {
            name: "limit",
            value: &LIMIT,
            initial: Initial::Words(words!("none", "无")),
            help: words!(
                "most lines of each part: the latest by time, else the first of the order",
                "每部分的最多行数：按时间时取最近的，否则取排在最前的"
            ),
        },
    ],
};

const FOLLOW_LINES: Group<ReportOptions> = Group {
    title: words!("Events", "事件"),
    keys: &[
        Key {
            name: "sort",
            value: &ByTime,
            initial: Initial::Value("time"),
            help: words!("as events happen", "按事件发生的顺序"),
        },
        Key {
            name: "limit",
            value: &LIMIT,
            initial: Initial::Words(words!("none", "无")),
            help: words!("end after this many events", "输出这么多事件后结束"),
        },
    ],
};

const SETTINGS_FORM: Group<SettingsOptions> = Group {
    title: words!("Settings", "设置"),
    keys: &[Key {
        name: "json",
        value: &Flag(|o: &mut SettingsOptions| &mut o.json),
        initial: Initial::Value("0"),
        help: words!("one JSON line", "一行 JSON"),
    }],
};

const DIAGNOSIS: Group<DiagnoseKeys> = Group {
    title: words!("Diagnosis", "诊断"),
    keys: &[
        Key {
            name: "json",
            value: &Flag(|o: &mut DiagnoseKeys| &mut o.options.json),
            initial: Initial::Value("0"),
            help: words!("JSON lines", "JSON 行"),
        },
        Key {
            name: "check",
            value: &Flag(|o: &mut DiagnoseKeys| &mut o.options.check),
            initial: Initial::Value("0"),
            help: words!(
                "when a finding is at least a warning, exit status 3, and no further option is \
                 carried out",
                "有警告或更严重的问题时，退出状态为 3，并且不再执行后面的选项"
            ),
        },
        Key {
            name: "config",
            value: &PathOf {
                what: words!("a TOML file", "TOML 文件"),
                field: |o: &mut DiagnoseKeys| &mut o.config,
            },
            initial: Initial::Words(words!(
                "/etc/diagnose-tools/tcpstates.toml, if it is there",
                "/etc/diagnose-tools/tcpstates.toml（如果存在）"
            )),
            help: words!("limits of the rules", "各规则的限值"),
        },
        Key {
            name: "sample",
            value: &Sample,
            // Slow clients send data at least every ten seconds, or the server closes the
            // connection.
            initial: Initial::Value("10"),
            help: words!(
                "most seconds to look at what slow clients send, when there are any; 0: not at all",
                "有慢速客户端时，最多用多少秒查看它们发送的内容；0 表示不查看"
            ),
        },
        Key {
            name: "rules",
            value: &RuleNames,
            initial: Initial::Words(words!("all", "全部")),
            help: words!("findings to look for", "要检查的问题"),
        },
    ],
};

const MOST_SAMPLE_S: u32 = 60;

/// The fields of `by=`.
struct Fields;

impl Value<ReportOptions> for Fields {
    fn allowed(&self) -> Text {
        let names: Vec<_> = Field::NAMES.iter().map(|(name, _)| *name).collect();
        let names = names.join(" ");
        text!(
            "up to {MOST_FIELDS} of {names}, | separates",
            "最多 {MOST_FIELDS} 个：{names}；| 分隔多个值"
        )
    }

    fn set(&self, options: &mut ReportOptions, text: &str, context: &Context) -> Parsed<()> {
        if context.given("lives") == Some("1") {
            return Err(words!("lives=1 prints lines", "lives=1 逐行输出").into());
        }
        let mut fields = Vec::new();
        for name in text.split('|') {
            let known = Field::NAMES.iter().find(|(known, _)| *known == name);
            let (_, field) = known.ok_or_else(|| {
                let names = Field::NAMES.iter().map(|(name, _)| Cow::Borrowed(*name));
                filter::unknown_name(name, words!("a field", "字段"), names)
            })?;
            if fields.contains(field) {
                return Err(text!("{name} is given twice", "{name} 给出了两次"));
            }
            fields.push(*field);
        }
        match fields.len() > MOST_FIELDS {
            true => Err(text!(
                "it has more than {MOST_FIELDS} fields",
                "字段超过 {MOST_FIELDS} 个"
            )),
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
    fn allowed(&self) -> Text {
        text!(
            "name of at most {LONGEST_CURSOR} letters a to z, digits and -",
            "名称，最多 {LONGEST_CURSOR} 个字符：字母 a 到 z、数字和 -"
        )
    }

    fn set(&self, options: &mut ReportOptions, text: &str, context: &Context) -> Parsed<()> {
        if context.given(FROM).is_some() {
            return Err(words!(
                "a capture given by from= has no cursors",
                "from= 指定的捕获文件没有游标"
            )
            .into());
        }
        if context.given("reported") == Some("1") {
            return Err(words!("reported=1 prints all events", "reported=1 输出全部事件").into());
        }
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match text.len() <= LONGEST_CURSOR && text.bytes().all(is_plain) {
            true => options.cursor = Some(text.to_owned()),
            false => return Err(words!("it is not a name of a cursor", "不是游标名称").into()),
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
    fn allowed(&self) -> Text {
        words!("0 or 1", "0 或 1").into()
    }

    fn set(&self, options: &mut ReportOptions, text: &str, context: &Context) -> Parsed<()> {
        let json = flag(text)?;
        let clashes = |_: &str| json != (options.format == Format::Json);
        if context.given("format").is_some_and(clashes) {
            return Err(words!("format= says otherwise", "与 format= 矛盾").into());
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
    fn allowed(&self) -> Text {
        Text::same("time")
    }

    fn set(&self, _: &mut ReportOptions, text: &str, _: &Context) -> Parsed<()> {
        match text {
            "time" => Ok(()),
            _ => Err(words!("events are printed as they happen", "事件按发生的顺序输出").into()),
        }
    }

    fn get(&self, _: &mut ReportOptions) -> Option<String> {
        Some("time".into())
    }
}

/// The path of a file.
struct PathOf<O> {
    /// Description of the file, with an article.
    what: Words,
    /// The field that is set.
    field: fn(&mut O) -> &mut Option<PathBuf>,
}

impl<O> Value<O> for PathOf<O> {
    fn allowed(&self) -> Text {
        let what = self.what;
        text!("path of {what}", "{what}的路径"; what)
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
    fn allowed(&self) -> Text {
        Self::SECONDS.allowed()
    }

    fn set(&self, options: &mut DiagnoseKeys, text: &str, context: &Context) -> Parsed<()> {
        Self::SECONDS.set(options, text, context)?;
        match context.given(FROM) {
            Some(_) if text != "0" => {
                Err(words!("a capture has no packets", "捕获文件中没有报文").into())
            }
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
    fn allowed(&self) -> Text {
        let names = diagnose::rules::names().collect::<Vec<_>>().join(" ");
        text!("{names}, | separates", "{names}；| 分隔多个值")
    }

    fn set(&self, options: &mut DiagnoseKeys, text: &str, _: &Context) -> Parsed<()> {
        let rule = |name: &str| {
            let known = diagnose::rules::names().find(|known| *known == name);
            let names = || diagnose::rules::names().map(Cow::Borrowed);
            known.ok_or_else(|| filter::unknown_name(name, words!("a rule", "规则名"), names()))
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
        assert!(key.initial.words().en().starts_with(path));
    }
}
