//! The command line: parses the arguments into actions, and checks all before the first is carried
//! out.

pub mod help;
pub mod keys;
pub mod keyval;
pub mod parse;
pub mod plugin;

use std::ffi::OsStr;
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
use crate::model::activation::Activation;
use crate::model::filter::Filter;
use crate::model::key::Keys;
use crate::render::i18n::Lang;
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

const EXAMPLES: &str = "\
Examples:
  diagnose-tools install
  diagnose-tools tcpstates --activate
  diagnose-tools tcpstates --report
  diagnose-tools uninstall

Exit status: 0 done; 1 failed; 2 wrong usage; 3 --diagnose='check=1' found a
warning or worse.";

const TCPSTATES: &str = "\
Options are carried out from left to right; the first failure stops. KEY=VALUE pairs are separated
by spaces or commas, several values of one key by |; ! before a value excludes it. The keys below
are listed with what they do, their defaults, and the values that they take.
";

const NARROWED: &str = "\
What a filter applies to: an alarm of a pair has two addresses and no ports. A listener, and an
alarm of one, has a local end only, so rules of the remote end do not apply; a listener on any
address has every local address. Alarms have no state, no reason and no age; a listener is in
LISTEN.
";

const PROCESSES: &str = "\
What a process is: of a live connection or listener, one that has the socket open now; (+2) counts
the others. One in parentheses does not: it opened the socket, or had it, and nobody else was found.
An orphan is open in no process. Of an event it is the one that opened the socket, in parentheses if
it has ended.
";

/// Description and command line of an example.
type Example = (&'static str, &'static str);

/// At least one example for each option.
const TCPSTATES_EXAMPLES: &[Example] = &[
    ("record everything", "--activate"),
    (
        "record ports 80 and 443, and only what lasted 5 ms in its old state",
        "--activate='port=80|443 min-ms=5'",
    ),
    (
        "record one network namespace, without 10.1.0.0/16",
        "--activate='netns=web raddr=!10.1.0.0/16'",
    ),
    (
        "start again, and show the settings",
        "--deactivate --activate='verbose=1' --settings",
    ),
    ("what is new since the last report", "--report"),
    (
        "the 20 connections that are longest in CLOSE_WAIT; mark nothing as reported",
        "--report='peek=1 transitions=0 connections=1 state=close-wait sort=age limit=20'",
    ),
    (
        "connections that failed, as JSON",
        "--report='json=1 peek=1 reason=refused|unreachable|timeout_syn' | jq -c .",
    ),
    (
        "resets as they happen",
        "--follow='reason=reset_sent|reset_received'",
    ),
    ("alarms alone", "--follow='transitions=0'"),
    (
        "what has ended, one line each: how long it lasted, what it carried, why it ended",
        "--report='lives=1 limit=50'",
    ),
    (
        "which processes have connections in which state",
        "--report='by=process|state transitions=0 summary=0'",
    ),
    (
        "why connections ended in the last ten minutes, by listener",
        "--report='by=listener|reason connections=0 reported=1 since=-10m'",
    ),
    (
        "everything that is recorded of one connection",
        "--report='conn=4711 reported=1 format=detail'",
    ),
    (
        "what is new for a script that runs every hour, whoever else reads",
        "--report='json=1 cursor=hourly'",
    ),
    ("the settings for a script", "--settings='json=1'"),
    ("what is wrong", "--diagnose"),
    (
        "two findings, for a script: exit status 3 if one is at least a warning",
        "--diagnose='json=1 check=1 rules=syn-flood|slow-body' >findings.json",
    ),
    ("a live view", "--top"),
    (
        "a live view of the connections of one port, those that send most first",
        "--top='screen=connections sort=rate port=443'",
    ),
    (
        "keep all that is known, for later and elsewhere",
        "--dump='file=web1.cap'",
    ),
    (
        "what is wrong on that host, as anybody, on any machine",
        "--diagnose='from=web1.cap'",
    ),
    (
        "a page with pictures, for a browser",
        "--html='file=web1.html from=web1.cap'",
    ),
];

/// The complete grammar.
pub fn command(plugins: Plugins) -> Command {
    let plugins = plugins
        .iter()
        .map(|plugin| plugin.command(Command::new(plugin.name()).about(plugin.about())));
    let version = Arg::new("version")
        .short('V')
        .long("version")
        .global(true)
        .display_order(91)
        .action(ArgAction::SetTrue);
    Command::new(NAME)
        .about("Diagnoses a Linux host: TCP state transitions, recorded by a kernel module")
        .arg(version.help("Print the versions of the controller, its interface and the module"))
        .arg(choice(
            "lang",
            ["en", "zh"],
            "Language of text [default: by LC_ALL, LC_MESSAGES, LANG]",
        ))
        .arg(choice(
            "color",
            ["auto", "always", "never"],
            "When to use colour [default: auto]",
        ))
        .subcommand(Command::new("install").about("Load the module, building it when needed"))
        .subcommand(Command::new("uninstall").about("Deactivate and unload the module"))
        .subcommands(plugins)
        .subcommand(completions())
        .after_help(EXAMPLES)
        .disable_help_subcommand(true)
}

