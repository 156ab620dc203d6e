//! The command line: parses the arguments into actions, and checks all before the first is carried
//! out.

pub mod help;
pub mod keys;
pub mod keyval;
pub mod parse;
pub mod plugin;

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use crate::cli::plugin::{Plugin, Plugins};
use crate::command::options::{
    DiagnoseOptions, DumpOptions, HtmlOptions, ReportOptions, SettingsOptions, TopOptions,
};
use crate::error::{Error, Result};
use crate::fmt::escape::printable;
use crate::fmt::lang::Lang;
use crate::fmt::text::{Text, Words, text, words};
use crate::model::activation::Activation;
use crate::model::filter::Filter;
use crate::model::key::Keys;
use crate::render::terminal::{Color, StyleOptions};

/// One option of `tcpstates` with its validated value.
#[derive(Debug)]
pub enum Action {
    /// `--activate`
    Activate(Box<Activation>),
    /// `--deactivate`
    Deactivate,
    /// `--settings`
    Settings(SettingsOptions),
    /// `--report`
    Report(Box<ReportOptions>),
    /// `--follow`
    Follow(Box<ReportOptions>),
    /// `--diagnose`
    Diagnose(Box<DiagnoseOptions>),
    /// `--dump`
    Dump(DumpOptions),
    /// `--html`
    Html(Box<HtmlOptions>),
    /// `--top`
    Top(Box<TopOptions>),
}

impl Action {
    /// The capture to read instead of the module.
    pub fn from(&self) -> Option<&Path> {
        match self {
            Self::Settings(options) => options.from.as_deref(),
            Self::Report(options) => options.from.as_deref(),
            Self::Diagnose(options) => options.from.as_deref(),
            Self::Html(options) => options.from.as_deref(),
            Self::Top(options) => options.from.as_deref(),
            Self::Activate(_) | Self::Deactivate | Self::Follow(_) | Self::Dump(_) => None,
        }
    }

    /// The filter of the option.
    pub fn filter(&self) -> Option<&Filter> {
        match self {
            Self::Activate(activation) => Some(&activation.filter),
            Self::Report(options) | Self::Follow(options) => Some(&options.show.filter),
            Self::Diagnose(options) => Some(&options.scope.filter),
            Self::Html(options) => Some(&options.scope.filter),
            Self::Top(options) => Some(&options.show.filter),
            Self::Deactivate | Self::Settings(_) | Self::Dump(_) => None,
        }
    }
}

