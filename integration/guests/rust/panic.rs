// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

fn main() {
    println!("about to panic");
    panic!("a panic in Rust");
}
