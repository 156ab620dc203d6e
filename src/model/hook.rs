//! The hooks of an activation.

use crate::abi::{self, padded_text};

pub use crate::abi::hook_id as id;

/// How a hook is attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HookKind {
    /// Attached to a tracepoint.
    #[default]
    Tracepoint,
    /// Attached to a function's entry by ftrace.
    Ftrace,
    /// Attached by a kprobe.
    Kprobe,
}

impl HookKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tracepoint => "tracepoint",
            Self::Ftrace => "ftrace",
            Self::Kprobe => "kprobe",
        }
    }
}

/// One hook.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hook {
    /// Name of the tracepoint or function.
    pub symbol: String,
    /// Its id: one of [`id`], or an id of a newer module.
    pub id: u32,
    /// How it is attached.
    pub kind: HookKind,
    /// Whether an activation fails without it.
    pub required: bool,
    /// Whether it is attached.
    pub attached: bool,
    /// Number of calls that the kernel could not pass on.
    pub missed: u64,
}

impl Hook {
    /// Converts from the ABI structure.
    pub fn from_abi(raw: &abi::Hook) -> Self {
        let has = |flag| raw.flags & flag != 0;
        Self {
            symbol: padded_text(&raw.symbol),
            id: raw.id,
            kind: match () {
                () if has(abi::TCPSTATES_HOOK_IS_KPROBE) => HookKind::Kprobe,
                () if has(abi::TCPSTATES_HOOK_IS_FTRACE) => HookKind::Ftrace,
                () => HookKind::Tracepoint,
            },
            required: has(abi::TCPSTATES_HOOK_REQUIRED),
            attached: has(abi::TCPSTATES_HOOK_ATTACHED),
            missed: raw.missed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_their_meaning() {
        let hook = |flags| {
            let mut raw = abi::Hook {
                flags,
                missed: 4,
                ..abi::Hook::default()
            };
            raw.symbol[..2].copy_from_slice(b"ab");
            raw.id = id::SYN;
            Hook::from_abi(&raw)
        };
        let bare = Hook {
            symbol: "ab".into(),
            id: id::SYN,
            missed: 4,
            ..Hook::default()
        };
        assert_eq!(hook(0), bare);
        assert_eq!(hook(abi::TCPSTATES_HOOK_IS_KPROBE).kind, HookKind::Kprobe);
        assert_eq!(hook(abi::TCPSTATES_HOOK_IS_FTRACE).kind, HookKind::Ftrace);
        assert!(hook(abi::TCPSTATES_HOOK_REQUIRED).required);
        assert!(hook(abi::TCPSTATES_HOOK_ATTACHED).attached);
    }
}
