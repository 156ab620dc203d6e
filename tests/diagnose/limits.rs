//! Limits: their files, their defaults, and the documents that are generated from the rules.

use std::path::PathBuf;

use diagnose_tools::diagnose;
use diagnose_tools::diagnose::Scope;
use diagnose_tools::diagnose::limits::Limits;
use diagnose_tools::diagnose::rules::Rule;
use diagnose_tools::fmt::lang::Lang;
use testkit::host::FakeHost;
use testkit::scene::slow;

use crate::support::{add, all, host, look_with};

/// The files that must be accepted, and those that must be rejected: their first line is the
/// expected error.
#[test]
fn files_of_limits_are_checked() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let (mut valid, mut invalid) = (0, 0);
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let loaded = Limits::load(Some(&path));
        if name.starts_with("valid_") {
            assert!(loaded.is_ok(), "{name}: {loaded:?}");
            valid += 1;
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            let expected = text.lines().next().unwrap().strip_prefix("# ").unwrap();
            let error = loaded.expect_err(&name);
            assert_eq!(error.exit_status(), 2);
            let error = error.text().en().to_owned();
            let said = error.strip_prefix(path.to_str().unwrap()).unwrap();
            assert_eq!(said, expected, "{name}");
            invalid += 1;
        }
    }
    assert!(valid >= 3 && invalid >= 8, "{valid} {invalid}");
}

#[test]
fn limits_of_a_file_hold() {
    let fake = host();
    add(&fake, (0..20).map(slow));
    let found = |text: &str| {
        let scope = Scope {
            limits: Limits::parse(text).unwrap(),
            ..Scope::default()
        };
        let diagnosis = look_with(&fake, &mut FakeHost::default(), &scope);
        (diagnosis.findings.len(), diagnosis.checked.len())
    };
    assert_eq!(found(""), (0, all()));
    assert_eq!(found("[slow-request]\none-source = 20\n"), (1, all()));
    assert_eq!(
        found("[slow-request]\none-source = 20\nenabled = false\n"),
        (0, all() - 3)
    );
}

#[test]
fn the_sample_file_says_the_defaults() {
    let expected = limits_file();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("etc/tcpstates.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, expected, "etc/tcpstates.toml: run with UPDATE=1");
    assert_eq!(Limits::parse(&text).unwrap(), Limits::default());
    // The file has only comments: without the comment signs, it sets every default, and is valid.
    let bare = |line: &str| {
        line.strip_prefix('#')
            .filter(|l| !l.starts_with(' '))
            .map(str::to_owned)
    };
    let set: Vec<_> = text.lines().filter_map(bare).collect();
    let limits = Limits::parse(&set.join("\n")).unwrap();
    for rule in diagnose::rules::RULES {
        for limit in rule.limits {
            assert_eq!(
                limits.get(rule, limit),
                limit.default,
                "{} {}",
                rule.name(),
                limit.key
            );
        }
    }
}

/// `etc/tcpstates.toml`, generated from the rules.
fn limits_file() -> String {
    let mut text = String::from(
        "# Limits of `diagnose-tools tcpstates --diagnose`, to be put into\n\
         # /etc/diagnose-tools/tcpstates.toml or named by --diagnose='config=PATH'.\n\
         # All lines are the defaults: take away the # before a section and its keys.\n",
    );
    for rule in diagnose::rules::RULES {
        text += &format!("\n#[{}]\n#enabled = true\n", rule.name());
        for limit in rule.limits {
            text += &format!(
                "# {}\n#{} = {}\n",
                limit.unit.en(),
                limit.key,
                limit.default
            );
        }
    }
    update("etc/tcpstates.toml", text)
}

#[test]
fn the_documentation_has_every_rule() {
    has_every_rule("docs/diagnosis.md", Lang::En);
    has_every_rule("docs/diagnosis.zh-CN.md", Lang::Zh);
}

/// Asserts that a document has the rules in a language.
fn has_every_rule(name: &str, lang: Lang) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- rules: begin -->\n", "<!-- rules: end -->\n");
    let from = text.find(begin).unwrap() + begin.len();
    let to = text.find(end).unwrap();
    let expected = rules_text(lang);
    if std::env::var_os("UPDATE").is_some() {
        update(name, text[..from].to_owned() + &expected + &text[to..]);
        return;
    }
    assert_eq!(text[from..to], expected, "{name}: run with UPDATE=1");
}

/// The part of the documentation that is generated from the rules.
fn rules_text(lang: Lang) -> String {
    let rules = diagnose::rules::RULES.iter();
    rules.map(|rule| rule_text(rule, lang)).collect::<String>() + "\n"
}

fn rule_text(rule: &Rule, lang: Lang) -> String {
    let names: Vec<_> = rule.names.iter().map(|name| format!("`{name}`")).collect();
    let names = names.join(", ");
    let (looks_at, refuted_by) = (rule.looks_at.of(lang), rule.refuted_by.of(lang));
    let (alike, remedy) = (rule.alike.of(lang), rule.remedy.of(lang));
    let (mut text, head) = match lang {
        Lang::En => (
            format!(
                "\n### {names}\n\nLooks at {looks_at}.\n\n- Refuted by: {refuted_by}.\n- Cannot be \
                 told apart: {alike}.\n- What to do: {remedy}.\n"
            ),
            "| key | default | allowed | what | why |",
        ),
        Lang::Zh => (
            format!(
                "\n### {names}\n\n检查：{looks_at}。\n\n- 排除依据：{refuted_by}。\n- 无法区分：{alike}。\n\
                 - 处理方法：{remedy}。\n"
            ),
            "| 键 | 默认值 | 取值范围 | 含义 | 理由 |",
        ),
    };
    if !rule.limits.is_empty() {
        text += &format!("\n{head}\n|---|---|---|---|---|\n");
    }
    for limit in rule.limits {
        let (low, high) = limit.range;
        let to = match lang {
            Lang::En => "to",
            Lang::Zh => "到",
        };
        let (key, default) = (limit.key, limit.default);
        let (unit, why) = (limit.unit.of(lang), limit.why.of(lang));
        text += &format!("| `{key}` | {default} | {low} {to} {high} | {unit} | {why} |\n");
    }
    text
}

/// Writes a file of the tree that is generated from the rules, if `UPDATE` is set.
fn update(name: &str, text: String) -> String {
    if std::env::var_os("UPDATE").is_some() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
        std::fs::write(path, &text).unwrap();
    }
    text
}
