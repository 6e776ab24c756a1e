;; Copyright The containerd-shim-wazero authors.
;; SPDX-License-Identifier: Apache-2.0

;; Neither _start nor any other function to run.
(module (memory (export "memory") 1))