/// A parsed command.
#[derive(Debug)]
pub enum Task {
    /// Print this text, such as the help.
    Print(String),
    /// `--version`
    Version,
    /// `install`
    Install,
    /// `uninstall`
    Uninstall,
    /// `completions SHELL`
    Completions(Shell),
    /// Run a plug-in with these arguments.
    Plugin(&'static dyn Plugin, ArgMatches, StyleOptions),
}

const NAME: &str = env!("CARGO_PKG_NAME");

const EXAMPLES: Words = words!(
    "\
Examples:
  diagnose-tools install
  diagnose-tools tcpstates --activate
  diagnose-tools tcpstates --report
  diagnose-tools uninstall

Exit status: 0 done; 1 failed; 2 wrong usage; 3 --diagnose='check=1' found a
warning or worse.",
    "\
示例：
  diagnose-tools install
  diagnose-tools tcpstates --activate
  diagnose-tools tcpstates --report
  diagnose-tools uninstall

退出状态：0 完成；1 失败；2 用法错误；3 --diagnose='check=1' 发现了警告或更严重的问题。"
);

const TCPSTATES: Words = words!(
    "\
Options are carried out from left to right; the first failure stops. KEY=VALUE pairs are separated
by spaces or commas, several values of one key by |; ! before a value excludes it. The keys below
are listed with what they do, their defaults, and the values that they take.
",
    "\
选项从左到右依次执行，第一个失败即停止。KEY=VALUE 键值对用空格或逗号分隔，一个键的多个值用 | 分隔；
值前加 ! 表示排除。下面列出每个键的作用、默认值和可用的值。
"
);

const NARROWED: Words = words!(
    "\
What a filter applies to: an alarm of a pair has two addresses and no ports. A listener, and an
alarm of one, has a local end only, so rules of the remote end do not apply; a listener on any
address has every local address. Alarms have no state, no reason and no age; a listener is in
LISTEN.
",
    "\
过滤条件的适用范围：地址对的告警有两个地址，没有端口。监听端及其告警只有本地端，因此远端条件对其不适用；
监听任意地址的监听端拥有全部本地地址。告警没有状态、原因和时长；监听端的状态是 LISTEN。
"
);

const PROCESSES: Words = words!(
    "\
What a process is: of a live connection or listener, one that has the socket open now; (+2) counts
the others. One in parentheses does not: it opened the socket, or had it, and nobody else was found.
An orphan is open in no process. Of an event it is the one that opened the socket, in parentheses if
it has ended.
",
    "\
进程的含义：对于当前连接或监听端，是现在打开着该套接字的一个进程，(+2) 表示另外还有 2 个。带括号的进程
现在没有打开它：它曾经打开或持有该套接字，而没有找到其他进程。孤儿连接不被任何进程打开。对于事件，是打开
该套接字的进程，若已结束则带括号。
"
);

/// Description and command line of an example.
type Example = (Words, &'static str);

/// At least one example for each option.
const TCPSTATES_EXAMPLES: &[Example] = &[
    (words!("record everything", "记录全部"), "--activate"),
    (
        words!(
            "record ports 80 and 443, and only what lasted 5 ms in its old state",
            "记录端口 80 和 443，且只记录在原状态中持续了 5 毫秒的转换"
        ),
        "--activate='port=80|443 min-ms=5'",
    ),
    (
        words!(
            "record one network namespace, without 10.1.0.0/16",
            "记录一个网络命名空间，排除 10.1.0.0/16"
        ),
        "--activate='netns=web raddr=!10.1.0.0/16'",
    ),
    (
        words!(
            "start again, and show the settings",
            "重新开始记录，并显示设置"
        ),
        "--deactivate --activate='verbose=1' --settings",
    ),
    (
        words!("what is new since the last report", "上次报告以来的新内容"),
        "--report",
    ),
    (
        words!(
            "the 20 connections that are longest in CLOSE_WAIT; mark nothing as reported",
            "处于 CLOSE_WAIT 最久的 20 个连接；不标记为已报告"
        ),
        "--report='peek=1 transitions=0 connections=1 state=close-wait sort=age limit=20'",
    ),
    (
        words!("connections that failed, as JSON", "失败的连接，JSON 格式"),
        "--report='json=1 peek=1 reason=refused|unreachable|timeout_syn' | jq -c .",
    ),
    (
        words!("resets as they happen", "实时显示复位"),
        "--follow='reason=reset_sent|reset_received'",
    ),
    (
        words!("alarms alone", "只显示告警"),
        "--follow='transitions=0'",
    ),
    (
        words!(
            "what has ended, one line each: how long it lasted, what it carried, why it ended",
            "已结束的连接，每个一行：持续多久、传输了多少、为何结束"
        ),
        "--report='lives=1 limit=50'",
    ),
    (
        words!(
            "which processes have connections in which state",
            "哪些进程有处于哪种状态的连接"
        ),
        "--report='by=process|state transitions=0 summary=0'",
    ),
    (
        words!(
            "why connections ended in the last ten minutes, by listener",
            "最近十分钟连接为何结束，按监听端统计"
        ),
        "--report='by=listener|reason connections=0 reported=1 since=-10m'",
    ),
    (
        words!(
            "everything that is recorded of one connection",
            "一个连接的全部记录"
        ),
        "--report='conn=4711 reported=1 format=detail'",
    ),
    (
        words!(
            "what is new for a script that runs every hour, whoever else reads",
            "供每小时运行的脚本使用：自己的新内容，不受其他读取者影响"
        ),
        "--report='json=1 cursor=hourly'",
    ),
    (
        words!("the settings for a script", "供脚本使用的设置"),
        "--settings='json=1'",
    ),
    (words!("what is wrong", "有什么问题"), "--diagnose"),
    (
        words!(
            "two findings, for a script: exit status 3 if one is at least a warning",
            "供脚本使用，只检查两类问题：有警告或更严重的问题时退出状态为 3"
        ),
        "--diagnose='json=1 check=1 rules=syn-flood|slow-body' >findings.json",
    ),
    (words!("a live view", "实时视图"), "--top"),
    (
        words!(
            "a live view of the connections of one port, those that send most first",
            "某个端口的连接的实时视图，发送最快的在前"
        ),
        "--top='screen=connections sort=rate port=443'",
    ),
    (
        words!(
            "keep all that is known, for later and elsewhere",
            "保存已知的一切，供以后或在别处查看"
        ),
        "--dump='file=web1.cap'",
    ),
    (
        words!(
            "what is wrong on that host, as anybody, on any machine",
            "那台主机有什么问题：任何用户在任何机器上都可查看"
        ),
        "--diagnose='from=web1.cap'",
    ),
    (
        words!(
            "a page with pictures, for a browser",
            "供浏览器查看的带图页面"
        ),
        "--html='file=web1.html from=web1.cap'",
    ),
];

/// The complete grammar, with the help in a language.
pub fn command(plugins: Plugins, lang: Lang) -> Command {
    let plugins = plugins.iter().map(|plugin| {
        let command = Command::new(plugin.name()).about(plugin.about().of(lang));
        usage(plugin.command(command, lang), lang)
    });
    let install = words!(
        "Load the module, building it when needed",
        "加载内核模块，必要时先编译"
    );
    let uninstall = words!("Deactivate and unload the module", "停止记录并卸载内核模块");
    let simple =
        |name: &'static str, about: Words| usage(Command::new(name).about(about.of(lang)), lang);
    let about = words!(
        "Diagnoses a Linux host: TCP state transitions, recorded by a kernel module",
        "诊断 Linux 主机：由内核模块记录的 TCP 状态转换"
    );
    let command = Command::new(NAME).about(about.of(lang));
    usage(shared(command, lang), lang)
        .subcommand(simple("install", install))
        .subcommand(simple("uninstall", uninstall))
        .subcommands(plugins)
        .subcommand(completions(lang))
        .after_help(EXAMPLES.of(lang))
        .disable_help_subcommand(true)
}

/// Adds the options that all commands have.
fn shared(command: Command, lang: Lang) -> Command {
    let version = words!(
        "Print the versions of the controller, its interface and the module",
        "输出控制程序、其接口和内核模块的版本"
    );
    let language = words!(
        "Language of text [default: by LC_ALL, LC_MESSAGES, LANG] [possible values: en, zh]",
        "文字的语言 [默认：由 LC_ALL、LC_MESSAGES、LANG 决定] [可用的值：en, zh]"
    );
    let color = words!(
        "When to use colour [default: auto] [possible values: auto, always, never]",
        "何时使用颜色 [默认：auto] [可用的值：auto, always, never]"
    );
    let flag = |name: &'static str, letter: char, action: ArgAction| {
        let arg = Arg::new(name).long(name).short(letter).action(action);
        headed(arg.global(true), lang)
    };
    command
        .arg(
            flag("version", 'V', ArgAction::SetTrue)
                .display_order(91)
                .help(version.of(lang)),
        )
        .arg(choice(
            "lang",
            Lang::NAMES.map(|(name, _)| name),
            language,
            lang,
        ))
        .arg(choice("color", ["auto", "always", "never"], color, lang))
        .arg(
            flag("help", 'h', ArgAction::Help)
                .display_order(92)
                .help(words!("Print help", "输出帮助").of(lang)),
        )
        .disable_help_flag(true)
}

/// The headings of the help, which are those of clap in English.
fn usage(command: Command, lang: Lang) -> Command {
    if lang == Lang::En {
        return command;
    }
    let line = match command.get_name() {
        NAME => format!("{NAME} [选项] [命令]"),
        "completions" => format!("{NAME} completions [选项] <SHELL>"),
        name => format!("{NAME} {name} [选项]"),
    };
    command
        .override_usage(line)
        .subcommand_help_heading("命令")
        .help_template("{about-with-newline}\n用法：{usage}\n\n{all-args}{after-help}")
}

/// The heading of an option in the help, which is that of clap in English.
fn headed(arg: Arg, lang: Lang) -> Arg {
    match (lang, arg.is_positional()) {
        (Lang::En, _) => arg,
        (Lang::Zh, true) => arg.help_heading("参数"),
        (Lang::Zh, false) => arg.help_heading("选项"),
    }
}

fn choice<const N: usize>(
    name: &'static str,
    values: [&'static str; N],
    help: Words,
    lang: Lang,
) -> Arg {
    let word = if name == "lang" { "LANG" } else { "WHEN" };
    let arg = Arg::new(name)
        .long(name)
        .value_name(word)
        .value_parser(values)
        .hide_possible_values(true)
        .global(true)
        .display_order(90)
        .help(help.of(lang));
    headed(arg, lang)
}

fn completions(lang: Lang) -> Command {
    let about = words!("Print completions for a shell", "输出 shell 的命令补全脚本");
    let help = words!(
        "bash, zsh, fish, elvish or powershell [possible values: bash, elvish, fish, powershell, zsh]",
        "bash、zsh、fish、elvish 或 powershell"
    );
    let shell = Arg::new("shell").value_name("SHELL").required(true);
    let shell = shell
        .value_parser(value_parser!(Shell))
        .hide_possible_values(true)
        .help(help.of(lang));
    let command = Command::new("completions").about(about.of(lang));
    usage(command, lang).arg(headed(shell, lang))
}

/// Adds the options of `tcpstates`.
pub fn tcpstates(command: Command, lang: Lang) -> Command {
    let after = [
        TCPSTATES.of(lang).to_owned(),
        help::text(lang),
        NARROWED.of(lang).to_owned(),
        PROCESSES.of(lang).to_owned(),
        examples(lang),
    ];
    options(lang)
        .into_iter()
        .fold(command, |command, arg| command.arg(headed(arg, lang)))
        .after_help(after.join("\n"))
}

/// The options of `tcpstates`.
fn options(lang: Lang) -> [Arg; 9] {
    let stop = words!("Stop recording, free everything", "停止记录，释放全部内存");
    [
        keyed(
            "activate",
            words!("Start recording", "开始记录"),
            keys::ACTIVATE,
            lang,
        ),
        plain("deactivate", stop.of(lang)),
        keyed(
            "settings",
            words!(
                "What is active, with which settings, hooks and losses",
                "当前的记录及其设置、挂钩和丢失数"
            ),
            keys::SETTINGS,
            lang,
        ),
        keyed(
            "report",
            words!(
                "What was recorded since the last report, and what is live now",
                "上次报告以来的记录，以及当前的连接"
            ),
            keys::REPORT,
            lang,
        ),
        keyed(
            "follow",
            words!(
                "Events as they happen; never moves the position of --report",
                "实时输出事件；不移动 --report 的位置"
            ),
            keys::FOLLOW,
            lang,
        ),
        keyed(
            "diagnose",
            words!(
                "What is wrong, who does it, and what to do about it, worst first",
                "有什么问题、由谁引起、如何处理，最严重的在前"
            ),
            keys::DIAGNOSE,
            lang,
        ),
        keyed(
            "dump",
            words!(
                "All that is known now into a file, for from=; never moves the position of --report",
                "把当前已知的一切写入文件，供 from= 读取；不移动 --report 的位置"
            ),
            keys::DUMP,
            lang,
        ),
        keyed(
            "html",
            words!(
                "One page about all of this, with pictures; never moves the position of --report",
                "把以上一切写成一个带图的页面；不移动 --report 的位置"
            ),
            keys::HTML,
            lang,
        ),
        keyed(
            "top",
            words!(
                "A live view in the terminal; never moves the position of --report",
                "终端中的实时视图；不移动 --report 的位置"
            ),
            keys::TOP,
            lang,
        ),
    ]
}

fn examples(lang: Lang) -> String {
    let mut text = words!("Examples:", "示例：").of(lang).to_owned();
    for (what, line) in TCPSTATES_EXAMPLES {
        text += &format!("\n  # {}\n  {NAME} tcpstates {line}", what.of(lang));
    }
    text
}

/// An option with an optional `=KEY=VALUE…`, which may be repeated.
fn keyed<O>(name: &'static str, help: Words, keys: Keys<O>, lang: Lang) -> Arg {
    let known = help::names(keys).into_iter();
    let known = known.map(|(name, help)| (name, help.of(lang))).collect();
    let arg = Arg::new(name)
        .long(name)
        .help(help.of(lang))
        .action(ArgAction::Append);
    arg.num_args(0..=1)
        .require_equals(true)
        .default_missing_value("")
        .value_name("KEY=VALUE …")
        .value_parser(AnyPairs(known))
        .hide_possible_values(true)
}

/// Accepts any text, and completes key names.
#[derive(Clone)]
struct AnyPairs(Vec<(&'static str, &'static str)>);

impl TypedValueParser for AnyPairs {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> std::result::Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let value = |(name, help): &(&str, &'static str)| {
            PossibleValue::new(format!("{name}=")).help(*help)
        };
        Some(Box::new(self.0.iter().map(value)))
    }
}

fn plain(name: &'static str, help: &'static str) -> Arg {
    let arg = Arg::new(name)
        .long(name)
        .help(help)
        .action(ArgAction::Append);
    arg.num_args(0).default_missing_value("")
}

/// Parses the arguments, including the program name.
///
/// # Errors
/// [`Error::Usage`] as one line.
pub fn read(args: &[OsString], plugins: Plugins, lang: Lang) -> Result<Task> {
    let is_called = |plugin: &&&dyn Plugin| args.iter().any(|arg| arg == plugin.name());
    let called = plugins.iter().find(is_called).map(|plugin| plugin.name());
    match command(plugins, lang).try_get_matches_from(args) {
        Ok(matches) => task(&matches, plugins, lang),
        Err(e) if e.kind() == ErrorKind::DisplayHelp => Ok(Task::Print(e.render().to_string())),
        Err(e) => Err(Error::Usage(one_line(&e, called))),
    }
}

/// The language that the arguments choose, or else the environment. It is needed before they are
/// parsed: their errors and the help are in this language.
pub fn language(args: &[OsString], env: impl Fn(&str) -> Option<String>) -> Lang {
    let mut words = args.iter().map(|arg| arg.to_string_lossy());
    let mut chosen = None;
    while let Some(word) = words.next() {
        let named = match word.strip_prefix("--lang=") {
            Some(name) => Lang::named(name),
            None if word == "--lang" => words.next().and_then(|name| Lang::named(&name)),
            None => None,
        };
        chosen = named.or(chosen);
    }
    chosen.unwrap_or_else(|| Lang::from_env(env))
}

fn task(matches: &ArgMatches, plugins: Plugins, lang: Lang) -> Result<Task> {
    match matches.subcommand() {
        _ if matches.get_flag("version") => Ok(Task::Version),
        Some(("install", _)) => Ok(Task::Install),
        Some(("uninstall", _)) => Ok(Task::Uninstall),
        Some(("completions", sub)) => match sub.get_one("shell") {
            Some(shell) => Ok(Task::Completions(*shell)),
            None => Err(Error::Usage(
                words!("completions: name a shell", "completions：请指定一种 shell").into(),
            )),
        },
        Some((name, sub)) => match plugins.iter().find(|plugin| plugin.name() == name) {
            Some(plugin) => Ok(Task::Plugin(*plugin, sub.clone(), style(sub, lang))),
            None => Err(nothing_to_do(plugins)),
        },
        None => Err(nothing_to_do(plugins)),
    }
}

fn nothing_to_do(plugins: Plugins) -> Error {
    let plugins: Vec<_> = plugins.iter().map(|plugin| plugin.name()).collect();
    let plugins = plugins.join(", ");
    Error::Usage(text!(
        "what to do? install, uninstall, {plugins} or completions; see '{NAME} --help'",
        "要做什么？install、uninstall、{plugins} 或 completions；参见 '{NAME} --help'"
    ))
}

fn style(matches: &ArgMatches, lang: Lang) -> StyleOptions {
    let color = matches.get_one::<String>("color").map(String::as_str);
    let color = match color {
        Some("always") => Color::Always,
        Some("never") => Color::Never,
        _ => Color::Auto,
    };
    StyleOptions { lang, color }
}

/// The options of `tcpstates` in command-line order, all validated.
///
/// # Errors
/// [`Error::Usage`] as one line.
pub fn actions(matches: &ArgMatches) -> Result<Vec<Action>> {
    let mut given = Vec::new();
    for name in [
        "activate",
        "deactivate",
        "settings",
        "report",
        "follow",
        "diagnose",
        "dump",
        "html",
        "top",
    ] {
        let values = matches.get_many::<String>(name).into_iter().flatten();
        let indices = matches.indices_of(name).into_iter().flatten();
        given.extend(
            indices
                .zip(values)
                .map(|(index, value)| (index, name, value)),
        );
    }
    given.sort_by_key(|(index, ..)| *index);
    let actions: Vec<_> = given
        .into_iter()
        .map(|(_, name, value)| action(name, value))
        .collect::<Result<_>>()?;
    if actions.is_empty() {
        return Err(Error::Usage(text!(
            "tcpstates: what to do? --activate, --deactivate, --settings, --report, --follow, \
             --diagnose, --dump, --html or --top; see '{NAME} tcpstates --help'",
            "tcpstates：要做什么？--activate、--deactivate、--settings、--report、--follow、--diagnose、\
             --dump、--html 或 --top；参见 '{NAME} tcpstates --help'"
        )));
    }
    Ok(actions)
}

fn action(name: &str, value: &str) -> Result<Action> {
    Ok(match name {
        "activate" => Action::Activate(Box::new(parse::activate(value)?)),
        "settings" => Action::Settings(parse::settings(value)?),
        "report" => Action::Report(Box::new(parse::report(value)?)),
        "follow" => Action::Follow(Box::new(parse::follow(value)?)),
        "diagnose" => Action::Diagnose(Box::new(parse::diagnose(value)?)),
        "dump" => Action::Dump(parse::dump(value)?),
        "html" => Action::Html(Box::new(parse::html(value)?)),
        "top" => Action::Top(Box::new(parse::top(value)?)),
        _ => Action::Deactivate,
    })
}

/// The error of clap as one line, without its tips; it refers to the help of the plug-in that was
/// called.
fn one_line(error: &clap::Error, called: Option<&str>) -> Text {
    let mut line = Text::new(first_line(error), problem_in_chinese(error));
    let argument = error.get(ContextKind::InvalidArg).and_then(first_of);
    if error.kind() == ErrorKind::MissingRequiredArgument {
        let argument = argument.unwrap_or_default();
        line = line.then(Text::new(format!(": {argument}"), format!("：{argument}")));
    } else if argument.is_some_and(is_pairs) {
        line = line.then(words!(
            ", is a '=' missing, as in --report='KEY=VALUE'?",
            "，是否缺少 '='，正确写法如 --report='KEY=VALUE'？"
        ));
    }
    for kind in [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedValue,
    ] {
        if let Some(value) = error.get(kind).and_then(first_of) {
            line = line.then(text!(
                ", did you mean '{value}'?",
                "，是否想输入 '{value}'？"
            ));
        }
    }
    if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue) {
        let values = values.join(" ");
        line = line.then(text!("; allowed: {values}", "；可用的值：{values}"));
    }
    let command = called.map_or_else(|| NAME.into(), |plugin| format!("{NAME} {plugin}"));
    line.then(text!(
        "; see '{command} --help'",
        "；参见 '{command} --help'"
    ))
}

