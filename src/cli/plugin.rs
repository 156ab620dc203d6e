//! Plug-ins, called as `diagnose-tools NAME OPTION…`. The framework provides the shared commands
//! and options (`install`, `uninstall`, `completions`, `--version`, `--lang`, `--color`), error
//! messages and exit statuses; a plug-in provides its options and carries them out.

use std::fmt::Debug;
use std::fs::File;

use clap::{ArgMatches, Command};

use crate::error::Result;
use crate::fmt::lang::Lang;
use crate::fmt::text::Words;
use crate::render::terminal::StyleOptions;

/// A separate diagnosis.
pub trait Plugin: Debug + Sync {
    /// Name on the command line.
    fn name(&self) -> &'static str;
    /// Description, one line of the help.
    fn about(&self) -> Words;
    /// Adds the options, and the help in a language, to a command with this name.
    fn command(&self, command: Command, lang: Lang) -> Command;
    /// Validates all options, then carries them out.
    ///
    /// # Errors
    /// [`crate::error::Error::Usage`] before anything is carried out; later, the error that
    /// occurred.
    fn run(&self, matches: &ArgMatches, style: StyleOptions, stdout: &File) -> Result<()>;
}

/// All plug-ins.
pub type Plugins = &'static [&'static dyn Plugin];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Task, command, read};
    use crate::error::Error;
    use crate::fmt::text::words;
    use clap::{Arg, ArgAction};

    /// Fails with the number of `--loud` options.
    #[derive(Debug)]
    struct Echo;

    impl Plugin for Echo {
        fn name(&self) -> &'static str {
            "echo"
        }

        fn about(&self) -> Words {
            words!("Say it again", "再说一遍")
        }

        fn command(&self, command: Command, _: Lang) -> Command {
            command.arg(Arg::new("loud").long("loud").action(ArgAction::Count))
        }

        fn run(&self, matches: &ArgMatches, _: StyleOptions, _: &File) -> Result<()> {
            Err(Error::Found(matches.get_count("loud").into()))
        }
    }

    const PLUGINS: Plugins = &[&Echo];

    fn read_words(line: &str) -> Result<Task> {
        let args: Vec<_> = line.split(' ').map(Into::into).collect();
        read(&args, PLUGINS, Lang::En)
    }

    #[test]
    fn a_plug_in_is_called_by_its_name() {
        command(PLUGINS, Lang::En).debug_assert();
        command(PLUGINS, Lang::Zh).debug_assert();
        let Ok(Task::Plugin(plugin, matches, style)) = read_words("x echo --loud --loud") else {
            panic!("it is known");
        };
        let stdout = File::open("/dev/null").unwrap();
        let done = plugin.run(&matches, style, &stdout);
        assert!(matches!(done, Err(Error::Found(2))), "{done:?}");
    }

    #[test]
    fn the_framework_tells_of_it() {
        let Ok(Task::Print(help)) = read_words("x --help") else {
            panic!("help was asked for");
        };
        assert!(help.contains("echo         Say it again"), "{help}");
        let error = |line| read_words(line).unwrap_err().text().en().to_owned();
        assert_eq!(
            error("x"),
            "what to do? install, uninstall, echo or completions; see 'diagnose-tools --help'"
        );
        assert!(error("x ehco").contains("did you mean 'echo'?"));
        assert!(matches!(read_words("x echo --version"), Ok(Task::Version)));
    }
}
