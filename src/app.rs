//! Carries out the actions of the command line.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::os::fd::AsFd;
use std::path::Path;

use clap::{ArgMatches, Command};
use clap_complete::Shell;

use crate::backend::capture::backend::Capture;
use crate::backend::device::Device;
use crate::backend::{Backend, session};
use crate::cli::plugin::{Plugin, Plugins};
use crate::cli::{self, Action, Task, parse};
use crate::command::options::{DiagnoseOptions, TopOptions};
use crate::command::{
    activate, diagnose, doubts, dump, follow, html, install, kept, report, settings, top,
};
use crate::error::{Error, Result, write_error};
use crate::fmt::lang::Lang;
use crate::fmt::text::{Words, words};
use crate::host::captured::CapturedHost;
use crate::host::names::Names;
use crate::host::{Host, ThisHost};
use crate::model::version::Version;
use crate::render::terminal::{self, StyleOptions};
use crate::render::time::Clock;
use crate::render::{Style, sink};
use crate::stderr;

/// The plug-ins that the user can call. A new diagnosis adds a line here.
pub const PLUGINS: Plugins = &[&TcpStates];

/// The `tcpstates` plug-in.
#[derive(Debug)]
struct TcpStates;

impl Plugin for TcpStates {
    fn name(&self) -> &'static str {
        "tcpstates"
    }

    fn about(&self) -> Words {
        words!(
            "Record and report TCP state transitions and live connections",
            "记录并报告 TCP 状态转换和当前连接"
        )
    }

    fn command(&self, command: Command, lang: Lang) -> Command {
        cli::tcpstates(command, lang)
    }

    fn run(&self, matches: &ArgMatches, chosen: StyleOptions, stdout: &File) -> Result<()> {
        let actions = cli::actions(matches)?;
        if actions
            .iter()
            .any(|action| matches!(action, Action::Top(_)))
        {
            top::require()?;
        }
        warn_of_doubts(&actions);
        let is_captured = |action: &Action| action.from().is_some();
        let device = match actions.iter().all(is_captured) {
            true => None,
            false => Some(Device::open()?),
        };
        // A closed pipe stops the remaining actions as an error does: in `--report --deactivate`,
        // events that the report could not write must not be discarded.
        actions
            .iter()
            .try_for_each(|action| tcpstates(device.as_ref(), action, chosen, stdout))
    }
}

/// Runs the program. Prints an error to stderr and returns the exit status.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<_> = args.into_iter().collect();
    let lang = cli::language(&args, |name| env::var(name).ok());
    stderr::speak(lang);
    match cli::read(&args, PLUGINS, lang).and_then(|task| carry_out(task, lang)) {
        Ok(()) => 0,
        // These are already printed, or nobody reads the output.
        Err(error @ (Error::ClosedPipe | Error::Found(_))) => error.exit_status(),
        Err(error) => {
            stderr::error(&error.text());
            error.exit_status()
        }
    }
}

fn carry_out(task: Task, lang: Lang) -> Result<()> {
    // Not Rust's own stdout, whose buffer would keep data that could not be written.
    let file = stdout().as_fd().try_clone_to_owned().map(File::from);
    let file = file.map_err(Error::Write)?;
    let mut out = BufWriter::with_capacity(1 << 16, &file);
    match task {
        Task::Print(text) => print(&mut out, &text),
        Task::Version => print(&mut out, &versions()),
        Task::Install => install::install(lang, &mut out),
        Task::Uninstall => install::uninstall(lang, &mut out),
        Task::Completions(shell) => print(&mut out, &completions(shell, lang)),
        Task::Plugin(plugin, matches, chosen) => plugin.run(&matches, chosen, &file),
    }
}

fn print(out: &mut dyn Write, text: &str) -> Result<()> {
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(write_error)
}

/// Prints each warning once. A capture may refer to another host, so it is not checked.
fn warn_of_doubts(actions: &[Action]) {
    let mut host = ThisHost::default();
    let mut said = Vec::new();
    let of_this_host = actions.iter().filter(|action| action.from().is_none());
    for filter in of_this_host.filter_map(Action::filter) {
        for doubt in doubts::of_filter(filter, &mut host) {
            if !said.contains(&doubt) {
                stderr::warn(&doubt);
                said.push(doubt);
            }
        }
    }
}

