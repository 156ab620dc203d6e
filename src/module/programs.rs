//! System programs that root runs. They are searched in root's own folders only, and run with a
//! clean environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Folders with programs, for this program and those it runs.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A command without input, with `/` as its working directory and messages in English.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(find(name));
    command.env_clear().envs([
        ("PATH", PATH),
        ("HOME", "/"),
        ("LANG", "C"),
        ("LC_ALL", "C"),
    ]);
    command.current_dir("/").stdin(Stdio::null());
    command
}

/// Path of the program, or a default path if it is not found.
fn find(name: &str) -> PathBuf {
    let mut places = PATH.split(':').map(|folder| Path::new(folder).join(name));
    let found = places.find(|path| path.is_file());
    found.unwrap_or_else(|| Path::new("/usr/bin").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_given_an_environment_of_their_own() {
        let output = command("env").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            ["HOME=/", "LANG=C", "LC_ALL=C", &format!("PATH={PATH}")]
        );
        assert!(command("no-such-program").output().is_err());
        assert_eq!(find("/opt/bin/cc"), Path::new("/opt/bin/cc"));
    }
}
