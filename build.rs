//! Translates include/tcpstates.h, the only ABI header, into Rust.

use std::env;
use std::path::PathBuf;

/// The calls. Their numbers are function-like macros, which bindgen cannot see: each becomes a
/// constant that the C compiler has evaluated.
const CALLS: &[&str] = &[
    "GET_VERSION",
    "ACTIVATE",
    "DEACTIVATE",
    "GET_SETTINGS",
    "GET_STATS",
    "GET_TRANSITION_COUNTS",
    "GET_RINGS",
    "GET_HOOKS",
    "SNAPSHOT",
    "CONSUME",
    "SEEN",
    "GET_LISTENERS",
    "GET_PAIRS",
    "GET_LIVES",
    "GET_CGROUPS",
    "GET_CLOCKS",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let include = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("include");
    let out = PathBuf::from(env::var("OUT_DIR")?).join("abi.rs");
    println!(
        "cargo:rerun-if-changed={}",
        include.join("tcpstates.h").display()
    );
    bindgen::Builder::default()
        .header_contents("abi.h", &wrapper())
        .clang_arg(format!("-I{}", include.display()))
        .allowlist_type("tcpstates_.*")
        .allowlist_var("(TCPSTATES|CALL)_.*")
        .derive_default(true)
        .layout_tests(true)
        .generate()?
        .write_to_file(out)?;
    Ok(())
}

fn wrapper() -> String {
    let mut text = String::from("#include \"tcpstates.h\"\n");
    for call in CALLS {
        text += &format!("static const unsigned int CALL_{call} = TCPSTATES_{call};\n");
    }
    text
}
