//! Invalid command lines: each prints exactly one line on stderr, compared literally, exits with
//! status 2, prints nothing on stdout, and does nothing.

mod cli;

use std::collections::BTreeSet;

use cli::{Done, program, run};

const HELP: &str = "; see 'diagnose-tools --help'";
const TCPSTATES_HELP: &str = "; see 'diagnose-tools tcpstates --help'";
const ACTIVATE_KEYS: &str = "; allowed keys: verbose addr laddr raddr port lport rport family netns min-ms ring ring-memory max-conns hook threshold unfinished max-pairs max-listeners";
const REPORT_KEYS: &str = "; allowed keys: transitions lives alarms connections listeners summary format json by findings peek reported cursor from since until addr laddr raddr port lport rport family netns min-ms state reason conn pid comm uid container cgroup sort limit";
const FOLLOW_KEYS: &str = "; allowed keys: transitions lives alarms connections listeners summary format json addr laddr raddr port lport rport family netns min-ms state reason conn pid comm uid container cgroup sort limit";
const DIAGNOSE_KEYS: &str = "; allowed keys: json check config sample rules from addr laddr raddr port lport rport family netns";
const RULES: &str = "; allowed: syn-flood stuck-reader slow-request slow-headers slow-body slow-read silent-connections pair-threshold accept-queue-full half-open-full close-wait time-wait port-exhaustion kernel-limits conntrack-full fin-wait1 fin-wait2 last-ack syn-sent scanner mtu-black-hole dead-peers resets self-connect simultaneous, | separates";
const ADDRESSES: &str = "; allowed: IPv4 or IPv6 address or CIDR, with %DEVICE behind the address if bound to \
     that, ! negates, | separates";
const PORTS: &str = "; allowed: port or range LOW-HIGH, ! negates, | separates";
const RING: &str = "; allowed: a power of two from 64 to 4194304";
const STATES: &str = "; allowed: ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING NEW_SYN_RECV, ! negates, | separates";
const REASONS: &str = "; allowed: closed_local closed_peer closed_both reset_sent reset_received timeout_retransmit timeout_keepalive timeout_probe timeout_syn refused unreachable unread_data aborted listener_closed netns_gone accept_queue_full no_port fin_timeout reused duplicate syn_cookie fast_open out_of_timewait out_of_orphans out_of_memory cancelled repair, ! negates, | separates";
const NETNS: &str =
    "; allowed: inode number, name under /run/netns, path such as /proc/PID/ns/net, or pid:PID";

/// Arguments, and the expected stderr in two parts.
type Case = (&'static [&'static str], &'static str, &'static str);

