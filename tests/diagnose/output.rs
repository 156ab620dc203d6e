//! How a diagnosis is printed, and the exit status.

use std::time::Duration;

use diagnose_tools::backend::Backend;
use diagnose_tools::cli::parse;
use diagnose_tools::command;
use diagnose_tools::command::options::DiagnoseOptions;
use diagnose_tools::diagnose::Scope;
use diagnose_tools::error::Error;
use diagnose_tools::render::Style;
use diagnose_tools::render::i18n::Lang;
use diagnose_tools::render::time::Clock;
use jiff::tz::TimeZone;
use serde_json::Value;
use testkit::fake::Fake;
use testkit::host::FakeHost;
use testkit::scene::{CLOSE, Conn, ESTABLISHED, NETNS, attacker, flood, request, slow, step};

use crate::support::{add, all, host};

fn run(fake: &Fake, keys: &str, lang: Lang, width: Option<usize>) -> (String, Option<Error>) {
    let options = DiagnoseOptions {
        scope: Scope {
            patience: Duration::ZERO,
            ..parse::diagnose(keys).unwrap().scope
        },
        ..parse::diagnose(keys).unwrap()
    };
    let style = Style {
        labels: lang.labels(),
        clock: Clock::with_zone(&fake.stats().unwrap(), TimeZone::UTC),
        width,
        color: false,
    };
    let mut out = Vec::new();
    let done =
        command::diagnose::diagnose(fake, &options, &mut FakeHost::default(), &style, &mut out);
    (String::from_utf8(out).unwrap(), done.err())
}

#[test]
fn json_is_one_object_a_line_and_the_diagnosis_last() {
    let mut fake = host();
    fake.listeners = vec![flood(5_500, 1).bytes()];
    add(&fake, (0..511).map(|n| request(attacker(n))));
    (0..60).for_each(|n| {
        let conn = Conn::served(attacker(n), 1);
        fake.rings[0].write(&step(&conn, 1_000, ESTABLISHED, CLOSE, 5));
    });
    let (text, error) = run(&fake, "json=1 check=1", Lang::En, None);
    let error = error.unwrap();
    assert_eq!(error.exit_status(), 3);
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (end, findings) = lines.split_last().unwrap();
    let rules: Vec<_> = findings
        .iter()
        .map(|f| f["rule"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["syn-flood", "half-open-full", "resets"]);
    let first = &findings[0];
    assert_eq!(first["type"], "finding");
    assert_eq!(first["severity"], "warning");
    assert_eq!(first["ts"], "2023-11-14T22:13:20.000000000Z");
    assert_eq!(first["subject"]["laddr"], "10.0.0.1");
    assert_eq!(first["subject"]["lport"], 80);
    assert_eq!(first["subject"]["pid"], 141);
    assert_eq!(first["subject"]["comm"], "nginx");
    assert_eq!(first["subject"]["netns"], NETNS);
    assert_eq!(first["subject"]["peers"][0]["addr"], "10.9.0.1");
    assert_eq!(first["subject"]["peers"][0]["count"], 511);
    assert_eq!(first["numbers"]["unfinished_per_second"], 5_500);
    assert_eq!(first["advice"][0]["setting"], "net.ipv4.tcp_syncookies");
    assert_eq!(first["advice"][0]["value"], "1");
    assert_eq!(end["type"], "diagnosis");
    assert_eq!(end["findings"]["warning"], 2);
    assert_eq!(end["findings"]["info"], 1);
    assert_eq!(end["connections"], 711);
    assert_eq!(end["checked"].as_array().unwrap().len(), all());
}

#[test]
fn information_alone_does_not_fail_a_check() {
    let fake = host();
    (0..60).for_each(|n| {
        let conn = Conn::served(attacker(n), 1);
        fake.rings[0].write(&step(&conn, 1_000, ESTABLISHED, CLOSE, 5));
    });
    let (text, error) = run(&fake, "check=1", Lang::En, None);
    assert!(
        error.is_none() && text.starts_with("INFO resets: "),
        "{text}"
    );
    let (text, error) = run(&host(), "check=1", Lang::En, None);
    assert!(error.is_none());
    assert_eq!(
        text,
        format!(
            "Diagnosis 2023-11-14 22:13:20.000: nothing found (situations looked for {}, Live \
             connections 200, listeners 1)\n",
            all()
        )
    );
}

#[test]
fn text_tells_what_who_numbers_and_what_to_do() {
    let fake = host();
    add(&fake, (0..60).map(slow));
    let (text, error) = run(&fake, "", Lang::En, None);
    assert!(error.is_none());
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[0],
        "WARNING slow-request: slow requests: 60 connections from 10.9.0.1 to 10.0.0.1:80 send \
         requests and do not finish them"
    );
    assert!(
        lines[1].starts_with("  Who      Local 10.0.0.1:80, Process 142/nginx, "),
        "{text}"
    );
    assert_eq!(lines[2], "  Peers    10.9.0.1 (60)");
    assert!(lines[3].starts_with("  Numbers  connections 60, established 260, oldest_s 20, "));
    assert!(lines[4].starts_with("  To do    block 10.9.0.1 if nothing useful comes from there; "));
    assert!(
        lines
            .last()
            .unwrap()
            .contains(&format!("WARNING 1 (situations looked for {}, ", all()))
    );
    for (lang, width) in [Lang::En, Lang::Zh]
        .map(|l| [40, 80, 132].map(|w| (l, w)))
        .concat()
    {
        let (text, _) = run(&fake, "", lang, Some(width));
        let wide = |line: &&str| diagnose_tools::fmt::width::width(line) > width;
        // The first line of a finding, and the last line of all, are complete sentences for grep.
        let found: Vec<_> = text
            .lines()
            .filter(|l| l.starts_with("  "))
            .filter(wide)
            .collect();
        assert!(found.is_empty(), "{width}: {found:#?}");
    }
}

#[test]
fn text_is_chinese_where_that_is_wanted() {
    let fake = host();
    add(&fake, (0..60).map(slow));
    let (text, _) = run(&fake, "", Lang::Zh, None);
    let expected = "\
警告 slow-request: 慢速请求：来自 10.9.0.1 到 10.0.0.1:80 的 60 个连接发送请求，但迟迟不发完
  对象  本地地址 10.0.0.1:80, 进程 142/nginx, 网络命名空间 4026531840
  对端  10.9.0.1 (60)
  依据  connections 60, established 260, oldest_s 20, bytes_received 18000, bytes_per_second_each 15, \
sampled_headers 0, sampled_body 0, sampled_encrypted 0
  建议  若来自 10.9.0.1 的都不是正常业务，则将其封禁；限制单个来源的连接数：在服务器中（nginx \
limit_conn），或在防火墙中（nftables `ct count`、iptables connlimit）
        缩短等待请求头的时间：nginx client_header_timeout、Apache RequestReadTimeout header=、HAProxy \
timeout http-request；缩短等待请求体的时间：nginx client_body_timeout、Apache RequestReadTimeout \
body=；在工作进程少的服务器之前放置缓冲请求的代理

诊断 2023-11-14 22:13:20.000: 警告 1 (检查项 ALL, 当前连接 260, 监听端 1)
";
    assert_eq!(text, expected.replace("ALL", &all().to_string()));
    let (json, _) = run(&fake, "json=1", Lang::Zh, None);
    assert_eq!(json, run(&fake, "json=1", Lang::En, None).0);
}
