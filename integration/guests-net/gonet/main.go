// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command gonet is a guest for the network tests: a Go program on the WasmEdge
// socket extension by way of stealthrocket/net. Its first argument says what it
// does; a server writes the address that it listens on to stdout first.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	commands := map[string]func(args []string) error{
		"http-server": httpServer, "http-get": httpGet, "tcp-echo": tcpEcho, "udp-echo": udpEcho,
		"tcp-send": tcpSend, "udp-send": udpSend, "deadline": deadline,
	}
	run, ok := commands[os.Args[1]]
	if !ok {
		fmt.Fprintln(os.Stderr, "unknown command", os.Args[1])
		os.Exit(2)
	}
	if err := run(os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func httpServer(args []string) error {
	l, err := listen("tcp", args[0])
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "hello %s", r.RemoteAddr) })
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	return http.Serve(l, mux)
}

func httpGet(args []string) error {
	for _, url := range args {
		res, err := http.Get(url)
		if err != nil {
			return err
		}
		if _, err := io.Copy(os.Stdout, res.Body); err != nil {
			return err
		}
		res.Body.Close()
	}
	return nil
}

// tcpEcho serves any number of connections until each is closed by its peer.
func tcpEcho(args []string) error {
	l, err := listen("tcp", args[0])
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
		}()
	}
}

func udpEcho(args []string) error {
	c, err := listenPacket("udp", args[0])
	if err != nil {
		return err
	}
	fmt.Println(c.LocalAddr())
	buf := make([]byte, 64<<10)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return err
		}
		if _, err := c.WriteTo(buf[:n], from); err != nil {
			return err
		}
	}
}

// tcpSend connects, sends a text so many times while it reads, closes its
// direction and prints what comes back.
func tcpSend(args []string) error {
	c, err := dial(context.Background(), "tcp", args[0])
	if err != nil {
		return err
	}
	defer c.Close()
	times := 1
	if len(args) > 2 {
		if times, err = strconv.Atoi(args[2]); err != nil {
			return err
		}
	}
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, strings.Repeat(args[1], times))
		if err == nil {
			err = c.(*net.TCPConn).CloseWrite()
		}
		sent <- err
	}()
	if _, err := io.Copy(os.Stdout, c); err != nil {
		return err
	}
	return <-sent
}

func udpSend(args []string) error {
	c, err := dial(context.Background(), "udp", args[0])
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, args[1]); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	n, err := c.Read(buf)
	os.Stdout.Write(buf[:n])
	return err
}

// deadline reads from one who never speaks.
func deadline(args []string) error {
	c, err := dial(context.Background(), "tcp", args[0])
	if err != nil {
		return err
	}
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err = c.Read(make([]byte, 1))
	if !os.IsTimeout(err) {
		return fmt.Errorf("read ended with %v", err)
	}
	return nil
}
