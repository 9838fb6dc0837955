//! Links the binary at a fixed address, as `cargo xtask release` does. An agent starts it once for each command
//! task, and at an address of the kernel's choice most of that start would go into making a megabyte of
//! pointers fit.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let has = |variable: &str, wanted: &str| {
        let value = std::env::var(format!("CARGO_CFG_TARGET_{variable}")).unwrap_or_default();
        value.split(',').any(|part| part == wanted)
    };
    // Linked without shared libraries, it is where its own flags say.
    if has("OS", "linux") && has("ENV", "gnu") && !has("FEATURE", "crt-static") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
