//! Tests of the checks, and of all texts in the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::fmt::lang::Lang::{En, Zh};

#[test]
fn a_text_has_its_arguments_in_each_language() {
    let (name, length) = ("eth0", 16);
    let what = words!("device", "设备");
    let text = text!("{what} {name}: {length:>3} bytes", "{what} {name} 有 {length:>3} 字节"; what);
    assert_eq!(text.of(En), "device eth0:  16 bytes");
    assert_eq!(text.of(Zh), "设备 eth0 有  16 字节");
    let both = Text::joined(&[text.clone(), what.into()]);
    assert_eq!(both.of(En), "device eth0:  16 bytes; device");
    assert_eq!(both.of(Zh), "设备 eth0 有  16 字节；设备");
    assert_eq!(Text::same("a").then(what).of(Zh), "a设备");
}

fn is_accepted(en: &'static str, zh: &'static str) -> bool {
    std::panic::catch_unwind(|| check(en, zh)).is_ok()
}

#[test]
fn a_missing_translation_does_not_compile() {
    assert!(is_accepted("no file {path}", "没有文件 {path}"));
    assert!(is_accepted("run `make all now`", "请运行 `make all now`"));
    assert!(!is_accepted("no file", "no file"));
    assert!(!is_accepted("没有文件", "没有文件"));
    assert!(!is_accepted("no file {path}", "没有文件"));
    assert!(!is_accepted("no file", "没有文件 {path}"));
    assert!(!is_accepted("no file {path}", "没有文件 {file}"));
    assert!(!is_accepted(
        "no file, run it again",
        "没有文件，run it again"
    ));
    assert!(!is_accepted("no file", "没有文件 no file"));
}

/// English words in Chinese texts: names of things, which stay as they are written.
const NAMES: &[&str] = &[
    "accept",
    "always",
    "auto",
    "backlog",
    "bash",
    "bind",
    "close",
    "completions",
    "connect",
    "connected",
    "connections",
    "cookie",
    "elvish",
    "en",
    "estab",
    "file",
    "fish",
    "ftrace",
    "id",
    "inode",
    "install",
    "keepalive",
    "lockdown",
    "never",
    "powershell",
    "root",
    "shell",
    "ss",
    "tcpstates",
    "uid",
    "uninstall",
    "verbose",
    "zh",
    "zsh",
];

/// The texts of [`words!`] and [`text!`] in a source, in both languages.
fn texts(source: &str) -> Vec<[String; 2]> {
    let mut all = Vec::new();
    for start in ["words!(", "text!("] {
        for (at, _) in source.match_indices(start) {
            let mut literals = literals(&source[at + start.len()..]);
            if let (Some(en), Some(zh)) = (literals.next(), literals.next()) {
                all.push([en, zh]);
            }
        }
    }
    all
}

/// The string literals at the start of a source, separated by commas, without continued lines.
fn literals(source: &str) -> impl Iterator<Item = String> {
    let mut rest = source;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        let text = rest.strip_prefix('"')?;
        let mut end = text.match_indices('"').map(|(at, _)| at);
        let end = end.find(|at| !text[..*at].ends_with('\\'))?;
        rest = &text[end + 1..];
        let parts = text[..end].split("\\\n").map(str::trim_start);
        Some(parts.collect())
    })
}

/// The English words of a text that are neither in backquotes nor arguments.
fn english_words(text: &str) -> Vec<String> {
    let plain: String = text.split('`').step_by(2).collect::<Vec<_>>().join(" ");
    let mut outside = String::new();
    let mut depth = 0_u32;
    for c in plain.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            c if depth == 0 => outside.push(c),
            _ => {}
        }
    }
    outside
        .split(|c: char| !c.is_ascii_alphanumeric() && !"_-=.:/".contains(c))
        .filter(|word| word.len() > 1 && word.bytes().all(|b| b.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

/// Arguments with these names are texts, or would be English: errors of the system, for example.
const TEXTS: &[&str] = &[
    "{error}", "{reason}", "{advice}", "{fault}", "{errno}", "{e}", "{status}",
];

/// The sources of all invocations of [`text!`], up to the end of their line or arguments.
fn calls(source: &str) -> impl Iterator<Item = &str> {
    let starts = source.match_indices(" text!(").map(|(at, _)| at);
    starts.map(|at| {
        let rest = &source[at + " text!".len()..];
        let mut depth = 0_usize;
        let mut quoted = false;
        let mut before = ' ';
        let end = rest.find(|c: char| {
            quoted ^= c == '"' && before != '\\';
            before = c;
            match c {
                '(' if !quoted => depth += 1,
                ')' if !quoted => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        &rest[..end.unwrap_or(rest.len())]
    })
}

#[test]
fn errors_are_parts_in_each_language() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let mut number = 0;
    for file in files.iter().filter(|file| !file.ends_with("text/tests.rs")) {
        let source = fs::read_to_string(file).unwrap();
        for call in calls(&source) {
            let parts = call.rsplit_once(';').map_or("", |(_, parts)| parts);
            for argument in TEXTS.iter().filter(|argument| call.contains(*argument)) {
                let name = argument.trim_matches(['{', '}']);
                let is_part = parts.split(',').any(|part| part.trim() == name);
                assert!(is_part, "{}: {argument} in {call}", file.display());
                number += 1;
            }
        }
    }
    assert!(number > 10, "{number}");
}

fn sources(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, all),
            false => all.push(path),
        }
    }
}

#[test]
fn chinese_texts_have_no_english_words_but_names() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let mut number = 0;
    let mut used = BTreeSet::<String>::new();
    for file in files.iter().filter(|file| !file.ends_with("text/tests.rs")) {
        for [en, zh] in texts(&fs::read_to_string(file).unwrap()) {
            number += 1;
            assert!(!en.is_empty());
            for word in english_words(&zh) {
                let is_name = NAMES.contains(&word.as_str());
                assert!(is_name, "{}: '{word}' in {zh}", file.display());
                used.insert(word);
            }
            for mark in ["，", "。", "；", "：", "、", "（", "）"] {
                let spaced = [format!(" {mark}"), format!("{mark} ")];
                assert!(!spaced.iter().any(|s| zh.contains(s)), "{zh}");
            }
        }
    }
    assert!(number > 500, "{number}");
    let unused: Vec<_> = NAMES.iter().filter(|name| !used.contains(**name)).collect();
    assert_eq!(unused, [&""; 0]);
}
