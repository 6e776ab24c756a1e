// nerdctl, for the tests. The public checksum database does not know its module:
// go.sum has the hash of its source at the tag, taken from its repository.
module containerd-shim-wazero/hack/tools/nerdctl

go 1.26.6

require github.com/containerd/nerdctl/v2 v2.2.0
