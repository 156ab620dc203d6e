//! Devices that sockets are bound to.

use std::mem::offset_of;
use std::net::Ipv6Addr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use diagnose_tools::abi::{RawAlarm, RawConn, RawIdent, RawListener, RawRecord};
use diagnose_tools::host::devices::Devices;
use diagnose_tools::render::i18n::Lang;
use serde_json::Value;
use testkit::fake::{Fake, NOW};
use testkit::printed::{nowhere, printed};
use testkit::records;
use testkit::records::{conn, record};

use crate::support::{json, style};

/// A record, a connection, a listener and an alarm of sockets bound to device 7.
fn scoped() -> Fake {
    let mut fake = Fake::new(1, 64);
    let bound = |bytes: &mut [u8], who: usize| {
        let mut put = |at: usize, bytes_of: &[u8]| {
            bytes[who + at..][..bytes_of.len()].copy_from_slice(bytes_of);
        };
        for (at, last) in [
            (offset_of!(RawIdent, laddr), 1),
            (offset_of!(RawIdent, raddr), 2),
        ] {
            let addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last);
            put(at, &addr.octets());
        }
        put(offset_of!(RawIdent, family), &[6]);
        put(offset_of!(RawIdent, ifindex), &7u32.to_ne_bytes());
    };
    let mut transition = record(NOW - 2);
    bound(&mut transition, offset_of!(RawRecord, who));
    fake.rings[0].write(&transition);
    let mut alarm = records::alarm(NOW - 1, 1, true);
    bound(&mut alarm, offset_of!(RawAlarm, who));
    fake.rings[0].write(&alarm);
    let mut live = conn("10.0.0.1:80", 1, NOW, 7);
    bound(&mut live, offset_of!(RawConn, who));
    *fake.conns.borrow_mut() = vec![live];
    let mut listener = records::listener("0.0.0.0:80");
    let at = offset_of!(RawListener, who) + offset_of!(RawIdent, ifindex);
    listener[at..at + 4].copy_from_slice(&7u32.to_ne_bytes());
    fake.listeners = vec![listener];
    fake
}

fn scoped_report(keys: &str, name: Option<&'static str>) -> String {
    let fake = scoped();
    let devices = Devices::new(Box::new(move |netns, _| {
        assert_eq!(netns, 4_026_531_840);
        Some(vec![(7, name?.to_owned())])
    }));
    let keys = format!("connections=1 summary=0 findings=0 {keys}");
    let names = nowhere().with_devices(devices);
    printed(&fake, &keys, style(&fake, Lang::En, None), names)
}

#[test]
fn a_device_is_told_behind_the_address_in_text_and_beside_it_in_json() {
    for (name, dev) in [
        (Some("v0"), "v0"),
        (Some("e\x1b0"), "e\\u{1b}0"),
        (None, "7"),
    ] {
        for keys in ["", "format=detail"] {
            let text = scoped_report(keys, name);
            for (part, times) in [
                (format!("[fe80::1%{dev}]:40000"), 1),
                (format!("[fe80::2%{dev}]:80"), 2),
                (format!("[fe80::1%{dev}]:80"), 1),
                (format!("fe80::1%{dev}"), 3),
                (format!("fe80::2%{dev}"), 3),
                (format!("0.0.0.0%{dev}:80"), 1),
            ] {
                assert_eq!(text.matches(&part).count(), times, "{part}: {text}");
            }
        }
        let text = scoped_report("json=1", name);
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["ifindex"], 7, "{line}");
            assert_eq!(line.get("dev").and_then(Value::as_str), name, "{line}");
            assert!(["fe80::1", "0.0.0.0"].contains(&line["laddr"].as_str().unwrap()));
        }
        assert_eq!(text.lines().count(), 4);
    }
}

#[test]
fn filters_by_device_choose() {
    let here = Path::new("/proc/self/ns/net").metadata().unwrap().ino();
    let shown = |keys: &str| {
        let report = json(
            &scoped(),
            &format!("connections=1 summary=0 findings=0 {keys}"),
        );
        report.len()
    };
    assert_eq!(shown("addr=fe80::2%7 netns=4026531840"), 4);
    assert_eq!(shown("addr=fe80::2%8 netns=4026531840"), 0);
    assert_eq!(shown("laddr=0.0.0.0%7 netns=4026531840"), 1);
    // Without a namespace it is a device of the current one.
    let expected = if here == 4_026_531_840 { 4 } else { 0 };
    assert_eq!(shown("addr=fe80::2%7"), expected);
}
