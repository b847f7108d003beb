//! Gives the library the name under which glibc looks for a name service called sockeye.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libnss_sockeye.so.2");
    // A name that nobody defines is found here, not when a program starts.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,defs");
}
