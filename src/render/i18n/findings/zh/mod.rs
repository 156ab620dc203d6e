//! The sentences in simplified Chinese.

mod action;
mod problem;

use crate::diagnose::message::Sources;
use crate::fmt::line;
use crate::model::ident::Owner;

pub use action::action;
pub use problem::problem;

/// What a setting is, before what to do with it.
pub fn setting(name: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("{name} 为 {value}："),
        None => format!("{name}（无法读取其在该网络命名空间中的值）："),
    }
}

fn sources(sources: &Sources) -> String {
    match sources {
        Sources::One(address) => address.to_string(),
        Sources::Many(0) => "未知地址".into(),
        Sources::Many(number) => format!("{number} 个地址"),
    }
}

fn process(owner: Option<Owner>) -> String {
    owner.map_or_else(|| "未知进程".into(), |owner| line::text(&owner))
}
