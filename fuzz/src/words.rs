//! The command line.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use diagnose_tools::app::PLUGINS;
use diagnose_tools::cli::{self, Action, Task, parse};
use diagnose_tools::command::options::ReportOptions;
use diagnose_tools::error::Error;
use diagnose_tools::fmt::lang::Lang;
use diagnose_tools::model::activation::{self, Activation};
use diagnose_tools::model::filter::Filter;
use diagnose_tools::model::filter::keys::filter_keys;
use diagnose_tools::model::key::{Keys, joined, pairs};
use kernel_shim::filter_valid;

use crate::assert_message;

const FILTER: Keys<Filter> = &[filter_keys()];

/// Reads the lines of the input as arguments.
pub fn options(input: &[u8]) {
    // Inputs must not read files of this host.
    let names = |key: &[u8]| input.windows(key.len()).any(|bytes| bytes == key);
    if names(b"config=") || names(b"from=") {
        return;
    }
    let args = input.split(|byte| *byte == b'\n');
    let args = args.map(|arg| OsString::from_vec(arg.to_vec()));
    let args = ["diagnose-tools".into()].into_iter().chain(args);
    let args: Vec<_> = args.collect();
    let lang = cli::language(&args, |_| None);
    let read = cli::read(&args, PLUGINS, lang).and_then(|task| match task {
        Task::Plugin(_, matches, _) => cli::actions(&matches).map(Some),
        Task::Print(help) => {
            let usage = match lang {
                Lang::En => "Usage: diagnose-tools",
                Lang::Zh => "用法：diagnose-tools",
            };
            assert!(help.contains(usage));
            Ok(None)
        }
        _ => Ok(None),
    });
    match read {
        Ok(Some(actions)) => {
            assert!(!actions.is_empty());
            actions.iter().for_each(assert_action);
        }
        Ok(None) => {}
        Err(Error::Usage(text)) => {
            assert_message(text.en());
            assert_message(text.of(Lang::Zh));
        }
        Err(error) => panic!("not of the command line: {error:?}"),
    }
}

fn assert_action(action: &Action) {
    match action {
        Action::Activate(config) => assert_activation(config),
        Action::Report(options) => assert_shown(options),
        Action::Follow(options) => {
            assert!(!options.peek && !options.findings);
            assert!(options.transitions.is_some() && options.connections.is_some());
            assert_filter(&options.show.filter);
        }
        Action::Diagnose(options) => assert_filter(&options.scope.filter),
        Action::Html(options) => assert_filter(&options.scope.filter),
        Action::Top(options) => {
            let again = parse::show(&options.filter, None).expect("what was read can be written");
            assert_eq!(again, options.show, "{}", options.filter);
            assert_filter(&options.show.filter);
        }
        Action::Deactivate | Action::Settings(_) | Action::Dump(_) => {}
    }
}

/// Asserts that the module accepts it, and that `--settings` prints the keys that recreate it.
fn assert_activation(config: &Activation) {
    assert!(filter_valid(&config.filter.to_abi()), "{config:?}");
    assert!(config.ring.is_none_or(u32::is_power_of_two));
    let text = joined(&activation::pairs(config));
    let again = parse::activate(&text).expect("what was read can be written");
    assert_eq!(&again, config, "{text}");
}

fn assert_shown(options: &ReportOptions) {
    assert!(options.limit != Some(0));
    assert_filter(&options.show.filter);
}

fn assert_filter(filter: &Filter) {
    assert!(filter_valid(&filter.to_abi()), "{filter:?}");
    let text = joined(&pairs(FILTER, filter.clone()));
    let again = parse::report(&text).expect("what was read can be written");
    assert_eq!(again.show.filter, *filter, "{text}");
}
