// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command redis is a guest for the network tests: a client of Redis by
// go-redis over stealthrocket/net. Its argument is the server's address.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stealthrocket/net/wasip1"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client := redis.NewClient(&redis.Options{Addr: addr, Dialer: wasip1.DialContext})
	defer client.Close()

	big := strings.Repeat("value", 200_000)
	if err := client.Set(ctx, "big", big, time.Minute).Err(); err != nil {
		return err
	}
	if got, err := client.Get(ctx, "big").Result(); err != nil || got != big {
		return fmt.Errorf("%d bytes of %d came back: %w", len(got), len(big), err)
	}
	pipe := client.Pipeline()
	for range 1000 {
		pipe.Incr(ctx, "counter")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	count, err := client.Get(ctx, "counter").Int()
	if err != nil {
		return err
	}
	if err := publish(ctx, client); err != nil {
		return err
	}
	fmt.Println("counted", count)
	return nil
}

// publish has one connection wait while another speaks.
func publish(ctx context.Context, client *redis.Client) error {
	sub := client.Subscribe(ctx, "news")
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		return err
	}
	if err := client.Publish(ctx, "news", "hello").Err(); err != nil {
		return err
	}
	msg, err := sub.ReceiveMessage(ctx)
	if err == nil && msg.Payload != "hello" {
		err = fmt.Errorf("received %q", msg.Payload)
	}
	return err
}
