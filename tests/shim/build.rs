//! Compiles the module's algorithms (the ring's writer and the filter) for user space: the same
//! files, but the few kernel headers that they include are replaced by those of `include/`.

use std::path::Path;

fn main() {
    let here = env!("CARGO_MANIFEST_DIR");
    let top = Path::new(here).join("../..");
    let sources = ["ring.c", "filter.c"].map(|name| top.join("kmod").join(name));
    cc::Build::new()
        .files(&sources)
        .file(Path::new(here).join("src/shim.c"))
        .include(Path::new(here).join("include"))
        .include(top.join("include"))
        .include(top.join("kmod"))
        .flag("-include")
        .flag("stdbool.h")
        .warnings_into_errors(true)
        .opt_level(2)
        .compile("kernel_shim");
    for path in ["kmod", "include/tcpstates.h"] {
        println!("cargo::rerun-if-changed={}", top.join(path).display());
    }
    println!("cargo::rerun-if-changed=src/shim.c");
    println!("cargo::rerun-if-changed=include");
}
