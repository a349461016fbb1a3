// Command nats is one server of the fault harness's cluster: natsnode in a
// process of its own, which can be killed, frozen and given another clock. The
// harness builds and starts it; nobody else does.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-hq/slipway/internal/natsnode"
)

// store is what the streams are cut from; nothing near it is ever written.
const store = 10 << 30

// stopTimeout bounds a clean stop.
const stopTimeout = 10 * time.Second

func main() {
	dir := flag.String("dir", "", "data folder")
	name := flag.String("name", "", "name in the cluster")
	listen := flag.String("listen", "", "host:port for clients")
	cluster := flag.String("cluster", "", "host:port for the other servers")
	routes := flag.String("routes", "", "host:port of the others as this one reaches them, with commas")
	nowhere := flag.String("advertise", "", "host:port that the others are told")
	flag.Parse()
	if err := serve(natsnode.Config{
		Dir: *dir, Listen: *listen, ServerName: *name, MaxFileStore: store, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Cluster: &natsnode.Cluster{Name: "chaos", Listen: *cluster, Routes: strings.Split(*routes, ","), Advertise: *nowhere},
	}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(cfg natsnode.Config) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	node, err := natsnode.Start(cfg)
	if err != nil {
		return err
	}
	<-ctx.Done()
	last, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return node.Shutdown(last)
}
