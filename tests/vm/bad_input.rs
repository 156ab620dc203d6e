//! What the system or the user does wrong: one clear line each.

use libtest_mimic::Trial;

pub fn without_module() -> Vec<Trial> {
    vec![]
}

pub fn with_module() -> Vec<Trial> {
    vec![]
}
