//! The hooks of a recording: on each kernel, those whose function or tracepoint exists.

use std::collections::BTreeSet;
use std::fs;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::support::{scenario, tool};

pub fn trials() -> Vec<Trial> {
    vec![scenario(
        "hooks_are_attached_where_the_kernel_has_the_function",
        functions,
    )]
}

/// Functions of the kernel and its modules, and tracepoints by their name.
fn symbols() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/kallsyms").expect("/proc/kallsyms");
    let name = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (kind, name) = (fields.next()?, fields.next()?);
        match name.strip_prefix("__tracepoint_") {
            Some(tracepoint) => Some(tracepoint.to_owned()),
            None => "tT".contains(kind).then(|| name.to_owned()),
        }
    };
    text.lines().filter_map(name).collect()
}

/// A hooked function's name, and its name in later kernels, which is hooked where it exists.
const LATER: [(&str, &str); 1] = [("inet_twsk_hashdance", "inet_twsk_hashdance_schedule")];

fn functions() {
    let symbols = symbols();
    for mode in ["tracepoint", "kprobe"] {
        tool::fresh();
        let told = tool::run(&["tcpstates", &format!("--activate=hook={mode}")]);
        assert_eq!(told.status, 0, "{told:?}");
        let settings = tool::tcpstates(&["--settings=json=1"]);
        let settings: Value = serde_json::from_str(&settings).expect("JSON");
        let hooks = settings["hooks"].as_array().expect("hooks");
        assert!(hooks.len() > 15, "{settings}");
        for hook in hooks {
            let symbol = hook["symbol"].as_str().expect("a symbol");
            let attached = hook["attached"] == true;
            assert_eq!(attached, symbols.contains(symbol), "{mode}: {hook}");
            assert!(attached || hook["required"] == false, "{mode}: {hook}");
            let lost = format!("this kernel has no `{symbol}` to hook; lost: ");
            assert_eq!(told.stderr.contains(&lost), !attached, "{mode}: {hook}");
            for (name, later) in LATER {
                assert!(symbol != name || !symbols.contains(later), "{mode}: {hook}");
            }
        }
        tool::tcpstates(&["--deactivate"]);
    }
}