/// The first line of clap's own message.
fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    printable(first.trim_end_matches(':'))
}

/// The same as the first line of clap's message, in Chinese.
fn problem_in_chinese(error: &clap::Error) -> String {
    let part = |kind| printable(error.get(kind).and_then(first_of).unwrap_or_default());
    let argument = part(ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::UnknownArgument => format!("无法识别的参数 '{argument}'"),
        ErrorKind::InvalidSubcommand => {
            format!("无法识别的命令 '{}'", part(ContextKind::InvalidSubcommand))
        }
        ErrorKind::InvalidValue => match part(ContextKind::InvalidValue).as_str() {
            "" => format!("'{argument}' 需要一个值"),
            value => format!("'{argument}' 的值 '{value}' 无效"),
        },
        ErrorKind::TooManyValues => {
            let value = part(ContextKind::InvalidValue);
            format!("'{argument}' 不接受值 '{value}'")
        }
        ErrorKind::MissingRequiredArgument => "缺少必需的参数".into(),
        ErrorKind::ArgumentConflict => format!("参数 '{argument}' 不能重复，也不能与其他参数冲突"),
        ErrorKind::InvalidUtf8 => "参数不是有效的 UTF-8 文本".into(),
        _ => format!("命令行有误：{}", first_line(error)),
    }
}