#[rustfmt::skip]
const CASES: &[Case] = &[
    (&[], "what to do? install, uninstall, tcpstates or completions", HELP),
    (&["--foo"], "unexpected argument '--foo' found", HELP),
    (&["-x"], "unexpected argument '-x' found", HELP),
    (&["tcpstate"], "unrecognized subcommand 'tcpstate', did you mean 'tcpstates'?", HELP),
    (&["activate"], "unrecognized subcommand 'activate'", HELP),
    (&["install", "now"], "unexpected argument 'now' found", HELP),
    (&["uninstall", "--force"], "unexpected argument '--force' found", HELP),
    (&["--lang"], "a value is required for '--lang <LANG>' but none was supplied; allowed: en zh", HELP),
    (&["--lang=fr", "install"], "invalid value 'fr' for '--lang <LANG>'; allowed: en zh", HELP),
    (&["--color=sometimes", "tcpstates", "--settings"], "invalid value 'sometimes' for '--color <WHEN>'; allowed: auto always never", TCPSTATES_HELP),
    (&["completions"], "the following required arguments were not provided: <SHELL>", HELP),
    (&["completions", "tcsh"], "invalid value 'tcsh' for '<SHELL>', did you mean 'zsh'?; allowed: bash elvish fish powershell zsh", HELP),
    (&["tcpstates"], "tcpstates: what to do? --activate, --deactivate, --settings, --report, --follow, --diagnose, --dump, --html or --top; see 'diagnose-tools tcpstates --help'", ""),
    (&["tcpstates", "--lang=en"], "tcpstates: what to do? --activate, --deactivate, --settings, --report, --follow, --diagnose, --dump, --html or --top; see 'diagnose-tools tcpstates --help'", ""),
    (&["tcpstates", "--reprot"], "unexpected argument '--reprot' found, did you mean '--report'?", TCPSTATES_HELP),
    (&["tcpstates", "--diagnos"], "unexpected argument '--diagnos' found, did you mean '--diagnose'?", TCPSTATES_HELP),
    (&["tcpstates", "--diagnose=jsn=1"], "--diagnose: unknown key 'jsn' with value '1', did you mean 'json'?", DIAGNOSE_KEYS),
    (&["tcpstates", "--diagnose=peek=1"], "--diagnose: unknown key 'peek' with value '1'", DIAGNOSE_KEYS),
    (&["tcpstates", "--diagnose=check=yes"], "--diagnose: bad value 'yes' of 'check': it is not 0 or 1; allowed: 0 or 1", ""),
    (&["tcpstates", "--diagnose=sample=61"], "--diagnose: bad value '61' of 'sample': it is out of range; allowed: 0 to 60", ""),
    (&["tcpstates", "--diagnose=rules=syn-flood|sync-flood"], "--diagnose: bad value 'syn-flood|sync-flood' of 'rules': 'sync-flood' is not a rule, did you mean syn-flood?", RULES),
    (&["tcpstates", "--diagnose=config="], "--diagnose: bad value '' of 'config': it is empty; allowed: path of a TOML file", ""),
    (&["tcpstates", "--diagnose=config=/nonexistent/limits.toml"], "/nonexistent/limits.toml: No such file or directory (os error 2)", ""),
    (&["tcpstates", "report"], "unexpected argument 'report' found", TCPSTATES_HELP),
    (&["tcpstates", "--activate", "ring=64"], "unexpected argument 'ring=64' found, is a '=' missing, as in --report='KEY=VALUE'?", TCPSTATES_HELP),
    (&["tcpstates", "--report", "json=1"], "unexpected argument 'json=1' found, is a '=' missing, as in --report='KEY=VALUE'?", TCPSTATES_HELP),
    (&["tcpstates", "--deactivate=now"], "unexpected value 'now' for '--deactivate' found; no more were expected", TCPSTATES_HELP),
    (&["tcpstates", "--activate=ring"], "--activate: 'ring' is not KEY=VALUE", ACTIVATE_KEYS),
    (&["tcpstates", "--activate=rign=64"], "--activate: unknown key 'rign' with value '64', did you mean 'ring'?", ACTIVATE_KEYS),
    (&["tcpstates", "--activate=Ring=64"], "--activate: unknown key 'Ring' with value '64', did you mean 'ring'?", ACTIVATE_KEYS),
    (&["tcpstates", "--activate=waterline=5"], "--activate: unknown key 'waterline' with value '5'", ACTIVATE_KEYS),
    (&["tcpstates", "--activate=treshold=500"], "--activate: unknown key 'treshold' with value '500', did you mean 'threshold'?", ACTIVATE_KEYS),
    (&["tcpstates", "--activate=threshold=16777217"], "--activate: bad value '16777217' of 'threshold': it is out of range; allowed: 0 to 16777216", ""),
    (&["tcpstates", "--activate=unfinished=many"], "--activate: bad value 'many' of 'unfinished': it is not a number; allowed: 0 to 16777216", ""),
    (&["tcpstates", "--activate=max-pairs=0"], "--activate: bad value '0' of 'max-pairs': it is out of range; allowed: 1 to 1048576", ""),
    (&["tcpstates", "--activate=max-pairs=1048577"], "--activate: bad value '1048577' of 'max-pairs': it is out of range; allowed: 1 to 1048576", ""),
    (&["tcpstates", "--activate=max-groups=9"], "--activate: unknown key 'max-groups' with value '9': it is now 'max-pairs'", ACTIVATE_KEYS),
    (&["tcpstates", "--activate=max-listeners=0"], "--activate: bad value '0' of 'max-listeners': it is out of range; allowed: 1 to 65536", ""),
    (&["tcpstates", "--activate=max-listeners=65537"], "--activate: bad value '65537' of 'max-listeners': it is out of range; allowed: 1 to 65536", ""),
    (&["tcpstates", "--report=alarms=yes"], "--report: bad value 'yes' of 'alarms': it is not 0 or 1; allowed: 0 or 1", ""),
    (&["tcpstates", "--follow=listeners=2"], "--follow: bad value '2' of 'listeners': it is not 0 or 1; allowed: 0 or 1", ""),
    (&["tcpstates", "--report=alarm=1"], "--report: unknown key 'alarm' with value '1', did you mean 'alarms'?", REPORT_KEYS),
    (&["tcpstates", "--activate=limit=5"], "--activate: unknown key 'limit' with value '5'", ACTIVATE_KEYS),
    (&["tcpstates", "--activate=ring="], "--activate: bad value '' of 'ring': it is empty", RING),
    (&["tcpstates", "--activate==64"], "--activate: unknown key '' with value '64'", ACTIVATE_KEYS),
    (&["tcpstates", "--activate=ring=64 ring=128"], "--activate: 'ring' is given twice, as '64' and '128'; allowed: once", ""),
    (&["tcpstates", "--activate=ring=64=128"], "--activate: bad value '64=128' of 'ring': it is not a number", RING),
    (&["tcpstates", "--activate=ring=1000"], "--activate: bad value '1000' of 'ring': it is not a power of two, the nearest are 512 and 1024", RING),
    (&["tcpstates", "--activate=ring=32"], "--activate: bad value '32' of 'ring': it is out of range", RING),
    (&["tcpstates", "--activate=ring=8388608"], "--activate: bad value '8388608' of 'ring': it is out of range", RING),
    (&["tcpstates", "--activate=ring=99999999999999999999"], "--activate: bad value '99999999999999999999' of 'ring': it is out of range", RING),
    (&["tcpstates", "--activate=ring=-64"], "--activate: bad value '-64' of 'ring': it is not a number", RING),
    (&["tcpstates", "--activate=ring=64k"], "--activate: bad value '64k' of 'ring': it is not a number", RING),
    (&["tcpstates", "--activate=max-conns=0"], "--activate: bad value '0' of 'max-conns': it is out of range; allowed: 1 to 16777216", ""),
    (&["tcpstates", "--activate=max-conns=16777217"], "--activate: bad value '16777217' of 'max-conns': it is out of range; allowed: 1 to 16777216", ""),
    (&["tcpstates", "--activate=verbose=3"], "--activate: bad value '3' of 'verbose': it is out of range; allowed: 0, 1 or 2", ""),
    (&["tcpstates", "--activate=verbose=high"], "--activate: bad value 'high' of 'verbose': it is not a number; allowed: 0, 1 or 2", ""),
    (&["tcpstates", "--activate=hook=ebpf"], "--activate: bad value 'ebpf' of 'hook': it is not a hook; allowed: auto, tracepoint or kprobe", ""),
    (&["tcpstates", "--activate=family=5"], "--activate: bad value '5' of 'family': it is not a family; allowed: 4 or 6", ""),
    (&["tcpstates", "--activate=family=ipv4"], "--activate: bad value 'ipv4' of 'family': it is not a family; allowed: 4 or 6", ""),
    (&["tcpstates", "--activate=min-ms=1.5"], "--activate: bad value '1.5' of 'min-ms': it is not a number; allowed: 0 to 18446744073709", ""),
    (&["tcpstates", "--activate=min-ms=18446744073710"], "--activate: bad value '18446744073710' of 'min-ms': it is out of range; allowed: 0 to 18446744073709", ""),
    (&["tcpstates", "--activate=netns=0"], "--activate: bad value '0' of 'netns': it is out of range", NETNS),
    (&["tcpstates", "--activate=netns=no-such-one"], "--activate: bad value 'no-such-one' of 'netns': /run/netns/no-such-one: No such file or directory (os error 2)", NETNS),
    (&["tcpstates", "--activate=netns=../etc"], "--activate: bad value '../etc' of 'netns': it is neither a name nor a path from /", NETNS),
    (&["tcpstates", "--activate=netns=/etc/passwd"], "--activate: bad value '/etc/passwd' of 'netns': /etc/passwd: it is not a network namespace", NETNS),
    (&["tcpstates", "--activate=netns=/proc/self/ns/mnt"], "--activate: bad value '/proc/self/ns/mnt' of 'netns': /proc/self/ns/mnt: it is not a network namespace", NETNS),
    (&["tcpstates", "--activate=netns=/run/netns/no-such-one"], "--activate: bad value '/run/netns/no-such-one' of 'netns': /run/netns/no-such-one: No such file or directory (os error 2)", NETNS),
    (&["tcpstates", "--activate=netns=pid:0"], "--activate: bad value 'pid:0' of 'netns': /proc/0/ns/net: No such file or directory (os error 2)", NETNS),
    (&["tcpstates", "--activate=netns=pid:nginx"], "--activate: bad value 'pid:nginx' of 'netns': it is not a number", NETNS),
    (&["tcpstates", "--activate=addr=10.1.2.3/8"], "--activate: bad value '10.1.2.3/8' of 'addr': host bits are set, did you mean 10.0.0.0/8?", ADDRESSES),
    (&["tcpstates", "--activate=laddr=10.0.0.0/33"], "--activate: bad value '10.0.0.0/33' of 'laddr': the prefix length is not 0 to 32", ADDRESSES),
    (&["tcpstates", "--activate=raddr=10.0.0.256"], "--activate: bad value '10.0.0.256' of 'raddr': '10.0.0.256' is not an address", ADDRESSES),
    (&["tcpstates", "--activate=addr=2001:db8::1/32"], "--activate: bad value '2001:db8::1/32' of 'addr': host bits are set, did you mean 2001:db8::/32?", ADDRESSES),
    (&["tcpstates", "--activate=addr=example.org"], "--activate: bad value 'example.org' of 'addr': 'example.org' is not an address", ADDRESSES),
    (&["tcpstates", "--activate=addr=10.0.0.1||10.0.0.2"], "--activate: bad value '10.0.0.1||10.0.0.2' of 'addr': an alternative is empty", ADDRESSES),
    (&["tcpstates", "--activate=addr=!"], "--activate: bad value '!' of 'addr': an alternative is empty", ADDRESSES),
    (&["tcpstates", "--activate=port=65536"], "--activate: bad value '65536' of 'port': '65536' is not a port (0 to 65535)", PORTS),
    (&["tcpstates", "--activate=lport=90-80"], "--activate: bad value '90-80' of 'lport': the range 90-80 is upside down", PORTS),
    (&["tcpstates", "--activate=rport=http"], "--activate: bad value 'http' of 'rport': 'http' is not a port (0 to 65535)", PORTS),
    (&["tcpstates", "--report=laddr=10.0.0.1:80"], "--report: bad value '10.0.0.1:80' of 'laddr': '10.0.0.1:80' has a port: write laddr=10.0.0.1 lport=80", ADDRESSES),
    (&["tcpstates", "--report=raddr=[::1]:80"], "--report: bad value '[::1]:80' of 'raddr': '[::1]:80' has a port: write raddr=::1 rport=80", ADDRESSES),
    (&["tcpstates", "--report=addr=[::1]"], "--report: bad value '[::1]' of 'addr': '[::1]' has brackets: write addr=::1", ADDRESSES),
    (&["tcpstates", "--report=addr=*:80"], "--report: bad value '*:80' of 'addr': '*:80' is a port: write port=80", ADDRESSES),
    (&["tcpstates", "--report=port=80,443"], "--report: bad value '80,443' of 'port': pairs are separated by spaces or commas, so write port=80|443", PORTS),
    (&["tcpstates", "--report=port=80, 443,8080 peek=1"], "--report: bad value '80,443,8080' of 'port': pairs are separated by spaces or commas, so write port=80|443|8080", PORTS),
    (&["tcpstates", "--report=state=ESTAB,SYN_SENT"], "--report: bad value 'ESTAB,SYN_SENT' of 'state': pairs are separated by spaces or commas, so write state=ESTAB|SYN_SENT", STATES),
    (&["tcpstates", "--diagnose=rules=resets,time-wait"], "--diagnose: bad value 'resets,time-wait' of 'rules': pairs are separated by spaces or commas, so write rules=resets|time-wait", RULES),
    (&["tcpstates", "--report=sort=age,bytes"], "--report: 'bytes' is not KEY=VALUE", REPORT_KEYS),
    (&["tcpstates", "--report=state=time-wiat"], "--report: bad value 'time-wiat' of 'state': 'time-wiat' is not a state, did you mean TIME_WAIT?", STATES),
    (&["tcpstates", "--report=peek=yes"], "--report: bad value 'yes' of 'peek': it is not 0 or 1; allowed: 0 or 1", ""),
    (&["tcpstates", "--report=format=xml"], "--report: bad value 'xml' of 'format': it is not a format; allowed: table, detail or json", ""),
    (&["tcpstates", "--report=format=table json=1"], "--report: bad value '1' of 'json': format= says otherwise; allowed: 0 or 1", ""),
    (&["tcpstates", "--report=json=2"], "--report: bad value '2' of 'json': it is not 0 or 1; allowed: 0 or 1", ""),
    (&["tcpstates", "--report=state=ESTABLISHD"], "--report: bad value 'ESTABLISHD' of 'state': 'ESTABLISHD' is not a state, did you mean ESTABLISHED?", STATES),
    (&["tcpstates", "--report=state=OPEN"], "--report: bad value 'OPEN' of 'state': 'OPEN' is not a state", STATES),
    (&["tcpstates", "--report=state=NEW"], "--report: bad value 'NEW' of 'state': no connection is in NEW, a SYN's first transition comes from it: use SYN_RECV", STATES),
    (&["tcpstates", "--report=reason=refuse"], "--report: bad value 'refuse' of 'reason': 'refuse' is not a reason, did you mean refused?", REASONS),
    (&["tcpstates", "--follow=reason=!"], "--follow: bad value '!' of 'reason': an alternative is empty", REASONS),
    (&["tcpstates", "--activate=reason=refused"], "--activate: unknown key 'reason' with value 'refused'", ACTIVATE_KEYS),
    (&["tcpstates", "--report=sort=name"], "--report: bad value 'name' of 'sort': it is not an order; allowed: time, age, bytes or retrans", ""),
    (&["tcpstates", "--report=limit=0"], "--report: bad value '0' of 'limit': it is out of range; allowed: 1 or more", ""),
    (&["tcpstates", "--report=limit=many"], "--report: bad value 'many' of 'limit': it is not a number; allowed: 1 or more", ""),
    (&["tcpstates", "--follow=peek=1"], "--follow: unknown key 'peek' with value '1'", FOLLOW_KEYS),
    (&["tcpstates", "--follow=sort=age"], "--follow: bad value 'age' of 'sort': events are printed as they happen; allowed: time", ""),
    (&["tcpstates", "--settings=jsn=1"], "--settings: unknown key 'jsn' with value '1', did you mean 'json'?; allowed keys: json from", ""),
    (&["tcpstates", "--settings=json=yes"], "--settings: bad value 'yes' of 'json': it is not 0 or 1; allowed: 0 or 1", ""),
    (&["tcpstates", "--activate", "--report=limit=0"], "--report: bad value '0' of 'limit': it is out of range; allowed: 1 or more", ""),
    (&["tcpstates", "--deactivate", "--activate=ring=5"], "--activate: bad value '5' of 'ring': it is out of range", RING),
    (&["tcpstates", "--activate=ri\u{1b}[2Jng=5"], "--activate: unknown key 'ri\\u{1b}[2Jng' with value '5'", ACTIVATE_KEYS),
    (&["tcpstates", "--activate=verbose=\nx"], "--activate: bad value '' of 'verbose': it is empty; allowed: 0, 1 or 2", ""),
];

