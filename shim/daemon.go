// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package shim is the shim process: the task service that containerd talks to
// over ttrpc, for one container or a group of them.
package shim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	clog "github.com/containerd/log"
	"github.com/containerd/ttrpc"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/linux"
	"containerd-shim-wazero/sandbox/cache"
	"containerd-shim-wazero/shim/bootstrap"
	"containerd-shim-wazero/shim/drain"
	"containerd-shim-wazero/shim/event"
	"containerd-shim-wazero/shim/log"
	"containerd-shim-wazero/shim/task"
)

// drainTimeout bounds what the shim still does once it is told to end.
const drainTimeout = 5 * time.Second

// hangupTimeout is what a client has, once it has asked for the shim's end, to close
// its connection. containerd does so when it has the answer.
const hangupTimeout = time.Second

// orphanTime is when a shim in which nothing runs looks for its bundles.
const orphanTime = 2 * time.Second

// Run serves the group's containers until containerd says Shutdown and none is
// left, or a signal ends the shim and with it its containers. The working
// directory is the first container's bundle.
func Run(inv *bootstrap.Invocation) error {
	output := new(log.Output)
	bundle, err := os.Getwd()
	if err == nil {
		err = output.Add(bundle)
	}
	if err := log.Setup(output, inv.Debug); err != nil {
		return err
	}
	if err != nil {
		clog.L.WithError(err).Warn("containerd does not read this shim's log")
	}
	logFailure(output.Redirect(int(os.Stderr.Fd())))
	// It was executed as /proc/self/exe, whose name says nothing.
	logFailure(os.WriteFile("/proc/self/comm", []byte("containerd-shim"), 0))
	logFailure(adjustOOMScore())
	listener, err := listener()
	if err != nil {
		return err
	}
	var clients drain.Clients
	server, err := ttrpc.NewServer(ttrpc.WithServerHandshaker(clients.Handshaker(ttrpc.UnixSocketRequireSameUser())))
	if err != nil {
		return err
	}
	events := event.New(inv.Namespace, inv.TTRPCAddress)
	// Without its name a `start` for the group makes a new shim, whose socket it then is.
	unname := sync.OnceFunc(func() { _ = os.Remove(inv.Socket) })
	over := make(chan struct{})
	s := &service{
		namespace:  inv.Namespace,
		address:    inv.Address,
		events:     events,
		output:     output,
		shutdown:   sync.OnceFunc(func() { unname(); close(over) }),
		containers: make(map[string]*task.Container),
		caches:     make(map[string]*cache.Cache),
	}
	s.linux = linux.New(linux.Config{
		Namespace: inv.Namespace, Address: inv.Address, Bundle: bundle, Socket: runcSocket(inv.Socket), Debug: inv.Debug,
		Died: s.endWithRunc,
	})
	s.register(server)
	s.registerSandbox(server)
	s.orphan = time.AfterFunc(orphanTime, func() { s.endOrphan(bundle) })
	defer s.orphan.Stop()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	served := make(chan error, 1)
	go func() { served <- server.Serve(context.Background(), listener) }()

	asked := false
	select {
	case <-over:
		asked = true
	case sig := <-signals:
		clog.L.Warnf("%s: the shim ends, and its containers with it", sig)
		s.stopAll()
	case err = <-served:
		err = fmt.Errorf("serve the task service: %w", err)
		s.stopAll()
	}
	unname()
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	err = errors.Join(err, events.Close(ctx))
	_ = clients.Answered(ctx) // what is not answered by now will not be
	if asked {
		ctx, cancel := context.WithTimeout(ctx, hangupTimeout)
		defer cancel()
		_ = clients.Gone(ctx)
	}
	s.linux.End(ctx)
	return errors.Join(err, server.Close())
}

// endOrphan ends a shim that nobody will ever call: containerd was killed before it
// kept where the shim is, or before it told an empty one to end, and its successor has
// removed the bundles. As long as one is there it looks again. bundle is the one that
// the shim was started for.
func (s *service) endOrphan(bundle string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.idle() {
		return
	}
	known := len(s.containers) == 0 && exists(bundle)
	for _, c := range s.containers {
		known = known || exists(c.Bundle())
	}
	if known {
		s.orphan.Reset(orphanTime)
		return
	}
	s.end()
}

func exists(bundle string) bool {
	_, err := os.Stat(bundle)
	return !os.IsNotExist(err)
}

// stopAll ends all containers, so that their exits are known to containerd and
// kept in their bundles.
func (s *service) stopAll() {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	s.mu.Lock()
	containers := slices.Collect(maps.Values(s.containers))
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range containers {
		if c != nil {
			wg.Go(func() { logFailure(c.Stop(ctx)) })
		}
	}
	wg.Go(func() { s.linux.Stop(ctx) })
	wg.Wait()
}

// runcSocket is a name beside the socket's for that of the shim for runc. It is no
// longer: `start` has made sure of one's length.
func runcSocket(socket string) string {
	const suffix = ".runc"
	return socket[:max(0, len(socket)-len(suffix))] + suffix
}

// listener is the socket that `start` has bound.
func listener() (net.Listener, error) {
	f := os.NewFile(bootstrap.SocketFD, "socket")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("listen on descriptor %d, which `start` opens: %w", bootstrap.SocketFD, err)
	}
	return l, nil
}

// adjustOOMScore makes the kernel kill the shim before containerd, whose score
// it has inherited.
func adjustOOMScore() error {
	const file = "/proc/self/oom_score_adj"
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	score, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if score >= 1000 {
		return nil
	}
	return os.WriteFile(file, []byte(strconv.Itoa(score+1)), 0)
}
