//! Counts by fields.

use std::io::{self, Write};

use crate::fmt::line::Line;
use crate::model::count::{CountTable, Field, Part, Tally};
use crate::model::endpoint::Dev;
use crate::model::ident::{Owner, Role};
use crate::render::json::Json;
use crate::render::json::object::{Word, put_field, put_fields};

/// Writes one line per row.
pub fn write(json: &mut Json, out: &mut dyn Write, counts: &CountTable) -> io::Result<()> {
    for (key, tally) in &counts.rows {
        let (line, _) = json.begin("count");
        for (field, part) in counts.fields.iter().zip(key) {
            put_part(line, *field, part);
        }
        put_tally(line, tally);
        json.write(out)?;
    }
    if let Some((rows, tally)) = &counts.others {
        let (line, _) = json.begin("count");
        put_fields!(line, "others": *rows,);
        put_tally(line, tally);
        json.write(out)?;
    }
    Ok(())
}

fn put_part(line: &mut Line, field: Field, part: &Part) {
    match part {
        Part::None => {}
        Part::State(state) => {
            put_fields!(line, "state": Word(state.shown()),);
        }
        Part::Process(owner) => {
            put_fields!(line, "pid": owner.pid, "comm": owner.comm_bytes(),);
        }
        Part::Comm(comm) => {
            let owner = Owner {
                pid: 0,
                comm: *comm,
            };
            put_fields!(line, "comm": owner.comm_bytes(),);
        }
        Part::Number(number) => put_number(line, field, *number),
        Part::Container(name) => {
            put_fields!(line, "container": &**name,);
        }
        Part::Cgroup(id, path) => {
            put_fields!(line, "cgroup": path.as_deref(), "cgroup_id": *id,);
        }
        Part::Netns(inode, name) => {
            put_fields!(line, "netns": *inode, "netns_name": name.as_deref(),);
        }
        Part::Address(address, dev) => {
            match field {
                Field::Laddr => {
                    put_fields!(line, "laddr": *address,);
                }
                _ => {
                    put_fields!(line, "raddr": *address,);
                }
            }
            put_dev(line, dev.as_ref());
        }
        Part::End(address, dev, port) => {
            put_fields!(line, "listener_addr": *address, "listener_port": *port,);
            put_dev(line, dev.as_ref());
        }
        Part::Role(role) => {
            put_fields!(line, "role": Role::name(*role),);
        }
        Part::Reason(reason) => {
            put_fields!(line, "reason": reason.name().map(Word),);
        }
    }
}

fn put_number(line: &mut Line, field: Field, number: u32) {
    match field {
        Field::Pid => {
            put_fields!(line, "pid": number,);
        }
        Field::Uid => {
            put_fields!(line, "uid": number,);
        }
        Field::Lport => {
            put_fields!(line, "lport": number,);
        }
        Field::Rport => {
            put_fields!(line, "rport": number,);
        }
        _ => {
            put_fields!(line, "family": number,);
        }
    }
}

fn put_dev(line: &mut Line, dev: Option<&Dev>) {
    put_fields!(line,
        "ifindex": dev.map(|dev| dev.index),
        "dev": dev.and_then(|dev| dev.name.as_deref()),
    );
}

fn put_tally(line: &mut Line, tally: &Tally) {
    put_fields!(line,
        "connections": tally.connections,
        "transitions": tally.transitions,
        "ends": tally.ends,
        "bytes_sent": tally.bytes_sent,
        "bytes_received": tally.bytes_received,
        "retrans": tally.retrans,
        "oldest_ns": tally.oldest.ns(),
        "oldest_exact": tally.oldest.exact(),
    );
}