#[test]
fn wrong_command_lines_say_what_is_wrong() {
    for (args, reason, allowed) in CASES {
        let done = run(args);
        let expected = format!("diagnose-tools: {reason}{allowed}\n");
        assert_eq!(
            (done.err.as_str(), done.status),
            (expected.as_str(), 2),
            "{args:?}"
        );
        assert_eq!(done.out, "", "{args:?}");
    }
}

/// The message without what stays as it is: names in quotes, and the keys and values at the end.
fn plain(message: &str) -> String {
    let said = message.split("可用的").next().unwrap_or_default();
    said.split('\'').step_by(2).collect()
}

#[test]
fn they_say_so_in_chinese_too() {
    let is_chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    let is_word = |word: &&str| word.len() > 1 && word.bytes().all(|b| b.is_ascii_lowercase());
    for (args, english, _) in CASES {
        if args.iter().any(|arg| arg.starts_with("--lang")) {
            continue;
        }
        let done: Done = program(args)
            .env("LC_ALL", "zh_CN.UTF-8")
            .output()
            .unwrap()
            .into();
        assert_eq!((done.status, done.out.as_str()), (2, ""), "{args:?}");
        assert_eq!(done.err.lines().count(), 1, "{}", done.err);
        let plain = plain(&done.err);
        assert!(plain.contains(is_chinese), "{}", done.err);
        let words: Vec<_> = plain.split(' ').collect();
        let two = words.windows(2).any(|two| two.iter().all(is_word));
        assert!(!two, "{}", done.err);
        // What is quoted is the same, and so are the numbers.
        let quoted = |text: &str| -> BTreeSet<String> {
            text.split('\'')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect()
        };
        let missing: Vec<_> = quoted(&english.replace("SYN's", "SYN"))
            .difference(&quoted(&done.err))
            .cloned()
            .collect();
        assert_eq!(missing, [""; 0], "{english} / {}", done.err);
    }
    let done: Done = program(&["tcpstates", "--report"])
        .env("LANG", "zh_CN")
        .output()
        .unwrap()
        .into();
    let expected = "diagnose-tools: 内核模块未加载：请运行 `diagnose-tools install`\n";
    assert_eq!((done.status, done.err.as_str()), (1, expected));
}

#[test]
fn too_many_rules_are_refused() {
    let value = format!("--activate=addr={}", vec!["1.1.1.1"; 33].join("|"));
    let done = run(&["tcpstates", &value]);
    let reason = "33 rules with those of the other sides, at most 32 fit";
    assert!(
        done.err.contains(reason) && done.err.lines().count() == 1,
        "{}",
        done.err
    );
    assert_eq!(done.status, 2);
}
