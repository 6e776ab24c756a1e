;; Copyright The containerd-shim-wazero authors.
;; SPDX-License-Identifier: Apache-2.0

;; Declares 1 GiB of memory at its start.
(module
  (memory (export "memory") 16384)
  (func (export "_start")))