/// Whether the text looks like pairs of an option without the `=`.
fn is_pairs(text: &str) -> bool {
    text.contains('=') && !text.starts_with('-')
}

fn first_of(value: &ContextValue) -> Option<&str> {
    match value {
        ContextValue::String(text) => Some(text),
        ContextValue::Strings(texts) => texts.first().map(String::as_str),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(args: &[&str]) -> Vec<&'static str> {
        let all = ["tcpstates"].iter().chain(args);
        let matches = tcpstates(Command::new("tcpstates"), Lang::En).get_matches_from(all);
        let actions = actions(&matches).unwrap();
        let name = |action: &Action| match action {
            Action::Activate(_) => "activate",
            Action::Deactivate => "deactivate",
            Action::Settings(_) => "settings",
            Action::Report(_) => "report",
            Action::Follow(_) => "follow",
            Action::Diagnose(_) => "diagnose",
            Action::Dump(_) => "dump",
            Action::Html(_) => "html",
            Action::Top(_) => "top",
        };
        actions.iter().map(name).collect()
    }

    #[test]
    fn the_grammar_is_consistent() {
        for lang in [Lang::En, Lang::Zh] {
            tcpstates(Command::new("tcpstates"), lang).debug_assert();
        }
    }

    #[test]
    fn options_keep_their_order() {
        assert_eq!(
            names(&[
                "--deactivate",
                "--activate=verbose=1",
                "--settings",
                "--deactivate",
                "--report"
            ]),
            ["deactivate", "activate", "settings", "deactivate", "report"]
        );
        assert_eq!(
            names(&["--report=peek=1", "--report", "--activate="]),
            ["report", "report", "activate"]
        );
    }
}
