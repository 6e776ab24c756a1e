// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command postgres is a guest for the network tests: a client of PostgreSQL by
// pgx over stealthrocket/net. Its argument is the connection's URL.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stealthrocket/net/wasip1"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return err
	}
	config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return wasip1.DialContext(ctx, network, addr)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)

	if _, err := conn.Exec(ctx, "create temporary table t (id int primary key, name text)"); err != nil {
		return err
	}
	rows := make([][]any, 10_000)
	for i := range rows {
		rows[i] = []any{i, fmt.Sprintf("name %d", i)}
	}
	if _, err := conn.CopyFrom(ctx, pgx.Identifier{"t"}, []string{"id", "name"}, pgx.CopyFromRows(rows)); err != nil {
		return err
	}
	var count, length int
	if err := conn.QueryRow(ctx, "select count(*), sum(length(name)) from t where id >= $1", 10).Scan(&count, &length); err != nil {
		return err
	}
	fmt.Println("rows", count, "length", length)
	_, err = conn.Exec(ctx, "select pg_sleep(0.2)")
	return err
}
