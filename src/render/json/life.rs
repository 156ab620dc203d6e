//! Connections that have ended.

use serde::Serialize;

use crate::model::ident::Role;
use crate::model::life::{Life, Stay};
use crate::model::reason::error_name;
use crate::render::json::object::{Any, Word, put_field, put_fields};
use crate::render::json::{Json, put_gone, put_owner, put_tuple, time};

/// A state, and the time in it.
#[derive(Serialize)]
struct StayJson {
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exact: Option<bool>,
}

impl StayJson {
    fn new(stay: &Stay) -> Self {
        Self {
            state: stay.state.shown().into_owned(),
            ns: stay.time.ns(),
            exact: stay.time.exact(),
        }
    }
}

/// Appends the fields of a life.
pub fn put(json: &mut Json, life: &Life) {
    let names = json.names.of(&life.who);
    let gone = json.names.has_ended(&life.who, life.end_ns);
    let (line, clock) = json.begin("life");
    put_fields!(line,
        "start": time(clock, life.start_ns),
        "end": time(clock, life.end_ns),
        "duration_ns": life.duration().ns(),
        "duration_exact": life.duration().exact(),
    );
    put_tuple(line, &life.who, &names);
    put_fields!(line,
        "role": life.who.role.map(Role::name),
        "reason": life.reason.name().map(Word),
        "error": error_name(life.error).as_deref(),
        "synacks": life.synacks,
    );
    put_owner(line, &life.who, &names);
    put_gone(line, gone);
    put_fields!(line,
        "seeded": life.who.seeded,
        "gaps": life.gaps.then_some(true),
        "bytes_sent": life.carried.bytes_sent,
        "bytes_acked": life.carried.bytes_acked,
        "bytes_received": life.carried.bytes_received,
        "retrans": life.carried.retrans,
        "states": Any(life.stays.iter().map(StayJson::new).collect::<Vec<_>>()),
    );
}
