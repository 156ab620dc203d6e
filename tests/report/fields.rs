//! The fields of a transition and of a connection.

use std::mem::offset_of;

use diagnose_tools::abi::{RawConn, RawIdent, RawRecord};
use testkit::fake::{Fake, NOW};
use testkit::records::{Bytes, conn, full_record, record};

use crate::support::{json, text};

#[test]
fn a_transition_has_the_fields_of_the_interface_in_order() {
    let fake = Fake::new(1, 64);
    fake.rings[0].write(&full_record(NOW - 1));
    let text = text(&fake, "json=1");
    let expected = "{\"type\":\"transition\",\"ts\":\"2023-11-14T22:13:19.999999999Z\",\"cpu\":0,\
        \"seq\":0,\"conn\":42,\"netns\":4026531840,\"family\":4,\"laddr\":\"10.0.0.1\",\
        \"lport\":40000,\"raddr\":\"10.0.0.2\",\"rport\":80,\"listener_addr\":\"10.0.0.9\",\
        \"listener_port\":8443,\"old\":\"ESTABLISHED\",\
        \"new\":\"FIN_WAIT1\",\"in_old_ns\":5000000000,\"in_old_exact\":true,\
        \"role\":\"client\",\"reason\":\"reset_received\",\"error\":\"ECONNRESET\",\"synacks\":6,\
        \"pid\":1234,\"comm\":\"cu\\u001brl\",\"uid\":1000,\"cgroup_id\":18446744073709551615,\
        \"bytes_sent\":18446744073709551615,\"bytes_acked\":0,\"bytes_received\":0,\
        \"snd_cwnd\":0,\"snd_wnd\":0,\"rcv_wnd\":0,\"sndbuf\":0,\"sndbuf_used\":0,\"rcvbuf\":0,\
        \"rcvbuf_used\":0,\"retrans\":3,\"srtt_us\":250}";
    assert_eq!(text.lines().next().unwrap(), expected);
}

#[test]
fn what_is_unknown_is_absent() {
    let fake = Fake::new(1, 64);
    let mut bare = record(NOW);
    let who = offset_of!(RawRecord, who);
    bare[offset_of!(RawRecord, flags)] = 0;
    bare[who + offset_of!(RawIdent, lport)..][..2].fill(0);
    bare[who + offset_of!(RawIdent, conn)..][..8].fill(0);
    fake.rings[0].write(&bare);
    let line = &json(&fake, "")[0];
    for field in [
        "in_old_ns",
        "in_old_exact",
        "lport",
        "conn",
        "role",
        "pid",
        "comm",
        "uid",
        "srtt_us",
        "backlog",
        "bytes_sent",
        "retrans",
        "snd_cwnd",
        "reason",
        "error",
        "synacks",
        "listener_addr",
        "listener_port",
        "cgroup",
        "cgroup_id",
        "container",
        "netns_name",
    ] {
        assert!(line.get(field).is_none(), "{field}: {line}");
    }
    assert_eq!(line["rport"], 80);
}

#[test]
fn a_half_open_request_is_syn_recv_and_has_no_meters() {
    let mut fake = Fake::new(1, 64);
    fake.verbose = 2;
    let mut bytes = Bytes(full_record(NOW));
    bytes
        .put(offset_of!(RawRecord, old_state), [0])
        .put(offset_of!(RawRecord, new_state), [12])
        .put(offset_of!(RawRecord, flags), 8u16.to_ne_bytes())
        .put(offset_of!(RawRecord, synacks), 0u16.to_ne_bytes());
    fake.rings[0].write(&bytes.0);
    let mut live = Bytes(conn("10.0.0.1:1", 12, NOW, 3 | 8));
    live.put(offset_of!(RawConn, synacks), 2u16.to_ne_bytes());
    live.put(offset_of!(RawConn, reason), 16u16.to_ne_bytes());
    *fake.conns.borrow_mut() = vec![live.0];
    let lines = json(&fake, "peek=1 state=SYN_RECV");
    assert_eq!(
        (&lines[0]["old"], &lines[0]["new"]),
        (&"NEW".into(), &"SYN_RECV".into())
    );
    assert_eq!(lines[0]["synacks"], 0);
    assert_eq!(
        (&lines[1]["state"], &lines[1]["synacks"]),
        (&"SYN_RECV".into(), &2.into())
    );
    assert_eq!(lines[1]["reason"], "accept_queue_full");
    let kinds = |keys: &str| json(&fake, &format!("peek=1 {keys}")).len() - 1;
    assert_eq!(kinds("reason=accept_queue_full transitions=0"), 1);
    assert_eq!(kinds("reason=!accept_queue_full transitions=0"), 0);
    for line in &lines[..2] {
        assert!(
            line.get("bytes_sent").is_none() && line.get("rcvbuf").is_none(),
            "{line}"
        );
    }
    assert_eq!(json(&fake, "peek=1 state=NEW_SYN_RECV").len(), 3);
    assert_eq!(json(&fake, "peek=1 state=!SYN_RECV").len(), 1);
    let detail = text(&fake, "peek=1 format=detail summary=0");
    assert!(
        !detail.contains("Send window") && !detail.contains("NEW_SYN_RECV"),
        "{detail}"
    );
    assert!(
        detail.contains("NEW -> SYN_RECV") && detail.contains("10.0.0.9:8443"),
        "{detail}"
    );
    let table = text(&fake, "peek=1 transitions=0 summary=0");
    let row: Vec<_> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[row.len() - 5..], ["-", "-", "-", "-", "-"], "{table}");
}