/// Carries out one action, on the module's device or on the capture that the action names.
fn tcpstates(
    device: Option<&Device>,
    action: &Action,
    chosen: StyleOptions,
    file: &File,
) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, file);
    if let Some(path) = action.from() {
        let capture = Capture::open(path)?;
        if let Action::Top(options) = action {
            return play(&capture, options, chosen, file);
        }
        let mut host = CapturedHost::new(&capture)?;
        let names = host.all_names();
        return print_action(&capture, &mut host, names, action, chosen, &mut out);
    }
    let device = device.ok_or(Error::NotLoaded)?;
    let (mut host, names) = (ThisHost::default(), Names::of_host());
    match action {
        Action::Activate(config) => activate::activate(device, config, chosen.lang, &mut out),
        Action::Deactivate => activate::deactivate(device, chosen.lang, &mut out),
        Action::Follow(options) => {
            let mut sink = sink(options.format, style(device, chosen)?, names);
            follow::follow(device, &mut host, options, &mut *sink, file)
        }
        Action::Dump(options) => dump::dump(device, &mut host, options, chosen.lang, &mut out),
        Action::Top(options) => {
            let make = Box::new(|| -> Box<dyn Host> { Box::new(ThisHost::default()) });
            view(device, make, options, chosen, file)
        }
        Action::Diagnose(options) => {
            let options = DiagnoseOptions {
                memory: Some(kept::FOLDER.into()),
                ..(**options).clone()
            };
            let style = style(device, chosen)?;
            diagnose::diagnose(device, &options, &mut host, &style, &mut out)
        }
        _ => print_action(device, &mut host, names, action, chosen, &mut out),
    }
}

/// Carries out an action that prints data of a backend and its host.
fn print_action(
    backend: &dyn Backend,
    host: &mut dyn Host,
    names: Names,
    action: &Action,
    chosen: StyleOptions,
    out: &mut dyn Write,
) -> Result<()> {
    let style = style(backend, chosen)?;
    match action {
        Action::Settings(options) => settings::settings(backend, options, &style, out),
        Action::Report(options) => {
            let mut sink = sink(options.format, style, names);
            let folder = Path::new(kept::FOLDER);
            report::report(backend, host, options, folder, &mut *sink, out)
        }
        Action::Diagnose(options) => diagnose::diagnose(backend, options, host, &style, out),
        Action::Html(options) => html::html(backend, host, options, &style, out),
        Action::Activate(_)
        | Action::Deactivate
        | Action::Follow(_)
        | Action::Dump(_)
        | Action::Top(_) => Ok(()),
    }
}

/// Plays a capture back.
fn play(
    capture: &Capture<File>,
    options: &TopOptions,
    chosen: StyleOptions,
    file: &File,
) -> Result<()> {
    // It was read before, so that it is not damaged.
    CapturedHost::new(capture)?;
    let make = Box::new(|| -> Box<dyn Host> {
        match CapturedHost::new(capture) {
            Ok(host) => Box::new(host),
            Err(_) => Box::new(ThisHost::default()),
        }
    });
    view(capture, make, options, chosen, file)
}

/// Draws the live view of a backend.
fn view<'a>(
    backend: &'a dyn Backend,
    host: top::people::MakeHost<'a>,
    options: &TopOptions,
    chosen: StyleOptions,
    file: &File,
) -> Result<()> {
    let from = options.from.as_deref();
    let context = top::Context {
        backend,
        host,
        parse: &|text: &str| parse::show(text, from),
        style: style(backend, chosen)?,
        unicode: terminal::has_blocks(),
    };
    top::top(context, options, file)
}

fn style(backend: &dyn Backend, chosen: StyleOptions) -> Result<Style> {
    let clock = Clock::new(&backend.stats()?);
    clock.learn(&session::clocks(backend)?);
    Ok(chosen.style(clock))
}

fn completions(shell: Shell, lang: Lang) -> String {
    let mut text = Vec::new();
    clap_complete::generate(
        shell,
        &mut cli::command(PLUGINS, lang),
        env!("CARGO_PKG_NAME"),
        &mut text,
    );
    String::from_utf8_lossy(&text).into_owned()
}

fn versions() -> String {
    let line = |what, version: &Version| {
        let Version { name, call, record } = version;
        format!("{what} {name} (call version {call}, record version {record})\n")
    };
    let module = match Device::open_any_version().and_then(|d| d.version()) {
        Ok(version) => line("module", &version),
        Err(Error::NotLoaded) => "module: not loaded\n".into(),
        Err(error) => format!("module: {}\n", error.text().en()),
    };
    line(env!("CARGO_PKG_NAME"), &Version::of_controller()) + &module
}
