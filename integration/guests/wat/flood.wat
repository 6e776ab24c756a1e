;; Copyright The containerd-shim-wazero authors.
;; SPDX-License-Identifier: Apache-2.0

;; Writes 1 GiB of zeros in blocks of 64 KiB.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 65536) "\00\00\00\00\00\00\01\00")
  (func (export "_start")
    (local $left i64)
    (local.set $left (i64.const 1073741824))
    (loop $again
      (if (call $fd_write (i32.const 1) (i32.const 65536) (i32.const 1) (i32.const 65552))
        (then (unreachable)))
      (local.set $left (i64.sub (local.get $left) (i64.load32_u (i32.const 65552))))
      ;; A short write is followed by a whole block, which makes it more at the end.
      (br_if $again (i64.gt_s (local.get $left) (i64.const 0))))))
