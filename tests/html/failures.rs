//! What is said if there can be no page; an older one stays.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use diagnose_tools::command::dump;
use testkit::town::town;

use crate::cli::{Done, program, run};
use crate::support::{Directory, host, write};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn capture(directory: &Directory) -> String {
    let mut bytes = Vec::new();
    dump::write(&town(200), &mut host(), "memory", &mut bytes).unwrap();
    text(&directory.put("town.cap", &bytes)).to_owned()
}

fn html(keys: &str) -> Done {
    run(&["tcpstates", &format!("--html={keys}")])
}

#[test]
fn wrong_keys_are_refused() {
    for (keys, expected) in [
        ("", "--html: 'file' is missing; allowed: --html='file=PATH'"),
        (
            "from=x",
            "--html: 'file' is missing; allowed: --html='file=PATH'",
        ),
        (
            "file=",
            "--html: bad value '' of 'file': it is empty; allowed: path of the file to write",
        ),
        (
            "file=x lport=http",
            "--html: bad value 'http' of 'lport': 'http' is not a port (0 to 65535); allowed: ",
        ),
        (
            "file=x fiel=y",
            "--html: unknown key 'fiel' with value 'y', did you mean 'file'?",
        ),
    ] {
        let done = html(keys);
        assert_eq!((done.status, done.out.as_str()), (2, ""), "{keys}");
        let expected = format!("diagnose-tools: {expected}");
        assert!(done.err.starts_with(&expected), "{}", done.err);
        assert_eq!(done.err.lines().count(), 1, "{}", done.err);
    }
}

#[test]
fn what_cannot_be_read_leaves_no_page() {
    let directory = Directory::new("unread");
    let mut bytes = fs::read(capture(&directory)).unwrap();
    bytes[100] ^= 1;
    let damaged = directory.put("damaged.cap", &bytes);
    let file = directory.put("page.html", b"an older one");
    let before = directory.names();
    for (from, expected) in [
        (text(&damaged), "it is damaged at byte "),
        (text(&directory.path("none")), "No such file or directory"),
        ("/dev/zero", "it is not a regular file"),
    ] {
        let done = html(&format!("file={} from={from}", text(&file)));
        assert_eq!((done.status, done.out.as_str()), (1, ""));
        let expected = format!("diagnose-tools: {from}: {expected}");
        assert!(done.err.starts_with(&expected), "{}", done.err);
        assert_eq!(done.err.lines().count(), 1, "{}", done.err);
    }
    let done = html(&format!("file={}", text(&file)));
    let expected = "diagnose-tools: the module is not loaded: run `diagnose-tools install`\n";
    assert_eq!((done.status, done.err.as_str()), (1, expected));
    assert_eq!(fs::read(&file).unwrap(), b"an older one");
    assert_eq!(directory.names(), before);
}

#[test]
fn what_cannot_be_written_is_said() {
    let directory = Directory::new("unwritten");
    let from = capture(&directory);
    let link = directory.path("link");
    symlink("/dev/null", &link).unwrap();
    let before = directory.names();
    for (file, expected) in [
        (
            text(&directory.path("none/page.html")),
            "No such file or directory",
        ),
        (text(&link), "it is not a regular file"),
        (text(directory.folder()), "it is not a regular file"),
        ("/dev/full", "it is not a regular file"),
    ] {
        let done = html(&format!("file={file} from={from}"));
        let expected = format!("diagnose-tools: writing {file}: {expected}");
        assert!(done.err.starts_with(&expected), "{}", done.err);
        assert_eq!((done.status, done.out.as_str()), (1, ""));
        assert_eq!(done.err.lines().count(), 1, "{}", done.err);
    }
    assert_eq!(directory.names(), before);
}

#[test]
fn a_full_disk_leaves_the_older_page() {
    let directory = Directory::new("full");
    let from = capture(&directory);
    let folder = text(directory.folder());
    let file = format!("{folder}/disk/page.html");
    let run = program(&["tcpstates", &format!("--html=file={file} from={from}")]);
    let command = format!(
        "mkdir {folder}/disk && mount -t tmpfs -o size=32k none {folder}/disk && \
         echo older >{file} && {{ {:?} --lang en tcpstates --html='file={file} from={from}'; \
         echo status $?; cat {file}; ls -A {folder}/disk; }}",
        run.get_program()
    );
    // A mount that only this shell sees.
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &command])
        .output();
    let done = Done::from(output.unwrap());
    let expected =
        format!("diagnose-tools: writing {file}: No space left on device (os error 28)\n");
    assert_eq!(done.err, expected);
    assert_eq!(done.out, "status 1\nolder\npage.html\n");
}

#[test]
fn a_page_is_for_its_owner_only() {
    let directory = Directory::new("mode");
    let file = directory.put("page.html", b"an older one");
    write(&town(200), &mut host(), &file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
    let page = fs::read_to_string(&file).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>\n<html ") && page.ends_with("</html>\n"));
}

#[test]
fn nothing_active_is_no_page() {
    let directory = Directory::new("inactive");
    let fake = town(10);
    fake.active.set(false);
    let error = write(&fake, &mut host(), &directory.path("page.html")).unwrap_err();
    assert_eq!(error.text().en(), "not active: use --activate first");
    assert_eq!(directory.names(), [""; 0]);
}

#[test]
fn a_page_is_written_by_the_program() {
    let directory = Directory::new("program");
    let from = capture(&directory);
    let file = directory.path("page.html");
    let mut command = program(&["--lang", "zh", "tcpstates"]);
    command.arg(format!("--html=file={} from={from}", text(&file)));
    let done = Done::from(command.output().unwrap());
    assert_eq!((done.status, done.err.as_str()), (0, ""));
    assert!(
        done.out.starts_with("已写入：") && done.out.lines().count() == 1,
        "{}",
        done.out
    );
    let page = fs::read_to_string(&file).unwrap();
    assert!(page.contains("lang=\"zh-CN\"") && page.contains("捕获文件 town.cap"));
}
