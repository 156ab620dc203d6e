//! Real browsers and parsers read the page: Chromium, and xmllint. `scripts/setup` installs both.

use std::path::Path;
use std::process::{Command, Output};

use diagnose_tools::command::options::HtmlOptions;
use diagnose_tools::host::Host;
use diagnose_tools::render::i18n::Lang;
use testkit::fake::Fake;
use testkit::town::town;

use crate::content::assert_totals;
use crate::hostile::{Hostile, recording};
use crate::markup::{table, tables, text};
use crate::support::{Directory, host, page_with};

/// The output of a program; `None`: it is not installed, and need not be.
fn output(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) => {
            let name = command.get_program().to_string_lossy().into_owned();
            assert!(std::env::var_os("CI").is_none(), "{name}: {error}");
            eprintln!("not tested: {name}: {error}");
            None
        }
    }
}

/// The document that Chromium makes of a page, and its messages.
fn opened(directory: &Directory, page: &str) -> Option<(String, Vec<String>)> {
    let path = directory.put("page.html", page.as_bytes());
    let profile = format!("--user-data-dir={}", directory.path("profile").display());
    let mut command = Command::new("chromium");
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        "--dump-dom",
    ]);
    let output = output(
        command
            .arg(profile)
            .arg(format!("file://{}", path.display())),
    )?;
    assert!(output.status.success(), "{output:?}");
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    let messages = messages.lines().filter(|line| line.contains("CONSOLE"));
    let messages = messages.map(str::to_owned).collect();
    Some((String::from_utf8(output.stdout).unwrap(), messages))
}

/// Checks that it is XML, too.
fn assert_xml(path: &Path) {
    let mut command = Command::new("xmllint");
    if let Some(output) = output(command.args(["--noout", "--nonet"]).arg(path)) {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "{errors}");
    }
}

fn check(name: &str, fake: &Fake, host: &mut dyn Host, lang: Lang, of_dom: impl Fn(&str, &str)) {
    let page = page_with(fake, host, &HtmlOptions::default(), lang);
    let directory = Directory::new(name);
    let Some((dom, messages)) = opened(&directory, &page) else {
        return;
    };
    assert_eq!(messages, [""; 0]);
    assert_xml(&directory.path("page.html"));
    of_dom(&page, &dom);
}

/// The cells of all tables.
fn cells(page: &str) -> Vec<Vec<Vec<String>>> {
    tables(page).into_iter().map(|table| table.rows).collect()
}

#[test]
fn chromium_shows_the_numbers_of_the_report() {
    let fake = town(2_000);
    check("numbers", &fake, &mut host(), Lang::En, |page, dom| {
        assert_totals(dom, &fake);
        assert_eq!(cells(dom), cells(page));
    });
}

#[test]
fn chromium_shows_chinese() {
    let fake = town(500);
    check("chinese", &fake, &mut host(), Lang::Zh, |page, dom| {
        assert_eq!(cells(dom), cells(page));
        assert!(text(dom).contains("按容器或控制组"));
    });
}

#[test]
fn chromium_shows_hostile_names_as_text() {
    check(
        "hostile",
        &recording(),
        &mut Hostile::default(),
        Lang::En,
        |page, dom| {
            for element in ["<script", "<img", "<b onx"] {
                assert!(!dom.contains(element), "{element}");
            }
            assert_eq!(cells(dom), cells(page));
            let names = table(dom, "By process");
            let is_it = |row: &Vec<String>| row[0] == "100/<script>x</scr>";
            assert!(names.rows.iter().any(is_it));
        },
    );
}

/// Without this, a browser that says nothing would pass.
#[test]
fn chromium_says_what_the_policy_forbids() {
    let directory = Directory::new("policy");
    let page = page_with(&town(10), &mut host(), &HtmlOptions::default(), Lang::En);
    let forbidden = page.replace("</body>", "<script>document.title = 'x'</script></body>");
    let Some((dom, messages)) = opened(&directory, &forbidden) else {
        return;
    };
    assert!(
        messages
            .iter()
            .any(|m| m.contains("Content Security Policy")),
        "{messages:?}"
    );
    assert!(!dom.contains("<title>x</title>"), "it did not run");
}
