// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Rust's std::fs: what programs do with files, and the kinds of errors.
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

fn kind<T>(r: io::Result<T>) -> ErrorKind {
    r.err().expect("it should have failed").kind()
}

fn main() {
    fs::create_dir_all("a/b/c").unwrap();
    assert_eq!(kind(fs::create_dir("a")), ErrorKind::AlreadyExists);
    fs::write("a/b/file", "hello").unwrap();
    assert_eq!(fs::read_to_string("a/b/file").unwrap(), "hello");
    assert_eq!(fs::copy("a/b/file", "a/copy").unwrap(), 5);
    assert_eq!(kind(File::open("none")), ErrorKind::NotFound);
    assert_eq!(kind(OpenOptions::new().write(true).create_new(true).open("a/copy")), ErrorKind::AlreadyExists);

    let mut f = OpenOptions::new().read(true).append(true).open("a/copy").unwrap();
    f.write_all(b" world").unwrap();
    f.seek(SeekFrom::Start(0)).unwrap();
    let mut text = String::new();
    f.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello world");
    f.sync_all().unwrap();
    f.sync_data().unwrap();
    drop(f);
    let f = OpenOptions::new().write(true).open("a/copy").unwrap();
    f.set_len(3).unwrap();
    assert_eq!(f.metadata().unwrap().len(), 3);

    for i in 0..300 {
        File::create(format!("a/b/c/{}", i)).unwrap();
    }
    let names: BTreeSet<_> = fs::read_dir("a/b/c").unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 300);
    for e in fs::read_dir("a/b/c").unwrap() {
        let e = e.unwrap();
        assert!(e.file_type().unwrap().is_file());
        assert_eq!(e.metadata().unwrap().len(), 0);
    }

    fs::rename("a/copy", "a/moved").unwrap();
    fs::hard_link("a/moved", "a/hard").unwrap();
    fs::remove_file("a/moved").unwrap();
    assert_eq!(fs::read("a/hard").unwrap(), b"hel");
    assert!(fs::metadata("a").unwrap().is_dir());
    assert!(!Path::new("a/moved").exists());
    let modified = fs::metadata("a/hard").unwrap().modified().unwrap();
    assert!(modified.elapsed().map(|d| d.as_secs() < 60).unwrap_or(true));

    assert_eq!(kind(File::open("../outside")), ErrorKind::PermissionDenied);
    assert!(fs::remove_dir("a").is_err());
    assert_eq!(kind(fs::remove_file("none")), ErrorKind::NotFound);
    fs::remove_dir_all("a").unwrap();
    assert!(!Path::new("a").exists());
}
