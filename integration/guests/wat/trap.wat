;; Copyright The containerd-shim-wazero authors.
;; SPDX-License-Identifier: Apache-2.0

(module
  (memory (export "memory") 1)
  (func $falls_over unreachable)
  (func (export "_start") (call $falls_over)))