fn choice<const N: usize>(
    name: &'static str,
    values: [&'static str; N],
    help: &'static str,
) -> Arg {
    let word = if name == "lang" { "LANG" } else { "WHEN" };
    Arg::new(name)
        .long(name)
        .value_name(word)
        .value_parser(values)
        .global(true)
        .display_order(90)
        .help(help)
}

fn completions() -> Command {
    let shell = Arg::new("shell").value_name("SHELL").required(true);
    Command::new("completions")
        .about("Print completions for a shell")
        .arg(
            shell
                .value_parser(value_parser!(Shell))
                .help("bash, zsh, fish, elvish or powershell"),
        )
}

/// Adds the options of `tcpstates`.
pub fn tcpstates(command: Command) -> Command {
    let after = [
        TCPSTATES.to_owned(),
        help::text(),
        NARROWED.to_owned(),
        PROCESSES.to_owned(),
        examples(),
    ];
    command
        .arg(keyed("activate", "Start recording", keys::ACTIVATE))
        .arg(plain("deactivate", "Stop recording, free everything"))
        .arg(keyed(
            "settings",
            "What is active, with which settings, hooks and losses",
            keys::SETTINGS,
        ))
        .arg(keyed(
            "report",
            "What was recorded since the last report, and what is live now",
            keys::REPORT,
        ))
        .arg(keyed(
            "follow",
            "Events as they happen; never moves the position of --report",
            keys::FOLLOW,
        ))
        .arg(keyed(
            "diagnose",
            "What is wrong, who does it, and what to do about it, worst first",
            keys::DIAGNOSE,
        ))
        .arg(keyed(
            "dump",
            "All that is known now into a file, for from=; never moves the position of --report",
            keys::DUMP,
        ))
        .arg(keyed(
            "html",
            "One page about all of this, with pictures; never moves the position of --report",
            keys::HTML,
        ))
        .arg(keyed(
            "top",
            "A live view in the terminal; never moves the position of --report",
            keys::TOP,
        ))
        .after_help(after.join("\n"))
}

fn examples() -> String {
    let mut text = String::from("Examples:");
    for (what, line) in TCPSTATES_EXAMPLES {
        text += &format!("\n  # {what}\n  {NAME} tcpstates {line}");
    }
    text
}

/// An option with an optional `=KEY=VALUE…`, which may be repeated.
fn keyed<O>(name: &'static str, help: &'static str, keys: Keys<O>) -> Arg {
    let arg = Arg::new(name)
        .long(name)
        .help(help)
        .action(ArgAction::Append);
    arg.num_args(0..=1)
        .require_equals(true)
        .default_missing_value("")
        .value_name("KEY=VALUE …")
        .value_parser(AnyPairs(help::names(keys)))
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
pub fn read(args: impl IntoIterator<Item = std::ffi::OsString>, plugins: Plugins) -> Result<Task> {
    let args: Vec<_> = args.into_iter().collect();
    let is_called = |plugin: &&&dyn Plugin| args.iter().any(|arg| arg == plugin.name());
    let called = plugins.iter().find(is_called).map(|plugin| plugin.name());
    match command(plugins).try_get_matches_from(&args) {
        Ok(matches) => task(&matches, plugins),
        Err(e) if e.kind() == ErrorKind::DisplayHelp => Ok(Task::Print(e.render().to_string())),
        Err(e) => Err(Error::Usage(one_line(&e, called))),
    }
}

fn task(matches: &ArgMatches, plugins: Plugins) -> Result<Task> {
    match matches.subcommand() {
        _ if matches.get_flag("version") => Ok(Task::Version),
        Some(("install", _)) => Ok(Task::Install),
        Some(("uninstall", _)) => Ok(Task::Uninstall),
        Some(("completions", sub)) => match sub.get_one("shell") {
            Some(shell) => Ok(Task::Completions(*shell)),
            None => Err(Error::Usage("completions: name a shell".into())),
        },
        Some((name, sub)) => match plugins.iter().find(|plugin| plugin.name() == name) {
            Some(plugin) => Ok(Task::Plugin(*plugin, sub.clone(), style(sub))),
            None => Err(nothing_to_do(plugins)),
        },
        None => Err(nothing_to_do(plugins)),
    }
}

fn nothing_to_do(plugins: Plugins) -> Error {
    let plugins: Vec<_> = plugins.iter().map(|plugin| plugin.name()).collect();
    Error::Usage(format!(
        "what to do? install, uninstall, {} or completions; see '{NAME} --help'",
        plugins.join(", ")
    ))
}

fn style(matches: &ArgMatches) -> StyleOptions {
    let word = |name| matches.get_one::<String>(name).map(String::as_str);
    let lang = word("lang").map(|l| if l == "zh" { Lang::Zh } else { Lang::En });
    let color = match word("color") {
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
        return Err(Error::Usage(format!(
            "tcpstates: what to do? --activate, --deactivate, --settings, --report, --follow, \
             --diagnose, --dump, --html or --top; see '{NAME} tcpstates --help'"
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
fn one_line(error: &clap::Error, called: Option<&str>) -> String {
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let mut line = crate::fmt::escape::printable(first.trim_end_matches(':'));
    let argument = error.get(ContextKind::InvalidArg).and_then(first_of);
    if error.kind() == ErrorKind::MissingRequiredArgument {
        line += &format!(": {}", argument.unwrap_or_default());
    } else if argument.is_some_and(is_pairs) {
        line += ", is a '=' missing, as in --report='KEY=VALUE'?";
    }
    for kind in [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedValue,
    ] {
        if let Some(value) = error.get(kind).and_then(first_of) {
            line += &format!(", did you mean '{value}'?");
        }
    }
    if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue) {
        line += &format!("; allowed: {}", values.join(" "));
    }
    let command = called.map_or_else(|| NAME.into(), |plugin| format!("{NAME} {plugin}"));
    format!("{line}; see '{command} --help'")
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
        let matches = tcpstates(Command::new("tcpstates")).get_matches_from(all);
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
        tcpstates(Command::new("tcpstates")).debug_assert();
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
