// Brokergate-web serves a gateway to browsers and to REST: it speaks gRPC-Web, Connect and JSON over HTTP on one side and gRPC on
// the other, and serves a page. It listens on this machine alone, keeps nothing, and passes each caller's token on.
//
//	brokergate-web --listen 127.0.0.1:50080 --gateway 127.0.0.1:50051
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	headerTimeout   = 10 * time.Second
	shutdownTimeout = 5 * time.Second
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "brokergate-web:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	var settings settings
	flags := flag.NewFlagSet("brokergate-web", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:50080", "the address to listen on, of this machine alone; port 0 is a free one")
	flags.StringVar(&settings.gateway, "gateway", "127.0.0.1:50051", "the gateway's address")
	flags.StringVar(&settings.ca, "ca", "", "the file (PEM) of the authority that signs the gateway's certificate, or `system`; needed off this machine")
	flags.StringVar(&settings.page, "page", "", "a folder to serve in place of the page that comes along")
	flags.Func("host", "a name by which a proxy in front asks, such as trade.example.com; may be given again", func(host string) error {
		settings.hosts = append(settings.hosts, host)
		return nil
	})
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if !isLoopback(*listen) {
		return fmt.Errorf("--listen %s is not of this machine alone; put a server with TLS in front, and name it with --host", *listen)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	settings.address = listener.Addr().String()
	handler, err := newHandler(settings)
	if err != nil {
		return err
	}

	ending, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ReadHeaderTimeout: headerTimeout,
		// What goes on for ever ends with the process.
		BaseContext: func(net.Listener) context.Context { return ending },
	}
	fmt.Printf("http://%s\n", settings.address)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ending.Done():
	}
	closing, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(closing); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return server.Close()
}
