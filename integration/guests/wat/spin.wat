;; Copyright The containerd-shim-wazero authors.
;; SPDX-License-Identifier: Apache-2.0

;; A tight loop without a call, for ever.
(module
  (memory (export "memory") 1)
  (func (export "_start") (loop $forever (br $forever))))
